"""Sheets as notebooks show them: HTML without styles and scripts, and a few lines of text.

Strings from repositories are escaped: no markup and no control characters of theirs survive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import printable
from ..views.documents import Sheet, Table, marked_row
from .web.elements import Markup, element

SHORT_LINES = 4
"""Labelled lines of the text."""
_LONGEST_LINE = 90


def sheet_html(s: Sheet) -> str:
    """Return a sheet as one element of HTML."""
    parts: list[Markup] = [element("p", element("strong", s.title), f" {s.origin}")]
    if s.headline:
        parts.append(element("p", s.headline))
    if s.lines:
        rows = [[label, "\n".join(lines)] for label, lines in s.lines]
        parts.append(rows_html((), rows))
    parts += [table_html(table) for table in s.tables]
    if s.notes:
        items = [element("li", note) for note in s.notes]
        parts.append(element("ul", items))
    return element("div", parts)


def table_html(t: Table) -> Markup:
    """Return a table; the rows of a section begin with its name."""
    rows: list[list[str]] = []
    for i, row in enumerate(t.rows):
        if i in t.sections:
            rows.append([t.sections[i]])
        rows.append(marked_row(t, row))
    return rows_html(t.columns, rows)


def rows_html(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return rows as a table; the first cell of each is its label."""
    body: list[Markup] = []
    if any(columns):
        cells = [element("th", column, scope="col") for column in columns]
        body.append(element("tr", cells))
    for label, *values in rows:
        cells = [element("th", label, scope="row", style="text-align: left")]
        cells += [element("td", value, style="text-align: left") for value in values]
        body.append(element("tr", cells))
    return element("table", body)


def short_text(kind: str, s: Sheet) -> str:
    """Return the first lines of a sheet: what it is, its headline, and the first labelled lines.

    kind: the name of the class.
    """
    lines = [f"<{kind} {s.title}: {s.headline}" if s.headline else f"<{kind} {s.title}"]
    for label, values in s.lines[:SHORT_LINES]:
        first = values[0] if values else ""
        lines.append(f"  {label}: {first}")
    shown = [printable(line, _LONGEST_LINE) for line in lines]
    return "\n".join(shown) + ">"
