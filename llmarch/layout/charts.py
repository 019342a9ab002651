"""Give charts places: stacked bars to scale, and lines over a plane."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..views.charts import Bar, BarChart, ChartSheet, Segment
from ..views.memory import Plot, Series
from .drawing import (
    WEDGE,
    WIRE,
    Anchor,
    Area,
    Drawing,
    Group,
    Point,
    Rectangle,
    Wire,
    finished,
    palette_class,
)
from .metrics import FACT, NAME, SMALL, TITLE, text_width, wrapped_lines

CHART_WIDTH, NARROW_CHART_WIDTH = 560.0, 280.0
PLANE_HEIGHT = 220.0
BAR_HEIGHT = 22.0
CHART_MARGIN, NARROW_CHART_MARGIN = 24.0, 12.0
WHOLE_ROOM = 80.0
"""Room for the whole in words, after the longest bar."""


def chart_drawing(sheet: ChartSheet, *, narrow: bool = False) -> Drawing:
    """Return charts with places, one below the other.

    sheet: the charts.
    narrow: whether they are drawn for a phone.
    """
    group = Group()
    width = NARROW_CHART_WIDTH if narrow else CHART_WIDTH
    margin = NARROW_CHART_MARGIN if narrow else CHART_MARGIN
    title = wrapped_lines(sheet.title, NAME, width, bold=True)
    subtitle = wrapped_lines(sheet.subtitle, FACT, width)
    y = group.paragraph(0, 10, title, NAME, step=24, bold=True)
    y = group.paragraph(0, y, subtitle, FACT, "muted", step=15)
    for chart in sheet.bars:
        y += 14
        drawn = bars_chart(chart, width)
        group.place(drawn, 0, y)
        y += drawn.bounds.bottom + 10
    if sheet.plot is not None:
        plot = plot_chart(sheet.plot, width)
        group.place(plot, 0, y + 14)
    return finished(group, margin, sheet.title, sheet.summary)


# Bars


def bars_chart(chart: BarChart, chart_width: float) -> Group:
    """Return bars of one scale, each below its name, and what the colours are."""
    group = Group()
    group.text(0, 8, chart.title, TITLE, bold=True, room=chart_width)
    room = chart_width - WHOLE_ROOM
    scale = room / longest_bar(chart)
    names = segment_names(chart)
    bar_count = len(chart.bars)
    y = 24.0
    for bar in chart.bars:
        if bar_count > 1:
            group.text(0, y + 6, bar.name, FACT, room=chart_width)
            y += 16
        draw_bar_segments(group, chart, bar, scale, y)
        y += BAR_HEIGHT + 8
    if chart.limit is not None:
        draw_limit_name(group, chart.limit, scale, y, chart_width)
        y += 16
    labels = bar_labels(chart, names)
    draw_names(group, labels, y + 4, chart_width)
    return group


def longest_bar(chart: BarChart) -> float:
    """Return the size of the longest bar, or of the limit if that is larger."""
    sizes = [1.0]
    for bar in chart.bars:
        size = sum(segment.size for segment in bar.segments)
        sizes.append(size)
    if chart.limit is not None:
        sizes.append(chart.limit.size)
    return max(sizes)


def draw_limit_name(
    group: Group, limit: Segment, scale: float, y: float, chart_width: float
) -> None:
    """Write what the line over each bar is below the last one.

    group: where it is written.
    limit: the limit.
    scale: pixels of a unit.
    y: the lower edge of the bars.
    chart_width: the width of the chart.
    """
    x = limit.size * scale
    middle = chart_width / 2
    anchor: Anchor = "start"
    if x > middle:
        anchor = "end"
    below_bars = y + 6
    group.text(x, below_bars, limit.name, SMALL, "muted", anchor=anchor)


def bar_labels(chart: BarChart, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the class and the name of each colour; of a single bar also the size in words."""
    sizes: dict[str, str] = {}
    if len(chart.bars) == 1:
        segments = chart.bars[0].segments
        sizes = {segment.name: segment.text for segment in segments}
    labels: list[tuple[str, str]] = []
    for i, name in enumerate(names):
        size = sizes.get(name, "")
        words = f"{name} {size}".rstrip()
        labels.append((palette_class(i), words))
    return labels


def segment_names(chart: BarChart) -> list[str]:
    """Return the names of all segments, the largest over all bars first."""
    sums: dict[str, float] = defaultdict(float)
    for bar in chart.bars:
        for segment in bar.segments:
            sums[segment.name] += segment.size
    return sorted(sums, key=sums.__getitem__, reverse=True)


def draw_bar_segments(group: Group, chart: BarChart, bar: Bar, scale: float, y: float) -> None:
    """Draw the segments of a bar, and the whole in words after them.

    A limit is a line over the bar; the words are beside it where it would run through them.

    group: where they are drawn.
    chart: the chart of the bar.
    bar: the bar.
    scale: pixels of a unit.
    y: the upper edge.
    """
    names = segment_names(chart)
    x = 0.0
    for segment in bar.segments:
        width = segment.size * scale
        area = Area(x, y, max(width - 1, 0.5), BAR_HEIGHT)
        colour = palette_class(names.index(segment.name))
        group.add(Rectangle(area, colour, 1, WEDGE))
        x += width
    if chart.limit is not None:
        limit = chart.limit.size * scale
        group.add(Wire(((limit, y - 3), (limit, y + BAR_HEIGHT + 3)), css="limit"))
        if x - 6 < limit < x + 12 + text_width(bar.text, FACT, bold=True):
            x = limit
    middle = y + BAR_HEIGHT / 2
    group.text(x + 6, middle, bar.text, FACT, bold=True)


def draw_names(
    group: Group, names: Sequence[tuple[str, str]], y: float, chart_width: float
) -> None:
    """Write what each colour is, in as many rows as it takes."""
    x = 0.0
    for css, name in names:
        needed = text_width(name, FACT) + 32
        is_wider = x + needed > chart_width
        if x and is_wider:
            x = 0.0
            y += 16
        swatch = Area(x, y, 10, 10)
        group.add(Rectangle(swatch, css, 2))
        left = x + 15
        middle = y + 5
        group.text(left, middle, name, FACT, room=chart_width - 15)
        x += needed


class Plane(NamedTuple):
    """The area of a plot, and what its right and upper edges stand for."""

    area: Area
    longest: float
    highest: float

    def column(self, x: float) -> float:
        """Return where a value of the horizontal axis is."""
        area = self.area
        share = x / self.longest
        shift = area.width * share
        return area.x + shift

    def row(self, y: float) -> float:
        """Return where a value of the vertical axis is; higher ones are at the upper edge."""
        area = self.area
        share = y / self.highest
        shown = min(share, 1.0)
        height = area.height * shown
        return area.bottom - height


def plot_plane(plot: Plot, chart_width: float, y: float) -> Plane:
    """Return the plane of a plot, beside the labels of its vertical axis."""
    labels = [label for _, label in plot.y_ticks]
    margin = max(text_width(label, SMALL) for label in labels) + 8
    area = Area(margin, y, chart_width - margin - 20, PLANE_HEIGHT)
    longest, _ = plot.x_ticks[-1]
    highest, _ = plot.y_ticks[-1]
    return Plane(area, longest, highest)


# Lines


def plot_chart(plot: Plot, chart_width: float) -> Group:
    """Return lines over a plane with its ticks, and what each line is."""
    group = Group()
    title = wrapped_lines(plot.title, TITLE, chart_width, bold=True)
    lowest = group.paragraph(0, 8, title, TITLE, step=16, bold=True)
    plane = plot_plane(plot, chart_width, lowest + 4)
    draw_axes(group, plot, plane)
    for i, series in enumerate(plot.series):
        draw_series(group, series, plane, palette_class(i, "line"))
    for mark in plot.marks:
        _, y = mark.points[0]
        draw_level(group, plane, plane.row(y), "limit")
    draw_line_names(group, plot, plane, chart_width)
    return group


def draw_series(group: Group, series: Series, plane: Plane, css: str) -> None:
    """Draw a line through the points of a series; one point alone is not a line."""
    points: list[Point] = []
    for context, size in series.points:
        x = plane.column(context)
        y = plane.row(size)
        point = (x, y)
        points.append(point)
    if len(points) < 2:
        return
    line = Wire(tuple(points), css=css)
    group.add(line)


def draw_level(group: Group, plane: Plane, y: float, css: str, level: int = WIRE) -> None:
    """Draw a horizontal line over the whole plane."""
    start = plane.area.x, y
    end = plane.area.right, y
    line = Wire((start, end), css=css, level=level)
    group.add(line)


def draw_line_names(group: Group, plot: Plot, plane: Plane, chart_width: float) -> None:
    """Write below the plane what each line is."""
    names = [(palette_class(i, "line"), series.name) for i, series in enumerate(plot.series)]
    names += [("limit", mark.name) for mark in plot.marks]
    left = plane.area.x
    room = chart_width - left - 30
    y = plane.area.bottom + 30
    for css, name in names:
        sample = Wire(((left, y), (left + 22, y)), css=css)
        group.add(sample)
        group.text(left + 30, y, name, FACT, room=room)
        y += 16


def draw_axes(group: Group, plot: Plot, plane: Plane) -> None:
    """Draw the ticks of both axes: a grid line for each size, labels below for lengths."""
    area = plane.area
    for size, label in plot.y_ticks:
        y = plane.row(size)
        draw_level(group, plane, y, "grid", WEDGE)
        group.text(area.x - 6, y, label, SMALL, "muted", anchor="end")
    for tokens, label in plot.x_ticks:
        x = plane.column(tokens)
        label_top = area.bottom + 11
        group.text(x, label_top, label, SMALL, "muted", anchor="middle")
