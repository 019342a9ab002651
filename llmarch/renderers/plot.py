"""A plot as lines of characters, for terminals and fenced blocks: no colour, no library."""

from __future__ import annotations

from itertools import pairwise

from ..views.memory import Plot, Series

HEIGHT = 13
WIDEST = 76


def lines(p: Plot, width: int) -> list[str]:
    """The plot in at most `width` columns: title, plane with its ticks, and what each symbol is."""
    labels = max(len(label) for _, label in p.y_ticks)
    columns = max(16, min(WIDEST, width) - labels - 3)
    most_x, most_y = p.x_ticks[-1][0], p.y_ticks[-1][0]
    plane = [[" "] * columns for _ in range(HEIGHT)]
    for mark in p.marks:
        row = row_of(mark.points[0][1], most_y)
        plane[row] = ["─"] * columns
    for series in p.series:
        for column in range(columns):
            y = value_at(series, most_x * column / (columns - 1))
            if y is not None:
                plane[row_of(y, most_y)][column] = series.symbol
    ticks = {row_of(y, most_y): label for y, label in p.y_ticks}
    out = [p.title]
    for row in range(HEIGHT):
        edge = "┤" if row in ticks else "│"
        out.append(f"{ticks.get(row, ''):>{labels}} {edge}{''.join(plane[row])}".rstrip())
    out.append(f"{'':>{labels}} └{'─' * columns}")
    out.append(f"{'':>{labels}}  {axis(p.x_ticks, columns)}")
    out += [f"{'':>{labels}}  {s.symbol} {s.name}" for s in [*p.series, *p.marks]]
    return out


def row_of(y: float, most: int) -> int:
    """The row of a value; row 0 is the top."""
    return HEIGHT - 1 - round(min(1.0, y / most) * (HEIGHT - 1))


def value_at(series: Series, x: float) -> float | None:
    """The series between its points; None beyond them."""
    for (x0, y0), (x1, y1) in pairwise(series.points):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return None


def axis(ticks: list[tuple[int, str]], columns: int) -> str:
    """Labels under their places, the last one flush right."""
    line = [" "] * columns
    most = ticks[-1][0]
    for x, label in ticks:
        at = min(columns - len(label), max(0, round(x / most * (columns - 1)) - len(label) // 2))
        if not "".join(line[max(0, at - 1) : at + len(label) + 1]).strip():
            line[at : at + len(label)] = label
    return "".join(line).rstrip()
