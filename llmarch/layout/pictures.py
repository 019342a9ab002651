"""Pictures of blocks, to scale: heads, widths, experts, chains of parts.

Each is drawn from the origin to the right and down, and is as wide as it is asked to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..views.figure.description import (
    BarsPicture,
    ChainPicture,
    ExpertsPicture,
    HeadsPicture,
    Picture,
)
from .drawing import Area, Cells, Group, Rectangle
from .metrics import SMALL, text_width

GOLDEN = 0.6180339887
"""Spreads the chosen experts, always the same ones."""
RAGGED_GAIN = 0.72
"""A grid with a ragged last row is taken if cells of a full one are smaller by this factor."""
TALLEST_GRID = 80.0
LARGEST_CELL = 22.0
SHARED_ROOM = 46.0
MOST_HEADS = 256
"""Heads that are drawn; of more, an equal share is."""


def pictures_group(pictures: Sequence[Picture], width: float) -> Group:
    """Return pictures, one below the other."""
    group = Group()
    y = 0.0
    for picture in pictures:
        drawn = picture_group(picture, width)
        group.place(drawn, 0, y)
        y += drawn.bounds.bottom + 6
    return group


def picture_group(picture: Picture, width: float) -> Group:
    """Return one picture."""
    match picture:
        case HeadsPicture():
            return heads_group(picture, width)
        case BarsPicture():
            return bars_group(picture, width)
        case ExpertsPicture():
            return experts_group(picture, width)
        case ChainPicture():
            return chain_group(picture, width)


def heads_group(picture: HeadsPicture, width: float) -> Group:
    """Return query heads as squares over the key and value heads that they share."""
    heads = min(picture.heads, MOST_HEADS)
    groups = max(1, min(sharing_groups(picture), heads))
    each = max(1, heads // groups)
    gap = 0.0
    if groups > 1:
        gap = min(4.0, 0.3 * width / groups)
    gaps = gap * (groups - 1)
    step = min(11.0, (width - gaps) / (groups * each))
    thin = 1.5 if step > 4 else 0.5
    square = max(step - thin, 0.8)
    tall = min(9.0, max(step, 5.0))
    key = max(each * step - thin, 0.8)
    x = (width - groups * each * step - gaps) / 2
    queries: list[Area] = []
    keys: list[Area] = []
    for _ in range(groups):
        for q in range(each):
            left = x + q * step
            queries.append(Area(left, 0, square, tall))
        keys.append(Area(x, 12, key, 7))
        x += each * step + gap
    colour = "linear" if picture.linear else "attention"
    group = Group()
    group.add(Cells(tuple(queries), f"{colour}-light"))
    group.add(Cells(tuple(keys), f"{colour}-full"))
    group.bounds.include(Area(0, 0, width, 20))
    return group


def sharing_groups(picture: HeadsPicture) -> int:
    """Return how many groups of query heads share a key and value head."""
    if picture.heads % max(picture.kv_heads, 1):
        return picture.heads
    return picture.kv_heads


def bars_group(picture: BarsPicture, width: float) -> Group:
    """Return widths as bars; what is kept of the stream is filled."""
    most = max(length for _, length in picture.bars)
    labels = [text_width(label, SMALL) for label, _ in picture.bars]
    left = max(labels) + 8
    room = width - left
    last = len(picture.bars) - 1
    group = Group()
    for i, (label, length) in enumerate(picture.bars):
        y = 13 * i
        group.text(0, y + 5, label, SMALL, "muted")
        css = f"{picture.role}-light"
        if picture.last_is_kept and i == last:
            css = f"{picture.role}-full"
        shown = room * length / max(most, 1)
        bar = Area(left, y, max(shown, 1.5), 9)
        group.add(Rectangle(bar, css, 1.5))
    height = 13 * len(picture.bars) - 2
    group.bounds.include(Area(0, 0, width, height))
    return group


# Experts


def experts_group(picture: ExpertsPicture, width: float) -> Group:
    """Return routed experts as a grid over their router, beside those that serve every token."""
    side = SHARED_ROOM if picture.shared else 0.0
    room = width - side
    grid = expert_grid(picture, room)
    group = Group()
    draw_experts(group, picture, grid)
    height = max(grid.rows * grid.step, 14.0)
    if picture.shared:
        center = grid.right + 28
        bottom = draw_shared(group, picture.shared, center, grid.step, grid.rows)
        height = max(height, bottom)
        group.text(center, height + 10, "shared", SMALL, "muted", anchor="middle")
    widest = max(grid.right - grid.left, text_width("router", SMALL) + 4)
    router = Area(grid.left, height + 3, widest, 14)
    group.add(Rectangle(router, "moe-light", 3))
    group.text(router.center, router.middle, "router", SMALL, anchor="middle")
    group.bounds.include(Area(0, 0, width, height + 18))
    return group


class ExpertGrid(NamedTuple):
    """The grid of the routed experts."""

    left: float
    columns: int
    rows: int
    step: float
    """Size of a cell with the gap after it."""

    @property
    def right(self) -> float:
        """Return the right edge of its cells."""
        width = self.columns * self.step
        return self.left + width - cell_gap(self.step)

    def cell(self, i: int) -> Area:
        """Return a cell, by its number from the upper left corner."""
        row, column = divmod(i, self.columns)
        size = self.step - cell_gap(self.step)
        x = self.left + column * self.step
        return Area(x, row * self.step, size, size)


def expert_grid(picture: ExpertsPicture, room: float) -> ExpertGrid:
    """Return the grid that holds all experts, in the middle of the room."""
    total = max(picture.experts + picture.zero_experts, 1)
    columns = grid_columns(total, room)
    step = cell_size(total, columns, room)
    left = (room - columns * step) / 2
    return ExpertGrid(left, columns, rows_of(total, columns), step)


def rows_of(total: int, columns: int) -> int:
    """Return how many rows so many cells take."""
    return -(-total // columns)


def cell_gap(step: float) -> float:
    """Return the gap between cells of a size."""
    if step > 8:
        return 2.0
    return 1.0


def draw_experts(group: Group, picture: ExpertsPicture, grid: ExpertGrid) -> None:
    """Draw a cell for each routed expert: filled if it is chosen, hollow if it does nothing."""
    chosen = chosen_experts(picture)
    full: list[Area] = []
    light: list[Area] = []
    hollow: list[Area] = []
    stored = picture.experts + picture.zero_experts
    total = max(stored, 1)
    for i in range(total):
        cell = grid.cell(i)
        if i in chosen:
            full.append(cell)
        elif i < picture.experts:
            light.append(cell)
        else:
            hollow.append(cell)
    for areas, css in ((full, "moe-full"), (light, "moe-light"), (hollow, "moe-hollow")):
        if areas:
            cells = Cells(tuple(areas), css)
            group.add(cells)


def cell_size(total: int, columns: int, room: float) -> float:
    """Return the size of a cell of a grid.

    total: number of cells.
    columns: cells in a row.
    room: width of the grid at most.
    """
    rows = rows_of(total, columns)
    widest = room / columns
    tallest = TALLEST_GRID / rows
    return min(widest, tallest, LARGEST_CELL)


def grid_columns(total: int, room: float) -> int:
    """Return the number of columns with the largest cells; a full grid unless it costs much."""
    sizes = {c: cell_size(total, c, room) for c in range(1, total + 1)}
    best = max(sizes, key=sizes.__getitem__)
    even = [columns for columns in sizes if total % columns == 0]
    full = max(even, key=sizes.__getitem__)
    if sizes[full] > RAGGED_GAIN * sizes[best]:
        return full
    return best


def chosen_experts(picture: ExpertsPicture) -> set[int]:
    """Return which experts are filled: as many as serve a token, spread evenly."""
    chosen: set[int] = set()
    for i in range(picture.active):
        place = (i + 0.5) * picture.experts * GOLDEN
        expert = round(place) % picture.experts
        chosen.add(expert)
    spare = (i for i in range(picture.experts) if i not in chosen)
    while len(chosen) < picture.active:
        expert = next(spare)
        chosen.add(expert)
    return chosen


def draw_shared(group: Group, count: int, center: float, step: float, rows: int) -> float:
    """Draw shared experts as cells of the same size in a ring; return its lower edge.

    group: where they are drawn.
    count: how many cells.
    center: the middle of the ring.
    step: size of a cell.
    rows: rows of the grid beside it.
    """
    columns = rows_of(count, max(rows, 1))
    own_rows = rows_of(count, columns)
    size = min(step, (SHARED_ROOM - 10) / columns)
    gap = cell_gap(size)
    width = columns * size
    height = own_rows * size
    left = center - width / 2
    top = max((rows * size - height) / 2, 4.0)
    cells: list[Area] = []
    for i in range(count):
        row, column = divmod(i, columns)
        x = left + gap / 2 + column * size
        y = top + row * size
        cells.append(Area(x, y, size - gap, size - gap))
    group.add(Cells(tuple(cells), "moe-full"))
    ring = Area(left - 3.5, top - 4, width + 7, height + 7)
    group.add(Rectangle(ring, "moe-hollow", 3))
    return ring.bottom


# Chains


def chain_group(picture: ChainPicture, width: float) -> Group:
    """Return parts from left to right, joined by arrows; a further row where they do not fit."""
    group = Group()
    x = y = 0.0
    for i, part in enumerate(picture.parts):
        size = text_width(part, SMALL) + 14
        if i and x + 12 + size > width:
            x = 0.0
            y += 24
        middle = y + 8.5
        if i:
            group.wire((x, middle), (x + 12, middle), arrow=True, css="reuse")
            x += 12
        area = Area(x, y, size, 17)
        group.add(Rectangle(area, picture.role, 4))
        group.text(area.center, middle, part, SMALL, anchor="middle")
        x = area.right
    group.bounds.include(Area(0, 0, width, y + 17))
    return group
