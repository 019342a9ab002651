"""GLM-4.5, 4.6, 4.7 and Air: GQA, a dense prefix, then DeepSeek V3's MoE.

Attention has biases on q, k and v, and half of each head is rotated.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.moe_after_dense_prefix(c)
    wiring = blocks.layer_wiring("full", layers)
    last = blocks.last_kind(wiring)
    normed = c.flag("use_qk_norm")
    full = blocks.attention(
        c,
        qkv_bias=c.flag("attention_bias"),
        output_bias=False,
        qk_norm=draft(s.QKNorm, scope="head") if normed.value else same_evidence(None, normed),
    )
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns=blocks.deepseek_ffns(c, layers, blocks.sigmoid_router),
        mtp=blocks.mtp(c, last, blocks.mtp_code("glm4_moe"), own_embedding=True, own_head=True),
        **wiring,
    )


FAMILY = Family(
    name="glm4_moe",
    title="GLM-4.5",
    ref=modeling("glm4_moe"),
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    conversions={"glm4_moe": tensors.EXPERT_CONVERSION},
    defaults={
        "glm4_moe": {
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "partial_rotary_factor": 0.5,
            "use_qk_norm": False,
            "first_k_dense_replace": 1,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.0,
        },
    },
    config_class={"glm4_moe": "Glm4MoeConfig"},
    mtp_layouts=blocks.mtp_with_or_without_copies,
)
