"""SmolLM3: Llama's blocks, tied, and every fourth layer without RoPE (NoPE)."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft, Sourced, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_NAMES = {
    ("full", True): "full",
    ("full", False): "nope",
    ("sliding", True): "sliding",
    ("sliding", False): "sliding_nope",
}
"""The mixer of a layer that is full or slides, with or without RoPE."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("max_window_layers")  # in the published file, read by nothing
    window = c.optional(c.size, "sliding_window")
    full = blocks.attention(c, **blocks.attention_biases(c))
    nope = full.replace(rope=None)
    mixers = {
        "full": full,
        "nope": nope,
        "sliding": full.replace(window=window),
        "sliding_nope": nope.replace(window=window),
    }
    layers = _attention_layers(c, window)
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(layers, "dense"),
    )


def _attention_layers(c: ConfigKeys, window: Sourced) -> Sourced:
    """Read the mixer of each layer.

    The class asks use_sliding_window again where layer_types says sliding.
    """
    enabled = c.flag("use_sliding_window").value
    slides = enabled and window.value is not None
    rotates = blocks.rope_layers(c)
    masks = blocks.sliding_layers(
        c,
        lambda i: slides and not rotates.value[i],
        "sliding without RoPE, if use_sliding_window",
    )

    if not slides:
        mixers = [_NAMES["full", rotated] for rotated in rotates.value]
        return same_evidence(mixers, rotates)

    pairs = zip(masks.value, rotates.value, strict=True)
    mixers = [_NAMES[pair] for pair in pairs]
    return same_evidence(mixers, masks)


FAMILY = Family(
    name="smollm3",
    title="SmolLM3",
    ref=modeling("smollm3"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "smollm3": {
            "num_key_value_heads": 4,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 2000000.0,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "use_sliding_window": False,
            "sliding_window": None,
            "no_rope_layer_interval": 4,
        },
    },
    config_class={"smollm3": "SmolLM3Config"},
)
