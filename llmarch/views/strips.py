"""The layers of models as strips: one symbol a layer, the same one for kinds that models share."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

from ..checkpoint.reading import Reading
from .documents import Strip
from .layer_kinds import layer_words

LAYER_SYMBOLS = "█▁▄░▒▀▖▚"
"""Symbols of the most common kinds of layers; further kinds have letters."""

NARROW_WIDTHS = ("Na", "N")
"""Classes of Unicode characters that take one column of a terminal."""


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
    layers = ""
    for word in layer_words(r.architecture):
        layers += symbols[word]
    return Strip(name, layers)


def legend(readings: Iterable[Reading], symbols: dict[str, str]) -> list[tuple[str, str]]:
    """Return the symbols with the kinds of layers that they stand for, in order of first use."""
    words: dict[str, None] = {}
    for r in readings:
        of_model = layer_words(r.architecture)
        words |= dict.fromkeys(of_model)
    return [(symbols[word], word) for word in words]
