"""AWQ: 4-bit integers packed into 32-bit words, along the outputs (GEMM) or the inputs (GEMV).

AutoAWQ modules/linear:
- GEMM: `qweight` I32 [i, o * bits / 32], `qzeros` I32 [groups, o * bits / 32], `scales` F16
  [groups, o].
- GEMV: `qweight` I32 [o, i * bits / 32], `scales` F16 [o, groups, padded].
"""

from __future__ import annotations

from .base import (
    INT32,
    Decoded,
    Packed,
    PackingFormat,
    Shape,
    ceil_div,
    format_shape,
    zeros_problem,
)


def _unpack(p: Packed) -> Decoded | None:
    """Return the logical matrix. Without scales the names are GPTQ's, which is tried first."""
    scales = p.companions.get(".scales")
    if scales is None or len(p.shape) != 2:
        return None
    if len(scales) != 2:
        return _unpack_misfit(p, scales)
    return _unpack_gemm(p, scales) or _unpack_gemv(p, scales) or _unpack_misfit(p, scales)


def _unpack_misfit(p: Packed, scales: Shape) -> Decoded | None:
    """Return the matrix that a GEMM declaration gives, whose scales do not fit."""
    declared = p.declared
    if declared is None or p.bits is None or (declared.format or "gemm").lower() != "gemm":
        return None
    inputs, words = p.shape
    return Decoded(
        width=p.bits,
        shape=(words * 32 // p.bits, inputs),
        problem=f"scales of shape {format_shape(scales)} do not fit {format_shape(p.shape)}",
    )


def _unpack_gemm(p: Packed, scales: Shape) -> Decoded | None:
    inputs, words = p.shape
    groups, outputs = scales
    if not outputs:
        return None

    bits = words * 32 / outputs
    if bits not in (2, 4, 8):
        return None

    group_size = ceil_div(inputs, groups) if groups else 0
    problem = ""
    zeros = p.companions.get(".qzeros")
    if zeros is not None and zeros != (groups, words):
        problem = zeros_problem(zeros, scales)

    return Decoded(
        width=bits,
        shape=(outputs, inputs),
        detail=f"{bits:g} bits, groups of {group_size}",
        problem=problem,
    )


def _unpack_gemv(p: Packed, scales: Shape) -> Decoded | None:
    outputs, words = p.shape
    if scales[0] != outputs:
        return None

    return Decoded(
        width=4,
        shape=(outputs, words * 8),
        detail="4 bits, GEMV",
    )


FORMATS = (
    PackingFormat(
        name="awq",
        methods=frozenset({"awq", "auto-round", "intel/auto-round", "awq_marlin", "modelopt"}),
        endings=(".qweight",),
        suffix=".qweight",
        logical_suffix=".weight",
        dtypes=INT32,
        scales=(".scales",),
        extras=(".qzeros",),
        unpack=_unpack,
        certain=True,
    ),
)
