"""Flint: GQA with QK-norm and sinks, RoPE on sliding layers alone, a MoE after two dense layers."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    last = c.layer_count().value - 1
    layers = blocks.sliding_layers(
        c,
        lambda i: i >= 2 and i % 4 != 1 and i != last,
        "full on the first two layers, every fourth and the last",
    )
    ffns = blocks.moe_on_every_step(c)
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        **blocks.layer_wiring(layers, ffns),
    )


def _full(c: ConfigKeys) -> Draft:
    """Read attention over everything, which has no RoPE."""
    return _attention(c, rope=None)


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    return _attention(c, window=c.size("sliding_window"))


def _attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read what both share."""
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, sinks=True, **blocks.attention_biases(c), **facts)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE and its shared expert."""
    router = draft(s.Router, scoring="sigmoid", normalized=c.flag("norm_topk_prob"))
    width = c.size("shared_expert_intermediate_size")
    return blocks.moe(c, router, shared_experts=1, shared_width=width)


FAMILY = Family(
    name="flint",
    title="Flint",
    ref=modeling("flint"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.Attention: tensors.split_attention_parts(sinks="softmax_offset"),
            s.MoE: tensors.moe_parts(shared="shared_expert"),
        }
    ),
    conversions={
        "flint": tensors.Conversion(
            renames=(tensors.Rename(r"self_attn\.softmax_offset", "self_attn.sinks"),),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "flint": {
            "attention_bias": False,
            "decoder_sparse_step": 1,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 262144,
            "mlp_only_layers": [0, 1],
            "moe_intermediate_size": 512,
            "norm_topk_prob": True,
            "num_experts": 256,
            "num_experts_per_tok": 6,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "shared_expert_intermediate_size": 1024,
            "sliding_window": 513,
            "tie_word_embeddings": False,
        },
    },
    config_class={"flint": "FlintConfig"},
)
