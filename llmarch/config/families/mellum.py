"""Mellum 2 (JetBrains): GQA with QK-norm, windows with RoPE of their own, and MoE."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft, hard_coded
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.sliding_layers(c, lambda i: False, "no layer_types: every layer is full")
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    kinds = blocks.moe_layers(c, lambda i: True, derived(None, "every layer is MoE"))
    ffns = blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, kinds.value)
    modules = c.size("num_nextn_predict_layers", "num_mtp_layers", default=None, least=0)
    c.ignore("mtp_layer_types", "mtp_mlp_layer_types")
    mtp = blocks.mtp_of_unknown_layout(modules, "the layout of Mellum's MTP was not read")
    return blocks.decoder(
        c, mixers=mixers, ffns=ffns, mtp=mtp, **blocks.layer_wiring(layers, kinds)
    )


def _attention(c: ConfigKeys, layer_type: str, theta: float) -> Draft:
    """Read attention; each type of layer has a base of its own."""
    dim = blocks.read_head_dim(c)
    rotary = blocks.rotary_dim(c, dim)
    base = hard_coded(theta, c.defaults_ref)
    rope = blocks.rope(c, rotary, layer_type=layer_type, theta=base)
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, rope=rope, **blocks.attention_biases(c))


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window."""
    return _attention(c, "full_attention", 500000.0)


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    window = c.optional(c.size, "sliding_window")
    return _attention(c, "sliding_attention", 10000.0).replace(window=window)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    router = draft(s.Router, scoring="softmax", normalized=c.flag("norm_topk_prob"))
    return blocks.moe(c, router, experts=("num_local_experts", "num_experts"))


FAMILY = Family(
    name="mellum",
    title="Mellum",
    ref=modeling("mellum"),
    read=read,
    naming=tensors.Naming(),
    conversions={"mellum": tensors.EXPERT_CONVERSION},
    defaults={
        "mellum": {
            "attention_bias": False,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "norm_topk_prob": True,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "sliding_window": 1024,
            "tie_word_embeddings": False,
        },
    },
    config_class={"mellum": "MellumConfig"},
)
