"""Modules of models that no family reads: what their tensors prove, and what they leave open."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import table_of

from llmarch.checkpoint.inference.model import infer_model
from llmarch.sources.raw import TensorTable


def layer(**tensors: tuple[int, ...]) -> TensorTable:
    """Return a table with two layers of these tensors, an embedding of width 64 and a norm."""
    inside = {
        f"model.layers.{i}.{n.replace('__', '.')}": ("BF16", s)
        for i in (0, 1)
        for n, s in tensors.items()
    }
    return table_of(
        {
            "model.embed_tokens.weight": ("BF16", (1000, 64)),
            "model.norm.weight": ("BF16", (64,)),
            **inside,
        }
    )


NORM = {"input_layernorm__weight": (64,)}
QKVO = {
    "self_attn__q_proj__weight": (96, 64),
    "self_attn__k_proj__weight": (32, 64),
    "self_attn__v_proj__weight": (32, 64),
    "self_attn__o_proj__weight": (64, 96),
}

MODULES: list[tuple[str, dict[str, tuple[int, ...]], dict[str, Any]]] = [
    (
        "a norm with a row for each head (Cohere)",
        {
            **NORM,
            **QKVO,
            "self_attn__q_norm__weight": (6, 16),
            "self_attn__k_norm__weight": (2, 16),
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.qk_norm.scope": None,
        },
    ),
    (
        "a norm as wide as the one KV head",
        {**NORM, **QKVO, "self_attn__q_norm__weight": (32,), "self_attn__k_norm__weight": (32,)},
        {
            "mixers.attention.heads": 3,
            "mixers.attention.kv_heads": 1,
            "mixers.attention.qk_norm.scope": "head",
        },
    ),
    (
        "values of another width",
        {
            **NORM,
            **QKVO,
            "self_attn__v_proj__weight": (16, 64),
            "self_attn__q_norm__weight": (16,),
            "self_attn__k_norm__weight": (16,),
        },
        {"mixers.attention.heads": None, "mixers.attention.kv_heads": None},
    ),
    (
        "an embedding in fewer dimensions (OPT-350m)",
        {"input_layernorm__weight": (128,), **QKVO},
        {"hidden_size": None, "mixers.attention.heads": None},
    ),
    (
        "w1, w2 and w3 (LFM2)",
        {
            **NORM,
            "feed_forward__w1__weight": (256, 64),
            "feed_forward__w3__weight": (256, 64),
            "feed_forward__w2__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "not gated",
        {**NORM, "mixer__up_proj__weight": (256, 64), "mixer__down_proj__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": False},
    ),
    (
        "fused q, k, v",
        {
            **NORM,
            "attn__qkv_proj__weight": (160, 64),
            "attn__o_proj__weight": (64, 96),
            "attn__sinks": (6,),
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.head_dim": 16,
        },
    ),
    (
        "Mamba 2",
        {
            **NORM,
            "mixer__A_log": (8,),
            "mixer__D": (8,),
            "mixer__dt_bias": (8,),
            "mixer__conv1d__weight": (160, 1, 4),
            "mixer__in_proj__weight": (296, 64),
        },
        {"mixers.mamba2.value_heads": 8, "mixers.mamba2.conv_kernel": 4},
    ),
    (
        "a state beside queries, keys and values (OLMo Hybrid)",
        {
            **NORM,
            **QKVO,
            "self_attn__A_log": (6,),
            "self_attn__dt_bias": (6,),
            "self_attn__conv1d__weight": (160, 1, 4),
        },
        {"mixers.linear_attention.conv_kernel": 4, "mixers.linear_attention.variant": None},
    ),
    (
        "no values of its own",
        {
            **NORM,
            **{n: v for n, v in QKVO.items() if "v_proj" not in n},
            **{f"self_attn__{n}_norm__weight": (16,) for n in "qk"},
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.v_head_dim": None,
        },
    ),
    (
        "gate and up in one matrix of another name (ChatGLM)",
        {**NORM, "mlp__dense_h_to_4h__weight": (512, 64), "mlp__dense_4h_to_h__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "w1 and w2 alone, which may be gated or not",
        {
            **NORM,
            "mlp__gate__weight": (4, 64),
            **{f"mlp__experts__{i}__w1__weight": (48, 64) for i in range(4)},
            **{f"mlp__experts__{i}__w2__weight": (64, 48) for i in range(4)},
        },
        {"ffns.moe.experts": 4, "ffns.moe.expert_width": 48, "ffns.moe.gated": None},
    ),
    (
        "w1, w2 and c_proj (Qwen 1)",
        {
            **NORM,
            "mlp__w1__weight": (256, 64),
            "mlp__w2__weight": (256, 64),
            "mlp__c_proj__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "no module at all (OLMo 1, Molmo)",
        {
            **NORM,
            "att_proj__weight": (160, 64),
            "attn_out__weight": (64, 96),
            "ff_proj__weight": (512, 64),
            "ff_out__weight": (64, 256),
        },
        {"mixers.attention.qkv_bias": False, "ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "to_q, to_k, to_v and to_out (Cosmos)",
        {
            **NORM,
            **{f"self_attn__to_{n}__weight": (s, 64) for n, s in (("q", 96), ("k", 32), ("v", 32))},
            "self_attn__to_out__weight": (64, 96),
            **{f"self_attn__{n}_norm__weight": (16,) for n in "qk"},
        },
        {"mixers.attention.heads": 6, "mixers.attention.kv_heads": 2},
    ),
    (
        "Wi and Wo (ModernBERT)",
        {**NORM, "mlp__Wi__weight": (512, 64), "mlp__Wo__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "blocks within a module (Zamba 2, GPT-Neo)",
        {
            **NORM,
            **{f"shared__{n}": s for n, s in QKVO.items()},
            "shared__feed_forward__up_proj__weight": (256, 64),
            "shared__feed_forward__down_proj__weight": (64, 256),
        },
        {"mixers.attention.sinks": False, "ffns.dense.width": 256, "ffns.dense.gated": False},
    ),
    (
        "a bias of queries and values alone (Whisper)",
        {**NORM, **QKVO, "self_attn__q_proj__bias": (96,), "self_attn__v_proj__bias": (32,)},
        {"mixers.attention.qkv_bias": None, "mixers.attention.output_bias": False},
    ),
    (
        "a bias on the way up alone",
        {
            **NORM,
            "mlp__up_proj__weight": (256, 64),
            "mlp__up_proj__bias": (256,),
            "mlp__down_proj__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.bias": None},
    ),
    (
        "latent attention with an output of another name (Ling)",
        {
            **NORM,
            "attention__kv_a_proj_with_mqa__weight": (40, 64),
            "attention__kv_a_layernorm__weight": (32,),
            "attention__kv_b_proj__weight": (128, 32),
            "attention__q_proj__weight": (96, 64),
            "attention__dense__weight": (64, 64),
        },
        {
            "mixers.latent_attention.heads": 4,
            "mixers.latent_attention.v_head_dim": 16,
            "mixers.latent_attention.qk_rope_head_dim": 8,
        },
    ),
    (
        "stacked experts as fc1 and fc2 (Aria)",
        {
            **NORM,
            "mlp__router__weight": (4, 64),
            "mlp__experts__fc1__weight": (4, 64, 96),
            "mlp__experts__fc2__weight": (4, 48, 64),
        },
        {
            "ffns.moe.experts": 4,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
            "ffns.moe.shared_width": 0,
        },
    ),
    (
        "a router of several layers, with one output more than experts are stored (ZAYA)",
        {
            **NORM,
            "mlp__gate__down_proj__weight": (16, 64),
            "mlp__gate__out_proj__weight": (5, 16),
            "mlp__experts__gate_up_proj": (4, 96, 64),
            "mlp__experts__down_proj": (4, 64, 48),
        },
        {
            "ffns.moe.experts": None,
            "ffns.moe.expert_width": 48,
            "ffns.moe.router.bias": None,
            "ffns.moe.shared_width": None,
        },
    ),
    (
        "experts without a module, with their router and a shared one beside them",
        {
            **NORM,
            "experts__down_proj": (4, 64, 48),
            "experts__gate_up_proj": (4, 96, 64),
            "router__proj__weight": (4, 64),
            "share_expert__gate_proj__weight": (32, 64),
            "share_expert__up_proj__weight": (32, 64),
            "share_expert__down_proj__weight": (64, 32),
        },
        {
            "ffns.moe.experts": 4,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
            "ffns.moe.shared_width": 32,
        },
    ),
    (
        "fc1 and fc2 without a module (OPT)",
        {
            **NORM,
            "fc1__weight": (256, 64),
            "fc1__bias": (256,),
            "fc2__weight": (64, 256),
            "fc2__bias": (64,),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": False, "ffns.dense.bias": True},
    ),
    (
        "latent experts",
        {
            **NORM,
            "mlp__gate__weight": (4, 64),
            **{f"mlp__experts__{i}__up_proj__weight": (48, 32) for i in range(4)},
            **{f"mlp__experts__{i}__down_proj__weight": (32, 48) for i in range(4)},
        },
        {"ffns.moe.experts": 4, "ffns.moe.expert_width": None, "ffns.moe.gated": False},
    ),
    (
        "a router with more outputs than experts are stored",
        {
            **NORM,
            "mlp__router__classifier__weight": (6, 64),
            **{f"mlp__experts__{i}__{n}__weight": (48, 64) for i in range(4) for n in ("w1", "w3")},
            **{f"mlp__experts__{i}__w2__weight": (64, 48) for i in range(4)},
        },
        {
            "ffns.moe.experts": None,
            "ffns.moe.zero_experts": None,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
        },
    ),
]


@pytest.mark.parametrize(
    ("tensors", "expected"), [row[1:] for row in MODULES], ids=[row[0] for row in MODULES]
)
def test_modules_of_other_models(
    tensors: dict[str, tuple[int, ...]], expected: dict[str, Any]
) -> None:
    o = infer_model(layer(**tensors))
    assert {p: o.facts[p] for p in expected} == expected


def test_a_learned_decay_is_a_parameter() -> None:
    o = infer_model(layer(**NORM, attention__time_decay=(64,), attention__slope_rate=(4,)))
    assert (o.total, o.buffers) == (1000 * 64 + 64 + 2 * 64 + 2 * 64, 2 * 4)


def test_shared_experts_that_hold_experts_are_read_once() -> None:
    o = infer_model(
        layer(
            **NORM,
            shared_experts__experts__0__up_proj__weight=(4, 64),
            shared_experts__gate__weight=(4, 64),
        )
    )
    assert o.total == 1000 * 64 + 64 + 2 * 64 + 2 * 2 * 4 * 64
