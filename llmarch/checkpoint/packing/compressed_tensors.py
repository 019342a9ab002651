"""compressed-tensors: packed integers, and 8-bit integers of the logical shape.

- compressors/pack_quantized: `weight_packed` I32 [o, ceil(i / (32 // bits))], `weight_scale`
  [o, groups] (or [o, 1] per channel), `weight_shape` [2] (a value, so not in the header);
  asymmetric or reordered ones add `weight_zero_point` and `weight_g_idx` [i].
- int-quantized and naive-quantized: `weight` I8 [o, i] with `weight_scale` and, if asymmetric,
  `weight_zero_point`.
- float-quantized is FP8 (fp8.py); nvfp4-pack-quantized and mxfp4-pack-quantized are FP4 (nvfp4.py,
  mxfp4.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..method_names import MODELOPT_METHODS
from .base import (
    INT32,
    REAL_DTYPES,
    Decoded,
    Packed,
    PackingFormat,
    ceil_div,
    format_shape,
    scale_problem,
    zeros_problem,
)

_METHODS = frozenset({"compressed-tensors"})
_SHAPES = frozenset({"I32", "I64"})
_BITS = (4, 8, 2, 3, 6, 5)
"""Bits to try where the config declares none, the most frequent first."""

_GROUP_SIZES = (16, 32, 64, 128, 256)
"""Usual group sizes. Another size is taken only from the config."""


class _Inputs(NamedTuple):
    """The number of inputs that a row of words holds."""

    number: int
    padded: Sequence[int] = ()
    """Smaller numbers, where the last word may be padded."""
    by_index: bool = False
    """Whether the index of a reordered tensor gives the number."""


def _unpack(p: Packed) -> Decoded | None:
    if len(p.shape) < 2:
        return None

    *lead, words = p.shape
    groups = _group_count(p)
    for bits in _candidate_bits(p):
        inputs = _find_inputs(p, groups, bits)
        if inputs is not None:
            return Decoded(
                width=bits,
                shape=(*lead, inputs.number),
                other_shapes=tuple((*lead, n) for n in inputs.padded),
                detail=_detail(bits, inputs.number, groups),
                problem=_scale_problem(p)
                or _group_problem(p, inputs.number)
                or _companion_problem(p, inputs.number, bits),
                uncertain=p.bits is None and not inputs.by_index,
            )

    return Decoded(
        width=4,
        shape=(*lead, words * 8),
        other_shapes=tuple((*lead, words * (32 // bits)) for bits in _BITS[1:]),
        problem=_scale_problem(p),
        uncertain=True,
    )


def _group_count(p: Packed) -> int:
    """Return how many scales a row of values has."""
    scale = p.companions.get(".weight_scale")
    if not scale:
        return 1
    if len(scale) != len(p.shape):
        return 1
    return scale[-1]


def _scale_problem(p: Packed) -> str:
    """Return what is wrong with the scales, or ""."""
    scale = p.companions.get(".weight_scale")
    if scale is None or len(scale) < 2:
        return ""
    if scale[:-1] == p.shape[:-1]:
        return ""
    return f"scales of shape {format_shape(scale)} do not fit {p.shape[-2]:,} outputs"


def _group_problem(p: Packed, inputs: int) -> str:
    """Return what is wrong with the number of scales in a row, or ""."""
    scale = p.companions.get(".weight_scale")
    if scale is None or p.group_size is None:
        return ""
    return scale_problem(scale, (*p.shape[:-1], ceil_div(inputs, p.group_size)))


def _companion_problem(p: Packed, inputs: int, bits: int) -> str:
    """Return what is wrong with the stored shape, the index or the zero points, or "".

    Zero points are packed along the outputs, one for each scale.
    """
    stored = p.companions.get(".weight_shape")
    if stored is not None and stored != (len(p.shape),):
        return f"*.weight_shape has shape {format_shape(stored)}, expected [{len(p.shape)}]"
    index = p.companions.get(".weight_g_idx")
    if index is not None and index != (inputs,):
        return (
            f"index of shape {format_shape(index)} is not one number for each of {inputs:,} inputs"
        )
    zeros = p.companions.get(".weight_zero_point")
    scale = p.companions.get(".weight_scale")
    if zeros is None or scale is None or len(scale) != len(p.shape):
        return ""
    *lead, outputs, groups = scale
    if zeros == (*lead, ceil_div(outputs * bits, 32), groups):
        return ""
    return zeros_problem(zeros, scale)


def _candidate_bits(p: Packed) -> tuple[int, ...]:
    if p.bits:
        return (p.bits,)
    return _BITS


def _find_inputs(p: Packed, groups: int, bits: int) -> _Inputs | None:
    """Return how many inputs a row of words holds, or None where `bits` do not fit.

    With padding in the last word a row holds `full - per_word + 1` to `full` inputs. The index of a
    reordered tensor or the declared group size gives the exact number.
    """
    per_word = 32 // bits
    full = p.shape[-1] * per_word
    least = max(1, full - per_word + 1)
    possible = range(least, full + 1)

    index = p.companions.get(".weight_g_idx")
    if index and index[0] in possible:
        return _Inputs(index[0], by_index=True)

    if groups > 1 and p.group_size:
        covered = groups * p.group_size
        if covered in possible:
            return _Inputs(covered)

    if p.bits or _has_usual_groups(full, groups):
        return _Inputs(full, padded=possible[:-1][::-1])
    return None


def _has_usual_groups(inputs: int, groups: int) -> bool:
    if groups <= 1 or inputs % groups:
        return False
    return inputs // groups in _GROUP_SIZES


def _detail(bits: int, inputs: int, groups: int) -> str:
    if groups > 1:
        return f"{bits} bits, groups of {ceil_div(inputs, groups)}"
    return f"{bits} bits, per channel"


def _unpack_int8(p: Packed) -> Decoded:
    return Decoded(8, p.shape)


FORMATS = (
    PackingFormat(
        name="compressed-tensors",
        methods=_METHODS,
        endings=(".weight_packed",),
        suffix=".weight_packed",
        logical_suffix=".weight",
        dtypes=INT32,
        scales=(".weight_scale",),
        extras=(
            ".weight_shape",
            ".weight_zero_point",
            ".weight_g_idx",
            ".input_scale",
            ".input_zero_point",
        ),
        unpack=_unpack,
        certain=True,
        width=4,
        companion_dtypes={
            ".weight_scale": REAL_DTYPES,
            ".weight_shape": _SHAPES,
            ".weight_zero_point": INT32,
            ".weight_g_idx": INT32,
            ".input_scale": REAL_DTYPES,
        },
    ),
    PackingFormat(
        name="int8",
        methods=_METHODS | MODELOPT_METHODS | {"quark", "w8a8_int8"},
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=frozenset({"I8"}),
        scales=(".weight_scale",),
        extras=(
            ".weight_zero_point",
            ".input_scale",
            ".input_zero_point",
            ".azp_adj",
            ".pre_quant_scale",
        ),
        unpack=_unpack_int8,
        width=8,
        companion_dtypes={
            ".weight_scale": REAL_DTYPES,
            ".weight_zero_point": frozenset({"I8"}),
            ".input_scale": REAL_DTYPES,
            ".input_zero_point": frozenset({"I8", "I32"}),
            ".azp_adj": frozenset({"I32"}),
            ".pre_quant_scale": REAL_DTYPES,
        },
    ),
)
