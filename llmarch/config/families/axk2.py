"""A.X K2: DeepSeek V3.2's sparse MLA with an output gate, and norms with gates of low rank.

Queries and gate come from one matrix over the query latent before and after its norm. Gates are on
the norm before attention, and on that before a MoE.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    ffns = blocks.moe_after_dense_prefix(c)
    c.ignore("layer_types")  # which cache a layer gets
    latent = blocks.latent_attention(c, q_lora_rank=c.size("q_lora_rank"), gate="from_queries")
    indexer = blocks.lightning_indexer(c, latent["qk_rope_head_dim"], interleaved=True)
    norm = blocks.rms_norm(c)
    gated = norm.replace(gate_rank=c.size("gated_norm_rank"))

    def step(block: str) -> Draft:
        if block == "ffns.dense":
            return blocks.pre_norm_step(block)
        return blocks.pre_norm_step(block, "gated")

    return blocks.decoder(
        c,
        norms={"rms": norm, "gated": gated},
        mixers={"full": latent.replace(indexer=indexer)},
        ffns=blocks.deepseek_ffns(c, ffns, _router),
        **blocks.layer_wiring("full", ffns, step),
    )


def _router(c: ConfigKeys) -> Draft:
    """Read the router, which has groups of experts only if the config has.

    Raises ConfigError for a config that has one of the two keys alone.
    """
    keys = ("n_group", "topk_group")
    absent, chosen = (c.optional(c.size, key) for key in keys)
    if (absent.value is None) != (chosen.value is None):
        raise ConfigError(f"{c.file}: {' and '.join(map(c.key, keys))} need each other")
    if absent.value is not None:
        return blocks.sigmoid_router(c)
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.expect("topk_method", "noaux_tc", True),
        groups=same_evidence(1, absent),
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )


FAMILY = Family(
    name="axk2",
    title="A.X K2",
    ref=modeling("axk2"),
    read=read,
    naming=tensors.Naming(),
    conversions={
        "axk2": tensors.Conversion(
            renames=(
                tensors.Rename(r"W_down", "mlp.fc1"),
                tensors.Rename(r"W_up", "mlp.fc2"),
                tensors.Rename(r"self_attn\.q_b_proj\.", "self_attn.q_gate_proj."),
            ),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "axk2": {
            "attention_bias": False,
            "first_k_dense_replace": 1,
            "gated_norm_rank": 16,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "index_head_dim": 128,
            "index_n_heads": 16,
            "index_topk": 2048,
            "intermediate_size": 5120,
            "kv_lora_rank": 128,
            "max_position_embeddings": 131072,
            "moe_intermediate_size": 512,
            "n_group": None,
            "n_routed_experts": 128,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_attention_heads": 32,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 48,
            "q_lora_rank": 384,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 2.5,
            "tie_word_embeddings": False,
            "topk_group": None,
            "v_head_dim": 64,
            "vocab_size": 163840,
        },
    },
    config_class={"axk2": "AXK2Config"},
)
