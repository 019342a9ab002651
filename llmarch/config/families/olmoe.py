"""OLMoE and FlexOlmo: QK-norm over the whole projections, and a MoE on every layer.

FlexOlmo norms the output of each block, as OLMo 2 does, instead of its input.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = draft(s.QKNorm, scope="projection")
    clip = c.number("clip_qkv", default=None)
    biases = blocks.attention_biases(c)
    full = blocks.attention(c, qk_norm=norm, clip=clip, **biases)

    normalized = c.flag("norm_topk_prob")
    router = draft(s.Router, scoring="softmax", normalized=normalized)
    moe = blocks.moe(c, router, width="intermediate_size")

    step = blocks.pre_norm_step
    if c.model_type == "flex_olmo":
        step = blocks.post_norm_step
    layers = blocks.every_layer(c, "full")
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"moe": moe},
        **blocks.layer_wiring(layers, "moe", step),
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    if a.model_type == "flex_olmo":
        return tensors.Naming(norms=tensors.POST_NORMS)
    return tensors.Naming()


FAMILY = Family(
    name="olmoe",
    title="OLMoE",
    ref=modeling("olmoe"),
    read=read,
    naming=_naming,
    refs={"flex_olmo": modeling("flex_olmo")},
    conversions=dict.fromkeys(("olmoe", "flex_olmo"), tensors.EXPERT_CONVERSION),
    defaults={
        "olmoe": {
            "hidden_act": "silu",
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "clip_qkv": None,
            "num_experts_per_tok": 8,
            "num_experts": 64,
            "norm_topk_prob": False,
        },
        "flex_olmo": {
            "attention_bias": False,
            "hidden_act": "silu",
            "max_position_embeddings": 4096,
            "norm_topk_prob": False,
            "num_experts": 7,
            "num_experts_per_tok": 5,
            "rms_norm_eps": 1e-6,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"olmoe": "OlmoeConfig", "flex_olmo": "FlexOlmoConfig"},
)
