"""Translate the metadata of a GGUF file to the keys that families read.

    translate      the keys that all architectures share
    document       the metadata, as typed look-ups
    contradictions numbers of the file that no fact has
    architectures  what each of llama.cpp's architectures means: a model_type, and keys of its own

Evidence and errors still name the keys of the file.
"""

from __future__ import annotations

from .contradictions import contradicted_keys
from .translate import translate_gguf, unstated_facts

__all__ = ["contradicted_keys", "translate_gguf", "unstated_facts"]
