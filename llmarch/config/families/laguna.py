"""Laguna: full and sliding layers with query heads and RoPE of their own, a softplus gate, QK-norm.

The gate is on attention's output. A dense first layer, then MoE with a shared expert.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, derived_from, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    reason = "no layer_types: every layer is full"
    layer_types = blocks.sliding_layers(c, lambda i: False, reason)
    attention = _mixers_by_heads(c, layer_types)
    ffns = _ffn_layers(c)
    return blocks.decoder(
        c,
        mixers=attention.mixers,
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        **blocks.layer_wiring(attention.layers, ffns),
    )


class _AttentionKinds(NamedTuple):
    """The mixers by name, and the name of each layer's."""

    mixers: dict[str, Draft]
    layers: Sourced


def _mixers_by_heads(c: ConfigKeys, layer_types: Sourced) -> _AttentionKinds:
    """Read a mixer for each type of layer, or for each number of query heads that a type has."""
    types: list[str] = layer_types.value
    layers = len(types)
    key = "num_attention_heads_per_layer"
    per_layer = c.sizes(key, default=None, length=layers)
    heads = c.size("num_attention_heads")

    counts: list[int] = [heads.value] * layers
    pattern = layer_types
    if per_layer.value is not None:
        counts = per_layer.value
        pattern = derived_from(None, layer_types, per_layer)

    kinds = list(zip(types, counts, strict=True))
    names = _names_by_heads(kinds)
    mixers: dict[str, Draft] = {}
    for kind, name in names.items():
        layer_type, count = kind
        kind_heads = heads
        if per_layer.value is not None:
            kind_heads = same_evidence(count, per_layer)
        mixers[name] = _mixer(c, layer_type, kind_heads)

    c.ignore("sliding_window")
    layer_names = [names[kind] for kind in kinds]
    return _AttentionKinds(mixers, same_evidence(layer_names, pattern))


def _names_by_heads(kinds: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the name of the mixer of each pair of a layer type and its query heads.

    It is the type, with the heads if the type has several numbers of them.
    """
    distinct = dict.fromkeys(kinds)
    pairs_of_type = Counter(layer_type for layer_type, _ in distinct)

    names: dict[tuple[str, int], str] = {}
    for kind in distinct:
        layer_type, count = kind
        name = layer_type
        if pairs_of_type[layer_type] > 1:
            name = f"{layer_type}_{count}"
        names[kind] = name
    return names


_GATES = {True: "head", "per-head": "head", "per-element": "elementwise"}
_DEFAULT_ROPE = {"sliding": (10000.0, 1.0), "full": (500000.0, 0.5)}
"""The base and the rotated share of a head, by the class's own rope_parameters."""


def _mixer(c: ConfigKeys, kind: str, heads: Sourced) -> Draft:
    """Read the attention of a kind of layers with so many query heads."""
    gating = c.value("gating")
    if gating.value not in (True, "per-head", "per-element"):
        raise ConfigError(
            f"{c.file}: {c.key('gating')} is {gating.value!r}; llmarch supports true, per-head and"
            " per-element"
        )
    c.ignore("gating_types")  # repeats gating for each layer
    biases = blocks.attention_biases(c)
    if gating.value == "per-element":
        biases = blocks.biases_beside_a_gate(c)
    c.expect("qkv_bias", biases["qkv_bias"].value)
    dim = blocks.read_head_dim(c)
    base, share = _DEFAULT_ROPE[kind]
    reason = f"{c.ref}, as rope_parameters is absent"
    rope = blocks.rope_of_type(
        c, dim, f"{kind}_attention", theta=derived(base, reason), share=derived(share, reason)
    )
    attention = blocks.attention(
        c,
        heads=heads,
        head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head"),
        gate=same_evidence(_GATES[gating.value], gating),
        gate_activation="softplus",
        rope=rope,
        **biases,
    )
    if kind == "sliding":
        return attention.replace(window=c.size("sliding_window"))
    return attention


def _ffn_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are MoE: by mlp_layer_types.

    mlp_only_layers and decoder_sparse_step, which the class does not read, say the same.
    """
    layers = c.layer_count().value
    dense = c.layer_numbers("mlp_only_layers", layers=layers, default=[0])
    c.expect("decoder_sparse_step", 1)
    return blocks.moe_layers(c, lambda i: i not in dense.value, dense)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    c.expect("moe_apply_router_weight_on_input", False)
    c.expect("moe_router_use_sigmoid", True)
    softcap = c.number("moe_router_logit_softcapping")
    router = draft(
        s.Router,
        scoring=c.expect("moe_router_score_func", "sigmoid"),
        softcap=same_evidence(softcap.value or None, softcap),
        selection_bias=True,
        normalized=c.expect("norm_topk_prob", True),
        scale=c.number("moe_routed_scaling_factor"),
    )
    shared_width = c.size("shared_expert_intermediate_size")
    return blocks.moe(c, router, shared_experts=1, shared_width=shared_width)


FAMILY = Family(
    name="laguna",
    title="Laguna",
    ref=modeling("laguna"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.Attention: tensors.split_attention_parts(gate="g_proj"),
            s.MoE: tensors.moe_parts(
                selection_bias="experts.e_score_correction_bias", shared="shared_expert"
            ),
        }
    ),
    conversions={
        "laguna": tensors.Conversion(
            renames=(
                tensors.Rename(
                    r"mlp\.experts\.e_score_correction_bias", "mlp.gate.e_score_correction_bias"
                ),
                tensors.Rename(r"mlp\.shared_expert.", "mlp.shared_experts."),
            ),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "laguna": {
            "rms_norm_eps": 1e-6,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 131072,
            "num_attention_heads": 48,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "sliding_window": 512,
            "gating": True,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "moe_routed_scaling_factor": 1.0,
            "moe_router_logit_softcapping": 0.0,
        },
    },
    config_class={"laguna": "LagunaConfig"},
)
