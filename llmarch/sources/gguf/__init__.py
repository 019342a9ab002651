"""Read GGUF files, llama.cpp's: metadata and tensor infos, never the weights.

tensor_types  ggml's types, and how they are stored
header        the header of one file
choice        which files make one model, and which model is meant
files         the headers of a model's files as raw evidence
"""

from __future__ import annotations

from .choice import GgufSet, only_set, set_of, tagged_set
from .files import add_headers, missing_parts
from .header import FIRST_READ, GgufHeader, is_gguf, read_gguf

__all__ = [
    "FIRST_READ",
    "GgufHeader",
    "GgufSet",
    "add_headers",
    "is_gguf",
    "missing_parts",
    "only_set",
    "read_gguf",
    "set_of",
    "tagged_set",
]
