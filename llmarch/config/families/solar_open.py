"""Solar Open 100B: GQA, and DeepSeek V3's MoE on every layer."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("first_k_dense_replace", "intermediate_size", "moe_layer_freq")
    full = blocks.attention(c, qkv_bias=c.flag("attention_bias"))
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"moe": blocks.deepseek_moe(c, blocks.sigmoid_router(c))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "moe"),
    )


FAMILY = Family(
    name="solar_open",
    title="Solar Open",
    ref=modeling("solar_open"),
    read=read,
    naming=tensors.Naming(),
    conversions={"solar_open": tensors.EXPERT_CONVERSION},
    defaults={
        "solar_open": {
            "attention_bias": False,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "n_group": 1,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "routed_scaling_factor": 1.0,
            "tie_word_embeddings": False,
            "topk_group": 1,
        },
    },
    config_class={"solar_open": "SolarOpenConfig"},
)
