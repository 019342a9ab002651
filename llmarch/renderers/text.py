"""Text for terminals and pipes, with rich.

Every string is cleaned of control characters; nothing is read as markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import replace
from io import StringIO
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ..views.documents import ABSENT, Command, Comparison, Listing, Sheet, Strip, Table, marked_row
from .cleaning import clean, clean_lines
from .columns import fitting_columns, listing_lines, spans, table_lines, text_lines
from .output import encodable

if TYPE_CHECKING:
    from ..architecture.schema import Change
    from ..compare.report import Outcome, Report, Verdict
    from ..views.memory import MemoryView

PIPE_WIDTH = 120
"""Columns of output that does not go to a terminal."""
WIDEST_NAME = 48
"""Columns of the names of models, unless all are shorter; wider names are not aligned."""
LEFT_MARGIN = 2
"""Columns before everything that is printed."""
LABEL_GAP = 3
"""Columns between a label and its lines."""
LEAST_ROOM = 20
"""Columns that lines need beside their label; with fewer they stand below it."""
HANGING = 2
"""Columns before lines below their label."""
ROLE_STYLES = {"title": "bold", "section": "cyan", "name": "bold"}
"""The styles of parts of tables."""
COLOURS: dict[Outcome, str] = {"failed": "red", "uncertain": "yellow", "passed": "green"}


class Out(Console):
    """A console that writes no blanks at the end of lines, unless it is a terminal."""

    def show(self, what: Text, indent: int = LEFT_MARGIN, blank_lines: int = 0) -> None:
        """Print text, broken at words where it is wider than the console.

        what: what to print.
        indent: columns before it.
        blank_lines: empty lines after it.
        """
        room = self.width - indent
        if self.is_terminal:
            broken = broken_text(what, room)
            margins = (0, 0, blank_lines, indent)
            padded = Padding(broken, margins, expand=False)
            self.print(padded)
            return
        lines = text_lines(what.plain, room)
        self.write_lines(lines, indent)
        self.file.write("\n" * blank_lines)

    def show_lines(
        self, lines: Iterable[Text], indent: int = LEFT_MARGIN, blank_lines: int = 0
    ) -> None:
        """Print lines, none of which is broken.

        lines: what to print.
        indent: columns before each.
        blank_lines: empty lines after them.
        """
        if self.is_terminal:
            margin = Text(" " * indent)
            for line in lines:
                self.print(margin + line, soft_wrap=True)
        else:
            self.write_lines((line.plain for line in lines), indent)
        self.file.write("\n" * blank_lines)

    def write_lines(self, lines: Iterable[str], indent: int = LEFT_MARGIN) -> None:
        """Write lines as they are, without styles: what is not a terminal gets none.

        lines: what to write.
        indent: columns before each.
        """
        margin = " " * indent
        for line in lines:
            indented = f"{margin}{line}"
            trimmed = indented.rstrip()
            self.file.write(f"{trimmed}\n")


def console() -> Out:
    """Return standard output as a console.

    A terminal has its own width; elsewhere it is COLUMNS or 120, so that nothing is cut off.
    """
    stdout: TextIO = sys.stdout
    if stdout.isatty():
        return new_console()
    columns = os.environ.get("COLUMNS", "")
    width = 0
    if columns.isdecimal():
        width = int(columns)
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


_WHOLE_UNICODE = ("utf-8", "UTF-8", "utf8")
"""Encodings that have every character."""
_encoding: ContextVar[str | None] = ContextVar("_encoding", default=None)
"""The encoding of what is written; None is that of standard output."""


def spelled(value: str) -> str:
    """Return a string, cleaned, with signs for what the output lacks.

    It is laid out so: a sign may be wider than the character that it stands for.
    """
    encoding = _encoding.get() or sys.stdout.encoding or "utf-8"
    cleaned = clean_lines(value)
    if encoding in _WHOLE_UNICODE:
        return cleaned
    return encodable(cleaned, "text", encoding)


def _one_line(value: str) -> str:
    """Return a string as `spelled` does, on one line."""
    return spelled(clean(value))


def captured(write: Callable[[Out], None]) -> str:
    """Return what a function writes to a console, as a file holds it."""
    file = StringIO()
    before = _encoding.set("utf-8")
    write(new_console(file, PIPE_WIDTH))
    _encoding.reset(before)
    return file.getvalue()


def text(value: str, style: str = "") -> Text:
    """Return a string, cleaned, in a style; it may have several lines."""
    return Text(spelled(value), style=style, overflow="fold")


def broken_text(value: Text, width: int) -> Text:
    """Return text with line ends where it has to be broken, in the same styles."""
    line_end = Text("\n")
    lines = broken_lines(value, width)
    return line_end.join(lines)


def broken_lines(value: Text, width: int) -> list[Text]:
    """Return the lines of text in the same styles, none wider than a width but of a command."""
    lines = value.split("\n", allow_blank=True)
    if value.no_wrap:
        return list(lines)
    return [line[start:end] for line in lines for start, end in spans(line.plain, width)]


# One model


def sheet(s: Sheet) -> None:
    """Print a model: title and origin, labelled lines, tables, notes."""
    out = console()
    out.print()
    title = text(s.title, "bold")
    width = len(s.title) + len(s.origin) + 6
    gap = "    " if width <= out.width else "\n"
    out.show(title + text(gap + s.origin, "dim"))
    out.show(text(s.headline), blank_lines=1)
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
    out.show(text(v.asked, "dim"), blank_lines=1)
    if v.warnings:
        out.show(text("\n".join(v.warnings), "yellow"), blank_lines=1)
    for i, part in enumerate(split(v.table, out.width)):
        if i:
            out.print()
        table(part, out)
    if v.lines:
        out.print()
        labelled(out, v.lines)
    if v.plot:
        out.print()
        out.show(text("\n".join(plot.plot_lines(v.plot, out.width - 2))))
    if v.notes:
        out.print()
    print_notes(out, v.notes)


def explanation(title: str, lines: list[tuple[str, list[str]]]) -> None:
    """Print a title and labelled lines."""
    out = console()
    out.show(text(title, "bold"), blank_lines=1)
    labelled(out, lines)


def labelled(out: Out, lines: list[tuple[str, list[str]]]) -> None:
    """Print each label with its lines, which are broken beside it; commands stay in one line."""
    rows: list[tuple[Text, Text]] = []
    for label, values in lines:
        shown = text(label, "cyan")
        for is_command, some in groupby(values, lambda value: isinstance(value, Command)):
            joined = text("\n".join(some))
            joined.no_wrap = is_command
            rows.append((shown, joined))
            shown = text("")
    hanging(out, rows, LABEL_GAP)


def hanging(
    out: Out,
    rows: list[tuple[Text, Text]],
    gap: int,
    indent: int = LEFT_MARGIN,
    blank_lines: int = 0,
) -> None:
    """Print texts beside their labels, or below them where there is little room.

    out: the console.
    rows: each label with its text.
    gap: columns between labels and texts.
    indent: columns before everything.
    blank_lines: empty lines after everything.
    """
    start = max((label.cell_len for label, _ in rows), default=0) + gap
    room = out.width - indent - start
    lines: list[Text] = []
    for label, value in rows:
        if room < LEAST_ROOM:
            parts = broken_lines(value, out.width - indent - HANGING)
            if label.plain:
                lines.append(label)
            lines += [Text(" " * HANGING) + part for part in parts]
            continue
        first, *others = broken_lines(value, room)
        blank = Text(" " * (start - label.cell_len))
        lines.append(Text.assemble(label, blank, first))
        lines += [Text(" " * start) + part for part in others]
    out.show_lines(lines, indent, blank_lines)


def print_notes(out: Out, notes: list[str]) -> None:
    """Print a line for each note."""
    for note in notes:
        out.show(text(note, "dim"))


def sentence(value: str) -> None:
    """Print a sentence, broken at words."""
    out = console()
    out.show(text(value), indent=0)


# Tables


def table(t: Table, out: Out | None = None) -> None:
    """Print a table without rules; sections are headings of their own, and nothing is cut off."""
    out = out or console()
    cleaned = Table(
        list(map(spelled, t.columns)),
        [list(map(spelled, marked_row(t, row))) for row in t.rows],
        {i: spelled(title) for i, title in t.sections.items()},
    )
    laid_out = table_lines(cleaned, out.width - LEFT_MARGIN)
    if not out.is_terminal:
        out.write_lines("".join(part.text for part in line) for line in laid_out)
        print_notes(out, t.notes)
        return
    lines: list[Text] = []
    for segments in laid_out:
        line = Text()
        for part, role in segments:
            line.append(part, "dim" if part == ABSENT else ROLE_STYLES.get(role))
        lines.append(line)
    out.show(Text("\n").join(lines))
    print_notes(out, t.notes)


def listing(items: Listing) -> None:
    """Print a line for each row. A terminal shows as many columns as fit, and says which do not.

    What is not a terminal gets all columns, unless COLUMNS says how wide it is.
    """
    t = items.table
    cleaned = Table([*map(_one_line, t.columns)], [[*map(_one_line, row)] for row in t.rows])
    out = console()
    room = out.width - LEFT_MARGIN
    kept = len(cleaned.columns)
    if items.may_shorten and (out.is_terminal or os.environ.get("COLUMNS")):
        kept = fitting_columns(cleaned, room)
    lines = listing_lines(cleaned, kept)
    if not out.is_terminal:
        out.write_lines(lines)
    else:
        head, *rows = map(Text, lines)
        head.stylize("bold")
        out.show_lines([head, *rows])
    left_out = cleaned.columns[kept:]
    if left_out:
        words = f"too narrow for {', '.join(left_out)}; --columns chooses"
        out.show(text(words, "dim"))


def split(t: Table, width: int) -> Iterable[Table]:
    """Yield a table of many models as tables that fit, each with the labels again.

    Those of a matrix have the same rows, and the first model again; else a row stands only in the
    tables of models that have something there.
    """
    models = len(t.columns) - 1 - t.columns_beside
    if models <= 3:
        yield t
        return
    most = max(2, (width - 22) // 20)
    repeated = [1] if t.is_matrix else []
    beside = list(range(models + 1, len(t.columns)))
    start = 1 + len(repeated)
    most -= len(repeated)
    others = models - len(repeated)
    each = ceil(others / ceil(others / most))
    for first in range(start, models + 1, each):
        shown = [*repeated, *range(first, min(first + each, models + 1)), *beside]
        part = replace(t, columns=["", *(t.columns[i] for i in shown)], rows=[], sections={})
        section = ""
        for i, row in enumerate(t.rows):
            section = t.sections.get(i, section)
            cells = [row[i] for i in shown]
            if not t.is_matrix and all(c == ABSENT for c in cells):
                continue
            if section and section not in part.sections.values():
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
    said = [*c.conflicts]
    style = "yellow" if said else ""
    if c.verdict:
        said.insert(0, c.verdict)
    if said:
        message = "\n".join(said)
        out.show(text(message, style), blank_lines=1)
    if c.table.rows:
        for part in split(c.table, out.width):
            table(part, out)
            out.print()
    if c.equal:
        equal = [*c.equal]
        if c.hidden:
            equal.append(f"and {c.hidden} more (--all)")
        line = " · ".join(equal)
        labelled(out, [("equal", [line])])
        out.print()
    strips(out, c.strips, c.legend)
    print_notes(out, c.notes)


def strips(out: Out, items: list[Strip], legend: list[tuple[str, str]]) -> None:
    """Print a symbol for each layer of each model: beside the names if they fit, else below."""
    names = max(len(s.name) for s in items)
    symbols = max(len(s.symbols) for s in items)
    words = [f"{symbol} {word}" for symbol, word in legend]
    key = text("   ".join(words), "dim")
    if names + symbols + 4 <= out.width:
        rows = [(text(s.name), text(s.symbols)) for s in items]
        hanging(out, [*rows, (text(""), key)], 2, blank_lines=1)
        return
    blank_lines = [text(f"{s.name}\n{s.symbols}") for s in items]
    out.show(Text("\n").join([*blank_lines, key]), blank_lines=1)


# Reports


def report(r: Report, out: Out | None = None) -> None:
    """Print a check: a line for each model, its changes below it, and how it ended."""
    from ..compare.report import count_noun, summary_lines

    out = out or console()
    if r.file:
        models = count_noun(len(r.verdicts), "model")
        out.show(text(f"{r.file}: {models}"), indent=0, blank_lines=1)
    widest = max((len(v.name) for v in r.verdicts), default=0)
    for v in r.verdicts:
        print_verdict(out, r, v, min(WIDEST_NAME, widest))
    out.print()
    style = "bold" if r.exit_code else ""
    for line in summary_lines(r):
        out.show(text(line, style), indent=0)
    failing = [change for v in r.verdicts for change in r.failing(v)]
    if failing:
        next_steps = [f"llmarch rules explain {failing[0].rule}"]
        if failing[0].id:
            next_steps.append(f"llmarch check --accept {failing[0].id}")
        out.show(text(" · ".join(next_steps), "dim"), indent=0)


def outcome_mark(mark: str) -> str:
    """Return the mark of an outcome; where there are only signs, as wide as the widest of them."""
    if spelled("✓") == "✓":
        return mark
    sign = spelled(mark)
    if mark == "?":
        sign = "??"
    return sign.ljust(len(spelled("✗")))


def print_verdict(out: Out, r: Report, v: Verdict, width: int) -> None:
    """Print a model of a report, its changes, and why it was not read as a whole.

    out: the console.
    r: the report.
    v: the model's verdict.
    width: the columns of the names.
    """
    from ..compare.report import OUTCOMES, compared_commits, verdict_reasons, verdict_state

    outcome = r.outcome(v)
    mark, colour = outcome_mark(OUTCOMES[outcome]), COLOURS[outcome]
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
    """Print the changes of a model, each with its id; what it means stands below the first alike.

    out: the console.
    r: the report.
    changes: what changed.
    colour: that of changes that fail.
    """
    from ..compare.report import change_details, change_id_words, change_meaning, change_text

    rows: list[tuple[Text, Text]] = []
    explained: set[str] = set()
    for c in changes:
        severity_style, line_style = colour, ""
        if not r.fails(c):
            severity_style = line_style = "dim"
        shown = text(f"{c.rule}   {c.path}   {change_text(c)}", line_style)
        meaning = change_meaning(c)
        blank_lines = change_details(c)
        if meaning in explained:
            blank_lines = change_id_words(c)
        if blank_lines:
            shown += text(f"\n{blank_lines}", "dim")
        explained.add(meaning)
        rows.append((text(c.severity, severity_style), shown))
    hanging(out, rows, 2, indent=4)
