"""The matrix of three and more models: a row for each fact that differs."""

from __future__ import annotations

from ..views.figure.description import Figure
from .drawing import FRAME, Area, Group, Rectangle
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, text_width, wrapped_lines
from .panels import PAD, line_middles
from .parts import marker

LABELS = 150.0
"""Width of the column of labels."""


def matrix_group(figure: Figure, width: float) -> Group:
    """Return the facts that differ, a column for each model."""
    group = Group()
    each = (width - LABELS) / len(figure.models)
    x = LABELS
    for model in figure.models:
        group.text(x, 16, model.name, TITLE, bold=True, room=each - PAD)
        x += each
    y = 30.0
    section = ""
    for name, value in figure.matrix:
        if name != section:
            section = name
            group.text(PAD, y + 12, section, SMALL, "muted", bold=True)
            y += 20
        y = matrix_row(group, value.label, value.cells, y, each)
    area = Area(0, 0, width, y + 8)
    group.add(Rectangle(area, "panel io", 8, FRAME))
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
    room = each - 2 * PAD
    columns = [cell_lines(cell, room) for cell in cells]
    rows = max(len(labels), *map(len, columns))
    middles = line_middles(range(rows), y, rows)
    for line, middle in zip(labels, middles, strict=False):
        group.text(PAD, middle, line, FACT, "muted")
    for j, lines in enumerate(columns):
        x = LABELS + each * j
        differs = cells[j] != cells[0]
        for line, middle in zip(lines, middles, strict=False):
            if differs:
                width = text_width(line, FACT, bold=True)
                marker(group, x, middle, width, "start")
            group.text(x, middle, line, FACT, bold=differs)
    return y + LINE_HEIGHT * rows + 2


def cell_lines(cell: str, room: float) -> list[str]:
    """Return a cell on as many lines as it needs."""
    lines: list[str] = []
    for text in cell.split("\n"):
        parts = wrapped_lines(text, FACT, room, bold=True, most=8)
        lines.extend(parts)
    return lines


def matrix_list(figure: Figure, width: float) -> Group:
    """Return the facts that differ one below the other, a line or more for each model.

    For figures that are too narrow for columns.
    """
    group = Group()
    y = 12.0
    section = ""
    for name, value in figure.matrix:
        if name != section:
            section = name
            y = list_lines(group, [name], y + 8, SMALL, width)
        y = list_lines(group, wrapped_lines(value.label, FACT, width - 2 * PAD), y + 4, FACT, width)
        for model, cell in zip(figure.models, value.cells, strict=True):
            y = list_row(group, model.name, cell, y, width, cell != value.cells[0])
    group.add(Rectangle(Area(0, 0, width, y + 8), "panel io", 8, FRAME))
    return group


def list_lines(group: Group, lines: list[str], y: float, size: float, width: float) -> float:
    """Write a heading of the list in bold; return the height below it.

    group: where it is written.
    lines: its lines.
    y: the height above it.
    size: the size of the text.
    width: the width of the list.
    """
    css = "ink"
    if size == SMALL:
        css = "muted"
    room = width - 2 * PAD
    for line in lines:
        group.text(PAD, y + LINE_HEIGHT / 2, line, size, css, bold=True, room=room)
        y += LINE_HEIGHT
    return y


def list_row(group: Group, name: str, cell: str, y: float, width: float, differs: bool) -> float:
    """Write what one model has: its name on the left, the words on the right; see `list_lines`.

    differs: whether it has something else than the first model.
    """
    left = 0.42 * width
    lines = cell_lines(cell, width - left - PAD)
    group.text(2 * PAD, y + LINE_HEIGHT / 2, name, FACT, "muted", room=left - 3 * PAD)
    for line in lines:
        middle = y + LINE_HEIGHT / 2
        if differs:
            marker(group, left, middle, text_width(line, FACT, bold=True), "start")
        group.text(left, middle, line, FACT, bold=differs)
        y += LINE_HEIGHT
    return y
