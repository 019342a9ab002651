"""DeepSeek V2 to V3.2 and Kimi K2: multi-head latent attention, a dense prefix, then MoE.

V2 routes by softmax; V3 by sigmoid with a bias on each expert's score for the choice. R1, V3.1 and
Kimi K2 run V3's code with other sizes. V3.2 adds the lightning indexer.
"""

from __future__ import annotations

from collections.abc import Iterable

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..findings import quoted, refused_by_transformers
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    version_2 = c.model_type == "deepseek_v2"
    if version_2:
        c.describe_only("mlp_bias", False, "weights")
    layers = blocks.moe_after_dense_prefix(c)
    router = v2_router if version_2 else blocks.sigmoid_router
    wiring = blocks.layer_wiring("full", layers)
    last = blocks.last_kind(wiring)
    c.expect("use_mla", True)
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns=blocks.deepseek_ffns(c, layers, router),
        mtp=None if version_2 else _mtp(c, last),
        **wiring,
    )


def _mtp(c: ConfigKeys, kind: str) -> Draft | Sourced:
    """Read the MTP modules, which are published with copies of embedding and head."""
    code = blocks.mtp_code("deepseek")
    return blocks.mtp(c, kind, code, own_embedding=True, own_head=True)


def _attention(c: ConfigKeys) -> Draft:
    """Read MLA, with V3.2's indexer on every layer."""
    latent = blocks.latent_attention(c)
    if c.model_type != "deepseek_v32":
        return latent
    c.ignore("layer_types")  # which cache a layer gets
    indexer = blocks.lightning_indexer(c, latent["qk_rope_head_dim"], interleaved=False)
    return latent.replace(indexer=indexer)


_V2_METHODS = ("greedy", "group_limited_greedy")
"""How V2's class chooses experts."""


def v2_router(c: ConfigKeys) -> Draft:
    """Read V2's router.

    With group_limited_greedy only the groups with the best single scores stay. The class never
    normalises the weights, whatever norm_topk_prob says.
    """
    method = c.word("topk_method")
    groups = c.size("n_group", default=1)
    active_groups = c.size("topk_group", default=1)
    group_score = same_evidence("max", method)
    if method.value not in _V2_METHODS:
        problem = f"is {quoted(method.value)}; greedy or group_limited_greedy is needed"
        refused_by_transformers(c, "topk_method", problem, method.value)
    if method.value != "group_limited_greedy":
        groups = active_groups = same_evidence(1, method)
        group_score = None
    c.expect("norm_topk_prob", False)
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "softmax"),
        selection_bias=same_evidence(False, method),
        groups=groups,
        active_groups=active_groups,
        group_score=group_score,
        normalized=False,
        scale=c.number("routed_scaling_factor"),
    )


def _mtp_layouts(a: s.Architecture) -> Iterable[s.MTP]:
    """Return the MTP layouts that checkpoints are published with; V2 has none."""
    return () if a.model_type == "deepseek_v2" else blocks.mtp_with_or_without_copies(a)


_V3 = {
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "attention_bias": False,
    "max_position_embeddings": 4096,
    "rope_interleave": True,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 3,
    "n_shared_experts": 1,
    "n_group": 8,
    "topk_group": 4,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
}
_V32 = {k: v for k, v in _V3.items() if k != "rope_interleave"} | {
    "max_position_embeddings": 163840,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 2048,
}
_V2 = {
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "attention_bias": False,
    "max_position_embeddings": 2048,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 0,
    "n_shared_experts": 2,
    "topk_method": "greedy",
    "routed_scaling_factor": 1.0,
}

FAMILY = Family(
    name="deepseek",
    title="DeepSeek",
    ref=modeling("deepseek_v3"),
    refs={"deepseek_v2": modeling("deepseek_v2"), "deepseek_v32": modeling("deepseek_v32")},
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    conversions=dict.fromkeys(
        ("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"), tensors.EXPERT_CONVERSION
    ),
    defaults={"deepseek_v2": _V2, "deepseek_v3": _V3, "deepseek_v32": _V32, "kimi_k2": _V3},
    config_class={
        "deepseek_v2": "DeepseekV2Config",
        "deepseek_v3": "DeepseekV3Config",
        "deepseek_v32": "DeepseekV32Config",
        "kimi_k2": "DeepseekV3Config",
    },
    mtp_layouts=_mtp_layouts,
)
