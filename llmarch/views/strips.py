"""The layers of models as strips: one symbol a layer, the same one for kinds that models share."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import east_asian_width

from ..architecture.schema import Architecture
from ..architecture.wording.names import name_title
from ..checkpoint.reading import Reading
from .documents import Strip
from .fact_rows import row_sources, words_of_blocks
from .wording import kind_word

LAYER_SYMBOLS = "█▁▄░▒▀▖▚"
"""Symbols of the most common kinds of layers; further kinds have letters."""

MOST_DETAILS = 2
"""Facts that are named to tell kinds of layers of one recipe apart."""

NARROW_WIDTHS = ("Na", "N")
"""Classes of Unicode characters that take one column of a terminal."""


def layer_words(a: Architecture) -> list[str]:
    """Return the kind of each layer in words."""
    words = distinct_kind_words(a)
    return [words[kind] for kind in a.layers]


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
            words |= words_told_apart(a, kinds)
    return words


def words_told_apart(a: Architecture, kinds: Sequence[str]) -> dict[str, str]:
    """Return different words for kinds of layers that have one recipe.

    They have the facts in which their blocks differ; where these do not tell, their names.
    """
    details: dict[str, list[str]] = {kind: [] for kind in kinds}
    for paths in zip(*(paths_of_blocks(a, kind) for kind in kinds), strict=False):
        if len(set(paths)) == 1:
            continue
        for label, texts in differing_facts_of(a, paths):
            only_has = len([text for text in texts if text]) == 1
            for kind, text in zip(kinds, texts, strict=True):
                detail = label if only_has else f"{label} {text}"
                if text and detail not in details[kind]:
                    details[kind].append(detail)
    words: dict[str, str] = {}
    for kind, texts in details.items():
        shown = f" ({', '.join(texts[:MOST_DETAILS])})" if texts else ""
        words[kind] = kind_word(a, kind) + shown
    if len(set(words.values())) == len(kinds):
        return words
    return {kind: f"{kind_word(a, kind)} ({name_title(kind)})" for kind in kinds}


def paths_of_blocks(a: Architecture, kind: str) -> list[str]:
    """Return the paths of the blocks of a kind of layer in order."""
    return [branch.block for step in a.layer_kinds[kind].steps for branch in step.branches]


def differing_facts_of(a: Architecture, paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the label of each fact that blocks have differently, and its words for each block.

    a: the architecture.
    paths: the paths of the blocks. The words of a block without the fact are empty.
    """
    blocks = {path: a.block(path) for path in paths}
    for source in row_sources().values():
        fact = source.facts[0]
        of_group = {path: blocks[path] for path in blocks if path.startswith(f"{fact.group}.")}
        words = words_of_blocks(source.facts, of_group)
        texts = [words[path].text or "" if path in words else "" for path in paths]
        if len(set(texts)) > 1:
            yield fact.label, texts


def layer_symbols(readings: Iterable[Reading]) -> dict[str, str]:
    """Return the symbol of each kind of layer. The most common kind has the full block."""
    counts: Counter[str] = Counter()
    for r in readings:
        counts.update(layer_words(r.architecture))
    words = [word for word, _ in counts.most_common()]
    return dict(zip(words, different_symbols(), strict=False))


def different_symbols() -> Iterator[str]:
    """Yield symbols of one column, no two alike: blocks, then letters of any script."""
    yield from LAYER_SYMBOLS
    for code in range(sys.maxunicode):
        letter = chr(code)
        if letter.isalpha() and east_asian_width(letter) in NARROW_WIDTHS:
            yield letter


def strip(name: str, r: Reading, symbols: dict[str, str]) -> Strip:
    """Return the layers of a model as symbols; kinds that models share have the same symbol."""
    layers = [symbols[word] for word in layer_words(r.architecture)]
    return Strip(name, "".join(layers))


def legend(readings: Iterable[Reading], symbols: dict[str, str]) -> list[tuple[str, str]]:
    """Return the symbols with the kinds of layers that they stand for, in order of first use."""
    words: dict[str, None] = {}
    for r in readings:
        words |= dict.fromkeys(layer_words(r.architecture))
    return [(symbols[word], word) for word in words]
