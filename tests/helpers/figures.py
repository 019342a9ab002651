"""What is wrong with a drawing: texts over texts, lines through boxes, lines on lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from llmarch.layout.drawing import (
    FRAME,
    SOLID,
    Area,
    Cells,
    Drawing,
    Label,
    Point,
    Polygon,
    Rectangle,
    Sign,
    Wire,
)
from llmarch.layout.metrics import TABLES

Segment = tuple[Point, Point]
Bounds = tuple[float, float, float, float]
"""Left, right, upper and lower end of a line."""


def problems(drawing: Drawing) -> list[str]:
    """Return everything that is wrong with a drawing."""
    return [
        *unknown_glyphs(drawing),
        *off_the_page(drawing),
        *texts_over_texts(drawing),
        *texts_out_of_boxes(drawing),
        *boxes_over_boxes(drawing),
        *lines_through(drawing),
        *lines_on_lines(drawing),
        *loose_ends(drawing),
    ]


def labels(drawing: Drawing) -> list[Label]:
    return [shape for shape in drawing.shapes if isinstance(shape, Label)]


def boxes(drawing: Drawing, *levels: int) -> list[Rectangle]:
    """Rectangles of these levels; bars of pictures are among the solid ones."""
    return [s for s in drawing.shapes if isinstance(s, Rectangle) and s.level in levels]


def wires(drawing: Drawing) -> list[Wire]:
    return [shape for shape in drawing.shapes if isinstance(shape, Wire)]


def unknown_glyphs(drawing: Drawing) -> Iterator[str]:
    for label in labels(drawing):
        for character in label.text:
            if character not in TABLES[label.bold]:
                yield f"no glyph: {character!r} in {label.text}"


def off_the_page(drawing: Drawing) -> Iterator[str]:
    areas: list[Area] = []
    for shape in drawing.shapes:
        match shape:
            case Rectangle() | Label():
                areas.append(shape.area)
            case Cells():
                areas += shape.areas
            case Wire() | Polygon():
                areas += [Area(x, y, 0, 0) for x, y in shape.points]
            case Sign():
                areas.append(Area(shape.x - 7, shape.y - 7, 14, 14))
    for a in areas:
        if a.x < 0 or a.y < 0 or a.right > drawing.width or a.bottom > drawing.height:
            yield f"off the page: {a}"


def overlap(a: Area, b: Area, slack: float = 0.5) -> bool:
    """Whether two areas have more than a border in common."""
    ax, ay, a_width, a_height = a
    bx, by, b_width, b_height = b
    return (
        ax < bx + b_width - slack
        and bx < ax + a_width - slack
        and ay < by + b_height - slack
        and by < ay + a_height - slack
    )


def contains(a: Area, b: Area, slack: float = 0.5) -> bool:
    """Whether an area has another one in it."""
    return (
        a.x <= b.x + slack
        and a.y <= b.y + slack
        and b.right <= a.right + slack
        and b.bottom <= a.bottom + slack
    )


def texts_over_texts(drawing: Drawing) -> Iterator[str]:
    found = [(label.area, label.text) for label in labels(drawing) if label.text]
    found.sort(key=lambda item: item[0].y)
    for i, (a, text) in enumerate(found):
        for b, other in found[i + 1 :]:
            if b.y >= a.bottom:
                break  # and so are all further down
            if overlap(a, b):
                yield f"text over text: {text} | {other}"


def texts_out_of_boxes(drawing: Drawing) -> Iterator[str]:
    """Texts that begin or end in a box and leave it, and texts half over a box."""
    places = [box.area for box in boxes(drawing, FRAME, SOLID)]
    for label in labels(drawing):
        area = label.area
        for place in places:
            if overlap(area, place) and not contains(place, area, -1.0):
                yield f"text out of its box: {label.text}"


def boxes_over_boxes(drawing: Drawing) -> Iterator[str]:
    found = [box.area for box in boxes(drawing, FRAME, SOLID)]
    found += [area for s in drawing.shapes if isinstance(s, Cells) for area in s.areas[:1]]
    for a, b in combinations(found, 2):
        if overlap(a, b) and not contains(a, b) and not contains(b, a):
            yield f"box half over box: {a} | {b}"


def segments(wire: Wire) -> list[Segment]:
    return list(wire.segments)


def bounds(segment: Segment) -> Bounds:
    (x0, y0), (x1, y1) = segment
    return min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)


def crosses(line: Bounds, area: Area, slack: float) -> bool:
    """Whether a line has a part within an area, `slack` from its border."""
    left, right, top, bottom = line
    x, y, width, height = area
    return (
        left < x + width - slack
        and right > x + slack
        and top < y + height - slack
        and bottom > y + slack
    )


def lines_through(drawing: Drawing) -> Iterator[str]:
    solid = [box.area for box in boxes(drawing, SOLID)]
    texts = [(label.area, label.text) for label in labels(drawing)]
    for segment in [segment for wire in wires(drawing) for segment in segments(wire)]:
        line = bounds(segment)
        for area in solid:
            if crosses(line, area, 2.0):
                yield f"line through a box: {segment} {area}"
        for area, text in texts:
            if crosses(line, area, 0.5):
                yield f"line through a text: {text}"


def lines_on_lines(drawing: Drawing) -> Iterator[str]:
    """Lines that share more than a point, or run side by side too close to tell apart."""
    found = [segment for wire in wires(drawing) for segment in segments(wire)]
    for one, other in combinations(found, 2):
        if shared_length(one, other) > 1.0:
            yield f"line on a line: {one} | {other}"


def loose_ends(drawing: Drawing) -> Iterator[str]:
    """Lines of the stream that do not begin and end at a box, a sign or another line."""
    streams = [wire for wire in wires(drawing) if wire.css == "wire"]
    lines = [(i, bounds(segment)) for i, wire in enumerate(streams) for segment in segments(wire)]
    places = [box.area for box in boxes(drawing, FRAME, SOLID)]
    for shape in drawing.shapes:
        if isinstance(shape, Sign):
            r = shape.radius
            places.append(Area(shape.x - r, shape.y - r, 2 * r, 2 * r))
    for i, wire in enumerate(streams):
        for point in (wire.points[0], wire.points[-1]):
            near = Area(point[0] - 1, point[1] - 1, 2, 2)
            on_border = any(overlap(near, p, 0) and not contains(p, near, 0) for p in places)
            if not on_border and not any(j != i and crosses(s, near, 0) for j, s in lines):
                yield f"loose end: {point} of {wire.points}"


def shared_length(one: Segment, other: Segment) -> float:
    """Length over which two parallel lines run less than 2 px apart."""
    for axis in (0, 1):
        across = [segment[0][axis] for segment in (one, other)]
        if any(abs(s[0][axis] - s[1][axis]) > 0.01 for s in (one, other)):
            continue
        if abs(across[0] - across[1]) >= 2.0:
            return 0.0
        along = 1 - axis
        ends = [sorted((s[0][along], s[1][along])) for s in (one, other)]
        return min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0])
    return 0.0
