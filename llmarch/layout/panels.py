"""Panels of values, the call-outs of a model, and the strip of its layers."""

from __future__ import annotations

from collections.abc import Sequence

from ..views.figure.description import LayerStrip, Mark, Panel, Reuse, Value
from .columns import KIND_COLOURS
from .drawing import FRAME, WIRE, Area, Cells, Group, Rectangle, Sign, Wire
from .metrics import FACT, LINE_HEIGHT, SMALL, TITLE, text_width, wrapped_lines
from .parts import marker
from .pictures import pictures_group

PAD = 10.0
REUSE_TRACK = 7.0


def panel_group(panel: Panel, width: float) -> Group:
    """Return a panel with its upper left corner at the origin: title, pictures, values, notes."""
    group = Group()
    y = panel_title(group, panel, width)
    y = panel_pictures(group, panel, y, width)
    pair = len(panel.values[0].cells) == 2 if panel.values else False
    for v in panel.values:
        y = value_pair(group, v, y, width) if pair else value_line(group, v, y, width)
    if panel.notes:
        text = "differs too: " + ", ".join(panel.notes)
        for line in wrapped_lines(text, SMALL, width - 2 * PAD, most=99):
            group.text(PAD, y + 8, line, SMALL)
            y += 13
    area = Area(0, 0, width, y + 8)
    group.add(Rectangle(area, f"panel {panel.role}", 8, FRAME, panel.path))
    if panel.mark == "form":
        group.add(Sign("flag", width - PAD - 7, 18))
    return group


def panel_title(group: Group, panel: Panel, width: float) -> float:
    """Write the title of a panel; return the height below it."""
    y = 18.0
    for line in wrapped_lines(panel.title, TITLE, width - 2 * PAD - 16, bold=True):
        group.text(PAD, y, line, TITLE, bold=True)
        y += 16
    return y - 2


def panel_pictures(group: Group, panel: Panel, y: float, width: float) -> float:
    """Draw the pictures of a panel side by side, one model each; return the height below them."""
    count = len(panel.pictures)
    if not any(panel.pictures):
        return y
    gutter = 20.0
    each = (width - 2 * PAD - gutter * (count - 1)) / count
    lowest = y
    for i, pictures in enumerate(panel.pictures):
        if not pictures:
            continue
        drawn = pictures_group(pictures, each)
        group.place(drawn, PAD + (each + gutter) * i, y + 2)
        lowest = max(lowest, y + 2 + drawn.bounds.bottom)
    return lowest + 8


def value_line(group: Group, v: Value, y: float, width: float) -> float:
    """Write a value of one model: label on the left, words on the right; return the height below.

    group: where it is written.
    v: the value.
    y: the height above it.
    width: the width of the panel.
    """
    labels = wrapped_lines(v.label, FACT, 0.36 * width)
    room = width - 3 * PAD - max(text_width(label, FACT) for label in labels)
    lines = wrapped_lines(v.cells[0], FACT, room, bold=True, most=6)
    rows = max(len(labels), len(lines))
    write_lines(group, labels, PAD, y, rows, "muted", "start", "")
    for i, line in enumerate(lines):
        middle = y + LINE_HEIGHT * (i + (rows - len(lines)) / 2) + LINE_HEIGHT / 2
        group.text(width - PAD, middle, line, FACT, anchor="end", bold=True)
    return y + LINE_HEIGHT * rows


def value_pair(group: Group, v: Value, y: float, width: float) -> float:
    """Write a value of two models on the sides of its label; return the height below it."""
    labels = wrapped_lines(v.label, FACT, 0.3 * width)
    label_width = max(text_width(label, FACT) for label in labels)
    room = (width - label_width) / 2 - PAD - 12
    cells = [wrapped_lines(cell, FACT, room, bold=bool(v.mark), most=8) for cell in v.cells]
    rows = max(len(labels), *map(len, cells))
    for i, line in enumerate(labels):
        middle = y + LINE_HEIGHT * (i + (rows - len(labels)) / 2) + LINE_HEIGHT / 2
        group.text(width / 2, middle, line, FACT, "muted", anchor="middle")
    write_lines(group, cells[0], PAD, y, rows, "", "start", v.mark)
    write_lines(group, cells[1], width - PAD, y, rows, "", "end", v.mark)
    return y + LINE_HEIGHT * rows


def write_lines(
    group: Group,
    lines: Sequence[str],
    x: float,
    y: float,
    rows: int,
    css: str,
    anchor: str,
    mark: Mark,
) -> None:
    """Write lines in the middle of some rows.

    group: where they are written.
    lines: the lines.
    x: their start or end.
    y: the height above the rows.
    rows: number of rows.
    css: class of the text; empty for that which its mark asks for.
    anchor: `start` or `end`.
    mark: how they differ.
    """
    for i, line in enumerate(lines):
        middle = y + LINE_HEIGHT * (i + (rows - len(lines)) / 2) + LINE_HEIGHT / 2
        if mark:
            marker(group, x, middle, text_width(line, FACT, bold=True), anchor)
        shown = css or ("ink" if mark else "muted")
        at = "end" if anchor == "end" else "start"
        group.text(x, middle, line, FACT, shown, anchor=at, bold=bool(mark))


# Call-outs


def call_outs(facts: Sequence[tuple[str, str]], width: float) -> Group:
    """Return facts of a model, label over words, spread over as few rows as they need.

    facts: label and words of each.
    width: the width of the rows; words that need half of it have a row of their own.
    """
    long = [fact for fact in facts if call_out_width(*fact) > width / 2]
    short = [fact for fact in facts if fact not in long]
    group = Group()
    y = short_call_outs(group, short, width)
    for label, words in long:
        group.text(0, y + 5, label, SMALL, "muted")
        y += 20
        for line in wrapped_lines(words, TITLE, width, bold=True):
            group.text(0, y, line, TITLE, bold=True)
            y += 16
        y += 2
    return group


def short_call_outs(group: Group, facts: Sequence[tuple[str, str]], width: float) -> float:
    """Write facts in rows of equal columns; return the height below them."""
    rows, columns = call_out_grid(facts, width)
    if not columns:
        return 0.0
    gaps = max(len(columns) - 1, 1)
    space = min((width - sum(columns)) / gaps, 44.0)
    for i, row in enumerate(rows):
        x = 0.0
        for (label, words), column in zip(row, columns, strict=False):
            group.text(x, 38 * i + 5, label, SMALL, "muted")
            group.text(x, 38 * i + 20, words, TITLE, bold=True)
            x += column + space
    return 38.0 * len(rows)


def call_out_grid(
    facts: Sequence[tuple[str, str]], width: float
) -> tuple[list[Sequence[tuple[str, str]]], list[float]]:
    """Return facts in as few rows as fit a width, and the width of each column."""
    rows: list[Sequence[tuple[str, str]]] = []
    columns: list[float] = []
    for count in range(1, len(facts) + 1):
        each = -(-len(facts) // count)
        rows = [facts[i : i + each] for i in range(0, len(facts), each)]
        columns = [
            max(call_out_width(*row[j]) for row in rows if j < len(row)) for j in range(each)
        ]
        if sum(columns) + 20 * (each - 1) <= width:
            break
    return rows, columns


def call_out_width(label: str, words: str) -> float:
    """Return the width of a call-out."""
    return max(text_width(label, SMALL), text_width(words, TITLE, bold=True))


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
        group.text(0, 7, strip.name, FACT, bold=True, room=width)
        y = 18
    y = draw_reuses(group, strip, cell, y)
    by_kind: dict[int, list[Area]] = {}
    for i, kind in enumerate(strip.layers):
        height = 10.0
        if len(strip.kinds) > 1:
            height = 18.0 - 3 * (kind % 4)
        area = Area(i * cell, y + 18 - height, max(cell - 1, 0.8), height)
        by_kind.setdefault(kind, []).append(area)
    for kind, areas in sorted(by_kind.items()):
        group.add(Cells(tuple(areas), f"k{kind % KIND_COLOURS}"))
    last = len(strip.layers) - 1
    for i in sorted({0, last}):
        anchor = "end" if i and cell < 14 else "middle"
        x = (i + 1) * cell if anchor == "end" else (i + 0.5) * cell
        if not i and cell < 14:
            x, anchor = 0, "start"
        group.text(x, y + 26, str(i + 1), SMALL, "muted", anchor=anchor)
    draw_legend(group, strip, y + 42, width)
    return group


def draw_legend(group: Group, strip: LayerStrip, y: float, width: float) -> None:
    """Write which kind of layer each colour stands for, and what layers reuse."""
    x = 0.0
    entries = [(f"k{k.number % KIND_COLOURS}", f"{k.count} × {k.words}") for k in strip.kinds]
    entries += [("", text) for text in reuse_words(strip.reuses)]
    for css, text in entries:
        needed = text_width(text, FACT) + 30
        if x and x + needed > width:
            x, y = 0.0, y + 16
        if css:
            group.add(Rectangle(Area(x, y - 5, 10, 10), css, 2))
        else:
            group.add(Wire(((x, y + 4), (x, y - 4), (x + 10, y - 4), (x + 10, y + 4)), css="reuse"))
        group.text(x + 15, y, text, FACT, room=width - 15)
        x += needed


def reuse_words(reuses: Sequence[Reuse]) -> list[str]:
    """Return what layers reuse in words: `20 layers reuse keys and values of an earlier one`."""
    counts: dict[str, int] = {}
    for reuse in reuses:
        counts[reuse.what] = counts.get(reuse.what, 0) + len(reuse.layers)
    return [f"{count} layers reuse the {what} of an earlier one" for what, count in counts.items()]


def draw_reuses(group: Group, strip: LayerStrip, cell: float, y: float) -> float:
    """Draw lines from layers to those that reuse what they computed; return the height below.

    Lines whose layers overlap run on different heights.
    """
    ends: list[int] = []
    placed: list[tuple[Reuse, int]] = []
    for reuse in strip.reuses:
        last = max(reuse.layers)
        track = next((i for i, end in enumerate(ends) if end < reuse.source), len(ends))
        if track == len(ends):
            ends.append(last)
        ends[track] = last
        placed.append((reuse, track))
    if not placed:
        return y
    floor = y + REUSE_TRACK * len(ends) + 4
    shift = cell * 0.12
    for reuse, track in placed:
        height = floor - REUSE_TRACK * (track + 1)
        x = (reuse.source + 0.5) * cell - shift * (track % 3)
        points = ((x, floor), (x, height), ((max(reuse.layers) + 0.5) * cell, height))
        group.add(Wire(points, css="reuse", level=WIRE))
        for layer in reuse.layers:
            end = (layer + 0.5) * cell
            group.add(Wire(((end, height), (end, floor)), css="reuse"))
    return floor
