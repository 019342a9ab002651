"""Writing out what an unset fact stands for is no change, in `diff`'s list, rows and sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import pytest
from helpers.mutations import changed

import llmarch
from llmarch.architecture.fingerprint import default_of
from llmarch.architecture.implied import IMPLIED, UNSET, effective_value, implied_value, same
from llmarch.architecture.meanings import class_meanings
from llmarch.architecture.paths import find_value
from llmarch.architecture.schema import Architecture, Attention, QueryScaling, RopeScaling
from llmarch.checkpoint.reading import Reading
from llmarch.compare.diff import diff
from llmarch.renderers import json, markdown, text
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare


def parts(node: Any, path: str = "") -> Iterator[tuple[Any, str]]:
    """Yield every part of an architecture with its path."""
    if is_dataclass(node):
        yield node, path
        for field in fields(node):
            yield from parts(getattr(node, field.name), f"{path}.{field.name}".strip("."))
    elif isinstance(node, dict):
        for name, item in node.items():
            yield from parts(item, f"{path}.{name}")


@cache
def owners() -> dict[tuple[type, str], tuple[Reading, str]]:
    """By class and field of IMPLIED a model that has the owner, and the owner's path."""
    found: dict[tuple[type, str], tuple[Reading, str]] = {}
    for alias in sorted(bundled_models()):
        if len(found) == len(IMPLIED):
            break
        reading = llmarch.load(alias)
        for part, path in parts(reading.architecture):
            for kind, name in IMPLIED:
                if type(part) is kind and implied_value(part, name) is not None:
                    found.setdefault((kind, name), (reading, path))
    return found


def other_value(value: Any) -> Any:
    """A value with another effect."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return tuple(other_value(item) for item in value)
    return value * 2 + 1


def test_all_are_in_some_model_and_may_be_unset() -> None:
    assert owners().keys() == IMPLIED.keys()
    for kind, name in IMPLIED:
        (field,) = (f for f in fields(kind) if f.name == name)
        assert default_of(field) in UNSET


@pytest.mark.parametrize("kind", IMPLIED, ids=lambda kind: f"{kind[0].__name__}.{kind[1]}")
def test_written_out_it_is_no_change(kind: tuple[type, str]) -> None:
    reading, owner_path = owners()[kind]
    a = reading.architecture
    owner = find_value(a, owner_path)
    (unset,) = (default_of(f) for f in fields(owner) if f.name == kind[1])
    path = f"{owner_path}.{kind[1]}"
    value = implied_value(owner, kind[1])
    unsaid = changed(a, path.split("."), unset)
    written = changed(a, path.split("."), value)
    other = changed(a, path.split("."), other_value(value))
    for old, new in ((unsaid, written), (written, unsaid), (a, a)):
        pair = [replace(reading, architecture=x) for x in (old, new)]
        assert diff(old, new) == [], path
        assert json.comparison(pair)["changes"] == []
        compared = compare(pair)
        assert compared.same and not compared.table.rows
        table = text.captured(lambda out, c=compared: text.comparison(c, out))
        for output in (table, markdown.comparison(compared)):
            assert "architectures are the same" in output.lower()
    for old in (unsaid, written):
        assert path in [c.path for c in diff(old, other)]
        compared = compare([replace(reading, architecture=x) for x in (old, other)])
        assert compared.table.rows and not compared.same


STANDS_FOR = re.compile(
    r"(?:None|Empty): (1|it is\.|as many as|all pass|the last|rotary_dim|the act)"
)
NAMES = {"Head.module"}
"""Facts that are a name, which is written where it is not the usual one alone."""


RESOLVED = {
    f"RopeScaling.{name}" for name in ("attention_factor", "beta_fast", "beta_slow", "truncate")
}
"""Facts that every reading of today writes out; locks of older versions left them unset."""


def test_every_unset_fact_that_stands_for_a_value_is_known() -> None:
    """The meanings of fields say what unset stands for: `None: 1`, `None: as many as …`."""
    known = {f"{kind.__name__}.{name}" for kind, name in IMPLIED}
    told: set[str] = set()
    for kind, meaning in class_meanings().items():
        for name, field in meaning.fields.items():
            if STANDS_FOR.search(" ".join(field.text.split())):
                told.add(f"{kind}.{name}")
    assert told - NAMES == known - RESOLVED


def with_mixer(a: Architecture, **values: Any) -> Architecture:
    return replace(a, mixers={**a.mixers, "full": replace(a.mixers["full"], **values)})


def rows_of(*architectures: Architecture) -> dict[str, list[str]]:
    reading = llmarch.load("qwen3-8b")
    compared = compare([replace(reading, architecture=a) for a in architectures])
    return {row[0]: row[1 : 1 + len(architectures)] for row in compared.table.rows}


def test_the_scale_of_a_head_of_256() -> None:
    """Of two models with other head dims, one scale is one scale."""
    a = llmarch.load("qwen3-8b").architecture
    assert isinstance(a.mixers["full"], Attention)
    wide = with_mixer(a, head_dim=256)
    wide_written = with_mixer(a, head_dim=256, scale=0.0625)
    assert diff(wide, wide_written) == []
    narrow = with_mixer(a, scale=0.0625)
    for old, new in ((wide, narrow), (narrow, wide), (a, wide)):
        assert [c.path for c in diff(old, new)] == ["mixers.full.head_dim"]
        assert "softmax scale" not in rows_of(old, new)
    assert rows_of(wide_written, a)["softmax scale"] == ["0.0625", "1/√128"]
    written = ["0.0625", "1/√256", "0.1"]
    assert rows_of(wide_written, wide, with_mixer(wide, scale=0.1))["softmax scale"] == written
    other = llmarch.load("deepseek-v3").architecture
    assert rows_of(wide_written, a, other)["softmax scale"] == ["0.0625", "1/√128", "0.135234"]


@pytest.mark.parametrize("kind", ["linear", "llama3", "yarn", "longrope"])
def test_a_scaling_by_1_is_none(kind: Any) -> None:
    a = llmarch.load("qwen3-8b").architecture
    rope = find_value(a, "mixers.full.rope")
    factors: dict[str, Any] = {"factor": 1.0}
    if kind == "longrope":
        factors |= {"short_factor": (1.0,) * 64, "long_factor": (1.0,) * 64}
    scaled = with_mixer(a, rope=replace(rope, scaling=RopeScaling(kind=kind, **factors)))
    assert diff(a, scaled) == [] and rows_of(a, scaled) == {}
    factors = {"factor": 2.0, "attention_factor": 1.1}
    doubled = with_mixer(a, rope=replace(rope, scaling=RopeScaling(kind=kind, **factors)))
    assert len(diff(a, doubled)) == 1 and rows_of(a, doubled)


def test_a_scaling_of_queries_by_nothing_is_none() -> None:
    a = llmarch.load("qwen3-8b").architecture
    scaling = QueryScaling(beta=0.0, original_context=8192)
    assert diff(a, with_mixer(a, query_scaling=scaling)) == []
    assert diff(a, with_mixer(a, query_scaling=replace(scaling, beta=0.1)))


def test_equal_values() -> None:
    a = llmarch.load("qwen3-8b").architecture.mixers["full"]
    assert same(effective_value(a, "scale"), effective_value(replace(a, scale=128**-0.5), "scale"))
    assert effective_value(a, "window") is None
