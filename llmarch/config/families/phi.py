"""Phi 1, 1.5 and 2: attention and MLP in parallel after one LayerNorm, biases everywhere.

Half of each head is rotated, and the head of the model has a bias too.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = None
    if c.flag("qk_layernorm").value:
        norm = draft(s.QKNorm, norm_kind="layernorm", scope="head", bias=True)
    mixer = blocks.attention(c, qkv_bias=True, output_bias=True, qk_norm=norm)
    return blocks.decoder(
        c,
        head=draft(s.Head, bias=True),
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c, gated=False, bias=True)},
        **blocks.parallel_wiring(blocks.every_layer(c, "full"), "dense", "layer"),
    )


FAMILY = Family(
    name="phi",
    title="Phi",
    ref=modeling("phi"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.final_layernorm",
        norms=("input_layernorm",),
        blocks={
            s.Attention: tensors.split_attention_parts(
                o="dense", q_norm="q_layernorm", k_norm="k_layernorm"
            ),
            s.Dense: tensors.dense_parts(up="fc1", down="fc2"),
        },
    ),
    defaults={
        "phi": {
            "hidden_act": "gelu_new",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 2048,
            "partial_rotary_factor": 0.5,
            "qk_layernorm": False,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"phi": "PhiConfig"},
)
