"""Trinity (AFMoE): sliding layers with RoPE, every fourth full and without positions; gated attention, norms before and after each block,
a dense prefix, then MoE with a shared expert; muP scales the embedding."""

from __future__ import annotations

from collections.abc import Callable

from ..vocabulary import (
    Attention,
    Config,
    Embedding,
    Fact,
    Family,
    MoE,
    Naming,
    Node,
    QKNorm,
    Router,
    activation,
    attention,
    attention_parts,
    decoder,
    dense,
    derived,
    like,
    make,
    modeling,
    moe_parts,
    sandwich,
    sliding_layers,
    used,
    wire,
)
from .kimi_linear import both


def read(c: Config) -> Node:
    n, every = c.layer_count().value, c.size("global_attn_every_n_layers")
    how_full = f"{every.evidence.ref}: every {every.value}th layer is full"
    of, how = sliding_layers(c, n, lambda i: (i + 1) % every.value != 0, how_full)
    first = c.size("num_dense_layers", least=0)
    pairs = [(m, "moe" if i >= first.value else "dense") for i, m in enumerate(of)]
    bias = c.flag("attention_bias")
    mixer = attention(c, qk_norm=make(QKNorm, scope="head"), qkv_bias=bias, output_bias=bias, gate="elementwise")
    blocks: dict[str, Callable[[Config], Node]] = {
        "full": lambda _: mixer.but(rope=None),
        "sliding": lambda c: mixer.but(window=c.size("sliding_window")),
    }
    c.ignore("use_grouped_mm", "load_balance_coeff", "attention_bias")  # kernels; training
    return decoder(
        c,
        mixers=used(c, blocks, of),
        ffns=used(c, {"dense": dense, "moe": moe}, (f for _, f in pairs)),
        embedding=make(Embedding, tied=c.flag("tie_word_embeddings"), scale=mup(c)),
        **wire(pairs, both(how, first), sandwich),
    )


def mup(c: Config) -> Fact:
    on = c.flag("mup_enabled")
    return derived(c.size("hidden_size").value ** 0.5, f"sqrt(hidden_size), as {on.evidence.ref} says") if on.value else like(None, on)


def moe(c: Config) -> Node:
    """The published configs name groups of experts, one and all of it; the class knows none, and always normalises."""
    for key in ("n_group", "topk_group", "num_expert_groups", "num_limited_groups"):
        c.stated(key, 1)
    width, shared = c.size("moe_intermediate_size"), c.size("num_shared_experts", least=0)
    router = make(
        Router,
        scoring=c.stated("score_func", "sigmoid"),
        selection_bias=True,
        normalized=c.stated("route_norm", True),
        scale=c.number("route_scale"),
    )
    return make(
        MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=activation(c),
        shared_experts=shared,
        shared_width=derived(shared.value * width.value, f"{c.key('num_shared_experts')} * {c.key('moe_intermediate_size')}"),
        router=router,
    )


FAMILY = Family(
    name="afmoe",
    title="Trinity",
    ref=modeling("afmoe"),
    read=read,
    naming=Naming(
        norms=("input_layernorm", "post_attention_layernorm", "pre_mlp_layernorm", "post_mlp_layernorm"),
        blocks={Attention: attention_parts(gate="gate_proj"), MoE: moe_parts(router="router.gate", selection_bias="expert_bias")},
    ),
    defaults={
        "afmoe": {
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 16384, "head_dim": 128, "num_dense_layers": 1, "num_experts": 64, "num_experts_per_tok": 6,
            "num_shared_experts": 2, "route_scale": 1.0, "global_attn_every_n_layers": 4, "sliding_window": 1024, "mup_enabled": False,
        },
    },
    config_class={"afmoe": "AfmoeConfig"},
)  # fmt: skip
