"""Qwen3: GQA with an RMSNorm over each query and key head, pre-norm.

Dense (`qwen3`) or MoE without a shared expert (`qwen3_moe`).
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
    if c.model_type == "qwen3":
        return _dense_decoder(c)
    return _moe_decoder(c)


def _dense_decoder(c: ConfigKeys) -> Draft:
    """Read `qwen3`."""
    first = c.size("max_window_layers", least=0).value
    window = c.optional(c.size, "sliding_window", least=0)
    layers = blocks.optionally_sliding_layers(
        c,
        window,
        lambda i: i >= first,
        "sliding from layer max_window_layers on",
    )
    mixers = blocks.windowed(_attention(c), window)
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(layers, "dense"),
    )


def _moe_decoder(c: ConfigKeys) -> Draft:
    """Read `qwen3_moe`, whose class has one window for all layers."""
    window = c.optional(c.size, "sliding_window", least=0)
    c.ignore("max_window_layers")  # in the published files
    layers = blocks.optionally_sliding_layers(c, window, lambda i: True, "every layer slides")
    ffns = blocks.moe_on_every_step(c)
    full = _attention(c)
    mixers = blocks.windowed(full, window)
    readers = {"moe": _moe, "dense": blocks.dense}
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns=blocks.read_used_blocks(c, readers, ffns.value),
        **blocks.layer_wiring(layers, ffns),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm."""
    c.expect("qkv_bias", False)
    scope = c.expect("use_qk_norm", True, "head")
    norm = draft(s.QKNorm, scope=scope)
    biases = blocks.attention_biases(c)
    return blocks.attention(c, qk_norm=norm, **biases)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    normalized = c.flag("norm_topk_prob")
    return plain_moe(c, normalized)


def plain_moe(c: ConfigKeys, normalized: Any) -> Draft:
    """Read a MoE without a shared expert.

    normalized: whether the weights of the chosen experts are divided by their sum.
    """
    router = draft(
        s.Router,
        scoring="softmax",
        normalized=normalized,
    )
    shared_width = c.expect("shared_expert_intermediate_size", 0)
    return blocks.moe(c, router, shared_width=shared_width)


FAMILY = Family(
    name="qwen3",
    title="Qwen3",
    ref=modeling("qwen3"),
    refs={"qwen3_moe": modeling("qwen3_moe")},
    read=read,
    naming=tensors.Naming(linear_router=True),
    conversions={"qwen3_moe": tensors.EXPERT_CONVERSION},
    defaults={
        "qwen3": {
            "num_key_value_heads": 32,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "use_sliding_window": False,
            "sliding_window": 4096,
            "max_window_layers": 28,
        },
        "qwen3_moe": {
            "num_key_value_heads": 4,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "use_sliding_window": False,
            "sliding_window": 4096,
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
        },
    },
    config_class={"qwen3": "Qwen3Config", "qwen3_moe": "Qwen3MoeConfig"},
)
