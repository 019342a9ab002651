"""Facts of the families of late 2025 and 2026, second half (GLM-5 to LongCat): by spec and dotted
path, from the makers' configs and reports and from modelling code, never from llmarch's own
output.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from helpers.facts import at, read
from helpers.paths import SPECS

from llmarch import load
from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import MoE
from llmarch.compare.diff import diff
from llmarch.config.families import family_named
from llmarch.views.wording import kind_word

GLM_5_MLA = {
    "mixers.full.heads": 64,
    "mixers.full.q_lora_rank": 2048,
    "mixers.full.kv_lora_rank": 512,
    "mixers.full.qk_nope_head_dim": 192,
    "mixers.full.qk_rope_head_dim": 64,
    "mixers.full.v_head_dim": 256,
    "mixers.full.rope.interleaved": True,
    "mixers.full.indexer.heads": 32,
    "mixers.full.indexer.head_dim": 128,
    "mixers.full.indexer.top_k": 2048,
    "mixers.full.indexer.rope_interleaved": True,
    "ffns.moe.router.scale": 2.5,
    "ffns.moe.router.groups": 1,
    "ffns.moe.router.selection_bias": True,
    "mtp.modules": 1,
    "mtp.layer_kind": "full_moe",
    "mtp.own_embedding": False,
}
V4 = {
    "mixers.csa.kind": "compressed_attention",
    "mixers.csa.head_dim": 512,
    "mixers.csa.rope_dim": 64,
    "mixers.csa.window": 128,
    "mixers.csa.ratio": 4,
    "mixers.csa.series": 2,
    "mixers.csa.o_lora_rank": 1024,
    "mixers.csa.sinks": True,
    "mixers.csa.rope.theta": 160000.0,
    "mixers.csa.rope.interleaved": True,
    "mixers.csa.rope.scaling.factor": 16.0,
    "mixers.csa.rope.scaling.attention_factor": 1.0,
    "mixers.hca.ratio": 128,
    "mixers.hca.series": 1,
    "mixers.hca.indexer": None,
    "mixers.sliding.ratio": 0,
    "mixers.sliding.rope.theta": 10000.0,
    "mixers.sliding.rope.scaling": None,
    "residual.kind": "hyper",
    "residual.streams": 4,
    "residual.iterations": 20,
    "ffns.moe.router.scoring": "sqrt_softplus",
    "ffns.moe.router.normalized": True,
    "ffns.moe.router.token_table": None,
    "ffns.moe_hash.router.token_table": 129280,
    "ffns.moe_hash.router.selection_bias": False,
    "ffns.moe.active": 6,
    "ffns.moe.clamp": 10.0,
    "ffns.moe.shared_clamp": 10.0,
    "mtp.layer_kind": "sliding_moe",
}
STEP = {
    "mixers.full.heads": 64,
    "mixers.sliding.heads": 96,
    "mixers.sliding.kv_heads": 8,
    "mixers.sliding.window": 512,
    "mixers.full.gate": "head",
    "mixers.full.gate_activation": "sigmoid",
    "mixers.full.qk_norm.offset": 1,
    "mixers.full.rope.theta": 5e6,
    "mixers.full.rope.rotary_dim": 64,
    "mixers.full.rope.scaling.kind": "llama3",
    "mixers.sliding.rope.theta": 10000.0,
    "mixers.sliding.rope.rotary_dim": 128,
    "mixers.sliding.rope.scaling": None,
    "norms.rms.offset": 1,
    "ffns.moe.clamp": None,
    "ffns.moe_clamped.clamp": 7.0,
    "ffns.moe_clamped.clamp_after": True,
    "ffns.moe_clamped.shared_clamp": 16.0,
    "ffns.moe.router.scale": 3.0,
    "mtp.modules": 3,
    "mtp.own_head": True,
}
KIMI = {
    "family": "kimi_k25",
    "mixers.full.heads": 64,
    "mixers.full.rope.theta": 50000.0,
    "mixers.full.rope.scaling.factor": 64.0,
    "norms.rms.eps": 1e-5,
    "ffns.moe.experts": 384,
    "ffns.moe.router.scale": 2.827,
    "towers.vision.kind": "moonvit",
    "towers.vision.layers": 27,
    "towers.vision.positions": 4096,
    "towers.vision.merge": 2,
    "mtp": None,
}

FACTS: dict[str, dict[str, Any]] = {
    "glm-4.5-air": {
        "mixers.full.qk_norm": None,
        "mixers.full.qkv_bias": True,
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.rope.interleaved": False,
        "ffns.moe.router.scale": 1.0,
        "ffns.moe.experts": 128,
        "mtp.own_head": True,
    },
    "glm-5": GLM_5_MLA | {"mixers.full.rope.theta": 1e6, "context_length": 202752},
    "glm-5.1": GLM_5_MLA | {"mixers.full.rope.theta": 1e6},
    "glm-5.2": GLM_5_MLA
    | {
        "mixers.full.rope.theta": 8e6,
        "mixers.full_shared.indexer": None,
        "mixers.full_shared.index_from": "full",
        "mixers.full.index_from": None,
        "context_length": 1048576,
    },
    "glm-5.3": GLM_5_MLA | {"mixers.full_shared.index_from": "full"},
    "minimax-m2.5": {
        "mixers.full.qk_norm.scope": "projection",
        "ffns.moe.shared_width": 0,
        "ffns.moe.router.scale": 1.0,
    },
    "minimax-m3": {
        "mixers.full.block_index": None,
        "mixers.sparse.block_index.heads": 4,
        "mixers.sparse.block_index.block": 128,
        "mixers.sparse.block_index.top_blocks": 16,
        "mixers.sparse.block_index.local_blocks": 1,
        "mixers.sparse.block_index.norm_offset": 1,
        "mixers.sparse.kv_heads": 4,
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.qk_norm.offset": 1,
        "mixers.full.rope.rotary_dim": 64,
        "norms.rms.offset": 1,
        "ffns.dense.width": 12288,
        "ffns.dense.clamp": 7.0,
        "ffns.moe.alpha": 1.702,
        "ffns.moe.up_offset": 1,
        "ffns.moe.shared_clamp": 7.0,
        "ffns.moe.shared_width": 3072,
        "ffns.moe.router.scale": 2.0,
        "towers.vision.layers": 32,
        "mtp.modules": 7,
        "mtp.layer_kind": None,
    },
    "kimi-k2.5": KIMI,
    "kimi-k2.6": KIMI,
    "kimi-k2.7-code": KIMI,
    "mimo-v2-flash": {
        "mixers.full.kv_heads": 4,
        "mixers.sliding.kv_heads": 8,
        "mixers.sliding.head_dim": 192,
        "mixers.sliding.v_head_dim": 128,
        "mixers.sliding.window": 129,
        "mixers.sliding.sinks": True,
        "mixers.full.sinks": False,
        "mixers.full.value_scale": 0.707,
        "mixers.full.rope.theta": 5e6,
        "mixers.full.rope.rotary_dim": 64,
        "mixers.sliding.rope.theta": 10000.0,
        "ffns.moe.shared_width": 0,
        "ffns.moe.router.scale": 1.0,
        "norms.rms.eps": 1e-5,
        "mtp": None,
    },
    "hy3": {
        "mixers.full.qk_norm.scope": "head",
        "mixers.full.rope.theta": 11158840.0,
        "ffns.moe.experts": 192,
        "ffns.moe.router.scoring": "sigmoid",
        "ffns.moe.router.scale": 2.826,
        "ffns.moe.shared_width": 1536,
        "mtp.modules": 1,
        "mtp.own_embedding": False,
    },
    "laguna-xs.2": {
        "mixers.full.heads": 48,
        "mixers.sliding.heads": 64,
        "mixers.full.gate": "head",
        "mixers.full.gate_activation": "softplus",
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.rope.theta": 500000.0,
        "mixers.sliding.rope.rotary_dim": 128,
        "mixers.sliding.window": 512,
        "ffns.moe.router.softcap": None,
        "ffns.moe.router.scale": 2.5,
        "ffns.moe.shared_experts": 1,
    },
    "trinity-large": {
        "mixers.full.rope": None,
        "mixers.sliding.rope.theta": 10000.0,
        "mixers.sliding.window": 4096,
        "mixers.sliding.gate": "elementwise",
        "mixers.sliding.gate_activation": "sigmoid",
        "mixers.sliding.qk_norm.scope": "head",
        "embedding.scale": 3072**0.5,
        "ffns.moe.experts": 256,
        "ffns.moe.active": 4,
        "layer_kinds.full_moe.steps.0.branches.0.post_norm": "rms",
        "layer_kinds.full_moe.steps.0.branches.0.pre_norm": "rms",
        "mtp": None,
    },
    "trinity-mini": {
        "ffns.moe.experts": 128,
        "ffns.moe.router.scale": 2.826,
        "mixers.sliding.window": 2048,
    },
    "trinity-nano": {"hidden_size": 1024, "mixers.full.kv_heads": 2, "embedding.scale": 32.0},
    "step-3.5-flash": STEP | {"towers": {}},
    "step-3.7-flash": STEP
    | {
        "towers.vision.layers": 47,
        "towers.vision.layer_scales": True,
        "towers.vision.positions": 2704,
    },
    "deepseek-v4-flash": V4
    | {
        "mixers.csa.heads": 64,
        "mixers.csa.o_groups": 8,
        "mixers.csa.q_lora_rank": 1024,
        "mixers.csa.indexer.top_k": 512,
        "mixers.csa.indexer.heads": 64,
        "ffns.moe.router.scale": 1.5,
    },
    "deepseek-v4-pro": V4
    | {
        "mixers.csa.heads": 128,
        "mixers.csa.o_groups": 16,
        "mixers.csa.q_lora_rank": 1536,
        "mixers.csa.indexer.top_k": 1024,
        "ffns.moe.router.scale": 2.5,
    },
    "longcat-flash": {
        "mixers.full.heads": 64,
        "mixers.full.q_scale": 2.0,
        "mixers.full.kv_scale": 12**0.5,
        "mixers.full.rope.theta": 1e7,
        "layer_kinds.double.steps.4.skip_from": 1,
        "layer_kinds.double.steps.1.pre_norm": "rms",
        "layer_kinds.double.steps.4.pre_norm": None,
        "ffns.moe.experts": 512,
        "ffns.moe.zero_experts": 256,
        "ffns.moe.active": 12,
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": False,
        "ffns.moe.router.selection_bias": True,
        "ffns.moe.router.scale": 6.0,
        "mtp": None,
    },
}

LAYERS = {
    "glm-4.5-air": {"full_dense": 1, "full_moe": 45},
    "glm-5": {"full_dense": 3, "full_moe": 75},
    "glm-5.2": {"full_dense": 3, "full_shared_moe": 57, "full_moe": 18},
    "minimax-m3": {"full_dense": 3, "sparse_moe": 57},
    "kimi-k2.5": {"full_dense": 1, "full_moe": 60},
    "mimo-v2-flash": {"full_dense": 1, "sliding_moe": 39, "full_moe": 8},
    "hy3": {"full_dense": 1, "full_moe": 79},
    "laguna-xs.2": {"full_dense": 1, "sliding_moe": 30, "full_moe": 9},
    "trinity-large": {"sliding_dense": 5, "full_dense": 1, "sliding_moe": 40, "full_moe": 14},
    "step-3.5-flash": {
        "full_dense": 1,
        "sliding_dense": 2,
        "sliding_moe": 30,
        "full_moe": 10,
        "sliding_moe_clamped": 1,
        "full_moe_clamped": 1,
    },
    "deepseek-v4-flash": {"sliding_moe_hash": 2, "csa_moe_hash": 1, "hca_moe": 20, "csa_moe": 20},
    "deepseek-v4-pro": {"hca_moe_hash": 2, "csa_moe_hash": 1, "hca_moe": 29, "csa_moe": 29},
    "longcat-flash": {"double": 28},
}

EVIDENCE = {
    ("glm-5.2", "layers"): ("derived", "indexer_types, mlp_layer_types"),
    ("glm-5", "mixers.full.indexer.rope_interleaved"): ("config", "indexer_rope_interleave"),
    ("minimax-m3", "mixers.sparse.block_index.top_blocks"): (
        "config",
        "text_config.sparse_attention_config.sparse_topk_blocks",
    ),
    ("minimax-m3", "norms.rms.offset"): ("config", "text_config.use_gemma_norm"),
    ("kimi-k2.5", "towers.vision.layers"): ("config", "vision_config.vt_num_hidden_layers"),
    ("mimo-v2-flash", "mixers.sliding.kv_heads"): ("config", "swa_num_key_value_heads"),
    ("mimo-v2-flash", "ffns.moe.router.scale"): (
        "default",
        "routed_scaling_factor, transformers 5.23.0 MiMoV2FlashConfig",
    ),
    ("deepseek-v4-flash", "residual.streams"): ("config", "hc_mult"),
    ("deepseek-v4-flash", "mixers.csa.rope.theta"): ("config", "compress_rope_theta"),
    ("deepseek-v4-flash", "ffns.moe_hash.router.token_table"): ("config", "vocab_size"),
    ("step-3.5-flash", "mixers.sliding.heads"): (
        "config",
        "attention_other_setting.num_attention_heads",
    ),
    ("laguna-xs.2", "mixers.sliding.heads"): ("config", "num_attention_heads_per_layer"),
    ("longcat-flash", "mixers.full.q_scale"): ("derived", "sqrt(hidden_size / q_lora_rank)"),
}


@pytest.mark.parametrize(
    ("spec", "path", "value"), [(s, p, v) for s, facts in FACTS.items() for p, v in facts.items()]
)
def test_fact(spec: str, path: str, value: Any) -> None:
    assert at(read(spec)[0], path) == value


@pytest.mark.parametrize("spec", FACTS)
def test_every_key_is_read(spec: str) -> None:
    assert read(spec)[2] == []


@pytest.mark.parametrize("spec", LAYERS)
def test_layers(spec: str) -> None:
    assert Counter(read(spec)[0].layers) == LAYERS[spec]


@pytest.mark.parametrize(("spec", "path"), EVIDENCE)
def test_evidence(spec: str, path: str) -> None:
    said = read(spec)[1][path]
    assert (said.kind, said.ref) == EVIDENCE[spec, path]


AS_PARAMETERS = ("laguna", "afmoe")
"""Families whose router-bias tables transformers counts as parameters, so that the published
`active` has them.
"""


@pytest.mark.parametrize("spec", FACTS)
def test_counts_are_the_published_ones(spec: str) -> None:
    """The Hub's total is the model and its MTP modules, to the last parameter (MiniMax-M2.5's has
    the FP8 scales besides).
    """
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
    tables = 0
    for block in (
        b
        for k in a.layers
        for b in a.blocks_of(k)
        if isinstance(b, MoE) and a.family not in AS_PARAMETERS
    ):
        tables += (block.experts + block.zero_experts) * block.router.selection_bias + (
            block.router.token_table or 0
        ) * block.active
    if "active" in published:
        assert ours.active - tables == published["active"]
    mtp = ours.mtp or 0
    if "mtp" in published and a.mtp is None:
        [(layout, stored)] = family_named(a.family).mtp_candidates(a)
        mtp = count_parameters(replace(a, mtp=layout)).mtp
        assert mtp == sum(r.parameters for r in stored)
    assert mtp == published.get("mtp", mtp)
    if "hub_total" in published:
        scales = (
            62 * (256 * 3 * 12 * 24 + 2 * 48 * 24 + 2 * 8 * 24) if spec == "minimax-m2.5" else 0
        )
        assert ours.total + (mtp or 0) + scales == published["hub_total"]


def test_kimi_k2_6_declares_its_format_in_the_text_part() -> None:
    """2.5 does so beside the text part: both store the routed experts alone as int4, in groups of
    32.
    """
    for spec in ("kimi-k2.5", "kimi-k2.6"):
        stored = load(str(SPECS / f"{spec}.json")).architecture.quantization
        assert stored is not None
        assert (stored.method, stored.bits, stored.group_size) == ("compressed-tensors", 4, 32)


def test_glm_5_2_lacks_the_indexers_of_57_layers() -> None:
    """534,198,528 parameters, exactly the gap between the totals of GLM-5 and 5.2."""
    old, new = read("glm-5")[0], read("glm-5.2")[0]
    assert (
        count_parameters(old).total - count_parameters(new).total == 57 * 9_371_904 == 534_198_528
    )
    # 21 of 78: layers 0 to 2, then every fourth from 6 on
    assert [i for i, k in enumerate(new.layers) if "shared" not in k] == [0, 1, 2, *range(6, 78, 4)]


def test_the_text_of_kimi_k2_5_is_kimi_k2() -> None:
    """The same as K2 Thinking's, but for YaRN's beta_fast (K2: 1)."""
    new, old = read("kimi-k2.5")[0], read("kimi-k2-thinking")[0]
    assert (new.ffns, new.layer_kinds, new.layers, new.norms) == (
        old.ffns,
        old.layer_kinds,
        old.layers,
        old.norms,
    )
    assert [(c.path, c.old, c.new) for c in diff(old, new) if c.path.startswith("mixers")] == [
        ("mixers.full.rope.scaling.beta_fast", 1.0, 32.0)
    ]
    assert count_parameters(new).vision == 471_143_920


def test_step_3_7_is_step_3_5_with_a_tower() -> None:
    new, old = read("step-3.7-flash")[0], read("step-3.5-flash")[0]
    assert (new.mixers, new.ffns, new.layer_kinds, new.layers) == (
        old.mixers,
        old.ffns,
        old.layer_kinds,
        old.layers,
    )
    assert count_parameters(new).vision == 1_981_014_784


def test_the_moe_of_longcat_joins_at_the_layers_end() -> None:
    a, _, _, rows = read("longcat-flash")
    assert kind_word(a, "double") == "MLA + dense + MLA + dense + MoE (shortcut)"
    # the two attentions of a layer have their own tensors; zero experts have none, but the
    # router's rows
    assert [
        r.axes[1] for r in rows if r.pattern == "model.layers.{}.self_attn.{}.o_proj.weight"
    ] == [(0,), (1,)]
    assert [
        r.shape for r in rows if r.pattern == "model.layers.{}.mlp.router.classifier.weight"
    ] == [(768, 6144)]
    assert [
        r.axes[1] for r in rows if r.pattern == "model.layers.{}.mlp.experts.{}.up_proj.weight"
    ] == [range(512)]
