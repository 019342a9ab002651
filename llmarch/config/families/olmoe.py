"""OLMoE: pre-norm MHA with QK-norm over the whole projections, and a MoE of small experts.

The weights of the chosen experts are not normalised.
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
    clip = c.optional(c.number, "clip_qkv")
    biases = blocks.attention_biases(c)
    full = blocks.attention(c, qk_norm=norm, clip=clip, **biases)

    normalized = c.flag("norm_topk_prob")
    router = draft(s.Router, scoring="softmax", normalized=normalized)
    moe = blocks.moe(c, router, width="intermediate_size")

    layers = blocks.every_layer(c, "full")
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"moe": moe},
        **blocks.layer_wiring(layers, "moe"),
    )


FAMILY = Family(
    name="olmoe",
    title="OLMoE",
    ref=modeling("olmoe"),
    read=read,
    naming=tensors.Naming(),
    conversions={"olmoe": tensors.EXPERT_CONVERSION},
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
    },
    config_class={"olmoe": "OlmoeConfig"},
)
