"""RoPE is resolved: two configs have the same facts if, and only if, transformers computes the
same.

The fixture is written by tests/oracle/rope.py.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.architecture.frequencies import rotary_frequencies, turn_alike
from llmarch.architecture.schema import Architecture, Attention, LatentAttention, Rope, RopeScaling
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.compare.diff import diff

Config = dict[str, Any]

DOCUMENT: dict[str, Any] = json.loads((FIXTURES / "rope.json").read_text())
BASES: dict[str, Config] = DOCUMENT["bases"]
ROWS: list[dict[str, Any]] = DOCUMENT["rows"]


def read(config: Config) -> tuple[Architecture, list[str]]:
    family, keys = configure(config, "config.json")
    architecture, _ = build_with_template(family, keys, {})
    return architecture, keys.unread()


def rope_changes(a: Architecture, b: Architecture) -> list[str]:
    return [c.path for c in diff(a, b) if c.path.startswith("mixers.full.rope")]


@pytest.mark.sweep  # other tests run the same lines
@pytest.mark.parametrize("base", BASES)
def test_the_facts_differ_where_the_frequencies_differ(base: str) -> None:
    rows = [row for row in ROWS if row["base"] == base]
    assert len(rows) > 10
    read_rows = [(row, read(BASES[base] | row["config"])[0]) for row in rows]
    wrong: list[Any] = []
    for (row, a), (other, b) in combinations(read_rows, 2):
        equal = rope_changes(a, b) == []
        computed = [(r["factor"], r["frequencies"]) for r in (row, other)]
        if equal != (computed[0] == computed[1]):
            wrong.append((row["config"], other["config"], rope_changes(a, b)))
    assert wrong == []


@pytest.mark.parametrize("base", BASES)
def test_frequencies_are_equal_where_transformers_computes_the_same(base: str) -> None:
    """The fixture has a hash of them: two rows have one hash or two."""
    known: list[tuple[str, Rope]] = []
    for row in ROWS:
        if row["base"] != base:
            continue
        mixer = read(BASES[base] | row["config"])[0].mixers["full"]
        assert isinstance(mixer, (Attention, LatentAttention)) and mixer.rope
        if rotary_frequencies(mixer.rope) is not None:
            known.append((row["frequencies"], mixer.rope))
    assert len(known) > 3
    for (old, a), (new, b) in combinations(known, 2):
        assert turn_alike(a, b) == (old == new)


@pytest.mark.parametrize(
    "values",
    [
        {"theta": 0.0},
        {"theta": 1.0},
        {"factor": 0.0},
        {"factor": None},
        {"beta_slow": -1.0},
        {"original_context": 0},
        {"original_context": None},
    ],
)
def test_parameters_that_are_not_positive_give_no_frequencies(values: dict[str, Any]) -> None:
    scaling = RopeScaling(kind="yarn", factor=4.0, original_context=1024)
    rope = Rope(theta=10000.0, rotary_dim=64, scaling=scaling)
    if "theta" in values:
        rope = replace(rope, **values)
    else:
        rope = replace(rope, scaling=replace(scaling, **values))
    assert rotary_frequencies(rope) is None
    assert not turn_alike(rope, rope)


def attention_factor(a: Architecture) -> float:
    mixer = a.mixers["full"]
    assert isinstance(mixer, (Attention, LatentAttention)) and mixer.rope
    scaling = mixer.rope.scaling
    return 1.0 if scaling is None else scaling.attention_factor or 1.0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["base"])
def test_the_factor_of_queries_and_keys(row: dict[str, Any]) -> None:
    factor = attention_factor(read(BASES[row["base"]] | row["config"])[0])
    assert float(f"{factor:.6g}") == row["factor"]
