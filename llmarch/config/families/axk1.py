"""A.X K1: DeepSeek V3's blocks, with a norm on the output of each MoE."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.moe_after_dense_prefix(c)

    def step(block: str) -> Draft:
        if block == "ffns.moe":
            return blocks.sandwich_step(block)
        return blocks.pre_norm_step(block)

    return blocks.decoder(
        c,
        mixers={"full": blocks.latent_attention(c)},
        ffns=blocks.deepseek_ffns(c, layers, blocks.sigmoid_router),
        **blocks.layer_wiring("full", layers, step),
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names; layers with a MoE have a third norm."""
    third = (*tensors.PRE_NORMS, "post_mlp_layernorm")
    sparse = {kind for kind in a.layers if any(isinstance(b, s.MoE) for b in a.blocks_of(kind))}
    return tensors.Naming(kind_norms=dict.fromkeys(sparse, third))


FAMILY = Family(
    name="axk1",
    title="A.X K1",
    ref=modeling("axk1"),
    read=read,
    naming=_naming,
    conversions={
        "axk1": tensors.Conversion(
            renames=(tensors.Rename(r"post_mlp_layernorm", "mlp.post_mlp_layernorm"),),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "axk1": {
            "attention_bias": False,
            "first_k_dense_replace": 1,
            "hidden_act": "silu",
            "kv_lora_rank": 512,
            "max_position_embeddings": 32768,
            "moe_intermediate_size": 2048,
            "n_group": 8,
            "n_routed_experts": 192,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_experts_per_tok": 8,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-6,
            "rope_interleave": True,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 2.5,
            "tie_word_embeddings": False,
            "topk_group": 4,
            "v_head_dim": 128,
        },
    },
    config_class={"axk1": "AXK1Config"},
)
