"""Neutral documents that renderers write as text or Markdown: sheets, tables, comparisons."""

from __future__ import annotations

from dataclasses import field

from ..architecture.frozen import Frozen, frozen
from .numbers import plural

ABSENT = "–"
"""The cell of a table for what a model does not have."""


DIFFERS = "≠ "
"""What stands in a matrix before a cell that is not that of the first model."""


class Command(str):
    """A command for a shell, which is one line however long: nothing breaks it."""

    __slots__ = ()


@frozen
class Sheet(Frozen):
    """One model: a title with its origin, a headline, labelled lines, and notes below."""

    title: str
    origin: str
    headline: str
    lines: list[tuple[str, list[str]]]
    notes: list[str]
    tables: list[Table] = field(default_factory=list["Table"])


@frozen
class Table(Frozen):
    """Named columns and rows of cells; a cell may have several lines."""

    columns: list[str]
    rows: list[list[str]]
    sections: dict[int, str] = field(default_factory=dict[int, str])
    """Names of sections, by the number of the row that starts each."""
    title: str = ""
    is_matrix: bool = False
    """Whether three columns or more are compared with the first: cells that differ are marked."""
    columns_beside: int = 0
    """How many of the last columns of a matrix are not of a model."""
    notes: list[str] = field(default_factory=list[str])
    """What a reader must know of all rows, a sentence each."""


def marked_row(t: Table, row: list[str]) -> list[str]:
    """Return a row of a matrix with a mark before each cell that differs from the first model's."""
    if not t.is_matrix:
        return row
    end = len(row) - t.columns_beside
    label, first, *others = row[:end]
    marked = [cell if cell == first else f"{DIFFERS}{cell}" for cell in others]
    return [label, first, *marked, *row[end:]]


@frozen
class Listing(Frozen):
    """A table with one line for each row, however wide it is; no cell has several lines."""

    table: Table
    """Columns from the most important one."""
    may_shorten: bool = False
    """Whether a terminal that is too narrow may leave out the last columns, and say so."""


@frozen
class Strip(Frozen):
    """The layers of one model, one symbol each."""

    name: str
    symbols: str


@frozen
class Comparison(Frozen):
    """Several models side by side: what differs, what is equal, and their layers."""

    headline: str
    """How the second of two models differs, in a sentence; empty for more models."""
    origins: list[tuple[str, str]]
    """The name of each model with where it was read."""
    table: Table
    equal: list[str]
    """Equal facts in words."""
    hidden: int
    """How many more equal facts there are."""
    strips: list[Strip]
    legend: list[tuple[str, str]]
    """Each symbol of the strips with the kind of layer it stands for."""
    notes: list[str]
    same: bool
    """Whether the architectures have no differences at all."""
    untold: int = 0
    """How many differences of the design the headline does not tell."""
    changed: bool = False
    """Whether anything differs: the architectures, stored tensors, findings, unread keys."""
    verdict: str = ""
    """Says so, where they have none."""
    conflicts: list[str] = field(default_factory=list[str])
    """What contradicts what, for each checkpoint that contradicts its config."""

    @property
    def summary(self) -> str:
        """Return the headline, and how many differences of the design it does not tell."""
        if not self.untold:
            return self.headline
        more = plural(self.untold, "more difference")
        return f"{self.headline}; {more} of design"
