"""Single changes of what transformers builds of every model type: none is verified."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.folded import folded_table
from helpers.type_fixtures import TYPES, folded, read_fixture

from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import Reading, read_model
from llmarch.config.families import MODEL_TYPES
from llmarch.errors import ConfigError
from llmarch.sources.raw import TensorTable

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

READ = [name for name in TYPES if name in MODEL_TYPES]
Listed = tuple[str, tuple[int, ...], list[tuple[int, ...]]]
LARGEST = 3_000
"""Tensors of a type that is read here."""
PLAIN = "BF16"


def smallest(model_type: str) -> tuple[dict[str, Any], list[Listed]] | None:
    """Return the config and the tensors of the smallest model of a type, None if it is large."""
    document = read_fixture(model_type)
    sizes = [sum(row[3] for row in rows) for rows in document["tables"]]
    position = sizes.index(min(sizes))
    if sizes[position] > LARGEST:
        return None
    row = next(row for row in document["rows"] if row["tensors"] == position)
    config = {**document["rows"][0]["saved"], **row["saved"], "model_type": model_type}
    rows = [
        (name, shape, [*numbers]) for name, shape, numbers in folded(document["tables"][position])
    ]
    return config, rows


def read_table(model_type: str, config: dict[str, Any], table: TensorTable) -> Reading:
    return read_model(local_model(config, table, model_type))


def retyped(rows: list[Listed], chance: random.Random) -> Iterator[tuple[str, TensorTable]]:
    """Yield tables in which one tensor holds integers: one with and one without `.weight`."""
    others = [row for row in rows if not row[0].endswith((".weight", ".bias"))]
    for choices in (rows, others):
        if not choices:
            continue
        chosen = chance.choice(choices)
        pattern, shape, numbers = chosen
        first, *rest = numbers
        table = folded_table([row for row in rows if row is not chosen], PLAIN)
        for group in folded_table([(pattern, shape, rest)] if rest else [], PLAIN):
            table.add_group(group)
        for group in folded_table([(pattern, shape, [first])], chance.choice(["I32", "I64"])):
            table.add_group(group)
        yield pattern, table


@pytest.mark.parametrize("model_type", READ)
def test_integers_and_names_that_nothing_knows(model_type: str) -> None:
    found = smallest(model_type)
    if found is None:
        return
    config, rows = found
    try:
        clean = read_table(model_type, config, folded_table(rows, PLAIN))
    except ConfigError:
        return
    if clean.status != "verified":
        return
    chance = random.Random(model_type)
    for pattern, table in retyped(rows, chance):
        assert read_table(model_type, config, table).status == "conflict", pattern
    position = chance.randrange(len(rows))
    pattern, shape, numbers = rows[position]
    renamed = [*rows[:position], (f"{pattern}_x", shape, numbers), *rows[position + 1 :]]
    table = folded_table(renamed, PLAIN)
    assert read_table(model_type, config, table).status == "conflict", pattern


STACKS = ("qwen3_moe", "mixtral", "olmoe")


@pytest.mark.parametrize("model_type", STACKS)
def test_stacks_of_two_orientations_do_not_go_together(model_type: str) -> None:
    """Gates turned beside what they gate: as large as they should be, and no matrix."""
    config, rows = smallest(model_type) or ({}, [])
    ends = {".w1.weight": "gate_proj", ".w2.weight": "down_proj", ".w3.weight": "up_proj"}
    stacked: list[Listed] = []
    for pattern, shape, numbers in rows:
        root, _, end = pattern.partition(".experts.{}")
        if not end:
            stacked.append((pattern, shape, numbers))
            continue
        name = ends.get(end, end.removeprefix(".").removesuffix(".weight"))
        experts = 1 + max(number for _, number in numbers)
        whole = (experts, *shape)
        if name == "gate_proj":
            whole = (shape[0], experts, shape[1])
            assert prod(whole) == experts * prod(shape)
        layers = sorted({(layer,) for layer, _ in numbers})
        stacked.append((f"{root}.experts.{name}", whole, layers))
    reading = read_table(model_type, config, folded_table(stacked, PLAIN))
    wrong: list[Finding] = [f for f in reading.findings if f.rule == "tensor-shape"]
    assert reading.status == "conflict"
    assert [f for f in wrong if "gate_proj" in f.path]
