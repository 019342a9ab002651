"""Boxes, pills and signs: the small parts of a figure."""

from __future__ import annotations

from collections.abc import Sequence

from ..views.figure.description import Box, Mark, Pill
from .drawing import FRAME, MARKER, Anchor, Area, Group, Rectangle, Sign, anchor_shift
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, text_width, wrapped_lines

WIDE, TIGHT = 150.0, 118.0
"""Least width of a box, and of one in a figure with many columns."""
WIDEST_TITLE = 220.0
MARKERS: dict[Mark, str] = {"size": "marker", "form": "marker differs"}
"""Classes of markers."""


def box_group(box: Box, least: float = WIDE) -> Group:
    """Return a box with its upper left corner at the origin; its anchor is `box`.

    box: what it says.
    least: its width at least; titles break at it if it is that of a tight figure.
    """
    room = WIDEST_TITLE
    if least < WIDE:
        room = least
    titles = wrapped_lines(box.title, TITLE, room, bold=True)
    lines = box_lines(box, room + 20)
    width = box_width(titles, lines, least)
    first_line = 13 + 16.0 * len(titles)
    height = first_line - 5 + LINE_HEIGHT * len(lines)
    if lines:
        height += 2
    area = Area(0, 0, width, height)
    group = Group()
    css: str = box.role
    if box.mark == "form":
        css = f"{box.role} differs"
    group.add(Rectangle(area, css, 6, path=box.path))
    center = width / 2
    for i, title in enumerate(titles):
        group.text(center, 13 + 16 * i, title, TITLE, anchor="middle", bold=True)
    for i, (line, mark) in enumerate(lines):
        y = first_line + LINE_HEIGHT * i
        fact_line(group, center, y, line, mark)
    if box.mark == "form":
        flag = Sign("flag", width - 1, 1)
        group.add(flag)
    group.anchors["box"] = area
    return group


def box_width(titles: Sequence[str], lines: Sequence[tuple[str, Mark]], least: float) -> float:
    """Return the width of a box, in which its titles and lines have room."""
    width = least
    for title in titles:
        needed = text_width(title, TITLE, bold=True) + 20
        width = max(width, needed)
    for line, _ in lines:
        needed = text_width(line, FACT) + 18
        width = max(width, needed)
    return width


def box_lines(box: Box, room: float) -> list[tuple[str, Mark]]:
    """Return the lines under a box's title with their marks, broken where they are long."""
    lines: list[tuple[str, Mark]] = []
    for i, line in enumerate(box.lines):
        mark: Mark = ""
        if box.line_marks:
            mark = box.line_marks[i]
        parts = wrapped_lines(line, FACT, room)
        for part in parts:
            marked = (part, mark)
            lines.append(marked)
    return lines


def fact_line(group: Group, x: float, y: float, text: str, mark: Mark) -> None:
    """Add a line of a box, with a marker behind it where it differs."""
    css = "muted"
    if mark:
        css = "ink"
        marker(group, x, y, text_width(text, FACT), "middle")
    group.text(x, y, text, FACT, css, anchor="middle")


def marker(
    group: Group,
    x: float,
    y: float,
    width: float,
    anchor: Anchor,
    mark: Mark = "size",
    lines: int = 1,
) -> None:
    """Add a marker behind a text, with an outline where it differs in form.

    group: where it is added.
    x, y: the place of the text; of several lines that of the first.
    width: the width of the text.
    anchor: which point of the text `x` is.
    mark: how the text differs; nothing is added where it does not.
    lines: number of lines.
    """
    if not mark:
        return
    shift = anchor_shift(anchor, width)
    left = x - shift - 4
    top = y - 7
    height = LINE_HEIGHT * lines
    area = Area(left, top, width + 8, height)
    css = MARKERS[mark]
    rectangle = Rectangle(area, css, 3, MARKER)
    group.add(rectangle)


def pill_group(pill: Pill) -> Group:
    """Return a pill with the middle of its lower edge at the origin; its anchor is `pill`."""
    width = text_width(pill.text, SMALL) + 20
    area = Area(-width / 2, -17, width, 17)
    css: str = pill.role
    if pill.mark:
        css = f"{pill.role} differs"
    group = Group()
    group.add(Rectangle(area, css, 8.5))
    group.text(0, -8.5, pill.text, SMALL, anchor="middle")
    group.anchors["pill"] = area
    return group


def small_box(text: str, css: str = "io") -> Group:
    """Return a small box with a word, its upper left corner at the origin."""
    width = text_width(text, SMALL) + 12
    area = Area(0, 0, width, 17)
    box = Rectangle(area, css, 4)
    group = Group()
    group.add(box)
    x = area.center
    y = area.middle
    group.text(x, y, text, SMALL, anchor="middle")
    return group


def frame(group: Group, area: Area, css: str, radius: float) -> None:
    """Add a frame that lines may cross."""
    rectangle = Rectangle(area, css, radius, FRAME)
    group.add(rectangle)
