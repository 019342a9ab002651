"""GLM-4.7 Flash: multi-head latent attention, one dense layer, then DeepSeek V3's MoE."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft, derived
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    first = c.size("first_k_dense_replace", least=0, default=1).value
    source = derived(None, "first_k_dense_replace, or one dense layer")
    layers = blocks.moe_layers(c, lambda i: i >= first, source)
    wiring = blocks.layer_wiring("full", layers)
    last = blocks.last_kind(wiring)
    return blocks.decoder(
        c,
        mixers={"full": blocks.latent_attention(c)},
        ffns=blocks.deepseek_ffns(c, layers, blocks.sigmoid_router),
        mtp=blocks.mtp(c, last, blocks.mtp_code("glm4_moe"), own_embedding=True, own_head=True),
        **wiring,
    )


FAMILY = Family(
    name="glm4_moe_lite",
    title="GLM-4.7 Flash",
    ref=modeling("glm4_moe_lite"),
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    conversions={"glm4_moe_lite": tensors.EXPERT_CONVERSION},
    defaults={
        "glm4_moe_lite": {
            "attention_bias": False,
            "hidden_act": "silu",
            "kv_lora_rank": 512,
            "max_position_embeddings": 202752,
            "moe_intermediate_size": 1536,
            "n_group": 1,
            "n_routed_experts": 64,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_experts_per_tok": 4,
            "q_lora_rank": 768,
            "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-5,
            "rope_interleave": True,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 1.8,
            "tie_word_embeddings": False,
            "topk_group": 1,
            "v_head_dim": 256,
        },
    },
    config_class={"glm4_moe_lite": "Glm4MoeLiteConfig"},
    mtp_layouts=blocks.mtp_with_or_without_copies,
)
