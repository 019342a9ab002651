"""Markdown, fit for a README or a comment on a pull request. Strings from repositories are escaped: no markup of theirs survives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import printable
from ..views.documents import Comparison, Sheet, Table

if TYPE_CHECKING:
    from ..architecture.schema import Change
    from ..compare.report import Report, Verdict
    from ..compare.rules import Rule
    from ..views.memory import MemoryView

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$!])")
_LIVE = re.compile(
    r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=\bGH-)(?=\d)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE
)
"""Where people are pinged, issues are referred to and addresses become links. GitHub looks for them after Markdown: no backslash helps, an
empty comment does."""

ROOM = 60_000
"""Of the 65,536 characters that GitHub takes in a comment."""
ROWS = (10**6, 100, 20, 5, 0)
CELL = 300


def escape(value: str) -> str:
    """Text that Markdown and HTML show as it is, with nothing in it to click or to ping; lines become `<br>`."""
    return "<br>".join(_escape(printable(line, 10**6)) for line in value.split("\n"))


def _escape(line: str) -> str:
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LIVE.sub("<!-- -->", _SPECIAL.sub(r"\\\1", line))


def rows(columns: list[str], body: list[list[str]], right: int = 99) -> str:
    head = "| " + " | ".join(escape(c) or " " for c in columns) + " |"
    rule = "|" + "|".join(" --- " for _ in columns) + "|"
    return "\n".join(
        [head, rule, *("| " + " | ".join(escape(c) or " " for c in row) + " |" for row in body)]
    )


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
        parts.append(
            "\n".join(
                [
                    "```text",
                    *(printable(line, 500) for line in plot.lines(v.plot, plot.WIDEST)),
                    "```",
                ]
            )
        )
    if v.notes:
        parts.append("\n".join(f"- {escape(n)}" for n in v.notes))
    return "\n\n".join(parts) + "\n"


def report(r: Report) -> str:
    """A check, fit for a comment on a pull request: what fails is open, the rest is folded. Where there is more than fits, fewer rows of
    each table; then fewer models, those that fail first."""
    from ..compare.report import summary_lines
    from ..compare.report import verdict_mark as mark_of

    mark = {0: "✅", 1: "❌"}.get(r.exit_code, "❔")
    parts = [
        f"## {mark} llmarch check",
        "  \n".join(
            f"**{escape(line)}**" if i == 0 else escape(line)
            for i, line in enumerate(summary_lines(r))
        ),
    ]
    for most in ROWS:
        models = [verdict(r, v, most) for v in r.verdicts]
        if sum(len(m) + 2 for m in models) <= ROOM:
            return "\n\n".join([*parts, *models]) + "\n"
    room = ROOM
    worst = sorted(r.verdicts, key=lambda v: "✗?✓".index(mark_of(r, v)))
    for i, v in enumerate(worst):
        model = verdict(r, v, 0)
        if (room := room - len(model) - 2) < 0:
            parts.append(f"and {len(worst) - i} models more")
            break
        parts.append(model)
    return "\n\n".join(parts) + "\n"


def verdict(r: Report, v: Verdict, most: int) -> str:
    """A model, with so many rows of a table at most."""
    from ..compare.report import compared_commits, verdict_mark, verdict_state

    title = f"{verdict_mark(r, v)} **{escape(v.name)}** {escape(compared_commits(v))}".rstrip()
    if not v.changes and not v.error and not v.partial:
        return f"{title}: {verdict_state(v)}"
    said = [v.error.message, *([v.error.hint] if v.error.hint else [])] if v.error else []
    parts = [
        title,
        *(f"- {escape(printable(line, CELL))}" for line in [*said, *v.remarks][: most + 3]),
    ]
    failing, rest = r.failing(v), [c for c in v.changes if not r.fails(c)]
    if failing:
        parts += ["", changes(failing, most) or f"{len(failing)} at or above '{r.level}'"]
    if rest:
        inner, label = changes(rest, most), f"{len(rest)} below '{r.level}'"
        parts += [
            "",
            f"<details><summary>{label}</summary>\n\n{inner}\n\n</details>" if inner else label,
        ]
    return "\n".join(parts)


def changes(found: Sequence[Change], most: int) -> str:
    """A table of changes, and how many are left out of it; nothing where no row is wanted."""
    from ..compare.report import change_text

    if not most:
        return ""
    body = [
        [c.severity, c.rule, *(printable(text, CELL) for text in (c.path, change_text(c)))]
        for c in found[:most]
    ]
    more = f"\n\nand {left} more" if (left := len(found) - most) > 0 else ""
    return rows(["severity", "rule", "fact", "change"], body) + more


def rules(table: Iterable[Rule]) -> str:
    """The page of rules (docs/rules.md)."""
    from ..compare.rules import CONSEQUENCES, SEVERITIES

    def row(r: Rule) -> str:
        covers = [f"`{r.pattern}`"] if r.pattern is not None else []
        return " | ".join(
            [
                "",
                f"`{r.id}`",
                *covers,
                r.severity,
                f"**{escape(r.title)}**<br>{escape(r.explanation)}",
                "",
            ]
        ).strip()

    page = list(table)
    parts = [
        "# Rules",
        "Each difference between two models has a rule with a stable id. Its severity says what breaks, from worst:",
        rows(["severity", "means"], [[s, CONSEQUENCES[s]] for s in SEVERITIES]),
        "`--fail-on` takes a severity, `--ignore` a rule or `rule:path`; [ci.md](ci.md) says how a project sets them.",
        "## Facts",
        "Of the paths, `*` is one part, `**` any number, `{a,b}` one of several. The first row that covers a path wins.",
        "\n".join(
            [
                rows(["rule", "covers", "severity", "what breaks, and for whom"], []),
                *(row(r) for r in page if r.pattern is not None),
            ]
        ),
        "## Findings",
        "About a checkpoint and its files. One that is there now and was not before is a change; where it does no harm it has a milder "
        "severity than its row.",
        "\n".join(
            [
                rows(["rule", "severity", "what breaks, and for whom"], []),
                *(row(r) for r in page if r.pattern is None),
            ]
        ),
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
