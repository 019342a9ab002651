"""Qwen2 (and 1.5, 2.5): Llama's blocks with biases on q, k and v.

Dense (`qwen2`) or MoE with a gated shared expert (`qwen2_moe`).
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
    c.expect("use_mrope", False)
    if c.model_type == "qwen2":
        return _dense_decoder(c)
    return _moe_decoder(c)


def _dense_decoder(c: ConfigKeys) -> Draft:
    """Read `qwen2`."""
    first = c.size("max_window_layers", least=0).value
    window = c.optional(c.size, "sliding_window", least=0)
    layers = blocks.optionally_sliding_layers(
        c,
        window,
        lambda i: i >= first,
        "sliding from layer max_window_layers on",
    )
    full = blocks.attention(c, qkv_bias=True)
    mixers = blocks.windowed(full, window)
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(layers, "dense"),
    )


def _moe_decoder(c: ConfigKeys) -> Draft:
    """Read `qwen2_moe`."""
    first = c.size("max_window_layers", least=0).value
    window = c.optional(c.size, "sliding_window", least=0)
    layers = blocks.optionally_sliding_layers(
        c,
        window,
        lambda i: i % 2 == 0 and i < first,
        "sliding on even layers below max_window_layers",
    )
    bias = c.flag("qkv_bias")
    full = blocks.attention(c, qkv_bias=bias)
    mixers = blocks.windowed(full, window)
    ffns = blocks.moe_on_every_step(c)
    readers = {"moe": shared_expert_moe, "dense": blocks.dense}
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns=blocks.read_used_blocks(c, readers, ffns.value),
        **blocks.layer_wiring(layers, ffns),
    )


def shared_expert_moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose shared expert has a gate."""
    normalized = c.flag("norm_topk_prob")
    return gated_moe(c, normalized)


def gated_moe(c: ConfigKeys, normalized: Any) -> Draft:
    """Read a MoE with a gated shared expert.

    normalized: whether the weights of the chosen experts are divided by their sum.
    """
    return blocks.moe(
        c,
        draft(s.Router, scoring="softmax", normalized=normalized),
        experts=("num_experts",),
        shared_experts=1,
        shared_width=c.size("shared_expert_intermediate_size"),
        shared_gate=True,
    )


_DENSE = {
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}

FAMILY = Family(
    name="qwen2",
    title="Qwen2",
    ref=modeling("qwen2"),
    refs={"qwen2_moe": modeling("qwen2_moe")},
    read=read,
    naming=tensors.Naming(blocks={s.MoE: tensors.moe_parts(shared="shared_expert")}),
    conversions={"qwen2_moe": tensors.EXPERT_CONVERSION},
    defaults={
        "qwen2": _DENSE,
        "qwen2_moe": _DENSE
        | {
            "num_key_value_heads": 16,
            "qkv_bias": True,
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
        },
    },
    config_class={"qwen2": "Qwen2Config", "qwen2_moe": "Qwen2MoeConfig"},
)
