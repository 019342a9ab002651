"""Read recurrent mixers whose keys several families have."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..evidence import Draft, Sourced, derived, draft, unknown
from ..findings import value_not_described
from ..keys import ConfigKeys
from .layers import every_layer
from .wiring import decoder, pre_norm_step, rms_norm

HIGHEST_TIME_STEP = 1e6
"""A bound of time steps that none reaches: they are a softplus of sums near 0."""


def mamba_decoder(c: ConfigKeys, mixer: Callable[[ConfigKeys], Draft]) -> Draft:
    """Read a decoder whose layers are a norm and a Mamba mixer, and nothing else."""
    return decoder(
        c,
        context_length=unknown("a state has no longest context, and the config names none"),
        norms={"rms": rms_norm(c, "layer_norm_epsilon")},
        mixers={"linear": mixer(c)},
        ffns={},
        layer_kinds={"linear": draft(s.LayerKind, steps=[pre_norm_step("mixers.linear")])},
        layers=every_layer(c, "linear"),
    )


def expanded_width(c: ConfigKeys) -> Sourced:
    """Return the channels of Mamba: mamba_expand * hidden_size."""
    width = c.size("mamba_expand").value * c.size("hidden_size").value
    return derived(width, "mamba_expand * hidden_size")


def mamba2(c: ConfigKeys, width: Sourced, **facts: Any) -> Draft:
    """Read Mamba-2 from the keys that begin with `mamba_` (Bamba, Granite 4, Falcon-H1).

    Its output is multiplied by silu(gate), then normed in groups.
    width: its channels.
    facts: fields of LinearAttention that replace or add to these.
    Raises ConfigError if the heads do not add up to the channels.
    """
    heads = c.size("mamba_n_heads")
    if c.value("mamba_d_head").value == "auto":
        formula = f"{width.evidence.ref} / mamba_n_heads"
        dim = derived(width.value // heads.value, formula)
    else:
        dim = c.size("mamba_d_head")
    total = dim.value * heads.value
    if total != width.value:
        raise ConfigError(
            f"{c.file}: {c.key('mamba_n_heads')} * mamba_d_head is {total:,}, but"
            f" {width.evidence.ref} is {width.value:,}"
        )
    c.ignore("mamba_chunk_size")
    check_time_step_limit(c)
    usual: dict[str, Any] = {
        "variant": "mamba2",
        "gate": "silu",
        "gate_first": True,
        "value_heads": heads,
        "value_head_dim": dim,
        "key_heads": c.size("mamba_n_groups"),
        "key_head_dim": c.size("mamba_d_state"),
        "conv_kernel": c.size("mamba_d_conv"),
        "conv_bias": c.flag("mamba_conv_bias"),
        "bias": c.flag("mamba_proj_bias"),
        "norm_groups": c.size("mamba_n_groups"),
    }
    return Draft(s.LinearAttention, usual | facts)


def check_time_step_limit(c: ConfigKeys) -> None:
    """Report bounds of Mamba-2's time steps, which no fact has: those of published models are none.

    An upper bound of 1e308 is none either; transformers 5 writes `{"__float__": "Infinity"}`.
    """
    key = "time_step_limit"
    c.ignore(key)
    limits = c.items(key, default=None).value
    if limits is None:
        return
    if not limits:
        limits = [None]
    unbounded = (inf, "Infinity", "inf", {"__float__": "Infinity"})
    least, most = limits[0], limits[-1]
    is_number = isinstance(most, (int, float))
    if least == 0 and (most in unbounded or (is_number and most >= HIGHEST_TIME_STEP)):
        return
    value_not_described(c, key, [0.0, inf], "behaviour")


def time_step_rank(c: ConfigKeys, key: str) -> Sourced:
    """Read the rank of Mamba's time steps; `auto` is a sixteenth of hidden_size, rounded up."""
    if c.value(key).value != "auto":
        return c.size(key)
    return derived(ceil(c.size("hidden_size").value / 16), "hidden_size / 16, rounded up")


def mamba(channels: Sourced, state: Sourced, **facts: Any) -> Draft:
    """Return Mamba-1, whose channels have a state each.

    facts: further fields of LinearAttention.
    """
    return draft(
        s.LinearAttention,
        variant="mamba",
        value_heads=1,
        value_head_dim=channels,
        key_heads=1,
        key_head_dim=state,
        gate="silu",
        **facts,
    )


def short_conv(c: ConfigKeys) -> Draft:
    """Read LFM's short convolution: of three projections B, C and x it is C * conv(B * x)."""
    hidden = c.size("hidden_size")
    bias = c.flag("conv_bias")
    return draft(
        s.LinearAttention,
        variant="short_conv",
        key_heads=1,
        value_heads=1,
        key_head_dim=hidden,
        value_head_dim=hidden,
        conv_kernel=c.size("conv_L_cache"),
        conv_bias=bias,
        bias=bias,
    )
