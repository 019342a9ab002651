"""Mistral Large 3 and Small 4: DeepSeek V3's blocks with a softmax router, and scaled queries.

Queries are scaled by position. Large 3 is published in Mistral's native format only
(config/mistral_native.py); transformers has this class for both.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.moe_after_dense_prefix(c)
    latent = blocks.latent_attention(c, query_scaling=blocks.query_scaling(c))
    return blocks.decoder(
        c,
        mixers={"full": latent},
        ffns=blocks.deepseek_ffns(c, layers, _router),
        **blocks.layer_wiring("full", layers),
    )


def _router(c: ConfigKeys) -> Draft:
    """Read a softmax router without a bias for the choice; groups are ranked as in DeepSeek V3."""
    groups = c.size("n_group")
    return draft(
        s.Router,
        scoring="softmax",
        selection_bias=False,
        groups=groups,
        active_groups=c.size("topk_group"),
        group_score=blocks.best_two(groups),
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )


_DEFAULTS: dict[str, Any] = {
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "attention_bias": False,
    "max_position_embeddings": 1048576,
    "rope_interleave": True,
    "q_lora_rank": 1024,
    "kv_lora_rank": 256,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 0,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.0,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 128.0,
        "original_max_position_embeddings": 8192,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": 0.1,
    },
}


FAMILY = Family(
    name="mistral4",
    title="Mistral Large 3",
    ref=modeling("mistral4"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.MoE: tensors.fused_moe_parts(
                router="gate", shared="shared_experts", outputs_first=True
            )
        }
    ),
    conversions={"mistral4": tensors.Conversion(native=True)},
    defaults={"mistral4": _DEFAULTS},
    config_class={"mistral4": "Mistral4Config"},
)
