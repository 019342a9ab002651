"""Conflicts: the fact that a tensor contradicts, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from helpers.checkpoint_fixtures import check, load, read, resize, set_config

from llmarch.architecture.schema import LatentAttention
from llmarch.checkpoint.conflicts import Conflict, ShapeMismatch, format_value
from llmarch.checkpoint.latent_conflicts import LATENT_AXES, latent_conflict, latent_sizes
from llmarch.tensors.template import TensorRow

MOE = "qwen3-30b-a3b-reduced"


def test_both_values_are_named() -> None:
    shape = next(
        f
        for f in check(MOE, resize("k_proj", lambda s: (1024, s[1]))).findings
        if f.rule == "tensor-shape"
    )
    assert (shape.old, shape.new) == ([512, 2048], [1024, 2048])
    fact = next(
        f
        for f in check(MOE, resize("k_proj", lambda s: (1024, s[1]))).findings
        if f.rule == "fact-contradicted"
    )
    assert (fact.old, fact.new) == (4, 8)
    assert "[1024, 2048] (128 for each)" in fact.message


def test_another_head_dim_is_not_other_heads() -> None:
    (fact,) = (
        f
        for f in check("qwen3-8b", config=set_config(head_dim=64)).findings
        if f.rule == "fact-contradicted"
    )
    assert (fact.path, fact.old, fact.new) == ("mixers.full.head_dim", 64, 128)
    assert "q_norm.weight [128] and" in fact.message


CHANGED_CONFIGS: list[tuple[str, dict[str, Any], dict[str, tuple[object, object]]]] = [
    ("llama-3-8b", {"head_dim": 64}, {"mixers.full.head_dim": (64, 128)}),
    ("llama-3.2-1b", {"head_dim": 128}, {"mixers.full.head_dim": (128, 64)}),
    ("llama-3.2-1b", {"hidden_size": 4096}, {"hidden_size": (4096, 2048)}),
    ("granite-3.1-1b-a400m", {"num_key_value_heads": 16}, {"mixers.full.kv_heads": (16, 8)}),
    ("phi-4", {"num_key_value_heads": 20}, {"mixers.full.kv_heads": (20, 10)}),
    ("phi-4", {"intermediate_size": 8960}, {"ffns.dense.width": (8960, 17920)}),
    ("gpt-oss-20b", {"hidden_size": 5760}, {"hidden_size": (5760, 2880)}),
    ("deepseek-v3-reduced", {"num_attention_heads": 64}, {"mixers.full.heads": (64, 128)}),
    ("deepseek-v3-reduced", {"qk_rope_head_dim": 128}, {"mixers.full.qk_rope_head_dim": (128, 64)}),
    ("deepseek-v3-reduced", {"qk_nope_head_dim": 64}, {"mixers.full.qk_nope_head_dim": (64, 128)}),
    ("deepseek-v3-reduced", {"v_head_dim": 64}, {"mixers.full.v_head_dim": (64, 128)}),
    ("deepseek-v3-reduced", {"q_lora_rank": 3072}, {"mixers.full.q_lora_rank": (3072, 1536)}),
    (
        "deepseek-v4-flash-reduced-mtp",
        {"q_lora_rank": 2048},
        {f"mixers.{m}.q_lora_rank": (2048, 1024) for m in ("sliding", "csa", "hca")},
    ),
]
"""One number of a config changed, and the facts that its tensors contradict."""


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    CHANGED_CONFIGS,
    ids=[f"{n} {k}" for n, c, _ in CHANGED_CONFIGS for k in c],
)
def test_only_the_changed_fact_is_contradicted(
    name: str, changes: dict[str, Any], expected: dict[str, tuple[object, object]]
) -> None:
    facts = {
        f.path: (f.old, f.new)
        for f in check(name, config=set_config(**changes)).findings
        if f.rule == "fact-contradicted"
    }
    assert facts == expected


@pytest.mark.parametrize("change", [{"num_experts": 256}, {"moe_intermediate_size": 1536}])
def test_transposed_experts_contradict_the_right_fact(
    change: dict[str, int],
) -> None:
    (conflict,) = [
        f
        for f in check(
            "qwen3-vl-30b-a3b-reduced", config=lambda c: c["text_config"].update(change)
        ).findings
        if f.rule == "fact-contradicted"
    ]
    assert conflict.old == next(iter(change.values()))


def test_a_shape_that_is_no_multiple_contradicts_no_fact() -> None:
    c = check("qwen3-8b", resize("k_proj", lambda s: (1000, s[1])))
    assert {f.rule for f in c.findings} == {"tensor-shape"}


# --- MLA ---

LATENT_FACTS = ["heads", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"]


def mismatches_of(old: LatentAttention, new: LatentAttention) -> dict[str, ShapeMismatch]:
    """Return the matrices of MLA that two sets of facts give other shapes."""
    mismatches: dict[str, ShapeMismatch] = {}
    new_sizes = latent_sizes(new)
    for key, expected in latent_sizes(old).items():
        stored = new_sizes[key]
        if expected == stored:
            continue
        row = TensorRow(key, (expected, expected), (), "attention")
        mismatches[key] = ShapeMismatch(row, row.shape, (stored, stored), key)
    return mismatches


@pytest.mark.parametrize("fact", LATENT_FACTS)
@pytest.mark.parametrize("value", [1, 48, 1000])
def test_each_fact_of_mla_is_solved(fact: str, value: int) -> None:
    architecture, _ = read(load("deepseek-v3-reduced")["config"])
    m = architecture.mixers["full"]
    assert isinstance(m, LatentAttention)
    changed = replace(m, **{fact: value})
    conflict = latent_conflict("mixers.full", m, mismatches_of(m, changed))
    assert conflict == Conflict(f"mixers.full.{fact}", getattr(m, fact), value)


def test_two_facts_of_mla_at_once_are_not_solved() -> None:
    architecture, _ = read(load("deepseek-v3-reduced")["config"])
    m = architecture.mixers["full"]
    assert isinstance(m, LatentAttention)
    changed = replace(m, heads=48, v_head_dim=80)
    assert latent_conflict("mixers.full", m, mismatches_of(m, changed)) is None
    assert latent_sizes(m).keys() == LATENT_AXES.keys()


# --- the message ---


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "yes"), (False, "no"), (128_256, "128,256"), ("head", "head")],
)
def test_facts_are_written_for_people(value: object, text: str) -> None:
    assert format_value(value) == text
