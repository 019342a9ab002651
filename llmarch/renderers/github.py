"""Annotations of GitHub Actions (workflow commands).

GitHub shows ten of each level a step, so only ten are written; a summary gives their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..architecture.schema import Change
from ..compare.report import (
    Report,
    Verdict,
    change_id_words,
    change_meaning,
    change_of_model,
    model_with_commits,
    summary_lines,
    verdict_remarks,
)
from ..errors import printable

SHOWN = 10
"""Annotations of one level that GitHub shows."""
LONGEST_PART = 1000
"""Characters of a line of a message."""

DATA_CODES = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
"""What a workflow command takes for its own in a message; the percent sign goes first."""
PROPERTY_CODES = ((":", "%3A"), (",", "%2C"))
"""What it takes for its own in a property besides."""

Level = Literal["error", "warning", "notice"]
SHOWN_BY_LEVEL: dict[Level, int] = {"error": SHOWN, "warning": SHOWN, "notice": SHOWN - 1}
"""How many annotations of each level are written, worst first; the summary is a notice."""


def report(r: Report) -> str:
    """Return a line for each annotation, and the summary.

    Changes that fail are errors, others that matter warnings, the rest notices.
    """
    by_level: dict[Level, list[str]] = {level: [] for level in SHOWN_BY_LEVEL}
    for level, line in (*change_annotations(r), *remark_annotations(r)):
        by_level[level].append(line)
    shown: list[str] = []
    hidden = 0
    for level, lines in by_level.items():
        room = SHOWN_BY_LEVEL[level]
        shown += lines[:room]
        hidden += len(lines[room:])
    summary = summary_lines(r)
    if hidden:
        summary.append(f"{hidden} annotations more than GitHub shows")
    shown.append(command("notice", "llmarch check", ", ".join(summary)))
    return "\n".join([*shown, ""])


def change_annotations(r: Report) -> Iterator[tuple[Level, str]]:
    """Yield the level and the line of each change and of each model not read as a whole."""
    for v in r.verdicts:
        for c in v.changes:
            level = change_level(r, c)
            title = f"{c.severity}: {c.rule}"
            parts = (change_of_model(v, c), change_meaning(c), change_id_words(c))
            lines = filter(None, parts)
            yield level, command(level, title, "\n".join(lines), *place(r, v, c.path))
        if v.error:
            message = v.error.message
            if v.error.hint:
                message += f"\n{v.error.hint}"
            title = "nothing was checked" if r.is_unbegun else "could not be read"
            yield "error", command("error", title, message, *place(r, v))
        if v.partial:
            lines = [f"{model_with_commits(v)} was read only in part", *v.remarks]
            message = "\n".join(lines)
            yield "error", command("error", "read only in part", message, *place(r, v))


def remark_annotations(r: Report) -> Iterator[tuple[Level, str]]:
    """Yield the level and the line of each remark on a model that was read as a whole."""
    for v in r.verdicts:
        for remark in verdict_remarks(v):
            name = model_with_commits(v)
            words = f"{name}: {remark}"
            file, line = place(r, v)
            yield "notice", command("notice", "remark", words, file, line)


def change_level(r: Report, c: Change) -> Level:
    """Return the level of a change."""
    if r.fails(c):
        return "error"
    if c.severity == "info":
        return "notice"
    return "warning"


def place(r: Report, v: Verdict, path: str = "") -> tuple[str, int]:
    """Return the lock file and the line of a fact in it; an empty name and 0 without a lock."""
    if not r.file:
        return "", 0
    return r.file, v.line_of(path)


def command(level: Level, title: str, message: str, file: str = "", line: int = 0) -> str:
    """Return `::error file=llmarch.lock,line=12,title=…::message`.

    level: what GitHub makes of it.
    title: the heading of the annotation.
    message: its text; may have several lines.
    file: the file it stands at; none if empty.
    line: the line of the file; none if 0.
    """
    properties: list[str] = []
    if file:
        properties.append(f"file={_property(file)}")
    if line:
        properties.append(f"line={line}")
    properties.append(f"title={_property(title)}")
    head = ",".join(properties)
    lines = [_data(printable(part, LONGEST_PART)) for part in message.split("\n")]
    content = "%0A".join(lines)
    return f"::{level} {head}::{content}"


def _data(text: str) -> str:
    """Return the text of a message as a workflow command takes it."""
    for character, code in DATA_CODES:
        text = text.replace(character, code)
    return text


def _property(text: str) -> str:
    """Return the value of a property as a workflow command takes it."""
    text = _data(printable(text))
    for character, code in PROPERTY_CODES:
        text = text.replace(character, code)
    return text
