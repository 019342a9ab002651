"""Jamba: Mamba-1 on most layers, attention without positions on every eighth, experts on half."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("use_mamba_kernels", "use_mambapy", "use_associative_scan", "num_logits_to_keep")
    c.ignore("mamba_inner_layernorms")  # the class has them, whatever the config says
    layers = _every_nth(c, "attn_layer", "full", "linear")
    ffns = _every_nth(c, "expert_layer", "moe", "dense")
    if c.size("num_experts").value == 1:
        ffns = blocks.every_layer(c, "dense")
    readers = {"full": _attention, "linear": _mamba}
    mixers = blocks.read_used_blocks(c, readers, layers.value)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, ffns.value),
        **blocks.layer_wiring(layers, ffns),
    )


def _every_nth(c: ConfigKeys, key: str, name: str, other: str) -> Sourced:
    """Return `name` for the layers that a period and an offset give, `other` for the rest."""
    period = c.size(f"{key}_period").value
    offset = c.size(f"{key}_offset", least=0).value
    rule = derived(None, f"every {period}th layer from {offset} on ({key}_period)")
    return blocks.pattern_of(c, lambda i: name if i % period == offset else other, rule)


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA without positions."""
    return blocks.attention(c, rope=None)


def _mamba(c: ConfigKeys) -> Draft:
    """Read Mamba-1 with norms on time steps, B and C."""
    return blocks.mamba(
        blocks.expanded_width(c),
        state=c.size("mamba_d_state"),
        dt_rank=blocks.time_step_rank(c, "mamba_dt_rank"),
        conv_kernel=c.size("mamba_d_conv"),
        conv_bias=c.flag("mamba_conv_bias"),
        bias=c.flag("mamba_proj_bias"),
        inner_norm="weighted",
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose weights are not normalised."""
    router = draft(s.Router, scoring="softmax", normalized=False)
    return blocks.moe(c, router, experts=("num_experts",), width="intermediate_size")


FAMILY = Family(
    name="jamba",
    title="Jamba",
    ref=modeling("jamba"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.final_layernorm",
        norms=("input_layernorm", "pre_ff_layernorm"),
        blocks={
            s.LinearAttention: tensors.mamba_parts("mamba"),
            s.Dense: tensors.dense_parts("feed_forward"),
            s.MoE: tensors.moe_parts("feed_forward", "router"),
        },
    ),
    conversions={"jamba": tensors.Conversion(merges=tensors.merged_experts("feed_forward"))},
    defaults={
        "jamba": {
            "attn_layer_offset": 4,
            "attn_layer_period": 8,
            "expert_layer_offset": 1,
            "expert_layer_period": 2,
            "hidden_act": "silu",
            "mamba_conv_bias": True,
            "mamba_d_conv": 4,
            "mamba_d_state": 16,
            "mamba_dt_rank": "auto",
            "mamba_expand": 2,
            "mamba_proj_bias": False,
            "max_position_embeddings": 262144,
            "num_experts": 16,
            "num_experts_per_tok": 2,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
        },
    },
    config_class={"jamba": "JambaConfig"},
)
