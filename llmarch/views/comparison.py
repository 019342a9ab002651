"""Models side by side: the rows that differ, the facts that are equal, and the layers as strips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..checkpoint.reading import Reading
from . import numbers
from .compared_rows import ComparedRow, compared_models, compared_rows
from .documents import Comparison, Strip, Table
from .model import remarks
from .wording import kind_word

SYMBOLS = "█▁▄░▒▀▖▚"
"""Symbols of the kinds of layers, from the most common; further kinds share `·`."""


def compare(readings: list[Reading], everything: bool = False) -> Comparison:
    """Return several models side by side. Two models have a column of ratios.

    readings: the models; the first is the one that the others are compared with.
    everything: whether equal facts have rows too, instead of being summed up.
    """
    models = compared_models(readings)
    rows = list(compared_rows(models))
    equal = [row for row in rows if not row.differs]
    shown = rows if everything else [row for row in rows if row.differs]
    phrases = [phrase for phrase in map(equal_phrase, equal) if phrase]
    strips, legend = layer_strips(readings)
    return Comparison(
        table=table(readings, shown),
        equal=phrases,
        hidden=0 if everything else len(equal) - len(phrases),
        strips=strips,
        legend=legend,
        notes=[f"{r.name}: {remark}" for r in readings for remark in remarks(r)],
        same=not any(model.changed for model in models),
    )


def table(readings: Sequence[Reading], rows: Sequence[ComparedRow]) -> Table:
    """Return the rows as a table, with the ratio of the two where there are two models."""
    is_pair = len(readings) == 2
    columns = ["", *(r.name for r in readings)]
    if is_pair:
        columns.append("")
    body: list[list[str]] = []
    sections: dict[int, str] = {}
    for row in rows:
        if row.section not in sections.values():
            sections[len(body)] = row.section
        body.append([row.label, *row.cells])
        if is_pair:
            body[-1].append(ratio(row))
    return Table(columns, body, sections)


def ratio(row: ComparedRow) -> str:
    """Return how the second number of a row compares with the first; nothing without numbers."""
    known = [number for number in row.numbers if number is not None]
    return numbers.ratio(*known) if len(known) == 2 else ""


def equal_phrase(row: ComparedRow) -> str:
    """Return an equal fact in a phrase, nothing for one that is only counted."""
    text = ", ".join(row.cells[0].split("\n"))
    if text in ("none", "0"):
        return ""
    return row.equal.format(text)


def layer_strips(readings: Sequence[Reading]) -> tuple[list[Strip], list[tuple[str, str]]]:
    """Return the layers as symbols, and the legend.

    Kinds of layers that models share have the same symbol. The most common kind has the full block.
    """
    words = [[kind_word(r.architecture, kind) for kind in r.architecture.layers] for r in readings]
    total = Counter(word for layers in words for word in layers)
    symbols = {word: symbol(i) for i, (word, _) in enumerate(total.most_common())}
    strips: list[Strip] = []
    for r, layers in zip(readings, words, strict=True):
        strips.append(Strip(r.name, "".join(symbols[word] for word in layers)))
    legend = dict.fromkeys(word for layers in words for word in layers)
    return strips, [(symbols[word], word) for word in legend]


def symbol(rank: int) -> str:
    """Return the symbol of a kind of layer by how common it is."""
    return SYMBOLS[rank] if rank < len(SYMBOLS) else "·"
