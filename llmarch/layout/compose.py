"""Compose a figure: stacks, panels, strips and names on one plane.

A wide figure has panels beside the stacks, joined to their boxes by wedges. A narrow one, for
phones and columns of print, has them below. Three and more models stand in a row over their matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..views.figure.description import Figure, ModelPicture, Panel
from .drawing import Area, Drawing, Group, Polygon, Sign, finished
from .matrix import LABELS, matrix_group
from .metrics import COUNT, FACT, NAME, TITLE, text_width, wrapped_lines
from .panels import call_outs, panel_group, strip_group
from .parts import marker
from .stacks import StackStyle, stack_group

MARGIN = 24.0
NARROW_MARGIN = 12.0
GUTTER = 40.0
PANEL_GAP = 12.0
SINGLE_PANEL, PAIR_PANEL = 268.0, 372.0
NARROW_WIDTH = 376.0
"""Width of a narrow figure without its margin."""
OUTSIDE = ("io", "tower")
"""Roles of panels about what is not in the layers."""
MATRIX_CELL = 200.0
"""Width of a model's column in a matrix without stacks."""
TALL = 720.0
"""Height at which panels begin a further column."""


FIGURE_PARTS = frozenset(("layers", "panels", "strip"))
"""Parts of a figure."""


def drawing(
    figure: Figure, *, narrow: bool = False, parts: frozenset[str] = FIGURE_PARTS
) -> Drawing:
    """Return a figure with places.

    figure: what it shows.
    narrow: whether it is at most 400 px wide, where its boxes allow it.
    parts: which of FIGURE_PARTS are drawn.
    """
    margin = MARGIN
    if "panels" not in parts:
        figure = replace(figure, panels=(), matrix=())
    if "layers" not in parts:
        group = without_layers(figure, "strip" in parts)
    elif len(figure.models) > 2:
        group = row_group(figure)
    elif narrow:
        margin = NARROW_MARGIN
        group = narrow_group(figure)
    elif len(figure.models) == 2:
        group = pair_group(figure)
    else:
        group = single_group(figure)
    if "layers" in parts and "strip" in parts:
        width = group.width
        group = with_strips(group, figure, group.bounds.bottom + 24, width)
    return finished(group, margin, figure.title, figure.summary)


def without_layers(figure: Figure, strips: bool) -> Group:
    """Return the panels of a figure side by side, or the matrix, and its strips if asked for."""
    each = SINGLE_PANEL if len(figure.models) == 1 else PAIR_PANEL
    width = max(each, min(len(figure.panels), 3) * (each + PANEL_GAP) - PANEL_GAP)
    group = Group()
    y = 0.0
    if figure.matrix:
        width = LABELS + MATRIX_CELL * len(figure.models)
        group.place(matrix_group(figure, width), 0, 0)
        y = group.bounds.bottom + 24
    elif figure.panels:
        drawn = [(panel, panel_group(panel, each)) for panel in figure.panels]
        y = place_further(group, [drawn], width, 0, each)
    if strips:
        group = with_strips(group, figure, y, width)
    return group


# Names


def title_group(model: ModelPicture, width: float, anchor: str = "start") -> Group:
    """Return the name of a model over its origin and headline.

    model: the model.
    width: width of the lines.
    anchor: `start`, or `end` for a model on the right.
    """
    group = Group()
    x = width if anchor == "end" else 0.0
    at = "end" if anchor == "end" else "start"
    size = fitting_size(model.name, width)
    group.text(x, 10, model.name, size, anchor=at, bold=True, room=width)
    group.text(x, 31, model.origin, FACT, "muted", anchor=at, room=width)
    for i, line in enumerate(wrapped_lines(model.headline, FACT, width, most=4)):
        group.text(x, 47 + 14 * i, line, FACT, anchor=at)
    return group


def fitting_size(name: str, width: float) -> float:
    """Return the largest size at which a name fits, the smallest where it never does."""
    for size in (NAME, COUNT):
        if text_width(name, size, bold=True) <= width:
            return size
    return TITLE


def key_group() -> Group:
    """Return what the marks of a pair mean."""
    group = Group()
    width = text_width("size differs", FACT)
    marker(group, 4, 7, width, "start")
    group.text(4, 7, "size differs")
    group.add(Sign("flag", width + 32, 7))
    group.text(width + 46, 7, "form differs")
    return group


# One model


def single_group(figure: Figure) -> Group:
    """Return one model: its stack, and panels beside it."""
    model = figure.models[0]
    stack = stack_group(model.stack, StackStyle(tight=len(model.stack.columns) > 2))
    panels = sorted_panels(figure, [stack])
    drawn = [(panel, panel_group(panel, SINGLE_PANEL)) for panel in panels]
    most = max(stack.height + 60, TALL)
    blocks = [item for item in drawn if item[0].role not in OUTSIDE]
    outside = [item for item in drawn if item[0].role in OUTSIDE]
    if column_height(drawn) <= stack.height:
        blocks, outside = drawn, []
    columns = [*panel_columns(blocks, most), *panel_columns(outside, most)]
    panels_width = len(columns) * (SINGLE_PANEL + 20) - 20 if drawn else 0.0
    tallest = max((column_height(column) for column in columns), default=0.0)
    layers = stack.anchors["layers"]
    below = stack.bounds.bottom - layers.bottom
    edge = stack.bounds.right
    room = stack.height
    if tallest <= stack.height - below:
        edge = right_above(stack, layers.bottom + 8)
        room = stack.height - below
    width = max(stack.width, edge - stack.bounds.left + GUTTER + panels_width)
    group = Group()
    group.place(title_group(model, width), 0, 0)
    y = group.bounds.bottom + 22
    calls = call_outs(model.facts, width)
    group.place(calls, 0, y)
    y = group.bounds.bottom + 28
    height = max(stack.height, tallest)
    left = -stack.bounds.left
    top = y + (height - stack.height) / 2 - stack.bounds.top
    group.place(stack, left, top)
    x = left + edge + GUTTER
    places: dict[str, Area] = {}
    for i, column in enumerate(columns):
        at = y + (max(height, room) - column_height(column)) / 2
        if room < stack.height:
            at = top + stack.bounds.top + (room - column_height(column)) / 2
        place_panels(group, column, x, at, places, SINGLE_PANEL)
        x += SINGLE_PANEL + 20
        if i == 0:
            names = [panel.key for panel, _ in column]
            draw_wedges(group, figure, [Facing(stack, left, top, 0)], names, places)
    return group


def right_above(stack: Group, y: float) -> float:
    """Return the right edge of what a stack has above a height."""
    right = stack.anchors["layers"].right
    for shape in stack.shapes:
        area = getattr(shape, "area", None)
        if isinstance(area, Area) and area.y < y:
            right = max(right, area.right)
    return right


def panel_columns(
    drawn: Sequence[tuple[Panel, Group]], most: float
) -> list[list[tuple[Panel, Group]]]:
    """Return panels in columns that are not taller than `most`."""
    columns: list[list[tuple[Panel, Group]]] = [[]]
    for item in drawn:
        if columns[-1] and column_height([*columns[-1], item]) > most:
            columns.append([])
        columns[-1].append(item)
    return [column for column in columns if column]


def column_height(column: Sequence[tuple[Panel, Group]]) -> float:
    """Return the height of panels, one below the other."""
    if not column:
        return 0.0
    return sum(group.height + PANEL_GAP for _, group in column) - PANEL_GAP


def place_panels(
    group: Group,
    column: Sequence[tuple[Panel, Group]],
    x: float,
    y: float,
    places: dict[str, Area],
    width: float,
) -> float:
    """Place panels one below the other; return the height below them.

    group: where they are placed.
    column: the panels.
    x, y: upper left corner of the first one.
    places: gets the place of each, by its key.
    width: their width.
    """
    for panel, drawn in column:
        group.place(drawn, x, y)
        places[panel.key] = Area(x, y, width, drawn.height)
        y += drawn.height + PANEL_GAP
    return y - PANEL_GAP


# Two models


def pair_group(figure: Figure) -> Group:
    """Return two models on the sides of their panels."""
    tight = sum(len(model.stack.columns) for model in figure.models) > 2
    styles = [StackStyle(tight=tight), StackStyle(tight=tight, mirrored=True)]
    stacks = [
        stack_group(model.stack, style) for model, style in zip(figure.models, styles, strict=True)
    ]
    panels = [*figure.panels[:1], *sorted_panels(figure, stacks, figure.panels[1:])]
    drawn = [(panel, panel_group(panel, PAIR_PANEL)) for panel in panels]
    columns = panel_columns(drawn, max(stacks[0].height, stacks[1].height, 1.6 * TALL) + 120)
    main, further = (columns or [[]])[0], columns[1:]
    width = stacks[0].width + stacks[1].width + 2 * GUTTER
    width += PAIR_PANEL if panels else 2 * GUTTER
    group = Group()
    half = width / 2 - 90
    group.place(title_group(figure.models[0], half), 0, 0)
    group.place(title_group(figure.models[1], half, "end"), width - half, 0)
    key = key_group()
    group.place(key, width / 2 - key.width / 2, 0)
    y = group.bounds.bottom + 20
    height = max(stacks[0].height, stacks[1].height, column_height(main))
    facing: list[Facing] = []
    for i, stack in enumerate(stacks):
        left = -stack.bounds.left if i == 0 else width - stack.bounds.right
        top = y + (height - stack.height) / 2 - stack.bounds.top
        group.place(stack, left, top)
        facing.append(Facing(stack, left, top, i))
    places: dict[str, Area] = {}
    x = stacks[0].width + GUTTER
    place_panels(group, main, x, y + (height - column_height(main)) / 2, places, PAIR_PANEL)
    names = [panel.key for panel, _ in main[1:]]
    draw_wedges(group, figure, facing, names, places)
    place_further(group, further, width, y + height + 24)
    return group


def place_further(
    group: Group,
    columns: Sequence[list[tuple[Panel, Group]]],
    width: float,
    y: float,
    each: float = PAIR_PANEL,
) -> float:
    """Place panels for which there is no room between the models below them, side by side.

    group: where they are placed.
    columns: the panels.
    width: the width of the figure.
    y: the height above them.
    each: the width of a panel.
    Returns the height below them.
    """
    panels = [item for column in columns for item in column]
    if not panels:
        return y
    step = each + PANEL_GAP
    across = max(1, int((width + PANEL_GAP) // step))
    left = (width - across * step + PANEL_GAP) / 2
    bottoms = [y] * across
    for _, drawn in panels:
        i = bottoms.index(min(bottoms))
        group.place(drawn, left + i * step, bottoms[i])
        bottoms[i] += drawn.height + PANEL_GAP
    return max(bottoms) + PANEL_GAP


# Wedges


@dataclass(frozen=True, slots=True)
class Facing:
    """A stack and its place; the column beside the panels is the one that faces them."""

    stack: Group
    x: float
    y: float
    side: int
    """0 on the left of the panels, 1 on their right."""

    def blocks(self) -> dict[str, Area]:
        """Return the places of the blocks of the facing column, by anchor."""
        found: dict[str, Area] = {}
        for name, area in self.stack.anchors.items():
            if name.startswith("facing/") and "/block:" in name:
                found[name] = area.moved(self.x, self.y)
        return found

    def box_of(self, key: str) -> Area | None:
        """Return the topmost box of a panel's class with nothing between it and the panels."""
        name = (key.split("|") * 2)[self.side]
        blocks = self.blocks()
        found = [a for anchor, a in blocks.items() if f"/block:{name}#" in anchor]
        clear = [area for area in found if not self.is_behind(area, list(blocks.values()))]
        return min(clear, key=lambda area: area.y, default=None)

    def is_behind(self, area: Area, others: Sequence[Area]) -> bool:
        """Return whether another box stands between a box and the panels."""
        for other in others:
            level = other.y < area.bottom and area.y < other.bottom
            between = other.x > area.x if self.side == 0 else other.x < area.x
            if level and between:
                return True
        return False


def sorted_panels(
    figure: Figure, stacks: Sequence[Group], panels: Sequence[Panel] | None = None
) -> list[Panel]:
    """Return panels by the height of their boxes, so that wedges do not cross."""

    def height(panel: Panel) -> float:
        for side, stack in enumerate(stacks):
            box = Facing(stack, 0, -stack.bounds.top, side).box_of(panel.key)
            if box is not None:
                return box.y
        return 1e6

    return sorted(figure.panels if panels is None else panels, key=height)


def draw_wedges(
    group: Group,
    figure: Figure,
    facing: Sequence[Facing],
    names: Sequence[str],
    places: dict[str, Area],
) -> None:
    """Draw wedges from boxes to their panels, where they keep the order of the panels.

    group: where they are drawn.
    figure: the figure.
    facing: the stacks beside the panels.
    names: keys of the panels, from above.
    places: the place of each panel.
    """
    roles = {panel.key: panel.role for panel in figure.panels}
    for side in facing:
        frame = side.stack.anchors["facing/frame"].moved(side.x, side.y)
        last = 0.0
        for name in names:
            box = side.box_of(name)
            if box is None or box.y < last:
                continue
            last = box.bottom
            panel = places[name]
            near, edge, far = box.right, frame.right, panel.x
            if side.side:
                near, edge, far = box.x, frame.x, panel.right
            points = (
                (near, box.y),
                (edge, box.y),
                (far, panel.y + 4),
                (far, panel.bottom - 4),
                (edge, box.bottom),
                (near, box.bottom),
            )
            group.add(Polygon(points, f"wedge {roles[name]}"))


# Narrow


def narrow_group(figure: Figure) -> Group:
    """Return a figure of one column: stacks, then panels, then strips."""
    style = [
        StackStyle(tight=True, room=NARROW_WIDTH),
        StackStyle(tight=True, room=NARROW_WIDTH, mirrored=True),
    ]
    stacks = [stack_group(m.stack, s) for m, s in zip(figure.models, style, strict=False)]
    side_by_side = sum(stack.width for stack in stacks) + 16 <= NARROW_WIDTH
    width = max(NARROW_WIDTH, *(stack.width for stack in stacks))
    group = Group()
    y = 0.0
    if side_by_side and len(stacks) == 2:
        half = (width - 12) / 2
        left = title_group(figure.models[0], half)
        right = title_group(figure.models[1], half, "end")
        group.place(left, 0, 0)
        group.place(right, width - half, 0)
        y = group.bounds.bottom + 20
        height = max(stack.height for stack in stacks)
        for i, stack in enumerate(stacks):
            x = -stack.bounds.left if i == 0 else width - stack.bounds.right
            group.place(stack, x, y + (height - stack.height) / 2 - stack.bounds.top)
        y += height + 20
    else:
        for model, stack in zip(figure.models, stacks, strict=True):
            group.place(title_group(model, width), 0, y)
            y = group.bounds.bottom + 18
            if len(stacks) == 1:
                group.place(call_outs(model.facts, width), 0, y)
                y = group.bounds.bottom + 22
            group.place_corner(stack, (width - stack.width) / 2, y)
            y += stack.height + 24
    if len(figure.models) == 2:
        key = key_group()
        group.place(key, width / 2 - key.width / 2, y)
        y += 26
    drawn = [(panel, panel_group(panel, width)) for panel in figure.panels]
    if drawn:
        place_panels(group, drawn, 0, y, {}, width)
    return group


def with_strips(group: Group, figure: Figure, y: float, width: float) -> Group:
    """Return a group with the strips of all models below a height."""
    cell = width / max(len(model.strip.layers) for model in figure.models)
    for model in figure.models:
        strip = strip_group(model.strip, cell, width, named=len(figure.models) > 1)
        group.place(strip, 0, y)
        y += strip.bounds.bottom + 12
    return group


# Three and more


def row_group(figure: Figure) -> Group:
    """Return models in a row over the matrix of what differs, and their strips."""
    style = StackStyle(tight=True)
    stacks = [stack_group(model.stack, style) for model in figure.models]
    widths = [max(stack.width, 200.0) for stack in stacks]
    group = Group()
    x = 0.0
    tops: list[Group] = []
    for model, width in zip(figure.models, widths, strict=True):
        title = title_group(model, width)
        group.place(title, x, 0)
        tops.append(title)
        x += width + GUTTER
    y = group.bounds.bottom + 20
    height = max(stack.height for stack in stacks)
    x = 0.0
    for stack, width in zip(stacks, widths, strict=True):
        group.place_corner(stack, x + (width - stack.width) / 2, y + height - stack.height)
        x += width + GUTTER
    whole = x - GUTTER
    if figure.matrix:
        group.place(matrix_group(figure, whole), 0, y + height + 24)
    return group
