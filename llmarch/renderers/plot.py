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
    columns = max(NARROWEST, min(WIDEST, width) - margin - 3)
    highest = p.y_ticks[-1][0]
    labels = {row_of(y, highest): label for y, label in p.y_ticks}
    lines = [p.title]
    for row, cells in enumerate(plane(p, columns)):
        edge = "┤" if row in labels else "│"
        lines.append(f"{labels.get(row, ''):>{margin}} {edge}{''.join(cells)}".rstrip())
    blank = " " * margin
    lines.append(f"{blank} └{'─' * columns}")
    lines.append(f"{blank}  {axis(p.x_ticks, columns)}")
    return lines + [f"{blank}  {s.symbol} {s.name}" for s in [*p.series, *p.marks]]


def plane(p: Plot, columns: int) -> list[list[str]]:
    """Return the cells of the plot, row by row from the top."""
    longest, highest = p.x_ticks[-1][0], p.y_ticks[-1][0]
    rows = [[" "] * columns for _ in range(HEIGHT)]
    for mark in p.marks:
        _, y = mark.points[0]
        rows[row_of(y, highest)] = ["─"] * columns
    for series in p.series:
        for column in range(columns):
            y = value_between(series, longest * column / (columns - 1))
            if y is not None:
                rows[row_of(y, highest)][column] = series.symbol
    return rows


def row_of(y: float, most: int) -> int:
    """Return the row of a value; row 0 is the top, that of `most` and above."""
    share = min(1.0, y / most)
    return HEIGHT - 1 - round(share * (HEIGHT - 1))


def value_between(series: Series, x: float) -> float | None:
    """Return the value of a series between its points; None before and after them."""
    for (x0, y0), (x1, y1) in pairwise(series.points):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return None


def axis(ticks: list[tuple[int, str]], columns: int) -> str:
    """Return labels under their places, the last one flush right; those without room are left out.

    ticks: places and labels, the last of which is that of the last column.
    columns: the width of the axis.
    """
    line = [" "] * columns
    most = ticks[-1][0]
    for x, label in ticks:
        middle = round(x / most * (columns - 1))
        start = min(columns - len(label), max(0, middle - len(label) // 2))
        end = start + len(label)
        if not "".join(line[max(0, start - 1) : end + 1]).strip():
            line[start:end] = label
    return "".join(line).rstrip()
