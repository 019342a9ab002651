"""The kinds of layers of a model in words, no two in the same ones."""

from __future__ import annotations

from ..architecture.schema import Architecture
from .wording import kind_word


def layer_words(a: Architecture) -> list[str]:
    """Return the kind of each layer in words."""
    words = distinct_kind_words(a)
    of_layers: list[str] = []
    for kind in a.layers:
        of_layers.append(words[kind])
    return of_layers


def distinct_kind_words(a: Architecture) -> dict[str, str]:
    """Return each kind of layer in words, no two kinds that layers have in the same ones.

    What kinds of one recipe differ in is said: `GQA + MoE (activation clamp)`.
    """
    kinds_by_word: dict[str, list[str]] = {}
    for kind in dict.fromkeys(a.layers):
        kinds = kinds_by_word.setdefault(kind_word(a, kind), [])
        kinds.append(kind)
    words = {kind: kind_word(a, kind) for kind in a.layer_kinds}
    for kinds in kinds_by_word.values():
        if len(kinds) > 1:
            # Few models need it, and it imports the catalogue of facts.
            from .kind_details import words_told_apart

            words |= words_told_apart(a, kinds)
    return words
