"""Kinds of layers of one wiring as a column: steps from the bottom up along an axis.

The axis is x = 0 and the layer begins at y = 0. The residual line runs on the outer side, away from
the panels; blocks that skip steps, and what enters from outside, are on the inner side. Each line
has a place of its own: lines cross, but never lie on one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..views.figure.description import Box, BranchPicture, Column, Pill, StepPicture, Streams
from .drawing import Area, Group, Rectangle, Sign
from .metrics import COUNT, FACT, SMALL, text_width
from .parts import box_group, frame, pill_group, small_box

GAP = 12.0
"""Between parallel boxes, and between a box and a lane."""
MOST_STREAMS = 4
"""Lines that are drawn of several streams; their number is written beside them."""
SPACING = 4.0
"""Between the lines of several streams."""
KIND_COLOURS = 6


@dataclass(slots=True)
class Rise:
    """The line along an axis, drawn from the bottom up."""

    group: Group = field(default_factory=Group)
    y: float = 0.0

    def up(self, length: float, arrow: bool = False) -> None:
        """Draw the line on."""
        self.group.wire((0, self.y), (0, self.y - length), arrow=arrow)
        self.y -= length

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
        area = box.anchors["box"]
        self.y -= area.height
        self.group.place(box, -area.width / 2, self.y)
        return Area(-area.width / 2, self.y, area.width, area.height)

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
        branch = step.branches[0]
        areas = [branch_blocks(rise, branch, least)]
    else:
        areas = parallel_blocks(rise, step.branches, least)
    rise.pill(step.join_norm)
    group = rise.group
    group.anchors["out"] = Area(0, rise.y, 0, 0)
    innermost = max(range(len(areas)), key=lambda j: inner * areas[j].center)
    for j, (branch, area) in enumerate(zip(step.branches, areas, strict=True)):
        group.anchors[f"block:{branch.box.panel}#{j}"] = area
        if branch.box.inlet and j == innermost:
            group.anchors[f"inlet:{branch.box.inlet}"] = area
    return group


def branch_blocks(rise: Rise, branch: BranchPicture, least: float) -> Area:
    """Draw one branch along a line; return the place of its box."""
    rise.pill(branch.pre_norm)
    area = rise.box(box_group(branch.box, least))
    rise.pill(branch.post_norm)
    if branch.factor:
        rise.pill(Pill(text=branch.factor, role="io"))
    return area


def parallel_blocks(rise: Rise, branches: Sequence[BranchPicture], least: float) -> list[Area]:
    """Draw branches side by side between a fork and a join; return the places of their boxes."""
    rise.up(8)
    drawn: list[tuple[Rise, Area]] = []
    for branch in branches:
        own = Rise()
        area = branch_blocks(own, branch, least)
        drawn.append((own, area))
    total = sum(own.group.width for own, _ in drawn) + GAP * (len(drawn) - 1)
    top = min(own.y for own, _ in drawn) - 8
    left = -total / 2
    centers: list[float] = []
    areas: list[Area] = []
    fork = rise.y
    for own, area in drawn:
        own.up(own.y - top)
        center = left - own.group.bounds.left
        rise.group.place(own.group, center, fork)
        centers.append(center)
        areas.append(area.moved(center, fork))
        left += own.group.width + GAP
    rise.group.wire((centers[0], fork), (centers[-1], fork))
    rise.y += top
    rise.group.wire((centers[0], rise.y), (centers[-1], rise.y))
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
        return self.outer * (self.half + 18)

    @property
    def stream_lines(self) -> list[float]:
        """Return where the lines of several streams run, from the inner to the outer one."""
        assert self.streams is not None
        count = min(self.streams.count, MOST_STREAMS)
        first = self.edge + self.outer * 6
        return [first + self.outer * SPACING * i for i in range(count)]


def column_group(
    column: Column,
    *,
    least: float,
    mirrored: bool = False,
    streams: Streams | None = None,
    alone: bool = True,
    stretch: float = 0,
    wired: bool = True,
) -> Group:
    """Return a column in its frame, with the kinds of layers above it.

    column: the column.
    least: least width of a box.
    mirrored: whether the outer side is on the right.
    streams: several residual streams, None for one.
    alone: whether it is the only column, of one kind of layers.
    stretch: length by which it is drawn out to be as tall as others.
    wired: whether what enters from outside has lines.
    """
    if not wired:
        column = replace(column, steps=tuple(named_inlets(step) for step in column.steps))
    outer = 1 if mirrored else -1
    blocks = [step_blocks(step, least, -outer) for step in column.steps]
    mixed = streams is not None and streams.kind == "hyper"
    on_axis = [b for b, s in zip(blocks, column.steps, strict=True) if s.skip_from is None or mixed]
    half = max(max(b.bounds.right, -b.bounds.left) for b in on_axis)
    plan = ColumnPlan(column, blocks, half, outer, streams, wired=wired)
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
    return framed(rise, plan, alone)


def named_inlets(step: StepPicture) -> StepPicture:
    """Return a step whose boxes name what enters from outside."""
    branches: list[BranchPicture] = []
    for branch in step.branches:
        box = branch.box
        if box.inlet:
            box = replace(box, lines=(*box.lines, inlet_words(box)), inlet="")
        branches.append(replace(branch, box=box))
    return replace(step, branches=tuple(branches))


def inlet_words(box: Box) -> str:
    """Return what a box reads from outside in words."""
    _, _, name = box.inlet.rpartition(".")
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
            readers = [s for s in plan.column.steps if s.skip_from == i]
            rise.up(14)
            split = rise.y
            draw_norm(rise, step)
            if step.stream_from_norm:
                rise.up(10)
                split = rise.y
            entries[i] = draw_taps(rise, len(readers))
            draw_blocks(rise, plan, i)
            center = rise.plus()
            draw_residual(rise.group, plan, split, center)
            draw_factors(rise.group, plan, step, center)
        else:
            start = entries[step.skip_from].pop(0)
            taps = [y for heights in entries.values() for y in heights]
            draw_lane(rise, plan, i, start, lane, taps)
        rise.pill(step.after_norm)


@dataclass(slots=True)
class LaneSide:
    """Where the next block that skips steps stands."""

    direction: int
    start: float


def lane_start(plan: ColumnPlan) -> float:
    """Return how far from the axis the first lane for skipping blocks is."""
    count = sum(name.startswith("inlet:") for b in plan.blocks for name in b.anchors)
    return plan.half + GAP + 8 * (count + len(plan.column.added))


def draw_norm(rise: Rise, step: StepPicture) -> None:
    """Draw the norm of a step that feeds all its branches."""
    rise.pill(step.pre_norm)


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
        if name.startswith("inlet:"):
            inner = -plan.outer
            side = area.right if inner > 0 else area.x
            path = name.removeprefix("inlet:")
            plan.inlets.append(Inlet(path, side, area.middle + rise.y))
    rise.y += blocks.anchors["out"].y


def draw_residual(group: Group, plan: ColumnPlan, split: float, center: float) -> None:
    """Draw the residual line from where it leaves the stream to the addition.

    group: where it is drawn.
    plan: the column.
    split: height at which it leaves.
    center: height of the addition.
    """
    group.add(Sign("dot", 0, split))
    end = plan.outer * 7
    group.wire((0, split), (plan.edge, split), (plan.edge, center), (end, center), arrow=True)


def draw_factors(group: Group, plan: ColumnPlan, step: StepPicture, center: float) -> None:
    """Write the factors of the branches and of the stream beside an addition."""
    if step.factor:
        anchor = "start" if plan.outer < 0 else "end"
        group.text(-plan.outer * 12, center - 1, step.factor, SMALL, "muted", anchor=anchor)
    if step.stream_factor:
        middle = (plan.edge + plan.outer * 7) / 2
        group.text(middle, center - 8, step.stream_factor, SMALL, "muted", anchor="middle")


def lane_bottom(start: float, end: float, height: float, taps: Sequence[float]) -> float:
    """Return where blocks beside the steps begin, so that no later line crosses them.

    start, end: heights at which their line leaves the axis and comes back, if there is room.
    height: their height.
    taps: heights at which lines to blocks further out leave the axis.
    """
    middle = (start + end) / 2 + height / 2
    for bottom in (middle, *(y - 8 for y in sorted(taps, reverse=True))):
        crossed = any(bottom - height - 4 < y < bottom + 4 for y in taps)
        if not crossed and bottom <= start - 8:
            return bottom
    return min([start, *taps]) - 8


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
    step, blocks = plan.column.steps[i], plan.blocks[i]
    own = Rise()
    own.pill(step.pre_norm)
    own.group.place(blocks, 0, own.y, f"{i}/")
    own.y += blocks.anchors["out"].y
    height = -own.y
    reach = -own.group.bounds.left if lane.direction > 0 else own.group.bounds.right
    x = lane.direction * (lane.start + GAP + reach)
    lane.start += 2 * GAP + own.group.width
    bottom = lane_bottom(start, rise.y - 37, height, taps)
    rise.up(max(20.0, rise.y - (bottom - height + 5)))
    center = rise.plus()
    group = rise.group
    group.wire((0, start), (x, start), (x, bottom))
    group.place(own.group, x, bottom)
    end = lane.direction * 7
    group.wire((x, bottom - height), (x, center), (end, center), arrow=True)
    if step.factor:
        anchor = "start" if lane.direction > 0 else "end"
        group.text(lane.direction * 12, center - 8, step.factor, SMALL, "muted", anchor=anchor)
    if step.stream_factor:
        anchor = "end" if lane.direction > 0 else "start"
        shift = -lane.direction * 12
        group.text(shift, center, step.stream_factor, SMALL, "muted", anchor=anchor)


def draw_added(rise: Rise, plan: ColumnPlan) -> None:
    """Draw what joins the stream at the end of the layer, from outside."""
    for box in plan.column.added:
        center = rise.plus()
        inner = -plan.outer
        anchor = "start" if inner > 0 else "end"
        rise.group.text(inner * 12, center - 9, box.title, SMALL, "muted", anchor=anchor)
        plan.inlets.append(Inlet(box.inlet, inner * 7, center))


def draw_inlets(group: Group, plan: ColumnPlan) -> None:
    """Draw the lines of what enters from outside: the lowest is the innermost."""
    if not plan.wired:
        return
    for i, inlet in enumerate(plan.inlets):
        x = -plan.outer * (plan.half + GAP + 8 * i)
        group.wire((x, 0), (x, inlet.y), (inlet.x, inlet.y), arrow=True)
        group.anchors[f"inlet:{inlet.path}:{i}"] = Area(x, 0, 0, 0)


# Several streams


def draw_with_predicted_streams(rise: Rise, plan: ColumnPlan) -> None:
    """Draw alternating updates: one stream passes the steps, the others are predicted, corrected.

    The active stream is the axis. The others run outside of the residual lines.
    """
    assert plan.streams is not None
    count = plan.streams.count
    lines = plan.stream_lines[: max(count - 1, 1)]
    predict = (f"predict {count} streams from all", f"predict {count} streams", "predict")
    bottom = draw_bar(rise, plan, lines, predict)
    draw_steps(rise, plan)
    correct = (f"correct {count} streams by the active one", f"correct {count} streams", "correct")
    top = draw_bar(rise, plan, lines, correct)
    for x in lines:
        rise.group.wire((x, bottom.y), (x, top.bottom))


def draw_bar(rise: Rise, plan: ColumnPlan, lines: Sequence[float], texts: Sequence[str]) -> Area:
    """Lead the axis and further lines into one bar; return its place.

    rise: the axis.
    plan: the column.
    lines: where the further lines run.
    texts: what the bar does, from the longest; the first that has room is written.
    """
    rise.up(12, arrow=True)
    far = lines[-1]
    room = abs(far) + 8 + plan.half
    fitting = (text for text in texts if text_width(text, SMALL) + 20 <= room)
    text = next(fitting, texts[-1])
    reach = max(10.0, text_width(text, SMALL) + 20 - abs(far) - 8)
    left, right = far - 8, reach
    if far > 0:
        left, right = -reach, far + 8
    area = Area(left, rise.y - 17, right - left, 17)
    rise.group.add(Rectangle(area, "io", 4))
    rise.group.text(area.center, area.middle, text, SMALL, anchor="middle")
    rise.y -= 17
    return area


def draw_with_mixed_streams(rise: Rise, plan: ColumnPlan) -> None:
    """Draw hyper-connections: each step reads a sum of all streams, and its output mixes them.

    The streams run outside; the axis has the blocks alone. Streams keep their order at both turns.
    """
    lines = plan.stream_lines
    half = SPACING * (len(lines) - 1) / 2
    entries = [-half + SPACING * i for i in range(len(lines))]
    lanes = sorted(lines)
    group = rise.group
    turns = [10 + SPACING * i for i in range(len(lines))]
    if plan.outer > 0:
        turns.reverse()
    lowest = rise.y - max(turns)
    for entry, x, turn in zip(entries, lanes, turns, strict=True):
        group.wire((entry, rise.y), (entry, rise.y - turn), (x, rise.y - turn), (x, lowest))
    rise.y = lowest
    bundle = Bundle(lanes, rise.y)
    for i, step in enumerate(plan.column.steps):
        draw_mixed_step(rise, plan, i, step, bundle)
    turns.reverse()
    top = rise.y - 6
    for entry, x, turn in zip(entries, lanes, turns, strict=True):
        end = (entry, top - max(turns) - 6)
        group.wire((x, bundle.y), (x, top - turn), (entry, top - turn), end)
    rise.y = top - max(turns) - 6
    if plan.column.closing or plan.column.added:
        group.wire((entries[0], rise.y), (entries[-1], rise.y))
    else:
        plan.exits = entries


@dataclass(slots=True)
class Bundle:
    """The lines of several streams, drawn up to a height."""

    lines: list[float]
    y: float

    @property
    def center(self) -> float:
        """Return the middle of the lines."""
        return (self.lines[0] + self.lines[-1]) / 2

    def up(self, group: Group, y: float) -> None:
        """Draw the lines on to a height."""
        for x in self.lines:
            group.wire((x, self.y), (x, y))
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
    side = read.x if plan.outer > 0 else read.right
    group.wire((side, read.middle), (0, read.middle), (0, read.middle - 14))
    rise.y = read.middle - 14
    if step.skip_from is not None:
        rise.pill(Pill(text=f"reads what step {step.skip_from + 1} reads", role="io"))
    draw_norm(rise, step)
    draw_blocks(rise, plan, i)
    for factor in (step.factor, step.stream_factor and f"streams {step.stream_factor}"):
        rise.pill(Pill(text=factor, role="io") if factor else None)
    rise.pill(step.after_norm)
    rise.up(12)
    mix = draw_on_bundle(group, bundle, rise.y + 8.5, "mix")
    side = mix.x if plan.outer > 0 else mix.right
    group.wire((0, rise.y), (side, mix.middle), arrow=True)
    rise.y = mix.y


def draw_exits(rise: Rise, plan: ColumnPlan, length: float) -> None:
    """Draw the streams on to the end of the layer."""
    for x in plan.exits:
        rise.group.wire((x, rise.y), (x, rise.y - length))
    rise.y -= length


def draw_on_bundle(group: Group, bundle: Bundle, y: float, word: str) -> Area:
    """Draw a small box that all streams pass; return its place.

    group: where it is drawn.
    bundle: the streams.
    y: its lower edge.
    word: what it does.
    """
    box = small_box(word)
    bundle.up(group, y)
    area = Area(bundle.center - box.width / 2, y - box.height, box.width, box.height)
    group.place_corner(box, area.x, area.y)
    bundle.y = area.y
    return area


# The frame


def framed(rise: Rise, plan: ColumnPlan, alone: bool) -> Group:
    """Return a column in its frame, with the kinds of layers above.

    rise: the drawn steps.
    plan: the column.
    alone: whether it is the only kind of layers, whose name stands under the strip.
    """
    kinds = plan.column.kinds
    heads = [f"{kind.count} ×" if alone else f"{kind.count} × {kind.words}" for kind in kinds]
    drawn = rise.group
    left, right = drawn.bounds.left - GAP - 2, drawn.bounds.right + GAP + 2
    needed = max(text_width(head, FACT, bold=True) for head in heads) + 24
    extra = max(0.0, needed - (right - left)) / 2
    area = Area(left - extra, rise.y, right - left + 2 * extra, -rise.y)
    group = Group()
    frame(group, area, "block", 12)
    group.place(drawn, 0, 0)
    group.anchors |= {"frame": area, "in": Area(0, 0, 0, 0), "out": Area(0, rise.y, 0, 0)}
    if alone:
        anchor = "end" if plan.outer > 0 else "start"
        x = area.right - 4 if plan.outer > 0 else area.x + 4
        group.text(x, area.y - 16, heads[0], COUNT, anchor=anchor, bold=True)
        return group
    top = area.y - 6 - 18 * len(kinds)
    for i, (kind, head) in enumerate(zip(kinds, heads, strict=True)):
        middle = top + 18 * i + 9
        swatch = Area(area.x + 2, middle - 5, 10, 10)
        group.add(Rectangle(swatch, f"k{kind.number % KIND_COLOURS}", 2))
        group.text(area.x + 18, middle, head, FACT, bold=True)
    group.bounds.include(Area(area.x, top, 1, 1))
    return group
