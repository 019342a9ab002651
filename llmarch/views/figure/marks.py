"""Marks of what differs between two models, put on boxes and norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from ..documents import ABSENT
from .blocks import mark_of, without_numbers
from .description import (
    Box,
    BranchPicture,
    Column,
    KindLabel,
    Mark,
    ModelPicture,
    ModelStack,
    Panel,
    Pill,
    StepPicture,
    Value,
)
from .differences import class_at

PanelMarks = dict[str, Mark]
"""Mark of the boxes of a class of blocks."""
Forms = dict[str, object]
"""How layers are wired, by the words of their kinds."""


def marked_stacks(
    stacks: tuple[ModelStack, ModelStack], panels: Sequence[Panel], norm_mark: Mark
) -> tuple[ModelStack, ModelStack]:
    """Return two models' stacks with marks on what differs.

    stacks: the stacks without marks.
    panels: the panels of the pair.
    norm_mark: whether kinds or places of norms differ.
    """
    lines = tuple(block_lines(stack) for stack in stacks)
    both: list[ModelStack] = []
    for i, stack in enumerate(stacks):
        marks = panel_marks(panels, i)
        other = stacks[1 - i]
        partners = {class_at(p, i): class_at(p, 1 - i) for p in panels}
        other_lines = {name: lines[1 - i].get(partner, ()) for name, partner in partners.items()}
        both.append(
            replace(
                stack,
                columns=tuple(
                    marked_column(c, marks, other_lines, norm_mark) for c in stack.columns
                ),
                embedding=marked_box(stack.embedding, other.embedding),
                entry=tuple(marked_pills(stack.entry, other.entry)),
                exit=tuple(marked_pills(stack.exit, other.exit, norm_mark)),
                sources=tuple(marked_sources(stack.sources, other.sources)),
                head=marked_box(stack.head, other.head),
                mtp=stack.mtp and marked_box(stack.mtp, other.mtp),
                streams=stack.streams and replace(stack.streams, mark=stream_mark(stack, other)),
            )
        )
    first, second = both
    return first, second


def panel_marks(panels: Sequence[Panel], i: int) -> PanelMarks:
    """Return the mark of each class of blocks of a model: that of the strongest value."""
    marks: PanelMarks = {}
    for panel in panels:
        found: set[Mark] = {v.mark for v in panel.values}
        first, _, second = panel.key.partition("|")
        if "form" in found or (second and first != second) or " · " in panel.title:
            marks[class_at(panel, i)] = "form"
        elif "size" in found:
            marks[class_at(panel, i)] = "size"
        if not first or panel.key.endswith("|"):
            marks[class_at(panel, i)] = "form"
    return marks


def block_lines(stack: ModelStack) -> dict[str, tuple[str, ...]]:
    """Return what boxes say, by class of block; of several boxes of a class the first."""
    lines: dict[str, tuple[str, ...]] = {}
    for column in stack.columns:
        for step in column.steps:
            for branch in step.branches:
                box = branch.box
                lines.setdefault(box.panel, box.lines)
    return lines


def marked_layers(pictures: tuple[ModelPicture, ModelPicture]) -> list[ModelPicture]:
    """Return two models with marks on their kinds of layers, and on the order of these."""
    forms = [forms_by_words(picture.stack) for picture in pictures]
    found: list[ModelPicture] = []
    for i, picture in enumerate(pictures):
        other = pictures[1 - i]
        marks: dict[str, Mark] = {}
        for kind in picture.strip.kinds:
            marks[kind.words] = kind_mark(kind, other, forms[i], forms[1 - i])
        strip = replace(picture.strip, kinds=marked_kinds(picture.strip.kinds, marks))
        if not any(marks.values()) and words_in_order(picture) != words_in_order(other):
            strip = replace(strip, mark="form")
        columns = [replace(c, kinds=marked_kinds(c.kinds, marks)) for c in picture.stack.columns]
        stack = replace(picture.stack, columns=tuple(columns))
        found.append(replace(picture, stack=stack, strip=strip))
    return found


def marked_kinds(kinds: Sequence[KindLabel], marks: dict[str, Mark]) -> tuple[KindLabel, ...]:
    """Return kinds of layers with their marks, which are given by their words."""
    return tuple(replace(kind, mark=marks[kind.words]) for kind in kinds)


def kind_mark(kind: KindLabel, other: ModelPicture, own_forms: Forms, other_forms: Forms) -> Mark:
    """Return how a kind of layers differs from that of another model.

    kind: the kind.
    other: the other model.
    own_forms, other_forms: how layers are wired, by the words of their kinds.
    """
    if own_forms[kind.words] == other_forms.get(kind.words):
        counts = {k.words: k.count for k in other.strip.kinds}
        return "" if counts[kind.words] == kind.count else "size"
    pairs = ((without_numbers(words), form) for words, form in other_forms.items())
    if (without_numbers(kind.words), own_forms[kind.words]) in pairs:
        return "size"
    return "form"


def forms_by_words(stack: ModelStack) -> Forms:
    """Return how layers are wired: their steps without what the blocks say, by kind in words."""
    forms: Forms = {}
    for column in stack.columns:
        form = tuple(map(step_form, column.steps)), column.closing, len(column.added)
        forms |= dict.fromkeys((kind.words for kind in column.kinds), form)
    return forms


def step_form(step: StepPicture) -> object:
    """Return a step without what its blocks say."""
    branches = [(b.pre_norm, b.post_norm, b.factor, b.box.inlet) for b in step.branches]
    return replace(step, branches=()), tuple(branches)


def words_in_order(picture: ModelPicture) -> list[str]:
    """Return the kinds of the layers of a model in words, the first layer first."""
    words = {kind.number: kind.words for kind in picture.strip.kinds}
    return [words[number] for number in picture.strip.layers]


def marked_column(
    column: Column, marks: PanelMarks, others: dict[str, tuple[str, ...]], norm_mark: Mark
) -> Column:
    """Return a column with marks.

    column: the column.
    marks: by class of block.
    others: what the other model's boxes say, by the class of this model's.
    norm_mark: mark of the norms.
    """
    steps = tuple(marked_step(step, marks, others, norm_mark) for step in column.steps)
    return replace(column, steps=steps)


def marked_step(
    step: StepPicture, marks: PanelMarks, others: dict[str, tuple[str, ...]], norm_mark: Mark
) -> StepPicture:
    """Return a step with marks; see `marked_column`."""
    branches: list[BranchPicture] = []
    for branch in step.branches:
        box = branch.box
        mark = marks.get(box.panel, "")
        lines = line_marks(box.lines, others.get(box.panel, ()))
        if mark != "form":
            mark = ""
        branches.append(
            replace(
                branch,
                box=replace(box, mark=mark, line_marks=lines),
                pre_norm=marked_norm(branch.pre_norm, norm_mark),
                post_norm=marked_norm(branch.post_norm, norm_mark),
            )
        )
    return replace(
        step,
        branches=tuple(branches),
        pre_norm=marked_norm(step.pre_norm, norm_mark),
        join_norm=marked_norm(step.join_norm, norm_mark),
        after_norm=marked_norm(step.after_norm, norm_mark),
    )


def marked_norm(pill: Pill | None, mark: Mark) -> Pill | None:
    """Return a norm with a mark."""
    if pill is None:
        return None
    return replace(pill, mark=mark)


def marked_pills(pills: Sequence[Pill], others: Sequence[Pill], norm_mark: Mark = "") -> list[Pill]:
    """Return pills with marks where the other model does not have the same."""
    texts = {pill.text for pill in others}
    marked: list[Pill] = []
    for pill in pills:
        mark: Mark = ""
        if pill.role == "norm":
            mark = norm_mark
        if pill.text not in texts:
            mark = "form"
        marked.append(replace(pill, mark=mark))
    return marked


def marked_box(box: Box, other: Box | None) -> Box:
    """Return a box marked against that of the other model, None where it has no such box."""
    if other is None:
        return replace(box, mark="form")
    forms = [without_numbers(" ".join((b.title, *b.lines))) for b in (box, other)]
    if forms[0] != forms[1]:
        return replace(box, mark="form", line_marks=line_marks(box.lines, other.lines))
    return replace(box, line_marks=line_marks(box.lines, other.lines))


def line_marks(lines: Sequence[str], others: Sequence[str]) -> tuple[Mark, ...]:
    """Return the mark of each line: `size` where the other model has other numbers."""
    marks: list[Mark] = []
    count = len(lines)
    counterparts = others[:count]
    for line, other in zip_longest(lines, counterparts):
        mark: Mark = ""
        if other is not None and mark_of(line, other) == "size":
            mark = "size"
        marks.append(mark)
    return tuple(marks)


def marked_sources(boxes: Sequence[Box], others: Sequence[Box]) -> list[Box]:
    """Return encoders and further embeddings with marks."""
    by_path = {box.path: box for box in others}
    marked: list[Box] = []
    for box in boxes:
        other = by_path.get(box.path)
        marked_one = marked_box(box, other)
        marked.append(marked_one)
    return marked


def stream_mark(stack: ModelStack, other: ModelStack) -> Mark:
    """Return whether the residual streams differ."""
    if stack.streams == other.streams:
        return ""
    return "form"


def has_no_value(v: Value) -> bool:
    """Return whether no model has a value."""
    words = set(v.cells)
    return words == {ABSENT}
