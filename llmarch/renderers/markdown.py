"""Markdown, fit for a README or a comment on a pull request. Strings from repositories are escaped: no markup of theirs survives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import printable
from ..views import Comparison, Sheet, Table

if TYPE_CHECKING:
    from ..views_memory import MemoryView

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$@!])")


def escape(value: str) -> str:
    """Text that Markdown and HTML show as it is; lines become `<br>`."""
    lines = (_SPECIAL.sub(r"\\\1", printable(line, 10**6)).replace("\\<", "&lt;").replace("\\>", "&gt;") for line in value.split("\n"))
    return "<br>".join(line.replace("&amp;", "&") for line in lines)


def rows(columns: list[str], body: list[list[str]], right: int = 99) -> str:
    head = "| " + " | ".join(escape(c) or " " for c in columns) + " |"
    rule = "|" + "|".join(" --- " for _ in columns) + "|"
    return "\n".join([head, rule, *("| " + " | ".join(escape(c) or " " for c in row) + " |" for row in body)])


def sheet(s: Sheet) -> str:
    parts = [f"## {escape(s.title)}", f"{escape(s.origin)}  \n{escape(s.headline)}"]
    parts.append(rows(["fact", "value"], [[label, "\n".join(lines)] for label, lines in s.lines]))
    for t in s.tables:
        parts += [f"### {escape(t.title)}", table(t)]
    parts.append("\n".join(f"- {escape(n)}" for n in s.notes))
    return "\n\n".join(parts) + "\n"


def memory(v: MemoryView) -> str:
    from . import plot

    parts = [f"## {escape(v.title)}", escape(v.asked), table(v.table)]
    if v.lines:
        parts.append(rows(["", ""], [[label, "\n".join(lines)] for label, lines in v.lines]))
    if v.plot:
        parts.append("\n".join(["```text", *(printable(line, 500) for line in plot.lines(v.plot, plot.WIDEST)), "```"]))
    if v.notes:
        parts.append("\n".join(f"- {escape(n)}" for n in v.notes))
    return "\n\n".join(parts) + "\n"


def table(t: Table) -> str:
    body: list[list[str]] = []
    section = ""
    columns = ["", *t.columns] if t.sections else t.columns
    for i, row in enumerate(t.rows):
        section = t.sections.get(i, "" if t.sections else section)
        body.append([section, *row] if t.sections else row)
    return rows(columns, body)


def comparison(c: Comparison) -> str:
    title = "## " + " · ".join(escape(s.name) for s in c.strips)
    parts = [title, table(c.table) if c.table.rows else "The architectures are the same."]
    if c.equal:
        more = f" · and {c.hidden} more" if c.hidden else ""
        parts.append("Equal: " + escape(" · ".join(c.equal)) + more)
    parts.append(
        "\n".join(
            [
                "```text",
                *(f"{printable(s.name):24} {s.symbols}" for s in c.strips),
                *(f"{'':24} {symbol} {word}" for symbol, word in c.legend),
                "```",
            ]
        )
    )
    if c.notes:
        parts.append("\n".join(f"- {escape(n)}" for n in c.notes))
    return "\n\n".join(parts) + "\n"
