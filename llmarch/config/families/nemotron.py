"""Nemotron 3, Nemotron-4 and Minitron: LayerNorm with weight + 1, an ungated MLP with squared ReLU.

Half of each head is rotated.
"""

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
        norms={"layer": blocks.layer_norm(c, "norm_eps", offset=1)},
        final_norm="layer",
        mixers={"full": blocks.attention(c, **biases)},
        ffns={"dense": blocks.dense(c, gated=False, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="nemotron",
    title="Nemotron (dense)",
    ref=modeling("nemotron"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "nemotron": {
            "hidden_act": "relu2",
            "max_position_embeddings": 4096,
            "norm_eps": 1e-5,
            "partial_rotary_factor": 0.5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
        },
    },
    config_class={"nemotron": "NemotronConfig"},
)
