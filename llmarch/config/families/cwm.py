"""Code World Model (Meta): Llama 3 with windows in three of four layers."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    reason = "every fourth layer is full from the first on, the others slide"
    layers = blocks.sliding_layers(c, lambda i: i % 4 != 0, reason)
    window = c.optional(c.size, "sliding_window")
    mixers = blocks.windowed(blocks.attention(c), window)
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(layers, "dense"),
    )


FAMILY = Family(
    name="cwm",
    title="Code World Model",
    ref=modeling("cwm"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "cwm": {
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "mlp_bias": False,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "rope_theta": 1000000.0,
                "factor": 16.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            "sliding_window": 8192,
            "tie_word_embeddings": False,
        },
    },
    config_class={"cwm": "CwmConfig"},
)
