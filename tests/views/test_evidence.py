"""`--explain`: meaning above evidence, by path, by name and by config key; hints for the rest."""

from __future__ import annotations

import re

import pytest
from helpers.checkpoint_fixtures import load as fixture
from helpers.checkpoint_fixtures import table_of, tensors_of
from helpers.facts import reading

import llmarch
from llmarch.architecture.catalogue import iterate_facts
from llmarch.architecture.meanings import class_meanings
from llmarch.checkpoint.reading import Observation, read_or_infer
from llmarch.errors import UnknownReference
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import RawModel
from llmarch.views.evidence import (
    explain,
    explained_value,
    explanation_document,
    explanation_table,
    find_prefixes,
)

QWEN = llmarch.load("qwen3-235b")
GEMMA = llmarch.load("gemma3-27b")


def test_a_fact_has_its_meaning_above_its_evidence() -> None:
    rows = explanation_table(explain(QWEN, "mixers.full.kv_heads")).rows
    meaning = class_meanings()["Attention"].fields["kv_heads"].text
    assert rows == [
        ["mixers.full.kv_heads", "4", f"{meaning}\nconfig key num_key_value_heads"],
    ]


def test_a_block_has_the_meaning_of_its_class_first() -> None:
    rows = explanation_table(explain(QWEN, "mixers.full")).rows
    assert rows[0][:2] == ["mixers.full", ""]
    assert rows[0][2].startswith("Softmax attention") and "\n- query [" in rows[0][2]
    assert rows[1][0] == "mixers.full.heads"


def test_a_meaning_is_shown_once() -> None:
    rows = explanation_table(explain(GEMMA, "kv_heads")).rows
    assert [row[0] for row in rows] == ["mixers.sliding.kv_heads", "mixers.full.kv_heads"]
    assert "key/value heads" in rows[0][2] and "key/value heads" not in rows[1][2]


def test_json_has_the_meaning_of_every_fact() -> None:
    document = explanation_document(explain(GEMMA, "kv_heads"))
    assert all("key/value heads" in fact["meaning"] for fact in document.values())
    assert document["mixers.full.kv_heads"]["value"] == 16


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("mixers.full.rope", ["mixers.full.rope"]),
        ("rope", ["mixers.sliding.rope", "mixers.full.rope"]),
        ("rope.theta", ["mixers.sliding.rope.theta", "mixers.full.rope.theta"]),
        ("KV heads", ["mixers.sliding.kv_heads", "mixers.full.kv_heads"]),
        ("qk-norm.scope", ["mixers.sliding.qk_norm.scope", "mixers.full.qk_norm.scope"]),
        ("RoPE θ", ["mixers.sliding.rope.theta", "mixers.full.rope.theta"]),
        ("Sparse indexer", []),
        ("final norm", ["final_norm"]),
        ("sliding_window", ["mixers.sliding.window"]),
        ("rope_local_base_freq", ["mixers.sliding.rope.theta"]),
        ("nonsense", []),
        ("", []),
    ],
)
def test_paths_are_found_by_name_and_by_config_key(asked: str, found: list[str]) -> None:
    prefixes = find_prefixes(asked, GEMMA.evidence)
    assert [p for p in prefixes if not p.startswith("towers")] == found


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("mixers.full.kvheads", "mixers.full.kv_heads"),
        ("mixers.global.head_dims", "mixers.full.head_dim"),
        ("gqa", "mixers.sliding"),
        ("vocabsize", "vocab_size"),
    ],
)
def test_what_is_not_found_gets_the_nearest_paths(asked: str, nearest: str) -> None:
    with pytest.raises(UnknownReference) as error:
        explain(GEMMA, asked)
    assert error.value.hint is not None and nearest in error.value.hint


def test_what_is_like_nothing_gets_an_example() -> None:
    with pytest.raises(UnknownReference) as error:
        explain(GEMMA, "parameters.total")
    assert "mixers.full.heads" in (error.value.hint or "")


def test_an_absent_fact_is_shown_when_it_is_asked_for() -> None:
    assert explanation_table(explain(QWEN, "mixers.full.window")).rows[0][1] == "none"
    below = explanation_table(explain(QWEN, "mixers.full")).rows
    assert "mixers.full.window" not in [row[0] for row in below]


def test_observed_models_have_meanings() -> None:
    stored = fixture("qwen3-0.6b")
    config = {**stored["config"], "model_type": "nobody_knows"}
    raw = RawModel("x", "local", "x", config, "config.json", tensors=table_of(tensors_of(stored)))
    reading = read_or_infer(raw)
    assert isinstance(reading, Observation)
    rows = explanation_table(explain(reading, "kv_heads")).rows
    assert rows[0][0] == "mixers.attention.kv_heads" and "key/value heads" in rows[0][2]
    placement = explanation_document(explain(reading, "placement"))
    assert all("norms" in fact["meaning"] for fact in placement.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (False, "no"),
        (151936, "151,936"),
        (1e-6, "1e-06"),
        (1000000.0, "1,000,000"),
        ("silu", "silu"),
        ((1, 2), "1, 2"),
        (tuple(range(10)), "0, 1, 2, 3, 4, 5, 6, 7, ... (10)"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert explained_value(value) == text


def test_every_path_of_show_all_is_explained() -> None:
    """Of each path the first model that has it; parts of lists, and groups without blocks too."""
    seen: set[str] = set()
    for alias in sorted(bundled_models()):
        found = reading(alias)
        for path, value in iterate_facts(found.architecture):
            kind = re.sub(r"\d+", "N", path)
            if kind in seen:
                continue
            seen.add(kind)
            if path not in found.evidence:
                facts = explain(found, path).facts
                assert facts and all(fact.meaning for fact in facts), (alias, path)
            assert "{" not in explained_value(value), (alias, path)
    assert len(seen) > 1000
    towers = explanation_table(explain(QWEN, "towers")).rows
    assert towers[0][:2] == ["towers", "none"]
    stages = explanation_table(explain(reading("gemma3n-e2b"), "towers.vision.stages")).rows
    assert "kind edge, inputs 64" in stages[0][1] and "{" not in stages[0][1]
