"""Facts of the families of late 2025 and 2026, first half (Qwen3.5 to Hunyuan): by spec and dotted
path, from the makers' configs, reports and modelling code, never from llmarch's own output.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from helpers.facts import at, read
from helpers.paths import SPECS

from llmarch.analyses.parameters import count_parameters

FACTS: dict[str, dict[str, Any]] = {
    "qwen3.5-0.8b": {
        "embedding.tied": True,
        "mixers.full.heads": 8,
        "mixers.full.head_dim": 256,
        "mixers.linear.value_heads": 16,
        "ffns.dense.width": 3584,
        "towers.vision.layers": 12,
        "towers.vision.deepstack": (),
        "mtp.modules": 1,
    },
    "qwen3.5-27b": {
        "mixers.full.kv_heads": 4,
        "mixers.linear.value_heads": 48,
        "hidden_size": 5120,
        "embedding.tied": False,
    },
    "qwen3.5-35b-a3b": {
        "mixers.full.gate": "elementwise",
        "mixers.full.qk_norm.offset": 1,
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.rope.theta": 1e7,
        "mixers.full.rope.sections": (11, 11, 10),
        "mixers.full.rope.sections_interleaved": True,
        "mixers.linear.variant": "gated_deltanet",
        "mixers.linear.gate": "silu",
        "mixers.linear.gate_first": False,
        "mixers.linear.state_dtype": "float32",
        "norms.rms.offset": 1,
        "ffns.moe.experts": 256,
        "ffns.moe.active": 8,
        "ffns.moe.shared_gate": True,
        "ffns.moe.router.normalized": True,
        "mtp.layer_kind": "full",
        "mtp.own_embedding": False,
    },
    "qwen3.5-397b": {
        "ffns.moe.experts": 512,
        "ffns.moe.active": 10,
        "ffns.moe.expert_width": 1024,
        "ffns.moe.shared_width": 1024,
        "mixers.full.kv_heads": 2,
        "mixers.linear.value_heads": 64,
        "context_length": 262144,
    },
    "qwen3.6-27b": {"mixers.linear.gate": "silu", "model_type": "qwen3_5"},
    "qwen3-vl-2b": {
        "embedding.tied": True,
        "towers.vision.layers": 24,
        "towers.vision.deepstack": (5, 11, 17),
    },
    "qwen3-vl-30b-a3b": {
        "mixers.full.rope.theta": 5e6,
        "mixers.full.rope.sections": (
            24,
            20,
            20,
        ),  # the class's own: the copy of the config has none
        "ffns.moe.router.normalized": True,
        "towers.vision.deepstack": (8, 16, 24),
        "towers.vision.merge": 2,
        "towers.vision.patch_frames": 2,
        "embedding.tied": False,
    },
    "qwen3-vl-32b": {
        "mixers.full.heads": 64,
        "towers.vision.hidden_size": 1152,
        "towers.vision.positions": 2304,
    },
    "gemma4-26b": {
        "mixers.sliding.head_dim": 256,
        "mixers.sliding.kv_heads": 8,
        "mixers.sliding.window": 1024,
        "mixers.sliding.values_from_keys": False,
        "mixers.full.head_dim": 512,
        "mixers.full.kv_heads": 2,
        "mixers.full.values_from_keys": True,
        "mixers.full.value_norm": True,
        "mixers.full.scale": 1.0,
        "mixers.full.rope.theta": 1e6,
        "mixers.full.rope.rotary_dim": 128,
        "mixers.full.rope.span": 512,
        "mixers.sliding.rope.theta": 10000.0,
        "mixers.sliding.sees_ahead": "vision",
        "norms.rms.offset": 0,
        "layer_kinds.full.learned_scale": True,
        "layer_kinds.full.steps.1.join_norm": "rms",
        "layer_kinds.full.steps.1.branches.0.block": "ffns.dense",
        "layer_kinds.full.steps.1.branches.1.block": "ffns.moe",
        "ffns.moe.router.own_norm": True,
        "ffns.moe.router.expert_scale": True,
        "ffns.moe.active": 8,
        "embedding.scale": 2816**0.5,
        "embedding.per_layer": None,
        "head.softcap": 30.0,
        "towers.vision.standardized": True,
        "towers.vision.clipped": False,
    },
    "gemma4-31b": {
        "mixers.full.kv_heads": 4,
        "mixers.sliding.kv_heads": 16,
        "ffns.dense.width": 21504,
        "towers.vision.tokens": 280,
    },
    "gemma4-e2b": {
        "mixers.sliding_shared.kv_from": "sliding",
        "mixers.full_shared.kv_from": "full",
        "mixers.full.kv_from": None,
        "mixers.full.values_from_keys": False,
        "mixers.sliding.window": 512,
        "ffns.dense.width": 6144,
        "ffns.dense_wide.width": 12288,
        "ffns.per_layer.width": 256,
        "embedding.per_layer.width": 256,
        "embedding.per_layer.scale": 16.0,
        "towers.audio.kind": "gemma4_audio",
        "towers.audio.chunk": 12,
        "towers.audio.left_context": 12,
        "towers.vision.clipped": True,
    },
    "gemma4-e4b": {
        "ffns.dense.width": 10240,
        "mixers.full_shared.kv_heads": 2,
        "hidden_size": 2560,
    },
    "nemotron-3-nano": {
        "mixers.full.rope": None,
        "mixers.full.kv_heads": 2,
        "mixers.linear.variant": "mamba2",
        "mixers.linear.key_heads": 8,
        "mixers.linear.value_heads": 64,
        "mixers.linear.key_head_dim": 128,
        "mixers.linear.gate_first": True,
        "mixers.linear.norm_groups": 8,
        "mixers.linear.conv_bias": True,
        "mixers.linear.state_dtype": "float32",
        "ffns.moe.activation": "relu2",
        "ffns.moe.gated": False,
        "ffns.moe.active": 6,
        "ffns.moe.latent_width": None,
        "ffns.moe.router.scoring": "sigmoid",
        "ffns.moe.router.scale": 2.5,
        "ffns.moe.router.selection_bias": True,
        "mtp": None,
    },
    "nemotron-3-super": {
        "ffns.moe.experts": 512,
        "ffns.moe.active": 22,
        "ffns.moe.latent_width": 1024,
        "ffns.moe.shared_width": 5376,
        "ffns.moe.router.scale": 5.0,
        "mtp.modules": 1,
        "layer_kinds.mtp.steps.0.branches.0.block": "mixers.full",
        "layer_kinds.mtp.steps.1.branches.0.block": "ffns.moe",
    },
    "nemotron-3-ultra": {
        "ffns.moe.latent_width": 2048,
        "mixers.linear.value_heads": 256,
        "hidden_size": 8192,
    },
    "nemotron-h-56b": {
        "ffns.dense.gated": False,
        "ffns.dense.activation": "relu2",
        "mixers.full.kv_heads": 8,
        "mixers.linear.key_head_dim": 256,
    },
    "phi-4": {
        "mixers.full.kv_heads": 10,
        "mixers.full.rope.theta": 250000.0,
        "mixers.full.rope.scaling": None,
        "embedding.tied": False,
    },
    "phi-4-mini": {
        "embedding.tied": True,
        "mixers.full.rope.rotary_dim": 96,
        "mixers.full.rope.scaling.kind": "longrope",
        "mixers.full.rope.scaling.original_context": 4096,
        "mixers.full.window": None,
        "context_length": 131072,
    },
    "phi-3.5-mini": {
        "mixers.full.kv_heads": 32,
        "mixers.full.rope.scaling.kind": "longrope",
        "embedding.tied": False,
        "mixers.full.head_dim": 96,
    },
    "olmoe-1b-7b": {
        "mixers.full.qk_norm.scope": "projection",
        "mixers.full.kv_heads": 16,
        "mixers.full.clip": None,
        "ffns.moe.experts": 64,
        "ffns.moe.active": 8,
        "ffns.moe.expert_width": 1024,
        "ffns.moe.router.normalized": False,
        "ffns.moe.shared_width": 0,
    },
    "seed-oss-36b": {
        "mixers.full.head_dim": 128,
        "mixers.full.heads": 80,
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": False,
        "mixers.full.rope.theta": 1e7,
        "context_length": 524288,
    },
    "granite-3.1-1b-a400m": {
        "mixers.full.scale": 0.015625,
        "embedding.scale": 12.0,
        "head.scale": 1 / 6,
        "layer_kinds.full.steps.0.branches.0.scale": 0.22,
        "ffns.moe.router.scoring": "softmax_chosen",
        "ffns.moe.active": 8,
        "mixers.full.rope.theta": 1.5e6,
        "embedding.tied": True,
    },
    "granite-4.1-30b": {
        "mixers.full.rope.theta": 5e7,
        "layer_kinds.full.steps.1.branches.0.scale": 0.175,
        "head.scale": 0.0625,
    },
    "granite-4.0-h-350m": {
        "mixers.full.rope": None,
        "mixers.linear.key_heads": 1,
        "mixers.linear.value_heads": 48,
        "ffns.dense.width": 2048,
        "head.scale": 1 / 3,
    },
    "granite-4.0-h-small": {
        "ffns.moe.experts": 72,
        "ffns.moe.active": 10,
        "ffns.moe.shared_width": 1536,
        "mixers.linear.norm_groups": 1,
    },
    "lfm2-1.2b": {
        "ffns.dense.width": 8192,
        "mixers.linear.variant": "short_conv",
        "mixers.linear.conv_kernel": 3,
        "mixers.linear.gate": None,
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.rope.theta": 1e6,
        "embedding.tied": True,
    },
    "devstral-small-2": {
        "mixers.full.rope.scaling.factor": 48.0,
        "mixers.full.rope.theta": 1e8,
        "mixers.full.query_scaling.beta": 0.1,
        "mixers.full.query_scaling.original_context": 8192,
        "towers.vision.kind": "pixtral",
        "embedding.tied": False,
    },
    "mistral-small-4": {
        "mixers.full.kind": "latent_attention",
        "mixers.full.q_lora_rank": 1024,
        "mixers.full.kv_lora_rank": 256,
        "mixers.full.rope.scaling.factor": 128.0,
        "ffns.moe.experts": 128,
        "ffns.moe.active": 4,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.selection_bias": False,
        "mixers.full.query_scaling.beta": 0.1,
    },
    "gemma3n-e4b": {
        "mixers.sliding.window": 512,
        "mixers.sliding.rope.theta": 1e4,
        "mixers.full.rope.theta": 1e6,
        "mixers.full.scale": 1.0,
        "mixers.full.value_norm": True,
        "mixers.full_shared.kv_from": "full",
        "residual.kind": "altup",
        "residual.streams": 4,
        "residual.active": 0,
        "ffns.laurel.width": 64,
        "ffns.dense.width": 16384,
        "ffns.dense_sparse.sparsity": 0.95,
        "embedding.per_layer.width": 256,
        "embedding.per_layer.vocab_size": 262144,
        "head.softcap": 30.0,
        "towers.vision.kind": "mobilenetv5_300m_enc",
        "towers.audio.layers": 12,
    },
    "gemma3n-e2b": {"ffns.dense.width": 8192, "ffns.dense_sparse.width": 8192, "hidden_size": 2048},
    "hunyuan-a13b": {
        "mixers.full.qk_norm.after_rope": True,
        "mixers.full.rope.scaling.alpha": 1000.0,
        "ffns.moe.active": 8,
        "ffns.moe.shared_width": 3072,
        "embedding.tied": True,
    },
}

LAYERS: dict[str, dict[str, int]] = {
    "qwen3.5-397b": {"linear": 45, "full": 15},
    "qwen3.6-27b": {"linear": 48, "full": 16},
    "gemma4-26b": {"sliding": 25, "full": 5},
    "gemma4-31b": {"sliding": 50, "full": 10},
    "gemma4-e2b": {"sliding": 12, "full": 3, "sliding_shared": 16, "full_shared": 4},
    "gemma4-e4b": {"sliding": 20, "full": 4, "sliding_shared": 15, "full_shared": 3},
    "gemma3n-e4b": {
        "sliding_sparse": 8,
        "full_sparse": 2,
        "sliding": 8,
        "full": 2,
        "sliding_shared": 12,
        "full_shared": 3,
    },
    "gemma3n-e2b": {
        "sliding_sparse": 8,
        "full_sparse": 2,
        "sliding": 8,
        "full": 2,
        "sliding_shared": 8,
        "full_shared": 2,
    },
    "nemotron-3-nano": {"linear": 23, "moe": 23, "full": 6},
    "nemotron-3-super": {"linear": 40, "moe": 40, "full": 8},
    "granite-4.0-h-small": {"linear": 36, "full": 4},
    "lfm2-1.2b": {"linear": 10, "full": 6},
}


@pytest.mark.parametrize(
    ("spec", "path", "value"), [(s, p, v) for s, facts in FACTS.items() for p, v in facts.items()]
)
def test_fact(spec: str, path: str, value: Any) -> None:
    assert at(read(spec)[0], path) == value


@pytest.mark.parametrize("spec", FACTS)
def test_every_checked_leaf_has_evidence_and_no_key_is_left(spec: str) -> None:
    _, evidence, unread, _ = read(spec)
    assert unread == []
    bare = [
        p
        for p, v in FACTS[spec].items()
        if p not in evidence and v is not None and not p.endswith(".kind")
    ]
    assert bare == []


@pytest.mark.parametrize("spec", LAYERS)
def test_layers(spec: str) -> None:
    assert Counter(read(spec)[0].layers) == LAYERS[spec]


@pytest.mark.parametrize("spec", FACTS)
def test_counts_are_the_published_ones(spec: str) -> None:
    """`active` there leaves the router-bias tables out (specs/README.md)."""
    a, _, _, rows = read(spec)
    published = {
        p["figure"]: p["value"]
        for p in json.loads((SPECS / f"{spec}.json").read_text())["published"]
    }
    ours, by = count_parameters(a), Counter[str]()
    for r in rows:
        by[r.component] += r.parameters
    assert by.pop("mtp", 0) == (ours.mtp or 0)
    assert by == ours.by_component
    assert ours.total == published["total"]
    tables = sum(
        r.parameters for r in rows if r.component == "router" and "correction" in r.pattern
    )
    if "active" in published:
        assert ours.active - tables == published["active"]
    if "mtp" in published:
        assert ours.mtp == published["mtp"]


def test_where_the_hub_counts_otherwise() -> None:
    """The sentences in the specs, as sums."""
    hub = {
        s: {
            p["figure"]: p["value"]
            for p in json.loads((SPECS / f"{s}.json").read_text())["published"]
        }.get("hub_total")
        for s in FACTS
    }
    e4b, small, super_ = (
        count_parameters(read(s)[0]) for s in ("gemma4-e4b", "mistral-small-4", "nemotron-3-super")
    )
    shared = 15 * (2 * 2 * 256 * 2560 + 256) + 3 * (2 * 2 * 512 * 2560 + 512)
    bounds = 4 * (16 * 7 + 12 * 10)
    assert e4b.total + shared - bounds == hub["gemma4-e4b"]
    assert small.total + 36 * (128 * 4 + 5 * 2 + 3 * 2) == hub["mistral-small-4"]
    assert super_.total + (super_.mtp or 0) - 41 * 512 == hub["nemotron-3-super"]
    for spec in ("qwen3.5-27b", "qwen3.5-35b-a3b"):
        p = count_parameters(read(spec)[0])
        assert p.total + (p.mtp or 0) == hub[spec]


def test_qwen3_6_is_qwen3_5() -> None:
    """The 3.6 models of 27B and 35B-A3B have the blocks and layers of 3.5."""
    for new, old in (("qwen3.6-27b", "qwen3.5-27b"), ("qwen3.6-35b-a3b", "qwen3.5-35b-a3b")):
        a, b = read(new)[0], read(old)[0]
        assert (a.mixers, a.ffns, a.layer_kinds, a.layers) == (
            b.mixers,
            b.ffns,
            b.layer_kinds,
            b.layers,
        )


def test_gemma4_shares_the_last_layers_keys_and_values() -> None:
    """E2B: from layer 15 on; they have neither k_proj nor k_norm, and a query norm of their own."""
    a, _, _, rows = read("gemma4-e2b")
    assert [k.endswith("_shared") for k in a.layers] == [False] * 15 + [True] * 20
    held = {
        r.pattern.rsplit("self_attn.")[-1]
        for r in rows
        if "language_model" in r.pattern and "self_attn" in r.pattern and min(r.axes[0]) >= 15
    }
    assert held == {"q_proj.weight", "q_norm.weight", "o_proj.weight"}
