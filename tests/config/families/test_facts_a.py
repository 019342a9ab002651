"""Facts that a reader of the architecture comparison asks for, by spec and dotted path: from the
makers' reports and the modelling code, never from llmarch's own output.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.architecture.schema import Architecture, Evidence
from llmarch.config.families import find_family
from llmarch.config.vocabulary import build

FACTS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "embedding.positions": 1024,
        "embedding.tied": True,
        "mixers.full.rope": None,
        "mixers.full.kv_heads": 12,
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": True,
        "norms.layer.kind": "layernorm",
        "norms.layer.bias": True,
        "ffns.dense.gated": False,
        "ffns.dense.activation": "gelu_tanh",
        "ffns.dense.width": 3072,
        "context_length": 1024,
    },
    "gpt2-xl": {"mixers.full.heads": 25, "mixers.full.head_dim": 64, "ffns.dense.width": 6400},
    "llama2-7b": {
        "mixers.full.kv_heads": 32,
        "mixers.full.rope.theta": 10000.0,
        "mixers.full.rope.scaling": None,
        "context_length": 4096,
    },
    "llama3-8b": {
        "mixers.full.kv_heads": 8,
        "mixers.full.rope.theta": 500000.0,
        "mixers.full.rope.scaling": None,
        "mixers.full.qk_norm": None,
        "mixers.full.window": None,
        "layer_kinds.full.steps.0.branches.0.pre_norm": "rms",
        "layer_kinds.full.steps.0.branches.0.post_norm": None,
        "norms.rms.eps": 1e-5,
        "norms.rms.offset": 0,
        "context_length": 8192,
    },
    "llama3.1-70b": {
        "mixers.full.rope.scaling.kind": "llama3",
        "mixers.full.rope.scaling.factor": 8.0,
        "mixers.full.rope.scaling.original_context": 8192,
        "context_length": 131072,
    },
    "llama3.2-1b": {
        "embedding.tied": True,
        "mixers.full.rope.scaling.factor": 32.0,
        "mixers.full.head_dim": 64,
        "ffns.dense.width": 8192,
    },
    "yi-34b": {
        "mixers.full.rope.theta": 5000000.0,
        "mixers.full.heads": 56,
        "mixers.full.kv_heads": 8,
    },
    "smollm3-3b": {
        "mixers.nope.rope": None,
        "mixers.full.rope.theta": 5000000.0,
        "embedding.tied": True,
        "mixers.full.kv_heads": 4,
        "mixers.nope.window": None,
        "context_length": 65536,
    },
    "qwen2.5-7b": {
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": False,
        "mixers.full.qk_norm": None,
        "mixers.full.window": None,
        "mixers.full.rope.theta": 1000000.0,
        "embedding.tied": False,
    },
    "qwen2-57b-a14b": {
        "mixers.full.qkv_bias": True,
        "ffns.moe.experts": 64,
        "ffns.moe.active": 8,
        "ffns.moe.expert_width": 2560,
        "ffns.moe.shared_width": 20480,
        "ffns.moe.shared_gate": True,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": False,
    },
    "qwen1.5-moe-a2.7b": {
        "ffns.moe.experts": 60,
        "ffns.moe.active": 4,
        "ffns.moe.shared_width": 5632,
        "ffns.moe.shared_gate": True,
    },
    "qwen3-0.6b": {
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.qk_norm.offset": 0,
        "mixers.full.head_dim": 128,
        "mixers.full.qkv_bias": False,
        "embedding.tied": True,
        "hidden_size": 1024,
        "context_length": 40960,
    },
    "qwen3-32b": {
        "embedding.tied": False,
        "mixers.full.kv_heads": 8,
        "mixers.full.heads": 64,
        "mixers.full.window": None,
    },
    "qwen3-235b": {
        "ffns.moe.experts": 128,
        "ffns.moe.active": 8,
        "ffns.moe.expert_width": 1536,
        "ffns.moe.shared_width": 0,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": True,
        "ffns.moe.router.selection_bias": False,
        "mixers.full.kv_heads": 4,
        "mixers.full.rope.theta": 1000000.0,
    },
    "qwen3-30b-a3b-2507": {"mixers.full.rope.theta": 10000000.0, "context_length": 262144},
    "mistral-7b": {
        "mixers.sliding.window": 4096,
        "mixers.sliding.rope.theta": 10000.0,
        "mixers.sliding.kv_heads": 8,
    },
    "mistral-7b-v0.2": {"mixers.full.window": None, "mixers.full.rope.theta": 1000000.0},
    "mistral-nemo": {"mixers.full.head_dim": 128, "hidden_size": 5120, "mixers.full.heads": 32},
    "mixtral-8x7b": {
        "ffns.moe.experts": 8,
        "ffns.moe.active": 2,
        "ffns.moe.expert_width": 14336,
        "ffns.moe.router.normalized": True,
        "mixers.full.window": None,
        "mixers.full.rope.theta": 1000000.0,
    },
    "mistral-small-3.1": {
        "mixers.full.window": None,
        "mixers.full.kv_heads": 8,
        "mixers.full.rope.theta": 1e9,
        "embedding.tied": False,
        "towers.vision.kind": "pixtral",
        "towers.vision.layers": 24,
        "towers.vision.merge": 2,
        "towers.vision.rope.theta": 10000.0,
        "towers.vision.projector_activation": "gelu",
        "model_type": "mistral3",
    },
    "ministral3-3b": {
        "embedding.tied": True,
        "mixers.full.rope.scaling.kind": "yarn",
        "mixers.full.rope.scaling.factor": 16.0,
        "mixers.full.query_scaling.beta": 0.1,
        "mixers.full.query_scaling.original_context": 16384,
        "mixers.full.query_scaling.shift": 0,
        "context_length": 262144,
    },
    "ministral3-14b": {"embedding.tied": False, "mixers.full.rope.theta": 1e9},
    "olmo2-7b": {
        "layer_kinds.full.steps.0.branches.0.pre_norm": None,
        "layer_kinds.full.steps.0.branches.0.post_norm": "rms",
        "layer_kinds.full.steps.1.branches.0.post_norm": "rms",
        "mixers.full.qk_norm.scope": "projection",
        "mixers.full.kv_heads": 32,
        "mixers.full.rope.theta": 500000.0,
        "embedding.tied": False,
    },
    "olmo3-7b": {
        "mixers.full.kv_heads": 32,
        "mixers.sliding.window": 4096,
        "mixers.sliding.rope.scaling": None,
    },
    "olmo3-32b": {
        "mixers.full.kv_heads": 8,
        "mixers.full.rope.scaling.kind": "yarn",
        "mixers.full.rope.scaling.factor": 8.0,
        "mixers.full.rope.scaling.original_context": 8192,
        "mixers.sliding.rope.scaling": None,
        "mixers.sliding.rope.theta": 500000.0,
        "mixers.sliding.window": 4096,
        "mixers.sliding.qk_norm.scope": "projection",
        "context_length": 65536,
    },
    "gemma-2b": {
        "mixers.full.kv_heads": 1,
        "mixers.full.head_dim": 256,
        "ffns.dense.activation": "gelu_tanh",
        "norms.rms.offset": 1,
        "embedding.scale": 2048**0.5,
        "embedding.tied": True,
        "mixers.full.softcap": None,
        "layer_kinds.full.steps.0.branches.0.post_norm": None,
    },
    "gemma2-9b": {
        "mixers.sliding.window": 4096,
        "mixers.full.window": None,
        "mixers.full.softcap": 50.0,
        "mixers.sliding.softcap": 50.0,
        "mixers.full.scale": 0.0625,
        "head.softcap": 30.0,
        "layer_kinds.full.steps.0.branches.0.pre_norm": "rms",
        "layer_kinds.full.steps.0.branches.0.post_norm": "rms",
        "embedding.tied": True,
        "mixers.full.qk_norm": None,
    },
    "gemma3-1b": {
        "mixers.sliding.window": 512,
        "mixers.full.rope.scaling": None,
        "mixers.full.kv_heads": 1,
        "towers": {},
    },
    "gemma3-4b": {  # the short file: most of these are class defaults
        "mixers.full.heads": 8,
        "mixers.full.kv_heads": 4,
        "mixers.full.head_dim": 256,
        "vocab_size": 262208,
        "context_length": 131072,
        "mixers.sliding.window": 1024,
        "mixers.full.rope.scaling.factor": 8.0,
    },
    "gemma3-27b": {
        "mixers.sliding.window": 1024,
        "mixers.sliding.rope.theta": 10000.0,
        "mixers.sliding.rope.scaling": None,
        "mixers.full.rope.theta": 1000000.0,
        "mixers.full.rope.scaling.kind": "linear",
        "mixers.full.rope.scaling.factor": 8.0,
        "mixers.full.scale": round(168**-0.5, 9),
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.qk_norm.offset": 1,
        "mixers.full.softcap": None,
        "head.softcap": None,
        "mixers.full.kv_heads": 16,
        "towers.vision.kind": "siglip",
        "towers.vision.layers": 27,
        "towers.vision.positions": 4096,
        "towers.vision.merge": 4,
        "towers.vision.pooling_head": False,
    },
}

PATTERNS = {  # the first letters of the layers' kinds, and how the list goes on
    "gemma2-2b": ("sf", 26),
    "gemma3-27b": ("sssssf", 62),
    "gemma3-1b": ("sssssf", 26),
    "olmo3-32b": ("sssf", 64),
    "smollm3-3b": ("fffn", 36),
    "mistral-7b": ("s", 32),
    "qwen3-30b-a3b": ("f", 48),
    "llama3-8b": ("f", 32),
}


@cache
def architecture(spec: str) -> tuple[Architecture, dict[str, Evidence]]:
    document = json.loads((SPECS / f"{spec}.json").read_text())
    if document["config_file"] == "params.json":
        from llmarch.config.mistral_native import translate

        config, spelled = translate(document["config"])
    else:
        config, spelled = document["config"], None
    family = find_family(config["model_type"])
    evidence: dict[str, Evidence] = {}
    return build(
        family.read(family.config(config, "config.json", config["model_type"], spelled)),
        family.ref,
        evidence,
    ), evidence


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = (
            value[int(name)]
            if isinstance(value, tuple)
            else value[name]
            if isinstance(value, dict)
            else getattr(value, name)
        )
    return value


@pytest.mark.parametrize(
    ("spec", "path", "value"), [(s, p, v) for s, facts in FACTS.items() for p, v in facts.items()]
)
def test_fact(spec: str, path: str, value: Any) -> None:
    a, _ = architecture(spec)
    assert at(a, path) == value


@pytest.mark.parametrize("spec", FACTS)
def test_every_leaf_that_is_checked_has_evidence(spec: str) -> None:
    _, evidence = architecture(spec)
    bare = [
        p
        for p, v in FACTS[spec].items()
        if p not in evidence and not p.endswith(".kind") and v not in ({}, None)
    ]
    assert bare == []


@pytest.mark.parametrize(("spec", "pattern"), PATTERNS.items())
def test_pattern(spec: str, pattern: tuple[str, int]) -> None:
    a, _ = architecture(spec)
    period, n = pattern
    assert "".join(kind[0] for kind in a.layers) == (period * n)[:n]
