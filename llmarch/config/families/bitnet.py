"""BitNet b1.58: Llama's blocks with a norm before each output projection, and squared ReLU."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    mixer = blocks.attention(c, output_norm=True, **blocks.attention_biases(c))
    return blocks.decoder(
        c,
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c, inner_norm=True)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="bitnet",
    title="BitNet",
    ref=modeling("bitnet"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "bitnet": {
            "attention_bias": False,
            "hidden_act": "relu2",
            "max_position_embeddings": 2048,
            "num_key_value_heads": 5,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"bitnet": "BitNetConfig"},
)
