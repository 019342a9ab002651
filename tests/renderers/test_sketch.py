"""Sketches: every block of a figure is in them, they fit their width, and ASCII is ASCII."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from helpers.facts import reading
from helpers.mutations import representatives
from helpers.program import Run

from llmarch.renderers.sketch import sketch_lines
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure
from llmarch.views.figure.description import Figure

ALL = sorted(bundled_models())


@pytest.mark.parametrize("alias", ALL)
def test_every_block_is_sketched(alias: str) -> None:
    described = figure([reading(alias)])
    lines = sketch_lines(described, 100)
    text = "\n".join(lines)
    for column in described.models[0].stack.columns:
        for step in column.steps:
            for branch in step.branches:
                assert branch.box.title in text
                assert all(line in text for line in branch.box.lines)
    ascii_text = "\n".join(sketch_lines(described, 100, ascii_only=True))
    assert ascii_text.isascii() and "?" not in ascii_text


def test_only_residual_lines_are_drawn() -> None:
    """Steps that mix several streams, or read what an earlier step reads, have no line back."""
    for alias, loops in (("deepseek-v4-flash", 0), ("longcat-flash", 4), ("llama3-8b", 2)):
        text = "\n".join(sketch_lines(figure([reading(alias)]), 100))
        assert text.count("╮ │") == loops, alias
    assert "mix into 4 streams" in "\n".join(sketch_lines(figure([reading("deepseek-v4-flash")])))


NOT_WRITTEN = {"path", "panel", "role", "number", "name", "joined", "inlet"}
"""Fields of a description that say where a thing belongs, and its colour."""


def words_of(node: Any) -> Any:
    """What a description says, without what only a drawing shows."""
    if is_dataclass(node):
        shown = [f.name for f in fields(node) if f.name not in NOT_WRITTEN]
        return [words_of(getattr(node, name)) for name in shown]
    if isinstance(node, tuple):
        return [words_of(item) for item in node]
    return node


def stacks(described: Figure) -> list[Any]:
    return [words_of(model.stack) for model in described.models]


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("alias", sorted(representatives()))
def test_a_change_of_the_stack_is_sketched(alias: str) -> None:
    """Every fact changed once: what changes in the stack or its marks changes in the sketch."""
    old = reading(alias)
    alone, same = figure([old]), figure([old, old])
    lost: list[str] = []
    for mutation in representatives()[alias]:
        new = replace(old, architecture=mutation.architecture)
        for before, after in ((alone, figure([new])), (same, figure([old, new]))):
            differ = stacks(before) != stacks(after)
            if differ and sketch_lines(before) == sketch_lines(after):
                lost.append(mutation.path)
    assert lost == []


def test_frames_are_closed() -> None:
    lines = sketch_lines(figure([reading("deepseek-v3")]), 100)
    framed = [line for line in lines if line.startswith(("│", "╭", "╰"))]
    assert len({len(line) for line in framed}) == 1
    assert framed[0].count("╭") == framed[-1].count("╰") == 2


def test_models_stand_below_one_another_where_there_is_no_room() -> None:
    described = figure([reading("llama3-8b"), reading("olmo2-7b")])
    wide, narrow = sketch_lines(described, 100), sketch_lines(described, 60)
    assert len(narrow) > 1.5 * len(wide)
    assert max(map(len, narrow)) <= 60
    assert any(" ≠" in line for line in wide) and any(" ~" in line for line in wide)


def test_show_and_diff_print_sketches(run: Run) -> None:
    shown, _ = run("show", "gpt2", "--sketch")
    assert "Multi-head attention" in shown and shown.endswith(run("show", "gpt2")[0])
    compared, _ = run("diff", "gpt2", "llama3-8b", "--sketch", "--format", "markdown")
    assert compared.startswith("```text")
