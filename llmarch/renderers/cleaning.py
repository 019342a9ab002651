"""Strings of repositories, made safe for an output: control characters are escaped."""

from __future__ import annotations

from ..errors import printable

LONGEST_LINE = 10**6
LONGEST_TEXT = 10_000


def clean(text: str) -> str:
    """Return a string on one line, escaped, cut where it is endless."""
    return printable(text, LONGEST_TEXT)


def clean_lines(text: str) -> str:
    """Return a string with its line ends, each line escaped."""
    lines = text.split("\n")
    shown = [printable(line, LONGEST_LINE) for line in lines]
    return "\n".join(shown)
