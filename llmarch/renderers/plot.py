"""A plot as lines of characters, for terminals and fenced blocks: no colour, no library."""

from __future__ import annotations

from itertools import pairwise

from ..views.memory import Plot, Series

HEIGHT = 13
WIDEST = 76
NARROWEST = 16
"""Columns of the plane that are drawn even where there is less room."""


def plot_lines(p: Plot, width: int) -> list[str]:
    """Return the title, the plane with its ticks, and what each symbol is.

    p: the plot.
    width: the columns that the lines may take.
    """
    margin = max(len(label) for _, label in p.y_ticks)
    room = min(WIDEST, width) - margin - 3
    columns = max(NARROWEST, room)
    highest, _ = p.y_ticks[-1]
    labels = {row_of(y, highest): label for y, label in p.y_ticks}
    lines = [p.title]
    for row, cells in enumerate(plane(p, columns)):
        label = labels.get(row, "")
        edge = "┤" if label else "│"
        line = label.rjust(margin) + f" {edge}" + "".join(cells)
        lines.append(line.rstrip())
    blank = " " * margin
    bottom = "─" * columns
    lines.append(f"{blank} └{bottom}")
    ticks = axis(p.x_ticks, columns)
    lines.append(f"{blank}  {ticks}")
    for series in [*p.series, *p.marks]:
        lines.append(f"{blank}  {series.symbol} {series.name}")
    return lines


def plane(p: Plot, columns: int) -> list[list[str]]:
    """Return the cells of the plot, row by row from the top."""
    longest, _ = p.x_ticks[-1]
    highest, _ = p.y_ticks[-1]
    rows = [[" "] * columns for _ in range(HEIGHT)]
    for mark in p.marks:
        _, y = mark.points[0]
        row = row_of(y, highest)
        rows[row] = ["─"] * columns
    last = columns - 1
    for series in p.series:
        for column in range(columns):
            x = longest * column / last
            y = value_between(series, x)
            if y is not None:
                row = row_of(y, highest)
                rows[row][column] = series.symbol
    return rows


def row_of(y: float, most: int) -> int:
    """Return the row of a value; row 0 is the top, that of `most` and above."""
    bottom = HEIGHT - 1
    share = y / most
    share = min(1.0, share)
    height = round(share * bottom)
    return bottom - height


def value_between(series: Series, x: float) -> float | None:
    """Return the value of a series between its points; None before and after them."""
    for before, after in pairwise(series.points):
        x0, y0 = before
        x1, y1 = after
        if not x0 <= x <= x1:
            continue
        rise = (y1 - y0) * (x - x0)
        run = x1 - x0
        return y0 + rise / run
    return None


def axis(ticks: list[tuple[int, str]], columns: int) -> str:
    """Return labels under their places, the last one flush right; those without room are left out.

    ticks: places and labels, the last of which is that of the last column.
    columns: the width of the axis.
    """
    line = [" "] * columns
    most, _ = ticks[-1]
    for x, label in ticks:
        width = len(label)
        middle = round(x / most * (columns - 1))
        start = max(0, middle - width // 2)
        start = min(start, columns - width)
        end = start + width
        around = line[max(0, start - 1) : end + 1]
        if set(around) == {" "}:
            line[start:end] = label
    return "".join(line).rstrip()
