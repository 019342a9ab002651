"""Boxes, pills and signs: the small parts of a figure."""

from __future__ import annotations

from collections.abc import Sequence

from ..views.figure.description import Box, Mark, Pill
from .drawing import FRAME, MARKER, Area, Group, Rectangle, Sign
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, text_width, wrapped_lines

WIDE, TIGHT = 150.0, 118.0
"""Least width of a box, and of one in a figure with many columns."""
WIDEST_TITLE = 220.0


def box_group(box: Box, least: float = WIDE) -> Group:
    """Return a box with its upper left corner at the origin; its anchor is `box`.

    box: what it says.
    least: its width at least; titles break at it if it is that of a tight figure.
    """
    room = least if least < WIDE else WIDEST_TITLE
    titles = wrapped_lines(box.title, TITLE, room, bold=True)
    lines = box_lines(box, room + 20)
    widths = [text_width(title, TITLE, bold=True) + 20 for title in titles]
    widths += [text_width(line, FACT) + 18 for line, _ in lines]
    width = max(least, *widths)
    top = 16.0 * len(titles) - 16
    height = top + 24 + LINE_HEIGHT * len(lines) + 2 * bool(lines)
    group = Group()
    differs = " differs" if box.mark == "form" else ""
    area = Area(0, 0, width, height)
    group.add(Rectangle(area, f"{box.role}{differs}", 6, path=box.path))
    for i, title in enumerate(titles):
        group.text(width / 2, 13 + 16 * i, title, TITLE, anchor="middle", bold=True)
    for i, (line, mark) in enumerate(lines):
        fact_line(group, width / 2, 29 + top + LINE_HEIGHT * i, line, mark)
    if box.mark == "form":
        group.add(Sign("flag", width - 1, 1))
    group.anchors["box"] = area
    return group


def box_lines(box: Box, room: float) -> list[tuple[str, Mark]]:
    """Return the lines under a box's title with their marks, broken where they are long."""
    lines: list[tuple[str, Mark]] = []
    for i, line in enumerate(box.lines):
        mark: Mark = box.line_marks[i] if box.line_marks else ""
        for part in wrapped_lines(line, FACT, room):
            lines.append((part, mark))
    return lines


def fact_line(group: Group, x: float, y: float, text: str, mark: Mark) -> None:
    """Add a line of a box, with a marker behind it where it differs."""
    css = "muted"
    if mark:
        css = "ink"
        marker(group, x, y, text_width(text, FACT), "middle")
    group.text(x, y, text, FACT, css, anchor="middle")


def marker(group: Group, x: float, y: float, width: float, anchor: str) -> None:
    """Add a marker behind a text.

    group: where it is added.
    x, y: the place of the text.
    width: the width of the text.
    anchor: which point of the text `x` is.
    """
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    group.add(Rectangle(Area(left - 4, y - 7, width + 8, LINE_HEIGHT), "marker", 3, MARKER))


def pill_group(pill: Pill) -> Group:
    """Return a pill with the middle of its lower edge at the origin; its anchor is `pill`."""
    width = text_width(pill.text, SMALL) + 20
    differs = " differs" if pill.mark else ""
    group = Group()
    area = Area(-width / 2, -17, width, 17)
    group.add(Rectangle(area, f"{pill.role}{differs}", 8.5))
    group.text(0, -8.5, pill.text, SMALL, anchor="middle")
    group.anchors["pill"] = area
    return group


def small_box(text: str, css: str = "io") -> Group:
    """Return a small box with a word, its upper left corner at the origin."""
    width = text_width(text, SMALL) + 12
    group = Group()
    group.add(Rectangle(Area(0, 0, width, 17), css, 4))
    group.text(width / 2, 8.5, text, SMALL, anchor="middle")
    return group


def frame(group: Group, area: Area, css: str, radius: float) -> None:
    """Add a frame that lines may cross."""
    group.add(Rectangle(area, css, radius, FRAME))


def widest(groups: Sequence[Group]) -> float:
    """Return the width of the widest group, 0 without any."""
    return max((group.width for group in groups), default=0.0)
