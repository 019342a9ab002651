"""Check FLOPs against torch's counter on small random models, and by laws that need no model.

The counter's figures are made by tests/oracle/flops.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.architectures import architecture, gqa, lightning_indexer, mla, recurrent, v4
from helpers.paths import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

import llmarch
from llmarch.analyses.flops import (
    count_weights_read,
    expected_distinct_experts,
    flops_per_token,
    prefill_flops,
    recurrence_flops,
    weight_flops,
)
from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture, LatentAttention, MoE, Router
from llmarch.config.families import find_family
from llmarch.config.vocabulary import build

FIXTURE: dict[str, Any] = json.loads((FIXTURES / "flops.json").read_text())
ABOUT = FIXTURE.pop("_about")
TOKENS: int = ABOUT["tokens"]


def read(config: dict[str, Any]) -> Architecture:
    family = find_family(config["model_type"])
    return build(
        family.read(family.config(config, "config.json", config["model_type"])), family.ref, {}
    )


def counted(a: Architecture, way: str) -> int:
    """Return what the counter sees.

    It sees no recurrent state but Lightning's, as the others are updated elementwise, and in a step
    all cached latents are expanded anew.
    """
    f = flops_per_token(a, TOKENS, absorbed=False)
    n = f.total - (0 if a.family == "minimax" else f.by_component.get("recurrence", 0))
    if way == "prefill":
        return n * TOKENS
    latents = [m for k in a.layers for m in a.blocks_of(k) if isinstance(m, LatentAttention)]
    return n + (TOKENS - 1) * sum(
        2 * m.kv_lora_rank * m.heads * (m.qk_nope_head_dim + m.v_head_dim) for m in latents
    )


@pytest.mark.parametrize(
    ("name", "way"), [(n, w) for n, row in FIXTURE.items() for w in row["flops"]]
)
def test_what_torch_counts(name: str, way: str) -> None:
    """Compare within 1 %: biases count once there, twice here; the rotary table only there."""
    row = FIXTURE[name]
    assert counted(read(row["config"]), way) == pytest.approx(row["flops"][way], rel=0.01)


@pytest.mark.parametrize("variant", ABOUT["recurrences"]["flops"])
def test_recurrences(variant: str) -> None:
    r = ABOUT["recurrences"]
    m = recurrent(variant, (1, r["key_head_dim"]), (1, r["value_head_dim"]))
    assert recurrence_flops(m) == r["flops"][variant]


def test_published_conventions() -> None:
    """Count 2 FLOPs for each active parameter but the embedding's.

    DeepSeek-V3's 37 B active parameters cost 73 GFLOPs a token before any score.
    """
    a = llmarch.load("deepseek-v3").architecture
    matrices = (
        count_parameters(a).active_without_embedding
        - count_parameters(a).active_by_component["norms"]
    )
    assert sum(weight_flops(a).values()) == 2 * matrices


def test_a_tied_head_is_multiplied_all_the_same() -> None:
    a = llmarch.load("llama3.2-1b").architecture
    assert weight_flops(a)["head"] == 2 * 128256 * 2048
    assert count_weights_read(a)["head"] == 128256 * 2048
    assert count_weights_read(a, 7)["embedding"] == 7 * 2048


@pytest.mark.parametrize(
    ("mixer", "context", "expected"),
    [
        (gqa(32, 8, 128, 64), 1000, {"attention_scores": 2 * 32 * 1000 * 192}),
        (gqa(32, 8, 128, window=100), 1000, {"attention_scores": 2 * 32 * 100 * 256}),
        (gqa(32, 8, 128, chunk=300), 1000, {"attention_scores": 2 * 32 * 100 * 256}),
        (mla(128), 1000, {"attention_scores": 2 * 128 * 1000 * 1088}),
        (
            mla(128, indexer=lightning_indexer()),
            10000,
            {"attention_scores": 2 * 128 * 2048 * 1088, "indexer_scores": 2 * 64 * 129 * 10000},
        ),
        (
            v4(4),
            10000,
            {
                "attention_scores": 2 * 64 * 1024 * (128 + 512),
                "indexer_scores": 2 * 64 * 129 * 2500,
            },
        ),
        (v4(128), 10000, {"attention_scores": 2 * 64 * 1024 * (128 + 78)}),
        (v4(0), 10000, {"attention_scores": 2 * 64 * 1024 * 128}),
        (
            recurrent("gated_deltanet", (16, 128), (32, 128)),
            10000,
            {"recurrence": 6 * 32 * 128 * 128},
        ),
    ],
)
def test_scores_by_their_own_law(mixer: Any, context: int, expected: dict[str, int]) -> None:
    by = flops_per_token(architecture({"m": mixer}, ["m"]), context).by_component
    assert {
        c: n for c, n in by.items() if c in ("attention_scores", "indexer_scores", "recurrence")
    } == expected


SOME = {
    "full": gqa(32, 8, 128),
    "window": gqa(32, 8, 128, window=50),
    "chunk": gqa(32, 8, 128, chunk=30),
    "mla": mla(8),
    "linear": recurrent("kda", (2, 8), (2, 8)),
}


@given(st.sampled_from(sorted(SOME)), st.integers(1, 200))
def test_a_prompt_costs_what_its_tokens_cost(name: str, tokens: int) -> None:
    a = architecture(SOME, [name] * 2)
    assert prefill_flops(a, tokens).total == sum(
        flops_per_token(a, t, absorbed=False).total for t in range(1, tokens + 1)
    )


@given(st.sampled_from([0, 4, 128]), st.integers(1, 400))
def test_a_prompt_with_compressed_entries(ratio: int, tokens: int) -> None:
    a = architecture({"m": v4(ratio, window=16, top_k=9)}, ["m"])
    assert prefill_flops(a, tokens).total == sum(
        flops_per_token(a, t).total for t in range(1, tokens + 1)
    )


@given(st.integers(1, 512), st.integers(1, 32), st.integers(1, 4096))
def test_distinct_experts(experts: int, active: int, batch: int) -> None:
    active = min(active, experts)
    m = MoE(
        experts=experts,
        active=active,
        expert_width=8,
        activation="silu",
        router=Router(scoring="softmax", normalized=True),
    )
    n = expected_distinct_experts(m, batch)
    assert expected_distinct_experts(m, 1) == pytest.approx(active)
    assert active * 0.999999 <= n <= min(experts, batch * active) * 1.000001
    assert n <= expected_distinct_experts(m, batch + 1) + 1e-9


def test_weights_read_by_a_batch() -> None:
    """Read the active parameters and a row of the embedding; with a large batch every expert."""
    a = llmarch.load("qwen3-235b").architecture
    p = count_parameters(a)
    assert sum(count_weights_read(a).values()) == pytest.approx(
        p.active - p.embedding + a.hidden_size
    )
    assert count_weights_read(a, 10**6)["experts"] == pytest.approx(p.by_component["experts"])
    assert count_weights_read(a, 8)["experts"] == pytest.approx(
        p.by_component["experts"] * (1 - (1 - 8 / 128) ** 8)
    )
