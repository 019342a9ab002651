"""gpt-oss: sliding and full layers in turns, attention sinks, biases, and MoE of clamped SwiGLU experts in MXFP4."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling


def read(c: ConfigKeys) -> Draft:
    kinds, how = blocks.sliding_layers(
        c,
        c.layer_count().value,
        lambda i: i % 2 == 0,
        "no layer_types: sliding and full layers in turns",
    )
    bias = c.flag("attention_bias")
    full = blocks.attention(c, qkv_bias=bias, output_bias=bias, sinks=True)
    mixers = blocks.read_used_blocks(
        c,
        {
            "full": lambda _: full,
            "sliding": lambda c: full.replace(window=c.size("sliding_window")),
        },
        kinds,
    )
    c.ignore("initial_context_length")  # repeats the scaling's original context
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"moe": moe(c)},
        **blocks.layer_wiring([(k, "moe") for k in kinds], how),
    )


def moe(c: ConfigKeys) -> Draft:
    """The gate is cut above, up on both sides, and the output is (up + 1) * gate * sigmoid(alpha * gate)."""
    return draft(
        s.MoE,
        experts=c.size("num_local_experts", "num_experts"),
        active=c.size("num_experts_per_tok", "experts_per_token"),
        expert_width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        bias=True,
        clamp=c.number("swiglu_limit"),
        alpha=c.number("swiglu_alpha"),
        up_offset=1,
        router=draft(s.Router, scoring="softmax_chosen", normalized=True, bias=True),
    )


DEFAULTS: dict[str, Any] = {
    "rms_norm_eps": 1e-5, "rope_theta": 150000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": True,
    "max_position_embeddings": 131072, "sliding_window": 128, "head_dim": 64, "num_key_value_heads": 8, "swiglu_alpha": 1.702,
    "swiglu_limit": 7.0,
    "rope_parameters": {
        "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
        "original_max_position_embeddings": 4096,
    },
}  # fmt: skip

FAMILY = Family(
    name="gpt_oss",
    title="gpt-oss",
    ref=modeling("gpt_oss"),
    read=read,
    naming=tensors.Naming(blocks={s.MoE: tensors.fused_moe_parts()}),
    defaults={"gpt_oss": DEFAULTS},
    config_class={"gpt_oss": "GptOssConfig"},
)
