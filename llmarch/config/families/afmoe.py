"""Trinity (AFMoE): sliding layers with RoPE, every fourth full and without positions; gated attention, norms before and after each block,
a dense prefix, then MoE with a shared expert; muP scales the embedding."""

from __future__ import annotations

from collections.abc import Callable

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence
from .kimi_linear import both


def read(c: ConfigKeys) -> Draft:
    n, every = c.layer_count().value, c.size("global_attn_every_n_layers")
    how_full = f"{every.evidence.ref}: every {every.value}th layer is full"
    of, how = blocks.sliding_layers(c, n, lambda i: (i + 1) % every.value != 0, how_full)
    first = c.size("num_dense_layers", least=0)
    pairs = [(m, "moe" if i >= first.value else "dense") for i, m in enumerate(of)]
    bias = c.flag("attention_bias")
    mixer = blocks.attention(
        c,
        qk_norm=draft(s.QKNorm, scope="head"),
        qkv_bias=bias,
        output_bias=bias,
        gate="elementwise",
    )
    mixers: dict[str, Callable[[ConfigKeys], Draft]] = {
        "full": lambda _: mixer.replace(rope=None),
        "sliding": lambda c: mixer.replace(window=c.size("sliding_window")),
    }
    c.ignore("use_grouped_mm", "load_balance_coeff", "attention_bias")  # kernels; training
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, mixers, of),
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": moe}, (f for _, f in pairs)),
        embedding=draft(s.Embedding, tied=c.flag("tie_word_embeddings"), scale=mup(c)),
        **blocks.layer_wiring(pairs, both(how, first), blocks.sandwich_step),
    )


def mup(c: ConfigKeys) -> Sourced:
    on = c.flag("mup_enabled")
    return (
        derived(c.size("hidden_size").value ** 0.5, f"sqrt(hidden_size), as {on.evidence.ref} says")
        if on.value
        else same_evidence(None, on)
    )


def moe(c: ConfigKeys) -> Draft:
    """The published configs name groups of experts, one and all of it; the class knows none, and always normalises."""
    for key in ("n_group", "topk_group", "num_expert_groups", "num_limited_groups"):
        c.expect(key, 1)
    width, shared = c.size("moe_intermediate_size"), c.size("num_shared_experts", least=0)
    router = draft(
        s.Router,
        scoring=c.expect("score_func", "sigmoid"),
        selection_bias=True,
        normalized=c.expect("route_norm", True),
        scale=c.number("route_scale"),
    )
    return draft(
        s.MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=blocks.activation(c),
        shared_experts=shared,
        shared_width=derived(
            shared.value * width.value,
            f"{c.key('num_shared_experts')} * {c.key('moe_intermediate_size')}",
        ),
        router=router,
    )


FAMILY = Family(
    name="afmoe",
    title="Trinity",
    ref=modeling("afmoe"),
    read=read,
    naming=tensors.Naming(
        norms=("input_layernorm", "post_attention_layernorm", "pre_mlp_layernorm", "post_mlp_layernorm"),
        blocks={s.Attention: tensors.attention_parts(gate="gate_proj"), s.MoE: tensors.moe_parts(router="router.gate", selection_bias="expert_bias")},
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
