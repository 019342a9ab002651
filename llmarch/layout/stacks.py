"""One model from the embedding to the head: columns of layers, and what is around them.

The axis is x = 0, and the layers begin at y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        return TIGHT if self.tight else WIDE

    @property
    def inner(self) -> int:
        """Return the direction of the inner side."""
        return -1 if self.mirrored else 1


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
        group = Group()
        drawn = draw_column(stack, columns[0], style)
        group.place(drawn, 0, 0, "facing/")
        group.anchors["layers"] = drawn.anchors["frame"]
        keep_inlets(group, drawn, 0, 0)
        return group
    rows = column_rows(stack, columns, style)
    wired = len(rows) == 1
    inner = Group()
    bottom = 0.0
    for row in reversed(rows):
        drawn_row = columns_group(stack, row, style, wired)
        inner.place(drawn_row, -drawn_row.bounds.left, bottom)
        keep_inlets(inner, drawn_row, -drawn_row.bounds.left, bottom)
        bottom -= drawn_row.height + BETWEEN
    label = f"{stack.layers} layers, in the order of the strip below"
    needed = text_width(label, FACT) + 28
    area = Area(
        -BETWEEN - max(0.0, needed - inner.width - 2 * BETWEEN) / 2,
        inner.bounds.top - 22,
        max(inner.width + 2 * BETWEEN, needed),
        inner.height + 34,
    )
    axis = free_axis(area.center, [a.x for n, a in inner.anchors.items() if is_inlet(n)])
    group = Group()
    area = area.moved(-axis, -area.bottom)
    frame(group, area, "frame", 16)
    group.text(area.x + 14, area.y + 12, label, FACT, "muted")
    group.place(inner, -axis, -12)
    group.anchors["layers"] = area
    return group


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
    )


def column_rows(
    stack: ModelStack, columns: Sequence[Column], style: StackStyle
) -> list[list[Column]]:
    """Return the columns in rows that fit the room."""
    rows: list[list[Column]] = [[]]
    used = 0.0
    for column in columns:
        width = draw_column(stack, column, style).width + BETWEEN
        if rows[-1] and used + width > style.room:
            rows.append([])
            used = 0.0
        rows[-1].append(column)
        used += width
    return rows


def columns_group(
    stack: ModelStack, columns: Sequence[Column], style: StackStyle, wired: bool
) -> Group:
    """Return columns side by side, drawn out to one height, their bottoms at y = 0."""
    first = [draw_column(stack, column, style, wired=wired) for column in columns]
    tallest = max(drawn.height for drawn in first)
    group = Group()
    x = 0.0
    facing = 0 if style.mirrored else len(columns) - 1
    for i, (column, drawn) in enumerate(zip(columns, first, strict=True)):
        stretch = tallest - drawn.height
        stretched = draw_column(stack, column, style, stretch=stretch, wired=wired)
        prefix = "facing/" if i == facing else f"{i}/"
        at = x - stretched.bounds.left
        group.place(stretched, at, 0, prefix)
        keep_inlets(group, stretched, at, 0, f"{i}/")
        x += stretched.width + BETWEEN
    return group


def is_inlet(name: str) -> bool:
    """Return whether an anchor is where something enters a column from outside."""
    return name.startswith("inlet:") and name.count(":") > 1


def keep_inlets(group: Group, drawn: Group, x: float, y: float, column: str = "") -> None:
    """Note where things enter a column that was placed, under a name of its own."""
    for name, area in drawn.anchors.items():
        if is_inlet(name):
            group.anchors[f"{name}{column}"] = area.moved(x, y)


def free_axis(x: float, taken: Sequence[float]) -> float:
    """Return the place nearest to the right of `x` at which no vertical line is near."""
    while any(abs(x - other) < APART for other in taken):
        x += APART / 2
    return x


# Above the layers


def draw_above(group: Group, stack: ModelStack, style: StackStyle) -> None:
    """Draw what follows the layers: norms, the head, prediction modules beside it."""
    layers = group.anchors["layers"]
    rise = Rise(group, layers.y)
    rise.up(10 if stack.kinds > 1 else 28)
    for pill in stack.exit:
        rise.pill(pill)
    if stack.mtp is None:
        rise.up(2)
        rise.box(box_group(stack.head, style.least))
        return
    rise.up(10)
    fork = rise.y
    head = rise.box(box_group(stack.head, style.least))
    mtp = box_group(stack.mtp, 100)
    box = mtp.anchors["box"]
    near = style.inner * (head.width / 2 + 24)
    left = near if style.inner > 0 else near - box.width
    group.place(mtp, left, head.bottom - box.height)
    x = left + box.width / 2
    group.add(Sign("dot", 0, fork))
    group.wire((0, fork), (x, fork), (x, head.bottom), arrow=True)


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
    floor = group.anchors["layers"].bottom
    paths = [b.path for b in stack.sources if any(inlet_path(n) == b.path for n in inlets)]
    tracks = floor + 12 + TRACK * len(paths)
    pills = tracks + 25.0 * len(stack.entry) + 4
    joined = [box for box in stack.sources if box.path in stack.joined]
    top = pills + 10 + TRACK * bool(joined)
    embedding = box_group(stack.embedding, style.least)
    boxes = [box_group(box, style.least) for box in stack.sources]
    lowest = top + max(b.anchors["box"].height for b in (embedding, *boxes))
    sources = place_sources(group, stack, style, embedding, boxes, lowest)
    rise = Rise(group, lowest - embedding.anchors["box"].height)
    rise.up(rise.y - pills)
    for pill in stack.entry:
        rise.pill(pill)
    rise.up(rise.y - floor, arrow=True)
    tops = {source.path: pills + 6 for source in sources if source.path in stack.joined}
    draw_joined(group, [s for s in sources if s.path in tops], pills + 6)
    for i, path in enumerate(paths):
        height = floor + 10 + TRACK * i
        source = next(s for s in sources if s.path == path)
        targets = [area for name, area in inlets.items() if inlet_path(name) == path]
        draw_track(group, source, targets, height)
        tops[path] = height
    for source in sources:
        if source.path in tops:
            group.wire((source.x, source.area.y), (source.x, tops[source.path]))


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
    group.place(embedding, -area.width / 2, lowest - area.height)
    taken = [a.x for name, a in group.anchors.items() if is_inlet(name)]
    place = places_around if style.room < float("inf") else places_beside
    drawn = [box.anchors["box"] for box in boxes]
    sources: list[PlacedSource] = []
    placed = place(area.width / 2, drawn, style.inner, lowest)
    for box, own, (corner, x) in zip(stack.sources, boxes, placed, strict=True):
        group.place(own, corner.x, corner.y)
        sources.append(PlacedSource(box.path, corner, free_axis(x, taken)))
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
    near = inner * (half + 2 * GAP)
    places: list[tuple[Area, float]] = []
    for box in boxes:
        left = near if inner > 0 else near - box.width
        place = box.moved(left, lowest - box.height)
        places.append((place, place.center))
        near += inner * (box.width + GAP)
    return places


def places_around(
    half: float, boxes: Sequence[Area], inner: int, lowest: float
) -> list[tuple[Area, float]]:
    """Return places on both sides of the embedding, then below them; see `places_beside`.

    Lines of those below run between the boxes above.
    """
    places: list[tuple[Area, float]] = []
    for i, box in enumerate(boxes):
        side = inner if i % 2 == 0 else -inner
        row = i // 2
        gap = side * (half + GAP)
        bottom = lowest + row * 70.0
        if row == 0:
            near = side * (half + 2 * GAP)
            left = near if side > 0 else near - box.width
            place = box.moved(left, bottom - box.height)
            places.append((place, place.center))
        else:
            left = side * GAP / 2 if side > 0 else -GAP / 2 - box.width
            place = box.moved(left, bottom - box.height)
            places.append((place, gap + 4.0 * (row - 1)))
    return places


def draw_joined(group: Group, sources: Sequence[PlacedSource], height: float) -> None:
    """Draw the line on which encoders' tokens join those of the embedding."""
    if not sources:
        return
    for side in (-1, 1):
        farthest = max((side * source.x for source in sources), default=0.0)
        if farthest > 0:
            group.wire((side * farthest, height), (0, height), arrow=True)


def draw_track(group: Group, source: PlacedSource, targets: Sequence[Area], height: float) -> None:
    """Draw the line from a source to the columns that it enters."""
    span = union([*targets, Area(source.x, height, 0, 0)])
    group.wire((span.x, height), (span.right, height))
    for target in targets:
        group.wire((target.x, height), (target.x, target.y))
