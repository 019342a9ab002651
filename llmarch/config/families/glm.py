"""GLM-4 9B and GLM-4 0414: biases on queries, keys and values, half of each head rotated.

RoPE pairs neighbouring dims; gate and up projections are one matrix. The 0414 models also norm the
output of each block.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    step = blocks.pre_norm_step
    if c.model_type == "glm4":
        step = blocks.sandwich_step
    bias = c.flag("attention_bias")
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, interleaved=True, qkv_bias=bias)},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", step),
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names; the norms after blocks are those of the 0414 models."""
    norms = tensors.PRE_NORMS
    if a.model_type == "glm4":
        norms = (
            "input_layernorm",
            "post_self_attn_layernorm",
            "post_attention_layernorm",
            "post_mlp_layernorm",
        )
    return tensors.Naming(norms=norms, blocks={s.Dense: tensors.fused_dense_parts()})


_DEFAULTS = {
    "attention_bias": True,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "num_key_value_heads": 2,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1.5625e-07,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
FAMILY = Family(
    name="glm",
    title="GLM-4 (dense)",
    ref=modeling("glm"),
    refs={"glm4": modeling("glm4")},
    read=read,
    naming=_naming,
    defaults={"glm": _DEFAULTS, "glm4": _DEFAULTS},
    config_class={"glm": "GlmConfig", "glm4": "Glm4Config"},
)
