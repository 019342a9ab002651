"""Mistral Large 3 and Small 4: DeepSeek V3's blocks with a softmax router, and queries scaled by position.

Large 3 is published in Mistral's native format only (native.py); transformers has this class for both.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling
from .deepseek import V3, feed_forward, mla, sparse_layers


def read(c: ConfigKeys) -> Draft:
    sparse, how = sparse_layers(c, c.layer_count().value)
    parts = blocks.layer_wiring([("full", "moe" if s else "dense") for s in sparse], how)
    full = mla(c, query_scaling=blocks.query_scaling(c))
    return blocks.decoder(c, mixers={"full": full}, ffns=feed_forward(c, sparse, router), **parts)


def router(c: ConfigKeys) -> Draft:
    """Softmax without a bias for the choice, so there are no router-bias tables; groups are ranked as in DeepSeek V3."""
    groups = c.size("n_group")
    return draft(
        s.Router,
        scoring="softmax",
        selection_bias=False,
        groups=groups,
        active_groups=c.size("topk_group"),
        group_score="top2_sum" if groups.value > 1 else None,
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )


DEFAULTS: dict[str, Any] = {k: v for k, v in V3.items() if k != "rope_theta"} | {
    "max_position_embeddings": 1048576, "q_lora_rank": 1024, "kv_lora_rank": 256, "qk_nope_head_dim": 64, "first_k_dense_replace": 0,
    "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0,
    "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 128.0, "original_max_position_embeddings": 8192, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
    },
}  # fmt: skip

FAMILY = Family(
    name="mistral4",
    title="Mistral Large 3",
    ref=modeling("mistral4"),
    read=read,
    naming=tensors.Naming(),
    defaults={"mistral4": DEFAULTS},
    config_class={"mistral4": "Mistral4Config"},
)
