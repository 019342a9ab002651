"""Text for terminals and pipes, with rich. Every string is cleaned of control characters; nothing is read as markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from io import StringIO, TextIOWrapper
from math import ceil
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from ..errors import printable as _printable
from ..views.documents import Comparison, Sheet, Strip, Table

if TYPE_CHECKING:
    from ..compare.report import Report, Verdict
    from ..views.memory import MemoryView

PIPE_WIDTH = 120
LONGEST = 10**6


class Out(Console):
    """A console whose lines have no blanks at their end in a pipe."""

    def show(self, what: RenderableType, indent: int = 2, below: int = 0) -> None:
        padded = Padding(what, (0, 0, below, indent), expand=False)
        if self.is_terminal:
            self.print(padded)
            return
        with self.capture() as capture:
            self.print(padded)
        self.file.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))


def console() -> Out:
    """Standard output: its own width in a terminal, COLUMNS or 120 in a pipe, so that nothing is cut off."""
    stdout: TextIO = sys.stdout
    if isinstance(stdout, TextIOWrapper):
        stdout.reconfigure(errors="replace")
    columns = os.environ.get("COLUMNS", "")
    width = (
        None
        if stdout.isatty()
        else int(columns)
        if columns.isdecimal() and int(columns)
        else PIPE_WIDTH
    )
    return Out(width=width, highlight=False, markup=False, emoji=False)


def text(value: str, style: str = "") -> Text:
    """Lines of a cell, cleaned."""
    return Text(
        "\n".join(_printable(line, LONGEST) for line in value.split("\n")),
        style=style,
        overflow="fold",
    )


def sheet(s: Sheet) -> None:
    out = console()
    out.print()
    gap = "    " if len(s.title) + len(s.origin) + 6 <= out.width else "\n"
    out.show(text(s.title, "bold") + text(gap + s.origin, "dim"))
    out.show(text(s.headline), below=1)
    labelled(out, s.lines)
    for t in s.tables:
        out.print()
        table(t, out)
    out.print()
    for note in s.notes:
        out.show(text(note, "dim"))


NARROW = 18
"""Columns no wider than this are never broken: numbers, shapes, words."""


def table(t: Table, out: Out | None = None) -> None:
    """Columns without lines; sections as headings of their own. Where it is narrow, long cells are broken, short ones never."""
    out = out or console()
    widths = [
        max((len(line) for row in t.rows for line in (*row[i].split("\n"), c)), default=0)
        for i, c in enumerate(t.columns)
    ]
    grid = Grid(
        box=None,
        padding=(0, 3, 0, 0),
        show_header=any(t.columns),
        header_style="bold",
        pad_edge=False,
    )
    labels = bool(t.sections) or (widths[0] <= 24 if widths else False)
    for i, (column, width) in enumerate(zip(t.columns, widths, strict=True)):
        least = min(width, 24) + 2 if i == 0 and labels else None
        grid.add_column(
            text(column),
            no_wrap=labels if i == 0 else width <= NARROW,
            overflow="fold",
            min_width=least,
        )
    for i, row in enumerate(t.rows):
        if i in t.sections:
            grid.add_row(text(t.sections[i], "cyan"))
        label = ("  " if t.sections else "") + row[0]
        grid.add_row(text(label), *(text(c, "dim" if c == "–" else "") for c in row[1:]))
    out.show(grid)


def comparison(c: Comparison) -> None:
    out = console()
    out.print()
    if c.table.rows:
        for part in split(c.table, out.width):
            table(part, out)
            out.print()
    elif c.same:
        out.show(text("the architectures are the same"), below=1)
    if c.equal:
        more = [f"and {c.hidden} more (--all)"] if c.hidden else []
        pair(out, "equal", " · ".join([*c.equal, *more]))
        out.print()
    strips(out, c.strips, c.legend)
    for note in c.notes:
        out.show(text(note, "dim"))


def explanation(title: str, lines: list[tuple[str, list[str]]]) -> None:
    out = console()
    out.show(text(title, "bold"), below=1)
    labelled(out, lines)


def captured(write: Callable[[Out], None]) -> str:
    """What is written, as a file holds it."""
    file = StringIO()
    write(Out(file=file, width=PIPE_WIDTH, highlight=False, markup=False, emoji=False))
    return file.getvalue()


def report(r: Report, out: Out | None = None) -> None:
    """A check: a line for each model, its changes below it, and how it ended."""
    from ..compare.report import count_noun, summary_lines

    out = out or console()
    if r.file:
        out.show(text(f"{r.file}: {count_noun(len(r.verdicts), 'model')}"), indent=0, below=1)
    width = min(48, max((len(v.name) for v in r.verdicts), default=0))
    for v in r.verdicts:
        verdict(out, r, v, width)
    out.print()
    for line in summary_lines(r):
        out.show(text(line, "bold" if r.exit_code else ""), indent=0)
    if rule := next((c.rule for v in r.verdicts for c in r.failing(v)), None):
        out.show(text(f"llmarch rules explain {rule}", "dim"), indent=0)


def verdict(out: Out, r: Report, v: Verdict, width: int) -> None:
    from ..compare.report import (
        change_meaning,
        change_text,
        compared_commits,
        verdict_mark,
        verdict_state,
    )

    colour = {"✓": "green", "✗": "red", "?": "yellow"}[verdict_mark(r, v)]
    rest = "   ".join(filter(None, (compared_commits(v), verdict_state(v))))
    out.show(
        text(f"{verdict_mark(r, v)} ", colour)
        + text(v.name, "bold")
        + text(" " * max(0, width - len(v.name)) + f"   {rest}"),
        indent=0,
    )
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    told: set[str] = set()
    for c in v.changes:
        fails = r.fails(c)
        line = text(f"{c.rule}   {c.path}   {change_text(c)}", "" if fails else "dim")
        if fails and c.rule not in told:
            line += text(f"\n{change_meaning(c)}", "dim")
        told.add(c.rule)
        grid.add_row(text(c.severity, colour if fails else "dim"), line)
    if v.changes:
        out.show(grid, indent=4)
    for line in (
        *([v.error.message] if v.error else []),
        *([v.error.hint] if v.error and v.error.hint else []),
        *v.remarks,
    ):
        out.show(text(line), indent=4)


def memory(v: MemoryView) -> None:
    from . import plot

    out = console()
    out.print()
    out.show(text(v.title, "bold"))
    out.show(text(v.asked, "dim"), below=1)
    for part in split(v.table, out.width):
        table(part, out)
        out.print()
    if v.lines:
        labelled(out, v.lines)
        out.print()
    if v.plot:
        out.show(text("\n".join(plot.lines(v.plot, out.width - 2))))
    out.print()
    for note in v.notes:
        out.show(text(note, "dim"))


def labelled(out: Out, lines: list[tuple[str, list[str]]]) -> None:
    """Labels, and the lines that belong to each."""
    grid = Grid.grid(padding=(0, 3, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text_lines in lines:
        grid.add_row(text(label, "cyan"), text("\n".join(text_lines)))
    out.show(grid)


def split(t: Table, width: int) -> Iterable[Table]:
    """A matrix of many models, cut into tables that fit: the labels again, some of the models, and the rows that say something of them."""
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
            if any(c != "–" for c in cells):
                if section not in part.sections.values():
                    part.sections[len(part.rows)] = section
                part.rows.append([row[0], *cells])
        yield part


def pair(out: Out, label: str, value: str) -> None:
    grid = Grid.grid(padding=(0, 3, 0, 0))
    grid.add_row(text(label, "cyan"), text(value))
    out.show(grid)


def strips(out: Out, items: list[Strip], legend: list[tuple[str, str]]) -> None:
    """A symbol a layer; beside the names where they fit, else below them."""
    names = max(len(s.name) for s in items)
    beside = names + max(len(s.symbols) for s in items) + 4 <= out.width
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for s in items:
        if beside:
            grid.add_row(text(s.name), text(s.symbols))
        else:
            grid.add_row(text(f"{s.name}\n{s.symbols}"))
    key = text("   ".join(f"{symbol} {word}" for symbol, word in legend), "dim")
    grid.add_row(*([text("")] if beside else []), key)
    out.show(grid, below=1)
