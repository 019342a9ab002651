"""Facts of models with code of their own that no count would catch, read from that code.

The files are named in each family; tests/oracle/published_code.py holds their counts.
"""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from helpers.facts import at, reading

from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.errors import UnknownFamily

FACTS = {
    "baichuan2-7b-chat": {
        "head.normalized": "rows",
        "mixers.full.alibi": None,
        "mixers.full.rope.theta": 10000.0,
        "context_length": 4096,
    },
    "baichuan2-13b-chat": {
        "head.normalized": "rows",
        "mixers.full.alibi": 8.0,
        "mixers.full.rope": None,
        "mixers.full.kv_heads": 40,
    },
    "baichuan-13b-chat": {"head.normalized": None, "mixers.full.alibi": 8.0},
    "qwen-7b": {
        "ffns.dense.width": 11008,
        "mixers.full.qkv_bias": True,
        "mixers.full.output_bias": False,
        "mixers.full.query_scaling.beta": round(1 / log(8192), 9),
        "mixers.full.query_scaling.original_context": 8192,
        "mixers.full.query_scaling.shift": 1,
        "mixers.full.rope.scaling.kind": "dynamic",
        "mixers.full.rope.scaling.original_context": 8192,
        "norms.rms.eps": 1e-6,
    },
    "qwen-72b-chat": {
        "mixers.full.query_scaling": None,
        "mixers.full.rope.scaling": None,
        "mixers.full.rope.theta": 1000000.0,
    },
    "chatglm3-6b": {
        "mixers.full.kv_heads": 2,
        "mixers.full.qkv_bias": True,
        "mixers.full.rope.rotary_dim": 64,
        "mixers.full.rope.interleaved": True,
        "head.kind": "language_model",
    },
    "deepseek-moe-16b": {
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": False,
        "ffns.moe.shared_width": 2816,
    },
    "minicpm4-8b": {
        "embedding.scale": 12,
        "head.scale": 256 / 4096,
        "layer_kinds.full.steps.0.branches.0.scale": 1.4 / 32**0.5,
        "mixers.full.rope.scaling.kind": "longrope",
    },
    "openpangu-embedded-7b": {"mixers.full.output_bias": True, "ffns.dense.bias": False},
    "ling-lite-1.5": {
        "ffns.moe.router.scoring": "softmax",
        "ffns.moe.router.normalized": True,
        "mixers.full.qk_norm": None,
        "head.normalized": None,
    },
    "nemotron-super-49b": {"mixers.full.kv_heads": 8, "ffns.dense_2.width": 28672},
}
LING = {
    "architectures": ["BailingMoeV2ForCausalLM"],
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
    "moe_intermediate_size": 32,
    "num_attention_heads": 4,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "num_shared_experts": 1,
    "n_group": 2,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-6,
    "rope_theta": 600000,
    "topk_group": 1,
    "use_bias": False,
    "vocab_size": 100,
}
LATENT = {
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "layer_group_size": 4,
    "group_norm_size": 2,
}
ROWS = [(alias, path, value) for alias, facts in FACTS.items() for path, value in facts.items()]


@pytest.mark.parametrize(("alias", "path", "value"), ROWS)
def test_fact(alias: str, path: str, value: Any) -> None:
    found = at(reading(alias).architecture, path)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


def architecture(**keys: Any) -> Any:
    """Return the architecture of a config."""
    family, c = configure(keys, "config.json")
    return build_with_template(family, c, {})[0]


def test_the_class_tells_the_second_version_of_ling() -> None:
    a = architecture(**LING, model_type="bailing_moe")
    assert a.ffns["moe"].router.scoring == "sigmoid"
    assert a.ffns["moe"].router.selection_bias
    assert a.mixers["full"].rope.rotary_dim == 8
    assert a.mixers["full"].qk_norm.scope == "head"
    config = {**LING, "architectures": ["BailingMoeForCausalLM"], "norm_head": True}
    first = architecture(**config, model_type="bailing_moe")
    assert first.head.normalized == "columns"
    assert first.mixers["full"].qk_norm is None


def test_ling_2_5_has_lightning_attention_under_the_model_type_of_ling_3() -> None:
    config = {**LING, **LATENT, "architectures": ["BailingMoeV2_5ForCausalLM"]}
    a = architecture(**config, model_type="bailing_hybrid")
    assert a.layers == ("linear_dense", *["linear_moe"] * 2, "full_moe", *["full_moe"] * 2)
    linear = a.mixers["linear"]
    assert (linear.variant, linear.norm_groups, linear.rope.rotary_dim) == ("lightning", 2, 8)
    assert linear.qk_norm.scope == "head"
    assert a.mixers["full"].kind == "latent_attention"


def test_ring_linear_has_gqa_between_lightning_layers() -> None:
    config = {**LING, **LATENT, "architectures": ["BailingMoeLinearV2ForCausalLM"]}
    keys = {"hidden_act": "silu", "norm_topk_prob": True, "routed_scaling_factor": 2.5}
    keys |= {"use_qkv_bias": False, "tie_word_embeddings": False}
    a = architecture(**config, **keys, model_type="bailing_moe_linear")
    assert a.mixers["full"].kind == "attention"
    assert a.mixers["linear"].variant == "lightning"


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"model_type": "chatglm", "inner_hidden_size": 16384}, "ChatGLM 1"),
        ({"model_type": "chatglm", "vision_config": {"depth": 2}}, "GLM-4V"),
        ({"model_type": "qwen", "visual": {"layers": 2}}, "Qwen-VL"),
    ],
)
def test_kin_with_other_code_are_not_read(keys: dict[str, Any], name: str) -> None:
    with pytest.raises(UnknownFamily, match=name):
        architecture(**keys)


def test_layers_of_hunyuan_may_share_keys_and_values() -> None:
    config = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    config |= {"num_hidden_layers": 4, "num_key_value_heads": 2, "vocab_size": 100}
    a = architecture(
        **config, model_type="hunyuan", use_cla=True, cla_share_factor=2, num_experts=4, moe_topk=2
    )
    assert a.layers == ("full", "shared", "full", "shared")
    assert a.mixers["shared"].kv_from == "full"
    assert a.ffns["moe"].shared_width == 0
    dense = architecture(**config, model_type="hunyuan", use_qk_norm=True)
    assert (dense.ffns["dense"].width, dense.mixers["full"].qk_norm.after_rope) == (96, True)


@pytest.mark.parametrize(
    ("name", "known", "keys"),
    [
        ("xverse", "llama", {}),
        ("sarvam_moe", "bailing_moe_v2", {"n_group": 1, "topk_group": 1, "head_dim": 16}),
    ],
)
def test_other_names_of_known_code(name: str, known: str, keys: dict[str, Any]) -> None:
    config = {**LING, **keys, "architectures": None, "routed_scaling_factor": 2.5}
    one = architecture(**config, model_type=name)
    other = architecture(**config, model_type=known)
    assert (one.mixers, one.ffns, one.layers) == (other.mixers, other.ffns, other.layers)


def test_a_moe_of_minicpm_is_read_as_vllm_reads_it() -> None:
    config = {
        "model_type": "minicpm",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 100,
    }
    a = architecture(**config)
    assert (a.ffns["moe"].experts, a.ffns["moe"].expert_width) == (8, 96)


def test_a_layer_of_nemotron_may_be_without_a_block_but_not_with_one_matrix() -> None:
    whole = {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 2.0}}
    sizes = {"hidden_size": 768, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 9}
    empty = {"attention": {"no_op": True}, "ffn": {"no_op": True}}
    a = architecture(model_type="nemotron-nas", **sizes, block_configs=[whole, empty])
    assert a.layers == ("full_dense", "empty")
    linear = {"attention": {"replace_with_linear": True}, "ffn": {"no_op": True}}
    with pytest.raises(UnknownFamily, match="one matrix"):
        architecture(model_type="nemotron-nas", **sizes, block_configs=[whole, linear])
