"""Jais 2: LayerNorm, biases everywhere, an ungated MLP with squared ReLU."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    biases = blocks.attention_biases(c)
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": blocks.attention(c, **biases)},
        ffns={"dense": blocks.dense(c, gated=False, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="jais2",
    title="Jais 2",
    ref=modeling("jais2"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "jais2": {
            "attention_bias": True,
            "hidden_act": "relu2",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 8192,
            "mlp_bias": True,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"jais2": "Jais2Config"},
)
