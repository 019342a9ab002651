"""Sketch figures as lines of characters: columns of boxes, for terminals.

Unicode, or ASCII where the output has no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..architecture.frozen import Frozen, frozen
from ..views.figure.description import (
    Box,
    BranchPicture,
    Column,
    Figure,
    Mark,
    ModelPicture,
    ModelStack,
    Pill,
    StepPicture,
)
from .cleaning import clean

COLUMN_GAP = "  "
"""Between columns."""
BETWEEN_MODELS = 4
"""Columns of characters between two models."""
MARKS: dict[Mark, str] = {"": "", "size": " ~", "form": " ≠"}


@frozen
class Pen(Frozen):
    """The characters that a sketch is made of."""

    horizontal: str
    down: str
    corners: str
    """Upper left, upper right, lower left, lower right."""
    plus: str
    back: str
    """Where the residual line comes back."""
    fork: str
    bar: str
    """The edge of a box."""


UNICODE = Pen("─", "│", "╭╮╰╯", "⊕", "◄", "├", "▌")
ASCII = Pen("-", "|", "++++", "(+)", "<", "+", "#")
PLAIN_CHARACTERS = {"×": "x", "≠": "!=", "–": "-", "…": "...", "θ": "theta", "·": "-", "²": "2"}
"""What is written in ASCII for signs of texts."""


def sketch_lines(figure: Figure, width: int = 100, *, ascii_only: bool = False) -> list[str]:
    """Return a sketch of one model, or of several side by side where they fit.

    figure: the models; marks of a pair are ≠ for another form and ~ for another size.
    width: columns of characters that there are.
    ascii_only: whether to use ASCII alone.
    """
    pen = ASCII if ascii_only else UNICODE
    blocks = [model_block(model, pen, width) for model in figure.models]
    needed = sum(map(block_width, blocks)) + BETWEEN_MODELS * (len(blocks) - 1)
    if needed <= width:
        lines = beside(blocks, " " * BETWEEN_MODELS)
    else:
        lines = [line for block in blocks for line in (*block, "")]
    if any(MARKS["form"] in line or MARKS["size"] in line for line in lines):
        lines += ["", "≠ another form   ~ another size"]
    return [plain_line(line, ascii_only).rstrip() for line in lines]


def plain_line(line: str, ascii_only: bool) -> str:
    """Return a line, in ASCII alone if asked for."""
    if not ascii_only:
        return line
    for sign, plain in PLAIN_CHARACTERS.items():
        line = line.replace(sign, plain)
    return line.encode("ascii", "replace").decode()


def block_width(lines: Sequence[str]) -> int:
    """Return the columns that lines take."""
    widths = map(len, lines)
    return max(widths, default=0)


def beside(blocks: Sequence[Sequence[str]], gap: str) -> list[str]:
    """Return blocks of lines side by side, their last lines level."""
    tallest = max(map(len, blocks))
    rows = [""] * tallest
    for i, block in enumerate(blocks):
        width = block_width(block)
        filled = [""] * (tallest - len(block)) + list(block)
        before = gap if i else ""
        rows = [f"{row}{before}{line:{width}}" for row, line in zip(rows, filled, strict=True)]
    return rows


def model_block(model: ModelPicture, pen: Pen, width: int) -> list[str]:
    """Return one model: its name, the head, the columns of layers, the embedding."""
    stack = model.stack
    columns = [column_block(column, stack, pen) for column in stack.columns]
    needed = sum(map(block_width, columns)) + len(COLUMN_GAP) * (len(columns) - 1)
    if needed <= width:
        layers = beside(columns, COLUMN_GAP)
    else:
        layers = [line for column in columns for line in column]
    around = block_width(layers)
    lines = [clean(model.name), ""]
    lines += [line.center(around) for line in above_lines(stack)]
    lines += [pen.down.center(around), *layers, pen.down.center(around)]
    lines += [line.center(around) for line in below_lines(stack)]
    return lines


def above_lines(stack: ModelStack) -> list[str]:
    """Return what follows the layers, from the head down."""
    text = box_text(stack.head)
    if stack.mtp is not None:
        prediction = box_text(stack.mtp)
        text = f"{text} · {prediction}"
    lines = [text]
    for pill in reversed(stack.exit):
        lines.append(pill_text(pill))
    return lines


def below_lines(stack: ModelStack) -> list[str]:
    """Return what comes before the layers, from the top down."""
    lines: list[str] = []
    for pill in reversed(stack.entry):
        lines.append(pill_text(pill))
    lines.append(box_text(stack.embedding))
    for box in stack.sources:
        lines.append(box_text(box))
    return lines


def pill_text(pill: Pill) -> str:
    """Return a small operation and how it differs."""
    mark = MARKS[pill.mark]
    return f"{pill.text}{mark}"


def box_text(box: Box) -> str:
    """Return a box on one line, with the mark of the box or of the line that differs most."""
    strongest = strongest_mark(box)
    mark = MARKS[strongest]
    title = box.title
    if box.lines:
        lines = ", ".join(box.lines)
        title += f" ({lines})"
    return f"{title}{mark}"


def strongest_mark(box: Box) -> Mark:
    """Return the mark of the box or of the line that differs most."""
    marks = {box.mark, *box.line_marks}
    if "form" in marks:
        return "form"
    if "size" in marks:
        return "size"
    return ""


# Columns


def column_block(column: Column, stack: ModelStack, pen: Pen) -> list[str]:
    """Return the kinds of layers of one wiring in a frame, the last step on top."""
    body: list[tuple[str, str]] = []
    for pill in column.closing:
        body.append((pill_text(pill), ""))
    for box in column.added:
        source = box.inlet.rpartition(".")[2]
        body.append((f"{pen.plus}{pen.back} {source}, {box_text(box)}", ""))
    for step in reversed(column.steps):
        if stack.streams is not None and stack.streams.kind == "hyper":
            body += mixed_step_lines(step, stack.streams.count, pen)
        else:
            body += step_lines(step, pen)
    if stack.streams is not None:
        body.append((stack.streams.words + MARKS[stack.streams.mark], ""))
    heads = [f"{kind.count} × {kind.words}" for kind in column.kinds]
    inner = max([len(text) + 2 for text, _ in body] + [len(head) + 2 for head in heads])
    upper_left, upper_right, lower_left, lower_right = pen.corners
    lines = [f" {head}" for head in heads]
    lines.append(f"{upper_left}{pen.horizontal * (inner + 2)}{upper_right}")
    for text, end in body:
        filler = pen.horizontal if end and end != pen.down else " "
        middle = f"{text}{filler * (inner - len(text) - len(end))}{end}"
        lines.append(f"{pen.down} {middle} {pen.down}")
    lines.append(f"{lower_left}{pen.horizontal * (inner + 2)}{lower_right}")
    return lines


def mixed_step_lines(step: StepPicture, streams: int, pen: Pen) -> list[tuple[str, str]]:
    """Return the lines of a step that reads a sum of all streams and mixes its output into them."""
    lines = inner_lines(step, pen)
    if step.after_norm is not None:
        lines.insert(0, pill_text(step.after_norm))
    factors = [step.factor, f"streams {step.stream_factor}" if step.stream_factor else ""]
    mixed = [f"mix into {streams} streams", *filter(None, factors)]
    read = f"read of {streams} streams"
    return [(text, "") for text in (", ".join(mixed), *lines, read)]


def step_lines(step: StepPicture, pen: Pen) -> list[tuple[str, str]]:
    """Return the lines of a step from the addition down, each with the end of its residual line.

    A step that reads what an earlier one reads has no residual line of its own.
    """
    _, upper_right, _, lower_right = pen.corners
    lines: list[tuple[str, str]] = []
    if step.after_norm is not None:
        lines.append((pill_text(step.after_norm), ""))
    factor = f" {step.factor}" if step.factor else ""
    skip = f"{pen.horizontal}{step.stream_factor}" if step.stream_factor else ""
    inner = inner_lines(step, pen)
    if not step.wiring_known:
        return [(text, "") for text in inner]
    if step.skip_from is not None:
        lines.append((f"{pen.plus}{factor}{pen.back}{pen.horizontal} shortcut{skip}", ""))
        return [*lines, *((text, "") for text in inner)]
    lines.append((f"{pen.plus}{factor}{pen.back}{skip}", upper_right))
    fork = (pen.fork, lower_right)
    if step.stream_from_norm:
        blocks = inner[:-1] if step.pre_norm is not None else inner
        lines += [(text, pen.down) for text in blocks]
        return [*lines, fork, *((text, "") for text in inner[len(blocks) :])]
    lines += [(text, pen.down) for text in inner]
    return [*lines, fork]


def inner_lines(step: StepPicture, pen: Pen) -> list[str]:
    """Return the blocks of a step with the norms around them, from above."""
    inner: list[str] = []
    if step.join_norm is not None:
        inner.append(pill_text(step.join_norm))
    for i, branch in enumerate(step.branches):
        if i:
            inner.append("  beside")
        inner += branch_lines(branch, pen)
    if step.pre_norm is not None:
        inner.append(pill_text(step.pre_norm))
    if step.skip_from is not None:
        number = step.skip_from + 1
        inner.append(f"reads what step {number} reads")
    return inner


def branch_lines(branch: BranchPicture, pen: Pen) -> list[str]:
    """Return one block with its norms, from above."""
    lines: list[str] = []
    if branch.factor:
        lines.append(branch.factor)
    if branch.post_norm is not None:
        lines.append(pill_text(branch.post_norm))
    box = branch.box
    lines.append(f"{pen.bar} {box.title}{MARKS[box.mark]}")
    marks = box.line_marks or ("",) * len(box.lines)
    for text, mark in zip(box.lines, marks, strict=True):
        lines.append(f"{pen.bar} {text}{MARKS[mark]}")
    if branch.pre_norm is not None:
        lines.append(pill_text(branch.pre_norm))
    return lines
