"""Beam: gated GQA, sandwich norms, additions weighed by depth, MoE with groups of experts.

Sliding layers have RoPE; every sixth layer and the last are full, without positions, and scale
their queries by position instead.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _attention_layers(c)
    ffns = blocks.moe_layers(c, lambda i: i >= 3, same_evidence(None, c.layer_count()))
    readers = {"full": _full, "sliding": _sliding}
    return blocks.decoder(
        c,
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        residual=draft(s.Residual, kind="plain", depth_scaled=True),
        **blocks.layer_wiring(layers, ffns, blocks.sandwich_step),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide; without a list the last one is full, as every sixth."""
    last = c.layer_count().value - 1
    reason = "every 6th layer and the last are full"
    return blocks.sliding_layers(c, lambda i: (i + 1) % 6 != 0 and i != last, reason)


def _full(c: ConfigKeys) -> Draft:
    """Read the attention of full layers: without RoPE, queries are scaled by their position."""
    return _gated_attention(c, "full_attention")


def _sliding(c: ConfigKeys) -> Draft:
    """Read the attention of sliding layers."""
    return _gated_attention(c, "sliding_attention", window=c.size("sliding_window"))


def _gated_attention(c: ConfigKeys, layer_type: str, **facts: Any) -> Draft:
    """Read GQA with QK-norm and a gate on the output."""
    facts |= blocks.biases_beside_a_gate(c)
    rope = _rope(c, layer_type)
    if rope is None:
        facts["query_scaling"] = draft(
            s.QueryScaling, beta=0.1, original_context=2048, shift=1, power=True
        )
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, gate="elementwise", gate_bias=True, rope=rope, **facts)


def _rope(c: ConfigKeys, layer_type: str) -> Draft | None:
    """Read the RoPE of a type of layers, None for one whose entry is null."""
    keys = blocks.rope_keys(c)
    given = bool(keys.data)
    if layer_type == "full_attention" and keys.data.get(layer_type) is None:
        keys.ignore(layer_type)
        return None
    dim = blocks.all_of_head(blocks.read_head_dim(c))
    return blocks.rope(c, dim, layer_type=layer_type if given else None)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose experts are chosen from the best groups."""
    groups = c.size("n_group")
    router = draft(
        s.Router,
        scoring="sigmoid",
        selection_bias=True,
        groups=groups,
        active_groups=c.size("topk_group"),
        group_score=blocks.best_two(groups),
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )
    return blocks.moe(c, router, experts=("num_experts",))


FAMILY = Family(
    name="beam",
    title="Beam",
    ref=modeling("beam"),
    read=read,
    naming=tensors.Naming(
        norms=tensors.SANDWICH_NORMS,
        blocks={s.Attention: tensors.split_attention_parts(gate="gate_proj")},
    ),
    conversions={"beam": tensors.EXPERT_CONVERSION},
    defaults={
        "beam": {
            "attention_bias": False,
            "final_logit_softcapping": 30.0,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 5120,
            "intermediate_size": 20480,
            "max_position_embeddings": 8192,
            "moe_intermediate_size": 2560,
            "n_group": 8,
            "norm_topk_prob": True,
            "num_attention_heads": 48,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 52,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 2.5,
            "sliding_window": 512,
            "tie_word_embeddings": False,
            "topk_group": 4,
            "vocab_size": 151936,
        },
    },
    config_class={"beam": "BeamConfig"},
)
