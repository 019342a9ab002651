"""Figures of all bundled models, alone and in pairs, have nothing over anything else."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from helpers.facts import reading
from helpers.figures import problems

import llmarch
from llmarch.layout.compose import drawing
from llmarch.layout.drawing import SOLID, Label, Rectangle, Wire
from llmarch.renderers.svg import drawing_svg, svg
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure

ALL = sorted(bundled_models())
PAIRS = random.Random(19).sample(list(combinations(ALL, 2)), 300)
NARROWEST = 400.0
"""Width of a narrow figure."""
SHARES = 10
"""Parts of the pairs, a test each."""


def faults(aliases: tuple[str, ...], narrow: bool) -> list[str]:
    """What is wrong with the figure of some models, with their names in front."""
    described = figure([reading(alias) for alias in aliases])
    drawn = drawing(described, narrow=narrow)
    found = problems(drawn)
    if narrow and drawn.width > NARROWEST + 0.01:
        found.append(f"{drawn.width} px wide")
    return [f"{' '.join(aliases)}: {fault}" for fault in found]


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("alias", ALL)
def test_no_part_of_a_figure_is_over_another(alias: str, narrow: bool) -> None:
    assert faults((alias,), narrow) == []


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("share", range(SHARES))
def test_no_part_of_a_pair_is_over_another(share: int) -> None:
    found = [
        fault
        for i, pair in enumerate(PAIRS[share::SHARES])
        for fault in faults(pair, narrow=i % 3 == 0)
    ]
    assert found == []


def test_several_models_stand_in_a_row() -> None:
    assert faults(("deepseek-v3", "kimi-k2", "qwen3-next"), narrow=False) == []
    assert faults(("gpt2", "llama3-8b", "gemma3n-e2b", "longcat-flash"), narrow=False) == []


@pytest.mark.parametrize("part", ["strip", "panels", "layers"])
def test_parts_and_rows_are_narrow_too(part: str) -> None:
    row = ("deepseek-v3", "kimi-k2", "qwen3-next", "gpt2", "gemma3n-e2b")
    assert faults(row, narrow=True) == []
    for aliases in (row, row[:1], row[1:3], row[4:]):
        described = figure([reading(alias) for alias in aliases])
        drawn = drawing(described, narrow=True, parts=frozenset([part]))
        assert problems(drawn) == [] and drawn.width <= NARROWEST + 0.01


def test_faults_are_found() -> None:
    """The check sees whatever a stack has at another place, and a line that is drawn twice."""
    whole = drawing(figure([reading("llama3-8b")]), parts=frozenset(("layers",)))
    assert problems(whole) == []
    unseen: list[object] = []
    for shape in whole.shapes:
        is_text = isinstance(shape, Label) and shape.anchor == "middle"  # in a box
        is_box = isinstance(shape, Rectangle) and shape.level == SOLID
        if not is_text and not is_box and not isinstance(shape, Wire):
            continue
        others = tuple(s for s in whole.shapes if s is not shape)
        moved = shape.moved(7, 11)
        if not problems(whole._replace(shapes=(*others, moved))):
            unseen.append(shape)
    assert unseen == []
    for wire in [s for s in whole.shapes if isinstance(s, Wire)]:
        assert problems(whole._replace(shapes=(*whole.shapes, wire)))


@pytest.mark.parametrize("alias", ["gpt2", "deepseek-v4-flash", "gemma3n-e2b"])
def test_svg_is_well_formed_and_always_the_same(alias: str) -> None:
    text = svg(figure([reading(alias)]))
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert text == svg(figure([llmarch.load(alias)]))


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_every_class_has_a_colour(theme: str) -> None:
    for alias in ("deepseek-v4-flash", "gemma3n-e2b", "qwen3-next"):
        text = drawing_svg(drawing(figure([reading(alias)])), theme=theme)  # type: ignore[arg-type]
        used = {css for part in text.split('class="')[1:] for css in [part.partition('"')[0]]}
        for css in used:
            assert f".{css}{{" in text, css
