"""DeepSeek V3 and its line: multi-head latent attention, a dense prefix, then MoE with shared experts and a sigmoid router.

R1, V3.1 and Kimi K2 run the same code with other sizes.
"""

from __future__ import annotations

from ..family import MTP, Config, Fact, Family, LatentAttention, MoE, Naming, Node, Router, decoder, dense, derived, latent_attention, make, mtp_as_layers, wire


def read(c: Config) -> Node:
    n = c.layer_count().value
    full = latent_attention(c)
    full = full.but(scale=softmax_scale(c, full))
    sparse, how = sparse_layers(c, n)
    ffns: dict[str, Node] = {}
    if not all(sparse):
        ffns["dense"] = dense(c)
    if any(sparse):
        ffns["moe"] = moe(c)
    layers = [("full", "moe" if s else "dense") for s in sparse]
    parts = wire(layers, how)
    c.ignore("num_key_value_heads", "head_dim")
    modules = c.size("num_nextn_predict_layers", default=0, least=0)
    mtp = make(MTP, modules=modules, layer_kind=parts["layers"].value[-1], norms=3, own_embedding=True, own_head=True) if modules.value else None
    return decoder(c, mixers={"full": full}, ffns=ffns, mtp=mtp, **parts)


def moe(c: Config) -> Node:
    groups = c.size("n_group", default=1)
    shared = c.size("n_shared_experts", default=0, least=0)
    width = c.size("moe_intermediate_size")
    c.ignore("topk_method", "scoring_func")
    router = make(
        Router,
        scoring="sigmoid",
        selection_bias=True,
        groups=groups,
        active_groups=c.size("topk_group", default=1),
        group_score="top2_sum" if groups.value > 1 else None,
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )
    return make(
        MoE,
        experts=c.size("n_routed_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=c.word("hidden_act"),
        shared_experts=shared,
        shared_width=derived(shared.value * width.value, "n_shared_experts * moe_intermediate_size"),
        router=router,
    )


def sparse_layers(c: Config, n: int) -> tuple[list[bool], Fact]:
    """Dense for the first `first_k_dense_replace` layers, then every `moe_layer_freq`-th is sparse."""
    first = c.size("first_k_dense_replace", least=0).value
    every = c.size("moe_layer_freq", default=1).value
    return [i >= first and i % every == 0 for i in range(n)], derived(None, "first_k_dense_replace, moe_layer_freq")


def softmax_scale(c: Config, full: Node) -> Fact | None:
    """YaRN with mscale_all_dim m makes the softmax scale (0.1 m ln(factor) + 1)^2 / sqrt(qk head dim); else it is 1 / sqrt of it."""
    from math import log

    scaling = full["rope"]["scaling"]
    if scaling is None or "mscale_all_dim" not in scaling.fields or not scaling["mscale_all_dim"].value:
        return None
    dim = full["qk_nope_head_dim"].value + full["qk_rope_head_dim"].value
    m = 0.1 * scaling["mscale_all_dim"].value * log(scaling["factor"].value) + 1 if scaling["factor"].value > 1 else 1.0
    return derived(round(m * m * dim**-0.5, 9), "(0.1 * mscale_all_dim * ln(factor) + 1)^2 / sqrt(qk head dim)")


FAMILY = Family(
    name="deepseek",
    title="DeepSeek V3",
    ref="transformers 5.23.0 models/deepseek_v3/modeling_deepseek_v3.py",
    read=read,
    naming=Naming(mtp=mtp_as_layers),
    defaults={
        "deepseek_v3": {
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "q_lora_rank": 1536, "first_k_dense_replace": 3, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
        },
        "kimi_k2": {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "q_lora_rank": 1536, "first_k_dense_replace": 3, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
        },
    },
    config_class={"deepseek_v3": "DeepseekV3Config", "kimi_k2": "DeepseekV3Config"},
)  # fmt: skip
