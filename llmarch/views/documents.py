"""Neutral documents that renderers write as text, Markdown or JSON: a sheet of one model, tables, layer strips."""

from __future__ import annotations

from dataclasses import field

from ..architecture.frozen import Frozen, frozen


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
    """Named columns; rows are cells of text (lines); a row that starts a section carries its name in `sections` by row number.
    `quiet` columns are of less weight (ratios); `fold` are cells that may be broken anywhere (tensor names)."""

    columns: list[str]
    rows: list[list[str]]
    sections: dict[int, str] = field(default_factory=dict[int, str])
    title: str = ""


@frozen
class Strip(Frozen):
    """The layers of one model, one symbol each."""

    name: str
    symbols: str


@frozen
class Comparison(Frozen):
    """Several models side by side: what differs, what is equal, and their layers as strips with a legend."""

    table: Table
    equal: list[str]
    hidden: int
    strips: list[Strip]
    legend: list[tuple[str, str]]
    notes: list[str]
    same: bool
