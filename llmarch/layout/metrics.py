"""Measure text by a table of advance widths, wrap it and cut it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from .advances import REGULAR, SEMIBOLD

NAME, COUNT, TITLE, FACT, SMALL = 20, 16, 13, 11, 10
"""Sizes of text: the model's name, the number of layers, titles, facts, norms and marks."""
LINE_HEIGHT = 14
"""Height of a line of facts."""
_BREAK = re.compile(r"(?<=\w[./_\-])(?=[\w{])")
"""A place inside a word where it may be broken: after a separator."""
OTHER = 1000
"""Width of a character that is not in the table, in thousandths of the size."""


def table_of(by_width: dict[int, str]) -> dict[str, int]:
    """Return the width of each character."""
    table: dict[str, int] = {}
    for width, characters in by_width.items():
        widths = dict.fromkeys(characters, width)
        table |= widths
    return table


TABLES = table_of(REGULAR), table_of(SEMIBOLD)
"""Widths of regular and of bold text."""


@cache
def text_width(text: str, size: float = FACT, bold: bool = False) -> float:
    """Return how wide a text is; kerning, which only narrows it, is left out.

    text: the text, on one line.
    size: its size.
    bold: whether it is semibold.
    """
    table = TABLES[bold]
    total = 0
    for character in text:
        width = table.get(character)
        if width is None:
            width = 0 if unicodedata.combining(character) else OTHER
        total += width
    return size * total / 1000


def cut_text(text: str, size: float, room: float, bold: bool = False) -> str:
    """Return a text that is not wider than `room`: itself, or its beginning with an ellipsis."""
    if text_width(text, size, bold) <= room:
        return text
    kept = text
    shown = f"{kept}…"
    while kept and text_width(shown, size, bold) > room:
        kept = kept[:-1].rstrip(" ,·/")
        shown = f"{kept}…"
    return shown


def wrapped_lines(
    text: str, size: float, room: float, *, bold: bool = False, most: int = 3
) -> list[str]:
    """Return a text on several lines, broken at spaces, and at dots where a word is too wide.

    text: the text.
    size: its size.
    room: width of a line.
    bold: whether it is semibold.
    most: lines at most; the last one is cut where the text is longer.
    """
    lines: list[str] = []
    line = ""
    for blank, word in _pieces(text, size, room, bold):
        longer = word
        if line:
            longer = f"{line}{blank}{word}"
        has_room = text_width(longer, size, bold) <= room
        is_last = len(lines) >= most - 1
        if has_room or is_last or not line:
            line = longer
            continue
        lines.append(line)
        line = word
    lines.append(line)
    return [cut_text(text_line, size, room, bold) for text_line in lines]


def _pieces(text: str, size: float, room: float, bold: bool) -> Iterator[tuple[str, str]]:
    """Yield words with the blank before each; of those that are too wide their pieces."""
    for word in text.split(" "):
        if text_width(word, size, bold) <= room:
            yield " ", word
            continue
        blank = " "
        for piece in _BREAK.split(word):
            yield blank, piece
            blank = ""
