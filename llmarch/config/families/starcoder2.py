"""StarCoder 2: LayerNorm, an ungated MLP, biases everywhere, and a window in all layers or none."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling

_NOT_IN_CLASS = (
    "activation_function",
    "attention_softmax_in_fp32",
    "layer_norm_epsilon",
    "scale_attention_softmax_in_fp32",
    "scale_attn_weights",
)
"""Keys of published configs of StarCoder, which StarCoder 2's class does not look for."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore(*_NOT_IN_CLASS)
    c.expect("mlp_type", "default")
    c.expect("norm_type", "layer_norm")
    bias = c.flag("use_bias")
    window = c.optional(c.size, "sliding_window")
    name = "sliding"
    if window.value is None:
        name = "full"
    mixer = blocks.attention(c, qkv_bias=bias, output_bias=bias, window=window)
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "norm_epsilon")},
        final_norm="layer",
        mixers={name: mixer},
        ffns={"dense": blocks.dense(c, gated=False, bias=bias)},
        **blocks.layer_wiring(blocks.every_layer(c, name), "dense", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="starcoder2",
    title="StarCoder 2",
    ref=modeling("starcoder2"),
    read=read,
    naming=tensors.Naming(
        blocks={s.Dense: tensors.dense_parts(up="c_fc", down="c_proj")},
    ),
    defaults={
        "starcoder2": {
            "hidden_act": "gelu_pytorch_tanh",
            "max_position_embeddings": 4096,
            "norm_epsilon": 1e-5,
            "num_key_value_heads": 2,
            "rope_theta": 10000.0,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "use_bias": True,
        },
    },
    config_class={"starcoder2": "Starcoder2Config"},
)
