"""GLM-4.5, 4.6, 4.7 and Air: GQA with biases on q, k, v and half of each head rotated, a dense prefix, then DeepSeek V3's MoE."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling, same_evidence
from .deepseek import feed_forward, mtp_after, mtp_layouts, sparse_layers, v3_router


def read(c: ConfigKeys) -> Draft:
    sparse, how = sparse_layers(c, c.layer_count().value)
    parts = blocks.layer_wiring([("full", "moe" if s else "dense") for s in sparse], how)
    normed = c.flag("use_qk_norm")
    norm = draft(s.QKNorm, scope="head") if normed.value else same_evidence(None, normed)
    full = blocks.attention(c, qkv_bias=c.flag("attention_bias"), output_bias=False, qk_norm=norm)
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns=feed_forward(c, sparse, v3_router),
        mtp=mtp_after(c, parts),
        **parts,
    )


FAMILY = Family(
    name="glm4_moe",
    title="GLM-4.5",
    ref=modeling("glm4_moe"),
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    defaults={
        "glm4_moe": {
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 131072, "num_key_value_heads": 8, "partial_rotary_factor": 0.5, "use_qk_norm": False,
            "first_k_dense_replace": 1, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
            "routed_scaling_factor": 1.0,
        },
    },
    config_class={"glm4_moe": "Glm4MoeConfig"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
