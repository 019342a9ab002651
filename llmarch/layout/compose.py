"""Compose a figure: stacks, panels, strips and names on one plane.

A wide figure has panels beside the stacks, joined to their boxes by wedges. A narrow one, for
phones and columns of print, has them below. Three and more models stand in a row over their matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..views.figure.description import Figure, ModelPicture, Panel
from .drawing import Anchor, Area, Drawing, Group, Point, Polygon, Sign, finished
from .matrix import LABELS, matrix_group, matrix_list
from .metrics import COUNT, FACT, LINE_HEIGHT, NAME, SMALL, TITLE, text_width, wrapped_lines
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
LEAST_SCALE = 0.7
"""The smallest factor by which layers are drawn smaller: their texts are 7 px tall then."""
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
    narrow: whether it is at most 400 px wide, where its texts are legible then.
    parts: which of FIGURE_PARTS are drawn.
    """
    margin = NARROW_MARGIN if narrow else MARGIN
    in_row = figure.in_row
    if "panels" not in parts:
        figure = replace(figure, panels=(), matrix=())
    if "layers" not in parts:
        group = without_layers(figure, "strip" in parts, narrow)
    elif narrow:
        group = narrow_group(figure)
    elif in_row:
        group = row_group(figure)
    elif len(figure.models) == 2:
        group = pair_group(figure)
    else:
        group = single_group(figure)
    if "layers" in parts and "strip" in parts:
        width = group.width
        group = with_strips(group, figure, group.bounds.bottom + 24, width)
    group = with_remarks(group, figure)
    return finished(group, margin, figure.title, figure.summary)


def with_remarks(group: Group, figure: Figure) -> Group:
    """Return a group with the warnings of a figure above it and its notes below."""
    room = max(group.width, NARROW_WIDTH)
    whole = Group()
    y = 0.0
    for text in figure.warnings:
        lines = wrapped_lines(text, FACT, room, bold=True, most=9)
        top = y + 8
        bottom = whole.paragraph(0, top, lines, FACT, step=LINE_HEIGHT, bold=True)
        y = bottom - 4
    if figure.warnings:
        y += 16
    whole.place_corner(group, 0, y)
    if figure.notes:
        y = whole.bounds.bottom + 20
    for text in figure.notes:
        lines = wrapped_lines(text, SMALL, room, most=9)
        bottom = whole.paragraph(0, y, lines, SMALL, "muted", step=13)
        y = bottom + 3
    return whole


def stack_drawing(figure: Figure) -> Drawing:
    """Return the stack of a figure's first model alone, for pictures that are small."""
    model = figure.models[0]
    style = StackStyle(tight=len(model.stack.columns) > 2)
    group = stack_group(model.stack, style)
    return finished(group, NARROW_MARGIN, figure.title, figure.title)


def without_layers(figure: Figure, strips: bool, narrow: bool) -> Group:
    """Return the panels of a figure side by side, or the matrix, and its strips if asked for.

    In a narrow figure they stand one below the other.
    """
    each = SINGLE_PANEL if len(figure.models) == 1 else PAIR_PANEL
    per_row = min(len(figure.panels), 3)
    if narrow:
        each, per_row = NARROW_WIDTH, 1
    width = max(each, per_row * (each + PANEL_GAP) - PANEL_GAP)
    group = Group()
    y = 0.0
    if figure.matrix and narrow:
        group.place(matrix_list(figure, width), 0, 0)
        y = group.bounds.bottom + 24
    elif figure.matrix:
        width = LABELS + MATRIX_CELL * len(figure.models)
        matrix = matrix_group(figure, width)
        group.place(matrix, 0, 0)
        y = group.bounds.bottom + 24
    elif figure.panels:
        drawn = drawn_panels(figure.panels, each)
        y = place_further(group, [drawn], width, 0, each)
    if strips:
        group = with_strips(group, figure, y, width)
    return group


def drawn_panels(panels: Sequence[Panel], width: float) -> list[tuple[Panel, Group]]:
    """Return panels, each with its drawing."""
    drawn: list[tuple[Panel, Group]] = []
    for panel in panels:
        group = panel_group(panel, width)
        pair = (panel, group)
        drawn.append(pair)
    return drawn


# Names


def title_group(model: ModelPicture, width: float, anchor: Anchor = "start") -> Group:
    """Return the name of a model over its origin and headline.

    model: the model.
    width: width of the lines.
    anchor: `start`, or `end` for a model on the right.
    """
    x = width if anchor == "end" else 0.0
    size = fitting_size(model.name, width)
    headline = wrapped_lines(model.headline, FACT, width, most=4)
    group = Group()
    group.text(x, 10, model.name, size, anchor=anchor, bold=True, room=width)
    group.text(x, 31, model.origin, FACT, "muted", anchor=anchor, room=width)
    group.paragraph(x, 47, headline, FACT, step=14, anchor=anchor)
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
    flag = Sign("flag", width + 32, 7)
    group.add(flag)
    left = width + 50
    form_width = text_width("form differs", FACT)
    marker(group, left, 7, form_width, "start", "form")
    group.text(left, 7, "form differs")
    return group


# One model


def single_group(figure: Figure) -> Group:
    """Return one model: its stack, and panels beside it."""
    (model,) = figure.models
    style = StackStyle(tight=len(model.stack.columns) > 2)
    stack = stack_group(model.stack, style)
    columns = single_columns(figure, stack)
    heights = [column_height(column) for column in columns]
    tallest = max(heights, default=0.0)
    layers = stack.anchors["layers"]
    overhang = stack.bounds.bottom - layers.bottom
    edge = stack.bounds.right
    room = stack.height
    if tallest <= stack.height - overhang:
        edge = right_above(stack, layers.bottom + 8)
        room = stack.height - overhang
    left = -stack.bounds.left
    panels_width = 0.0
    if columns:
        panels_width = len(columns) * (SINGLE_PANEL + 20) - 20
    width = max(stack.width, left + edge + GUTTER + panels_width)
    group = Group()
    y = place_heading(group, model, width)
    top = y + (max(stack.height, tallest) - stack.height) / 2
    facing = Facing(stack, left, top - stack.bounds.top, 0)
    group.place(stack, facing.x, facing.y)
    x = left + edge + GUTTER
    places: dict[str, Area] = {}
    for column, height in zip(columns, heights, strict=True):
        place_panels(group, column, x, top + (room - height) / 2, places, SINGLE_PANEL)
        x += SINGLE_PANEL + 20
    if columns:
        names = [panel.key for panel, _ in columns[0]]
        draw_wedges(group, figure, [facing], names, places)
    return group


def place_heading(group: Group, model: ModelPicture, width: float) -> float:
    """Place the name and the call-outs of a model; return the height below them."""
    title = title_group(model, width)
    group.place(title, 0, 0)
    below_title = group.bounds.bottom
    calls = call_outs(model.facts, width)
    top = below_title + 22
    group.place(calls, 0, top)
    below_calls = group.bounds.bottom
    return below_calls + 28


def single_columns(figure: Figure, stack: Group) -> list[list[tuple[Panel, Group]]]:
    """Return the panels beside a stack in columns; those about other things than its layers last.

    One column holds all where they are no taller than the stack.
    """
    panels = sorted_panels(figure, [stack], figure.panels)
    drawn = drawn_panels(panels, SINGLE_PANEL)
    most = max(stack.height + 60, TALL)
    if column_height(drawn) <= stack.height:
        return panel_columns(drawn, most)
    blocks = [item for item in drawn if item[0].role not in OUTSIDE]
    outside = [item for item in drawn if item[0].role in OUTSIDE]
    return [*panel_columns(blocks, most), *panel_columns(outside, most)]


def right_above(stack: Group, y: float) -> float:
    """Return the right edge of what a stack has above a height."""
    right = stack.anchors["layers"].right
    for shape in stack.shapes:
        area = getattr(shape, "area", None)
        if not isinstance(area, Area):
            continue
        if area.y < y:
            right = max(right, area.right)
    return right


def panel_columns(
    drawn: Sequence[tuple[Panel, Group]], most: float
) -> list[list[tuple[Panel, Group]]]:
    """Return panels in columns that are not taller than `most`."""
    columns: list[list[tuple[Panel, Group]]] = []
    for item in drawn:
        if not columns or column_height([*columns[-1], item]) > most:
            columns.append([])
        column = columns[-1]
        column.append(item)
    return columns


def column_height(column: Sequence[tuple[Panel, Group]]) -> float:
    """Return the height of panels, one below the other."""
    if not column:
        return 0.0
    heights = [group.height + PANEL_GAP for _, group in column]
    return sum(heights) - PANEL_GAP


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
        place = Area(x, y, width, drawn.height)
        places[panel.key] = place
        y = place.bottom + PANEL_GAP
    return y - PANEL_GAP


# Two models


def pair_group(figure: Figure) -> Group:
    """Return two models on the sides of their panels."""
    stacks = pair_stacks(figure)
    left, right = stacks
    tallest = max(left.height, right.height)
    overview, others = figure.panels[:1], figure.panels[1:]
    panels = [*overview, *sorted_panels(figure, stacks, others)]
    drawn = drawn_panels(panels, PAIR_PANEL)
    columns = panel_columns(drawn, max(tallest, 1.6 * TALL) + 120)
    main = columns[0] if columns else []
    width = left.width + right.width + 2 * GUTTER
    width += PAIR_PANEL if panels else 2 * GUTTER
    group = Group()
    place_pair_titles(group, figure, width, width / 2 - 90)
    place_key(group, width, 0)
    y = group.bounds.bottom + 20
    height = max(tallest, column_height(main))
    facing = place_stacks(group, stacks, width, y, height)
    places: dict[str, Area] = {}
    x = left.width + GUTTER
    top = y + (height - column_height(main)) / 2
    place_panels(group, main, x, top, places, PAIR_PANEL)
    names = [panel.key for panel, _ in main[1:]]
    draw_wedges(group, figure, facing, names, places)
    place_further(group, columns[1:], width, y + height + 24)
    return group


def pair_stacks(figure: Figure) -> list[Group]:
    """Return the stacks of two models, the second one mirrored."""
    old, new = (model.stack for model in figure.models)
    tight = len(old.columns) + len(new.columns) > 2
    left = stack_group(old, StackStyle(tight=tight))
    right = stack_group(new, StackStyle(tight=tight, mirrored=True))
    return [left, right]


def place_pair_titles(group: Group, figure: Figure, width: float, each: float) -> None:
    """Place the names of two models at the sides of a figure.

    group: where they are placed.
    figure: the figure.
    width: its width.
    each: the width of each name.
    """
    old, new = figure.models
    left = title_group(old, each)
    group.place(left, 0, 0)
    right = title_group(new, each, "end")
    x = width - each
    group.place(right, x, 0)


def place_key(group: Group, width: float, y: float) -> None:
    """Place what the marks of a pair mean in the middle of a figure."""
    key = key_group()
    room = width - key.width
    left = room / 2
    group.place(key, left, y)


def place_stacks(
    group: Group, stacks: Sequence[Group], width: float, y: float, height: float
) -> list[Facing]:
    """Place two stacks at the sides of a figure, in the middle of a height.

    group: where they are placed.
    stacks: the stacks.
    width: the width of the figure.
    y: the height above them.
    height: the height in whose middle they stand.
    """
    facing: list[Facing] = []
    for side, stack in enumerate(stacks):
        x = -stack.bounds.left
        if side == 1:
            x = width - stack.bounds.right
        top = y + (height - stack.height) / 2
        placed = Facing(stack, x, top - stack.bounds.top, side)
        group.place(stack, placed.x, placed.y)
        facing.append(placed)
    return facing


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
    panels = [drawn for column in columns for _, drawn in column]
    if not panels:
        return y
    step = each + PANEL_GAP
    per_row = max(1, int((width + PANEL_GAP) // step))
    left = (width - per_row * step + PANEL_GAP) / 2
    bottoms = [y] * per_row
    for drawn in panels:
        highest = min(bottoms)
        i = bottoms.index(highest)
        group.place(drawn, left + i * step, highest)
        bottoms[i] = highest + drawn.height + PANEL_GAP
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
            is_block = name.startswith("facing/") and "/block:" in name
            if is_block:
                found[name] = area.moved(self.x, self.y)
        return found

    def box_of(self, key: str) -> Area | None:
        """Return the topmost box of a panel's class with nothing between it and the panels."""
        names = key.split("|")
        name = names[-1] if self.side else names[0]
        blocks = self.blocks()
        others = list(blocks.values())
        found = [area for anchor, area in blocks.items() if f"/block:{name}#" in anchor]
        clear = [area for area in found if not self.is_behind(area, others)]
        return min(clear, key=lambda area: area.y, default=None)

    def is_behind(self, area: Area, others: Sequence[Area]) -> bool:
        """Return whether another box stands between a box and the panels."""
        for other in others:
            is_level = other.y < area.bottom and area.y < other.bottom
            is_nearer = other.x > area.x
            if self.side == 1:
                is_nearer = other.x < area.x
            if is_level and is_nearer:
                return True
        return False


def sorted_panels(figure: Figure, stacks: Sequence[Group], panels: Sequence[Panel]) -> list[Panel]:
    """Return panels by the height of their boxes, so that wedges do not cross."""
    facing: list[Facing] = []
    for side, stack in enumerate(stacks):
        placed = Facing(stack, 0, -stack.bounds.top, side)
        facing.append(placed)

    def height(panel: Panel) -> float:
        for placed in facing:
            box = placed.box_of(panel.key)
            if box is not None:
                return box.y
        return 1e6

    return sorted(panels, key=height)


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
        last = 0.0
        for name in names:
            box = side.box_of(name)
            if box is None or box.y < last:
                continue
            last = box.bottom
            panel = places[name]
            points = wedge_points(side, box, panel)
            css = f"wedge {roles[name]}"
            group.add(Polygon(points, css))


def wedge_points(side: Facing, box: Area, panel: Area) -> tuple[Point, ...]:
    """Return the corners of the wedge from a box over the edge of its column to its panel."""
    column = side.stack.anchors["facing/frame"].moved(side.x, side.y)
    near, edge, far = box.right, column.right, panel.x
    if side.side == 1:
        near, edge, far = box.x, column.x, panel.right
    return (
        (near, box.y),
        (edge, box.y),
        (far, panel.y + 4),
        (far, panel.bottom - 4),
        (edge, box.bottom),
        (near, box.bottom),
    )


# Narrow


def narrow_group(figure: Figure) -> Group:
    """Return a figure of one column: stacks, then panels or the matrix, then strips."""
    stacks = narrow_stacks(figure)
    widths = [stack.width for stack in stacks]
    width = max(NARROW_WIDTH, *widths)
    group = Group()
    if len(stacks) == 2 and sum(widths) + 16 <= NARROW_WIDTH:
        place_pair_titles(group, figure, width, (width - 12) / 2)
        y = group.bounds.bottom + 20
        height = max(stack.height for stack in stacks)
        place_stacks(group, stacks, width, y, height)
        y += height + 20
    else:
        y = place_in_turn(group, figure, stacks, width)
    if figure.matrix:
        group.place(matrix_list(figure, width), 0, y)
        return group
    if len(stacks) == 2:
        place_key(group, width, y)
        y += 26
    panels = drawn_panels(figure.panels, width)
    place_panels(group, panels, 0, y, {}, width)
    return group


def narrow_stacks(figure: Figure) -> list[Group]:
    """Return the stacks of models for a narrow figure, the second one mirrored.

    Those that are wider than it are drawn smaller, with their texts, as long as these are legible.
    """
    stacks: list[Group] = []
    for side, model in enumerate(figure.models):
        is_second = side == 1
        style = StackStyle(tight=True, room=NARROW_WIDTH, mirrored=is_second)
        stack = stack_group(model.stack, style)
        if stack.width > NARROW_WIDTH:
            stack = stack.scaled(max(LEAST_SCALE, NARROW_WIDTH / stack.width))
        stacks.append(stack)
    return stacks


def place_in_turn(group: Group, figure: Figure, stacks: Sequence[Group], width: float) -> float:
    """Place each model below the one before; return the height below them.

    group: where they are placed.
    figure: the figure.
    stacks: the stack of each model.
    width: the width of the figure.
    """
    y = 0.0
    for model, stack in zip(figure.models, stacks, strict=True):
        title = title_group(model, width)
        group.place(title, 0, y)
        y = group.bounds.bottom + 18
        if len(stacks) == 1:
            calls = call_outs(model.facts, width)
            group.place(calls, 0, y)
            y = group.bounds.bottom + 22
        left = (width - stack.width) / 2
        group.place_corner(stack, left, y)
        y += stack.height + 24
    return y


def with_strips(group: Group, figure: Figure, y: float, width: float) -> Group:
    """Return a group with the strips of all models below a height."""
    strips = [model.strip for model in figure.models]
    longest = max(1, *(len(strip.layers) for strip in strips))
    several = len(strips) > 1
    for strip in strips:
        drawn = strip_group(strip, width / longest, width, named=several)
        group.place(drawn, 0, y)
        y += drawn.bounds.bottom + 12
    return group


# Three and more


def row_group(figure: Figure) -> Group:
    """Return models in a row over the matrix of what differs, and their strips."""
    style = StackStyle(tight=True)
    stacks = [stack_group(model.stack, style) for model in figure.models]
    widths = [max(stack.width, 200.0) for stack in stacks]
    group = Group()
    x = 0.0
    for model, width in zip(figure.models, widths, strict=True):
        title = title_group(model, width)
        group.place(title, x, 0)
        x += width + GUTTER
    whole = x - GUTTER
    y = group.bounds.bottom + 20
    floor = y + max(stack.height for stack in stacks)
    x = 0.0
    for stack, width in zip(stacks, widths, strict=True):
        left = x + (width - stack.width) / 2
        group.place_corner(stack, left, floor - stack.height)
        x += width + GUTTER
    if figure.matrix:
        matrix = matrix_group(figure, whole)
        group.place(matrix, 0, floor + 24)
    return group
