"""One model from the embedding to the head: columns of layers, and what is around them.

The axis is x = 0, and the layers begin at y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..views.figure.description import Column, ModelStack
from .columns import GAP, Rise, column_group
from .drawing import Area, Group, Sign, union
from .metrics import FACT, text_width
from .parts import TIGHT, WIDE, box_group, frame

BETWEEN = 10.0
"""Between columns, and between columns and their frame."""
TRACK = 8.0
"""Between lines that run side by side below the layers."""
APART = 4.0
"""Least distance of vertical lines."""


HEAD_MARGINS = 2 * BETWEEN + 30.0
"""What the texts above a column have beside them in a model's width."""


@dataclass(frozen=True, slots=True)
class StackStyle:
    """How a stack is drawn."""

    mirrored: bool = False
    """Whether the residual line is on the right, and the panels on the left."""
    tight: bool = False
    """Whether boxes are narrow."""
    room: float = float("inf")
    """Width that the layers may take; columns beyond it begin a further row."""

    @property
    def least(self) -> float:
        """Return the least width of a box."""
        if self.tight:
            return TIGHT
        return WIDE

    @property
    def inner(self) -> int:
        """Return the direction of the inner side."""
        if self.mirrored:
            return -1
        return 1


def stack_group(stack: ModelStack, style: StackStyle) -> Group:
    """Return a model from the embedding to the head.

    Its anchors are `layers`, `facing` (the frame of the column beside the panels), and the blocks
    of that column as `block:CLASS#N`.
    """
    group = layers_group(stack, style)
    draw_above(group, stack, style)
    draw_below(group, stack, style)
    return group


# The layers


def layers_group(stack: ModelStack, style: StackStyle) -> Group:
    """Return the columns of layers; several kinds stand in a frame of their own."""
    columns = list(stack.columns)
    if style.mirrored:
        columns.reverse()
    if stack.kinds == 1:
        return single_column(stack, columns[0], style)
    inner = rows_group(stack, columns, style)
    label = f"{stack.layers} layers, in the order of the strip below"
    area = layers_frame(inner, label)
    inlets = [area.x for name, area in inner.anchors.items() if is_inlet(name)]
    axis = free_axis(area.center, inlets)
    area = area.moved(-axis, -area.bottom)
    group = Group()
    frame(group, area, "frame", 16)
    group.text(area.x + 14, area.y + 12, label, FACT, "muted")
    group.place(inner, -axis, -12)
    group.anchors["layers"] = area
    return group


def single_column(stack: ModelStack, column: Column, style: StackStyle) -> Group:
    """Return the only column of a model, which needs no frame around it."""
    drawn = draw_column(stack, column, style)
    group = Group()
    group.place(drawn, 0, 0, "facing/")
    group.anchors["layers"] = drawn.anchors["frame"]
    keep_inlets(group, drawn, 0, 0)
    return group


def rows_group(stack: ModelStack, columns: Sequence[Column], style: StackStyle) -> Group:
    """Return columns in as many rows as they need, the first at the top."""
    rows = column_rows(stack, columns, style)
    wired = len(rows) == 1
    group = Group()
    bottom = 0.0
    for row in reversed(rows):
        drawn = columns_group(stack, row, style, wired)
        left = -drawn.bounds.left
        group.place(drawn, left, bottom)
        keep_inlets(group, drawn, left, bottom)
        height = drawn.height + BETWEEN
        bottom -= height
    return group


def layers_frame(inner: Group, label: str) -> Area:
    """Return the frame around columns, which is as wide as the label in it."""
    width = inner.width + 2 * BETWEEN
    needed = text_width(label, FACT) + 28
    extra = max(0.0, needed - width)
    left = -BETWEEN - extra / 2
    top = inner.bounds.top - 22
    return Area(left, top, max(width, needed), inner.height + 34)


def draw_column(
    stack: ModelStack, column: Column, style: StackStyle, *, stretch: float = 0, wired: bool = True
) -> Group:
    """Return a column of a stack; see `column_group`."""
    return column_group(
        column,
        least=style.least,
        mirrored=style.mirrored,
        streams=stack.streams,
        alone=stack.kinds == 1,
        stretch=stretch,
        wired=wired,
        room=style.room - HEAD_MARGINS,
    )


def column_rows(
    stack: ModelStack, columns: Sequence[Column], style: StackStyle
) -> list[list[Column]]:
    """Return the columns in rows that fit the room."""
    rows: list[list[Column]] = []
    used = 0.0
    for column in columns:
        drawn = draw_column(stack, column, style)
        used += drawn.width + BETWEEN
        if not rows or used > style.room:
            rows.append([])
            used = drawn.width + BETWEEN
        row = rows[-1]
        row.append(column)
    return rows


def columns_group(
    stack: ModelStack, columns: Sequence[Column], style: StackStyle, wired: bool
) -> Group:
    """Return columns side by side, drawn out to one height, their bottoms at y = 0."""
    first = [draw_column(stack, column, style, wired=wired) for column in columns]
    tallest = max(drawn.height for drawn in first)
    facing = 0
    if not style.mirrored:
        facing = len(columns) - 1
    group = Group()
    x = 0.0
    for i, (column, drawn) in enumerate(zip(columns, first, strict=True)):
        stretch = tallest - drawn.height
        stretched = draw_column(stack, column, style, stretch=stretch, wired=wired)
        prefix = f"{i}/"
        axis = x - stretched.bounds.left
        keep_inlets(group, stretched, axis, 0, prefix)
        if i == facing:
            prefix = "facing/"
        group.place(stretched, axis, 0, prefix)
        x += stretched.width + BETWEEN
    return group


def is_inlet(name: str) -> bool:
    """Return whether an anchor is where something enters a column from outside."""
    kind, *rest = name.split(":")
    if kind != "inlet":
        return False
    return len(rest) > 1


def keep_inlets(group: Group, drawn: Group, x: float, y: float, column: str = "") -> None:
    """Note where things enter a column that was placed, under a name of its own."""
    inlets = [name for name in drawn.anchors if is_inlet(name)]
    for name in inlets:
        area = drawn.anchors[name]
        group.anchors[f"{name}{column}"] = area.moved(x, y)


def free_axis(x: float, taken: Sequence[float]) -> float:
    """Return the place nearest to the right of `x` at which no vertical line is near."""
    step = APART / 2
    while any(abs(x - other) < APART for other in taken):
        x += step
    return x


# Above the layers


def draw_above(group: Group, stack: ModelStack, style: StackStyle) -> None:
    """Draw what follows the layers: norms, the head, prediction modules beside it."""
    layers = group.anchors["layers"]
    rise = Rise(group, layers.y)
    rise.up(10 if stack.kinds > 1 else 28)
    for pill in stack.exit:
        rise.pill(pill)
    head_box = box_group(stack.head, style.least)
    if stack.mtp is None:
        rise.up(2)
        rise.box(head_box)
        return
    rise.up(10)
    fork = rise.y
    head = rise.box(head_box)
    mtp = box_group(stack.mtp, 100)
    box = mtp.anchors["box"]
    left = left_edge(box, head.width / 2 + 24, style.inner)
    group.place(mtp, left, head.bottom - box.height)
    x = left + box.width / 2
    group.add(Sign("dot", 0, fork))
    group.wire((0, fork), (x, fork), (x, head.bottom), arrow=True)


def left_edge(box: Area, distance: float, side: int) -> float:
    """Return the left edge of a box at a distance from the axis, on the side of a direction."""
    if side > 0:
        return distance
    return -distance - box.width


class Floors(NamedTuple):
    """Heights below the layers, from above."""

    layers: float
    """The lower edge of the layers."""
    pills: float
    """Where the operations after the embedding begin."""
    joined: float
    """Where encoders' tokens join those of the embedding."""
    boxes: float
    """The lower edge of all boxes."""


# Below the layers


@dataclass(frozen=True, slots=True)
class PlacedSource:
    """What enters beside the token embedding: its box, and the column of its line."""

    path: str
    area: Area
    x: float


def draw_below(group: Group, stack: ModelStack, style: StackStyle) -> None:
    """Draw the embedding, and what enters beside it: into the stream, or into blocks."""
    inlets = {name: area for name, area in group.anchors.items() if is_inlet(name)}
    entered = {inlet_path(name) for name in inlets}
    paths = [box.path for box in stack.sources if box.path in entered]
    embedding = box_group(stack.embedding, style.least)
    boxes = [box_group(box, style.least) for box in stack.sources]
    floors = floors_below(group, stack, len(paths), [embedding, *boxes])
    sources = place_sources(group, stack, style, embedding, boxes, floors.boxes)
    draw_entry(group, stack, embedding, floors)
    joined = [source for source in sources if source.path in stack.joined]
    draw_joined(group, joined, floors.joined)
    tops = {source.path: floors.joined for source in joined}
    by_path = {source.path: source for source in sources}
    for i, path in enumerate(paths):
        height = floors.layers + 10 + TRACK * i
        targets = [area for name, area in inlets.items() if inlet_path(name) == path]
        draw_track(group, by_path[path], targets, height)
        tops[path] = height
    for source in sources:
        if source.path in tops:
            start = source.x, source.area.y
            end = source.x, tops[source.path]
            group.wire(start, end)


def floors_below(group: Group, stack: ModelStack, tracks: int, boxes: Sequence[Group]) -> Floors:
    """Return the heights of what is below the layers.

    group: the layers.
    stack: the model.
    tracks: lines that run side by side into the columns.
    boxes: the boxes of the embedding and of what enters beside it.
    """
    layers = group.anchors["layers"].bottom
    first_pill = layers + 12 + TRACK * tracks
    pills = first_pill + 25.0 * len(stack.entry) + 4
    top = pills + 10
    if any(box.path in stack.joined for box in stack.sources):
        top += TRACK
    heights = [box.anchors["box"].height for box in boxes]
    return Floors(layers, pills, joined=pills + 6, boxes=top + max(heights))


def draw_entry(group: Group, stack: ModelStack, embedding: Group, floors: Floors) -> None:
    """Draw the stream from the embedding into the layers, with the operations on its way."""
    box = embedding.anchors["box"]
    rise = Rise(group, floors.boxes - box.height)
    rise.up(rise.y - floors.pills)
    for pill in stack.entry:
        rise.pill(pill)
    rise.up(rise.y - floors.layers, arrow=True)


def inlet_path(name: str) -> str:
    """Return the path of what enters at an anchor: `inlet:towers.vision:0` -> `towers.vision`."""
    _, path, _ = name.split(":")
    return path


def place_sources(
    group: Group,
    stack: ModelStack,
    style: StackStyle,
    embedding: Group,
    boxes: Sequence[Group],
    lowest: float,
) -> list[PlacedSource]:
    """Place the embedding on the axis and what enters beside it on the inner side.

    group: where they are drawn.
    stack: the model.
    style: how it is drawn.
    embedding, boxes: the boxes.
    lowest: their lower edge.
    """
    area = embedding.anchors["box"]
    half = area.width / 2
    group.place(embedding, -half, lowest - area.height)
    taken = [area.x for name, area in group.anchors.items() if is_inlet(name)]
    drawn = [box.anchors["box"] for box in boxes]
    if style.room < float("inf"):
        placed = places_around(half, drawn, style.inner, lowest)
    else:
        placed = places_beside(half, drawn, style.inner, lowest)
    sources: list[PlacedSource] = []
    for box, own, (corner, x) in zip(stack.sources, boxes, placed, strict=True):
        group.place(own, corner.x, corner.y)
        axis = free_axis(x, taken)
        sources.append(PlacedSource(box.path, corner, axis))
    return sources


def places_beside(
    half: float, boxes: Sequence[Area], inner: int, lowest: float
) -> list[tuple[Area, float]]:
    """Return places on the inner side of the embedding, and where each box's line leaves it.

    half: half the width of the embedding.
    boxes: the boxes.
    inner: direction of the inner side.
    lowest: the lower edge of all.
    """
    distance = half + 2 * GAP
    places: list[tuple[Area, float]] = []
    for box in boxes:
        left = left_edge(box, distance, inner)
        top = lowest - box.height
        place = box.moved(left, top)
        places.append((place, place.center))
        distance += box.width + GAP
    return places


def places_around(
    half: float, boxes: Sequence[Area], inner: int, lowest: float
) -> list[tuple[Area, float]]:
    """Return places on both sides of the embedding, then below them; see `places_beside`.

    Lines of those below run between the boxes above.
    """
    places: list[tuple[Area, float]] = []
    for i, box in enumerate(boxes):
        row, second = divmod(i, 2)
        side = -inner if second else inner
        bottom = lowest + row * 70.0
        distance = half + 2 * GAP
        if row:
            distance = GAP / 2
        left = left_edge(box, distance, side)
        place = box.moved(left, bottom - box.height)
        line = place.center
        if row:
            line = side * (half + GAP) + 4.0 * (row - 1)
        places.append((place, line))
    return places


def draw_joined(group: Group, sources: Sequence[PlacedSource], height: float) -> None:
    """Draw the line on which encoders' tokens join those of the embedding."""
    for side in (-1, 1):
        distances = [side * source.x for source in sources]
        farthest = max(distances, default=0.0)
        if farthest > 0:
            start = side * farthest, height
            group.wire(start, (0, height), arrow=True)


def draw_track(group: Group, source: PlacedSource, targets: Sequence[Area], height: float) -> None:
    """Draw the line from a source to the columns that it enters."""
    start = Area(source.x, height, 0, 0)
    span = union([*targets, start])
    group.wire((span.x, height), (span.right, height))
    for target in targets:
        entry = target.x, height
        group.wire(entry, (target.x, target.y))
