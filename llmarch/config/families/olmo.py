"""OLMo 1 to 3: from 2 on norms on each block's output inside the residual, and QK-norm.

QK-norm is over the whole projection. OLMo 3 adds sliding layers. OLMo 1 has LayerNorm without
weights before each block.
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
    if c.model_type == "olmo":
        return _olmo_1(c)
    if c.model_type == "olmo2":
        layers = blocks.every_layer(c, "full")
        mixers = {"full": _attention(c)}
    else:
        reason = "every fourth layer is full, the others slide"
        layers = blocks.sliding_layers(c, lambda i: (i + 1) % 4 != 0, reason)
        mixers = blocks.used({"full": _full(c), "sliding": _sliding(c)}, layers)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(layers, "dense", blocks.post_norm_step),
    )


def _olmo_1(c: ConfigKeys) -> Draft:
    """Read OLMo 1, whose eps is written in the code."""
    norm = draft(s.Norm, kind="layernorm", eps=1e-5, weight=False)
    clip = c.optional(c.number, "clip_qkv")
    full = blocks.attention(c, clip=clip, **blocks.attention_biases(c))
    return blocks.decoder(
        c,
        norms={"layer": norm},
        final_norm="layer",
        mixers={"full": full},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", blocks.layer_norm_step),
    )


def _attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read attention with QK-norm over the whole projections."""
    norm = draft(s.QKNorm, scope="projection")
    biases = blocks.attention_biases(c)
    return blocks.attention(
        c,
        qk_norm=norm,
        **biases,
        **facts,
    )


def _full(c: ConfigKeys) -> Draft:
    """Read the attention of OLMo 3's full layers."""
    dim = blocks.read_head_dim(c)
    rotary = blocks.rotary_dim(c, dim)
    rope = blocks.rope(c, rotary, layer_type="full_attention")
    return _attention(c, rope=rope)


def _sliding(c: ConfigKeys) -> Draft:
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
    return _attention(c, window=window, rope=rope)


FAMILY = Family(
    name="olmo",
    title="OLMo",
    ref=modeling("olmo2"),
    refs={"olmo": modeling("olmo"), "olmo3": modeling("olmo3")},
    read=read,
    naming=tensors.Naming(norms=tensors.POST_NORMS),
    defaults={
        "olmo": {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "clip_qkv": None,
        },
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
    config_class={"olmo": "OlmoConfig", "olmo2": "Olmo2Config", "olmo3": "Olmo3Config"},
)
