"""Markdown, fit for a README or a comment on a pull request. Strings from repositories are escaped: no markup of theirs survives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import printable
from ..views import Comparison, Sheet, Table

if TYPE_CHECKING:
    from ..gate import Report, Verdict
    from ..rules import Rule
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


def report(r: Report) -> str:
    """A check, fit for a comment on a pull request: what fails is open, the rest is folded."""
    from ..gate import summary

    mark = {0: "✅", 1: "❌"}.get(r.exit_code, "❔")
    parts = [
        f"## {mark} llmarch check",
        "  \n".join(f"**{escape(line)}**" if i == 0 else escape(line) for i, line in enumerate(summary(r))),
    ]
    return "\n\n".join([*parts, *(verdict(r, v) for v in r.verdicts)]) + "\n"


def verdict(r: Report, v: Verdict) -> str:
    from ..gate import compared, mark, state, what

    title = f"{mark(r, v)} **{escape(v.name)}** {escape(compared(v))}".rstrip()
    if not v.changes and not v.error and not v.partial:
        return f"{title}: {state(v)}"
    said = [v.error.message, *([v.error.hint] if v.error.hint else [])] if v.error else []
    parts = [title, *(f"- {escape(line)}" for line in [*said, *v.remarks])]
    failing, rest = r.failing(v), [c for c in v.changes if not r.fails(c)]
    columns = ["severity", "rule", "fact", "change"]
    if failing:
        parts += ["", rows(columns, [[c.severity, c.rule, c.path, what(c)] for c in failing])]
    if rest:
        inner = rows(columns, [[c.severity, c.rule, c.path, what(c)] for c in rest])
        parts += ["", f"<details><summary>{len(rest)} below '{r.level}'</summary>\n\n{inner}\n\n</details>"]
    return "\n".join(parts)


def rules(table: Iterable[Rule]) -> str:
    """The page of rules (docs/rules.md)."""
    from ..rules import CONSEQUENCES, SEVERITIES

    def row(r: Rule) -> str:
        covers = [f"`{r.pattern}`"] if r.pattern is not None else []
        return " | ".join(["", f"`{r.id}`", *covers, r.severity, f"**{escape(r.title)}**<br>{escape(r.explanation)}", ""]).strip()

    page = list(table)
    parts = [
        "# Rules",
        "Each difference between two models has a rule with a stable id. Its severity says what breaks, from worst:",
        rows(["severity", "means"], [[s, CONSEQUENCES[s]] for s in SEVERITIES]),
        "`--fail-on` takes a severity, `--ignore` a rule or `rule:path`; [ci.md](ci.md) says how a project sets them.",
        "## Facts",
        "Of the paths, `*` is one part, `**` any number, `{a,b}` one of several. The first row that covers a path wins.",
        "\n".join(
            [rows(["rule", "covers", "severity", "what breaks, and for whom"], []), *(row(r) for r in page if r.pattern is not None)]
        ),
        "## Findings",
        "About a checkpoint and its files. One that is there now and was not before is a change; where it does no harm it has a milder "
        "severity than its row.",
        "\n".join([rows(["rule", "severity", "what breaks, and for whom"], []), *(row(r) for r in page if r.pattern is None)]),
    ]
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
