"""Give charts places: stacked bars to scale, and lines over a plane."""

from __future__ import annotations

from collections.abc import Sequence

from ..views.charts import Bar, BarChart, ChartSheet
from ..views.memory import Plot
from .drawing import WEDGE, Area, Drawing, Group, Rectangle, Wire, finished
from .metrics import FACT, NAME, SMALL, TITLE, text_width, wrapped_lines

CHART_WIDTH = 560.0
PLANE_HEIGHT = 220.0
BAR_HEIGHT = 22.0
BAR_COLOURS = 6
CHART_MARGIN = 24.0
WHOLE_ROOM = 80.0
"""Room for the whole in words, after the longest bar."""


def chart_drawing(sheet: ChartSheet) -> Drawing:
    """Return charts with places, one below the other."""
    group = Group()
    y = 10.0
    for line in wrapped_lines(sheet.title, NAME, CHART_WIDTH, bold=True):
        group.text(0, y, line, NAME, bold=True)
        y += 24
    for line in wrapped_lines(sheet.subtitle, FACT, CHART_WIDTH):
        group.text(0, y, line, FACT, "muted")
        y += 15
    for chart in sheet.bars:
        y += 14
        drawn = bars_chart(chart)
        group.place(drawn, 0, y)
        y += drawn.bounds.bottom + 10
    if sheet.plot is not None:
        group.place(plot_chart(sheet.plot), 0, y + 14)
    return finished(group, CHART_MARGIN, sheet.title, sheet.summary)


# Bars


def bars_chart(chart: BarChart) -> Group:
    """Return bars of one scale, each below its name, and what the colours are."""
    group = Group()
    group.text(0, 8, chart.title, TITLE, bold=True)
    sizes = [sum(segment.size for segment in bar.segments) for bar in chart.bars]
    most = max([*sizes, chart.limit.size if chart.limit else 0, 1])
    scale = (CHART_WIDTH - WHOLE_ROOM) / most
    names = segment_names(chart)
    y = 24.0
    for bar in chart.bars:
        if len(chart.bars) > 1:
            group.text(0, y + 6, bar.name, FACT, room=CHART_WIDTH)
            y += 16
        draw_bar_segments(group, bar, names, scale, y)
        y += BAR_HEIGHT + 8
    if chart.limit is not None:
        x = chart.limit.size * scale
        group.add(Wire(((x, 22), (x, y - 2)), css="limit"))
        anchor = "end" if x > CHART_WIDTH / 2 else "start"
        group.text(x, y + 6, chart.limit.name, SMALL, "muted", anchor=anchor)
        y += 16
    sizes_by_name: dict[str, str] = {}
    if len(chart.bars) == 1:
        sizes_by_name = {segment.name: segment.text for segment in chart.bars[0].segments}
    labels: list[tuple[str, str]] = []
    for i, name in enumerate(names):
        size = sizes_by_name.get(name, "")
        labels.append((f"k{i % BAR_COLOURS}", f"{name} {size}".rstrip()))
    draw_names(group, labels, y + 4)
    return group


def segment_names(chart: BarChart) -> list[str]:
    """Return the names of all segments, the largest over all bars first."""
    sums: dict[str, float] = {}
    for bar in chart.bars:
        for segment in bar.segments:
            sums[segment.name] = sums.get(segment.name, 0) + segment.size
    return sorted(sums, key=lambda name: -sums[name])


def draw_bar_segments(group: Group, bar: Bar, names: Sequence[str], scale: float, y: float) -> None:
    """Draw the segments of a bar, and the whole in words after them.

    group: where they are drawn.
    bar: the bar.
    names: names of all segments, by which they have their colours.
    scale: pixels of a unit.
    y: the upper edge.
    """
    x = 0.0
    for segment in bar.segments:
        width = segment.size * scale
        css = f"k{names.index(segment.name) % BAR_COLOURS}"
        group.add(Rectangle(Area(x, y, max(width - 1, 0.5), BAR_HEIGHT), css, 1, WEDGE))
        x += width
    group.text(x + 6, y + BAR_HEIGHT / 2, bar.text, FACT, bold=True)


def draw_names(group: Group, names: Sequence[tuple[str, str]], y: float) -> None:
    """Write what each colour is, in as many rows as it takes."""
    x = 0.0
    for css, name in names:
        needed = text_width(name, FACT) + 32
        if x and x + needed > CHART_WIDTH:
            x, y = 0.0, y + 16
        group.add(Rectangle(Area(x, y, 10, 10), css, 2))
        group.text(x + 15, y + 5, name, FACT)
        x += needed


# Lines


def plot_chart(plot: Plot) -> Group:
    """Return lines over a plane with its ticks, and what each line is."""
    group = Group()
    group.text(0, 8, plot.title, TITLE, bold=True, room=CHART_WIDTH)
    margin = max(text_width(label, SMALL) for _, label in plot.y_ticks) + 8
    plane = Area(margin, 28, CHART_WIDTH - margin - 20, PLANE_HEIGHT)
    longest, highest = plot.x_ticks[-1][0], plot.y_ticks[-1][0]
    draw_axes(group, plot, plane)
    for i, series in enumerate(plot.series):
        points: list[tuple[float, float]] = []
        for x, y in series.points:
            shown = min(y / highest, 1.0)
            points.append(
                (plane.x + plane.width * x / longest, plane.bottom - plane.height * shown)
            )
        if len(points) > 1:
            group.add(Wire(tuple(points), css=f"line{i % BAR_COLOURS}"))
    for mark in plot.marks:
        y = plane.bottom - plane.height * min(mark.points[0][1] / highest, 1.0)
        group.add(Wire(((plane.x, y), (plane.right, y)), css="limit"))
    y = plane.bottom + 30
    names = [(f"line{i % BAR_COLOURS}", series.name) for i, series in enumerate(plot.series)]
    names += [("limit", mark.name) for mark in plot.marks]
    for css, name in names:
        group.add(Wire(((margin, y), (margin + 22, y)), css=css))
        group.text(margin + 30, y, name, FACT, room=CHART_WIDTH - margin - 30)
        y += 16
    return group


def draw_axes(group: Group, plot: Plot, plane: Area) -> None:
    """Draw the ticks of both axes: a grid line for each size, labels below for lengths."""
    highest, longest = plot.y_ticks[-1][0], plot.x_ticks[-1][0]
    for size, label in plot.y_ticks:
        y = plane.bottom - plane.height * size / highest
        group.add(Wire(((plane.x, y), (plane.right, y)), css="grid", level=WEDGE))
        group.text(plane.x - 6, y, label, SMALL, "muted", anchor="end")
    for tokens, label in plot.x_ticks:
        x = plane.x + plane.width * tokens / longest
        group.text(x, plane.bottom + 11, label, SMALL, "muted", anchor="middle")
