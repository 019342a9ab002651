"""OLMoE: pre-norm MHA with QK-norm over the whole projections, and a MoE of small experts whose weights are not normalised."""

from __future__ import annotations

from ..vocabulary import Config, Family, MoE, Naming, Node, QKNorm, Router, activation, attention, decoder, make, modeling, wire


def read(c: Config) -> Node:
    layers, bias = c.layer_count(), c.flag("attention_bias")
    norm, clip = make(QKNorm, scope="projection"), c.or_null(c.number, "clip_qkv")
    full = attention(c, qk_norm=norm, qkv_bias=bias, output_bias=bias, clip=clip)
    moe = make(
        MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        activation=activation(c),
        router=make(Router, scoring="softmax", normalized=c.flag("norm_topk_prob")),
    )
    return decoder(c, mixers={"full": full}, ffns={"moe": moe}, **wire([("full", "moe")] * layers.value, layers))


FAMILY = Family(
    name="olmoe",
    title="OLMoE",
    ref=modeling("olmoe"),
    read=read,
    naming=Naming(),
    defaults={
        "olmoe": {
            "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "attention_bias": False, "clip_qkv": None, "num_experts_per_tok": 8, "num_experts": 64,
            "norm_topk_prob": False,
        },
    },
    config_class={"olmoe": "OlmoeConfig"},
)  # fmt: skip
