"""OLMo 2 and 3: norms on each block's output but inside the residual, QK-norm over the projection.

OLMo 3 adds sliding layers.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "olmo2":
        layers = blocks.every_layer(c, "full")
        mixers = {"full": attention(c)}
    else:
        reason = "every fourth layer is full, the others slide"
        layers = blocks.sliding_layers(c, lambda i: (i + 1) % 4 != 0, reason)
        mixers = blocks.used({"full": full(c), "sliding": sliding(c)}, layers)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(layers, "dense", blocks.post_norm_step),
    )


def attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read attention with QK-norm over the whole projections."""
    norm = draft(s.QKNorm, scope="projection")
    biases = blocks.attention_biases(c)
    return blocks.attention(
        c,
        qk_norm=norm,
        **biases,
        **facts,
    )


def full(c: ConfigKeys) -> Draft:
    """Read the attention of OLMo 3's full layers."""
    dim = blocks.read_head_dim(c)
    rotary = blocks.rotary_dim(c, dim)
    rope = blocks.rope(c, rotary, layer_type="full_attention")
    return attention(c, rope=rope)


def sliding(c: ConfigKeys) -> Draft:
    """Read the attention of OLMo 3's sliding layers, whose RoPE is not scaled."""
    dim = blocks.read_head_dim(c)
    rotary = blocks.rotary_dim(c, dim)
    rope = blocks.rope(
        c,
        rotary,
        layer_type="sliding_attention",
        scaled=False,
    )
    window = c.optional(c.size, "sliding_window")
    return attention(c, window=window, rope=rope)


FAMILY = Family(
    name="olmo",
    title="OLMo",
    ref=modeling("olmo2"),
    refs={"olmo3": modeling("olmo3")},
    read=read,
    naming=tensors.Naming(norms=tensors.POST_NORMS),
    defaults={
        "olmo2": {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
        },
        "olmo3": {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "sliding_window": 4096,
        },
    },
    config_class={"olmo2": "Olmo2Config", "olmo3": "Olmo3Config"},
)
