"""Pictures of blocks, to scale: heads, widths, experts, chains of parts.

Each is drawn from the origin to the right and down, and is as wide as it is asked to be.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    shared = picture.kv_heads if picture.heads % max(picture.kv_heads, 1) == 0 else picture.heads
    groups = max(1, min(shared, heads))
    each = max(1, heads // groups)
    gap = min(4.0, 0.3 * width / groups) if groups > 1 else 0.0
    step = min(11.0, (width - gap * (groups - 1)) / (groups * each))
    thin = 1.5 if step > 4 else 0.5
    x = (width - groups * each * step - gap * (groups - 1)) / 2
    queries: list[Area] = []
    keys: list[Area] = []
    for _ in range(groups):
        for q in range(each):
            tall = min(9.0, max(step, 5.0))
            queries.append(Area(x + q * step, 0, max(step - thin, 0.8), tall))
        keys.append(Area(x, 12, max(each * step - thin, 0.8), 7))
        x += each * step + gap
    colour = "linear" if picture.linear else "attention"
    group = Group()
    group.add(Cells(tuple(queries), f"{colour}-light"))
    group.add(Cells(tuple(keys), f"{colour}-full"))
    group.bounds.include(Area(0, 0, width, 20))
    return group


def bars_group(picture: BarsPicture, width: float) -> Group:
    """Return widths as bars; what is kept of the stream is filled."""
    most = max(max(length for _, length in picture.bars), 1)
    left = max(text_width(label, SMALL) for label, _ in picture.bars) + 8
    group = Group()
    for i, (label, length) in enumerate(picture.bars):
        group.text(0, 13 * i + 5, label, SMALL, "muted")
        is_kept = picture.last_is_kept and i == len(picture.bars) - 1
        css = f"{picture.role}-full" if is_kept else f"{picture.role}-light"
        bar = Area(left, 13 * i, max((width - left) * length / most, 1.5), 9)
        group.add(Rectangle(bar, css, 1.5))
    group.bounds.include(Area(0, 0, width, 13 * len(picture.bars) - 2))
    return group


# Experts


def experts_group(picture: ExpertsPicture, width: float) -> Group:
    """Return routed experts as a grid over their router, beside those that serve every token."""
    total = max(picture.experts + picture.zero_experts, 1)
    side = SHARED_ROOM if picture.shared else 0.0
    columns = grid_columns(total, width - side)
    step = cell_size(total, columns, width - side)
    rows = -(-total // columns)
    gap = 2.0 if step > 8 else 1.0
    left = (width - columns * step - side) / 2
    chosen = chosen_experts(picture)
    kinds: dict[str, list[Area]] = {"moe-full": [], "moe-light": [], "moe-hollow": []}
    for i in range(total):
        x, y = left + i % columns * step, i // columns * step
        css = "moe-hollow" if i >= picture.experts else "moe-light"
        if i in chosen:
            css = "moe-full"
        kinds[css].append(Area(x, y, step - gap, step - gap))
    group = Group()
    for css, areas in kinds.items():
        if areas:
            group.add(Cells(tuple(areas), css))
    height = max(rows * step, 14.0)
    right = left + columns * step - gap
    if picture.shared:
        bottom = draw_shared(group, picture.shared, right + 28, step, rows)
        height = max(height, bottom)
        group.text(right + 28, height + 10, "shared", SMALL, "muted", anchor="middle")
    router = Area(left, height + 3, max(right - left, text_width("router", SMALL) + 4), 14)
    group.add(Rectangle(router, "moe-light", 3))
    group.text(router.center, height + 10, "router", SMALL, anchor="middle")
    group.bounds.include(Area(0, 0, width, height + 18))
    return group


def cell_size(total: int, columns: int, room: float) -> float:
    """Return the size of a cell of a grid.

    total: number of cells.
    columns: cells in a row.
    room: width of the grid at most.
    """
    rows = -(-total // columns)
    return min(room / columns, TALLEST_GRID / rows, LARGEST_CELL)


def grid_columns(total: int, room: float) -> int:
    """Return the number of columns with the largest cells; a full grid unless it costs much."""

    def size(columns: int) -> float:
        return cell_size(total, columns, room)

    best = max(range(1, total + 1), key=size)
    full = max((c for c in range(1, total + 1) if total % c == 0), key=size)
    if size(full) > RAGGED_GAIN * size(best):
        return full
    return best


def chosen_experts(picture: ExpertsPicture) -> set[int]:
    """Return which experts are filled: as many as serve a token, spread evenly."""
    chosen: set[int] = set()
    for i in range(picture.active):
        chosen.add(round((i + 0.5) * picture.experts * GOLDEN) % picture.experts)
    spare = (i for i in range(picture.experts) if i not in chosen)
    while len(chosen) < picture.active:
        chosen.add(next(spare))
    return chosen


def draw_shared(group: Group, count: int, center: float, step: float, rows: int) -> float:
    """Draw shared experts as cells of the same size in a ring; return its lower edge.

    group: where they are drawn.
    count: how many cells.
    center: the middle of the ring.
    step: size of a cell.
    rows: rows of the grid beside it.
    """
    across = -(-count // max(rows, 1))
    down = -(-count // across)
    step = min(step, (SHARED_ROOM - 10) / across)
    gap = 2.0 if step > 8 else 1.0
    left = center - across * step / 2 + gap / 2
    top = max((rows * step - down * step) / 2, 4.0)
    cells: list[Area] = []
    for i in range(count):
        x, y = left + i % across * step, top + i // across * step
        cells.append(Area(x, y, step - gap, step - gap))
    group.add(Cells(tuple(cells), "moe-full"))
    ring = Area(center - across * step / 2 - 3.5, top - 4, across * step + 7, down * step + 7)
    group.add(Rectangle(ring, "moe-hollow", 3))
    return ring.bottom


# Chains


def chain_group(picture: ChainPicture, width: float) -> Group:
    """Return parts from left to right, joined by arrows; a further row where they do not fit."""
    group = Group()
    x, y = 0.0, 0.0
    for i, part in enumerate(picture.parts):
        size = text_width(part, SMALL) + 14
        if i and x + 12 + size > width:
            x, y = 0.0, y + 24
        if i:
            group.wire((x, y + 8.5), (x + 12, y + 8.5), arrow=True, css="reuse")
            x += 12
        group.add(Rectangle(Area(x, y, size, 17), picture.role, 4))
        group.text(x + size / 2, y + 8.5, part, SMALL, anchor="middle")
        x += size
    group.bounds.include(Area(0, 0, width, y + 17))
    return group
