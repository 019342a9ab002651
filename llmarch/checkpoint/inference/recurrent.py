"""Recognise mixers with a recurrent state: Delta-rule attention, lightning, Mamba, convolutions."""

from __future__ import annotations

import re

from ...architecture.paths import parent_path
from .recognised import ModuleTensors, Recognised

_LINEAR_HEADS = ("key_heads", "value_heads", "key_head_dim", "value_head_dim")
_STATE = re.compile(
    r"(?:A_log"
    r"|dt_bias"
    r"|D"
    r"|conv1d\.\w+"
    r"|[qkv]_conv1d\.\w+"
    r"|(?:\w+_)?decay"
    r"|(?:\w+\.)*time_\w+)$"
)
"""Names of tensors that only a recurrent mixer has."""


def recognise_kda(tensors: ModuleTensors) -> Recognised | None:
    """Recognise Kimi Delta Attention: convolutions for q, k and v, low-rank decay and gate."""
    if not tensors.has(
        "A_log",
        "dt_bias",
        "f_a_proj.weight",
        "f_b_proj.weight",
        "g_a_proj.weight",
        "q_conv1d.weight",
        "o_norm.weight",
    ):
        return None

    found = _delta_rule(tensors, "kda", norm="o_norm.weight", conv="q_conv1d.weight")
    heads = tensors.elements("A_log")
    keys = tensors.outputs("q_proj.weight")
    if heads and keys is not None and keys % heads == 0:
        found.prove("key_heads", heads, "A_log")
        found.prove("key_head_dim", keys // heads, "q_proj.weight", "A_log")
    else:
        _leave_keys_open(found, keys)

    return found


def recognise_gated_deltanet(tensors: ModuleTensors) -> Recognised | None:
    """Recognise Gated DeltaNet: one convolution, and a decay for each value head.

    q, k, v and z are projected together (`in_proj_qkvz`) or in part (`in_proj_qkv`).
    """
    if not tensors.has("A_log", "dt_bias", "conv1d.weight", "norm.weight", "out_proj.weight"):
        return None
    if not tensors.first("in_proj_qkvz.weight", "in_proj_qkv.weight"):
        return None

    found = _delta_rule(tensors, "gated_deltanet", norm="norm.weight", conv="conv1d.weight")
    heads = tensors.elements("A_log")
    head_dim = tensors.size("norm.weight", 0)
    channels = tensors.size("conv1d.weight", 0)
    keys = None
    if heads is not None and head_dim is not None and channels is not None:
        values = heads * head_dim
        keys = (channels - values) // 2

    _leave_keys_open(found, keys)
    return found


def _delta_rule(tensors: ModuleTensors, variant: str, *, norm: str, conv: str) -> Recognised:
    """Return a mixer by the delta rule, with its values: a decay a head, a norm one head wide."""
    found = Recognised("mixers", variant, "attention")
    found.prove("variant", variant, "A_log", "dt_bias", conv)
    heads = tensors.elements("A_log")
    if heads is not None:
        found.prove("value_heads", heads, "A_log")

    head_dim = tensors.size(norm, 0)
    if head_dim is not None:
        found.prove("value_head_dim", head_dim, norm)

    _prove_kernel(tensors, found, conv)
    return found


def _leave_keys_open(found: Recognised, width: int | None) -> None:
    reason = "only the product of heads and head dim of the keys is stored"
    if width:
        reason += f" ({width:,})"
    found.leave_open("key_heads", "key_head_dim", reason=reason)


def recognise_lightning(tensors: ModuleTensors) -> Recognised | None:
    """Recognise MiniMax's lightning attention: a fused qkv, an output gate, and a norm over all."""
    names = ("qkv_proj.weight", "output_gate.weight", "norm.weight")
    if not tensors.has(*names, "out_proj.weight"):
        return None

    found = Recognised("mixers", "lightning", "attention")
    found.prove("variant", "lightning", *names)
    found.leave_open(
        *_LINEAR_HEADS,
        reason="only the product of heads and head dim is stored: no tensor is one head wide",
    )
    return found


# --- state-space layers ---


def recognise_mamba(tensors: ModuleTensors) -> Recognised | None:
    """Recognise state-space layers: Mamba 1 has an x_proj, Mamba 2 a dt_bias."""
    if not tensors.has("A_log", "D", "in_proj.weight", "conv1d.weight"):
        return None

    if tensors.has("x_proj.weight"):
        variant = "mamba"
    elif tensors.has("dt_bias"):
        variant = "mamba2"
    else:
        return None

    found = Recognised("mixers", variant, "attention")
    found.prove("variant", variant, "A_log", "D", "conv1d.weight")
    _prove_kernel(tensors, found, "conv1d.weight")
    found.prove_presence(tensors, "conv_bias", "conv1d.bias", neighbour="conv1d.weight")
    heads = tensors.elements("A_log")
    if variant == "mamba2" and heads is not None:
        found.prove("value_heads", heads, "A_log")
        _prove_state(tensors, found, heads)

    return found


def _prove_state(tensors: ModuleTensors, found: Recognised, heads: int) -> None:
    """Prove the width of Mamba 2's heads.

    inner = heads * value_head_dim is the input of out_proj; the convolution has inner + 2 * groups
    * state channels; in_proj has inner + channels + heads outputs.
    """
    inner = tensors.inputs("out_proj.weight")
    channels = tensors.size("conv1d.weight", 0)
    if inner is None or channels is None:
        return
    if inner + channels + heads != tensors.outputs("in_proj.weight"):
        return
    if not heads or inner % heads:
        return

    found.prove(
        "value_head_dim",
        inner // heads,
        "out_proj.weight",
        "A_log",
        ref="inputs of out_proj by heads",
    )
    state = (channels - inner) // 2
    found.leave_open(
        "key_heads",
        "key_head_dim",
        reason=f"only the product of groups and state size is stored ({state:,})",
    )


# --- convolutions ---


def recognise_short_conv(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a gated convolution alone: in [3 h, h], a channel for each of h, out [h, h]."""
    conv = tensors.first("conv.weight", "conv1d.weight")
    if not conv or not tensors.has("in_proj.weight", "out_proj.weight"):
        return None

    modules = set(map(parent_path, tensors.shapes))
    if not modules <= {"in_proj", "out_proj", conv.removesuffix(".weight")}:
        return None

    hidden = tensors.hidden
    if hidden is None or tensors.size(conv, 0) != hidden:
        return None
    if tensors.shapes["in_proj.weight"] != (3 * hidden, hidden):
        return None

    found = Recognised("mixers", "short_conv", "attention")
    found.prove(
        "variant",
        "short_conv",
        conv,
        "in_proj.weight",
        "out_proj.weight",
        ref="a convolution with three projections, and no state",
    )
    _prove_kernel(tensors, found, conv)
    conv_bias = conv.removesuffix("weight") + "bias"
    found.prove_presence(tensors, "conv_bias", conv_bias, neighbour=conv)
    found.prove_presence(tensors, "bias", "in_proj.bias", neighbour="in_proj.weight")
    return found


def _prove_kernel(tensors: ModuleTensors, found: Recognised, conv: str) -> None:
    """Prove the width of a convolution [channels, 1, width], or [channels, width, 1]."""
    shape = tensors.shapes.get(conv)
    if shape is None or len(shape) < 2:
        return
    _channels, *others = shape
    width = max(others)
    found.prove("conv_kernel", width, conv)


# --- anything else with a state ---


def recognise_linear_attention(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a recurrent mixer whose update rule llmarch does not know.

    It has queries, keys and values, and beside them a decay or a convolution.
    """
    marks = [name for name in tensors.shapes if _STATE.match(name)]
    if not marks or not tensors.has("q_proj.weight", "k_proj.weight", "v_proj.weight"):
        return None

    found = Recognised("mixers", "linear_attention", "attention")
    conv = tensors.first("conv1d.weight", "q_conv1d.weight")
    if conv:
        _prove_kernel(tensors, found, conv)

    found.leave_open(
        "variant",
        *_LINEAR_HEADS,
        reason=f"{', '.join(marks[:3])} show a recurrent state, but not its update rule",
    )
    return found
