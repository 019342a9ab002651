"""Apertus: GQA with QK-norm, and an ungated MLP with xIELU, whose slopes are learned."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = draft(s.QKNorm, scope="head")
    activation = blocks.activation_name(c)
    numbers = 0
    if activation.value == "xielu":
        numbers = 4
    mlp = blocks.dense(c, gated=False, activation=activation, activation_numbers=numbers)
    c.expect("qk_norm", True)
    c.expect("post_norm", False)
    c.expect("mlp_bias", False)
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, qk_norm=norm, **blocks.attention_biases(c))},
        ffns={"dense": mlp},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="apertus",
    title="Apertus",
    ref=modeling("apertus"),
    read=read,
    naming=tensors.Naming(norms=("attention_layernorm", "feedforward_layernorm")),
    defaults={
        "apertus": {
            "attention_bias": False,
            "hidden_act": "xielu",
            "max_position_embeddings": 65536,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_theta": 12000000.0,
                "rope_type": "llama3",
            },
            "tie_word_embeddings": False,
        },
    },
    config_class={"apertus": "ApertusConfig"},
)
