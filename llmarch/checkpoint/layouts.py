"""How published checkpoints lay out the same tensor: fused with others, stacked, or transposed.

`fused_place` tells of which fused tensor a tensor is a part, so that both sides of the comparison
can be fused; `joined_shape` gives the shape that parts make; `other_layout` is the transposed shape
that some libraries store. Rules know names and shapes, no family.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..architecture.frozen import Frozen, frozen
from .logical import Shape


@frozen
class FusedPlace(Frozen):
    """Where a tensor sits in the fused tensor `key`."""

    key: str
    slot: int = 0
    slots: int = 1
    """How many parts the fused tensor has; slot 0 of 1 is all of it."""
    per_expert: bool = False
    """Whether the tensor is of one expert, while the fused one stacks all."""


@frozen
class _FusedName(Frozen):
    """Names that `pattern` matches are parts of the fused tensor `key`."""

    pattern: re.Pattern[str]
    key: str
    slots: tuple[str, ...]
    """The pattern's second group in the order of the parts; empty where the name is all of it."""
    per_expert: bool


def _fused(
    pattern: str, key: str, slots: tuple[str, ...] = (), *, per_expert: bool = False
) -> _FusedName:
    return _FusedName(re.compile(pattern), key, slots, per_expert)


_GATE_UP = ("gate_proj", "up_proj")
_QKV = ("q_proj", "k_proj", "v_proj")
_QKVZ = ("in_proj_qkv", "in_proj_z")
_BA = ("in_proj_b", "in_proj_a")
_CONVOLUTIONS = ("q_conv1d", "k_conv1d", "v_conv1d")
_ABSORBED = ("embed_q", "unembed_out")
_FUSED_NAMES = (
    # Experts one by one (Qwen 3, DeepSeek V3), which transformers 5 and MLX stack.
    _fused(
        r"^(.*\.experts)\.\{\}\.(gate_proj|up_proj)\.weight$",
        r"\1.gate_up_proj",
        _GATE_UP,
        per_expert=True,
    ),
    _fused(
        r"^(.*\.experts)\.\{\}\.(gate_proj|up_proj)\.bias$",
        r"\1.gate_up_proj_bias",
        _GATE_UP,
        per_expert=True,
    ),
    _fused(
        r"^(.*\.experts)\.\{\}\.(gate_up_proj|down_proj)\.weight$",
        r"\1.\2",
        per_expert=True,
    ),
    _fused(
        r"^(.*\.experts)\.\{\}\.(gate_up_proj|down_proj)\.bias$",
        r"\1.\2_bias",
        per_expert=True,
    ),
    # Stacked experts, gate and up apart (MLX) or together (Llama 4, gpt-oss, transformers 5).
    _fused(
        r"^(.*\.experts)\.(gate_proj|up_proj)((?:_bias)?)$",
        r"\1.gate_up_proj\3",
        _GATE_UP,
    ),
    _fused(r"^(.*\.experts)\.((?:gate_up|down)_proj(?:_bias)?)$", r"\1.\2"),
    # Dense feed-forward: gate and up apart (Llama) or together (Phi 3, vLLM).
    _fused(
        r"^(.*)\.(gate_proj|up_proj)\.(weight|bias)$",
        r"\1.gate_up_proj.\3",
        _GATE_UP,
    ),
    _fused(r"^(.*)\.(gate_up_proj)\.(weight|bias)$", r"\1.\2.\3"),
    # Attention: q, k and v apart (Llama) or together (Phi 3, GPT-2).
    _fused(
        r"^(.*)\.(q_proj|k_proj|v_proj)\.(weight|bias)$",
        r"\1.qkv_proj.\3",
        _QKV,
    ),
    _fused(r"^(.*)\.(qkv_proj)\.(weight|bias)$", r"\1.\2.\3"),
    # Gated DeltaNet: four matrices (Qwen 3.5) or two (Qwen3-Next).
    _fused(
        r"^(.*)\.(in_proj_qkv|in_proj_z)\.weight$",
        r"\1.in_proj_qkvz.weight",
        _QKVZ,
    ),
    _fused(
        r"^(.*)\.(in_proj_b|in_proj_a)\.weight$",
        r"\1.in_proj_ba.weight",
        _BA,
    ),
    _fused(r"^(.*)\.(in_proj_qkvz|in_proj_ba)\.weight$", r"\1.\2.weight"),
    # Kimi Delta Attention: a convolution each (as published) or one (transformers).
    _fused(r"^(.*)\.(q_conv1d|k_conv1d|v_conv1d)\.weight$", r"\1.conv1d.weight", _CONVOLUTIONS),
    _fused(r"^(.*\.(?:self|linear)_attn)\.(conv1d)\.weight$", r"\1.\2.weight"),
    # MLA as mlx-lm absorbs it (models/deepseek_v3.py).
    _fused(
        r"^(.*)\.(embed_q|unembed_out)\.weight$",
        r"\1.kv_b_proj.weight",
        _ABSORBED,
    ),
    _fused(r"^(.*)\.(kv_b_proj)\.weight$", r"\1.\2.weight"),
)
"""The first that matches a name counts."""


def fused_place(key: str) -> FusedPlace | None:
    """Return the fused tensor that a canonical name belongs to, itself included; None if none is.

    A tensor that is fused already is the only part of itself.
    """
    for name in _FUSED_NAMES:
        match = name.pattern.match(key)
        if match is None:
            continue
        fused_key = match.expand(name.key)
        if not name.slots:
            return FusedPlace(fused_key, per_expert=name.per_expert)
        slot = name.slots.index(match[2])
        return FusedPlace(fused_key, slot, len(name.slots), name.per_expert)
    return None


def joined_shape(key: str, parts: Sequence[Shape]) -> Shape | None:
    """Return the shape that parts make together along their outputs; None if they do not fit.

    ============================  ==========================  ======================
    fused tensor                  parts                       together
    ============================  ==========================  ======================
    matrices                      [I, h] and [I, h]           [2 I, h]
    stacked experts               [E, I, h] and [E, I, h]     [E, 2 I, h]
    biases                        [I] and [I]                 [2 I]
    convolutions                  [C, 1, k], three times      [3 C, 1, k]
    MLA absorbed by MLX, by head  [H, rank, n], [H, v, rank]  [H (n + v), rank]
    ============================  ==========================  ======================
    """
    first = parts[0]
    if len(parts) == 2 and len(first) == 3 and key.endswith("kv_b_proj.weight"):
        return _absorbed_shape(first, parts[1])
    axis = len(first) - 2
    if key.endswith("bias"):
        axis += 1
    if key.endswith("conv1d.weight"):
        axis = 0
    if axis < 0:
        return None

    # All other dimensions must agree.
    before = first[:axis]
    after = first[axis + 1 :]
    outputs = 0
    for shape in parts:
        if shape[:axis] != before or shape[axis + 1 :] != after:
            return None
        outputs += shape[axis]
    return (*before, outputs, *after)


def _absorbed_shape(embed_q: Shape, unembed_out: Shape) -> Shape | None:
    """Return the shape of kv_b_proj from [H, rank, nope] and [H, v, rank]."""
    if len(unembed_out) != 3:
        return None
    heads, rank, nope = embed_q
    out_heads, value, out_rank = unembed_out
    if out_heads != heads or out_rank != rank:
        return None
    outputs = heads * (nope + value)
    return (outputs, rank)


def other_layout(key: str, shape: Shape) -> Shape | None:
    """Return the other layout in which the same tensor is stored; None if there is but one.

    Stacked experts have inputs first in Llama 4 and gpt-oss ([E, in, out]), outputs first
    elsewhere. MLX stores convolutions with channels last.
    """
    if len(shape) < 3:
        return None

    first, second, *others = shape
    if len(shape) == 3 and ".experts." in key:
        return (first, *others, second)

    is_convolution = "conv" in key or "patch_embed" in key
    if is_convolution and key.endswith(".weight"):
        return (first, *others, second)

    return None


def closer_layout(shape: Shape, other: Shape, stored: Shape | None) -> Shape:
    """Return which of two layouts of a tensor has more of the stored dimensions in place."""
    if _agreeing_dimensions(other, stored) > _agreeing_dimensions(shape, stored):
        return other
    return shape


def _agreeing_dimensions(shape: Shape, stored: Shape | None) -> int:
    return sum(a == b for a, b in zip(shape, stored or (), strict=False))
