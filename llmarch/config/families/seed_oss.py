"""Seed-OSS: Llama's blocks with a head dim of its own, and biases on q, k and v but not on o."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("residual_dropout")
    bias = c.flag("attention_bias")
    full = blocks.attention(c, qkv_bias=bias, output_bias=c.flag("attention_out_bias"))
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="seed_oss",
    title="Seed-OSS",
    ref=modeling("seed_oss"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "seed_oss": {
            "num_key_value_heads": 8,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 524288,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": True,
            "attention_out_bias": False,
            "mlp_bias": False,
        },
    },
    config_class={"seed_oss": "SeedOssConfig"},
)
