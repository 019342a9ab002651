"""Trinity (AFMoE): gated attention, sandwich norms, a dense prefix, MoE with a shared expert.

Sliding layers have RoPE; every fourth layer is full and has no positions. muP scales the
embedding.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    every = c.size("global_attn_every_n_layers")
    reason = f"{every.evidence.ref}: every {every.value}th layer is full"
    layers = blocks.sliding_layers(c, lambda i: (i + 1) % every.value != 0, reason)
    first = c.size("num_dense_layers", least=0)
    ffns = blocks.moe_layers(c, lambda i: i >= first.value, first, types="")
    c.ignore("use_grouped_mm", "load_balance_coeff")  # kernels; training
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value),
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        embedding=blocks.embedding(c, scale=_embedding_scale(c)),
        **blocks.layer_wiring(layers, ffns, blocks.sandwich_step),
    )


def _full(c: ConfigKeys) -> Draft:
    """Read the attention of full layers, which have no positions."""
    return _gated_attention(c, rope=None)


def _sliding(c: ConfigKeys) -> Draft:
    """Read the attention of sliding layers."""
    return _gated_attention(c, window=c.size("sliding_window"))


def _gated_attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read GQA with QK-norm and a gate on the output."""
    norm = draft(s.QKNorm, scope="head")
    biases = blocks.biases_beside_a_gate(c)
    return blocks.attention(c, qk_norm=norm, gate="elementwise", **biases, **facts)


def _embedding_scale(c: ConfigKeys) -> Sourced:
    """Return the factor on embeddings: sqrt(hidden_size) with muP, none without."""
    enabled = c.flag("mup_enabled")
    if not enabled.value:
        return same_evidence(None, enabled)
    root = c.size("hidden_size").value ** 0.5
    return derived(root, f"sqrt(hidden_size), as {enabled.evidence.ref} says")


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE.

    The published configs name groups of experts, with one group that holds all. The class has no
    groups, and always normalises the weights of the chosen experts.
    """
    for key in ("n_group", "topk_group", "num_expert_groups", "num_limited_groups"):
        c.expect(key, 1)
    router = draft(
        s.Router,
        scoring=c.expect("score_func", "sigmoid"),
        selection_bias=True,
        normalized=c.expect("route_norm", True),
        scale=c.number("route_scale"),
    )
    return blocks.moe(c, router, **blocks.shared_experts(c, "num_shared_experts"))


FAMILY = Family(
    name="afmoe",
    title="Trinity",
    ref=modeling("afmoe"),
    read=read,
    naming=tensors.Naming(
        linear_router=True,
        norms=(
            "input_layernorm",
            "post_attention_layernorm",
            "pre_mlp_layernorm",
            "post_mlp_layernorm",
        ),
        blocks={
            s.Attention: tensors.split_attention_parts(gate="gate_proj"),
            s.MoE: tensors.moe_parts(router="router.gate", selection_bias="expert_bias"),
        },
    ),
    conversions={"afmoe": tensors.EXPERT_CONVERSION},
    defaults={
        "afmoe": {
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 16384,
            "head_dim": 128,
            "num_dense_layers": 1,
            "num_experts": 64,
            "num_experts_per_tok": 6,
            "num_shared_experts": 2,
            "route_scale": 1.0,
            "global_attn_every_n_layers": 4,
            "sliding_window": 1024,
            "mup_enabled": False,
        },
    },
    config_class={"afmoe": "AfmoeConfig"},
)
