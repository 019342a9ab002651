"""The matrix of three and more models: a row for each fact that differs."""

from __future__ import annotations

from ..views.figure.description import Figure
from .drawing import FRAME, Area, Group, Rectangle
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, text_width, wrapped_lines
from .panels import PAD
from .parts import marker

LABELS = 150.0
"""Width of the column of labels."""


def matrix_group(figure: Figure, width: float) -> Group:
    """Return the facts that differ, a column for each model."""
    group = Group()
    count = len(figure.models)
    each = (width - LABELS) / count
    for i, model in enumerate(figure.models):
        x = LABELS + each * i
        group.text(x, 16, model.name, TITLE, bold=True, room=each - PAD)
    y = 30.0
    section = ""
    for name, value in figure.matrix:
        if name != section:
            section = name
            group.text(PAD, y + 12, section, SMALL, "muted", bold=True)
            y += 20
        y = matrix_row(group, value.label, value.cells, y, each)
    group.add(Rectangle(Area(0, 0, width, y + 8), "panel io", 8, FRAME))
    return group


def matrix_row(group: Group, label: str, cells: tuple[str, ...], y: float, each: float) -> float:
    """Write one fact of all models; return the height below it.

    group: where it is written.
    label: what the fact is.
    cells: its words for each model; a marker is behind those that differ from the first.
    y: the height above it.
    each: the width of a column.
    """
    labels = wrapped_lines(label, FACT, LABELS - 2 * PAD)
    columns = [cell_lines(cell, each - 2 * PAD) for cell in cells]
    rows = max(len(labels), *map(len, columns))
    for i, line in enumerate(labels):
        group.text(PAD, y + LINE_HEIGHT * i + LINE_HEIGHT / 2, line, FACT, "muted")
    for j, lines in enumerate(columns):
        x = LABELS + each * j
        differs = cells[j] != cells[0]
        for i, line in enumerate(lines):
            middle = y + LINE_HEIGHT * i + LINE_HEIGHT / 2
            if differs:
                marker(group, x, middle, text_width(line, FACT, bold=True), "start")
            group.text(x, middle, line, FACT, bold=differs)
    return y + LINE_HEIGHT * rows + 2


def cell_lines(cell: str, room: float) -> list[str]:
    """Return a cell on as many lines as it needs."""
    lines: list[str] = []
    for text in cell.split("\n"):
        lines += wrapped_lines(text, FACT, room, bold=True, most=8)
    return lines
