"""Kinds of layers of one wiring as a column: steps from the bottom up along an axis.

The axis is x = 0 and the layer begins at y = 0. The residual line runs on the outer side, away from
the panels; blocks that skip steps, and what enters from outside, are on the inner side. Each line
has a place of its own: lines cross, but never lie on one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..architecture.paths import last_part
from ..views.figure.description import Box, BranchPicture, Column, Pill, StepPicture, Streams
from .drawing import Anchor, Area, Group, Rectangle, Sign, palette_class
from .metrics import COUNT, FACT, LINE_HEIGHT, SMALL, text_width, wrapped_lines
from .parts import box_group, frame, marker, pill_group, small_box

GAP = 12.0
"""Between parallel boxes, and between a box and a lane."""
MOST_STREAMS = 4
"""Lines that are drawn of several streams; their number is written beside them."""
SPACING = 4.0
"""Between the lines of several streams."""
PLUS_RADIUS = 7.0
"""Half the width of an addition: lines end there."""
BESIDE_PLUS = 12.0
"""Distance of a text from the axis beside an addition."""
INLET_SPACING = 8.0
"""Between the lines of what enters from outside."""


@dataclass(slots=True)
class Rise:
    """The line along an axis, drawn from the bottom up."""

    group: Group = field(default_factory=Group)
    y: float = 0.0

    def up(self, length: float, arrow: bool = False) -> None:
        """Draw the line on."""
        start = 0, self.y
        self.y -= length
        end = 0, self.y
        self.group.wire(start, end, arrow=arrow)

    def pill(self, pill: Pill | None) -> None:
        """Lead the line into a pill, if there is one."""
        if pill is None:
            return
        self.up(8, arrow=True)
        self.group.place(pill_group(pill), 0, self.y)
        self.y -= 17

    def box(self, box: Group) -> Area:
        """Lead the line into a box; return the place of the box."""
        self.up(9, arrow=True)
        own = box.anchors["box"]
        self.y -= own.height
        left = -own.width / 2
        self.group.place(box, left, self.y)
        return own.moved(left, self.y)

    def plus(self) -> float:
        """Lead the line into an addition; return its height."""
        self.up(10, arrow=True)
        self.y -= 7
        self.group.add(Sign("plus", 0, self.y))
        center = self.y
        self.y -= 7
        return center


@dataclass(slots=True)
class Inlet:
    """What enters a column from outside, beside the stream."""

    path: str
    x: float
    """Where it ends: the side of a box, or of an addition."""
    y: float


# The blocks of a step


def step_blocks(step: StepPicture, least: float, inner: int) -> Group:
    """Return the blocks of a step; they begin at the origin and end at the anchor `out`.

    step: the step.
    least: least width of a box.
    inner: direction of the inner side, 1 or -1.
    """
    rise = Rise()
    if len(step.branches) == 1:
        (branch,) = step.branches
        areas = [branch_blocks(rise, branch, least)]
    else:
        areas = parallel_blocks(rise, step.branches, least)
    rise.pill(step.join_norm)
    anchors = rise.group.anchors
    anchors["out"] = Area(0, rise.y, 0, 0)
    innermost = max(areas, key=lambda area: inner * area.center)
    for j, (branch, area) in enumerate(zip(step.branches, areas, strict=True)):
        box = branch.box
        anchors[f"block:{box.panel}#{j}"] = area
        if box.inlet and area is innermost:
            anchors[f"inlet:{box.inlet}"] = area
    return rise.group


def branch_blocks(rise: Rise, branch: BranchPicture, least: float) -> Area:
    """Draw one branch along a line; return the place of its box."""
    rise.pill(branch.pre_norm)
    box = box_group(branch.box, least)
    area = rise.box(box)
    rise.pill(branch.post_norm)
    if branch.factor:
        factor = Pill(text=branch.factor, role="io")
        rise.pill(factor)
    return area


def parallel_blocks(rise: Rise, branches: Sequence[BranchPicture], least: float) -> list[Area]:
    """Draw branches side by side between a fork and a join; return the places of their boxes."""
    rise.up(8)
    drawn: list[tuple[Rise, Area]] = []
    for branch in branches:
        own = Rise()
        area = branch_blocks(own, branch, least)
        drawn.append((own, area))
    top = min(own.y for own, _ in drawn) - 8
    widths = [own.group.width for own, _ in drawn]
    left = -(sum(widths) + GAP * (len(widths) - 1)) / 2
    fork = rise.y
    centers: list[float] = []
    areas: list[Area] = []
    for own, area in drawn:
        own.up(own.y - top)
        center = left - own.group.bounds.left
        rise.group.place(own.group, center, fork)
        centers.append(center)
        areas.append(area.moved(center, fork))
        left += own.group.width + GAP
    rise.y += top
    for y in (fork, rise.y):
        rise.group.wire((centers[0], y), (centers[-1], y))
    return areas


# The column


@dataclass(slots=True)
class ColumnPlan:
    """What a column needs to know before it is drawn."""

    column: Column
    blocks: list[Group]
    """The blocks of each step."""
    half: float
    """How far boxes reach from the axis."""
    outer: int
    """Direction of the outer side, 1 or -1."""
    streams: Streams | None
    inlets: list[Inlet] = field(default_factory=list["Inlet"])
    wired: bool = True
    """Whether what enters from outside has lines; else the boxes name it."""
    exits: list[float] = field(default_factory=lambda: [0.0])
    """Where the lines of the streams leave the layer."""

    @property
    def edge(self) -> float:
        """Return where the residual line runs."""
        reach = self.half + 18
        return self.outer * reach

    @property
    def end(self) -> float:
        """Return where lines from the outer side end at an addition."""
        return self.outer * PLUS_RADIUS

    @property
    def inner_anchor(self) -> Anchor:
        """Return the anchor of a text that stands on the inner side of the axis."""
        return anchor_beside(-self.outer)

    @property
    def mixed(self) -> bool:
        """Return whether each step mixes several streams."""
        return self.streams is not None and self.streams.kind == "hyper"

    @property
    def stream_lines(self) -> list[float]:
        """Return where the lines of several streams run, from the inner to the outer one."""
        assert self.streams is not None
        count = min(self.streams.count, MOST_STREAMS)
        first = self.edge + self.outer * 6
        spacing = self.outer * SPACING
        return [first + spacing * i for i in range(count)]


def anchor_beside(direction: int) -> Anchor:
    """Return the anchor of a text on a side of an axis: it begins or ends there."""
    if direction > 0:
        return "start"
    return "end"


def column_group(
    column: Column,
    *,
    least: float,
    mirrored: bool = False,
    streams: Streams | None = None,
    alone: bool = True,
    stretch: float = 0,
    wired: bool = True,
    room: float = float("inf"),
) -> Group:
    """Return a column in its frame, with the kinds of layers above it.

    column: the column.
    least: least width of a box.
    mirrored: whether the outer side is on the right.
    streams: several residual streams, None for one.
    alone: whether it is the only column, of one kind of layers.
    stretch: length by which it is drawn out to be as tall as others.
    wired: whether what enters from outside has lines.
    room: width of the texts above it, which are broken where they are longer.
    """
    if not wired:
        steps = [named_inlets(step) for step in column.steps]
        column = replace(column, steps=tuple(steps))
    outer = -1
    if mirrored:
        outer = 1
    blocks = [step_blocks(step, least, -outer) for step in column.steps]
    plan = ColumnPlan(column, blocks, 0.0, outer, streams, wired=wired)
    plan.half = axis_reach(plan)
    rise = Rise()
    if streams is None:
        draw_steps(rise, plan)
    elif streams.kind == "altup":
        draw_with_predicted_streams(rise, plan)
    else:
        draw_with_mixed_streams(rise, plan)
    for pill in column.closing:
        rise.pill(pill)
    draw_added(rise, plan)
    draw_exits(rise, plan, 14 + stretch)
    draw_inlets(rise.group, plan)
    return framed(rise, plan, alone, room)


def axis_reach(plan: ColumnPlan) -> float:
    """Return how far the blocks that stand on the axis reach from it."""
    reach: list[float] = []
    for blocks, step in zip(plan.blocks, plan.column.steps, strict=True):
        if step.skip_from is None or plan.mixed:
            reach += [blocks.bounds.right, -blocks.bounds.left]
    return max(reach)


def named_inlets(step: StepPicture) -> StepPicture:
    """Return a step whose boxes name what enters from outside."""
    branches: list[BranchPicture] = []
    for branch in step.branches:
        box = branch.box
        if box.inlet:
            words = inlet_words(box)
            lines = (*box.lines, words)
            box = replace(box, lines=lines, inlet="")
            branch = replace(branch, box=box)
        branches.append(branch)
    return replace(step, branches=tuple(branches))


def inlet_words(box: Box) -> str:
    """Return what a box reads from outside in words."""
    name = last_part(box.inlet)
    if box.inlet.startswith("towers."):
        return f"reads {name} encoder"
    return "× per-layer embedding"


def draw_steps(rise: Rise, plan: ColumnPlan) -> None:
    """Draw the steps of a layer with one stream, which is the axis itself."""
    entries: dict[int, list[float]] = {}
    lane = LaneSide(-plan.outer, lane_start(plan))
    for i, step in enumerate(plan.column.steps):
        if not step.wiring_known:
            rise.up(14)
            draw_blocks(rise, plan, i)
        elif step.skip_from is None:
            entries[i] = draw_axis_step(rise, plan, i)
        else:
            start = entries[step.skip_from].pop(0)
            taps = [y for heights in entries.values() for y in heights]
            draw_lane(rise, plan, i, start, lane, taps)
        rise.pill(step.after_norm)


def draw_axis_step(rise: Rise, plan: ColumnPlan, i: int) -> list[float]:
    """Draw a step on the axis; return the heights at which later steps read its input."""
    steps = plan.column.steps
    step = steps[i]
    readers = [later for later in steps if later.skip_from == i]
    rise.up(14)
    split = rise.y
    rise.pill(step.pre_norm)
    if step.stream_from_norm:
        rise.up(10)
        split = rise.y
    taps = draw_taps(rise, len(readers))
    draw_blocks(rise, plan, i)
    center = rise.plus()
    draw_residual(rise.group, plan, split, center)
    draw_factors(rise.group, plan, step, center)
    return taps


@dataclass(slots=True)
class LaneSide:
    """Where the next block that skips steps stands."""

    direction: int
    start: float

    def take(self, blocks: Group) -> float:
        """Return the axis of the next blocks, and note where those after them may begin."""
        reach = blocks.bounds.right
        if self.direction > 0:
            reach = -blocks.bounds.left
        axis = self.start + GAP + reach
        self.start += 2 * GAP + blocks.width
        return self.direction * axis


def lane_start(plan: ColumnPlan) -> float:
    """Return how far from the axis the first lane for skipping blocks is."""
    count = len(plan.column.added)
    for blocks in plan.blocks:
        inlets = [name for name in blocks.anchors if name.startswith("inlet:")]
        count += len(inlets)
    return plan.half + GAP + INLET_SPACING * count


def draw_taps(rise: Rise, count: int) -> list[float]:
    """Draw forks for blocks that read the same input later; return their heights."""
    heights: list[float] = []
    for _ in range(count):
        rise.up(7)
        rise.group.add(Sign("dot", 0, rise.y))
        heights.append(rise.y)
    return heights


def draw_blocks(rise: Rise, plan: ColumnPlan, i: int) -> None:
    """Draw the blocks of a step on the axis, and note what enters them from outside."""
    blocks = plan.blocks[i]
    rise.group.place(blocks, 0, rise.y, f"{i}/")
    for name, area in blocks.anchors.items():
        if not name.startswith("inlet:"):
            continue
        path = name.removeprefix("inlet:")
        y = area.middle + rise.y
        plan.inlets.append(Inlet(path, inner_side(area, plan), y))
    rise.y += blocks.anchors["out"].y


def draw_residual(group: Group, plan: ColumnPlan, split: float, center: float) -> None:
    """Draw the residual line from where it leaves the stream to the addition.

    group: where it is drawn.
    plan: the column.
    split: height at which it leaves.
    center: height of the addition.
    """
    fork = Sign("dot", 0, split)
    group.add(fork)
    start = 0, split
    corners = (plan.edge, split), (plan.edge, center)
    end = plan.end, center
    group.wire(start, *corners, end, arrow=True)


def draw_factors(group: Group, plan: ColumnPlan, step: StepPicture, center: float) -> None:
    """Write the factors of the branches and of the stream beside an addition."""
    if step.factor:
        x = -plan.outer * BESIDE_PLUS
        anchor = plan.inner_anchor
        group.text(x, center - 1, step.factor, SMALL, "muted", anchor=anchor)
    if step.stream_factor:
        middle = (plan.edge + plan.end) / 2
        top_edge = center - 8
        group.text(middle, top_edge, step.stream_factor, SMALL, "muted", anchor="middle")


def lane_bottom(start: float, end: float, height: float, taps: Sequence[float]) -> float:
    """Return where blocks beside the steps begin, so that no later line crosses them.

    start, end: heights at which their line leaves the axis and comes back, if there is room.
    height: their height.
    taps: heights at which lines to blocks further out leave the axis.
    """
    middle = (start + end) / 2 + height / 2
    below_taps = [tap - 8 for tap in sorted(taps, reverse=True)]
    for bottom in (middle, *below_taps):
        top = bottom - height
        crossed = any(top - 4 < tap < bottom + 4 for tap in taps)
        if not crossed and bottom <= start - 8:
            return bottom
    lowest = min([start, *taps])
    return lowest - 8


def draw_lane(
    rise: Rise, plan: ColumnPlan, i: int, start: float, lane: LaneSide, taps: Sequence[float]
) -> None:
    """Draw a step whose blocks stand beside the steps that they skip.

    rise: the axis.
    plan: the column.
    i: number of the step.
    start: height at which its input leaves the axis.
    lane: where it stands.
    taps: heights at which lines to further blocks beside the steps leave the axis.
    """
    step = plan.column.steps[i]
    own = lane_blocks(plan, i)
    height = -own.y
    x = lane.take(own.group)
    bottom = lane_bottom(start, rise.y - 37, height, taps)
    top = bottom - height
    rise.up(max(20.0, rise.y - (top + 5)))
    center = rise.plus()
    group = rise.group
    group.wire((0, start), (x, start), (x, bottom))
    group.place(own.group, x, bottom)
    end = lane.direction * PLUS_RADIUS
    group.wire((x, top), (x, center), (end, center), arrow=True)
    shift = lane.direction * BESIDE_PLUS
    if step.factor:
        anchor = anchor_beside(lane.direction)
        group.text(shift, center - 8, step.factor, SMALL, "muted", anchor=anchor)
    if step.stream_factor:
        anchor = anchor_beside(-lane.direction)
        group.text(-shift, center, step.stream_factor, SMALL, "muted", anchor=anchor)


def lane_blocks(plan: ColumnPlan, i: int) -> Rise:
    """Return the blocks of a step that skips others, on an axis of their own."""
    blocks = plan.blocks[i]
    own = Rise()
    own.pill(plan.column.steps[i].pre_norm)
    own.group.place(blocks, 0, own.y, f"{i}/")
    own.y += blocks.anchors["out"].y
    return own


def draw_added(rise: Rise, plan: ColumnPlan) -> None:
    """Draw what joins the stream at the end of the layer, from outside."""
    inner = -plan.outer
    anchor = plan.inner_anchor
    for box in plan.column.added:
        center = rise.plus()
        x = inner * BESIDE_PLUS
        rise.group.text(x, center - 9, box.title, SMALL, "muted", anchor=anchor)
        inlet = Inlet(box.inlet, inner * PLUS_RADIUS, center)
        plan.inlets.append(inlet)


def draw_inlets(group: Group, plan: ColumnPlan) -> None:
    """Draw the lines of what enters from outside: the lowest is the innermost."""
    if not plan.wired:
        return
    for i, inlet in enumerate(plan.inlets):
        distance = plan.half + GAP + INLET_SPACING * i
        x = -plan.outer * distance
        end = inlet.x, inlet.y
        group.wire((x, 0), (x, inlet.y), end, arrow=True)
        name = f"inlet:{inlet.path}:{i}"
        group.anchors[name] = Area(x, 0, 0, 0)


# Several streams


def draw_with_predicted_streams(rise: Rise, plan: ColumnPlan) -> None:
    """Draw alternating updates: one stream passes the steps, the others are predicted, corrected.

    The active stream is the axis. The others run outside of the residual lines.
    """
    assert plan.streams is not None
    count = plan.streams.count
    others = max(count - 1, 1)
    lines = plan.stream_lines[:others]
    predict = (f"predict {count} streams from all", f"predict {count} streams", "predict")
    correct = (f"correct {count} streams by the active one", f"correct {count} streams", "correct")
    bottom = draw_bar(rise, plan, lines, predict)
    draw_steps(rise, plan)
    top = draw_bar(rise, plan, lines, correct)
    for x in lines:
        start = x, bottom.y
        end = x, top.bottom
        rise.group.wire(start, end)


def draw_bar(rise: Rise, plan: ColumnPlan, lines: Sequence[float], texts: Sequence[str]) -> Area:
    """Lead the axis and further lines into one bar; return its place.

    rise: the axis.
    plan: the column.
    lines: where the further lines run.
    texts: what the bar does, from the longest; the first that has room is written.
    """
    rise.up(12, arrow=True)
    outermost = lines[-1]
    far = abs(outermost) + 8
    room = far + plan.half
    fitting = (text for text in texts if text_width(text, SMALL) + 20 <= room)
    text = next(fitting, texts[-1])
    width = text_width(text, SMALL) + 20
    reach = max(10.0, width - abs(outermost) - 8)
    left = -far
    if outermost > 0:
        left = -reach
    area = Area(left, rise.y - 17, far + reach, 17)
    rise.group.add(Rectangle(area, "io", 4))
    rise.group.text(area.center, area.middle, text, SMALL, anchor="middle")
    rise.y -= 17
    return area


def draw_with_mixed_streams(rise: Rise, plan: ColumnPlan) -> None:
    """Draw hyper-connections: each step reads a sum of all streams, and its output mixes them.

    The streams run outside; the axis has the blocks alone. Streams keep their order at both turns.
    """
    turn = StreamTurn(plan)
    turn.draw_outwards(rise)
    bundle = Bundle(turn.lanes, rise.y)
    for i, step in enumerate(plan.column.steps):
        draw_mixed_step(rise, plan, i, step, bundle)
    turn.draw_inwards(rise, bundle)
    entries = turn.entries
    if plan.column.closing or plan.column.added:
        rise.group.wire((entries[0], rise.y), (entries[-1], rise.y))
    else:
        plan.exits = entries


class StreamTurn:
    """Where several streams turn from the axis to their lanes outside, and back."""

    def __init__(self, plan: ColumnPlan) -> None:
        lines = plan.stream_lines
        half = SPACING * (len(lines) - 1) / 2
        steps = [SPACING * i for i in range(len(lines))]
        self.entries = [step - half for step in steps]
        self.lanes = sorted(lines)
        self.heights = [step + 10 for step in steps]
        if plan.outer > 0:
            self.heights.reverse()

    def draw_outwards(self, rise: Rise) -> None:
        """Draw the streams from the axis to their lanes."""
        bottom = rise.y
        tallest = max(self.heights)
        lowest = bottom - tallest
        for i, height in enumerate(self.heights):
            entry = self.entries[i]
            lane = self.lanes[i]
            y = bottom - height
            rise.group.wire((entry, bottom), (entry, y), (lane, y), (lane, lowest))
        rise.y = lowest

    def draw_inwards(self, rise: Rise, bundle: Bundle) -> None:
        """Draw the streams from their lanes back to the axis."""
        top = rise.y - 6
        highest = top - max(self.heights) - 6
        heights = reversed(self.heights)
        for entry, x, height in zip(self.entries, self.lanes, heights, strict=True):
            y = top - height
            rise.group.wire((x, bundle.y), (x, y), (entry, y), (entry, highest))
        rise.y = highest


@dataclass(slots=True)
class Bundle:
    """The lines of several streams, drawn up to a height."""

    lines: list[float]
    y: float

    @property
    def center(self) -> float:
        """Return the middle of the lines."""
        lines = self.lines
        first = lines[0]
        last = lines[-1]
        return (first + last) / 2

    def up(self, group: Group, y: float) -> None:
        """Draw the lines on to a height."""
        for x in self.lines:
            start = x, self.y
            end = x, y
            group.wire(start, end)
        self.y = y


def draw_mixed_step(
    rise: Rise, plan: ColumnPlan, i: int, step: StepPicture, bundle: Bundle
) -> None:
    """Draw one step that reads all streams and mixes them with its output.

    rise: the axis.
    plan: the column.
    i: number of the step.
    step: the step.
    bundle: the streams.
    """
    group = rise.group
    rise.y -= 10
    read = draw_on_bundle(group, bundle, rise.y, "read")
    turn = read.middle - 14
    group.wire((inner_side(read, plan), read.middle), (0, read.middle), (0, turn))
    rise.y = turn
    if step.skip_from is not None:
        source = step.skip_from + 1
        rise.pill(Pill(text=f"reads what step {source} reads", role="io"))
    rise.pill(step.pre_norm)
    draw_blocks(rise, plan, i)
    if step.factor:
        rise.pill(Pill(text=step.factor, role="io"))
    if step.stream_factor:
        rise.pill(Pill(text=f"streams {step.stream_factor}", role="io"))
    rise.pill(step.after_norm)
    rise.up(12)
    mix = draw_on_bundle(group, bundle, rise.y + 8.5, "mix")
    end = inner_side(mix, plan), mix.middle
    group.wire((0, rise.y), end, arrow=True)
    rise.y = mix.y


def inner_side(area: Area, plan: ColumnPlan) -> float:
    """Return the side of a box that is towards the panels."""
    if plan.outer > 0:
        return area.x
    return area.right


def draw_exits(rise: Rise, plan: ColumnPlan, length: float) -> None:
    """Draw the streams on to the end of the layer."""
    bottom = rise.y
    top = bottom - length
    for x in plan.exits:
        start = x, bottom
        end = x, top
        rise.group.wire(start, end)
    rise.y = top


def draw_on_bundle(group: Group, bundle: Bundle, y: float, word: str) -> Area:
    """Draw a small box that all streams pass; return its place.

    group: where it is drawn.
    bundle: the streams.
    y: its lower edge.
    word: what it does.
    """
    box = small_box(word)
    bundle.up(group, y)
    left = bundle.center - box.width / 2
    top = y - box.height
    group.place_corner(box, left, top)
    bundle.y = top
    return Area(left, top, box.width, box.height)


# The frame


def framed(rise: Rise, plan: ColumnPlan, alone: bool, room: float) -> Group:
    """Return a column in its frame, with the kinds of layers above.

    rise: the drawn steps.
    plan: the column.
    alone: whether it is the only kind of layers, whose name stands under the strip.
    room: width of the texts above it.
    """
    heads = column_heads(plan.column, alone, room)
    area = column_frame(rise, heads)
    group = Group()
    frame(group, area, "block", 12)
    group.place(rise.group, 0, 0)
    anchors = group.anchors
    anchors["frame"] = area
    anchors["in"] = Area(0, 0, 0, 0)
    anchors["out"] = Area(0, rise.y, 0, 0)
    if alone:
        head = heads[0][0]
        draw_count(group, plan, area, head)
    else:
        draw_heads(group, plan.column, area, heads)
    return group


def column_heads(column: Column, alone: bool, room: float) -> list[list[str]]:
    """Return the lines above a column for each kind of layers: how many they are, and which."""
    heads: list[list[str]] = []
    for kind in column.kinds:
        layers = kind.count or "?"
        head = f"{layers} ×"
        if not alone:
            head = f"{head} {kind.words}"
        lines = wrapped_lines(head, FACT, room, bold=True)
        heads.append(lines)
    return heads


def column_frame(rise: Rise, heads: Sequence[Sequence[str]]) -> Area:
    """Return the frame around a drawn column, which is as wide as the texts above it."""
    bounds = rise.group.bounds
    left = bounds.left - GAP - 2
    right = bounds.right + GAP + 2
    widths = [text_width(line, FACT, bold=True) for lines in heads for line in lines]
    needed = max(widths) + 24
    extra = max(0.0, needed - (right - left)) / 2
    width = right - left + 2 * extra
    return Area(left - extra, rise.y, width, -rise.y)


def draw_count(group: Group, plan: ColumnPlan, area: Area, head: str) -> None:
    """Write how many layers there are above the outer side of a frame."""
    anchor = plan.inner_anchor
    x = area.x + 4
    if plan.outer > 0:
        x = area.right - 4
    y = area.y - 16
    group.text(x, y, head, COUNT, anchor=anchor, bold=True)


def draw_heads(group: Group, column: Column, area: Area, heads: Sequence[Sequence[str]]) -> None:
    """Write above a frame which kinds of layers it stands for, with their colours in the strip."""
    gap = 4.0
    lines = sum(map(len, heads))
    top = area.y - 6 - LINE_HEIGHT * lines - gap * len(heads)
    middle = top + (LINE_HEIGHT + gap) / 2
    for kind, head in zip(column.kinds, heads, strict=True):
        colour = palette_class(kind.number)
        swatch = Area(area.x + 2, middle - 5, 10, 10)
        swatch_box = Rectangle(swatch, colour, 2)
        group.add(swatch_box)
        left = area.x + 18
        width = max(text_width(line, FACT, bold=True) for line in head)
        marker(group, left, middle, width, "start", kind.mark, len(head))
        lowest = group.paragraph(left, middle, head, FACT, step=LINE_HEIGHT, bold=True)
        middle = lowest + gap
    corner = Area(area.x, top, 1, 1)
    group.bounds.include(corner)
