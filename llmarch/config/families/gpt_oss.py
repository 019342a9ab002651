"""gpt-oss: sliding and full layers in turns, attention sinks, biases, MoE of clamped SwiGLU.

Experts are published in MXFP4.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    reason = "no layer_types: sliding and full layers in turns"
    layers = blocks.sliding_layers(c, lambda i: i % 2 == 0, reason)
    c.ignore("initial_context_length")  # repeats the scaling's original context
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value),
        ffns={"moe": _moe(c)},
        **blocks.layer_wiring(layers, "moe"),
    )


def _full(c: ConfigKeys) -> Draft:
    """Read the attention of full layers."""
    return blocks.attention(c, sinks=True, **blocks.attention_biases(c))


def _sliding(c: ConfigKeys) -> Draft:
    """Read the attention of sliding layers."""
    return _full(c).replace(window=c.size("sliding_window"))


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE.

    The gate is clamped from above, up on both sides; the output is
    (up + 1) * gate * sigmoid(alpha * gate).
    """
    return blocks.moe(
        c,
        draft(s.Router, scoring="softmax_chosen", normalized=True, bias=True),
        experts=("num_local_experts", "num_experts"),
        active=("num_experts_per_tok", "experts_per_token"),
        width="intermediate_size",
        bias=True,
        activation=c.expect("hidden_act", "silu"),
        clamp=c.number("swiglu_limit"),
        alpha=c.number("swiglu_alpha"),
        up_offset=1,
    )


_DEFAULTS: dict[str, Any] = {
    "rms_norm_eps": 1e-5,
    "rope_theta": 150000.0,
    "tie_word_embeddings": False,
    "attention_bias": True,
    "max_position_embeddings": 131072,
    "sliding_window": 128,
    "head_dim": 64,
    "num_key_value_heads": 8,
    "swiglu_alpha": 1.702,
    "swiglu_limit": 7.0,
    "rope_parameters": {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
}

FAMILY = Family(
    name="gpt_oss",
    title="gpt-oss",
    ref=modeling("gpt_oss"),
    read=read,
    naming=tensors.Naming(blocks={s.MoE: tensors.fused_moe_parts()}),
    defaults={"gpt_oss": _DEFAULTS},
    config_class={"gpt_oss": "GptOssConfig"},
)
