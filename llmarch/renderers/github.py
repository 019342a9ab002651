"""Annotations of GitHub Actions (workflow commands). GitHub shows ten of each level a step, so no more are written, and a summary says how
many there were."""

from __future__ import annotations

from collections.abc import Iterator

from ..compare.report import Report, Verdict, change_meaning, change_text, summary_lines
from ..errors import printable

SHOWN = 10
LEVELS = ("error", "warning", "notice")


def report(r: Report) -> str:
    """One line each: errors for what fails, warnings for other changes that matter, notices for the rest, and the summary."""
    found = sorted(commands(r), key=lambda a: LEVELS.index(a[0]))
    room = {"error": SHOWN, "warning": SHOWN, "notice": SHOWN - 1}
    lines: list[str] = []
    for level, line in found:
        if room[level] > 0:
            room[level] -= 1
            lines.append(line)
    left = (
        [f"{len(found) - len(lines)} annotations more than GitHub shows"]
        if len(lines) < len(found)
        else []
    )
    return "".join(
        f"{line}\n"
        for line in [
            *lines,
            command("notice", "llmarch check", ", ".join([*summary_lines(r), *left])),
        ]
    )


def commands(r: Report) -> Iterator[tuple[str, str]]:
    for v in r.verdicts:
        for c in v.changes:
            level = "error" if r.fails(c) else "notice" if c.severity == "info" else "warning"
            text = f"{v.name}: {c.path}: {change_text(c)}\n{change_meaning(c)}"
            yield level, command(level, f"{c.severity}: {c.rule}", text, *place(r, v, c.path))
        if v.error:
            yield (
                "error",
                command(
                    "error",
                    "could not be read",
                    "\n".join(filter(None, (v.error.message, v.error.hint))),
                    *place(r, v),
                ),
            )
        if v.partial:
            yield (
                "error",
                command(
                    "error",
                    "read only in part",
                    "\n".join((f"{v.name} was read only in part", *v.remarks)),
                    *place(r, v),
                ),
            )


def place(r: Report, v: Verdict, path: str = "") -> tuple[str, int]:
    return r.file, v.line_of(path) if r.file else 0


def command(level: str, title: str, text: str, file: str = "", line: int = 0) -> str:
    """`::error file=llmarch.lock,line=12,title=…::message`"""
    properties = {"file": file, "line": str(line or ""), "title": title}
    shown = ",".join(f"{k}={_property(v)}" for k, v in properties.items() if v)
    return f"::{level} {shown}::" + "%0A".join(
        _data(printable(line, 1000)) for line in text.split("\n")
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
