"""Every family against checkpoints that llmarch had no hand in: names and shapes are transformers',
renamed to the Hub's.

The fixtures hold config and tensor headers (tests/oracle/make_fixtures.py). A plain one must equal
the family's template tensor by tensor; the packed and re-spelled ones are the join's business
(tests/checkpoint).
"""

from __future__ import annotations

import gzip
import json
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture, Evidence
from llmarch.checkpoint.reading import configure
from llmarch.config.families import MODEL_TYPES, find_family
from llmarch.config.vocabulary import build
from llmarch.tensors.template import TensorRow

HEADERS = FIXTURES / "headers"


def load(path: Path) -> dict[str, Any]:
    return json.loads(gzip.decompress(path.read_bytes()))


def plain(about: dict[str, Any]) -> bool:
    return (
        not about.get("quant")
        and about.get("names") == "Hub"
        and not about.get("tied_copy")
        and not about.get("buffers")
    )


FIXTURES = {p.name.removesuffix(".json.gz"): load(p) for p in sorted(HEADERS.glob("*.json.gz"))}
PLAIN = [n for n, f in FIXTURES.items() if plain(f["about"])]


def read(
    config: dict[str, Any],
) -> tuple[Architecture, list[TensorRow], dict[str, Evidence], list[str]]:
    family, c = configure(config, "config.json" if "model_type" in config else "params.json")
    evidence: dict[str, Evidence] = {}
    architecture = build(family.read(c), family.ref, evidence)
    return architecture, family.template(architecture), evidence, c.unread()


def names_of(rows: list[TensorRow]) -> dict[str, tuple[int, ...]]:
    out: dict[str, tuple[int, ...]] = {}
    for row in rows:
        for index in product(*row.axes):
            name = row.pattern.format(*index)
            assert name not in out, f"{name} is twice in the template"
            out[name] = row.shape
    return out


@pytest.mark.parametrize("name", PLAIN)
def test_the_template_is_the_checkpoint(name: str) -> None:
    fixture = FIXTURES[name]
    architecture, rows, _, _ = read(fixture["config"])
    if not fixture["about"].get("mtp"):
        rows = [r for r in rows if r.component != "mtp"]
    elif (
        architecture.mtp is None
    ):  # the config does not tell; the family knows what a checkpoint may hold
        [(_, stored)] = find_family(architecture.model_type).mtp_candidates(architecture)
        rows += stored
    expected = {n: tuple(shape) for n, (_, shape) in fixture["tensors"].items()}
    ours = names_of(rows)
    assert sorted(expected.keys() - ours.keys())[:5] == []
    assert sorted(ours.keys() - expected.keys())[:5] == []
    assert {n: (s, expected[n]) for n, s in ours.items() if s != expected[n]} == {}


@pytest.mark.parametrize("name", FIXTURES)
def test_facts_and_template_count_the_same(name: str) -> None:
    """The count from the schema's facts alone, by component, is the sum over the template."""
    architecture, rows, _, _ = read(FIXTURES[name]["config"])
    ours = count_parameters(architecture)
    by: dict[str, int] = {}
    for r in rows:
        by[r.component] = by.get(r.component, 0) + r.parameters
    assert by.pop("mtp", 0) == (ours.mtp or 0)
    assert by == ours.by_component
    assert sum(by.values()) == ours.total


@pytest.mark.parametrize("name", FIXTURES)
def test_every_leaf_has_evidence_and_every_key_is_read(name: str) -> None:
    architecture, _, evidence, unread = read(FIXTURES[name]["config"])
    assert unread == []
    for path in ("hidden_size", "vocab_size", "layers", "embedding.tied"):
        assert path in evidence
    assert len(architecture.layers) > 0


def test_prod_is_not_trusted_blindly() -> None:
    """A row's parameters are its shape times the numbers its axes allow."""
    assert TensorRow("a.{}.b.{}.w", (2, 3), ((1, 5), range(4)), "x").parameters == prod((2, 3)) * 8


def test_every_model_type_has_a_family_file() -> None:
    assert all(find_family(t).name for t in MODEL_TYPES)
