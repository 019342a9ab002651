"""Text for terminals and pipes, with rich.

Every string is cleaned of control characters; nothing is read as markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from math import ceil
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from ..views.documents import ABSENT, Comparison, Sheet, Strip, Table
from .cleaning import clean_lines

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from ..architecture.schema import Change
    from ..compare.report import Outcome, Report, Verdict
    from ..views.memory import MemoryView

PIPE_WIDTH = 120
"""Columns of output that does not go to a terminal."""
NARROW = 18
"""Columns of a table no wider than this are never broken: numbers, shapes, words."""
LABEL = 24
"""The widest first column that is a label and never broken."""
LABEL_INDENT = 2
"""Columns that a label stands to the right of its section."""
SHORTEST = 12
"""Columns that a text is given at least."""
WIDEST_NAME = 48
"""Columns of the names of models, unless all are shorter; wider names are not aligned."""
LEFT_MARGIN = 2
"""Columns before everything that is printed."""
LABEL_GAP = 3
"""Columns between a label and its lines."""
COLOURS: dict[Outcome, str] = {"failed": "red", "uncertain": "yellow", "passed": "green"}


class Out(Console):
    """A console that writes no blanks at the end of lines, unless it is a terminal."""

    def show(self, what: RenderableType, indent: int = LEFT_MARGIN, below: int = 0) -> None:
        """Print something.

        what: what to print.
        indent: columns before it.
        below: empty lines after it.
        """
        padded = Padding(what, (0, 0, below, indent), expand=False)
        if self.is_terminal:
            self.print(padded)
            return
        with self.capture() as capture:
            self.print(padded)
        for line in capture.get().splitlines():
            trimmed = line.rstrip()
            self.file.write(f"{trimmed}\n")


def console() -> Out:
    """Return standard output as a console.

    A terminal has its own width; elsewhere it is COLUMNS or 120, so that nothing is cut off.
    """
    stdout: TextIO = sys.stdout
    if stdout.isatty():
        return new_console()
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 0
    return new_console(width=width or PIPE_WIDTH)


def new_console(file: TextIO | None = None, width: int | None = None) -> Out:
    """Return a console that takes nothing in a string for markup.

    file: where it writes; standard output by default.
    width: its columns; those of the terminal by default.
    """
    return Out(
        file=file,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def captured(write: Callable[[Out], None]) -> str:
    """Return what a function writes to a console, as a file holds it."""
    file = StringIO()
    write(new_console(file, PIPE_WIDTH))
    return file.getvalue()


def text(value: str, style: str = "") -> Text:
    """Return a string, cleaned, in a style; it may have several lines."""
    cleaned = clean_lines(value)
    return Text(cleaned, style=style, overflow="fold")


def new_grid(gap: int, *, header: bool = False, collapse: bool = True) -> Grid:
    """Return an empty table of rich without rules.

    gap: blanks between its columns.
    header: whether it shows the names of its columns.
    collapse: whether the blanks of two columns overlap.
    """
    from rich.table import Table as Grid

    return Grid(
        box=None,
        padding=(0, gap, 0, 0),
        show_header=header,
        header_style="bold",
        collapse_padding=collapse,
        pad_edge=False,
    )


# One model


def sheet(s: Sheet) -> None:
    """Print a model: title and origin, labelled lines, tables, notes."""
    out = console()
    out.print()
    title = text(s.title, "bold")
    width = len(s.title) + len(s.origin) + 6
    gap = "    " if width <= out.width else "\n"
    out.show(title + text(gap + s.origin, "dim"))
    out.show(text(s.headline), below=1)
    labelled(out, s.lines)
    for t in s.tables:
        out.print()
        table(t, out)
    out.print()
    print_notes(out, s.notes)


def memory(v: MemoryView) -> None:
    """Print memory plans: what was asked for, the table of bytes, lines, the plot, notes."""
    from . import plot

    out = console()
    out.print()
    out.show(text(v.title, "bold"))
    out.show(text(v.asked, "dim"), below=1)
    if v.warnings:
        out.show(text("\n".join(v.warnings), "yellow"), below=1)
    for part in split(v.table, out.width):
        table(part, out)
        out.print()
    if v.lines:
        labelled(out, v.lines)
        out.print()
    if v.plot:
        out.show(text("\n".join(plot.plot_lines(v.plot, out.width - 2))))
    out.print()
    print_notes(out, v.notes)


def explanation(title: str, lines: list[tuple[str, list[str]]]) -> None:
    """Print a title and labelled lines."""
    out = console()
    out.show(text(title, "bold"), below=1)
    labelled(out, lines)


def labelled(out: Out, lines: list[tuple[str, list[str]]]) -> None:
    """Print each label with its lines, which are wrapped beside it.

    Without rich's tables, because every `show` would pay for their import and layout.
    """
    labels = [text(label, "cyan") for label, _ in lines]
    indent = max(label.cell_len for label in labels) + LABEL_GAP
    room = max(out.width - LEFT_MARGIN - indent, 1)
    blank = Text(" " * indent)
    rows: list[Text] = []
    for label, (_, label_lines) in zip(labels, lines, strict=True):
        label.pad_right(indent - label.cell_len)
        wrapped = text("\n".join(label_lines)).wrap(out, room, overflow="fold")
        starts = [label] + [blank] * (len(wrapped) - 1)
        rows += [start + line for start, line in zip(starts, wrapped, strict=True)]
    out.show(Text("\n").join(rows))


def pair(out: Out, label: str, value: str) -> None:
    """Print one label with its text."""
    grid = new_grid(LABEL_GAP)
    name = text(label, "cyan")
    grid.add_row(name, text(value))
    out.show(grid)


def print_notes(out: Out, notes: list[str]) -> None:
    """Print a line for each note."""
    for note in notes:
        out.show(text(note, "dim"))


# Tables


def table(t: Table, out: Out | None = None) -> None:
    """Print a table without rules; sections are headings of their own.

    Where there is little room, wide columns are broken and narrow ones never. Where that is not
    enough, all columns are broken between words, and at last each cell has a line. Nothing is cut.
    """
    out = out or console()
    room = out.width - LEFT_MARGIN
    natural = [column_width(t, i) for i in range(len(t.columns))]
    narrowest = [min(width, SHORTEST) if width > NARROW else width for width in natural]
    if has_labels(t, natural):
        narrowest[0] = natural[0] + LABEL_INDENT
    if total_width(narrowest, LABEL_GAP) <= room:
        out.show(table_grid(t, natural))
        return
    narrowest = [unbroken_width(t, i, width) for i, width in enumerate(natural)]
    natural[0] += LABEL_INDENT
    for gap in range(LABEL_GAP, 0, -1):
        if total_width(narrowest, gap) <= room:
            out.show(broken_grid(t, fitted_widths(natural, narrowest, room, gap), gap))
            return
    print_stacked(t, out)


def has_labels(t: Table, widths: Sequence[int]) -> bool:
    """Return whether the first column has labels, which are not broken if there is room."""
    return bool(t.sections) or widths[0] <= LABEL


def total_width(widths: Sequence[int], gap: int) -> int:
    """Return the width of a table with `gap` blanks behind each column."""
    return sum(widths) + gap * len(widths)


def unbroken_width(t: Table, i: int, natural: int) -> int:
    """Return the width at which no label, number or short word of a column is broken."""
    if i == 0:
        return min(natural, LABEL) + LABEL_INDENT
    words = t.columns[i].split()
    for row in t.rows:
        words += row[i].split()
    longest = max(map(cell_len, words), default=0)
    if natural > NARROW:
        return min(longest, SHORTEST)
    return longest


def fitted_widths(
    natural: Sequence[int], narrowest: Sequence[int], room: int, gap: int
) -> list[int]:
    """Return the widths of columns of a table that fits: the widest are made narrower first."""
    widths = list(natural)
    while total_width(widths, gap) > room:
        spare = [i for i, width in enumerate(widths) if width > narrowest[i]]
        widest = max(spare, key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def table_grid(t: Table, widths: Sequence[int]) -> Grid:
    """Return a table whose narrow columns, of these natural widths, are never broken."""
    grid = new_grid(LABEL_GAP, header=any(t.columns), collapse=False)
    for i, (column, width) in enumerate(zip(t.columns, widths, strict=True)):
        is_label = i == 0 and has_labels(t, widths)
        grid.add_column(
            text(column),
            no_wrap=is_label or (i > 0 and width <= NARROW),
            overflow="fold",
            min_width=min(width, LABEL) + LABEL_INDENT if is_label else None,
        )
    add_rows(grid, t)
    return grid


def broken_grid(t: Table, widths: Sequence[int], gap: int) -> Grid:
    """Return a table with columns of these widths, broken between words."""
    grid = new_grid(gap, header=any(t.columns), collapse=False)
    for column, width in zip(t.columns, widths, strict=True):
        grid.add_column(text(column), overflow="fold", width=width)
    add_rows(grid, t)
    return grid


def add_rows(grid: Grid, t: Table) -> None:
    """Add the rows of a table, with its sections as headings."""
    indent = "  " if t.sections else ""
    for i, (label, *cells) in enumerate(t.rows):
        if i in t.sections:
            grid.add_row(text(t.sections[i], "cyan"))
        grid.add_row(text(indent + label), *map(table_cell, cells))


def print_stacked(t: Table, out: Out) -> None:
    """Print a table with a line for each cell, behind the name of its column."""
    for i, (label, *cells) in enumerate(t.rows):
        if i in t.sections:
            out.show(text(t.sections[i], "cyan"))
        out.show(Padding(text(label, "bold"), (0, 0, 0, 2)))
        for name, cell in zip(t.columns[1:], cells, strict=True):
            if cell:
                named = f"{name}: {cell}" if name else cell
                out.show(Padding(text(named), (0, 0, 0, 4)))


def column_width(t: Table, i: int) -> int:
    """Return the widest line of a column; sections stand in the first, left of the labels."""
    lines = [t.columns[i]]
    for row in t.rows:
        lines += row[i].split("\n")
    if i == 0:
        lines += [name[LABEL_INDENT:] for name in t.sections.values()]
    return max(map(cell_len, lines))


def table_cell(value: str) -> Text:
    """Return a cell; a dash for what a model does not have is dim."""
    if value == ABSENT:
        return text(value, "dim")
    return text(value)


def split(t: Table, width: int) -> Iterable[Table]:
    """Yield a matrix of many models as tables that fit, each with the labels again.

    A row stands only in the tables of models that have something there.
    """
    models = len(t.columns) - 1
    if models <= 3:
        yield t
        return
    most = max(2, (width - 22) // 20)
    each = ceil(models / ceil(models / most))
    for first in range(1, models + 1, each):
        part = Table(["", *t.columns[first : first + each]], [], {})
        section = ""
        for i, row in enumerate(t.rows):
            section = t.sections.get(i, section)
            cells = row[first : first + each]
            if all(c == ABSENT for c in cells):
                continue
            if section not in part.sections.values():
                part.sections[len(part.rows)] = section
            part.rows.append([row[0], *cells])
        yield part


# Several models


def comparison(c: Comparison, out: Out | None = None) -> None:
    """Print several models side by side: what differs, what is equal, and their layers."""
    out = out or console()
    out.print()
    if c.summary:
        out.show(text(c.summary, "bold"))
    for name, origin in c.origins:
        out.show(text(f"{name}: {origin}", "dim"))
    out.print()
    said = [c.verdict] if c.verdict else []
    if said or c.conflicts:
        out.show(text("\n".join([*said, *c.conflicts]), "yellow" if c.conflicts else ""), below=1)
    if c.table.rows:
        for part in split(c.table, out.width):
            table(part, out)
            out.print()
    if c.equal:
        more = [f"and {c.hidden} more (--all)"] if c.hidden else []
        pair(out, "equal", " · ".join([*c.equal, *more]))
        out.print()
    strips(out, c.strips, c.legend)
    for note in c.notes:
        out.show(text(note, "dim"))


def strips(out: Out, items: list[Strip], legend: list[tuple[str, str]]) -> None:
    """Print a symbol for each layer of each model: beside the names if they fit, else below."""
    names = max(len(s.name) for s in items)
    symbols = max(len(s.symbols) for s in items)
    words = [f"{symbol} {word}" for symbol, word in legend]
    key = text("   ".join(words), "dim")
    grid = new_grid(2)
    if names + symbols + 4 <= out.width:
        for s in items:
            grid.add_row(text(s.name), text(s.symbols))
        grid.add_row(text(""), key)
    else:
        for s in items:
            grid.add_row(text(f"{s.name}\n{s.symbols}"))
        grid.add_row(key)
    out.show(grid, below=1)


# Reports


def report(r: Report, out: Out | None = None) -> None:
    """Print a check: a line for each model, its changes below it, and how it ended."""
    from ..compare.report import count_noun, summary_lines

    out = out or console()
    if r.file:
        models = count_noun(len(r.verdicts), "model")
        out.show(text(f"{r.file}: {models}"), indent=0, below=1)
    widest = max((len(v.name) for v in r.verdicts), default=0)
    for v in r.verdicts:
        print_verdict(out, r, v, min(WIDEST_NAME, widest))
    out.print()
    style = "bold" if r.exit_code else ""
    for line in summary_lines(r):
        out.show(text(line, style), indent=0)
    failing = [change for v in r.verdicts for change in r.failing(v)]
    if failing:
        out.show(text(f"llmarch rules explain {failing[0].rule}", "dim"), indent=0)


def print_verdict(out: Out, r: Report, v: Verdict, width: int) -> None:
    """Print a model of a report, its changes, and why it was not read as a whole.

    out: the console.
    r: the report.
    v: the model's verdict.
    width: the columns of the names.
    """
    from ..compare.report import OUTCOMES, compared_commits, verdict_reasons, verdict_state

    outcome = r.outcome(v)
    mark, colour = OUTCOMES[outcome], COLOURS[outcome]
    title = text(f"{mark} ", colour) + text(v.name.ljust(width), "bold")
    words = (compared_commits(v), verdict_state(v))
    for word in words:
        if word:
            title += text(f"   {word}")
    out.show(title, indent=0)
    if v.changes:
        print_changes(out, r, v.changes, colour)
    for reason in verdict_reasons(v):
        out.show(text(reason), indent=4)


def print_changes(out: Out, r: Report, changes: Iterable[Change], colour: str) -> None:
    """Print the changes of a model; what the first of each failing rule means stands below it.

    out: the console.
    r: the report.
    changes: what changed.
    colour: that of changes that fail.
    """
    from ..compare.report import change_meaning, change_text

    grid = new_grid(2)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    explained: set[str] = set()
    for c in changes:
        what = change_text(c)
        line = f"{c.rule}   {c.path}   {what}"
        if not r.fails(c):
            grid.add_row(text(c.severity, "dim"), text(line, "dim"))
            continue
        shown = text(line)
        below: list[str] = []
        if c.rule not in explained:
            below.append(change_meaning(c))
        if c.id:
            below.append(f"id {c.id}")
        if below:
            shown += text("\n" + " · ".join(below), "dim")
        explained.add(c.rule)
        grid.add_row(text(c.severity, colour), shown)
    out.show(grid, indent=4)
