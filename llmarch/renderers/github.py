"""Annotations of GitHub Actions (workflow commands).

GitHub shows ten of each level a step, so no more are written; a summary gives their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..architecture.schema import Change
from ..compare.report import Report, Verdict, change_meaning, change_text, summary_lines
from ..errors import printable

SHOWN = 10
"""Annotations of one level that GitHub shows."""
LONGEST = 1000
"""Characters of a line of a message."""

Level = Literal["error", "warning", "notice"]
ROOM: dict[Level, int] = {"error": SHOWN, "warning": SHOWN, "notice": SHOWN - 1}
"""How many annotations of each level are written, worst first; the summary is a notice."""


def report(r: Report) -> str:
    """Return a line for each annotation, and the summary.

    Changes that fail are errors, others that matter warnings, the rest notices.
    """
    by_level: dict[Level, list[str]] = {level: [] for level in ROOM}
    for level, line in change_annotations(r):
        by_level[level].append(line)
    shown = [line for level, lines in by_level.items() for line in lines[: ROOM[level]]]
    hidden = sum(map(len, by_level.values())) - len(shown)
    summary = summary_lines(r)
    if hidden:
        summary.append(f"{hidden} annotations more than GitHub shows")
    shown.append(command("notice", "llmarch check", ", ".join(summary)))
    return "".join(f"{line}\n" for line in shown)


def change_annotations(r: Report) -> Iterator[tuple[Level, str]]:
    """Yield the level and the line of each change and of each model not read as a whole."""
    for v in r.verdicts:
        for c in v.changes:
            level = change_level(r, c)
            message = f"{v.name}: {c.path}: {change_text(c)}\n{change_meaning(c)}"
            yield level, command(level, f"{c.severity}: {c.rule}", message, *place(r, v, c.path))
        if v.error:
            message = "\n".join(filter(None, (v.error.message, v.error.hint)))
            yield "error", command("error", "could not be read", message, *place(r, v))
        if v.partial:
            message = "\n".join((f"{v.name} was read only in part", *v.remarks))
            yield "error", command("error", "read only in part", message, *place(r, v))


def change_level(r: Report, c: Change) -> Level:
    """Return the level of a change."""
    if r.fails(c):
        return "error"
    return "notice" if c.severity == "info" else "warning"


def place(r: Report, v: Verdict, path: str = "") -> tuple[str, int]:
    """Return the lock file and the line of a fact in it; an empty name and 0 without a lock."""
    return r.file, v.line_of(path) if r.file else 0


def command(level: Level, title: str, message: str, file: str = "", line: int = 0) -> str:
    """Return `::error file=llmarch.lock,line=12,title=…::message`.

    level: what GitHub makes of it.
    title: the heading of the annotation.
    message: its text; may have several lines.
    file: the file it stands at; none if empty.
    line: the line of the file; none if 0.
    """
    properties = {"file": file, "line": str(line or ""), "title": title}
    shown = ",".join(f"{k}={_property(v)}" for k, v in properties.items() if v)
    lines = [_data(printable(part, LONGEST)) for part in message.split("\n")]
    return f"::{level} {shown}::{'%0A'.join(lines)}"


def _data(text: str) -> str:
    """Return the text of a message as a workflow command takes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return the value of a property as a workflow command takes it."""
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
