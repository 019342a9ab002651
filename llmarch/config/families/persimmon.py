"""Persimmon (Adept): LayerNorm with biases, QK-norm as LayerNorm, an ungated MLP, half RoPE."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = None
    if c.flag("qk_layernorm").value:
        norm = draft(s.QKNorm, norm_kind="layernorm", scope="head", bias=True)
    heads = c.size("num_attention_heads")
    mixer = blocks.attention(c, kv_heads=heads, qkv_bias=True, output_bias=True, qk_norm=norm)
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c, gated=False, bias=True)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="persimmon",
    title="Persimmon",
    ref=modeling("persimmon"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.final_layernorm",
        blocks={
            s.Attention: tensors.fused_attention_parts(
                qkv="query_key_value", o="dense", q_norm="q_layernorm", k_norm="k_layernorm"
            ),
            s.Dense: tensors.dense_parts(up="dense_h_to_4h", down="dense_4h_to_h"),
        },
    ),
    defaults={
        "persimmon": {
            "hidden_act": "relu2",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 16384,
            "partial_rotary_factor": 0.5,
            "qk_layernorm": True,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"persimmon": "PersimmonConfig"},
)
