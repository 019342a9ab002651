"""Panels of values, the call-outs of a model, and the strip of its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Sized

from ..views.figure.description import LayerStrip, Mark, Panel, Reuse, Value
from .drawing import (
    FRAME,
    WIRE,
    Anchor,
    Area,
    Cells,
    Group,
    Rectangle,
    Sign,
    Wire,
    palette_class,
)
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, cut_text, text_width, wrapped_lines
from .parts import marker
from .pictures import pictures_group

PAD = 10.0
REUSE_TRACK = 7.0


def panel_group(panel: Panel, width: float) -> Group:
    """Return a panel with its upper left corner at the origin: title, pictures, values, notes."""
    group = Group()
    y = panel_title(group, panel, width)
    y = panel_pictures(group, panel, y, width)
    for v in panel.values:
        if len(panel.values[0].cells) == 2:
            y = value_pair(group, v, y, width)
        else:
            y = value_line(group, v, y, width)
    y = panel_notes(group, panel, y, width)
    area = Area(0, 0, width, y + 8)
    css = f"panel {panel.role}"
    group.add(Rectangle(area, css, 8, FRAME, panel.path))
    if panel.mark == "form":
        flag = Sign("flag", width - PAD - 7, 18)
        group.add(flag)
    return group


def panel_title(group: Group, panel: Panel, width: float) -> float:
    """Write the title of a panel; return the height below it."""
    room = width - 2 * PAD - 16
    lines = wrapped_lines(panel.title, TITLE, room, bold=True)
    y = group.paragraph(PAD, 18, lines, TITLE, step=16, bold=True)
    return y - 2


def panel_notes(group: Group, panel: Panel, y: float, width: float) -> float:
    """Write which differences a panel does not show; return the height below them."""
    if not panel.notes:
        return y
    names = ", ".join(panel.notes)
    text = f"differs too: {names}"
    margins = 2 * PAD
    room = width - margins
    lines = wrapped_lines(text, SMALL, room, most=99)
    first = y + 8
    next_y = group.paragraph(PAD, first, lines, SMALL, step=13)
    return next_y - 8


def panel_pictures(group: Group, panel: Panel, y: float, width: float) -> float:
    """Draw the pictures of a panel side by side, one model each; return the height below them."""
    if not any(panel.pictures):
        return y
    gutter = 20.0
    count = len(panel.pictures)
    gutters = gutter * (count - 1)
    each = (width - 2 * PAD - gutters) / count
    top = y + 2
    lowest = y
    x = PAD
    for pictures in panel.pictures:
        if pictures:
            drawn = pictures_group(pictures, each)
            group.place(drawn, x, top)
            lowest = max(lowest, top + drawn.bounds.bottom)
        x += each + gutter
    return lowest + 8


def value_line(group: Group, v: Value, y: float, width: float) -> float:
    """Write a value of one model: label on the left, words on the right; return the height below.

    group: where it is written.
    v: the value.
    y: the height above it.
    width: the width of the panel.
    """
    labels = wrapped_lines(v.label, FACT, 0.36 * width)
    room = width - 3 * PAD - widest_line(labels)
    lines = wrapped_lines(v.cells[0], FACT, room, bold=True, most=6)
    rows = max(len(labels), len(lines))
    write_lines(group, labels, PAD, y, rows, "start", "")
    for line, middle in zip(lines, line_middles(lines, y, rows), strict=True):
        group.text(width - PAD, middle, line, FACT, anchor="end", bold=True)
    return y + LINE_HEIGHT * rows


def widest_line(lines: Sequence[str]) -> float:
    """Return the width of the widest of some lines."""
    widths = [text_width(line, FACT) for line in lines]
    return max(widths, default=0.0)


def line_middles(lines: Sized, y: float, rows: int) -> list[float]:
    """Return the middle of each line, where lines stand in the middle of some rows.

    lines: the lines.
    y: the height above the rows.
    rows: number of rows.
    """
    count = len(lines)
    free = LINE_HEIGHT * (rows - count)
    middle = y + free / 2 + LINE_HEIGHT / 2
    middles: list[float] = []
    for _ in range(count):
        middles.append(middle)
        middle += LINE_HEIGHT
    return middles


def value_pair(group: Group, v: Value, y: float, width: float) -> float:
    """Write a value of two models on the sides of its label; return the height below it."""
    labels = wrapped_lines(v.label, FACT, 0.3 * width)
    room = (width - widest_line(labels)) / 2 - PAD - 12
    bold = bool(v.mark)
    old, new = (wrapped_lines(cell, FACT, room, bold=bold, most=8) for cell in v.cells)
    rows = max(len(labels), len(old), len(new))
    write_lines(group, labels, width / 2, y, rows, "middle", "")
    write_lines(group, old, PAD, y, rows, "start", v.mark)
    write_lines(group, new, width - PAD, y, rows, "end", v.mark)
    return y + LINE_HEIGHT * rows


def write_lines(
    group: Group,
    lines: Sequence[str],
    x: float,
    y: float,
    rows: int,
    anchor: Anchor,
    mark: Mark,
) -> None:
    """Write lines in the middle of some rows.

    group: where they are written.
    lines: the lines.
    x: their start or end.
    y: the height above the rows.
    rows: number of rows.
    anchor: which point of a line `x` is.
    mark: how they differ.
    """
    bold = bool(mark)
    css = "ink" if mark else "muted"
    middles = line_middles(lines, y, rows)
    widest = max(text_width(line, FACT, bold) for line in lines)
    marker(group, x, middles[0], widest, anchor, mark, len(lines))
    for line, middle in zip(lines, middles, strict=True):
        group.text(x, middle, line, FACT, css, anchor=anchor, bold=bold)


# Call-outs


def call_outs(facts: Sequence[tuple[str, str]], width: float) -> Group:
    """Return facts of a model, label over words, spread over as few rows as they need.

    facts: label and words of each.
    width: the width of the rows; words that need half of it have a row of their own.
    """
    half = width / 2
    long = [fact for fact in facts if call_out_width(fact) > half]
    short = [fact for fact in facts if fact not in long]
    group = Group()
    y = short_call_outs(group, short, width)
    for label, words in long:
        lines = wrapped_lines(words, TITLE, width, bold=True)
        group.text(0, y + 5, label, SMALL, "muted")
        next_y = group.paragraph(0, y + 20, lines, TITLE, step=16, bold=True)
        y = next_y + 2
    return group


def short_call_outs(group: Group, facts: Sequence[tuple[str, str]], width: float) -> float:
    """Write facts in rows of equal columns; return the height below them."""
    rows, columns = call_out_grid(facts, width)
    if not columns:
        return 0.0
    gaps = max(len(columns) - 1, 1)
    spare = width - sum(columns)
    gap = spare / gaps
    space = min(gap, 44.0)
    y = 0.0
    for row in rows:
        x = 0.0
        label_y = y + 5
        words_y = y + 20
        for (label, words), column in zip(row, columns, strict=False):
            group.text(x, label_y, label, SMALL, "muted")
            group.text(x, words_y, words, TITLE, bold=True)
            x += column + space
        y += 38
    return y


def call_out_grid(
    facts: Sequence[tuple[str, str]], width: float
) -> tuple[list[Sequence[tuple[str, str]]], list[float]]:
    """Return facts in as few rows as fit a width, and the width of each column."""
    rows: list[Sequence[tuple[str, str]]] = []
    columns: list[float] = []
    for count in range(1, len(facts) + 1):
        each = -(-len(facts) // count)
        starts = range(0, len(facts), each)
        rows = [facts[start : start + each] for start in starts]
        columns = [widest_call_out(rows, j) for j in range(each)]
        gaps = 20 * (each - 1)
        if sum(columns) + gaps <= width:
            break
    return rows, columns


def widest_call_out(rows: Sequence[Sequence[tuple[str, str]]], j: int) -> float:
    """Return the width of a column of call-outs; the last row may have none in it."""
    facts = [row[j] for row in rows if j < len(row)]
    return max(map(call_out_width, facts))


def call_out_width(fact: tuple[str, str]) -> float:
    """Return the width of a call-out: label over words."""
    label, words = fact
    upper = text_width(label, SMALL)
    lower = text_width(words, TITLE, bold=True)
    return max(upper, lower)


# The strip


def strip_group(strip: LayerStrip, cell: float, width: float, named: bool) -> Group:
    """Return the layers in order, one cell each; kinds differ in colour, lightness and height.

    strip: the layers.
    cell: width of a cell.
    width: width of the legend.
    named: whether the model's name stands above.
    """
    group = Group()
    y = 0.0
    if named:
        name = cut_text(strip.name, FACT, width - 4, bold=True)
        marker(group, 0, 7, text_width(name, FACT, bold=True), "start", strip.mark)
        group.text(0, 7, strip.name, FACT, bold=True, room=width - 4)
        y = 18
    y = draw_reuses(group, strip, cell, y)
    draw_cells(group, strip, cell, y)
    draw_first_and_last(group, strip, cell, y + 26)
    draw_legend(group, strip, y + 42, width)
    return group


def draw_cells(group: Group, strip: LayerStrip, cell: float, y: float) -> None:
    """Draw a cell for each layer, their lower edges in line.

    group: where they are drawn.
    strip: the layers.
    cell: width of a cell with the gap after it.
    y: the upper edge of the tallest.
    """
    floor = y + 18
    width = max(cell - 1, 0.8)
    by_kind: dict[int, list[Area]] = {}
    for i, kind in enumerate(strip.layers):
        height = 10.0
        if len(strip.kinds) > 1:
            height = 18.0 - 3 * (kind % 4)
        area = Area(i * cell, floor - height, width, height)
        by_kind.setdefault(kind, []).append(area)
    for kind, areas in sorted(by_kind.items()):
        cells = Cells(tuple(areas), palette_class(kind))
        group.add(cells)


def draw_first_and_last(group: Group, strip: LayerStrip, cell: float, y: float) -> None:
    """Write the numbers of the first and the last layer, counted from 0, below their cells.

    They are in the middle of their cells, or at the ends of the strip where cells are narrow.
    """
    count = len(strip.layers)
    if not count:
        return
    anchors: tuple[Anchor, Anchor] = "middle", "middle"
    first, last = 0.5 * cell, (count - 0.5) * cell
    if cell < 14:
        anchors = "start", "end"
        first, last = 0.0, count * cell
    group.text(first, y, "0", SMALL, "muted", anchor=anchors[0])
    if count > 1:
        group.text(last, y, str(count - 1), SMALL, "muted", anchor=anchors[1])


def draw_legend(group: Group, strip: LayerStrip, y: float, width: float) -> None:
    """Write which kind of layer each colour stands for, and what layers reuse."""
    entries: list[tuple[str, str, Mark]] = []
    for kind in strip.kinds:
        text = f"{kind.count} × {kind.words}"
        entries.append((palette_class(kind.number), text, kind.mark))
    for text in reuse_words(strip.reuses):
        entries.append(("", text, ""))
    x = 0.0
    for css, text, mark in entries:
        needed = text_width(text, FACT) + 30
        if x and x + needed > width:
            x = 0.0
            y += 16
        draw_sample(group, x, y, css)
        shown = cut_text(text, FACT, width - 19)
        marker(group, x + 15, y, text_width(shown, FACT), "start", mark)
        group.text(x + 15, y, text, FACT, room=width - 19)
        x += needed


def draw_sample(group: Group, x: float, y: float, css: str) -> None:
    """Draw what an entry of a legend explains: a colour, or the line of a reuse.

    group: where it is drawn.
    x, y: its left edge, and the middle of the entry.
    css: class of the colour; empty for the line.
    """
    if css:
        swatch = Area(x, y - 5, 10, 10)
        group.add(Rectangle(swatch, css, 2))
        return
    bottom, top = y + 4, y - 4
    right = x + 10
    points = ((x, bottom), (x, top), (right, top), (right, bottom))
    group.add(Wire(points, css="reuse"))


def reuse_words(reuses: Sequence[Reuse]) -> list[str]:
    """Return what layers reuse in words: `20 layers reuse keys and values of an earlier one`."""
    counts: Counter[str] = Counter()
    for reuse in reuses:
        layers = len(reuse.layers)
        counts[reuse.what] += layers
    words: list[str] = []
    for what, count in counts.items():
        line = f"{count} layers reuse the {what} of an earlier one"
        words.append(line)
    return words


def draw_reuses(group: Group, strip: LayerStrip, cell: float, y: float) -> float:
    """Draw lines from layers to those that reuse what they computed; return the height below.

    Lines whose layers overlap run on different heights.
    """
    tracks = reuse_tracks(strip.reuses)
    if not tracks:
        return y
    floor = y + REUSE_TRACK * (max(tracks) + 1) + 4
    for reuse, track in zip(strip.reuses, tracks, strict=True):
        height = floor - REUSE_TRACK * (track + 1)
        shift = cell * 0.12 * (track % 3)
        x = (reuse.source + 0.5) * cell - shift
        ends = [(layer + 0.5) * cell for layer in reuse.layers]
        points = ((x, floor), (x, height), (max(ends), height))
        group.add(Wire(points, css="reuse", level=WIRE))
        for end in ends:
            drop = (end, height), (end, floor)
            group.add(Wire(drop, css="reuse"))
    return floor


def reuse_tracks(reuses: Sequence[Reuse]) -> list[int]:
    """Return the track of the line of each reuse: the lowest that no earlier line still needs."""
    ends: list[int] = []
    tracks: list[int] = []
    for reuse in reuses:
        count = len(ends)
        free = (i for i, end in enumerate(ends) if end < reuse.source)
        track = next(free, count)
        last = max(reuse.layers)
        is_new = track == count
        if is_new:
            ends.append(last)
        ends[track] = last
        tracks.append(track)
    return tracks
