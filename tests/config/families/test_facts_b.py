"""Facts of the families from DeepSeek to Mistral Large 3 that a reader of the architecture
comparison asks for: by spec and dotted path, from the makers' configs, reports and modelling
code, never from llmarch's own output.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture, Evidence
from llmarch.checkpoint.reading import configure
from llmarch.config.vocabulary import Family, build
from llmarch.tensors.template import TensorRow

V3_MLA = {
    "mixers.full.kind": "latent_attention",
    "mixers.full.q_lora_rank": 1536,
    "mixers.full.kv_lora_rank": 512,
    "mixers.full.qk_nope_head_dim": 128,
    "mixers.full.qk_rope_head_dim": 64,
    "mixers.full.v_head_dim": 128,
    "mixers.full.norm_eps": 1e-6,
    "mixers.full.rope.rotary_dim": 64,
    "mixers.full.rope.interleaved": True,
    "mixers.full.rope.scaling.kind": "yarn",
}

FACTS: dict[str, dict[str, Any]] = {
    "deepseek-v2": V3_MLA
    | {
        "mixers.full.rope.scaling.mscale_all_dim": 0.707,
        "layers.count": {"full_dense": 1, "full_moe": 59},
        "ffns.moe.experts": 160,
        "ffns.moe.shared_experts": 2,
        "ffns.moe.shared_width": 3072,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.selection_bias": False,
        "ffns.moe.router.groups": 8,
        "ffns.moe.router.active_groups": 3,
        "ffns.moe.router.group_score": "max",
        "ffns.moe.router.normalized": False,
        "ffns.moe.router.scale": 16.0,
        "mtp": None,
    },
    "deepseek-v2-lite": {
        "mixers.full.q_lora_rank": None,
        "ffns.moe.router.groups": 1,
        "ffns.moe.router.scale": 1.0,
        "ffns.moe.active": 6,
    },
    "deepseek-v3": V3_MLA
    | {
        "mixers.full.heads": 128,
        "mixers.full.bias": False,
        "mixers.full.indexer": None,
        # (0.1 ln 40 + 1)^2 / sqrt(192)
        "mixers.full.scale": 0.135233779,
        "layers.count": {"full_dense": 3, "full_moe": 58},
        "ffns.dense.width": 18432,
        "ffns.moe.experts": 256,
        "ffns.moe.active": 8,
        "ffns.moe.expert_width": 2048,
        "ffns.moe.shared_experts": 1,
        "ffns.moe.router.scoring": "sigmoid",
        "ffns.moe.router.selection_bias": True,
        "ffns.moe.router.groups": 8,
        "ffns.moe.router.active_groups": 4,
        "ffns.moe.router.group_score": "top2_sum",
        "ffns.moe.router.normalized": True,
        "ffns.moe.router.scale": 2.5,
        "mtp.modules": 1,
        "mtp.layer_kind": "full_moe",
        "mtp.own_embedding": True,
        "embedding.tied": False,
    },
    "deepseek-v3.2": {
        "mixers.full.indexer.heads": 64,
        "mixers.full.indexer.head_dim": 128,
        "mixers.full.indexer.top_k": 2048,
        "mixers.full.indexer.rope_dim": 64,
        "mixers.full.indexer.rope_interleaved": False,
        "mixers.full.rope.interleaved": True,
    },
    "kimi-k2": V3_MLA
    | {
        "mixers.full.heads": 64,
        "mixers.full.rope.theta": 50000.0,
        "mixers.full.rope.scaling.factor": 32.0,
        "mixers.full.rope.scaling.beta_fast": 1.0,
        "layers.count": {"full_dense": 1, "full_moe": 60},
        "ffns.moe.experts": 384,
        "ffns.moe.router.groups": 1,
        "ffns.moe.router.group_score": None,
        "ffns.moe.router.scale": 2.827,
        "mtp": None,
    },
    "kimi-k2-thinking": {
        "context_length": 262144,
        "norms.rms.eps": 1e-5,
        "mixers.full.norm_eps": 1e-6,
        "mixers.full.rope.scaling.factor": 64.0,
    },
    "kimi-linear": {
        "mixers.full.rope": None,
        "mixers.full.scale": None,
        "mixers.full.qk_rope_head_dim": 64,
        "mixers.full.q_lora_rank": None,
        "mixers.linear.variant": "kda",
        "mixers.linear.key_heads": 32,
        "mixers.linear.value_head_dim": 128,
        "mixers.linear.conv_kernel": 4,
        "mixers.linear.gate": "sigmoid",
        "layers.at": {"full_moe": [3, 7, 11, 15, 19, 23, 26], "linear_dense": [0]},
        "ffns.moe.router.scale": 2.446,
        "ffns.moe.router.scoring": "sigmoid",
        "context_length": 1048576,
    },
    "minimax-m1": {
        "layers.count": {"linear": 70, "full": 10},
        "layers.at": {"full": [7, 15, 23, 31, 39, 47, 55, 63, 71, 79]},
        "mixers.linear.variant": "lightning",
        "mixers.linear.value_heads": 64,
        "mixers.linear.gate": "sigmoid",
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.head_dim": 128,
        "mixers.full.qk_norm": None,
        "layer_kinds.full.steps.0.residual": "after_norm",
        "layer_kinds.linear.steps.0.skip_scale": 3.5565588200778455,
        "layer_kinds.linear.steps.1.branches.0.scale": 1.0,
        "ffns.moe.experts": 32,
        "ffns.moe.active": 2,
        "ffns.moe.shared_width": 0,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": True,
        "ffns.moe.router.selection_bias": False,
    },
    "minimax-m2": {
        "layers.count": {"full": 62},
        "mixers.full.qk_norm.scope": "projection",
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.heads": 48,
        "layer_kinds.full.steps.0.residual": "plain",
        "ffns.moe.experts": 256,
        "ffns.moe.shared_width": 0,
        "ffns.moe.router.scoring": "sigmoid",
        "ffns.moe.router.selection_bias": True,
        "ffns.moe.router.scale": 1.0,
        "mtp.modules": 3,
        "mtp.layer_kind": None,
    },
    "gpt-oss-20b": {
        "layers.at": {"sliding": list(range(0, 24, 2))},
        "mixers.sliding.window": 128,
        "mixers.full.window": None,
        "mixers.full.sinks": True,
        "mixers.sliding.sinks": True,
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": True,
        "mixers.full.rope.theta": 150000.0,
        "mixers.full.rope.scaling.factor": 32.0,
        "mixers.full.rope.scaling.truncate": False,
        "ffns.moe.bias": True,
        "ffns.moe.clamp": 7.0,
        "ffns.moe.alpha": 1.702,
        "ffns.moe.up_offset": 1,
        "ffns.moe.active": 4,
        "ffns.moe.router.bias": True,
        "ffns.moe.router.scoring": "softmax_chosen",
        "ffns.moe.shared_width": 0,
    },
    "glm-4.5": {
        "layers.count": {"full_dense": 3, "full_moe": 89},
        "mixers.full.heads": 96,
        "mixers.full.kv_heads": 8,
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": False,
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.rope.interleaved": False,
        "ffns.moe.router.scale": 2.5,
        "ffns.moe.router.selection_bias": True,
        "mtp.modules": 1,
        "mtp.own_head": True,
    },
    "qwen3-next": {
        "layers.at": {"full": list(range(3, 48, 4))},
        "mixers.full.gate": "elementwise",
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.qk_norm.offset": 1,
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.head_dim": 256,
        "mixers.linear.variant": "gated_deltanet",
        "mixers.linear.key_heads": 16,
        "mixers.linear.value_heads": 32,
        "mixers.linear.conv_kernel": 4,
        "mixers.linear.gate": "silu",
        "norms.rms.offset": 1,
        "ffns.moe.experts": 512,
        "ffns.moe.active": 10,
        "ffns.moe.shared_gate": True,
        "mtp": None,
    },
    "llama4-maverick": {
        "layers.count": {"chunked_dense": 24, "chunked_moe": 12, "full_moe": 12},
        "mixers.chunked.chunk": 8192,
        "mixers.chunked.rope.theta": 500000.0,
        "mixers.chunked.rope.interleaved": True,
        "mixers.chunked.qk_norm": None,
        "mixers.chunked.query_scaling": None,
        "mixers.full.chunk": None,
        "mixers.full.rope": None,
        "mixers.full.query_scaling.beta": 0.1,
        "mixers.full.query_scaling.shift": 1,
        "ffns.dense.width": 16384,
        "ffns.moe.experts": 128,
        "ffns.moe.active": 1,
        "ffns.moe.expert_width": 8192,
        "ffns.moe.shared_width": 8192,
        "ffns.moe.router.scoring": "sigmoid",
        "ffns.moe.router.weights": "input",
        "towers.vision.layers": 34,
        "towers.vision.class_token": True,
        "towers.vision.positions": 577,
    },
    "llama4-scout": {
        "layers.at": {"full": list(range(3, 48, 4))},
        "mixers.chunked.qk_norm.weight": False,
        "mixers.chunked.qk_norm.after_rope": True,
        "mixers.full.qk_norm": None,
        "mixers.chunked.rope.scaling.kind": "llama3",
        "context_length": 10485760,
        "ffns.moe.experts": 16,
    },
    "mistral-large-3": V3_MLA
    | {
        "family": "mistral",
        "model_type": "mistral3",
        "layers.count": {"full_dense": 3, "full_moe": 58},
        "mixers.full.scale": None,
        "mixers.full.rope.scaling.factor": 36.0,
        "mixers.full.rope.scaling.attention_factor": 1.0,
        "mixers.full.query_scaling.beta": 0.1,
        "mixers.full.query_scaling.original_context": 8192,
        "ffns.moe.experts": 128,
        "ffns.moe.active": 4,
        "ffns.moe.expert_width": 4096,
        "ffns.moe.shared_experts": 1,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.selection_bias": False,
        "ffns.moe.router.normalized": True,
        "towers.vision.layers": 48,
        "towers.vision.merge": 2,
        "mtp": None,
    },
}

EVIDENCE = {
    ("deepseek-v2", "ffns.moe.router.groups"): ("config", "n_group"),
    ("deepseek-v2", "ffns.moe.router.scoring"): ("config", "scoring_func"),
    ("deepseek-v3", "ffns.moe.router.selection_bias"): ("config", "topk_method"),
    ("deepseek-v3", "mixers.full.norm_eps"): (
        "family",
        "transformers 5.23.0 models/deepseek_v3/modeling_deepseek_v3.py",
    ),
    ("deepseek-v3", "mixers.full.rope.interleaved"): (
        "default",
        "rope_interleave, transformers 5.23.0 DeepseekV3Config",
    ),
    ("kimi-linear", "mixers.linear.key_heads"): ("config", "linear_attn_config.num_heads"),
    ("kimi-linear", "context_length"): ("config", "model_max_length"),
    ("minimax-m1", "mixers.full.rope.rotary_dim"): ("config", "rotary_dim"),
    ("minimax-m2", "mixers.full.qk_norm.scope"): ("config", "qk_norm_type"),
    ("minimax-m2", "ffns.moe.router.selection_bias"): ("config", "use_routing_bias"),
    ("gpt-oss-20b", "ffns.moe.alpha"): (
        "default",
        "swiglu_alpha, transformers 5.23.0 GptOssConfig",
    ),
    ("llama4-scout", "mixers.chunked.chunk"): ("config", "text_config.attention_chunk_size"),
    ("mistral-large-3", "mixers.full.kv_lora_rank"): ("config", "kv_lora_rank"),
    ("mistral-large-3", "ffns.moe.expert_width"): ("config", "moe.expert_hidden_dim"),
    ("mistral-large-3", "mixers.full.rope.scaling.factor"): ("config", "yarn.factor"),
    ("mistral-large-3", "towers.vision.layers"): ("config", "vision_encoder.num_hidden_layers"),
}
UNKNOWN = (("qwen3-next", "mtp"), ("minimax-m2", "mtp.layer_kind"))


@cache
def read(
    alias: str,
) -> tuple[Architecture, dict[str, Evidence], list[str], Family, list[TensorRow]]:
    spec = json.loads((SPECS / f"{alias}.json").read_text())
    family, c = configure(spec["config"], spec["config_file"])
    evidence: dict[str, Evidence] = {}
    a = build(family.read(c), family.ref, evidence)
    return a, evidence, c.unread(), family, family.template(a)


def fact(a: Architecture, path: str) -> Any:
    if path == "layers.count":
        return {k: a.layers.count(k) for k in a.layer_kinds}
    at: Any = a
    for step in path.split("."):
        at = (
            at[int(step) if step.isdigit() else step]
            if isinstance(at, (dict, tuple))
            else getattr(at, step)
        )  # pyright: ignore
    return at  # pyright: ignore[reportUnknownVariableType]


@pytest.mark.parametrize(("alias", "path"), [(m, p) for m, rows in FACTS.items() for p in rows])
def test_fact(alias: str, path: str) -> None:
    a, expected = read(alias)[0], FACTS[alias][path]
    if path == "layers.at":
        assert {k: [i for i, x in enumerate(a.layers) if x == k] for k in expected} == expected
    else:
        assert fact(a, path) == expected


@pytest.mark.parametrize("alias", FACTS)
def test_no_key_is_left(alias: str) -> None:
    assert read(alias)[2] == []


@pytest.mark.parametrize(("alias", "path"), EVIDENCE)
def test_evidence(alias: str, path: str) -> None:
    said = read(alias)[1][path]
    assert (said.kind, said.ref) == EVIDENCE[alias, path]


@pytest.mark.parametrize(("alias", "path"), UNKNOWN)
def test_what_the_config_does_not_tell_is_unknown(alias: str, path: str) -> None:
    assert read(alias)[1][path].kind == "unknown"


@pytest.mark.parametrize("alias", FACTS)
def test_counts_are_the_published_ones(alias: str) -> None:
    """`active` there leaves the router-bias tables out (specs/README.md)."""
    a, _, _, _, rows = read(alias)
    published = {
        p["figure"]: p["value"]
        for p in json.loads((SPECS / f"{alias}.json").read_text())["published"]
    }
    ours = count_parameters(a)
    bias = sum(
        r.parameters
        for r in rows
        if r.component == "router" and "bias" in r.pattern and "correction" in r.pattern
    )
    assert ours.total == published["total"]
    if "active" in published:
        assert ours.active - bias == published["active"]
    if "mtp" in published and a.mtp:
        assert ours.mtp == published["mtp"]


def test_the_mtp_of_qwen3_next_is_a_candidate() -> None:
    """Its config does not announce the module that the 80B repository stores."""
    a, _, _, family, _ = read("qwen3-next")
    [(layout, rows)] = family.mtp_candidates(a)
    assert (
        sum(r.parameters for r in rows)
        == count_parameters(replace(a, mtp=layout)).mtp
        == 1_650_471_424
    )


def test_glm_stores_its_mtp_with_or_without_copies() -> None:
    """GLM-4.6's file lacks the second embedding and head of GLM-4.5's: 2 x 151,552 x 5,120."""
    a, _, _, family, _ = read("glm-4.5")
    sizes = [sum(r.parameters for r in rows) for _, rows in family.mtp_candidates(a)]
    assert sizes == [5_539_962_272, 5_539_962_272 - 2 * 151_552 * 5_120]


def test_kimi_k2_is_deepseek_v3_with_other_sizes() -> None:
    """What the comparison says of it: the same blocks, wired alike."""
    k2, v3 = read("kimi-k2")[0], read("deepseek-v3")[0]
    assert k2.layer_kinds == v3.layer_kinds
    assert {k: type(m) for k, m in k2.mixers.items()} == {k: type(m) for k, m in v3.mixers.items()}
    assert k2.norms == v3.norms
