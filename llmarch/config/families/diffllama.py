"""DiffLlama: Llama with differential attention."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("lambda_std_dev")
    mixer = blocks.attention(c, differential=True, **blocks.attention_biases(c))
    return blocks.decoder(
        c,
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="diffllama",
    title="DiffLlama",
    ref=modeling("diffllama"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "diffllama": {
            "attention_bias": False,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"diffllama": "DiffLlamaConfig"},
)
