"""RoPE is resolved: two configs have the same facts if, and only if, transformers computes the
same.

The fixture is written by tests/oracle/rope.py.
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.architecture.schema import Architecture, Attention, LatentAttention
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


def attention_factor(a: Architecture) -> float:
    mixer = a.mixers["full"]
    assert isinstance(mixer, (Attention, LatentAttention)) and mixer.rope
    scaling = mixer.rope.scaling
    return 1.0 if scaling is None else scaling.attention_factor or 1.0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["base"])
def test_the_factor_of_queries_and_keys(row: dict[str, Any]) -> None:
    factor = attention_factor(read(BASES[row["base"]] | row["config"])[0])
    assert float(f"{factor:.6g}") == row["factor"]
