"""No difference is unseen: a figure of two models draws or names every change of `diff`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from xml.sax.saxutils import escape

import pytest
from helpers.facts import reading
from helpers.mutations import representatives

from llmarch.architecture.layers import is_whole
from llmarch.architecture.paths import replace_value
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import Reading
from llmarch.compare.diff import diff, differing_facts
from llmarch.renderers.svg import svg
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure
from llmarch.views.figure.description import Figure
from llmarch.views.model import layer_lines

ALL = sorted(bundled_models())
PAIRS = random.Random(3).sample(list(combinations(ALL, 2)), 60)


SUMS = {"parameters", "active", "cache per token", "cache at 32k"}
"""Facts that are sums over others: they change with nearly every fact, and show none."""


IN_THE_KEY = 2
"""Markers that explain themselves."""
MARK = re.compile(r"mark='(form|size)'|line_marks=\([^)]*'size'")


def pictures(f: Figure) -> tuple[object, ...]:
    """What a figure shows of facts, without what it names, and without sums over them."""
    panels = [
        replace(panel, notes=(), values=tuple(v for v in panel.values if v.label not in SUMS))
        for panel in f.panels
    ]
    return ([(m.stack, m.strip) for m in f.models], panels)


def unseen(old: Reading, new: Reading) -> Iterator[str]:
    """Yield the changes that are neither drawn nor named, or said to be drawn and are not."""
    f = figure([old, new])
    paths = {change.path for change in diff(old.architecture, new.architecture)}
    if f.drawn | f.named != paths or f.drawn & f.named:
        yield f"not told: {sorted(paths ^ (f.drawn | f.named))}"
    named = [note for panel in f.panels for note in panel.notes]
    if bool(f.named) != bool(named):
        yield f"not named: {sorted(f.named)}"


def is_marked(f: Figure) -> bool:
    """Whether a figure has a mark, or names a difference; marks of sums do not count."""
    shown = repr(pictures(f))
    return bool(MARK.search(shown)) or any(panel.notes for panel in f.panels)


def looks_the_same_without(path: str, old: Reading, new: Reading) -> bool:
    """Whether the figure is the same with one change taken back, from either side."""
    f = pictures(figure([old, new]))
    a, b = old.architecture, new.architecture
    found = next(d for d in differing_facts(a, b) if d.path == path)
    sides = [(new, found.undo, lambda r: [old, r]), (old, found.make, lambda r: [r, new])]
    for reading_, edit, both in sides:
        if edit is None:
            return False  # a part that came or went: no single value undoes it
        without = replace_value(reading_.architecture, edit.path, edit.value)
        if not is_whole(without) or not has_prediction_layer(without):
            return False
        if pictures(figure(both(replace(reading_, architecture=without)))) != f:
            return False
    return True


def has_prediction_layer(a: Architecture) -> bool:
    """Whether the layer of prediction modules is there, if they name one."""
    return a.mtp is None or a.mtp.layer_kind in (None, *a.layer_kinds)


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("alias", sorted(representatives()))
def test_a_change_is_drawn_or_named(alias: str) -> None:
    old = reading(alias)
    same = pictures(figure([old, old]))
    found: list[str] = []
    for mutation in representatives()[alias]:
        new = replace(old, architecture=mutation.architecture)
        found += [f"{mutation.path}: {fault}" for fault in unseen(old, new)]
        f = figure([old, new])
        if f.drawn and pictures(f) == same:
            found.append(f"{mutation.path}: not drawn")
        if f.drawn and not is_marked(f):
            found.append(f"{mutation.path}: not marked")
    assert found == []


@pytest.mark.parametrize("alias", ["deepseek-v3", "gemma3-27b", "deepseek-v4-flash", "olmo3-7b"])
def test_other_numbers_and_orders_of_layers_are_marked(alias: str) -> None:
    """One more of a kind and one less of another; the same layers the other way round."""
    old = reading(alias)
    layers = old.architecture.layers
    moved = tuple(reversed(layers))
    other = next(kind for kind in moved if kind != layers[-1])
    for changed in ((*layers[:-1], other), (other, *layers[1:]), moved):
        if changed == layers:
            continue
        f = figure([old, replace(old, architecture=replace(old.architecture, layers=changed))])
        assert f.drawn and is_marked(f), changed
        assert svg(f).count('class="marker') > IN_THE_KEY, changed


@cache
def svg_of_equal(alias: str) -> str:
    return svg(figure([reading(alias), reading(alias)]))


@pytest.mark.sweep  # a sweep: other tests run the same lines
def test_a_change_is_in_the_svg() -> None:
    """A sample of the changes as they are drawn: with marks, or with the names of what differs."""
    everything = [(alias, m) for alias, found in representatives().items() for m in found]
    for alias, mutation in random.Random(15).sample(everything, 50):
        old = reading(alias)
        f = figure([old, replace(old, architecture=mutation.architecture)])
        drawn = svg(f)
        assert drawn != svg_of_equal(alias), (alias, mutation.path)
        notes = {note for panel in f.panels for note in panel.notes}
        words = {escape(word) for note in notes for word in note.split()}
        assert [word for word in words if word not in drawn] == [], (alias, mutation.path)


@pytest.mark.parametrize("alias", ALL)
def test_kinds_of_layers_have_words_of_their_own(alias: str) -> None:
    """In the heads of columns and the legend, and so many runs or counts as there are kinds."""
    kinds = figure([reading(alias)]).models[0].strip.kinds
    assert len({kind.words for kind in kinds}) == len(kinds)
    lines = "\n".join(layer_lines(reading(alias).architecture))
    assert all(kind.words.replace("||", "∥") in lines for kind in kinds)


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_every_change_of_a_pair_is_drawn_or_named(pair: tuple[str, str]) -> None:
    old, new = map(reading, pair)
    assert list(unseen(old, new)) == []


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("pair", PAIRS[:12], ids=" ".join)
def test_what_is_said_to_be_drawn_is_drawn(pair: tuple[str, str]) -> None:
    """Each change that counts as drawn is taken back on its own: the figure is another one then."""
    old, new = map(reading, pair)
    drawn = figure([old, new]).drawn
    assert [path for path in sorted(drawn) if looks_the_same_without(path, old, new)] == []


def test_equal_models_have_no_marks() -> None:
    for alias in ("deepseek-v3", "gemma3n-e2b", "deepseek-v4-flash"):
        f = figure([reading(alias), reading(alias)])
        assert not f.drawn and not f.named
        assert not any(v.mark for panel in f.panels for v in panel.values)
        assert "mark='form'" not in repr(f.models) and "mark='size'" not in repr(f.models)
