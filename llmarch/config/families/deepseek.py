"""DeepSeek V2 to V3.2 and Kimi K2: multi-head latent attention, a dense prefix, then MoE with shared experts.

V2 routes by softmax; V3 by sigmoid with a per-expert bias for the choice. R1, V3.1 and Kimi K2 run V3's code with other sizes; V3.2 adds
the lightning indexer. The latents' norms have an eps of their own, not rms_norm_eps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import (
    ConfigKeys,
    Draft,
    Family,
    Sourced,
    derived,
    draft,
    modeling,
    same_evidence,
    unknown,
)

LATENT_EPS = 1e-6


def read(c: ConfigKeys) -> Draft:
    sparse, how = sparse_layers(c, c.layer_count().value)
    router = v2_router if c.model_type == "deepseek_v2" else v3_router
    parts = blocks.layer_wiring([("full", "moe" if s else "dense") for s in sparse], how)
    mtp = None if c.model_type == "deepseek_v2" else mtp_after(c, parts)
    c.expect("use_mla", True)
    return blocks.decoder(
        c, mixers={"full": mla(c)}, ffns=feed_forward(c, sparse, router), mtp=mtp, **parts
    )


def mla(c: ConfigKeys, **overrides: Any) -> Draft:
    """MLA with DeepSeek's eps and softmax scale, and with the indexer where the config has one."""
    interleaved = (
        c.flag("rope_interleave")
        if "rope_interleave" in c.defaults
        else c.expect("rope_interleave", True)
    )
    full = blocks.latent_attention(c, interleaved=interleaved, norm_eps=LATENT_EPS, **overrides)
    full = full.replace(scale=softmax_scale(c, full))
    # keys and values are one latent for all heads, whatever num_key_value_heads says; the class sets both dims itself
    c.ignore("num_key_value_heads", "head_dim", "qk_head_dim")
    if c.model_type == "deepseek_v32":
        c.ignore("layer_types")  # which cache a layer gets: every layer has the indexer
        full = full.replace(indexer=indexer(c, full["qk_rope_head_dim"], interleaved=False))
    return full


def indexer(c: ConfigKeys, rope_dim: Sourced, *, interleaved: bool | Sourced) -> Draft:
    dims = {
        "heads": c.size("index_n_heads"),
        "head_dim": c.size("index_head_dim"),
        "top_k": c.size("index_topk"),
    }
    return draft(s.Indexer, **dims, rope_dim=rope_dim, rope_interleaved=interleaved)


def softmax_scale(c: ConfigKeys, full: Draft) -> Sourced | None:
    """YaRN with mscale_all_dim m makes the softmax scale (0.1 m ln(factor) + 1)^2 / sqrt(qk head dim); else it is 1 / sqrt of it."""
    scaling = full["rope"]["scaling"] if full["rope"] else None
    if (
        scaling is None
        or "mscale_all_dim" not in scaling.fields
        or not scaling["mscale_all_dim"].value
    ):
        return None
    dim = full["qk_nope_head_dim"].value + full["qk_rope_head_dim"].value
    factor = scaling["factor"].value
    m = 0.1 * scaling["mscale_all_dim"].value * log(factor) + 1 if factor > 1 else 1.0
    return derived(
        round(m * m * dim**-0.5, 9), "(0.1 * mscale_all_dim * ln(factor) + 1)^2 / sqrt(qk head dim)"
    )


def sparse_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """Sparse where mlp_layer_types says so, or from layer `first_k_dense_replace` on, every `moe_layer_freq`-th."""
    keys = (c.key("first_k_dense_replace"), c.key("moe_layer_freq"))
    first = c.size("first_k_dense_replace", least=0).value
    every = c.size("moe_layer_freq", default=1).value
    types = c.items("mlp_layer_types", default=None, length=n, of=str)
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    return [i >= first and i % every == 0 for i in range(n)], derived(None, ", ".join(keys))


def feed_forward(
    c: ConfigKeys, sparse: list[bool], router: Callable[[ConfigKeys], Draft]
) -> dict[str, Draft]:
    c.expect("mlp_bias", False)
    return blocks.read_used_blocks(
        c,
        {"dense": blocks.dense, "moe": lambda c: moe(c, router(c))},
        ("moe" if s else "dense" for s in sparse),
    )


def moe(c: ConfigKeys, router: Draft) -> Draft:
    width = c.size("moe_intermediate_size")
    names = ("n_shared_experts", "num_shared_experts")
    key = next((k for k in names if k in c.data), names[0])
    given = c.size(*names, default=0, least=0) if key in c.data else c.size(*names, least=0)
    shared = same_evidence(given.value or 0, given)
    return draft(
        s.MoE,
        experts=c.size("n_routed_experts", "num_local_experts", "num_experts"),
        active=c.size("num_experts_per_tok", "num_experts_per_token"),
        expert_width=width,
        activation=blocks.activation(c),
        shared_experts=shared,
        shared_width=derived(
            shared.value * width.value, f"{c.key(key)} * {c.key('moe_intermediate_size')}"
        ),
        router=router,
    )


def v2_router(c: ConfigKeys) -> Draft:
    """Softmax; with group_limited_greedy only the groups with the best single scores stay. Never normalised, whatever norm_topk_prob."""
    method = c.word("topk_method")
    limited = method.value == "group_limited_greedy"
    groups, active = c.size("n_group", default=1), c.size("topk_group", default=1)
    c.expect("norm_topk_prob", False)
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "softmax"),
        selection_bias=same_evidence(False, method),
        groups=groups if limited else same_evidence(1, method),
        active_groups=active if limited else same_evidence(1, method),
        group_score=same_evidence("max", method) if limited else None,
        normalized=False,
        scale=c.number("routed_scaling_factor"),
    )


def v3_router(c: ConfigKeys) -> Draft:
    """Sigmoid, chosen with a bias; groups are ranked by the sum of their two best."""
    groups = c.size("n_group", "num_expert_group")
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.expect("topk_method", "noaux_tc", True),
        groups=groups,
        active_groups=c.size("topk_group"),
        group_score="top2_sum" if groups.value > 1 else None,
        normalized=c.flag("norm_topk_prob", "moe_renormalize"),
        scale=c.number("routed_scaling_factor"),
    )


def mtp_after(c: ConfigKeys, parts: dict[str, Any], copies: bool = True) -> Draft | Sourced:
    """The modules that the config announces, each a layer like the last one, with its own copies of embedding and head or without."""
    key = "num_nextn_predict_layers"
    modules = c.size(
        key, "num_mtp_layers", default=unknown(f"{c.file} has no {key}: tensors must tell"), least=0
    )
    if not modules.value:
        return same_evidence(None, modules)
    return draft(
        s.MTP,
        modules=modules,
        layer_kind=parts["layers"].value[-1],
        norms=3,
        own_embedding=copies,
        own_head=copies,
    )


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    """One module, with or without copies of embedding and head: repositories of the same model differ. V2 has none."""
    if a.model_type == "deepseek_v2":
        return
    for copies in (True, False):
        yield s.MTP(
            modules=1, layer_kind=a.layers[-1], norms=3, own_embedding=copies, own_head=copies
        )


V3 = {
    "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
    "max_position_embeddings": 4096, "rope_interleave": True, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "first_k_dense_replace": 3, "n_shared_experts": 1, "n_group": 8, "topk_group": 4,
    "norm_topk_prob": True, "routed_scaling_factor": 2.5,
}  # fmt: skip
V32 = {k: v for k, v in V3.items() if k != "rope_interleave"} | {
    "max_position_embeddings": 163840, "index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048,
}  # fmt: skip
V2 = {
    "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
    "max_position_embeddings": 2048, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "first_k_dense_replace": 0, "n_shared_experts": 2, "topk_method": "greedy", "routed_scaling_factor": 1.0,
}  # fmt: skip

FAMILY = Family(
    name="deepseek",
    title="DeepSeek",
    ref=modeling("deepseek_v3"),
    refs={"deepseek_v2": modeling("deepseek_v2"), "deepseek_v32": modeling("deepseek_v32")},
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    defaults={"deepseek_v2": V2, "deepseek_v3": V3, "deepseek_v32": V32, "kimi_k2": V3},
    config_class={
        "deepseek_v2": "DeepseekV2Config",
        "deepseek_v3": "DeepseekV3Config",
        "deepseek_v32": "DeepseekV32Config",
        "kimi_k2": "DeepseekV3Config",
    },
    mtp_layouts=mtp_layouts,
)
