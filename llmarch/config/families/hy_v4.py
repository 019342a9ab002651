"""Hy4: sparse MLA with an output gate and sinks, four residual streams that are not mixed.

Three of four layers read the choice of tokens that an earlier layer's indexer made.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    attention = _attention_layers(c)
    ffns = blocks.moe_layers(c, lambda i: i > 0, derived(None, "every layer but the first is MoE"))
    c.ignore("layer_types", "learnable_sink_init")  # which cache a layer gets; training
    rope_dim = c.size("qk_rope_head_dim")
    latent = blocks.latent_attention(
        c,
        obeys_kv_heads=False,
        q_lora_rank=c.size("q_lora_rank"),
        gate="elementwise",
        sinks=True,
        rope=blocks.rope(c, rope_dim, interleaved=False),
    )
    indexer = blocks.lightning_indexer(c, rope_dim, interleaved=False)
    mixers = {
        "full": latent.replace(indexer=indexer),
        "full_shared": latent.replace(index_from="full"),
    }
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, attention),
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        residual=draft(
            s.Residual,
            kind="hyper",
            streams=c.size("hc_mult"),
            eps=c.number("hc_eps"),
            mixing=False,
            write_scale=c.number("hc_magnitude"),
        ),
        **blocks.layer_wiring(attention, ffns),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers have an indexer: the first two, and each fourth after the second."""
    names = {"full": "full", "shared": "full_shared"}
    listed = blocks.listed_layers(c, names, "indexer_types")
    if listed.value is not None:
        return listed
    reason = "an indexer on layer 0 and on every 4th from layer 1"
    return blocks.pattern_of(
        c,
        lambda i: "full" if i == 0 or (i - 1) % 4 == 0 else "full_shared",
        derived(None, reason),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE; the routed experts alone are clamped."""
    limit = c.optional(c.number, "swiglu_limit")
    if limit.value is not None and limit.value <= 0:
        limit = same_evidence(None, limit)
    return blocks.deepseek_moe(c, blocks.sigmoid_router(c)).replace(clamp=limit)


FAMILY = Family(
    name="hy_v4",
    title="Hy4",
    ref=modeling("hy_v4"),
    read=read,
    naming=tensors.Naming(
        hyper=(
            "hc_pre.hc_attn_layer.hc_",
            "hc_pre.hc_mlp_layer.hc_",
            "model.hc_pre.hc_head.hc_head_",
        ),
        blocks={
            s.LatentAttention: tensors.latent_parts(
                gate="linear_gate", sinks="learnable_sink_param"
            ),
            s.Dense: tensors.dense_parts(gate="linear_gate"),
            s.MoE: tensors.fused_moe_parts(
                router="gate",
                shared=tensors.dense_parts("mlp.shared_experts", gate="linear_gate"),
                outputs_first=True,
            ),
        },
    ),
    conversions={
        "hy_v4": tensors.Conversion(
            renames=(
                tensors.Rename(r"\.hc_pre\.hc_", ".hc_"),
                tensors.Rename(r"\.learnable_sink_param", ".sinks"),
                tensors.Rename(r"\.linear_gate", ".gate_proj"),
                tensors.Rename(r"\.hc_attn_layer\.hc_", ".attn_hc."),
                tensors.Rename(r"\.hc_mlp_layer\.hc_", ".ffn_hc."),
                tensors.Rename(r"\.hc_head_", ".hc_"),
            )
        )
    },
    defaults={
        "hy_v4": {
            "attention_bias": False,
            "hc_eps": 1e-6,
            "hc_magnitude": 2.0,
            "hc_mult": 4,
            "hidden_act": "silu",
            "hidden_size": 2816,
            "index_head_dim": 128,
            "index_n_heads": 16,
            "index_topk": 2048,
            "intermediate_size": 6912,
            "kv_lora_rank": 512,
            "max_position_embeddings": 262144,
            "moe_intermediate_size": 768,
            "n_group": 1,
            "n_routed_experts": 256,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_attention_heads": 32,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 34,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 2.827,
            "swiglu_limit": 10.0,
            "tie_word_embeddings": False,
            "topk_group": 1,
            "v_head_dim": 256,
            "vocab_size": 120832,
        },
    },
    config_class={"hy_v4": "HYV4Config"},
)
