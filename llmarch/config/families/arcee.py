"""Arcee (AFM 4.5B): Llama with an ungated MLP and squared ReLU."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    biases = blocks.attention_biases(c)
    mlp = blocks.dense(c, gated=False, bias=c.flag("mlp_bias"))
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, **biases)},
        ffns={"dense": mlp},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="arcee",
    title="Arcee",
    ref=modeling("arcee"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "arcee": {
            "hidden_act": "relu2",
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
        },
    },
    config_class={"arcee": "ArceeConfig"},
)
