"""Columns of a table laid out for a width, and text broken at words: no colours, no console.

Nothing is cut off. Where a table is too wide, its widest columns are broken at spaces and after
dots, slashes, underscores and hyphens. Where that does not suffice, each row has its first cell
above and the others below. Where they have no room side by side, each follows its column's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len

from ..views.documents import Table

NARROW = 18
"""Columns of a table no wider than this are broken last: numbers, shapes, words."""
FIGURE = 12
"""Columns no wider than this are broken only where figures stand below their row's label."""
SHORTEST = 8
"""Narrower parts of cells are not made, except of cells that are narrower."""
LABEL = 24
"""The widest first column that is a label and never broken."""
CELL_GAP = 3
"""Blanks between columns."""
GAP_BELOW = 2
"""Blanks between columns that stand below a label."""
INDENT = 2
"""Blanks before rows of a section, and before what stands below a label."""

_WORD = re.compile(r"\s*\S+")
_UNITS = r"[KMGT]i?B(?:/s)?|[BM]|[KMGTP]?FLOPS?(?:/s)?|%|ms|tokens?(?:/s)?|layers?|heads?|dims"
_TOGETHER = re.compile(rf"\s*(?:\d[\d.,]* (?:{_UNITS})(?![\w/])\S*|(?:\d\S* )?[×÷] \d\S*|\S+)")
"""A number with its unit, a sign with its number, or one word: kept on one line."""
_BREAK = re.compile(r"(?<=[^\s./_\-][./_\-])(?=[\w{])(?:(?<!\d.)|(?!\d))(?<!\de-)")
"""A place inside a word where it may be broken: after a separator that is not in a number."""


class LinePart(NamedTuple):
    """Text of a line, and what it is: title, section, label, name (of a row), cell or blank."""

    text: str
    role: str


Line = list[LinePart]
"""One line, from the left."""


# Text


def text_lines(value: str, width: int) -> list[str]:
    """Return the lines of a text, broken where they are wider than a width."""
    return [line[start:end] for line in value.split("\n") for start, end in spans(line, width)]


@cache
def spans(line: str, width: int) -> tuple[tuple[int, int], ...]:
    """Return where each part of a broken line begins and ends; blanks at a break are left out.

    The cells of a table are much alike, and are broken once for each layout that is tried.

    line: text without line ends.
    width: the widest part; below 1 it is one character each.
    """
    width = max(width, 1)
    if cell_len(line) <= width:
        return ((0, len(line)),)
    found: list[tuple[int, int]] = []
    start = end = 0
    for first, last in _units(line, width):
        if cell_len(line[start:last]) > width:
            if end > start:
                found.append((start, end))
            unit = line[first:last]
            start = last - len(unit.lstrip())
        end = last
    found.append((start, end))
    return tuple(found)


def _units(line: str, width: int) -> Iterator[tuple[int, int]]:
    """Yield the parts that are kept whole: numbers with units, words, pieces of wide ones."""
    for together in _TOGETHER.finditer(line):
        first, last = together.span()
        shown = together.group().lstrip()
        if cell_len(shown) <= width:
            yield first, last
            continue
        for word in _WORD.finditer(line, first, last):
            yield from _parts_of_word(line, *word.span(), width)


def _parts_of_word(line: str, start: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield a word, its pieces where it is too wide, or the characters of these."""
    if cell_len(line[start:end].lstrip()) <= width:
        yield start, end
        return
    for first, last in _pieces(line, start, end):
        if cell_len(line[first:last].lstrip()) <= width:
            yield first, last
        else:
            yield from ((i, i + 1) for i in range(first, last))


def _pieces(line: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of a word, each up to a place where it may be broken."""
    places = [place.start() for place in _BREAK.finditer(line, start, end)]
    yield from zip([start, *places], [*places, end], strict=True)


# Tables


class Measure(NamedTuple):
    """How wide a column is: its widest line, and its widest word and piece of a word."""

    line: int
    word: int
    piece: int


def measure(cells: Iterable[str], name: str) -> Measure:
    """Return how wide a column is.

    cells: its cells.
    name: the name above it, which may be broken like a long word.
    """
    lines = [line for cell in cells for line in cell.split("\n")]
    words = [word for line in lines for word in line.split()]
    name_pieces = max(map(cell_len, _word_pieces(name)), default=0)
    return Measure(
        max(map(cell_len, [*lines, name])),
        max([*map(cell_len, words), name_pieces], default=0),
        max([*map(cell_len, _word_pieces(" ".join(words))), name_pieces], default=0),
    )


def _word_pieces(text: str) -> list[str]:
    words = [word.span() for word in _WORD.finditer(text)]
    return [text[i:j].strip() for start, end in words for i, j in _pieces(text, start, end)]


def _least_widths(measures: Iterable[Measure], kept: int) -> list[int]:
    """Return the least widths of columns of which words are kept, and lines that are no wider.

    Of a column with a word wider than NARROW, the pieces of words are kept.

    kept: NARROW, FIGURE or SHORTEST: the widest lines that are kept.
    """
    widths: list[int] = []
    for m in measures:
        words = m.word
        if words > NARROW:
            words = m.piece
        needed = max(kept, words)
        width = min(m.line, needed)
        widths.append(width)
    return widths


def table_lines(t: Table, width: int) -> list[Line]:
    """Return a table's lines, none wider than a width; the fewest, where cells must be broken.

    t: the table, with clean cells.
    width: the columns of the output.
    """
    measures = [measure([row[i] for row in t.rows], name) for i, name in enumerate(t.columns)]
    indent = INDENT if t.sections else 0
    room = width - indent
    label, *others = measures
    width_in_line = room - CELL_GAP * len(others)
    first = min(label.line, max(LABEL, width_in_line // 2, label.piece))
    widths = shared_widths(measures, [first, *_least_widths(others, NARROW)], width_in_line)
    if widths:
        return _laid_out(t, _Beside(indent, widths), width)
    layouts: list[_Layout] = [_Named(indent, room, t.columns)]
    width_in_row = room - INDENT - GAP_BELOW * (len(others) - 1)
    for kept in (SHORTEST, FIGURE, NARROW):
        widths = shared_widths(others, _least_widths(others, kept), width_in_row)
        if widths:
            layouts.append(_Below(indent, room, widths))
    widths = shared_widths(measures, [first, *_least_widths(others, FIGURE)], width_in_line)
    if widths:
        layouts.append(_Beside(indent, widths))
    laid_out = [_laid_out(t, layout, width) for layout in reversed(layouts)]
    return min(laid_out, key=len)


def column_widths(t: Table) -> list[int]:
    """Return the width of each column's widest cell, its name among them."""
    return [max(map(cell_len, cells)) for cells in zip(t.columns, *t.rows, strict=True)]


def fitting_columns(t: Table, width: int) -> int:
    """Return how many columns have room beside each other, from the first, which always is shown.

    t: the table, with one line in each cell.
    width: the columns of the output.
    """
    taken = -GAP_BELOW
    fitting = 0
    for column in column_widths(t):
        taken += GAP_BELOW + column
        if taken > width:
            break
        fitting += 1
    return max(fitting, 1)


def listing_lines(t: Table, kept: int) -> list[str]:
    """Return a line for the names of columns and for each row.

    t: the table, with one line in each cell.
    kept: how many columns are shown.
    """
    widths = column_widths(t)[:kept]
    lines: list[str] = []
    gap = " " * GAP_BELOW
    listed = (t.columns, *t.rows)
    for row in listed:
        padded = map(padded_cell, row, widths)
        line = gap.join(padded)
        trimmed = line.rstrip()
        lines.append(trimmed)
    return lines


def padded_cell(cell: str, width: int) -> str:
    """Return a cell with blanks behind it, so that it is as wide as its column."""
    missing = width - cell_len(cell)
    padding = " " * missing
    return cell + padding


def shared_widths(
    measures: Sequence[Measure], floors: Sequence[int], room: int
) -> list[int] | None:
    """Return the widths of columns in a room; None where their least widths have none.

    The widest columns give way first.

    measures: how wide each would be.
    floors: the least width of each.
    room: the columns of the output for all of them.
    """
    if sum(floors) > room:
        return None
    widths = [max(min(m.line, room), floor) for m, floor in zip(measures, floors, strict=True)]
    while sum(widths) > room:
        shrinkable = [i for i, floor in enumerate(floors) if widths[i] > floor]
        widest = max(shrinkable, key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _laid_out(t: Table, layout: _Layout, width: int) -> list[Line]:
    """Return the lines of names, sections and rows."""
    lines: list[Line] = []
    if any(t.columns):
        lines += layout.header(t.columns)
    for i, row in enumerate(t.rows):
        if i in t.sections:
            lines += [[LinePart(part, "section")] for part in text_lines(t.sections[i], width)]
        lines += layout.row(row)
    return lines


class _Beside(NamedTuple):
    """All cells of a row beside each other."""

    indent: int
    widths: list[int]

    def header(self, names: list[str]) -> list[Line]:
        return side_by_side(names, ["title"] * len(names), self.widths, CELL_GAP, self.indent, True)

    def row(self, cells: list[str]) -> list[Line]:
        roles = ["label", *["cell"] * (len(cells) - 1)]
        return side_by_side(cells, roles, self.widths, CELL_GAP, self.indent)


class _Below(NamedTuple):
    """The first cell of a row above, the others below it beside each other."""

    indent: int
    room: int
    widths: list[int]

    def header(self, names: list[str]) -> list[Line]:
        lines = _alone(names[0], "title", self.room, self.indent)
        return lines + self._others(names[1:], "title", bottom=True)

    def row(self, cells: list[str]) -> list[Line]:
        lines = _alone(cells[0], "name", self.room, self.indent)
        return lines + self._others(cells[1:], "cell")

    def _others(self, cells: list[str], role: str, *, bottom: bool = False) -> list[Line]:
        roles = [role] * len(cells)
        indent = self.indent + INDENT
        return side_by_side(cells, roles, self.widths, GAP_BELOW, indent, bottom)


class _Named(NamedTuple):
    """The first cell of a row above, below it each other with the name of its column."""

    indent: int
    room: int
    names: list[str]

    def header(self, names: list[str]) -> list[Line]:
        """Return the name of the first column; the others stand in each row."""
        return _alone(names[0], "title", self.room, self.indent)

    def row(self, cells: list[str]) -> list[Line]:
        lines = _alone(cells[0], "name", self.room, self.indent)
        for name, cell in zip(self.names[1:], cells[1:], strict=True):
            if not cell:
                continue
            value = f"{name}: {cell}" if name else cell
            first, *others = text_lines(value, self.room - 2 * INDENT)
            lines += _indented([first], "cell", self.indent + INDENT)
            lines += _indented(others, "cell", self.indent + 2 * INDENT)
        return lines


_Layout = _Beside | _Below | _Named


def _alone(value: str, role: str, room: int, indent: int) -> list[Line]:
    """Return the lines of a text that has them for itself; none for an empty one."""
    if not value:
        return []
    return _indented(text_lines(value, room), role, indent)


def _indented(parts: list[str], role: str, indent: int) -> list[Line]:
    """Return lines of one part each."""
    return [[LinePart(" " * indent, "blank"), LinePart(part, role)] for part in parts]


def side_by_side(
    cells: Sequence[str],
    roles: Sequence[str],
    widths: Sequence[int],
    gap: int,
    indent: int,
    bottom: bool = False,
) -> list[Line]:
    """Return the lines of cells beside each other.

    cells: their texts, broken at their widths.
    roles: what each is.
    widths: the columns of each.
    gap: blanks between them.
    indent: blanks before them.
    bottom: whether their last lines are level, as names above columns are, not their first.
    """
    parts = [text_lines(cell, width) for cell, width in zip(cells, widths, strict=True)]
    if bottom:
        tallest = max(map(len, parts), default=0)
        parts = [[""] * (tallest - len(lines)) + lines for lines in parts]
    found: list[Line] = []
    for row in zip_longest(*parts, fillvalue=""):
        line = [LinePart(" " * indent, "blank")]
        missing = 0
        for part, role, width in zip(row, roles, widths, strict=True):
            if part:
                line += [LinePart(" " * missing, "blank"), LinePart(part, role)]
                missing = 0
            missing += width - cell_len(part) + gap
        found.append(line)
    return found
