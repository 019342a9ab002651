"""AWQ: 4-bit integers packed into 32-bit words, along the outputs (GEMM) or the inputs (GEMV).

AutoAWQ modules/linear:
- GEMM: `qweight` I32 [i, o * bits / 32], `qzeros` I32 [groups, o * bits / 32], `scales` F16
  [groups, o].
- GEMV: `qweight` I32 [o, i * bits / 32], `scales` F16 [o, groups, padded].
"""

from __future__ import annotations

from ...architecture.schema import Quantization
from ..method_names import AUTO_ROUND_METHODS
from .base import (
    FLOATS16,
    INT32,
    Decoded,
    Packed,
    PackingFormat,
    Shape,
    ceil_div,
    format_shape,
    zeros_problem,
)

AWQ_METHODS = frozenset({"awq", "auto_awq", "awq_marlin"})
"""Methods that have this format and no other."""


def declares_awq(declared: Quantization | None) -> bool:
    """Return whether a declaration is of AWQ's tensors: auto-round names its packing."""
    if declared is None:
        return False
    if declared.method in AUTO_ROUND_METHODS:
        return "awq" in (declared.format or "")
    return declared.method in AWQ_METHODS


def _unpack(p: Packed) -> Decoded | None:
    """Return the logical matrix. Without scales the declaration decides its layout."""
    scales = p.companions.get(".scales")
    if len(p.shape) != 2:
        return None
    decoded: Decoded | None = None
    if scales is not None and len(scales) == 2:
        decoded = _unpack_gemm(p, scales) or _unpack_gemv(p, scales)
    return decoded or _unpack_misfit(p, scales)


def _unpack_misfit(p: Packed, scales: Shape | None) -> Decoded | None:
    """Return the matrix that a GEMM declaration gives, whose scales do not fit or are missing."""
    declared = p.declared
    if declared is None or p.bits is None or not declares_awq(declared):
        return None
    if declared.method in AWQ_METHODS and (declared.format or "gemm").lower() != "gemm":
        return None
    inputs, words = p.shape
    problem = ""
    if scales is not None:
        problem = f"scales of shape {format_shape(scales)} do not fit {format_shape(p.shape)}"
    return Decoded(
        width=p.bits,
        shape=(words * 32 // p.bits, inputs),
        problem=problem,
    )


def _unpack_gemm(p: Packed, scales: Shape) -> Decoded | None:
    inputs, words = p.shape
    groups, outputs = scales
    if not outputs:
        return None

    bits = words * 32 / outputs
    if bits not in (2, 4, 8):
        return None
    if p.bits is not None and bits != p.bits and not _zeros_agree(p, words):
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


def _zeros_agree(p: Packed, words: int) -> bool:
    """Return whether zero points are as wide as the packed matrix, as with any number of bits."""
    zeros = p.companions.get(".qzeros")
    return zeros is not None and len(zeros) == 2 and zeros[1] == words


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
        methods=AWQ_METHODS | AUTO_ROUND_METHODS | {"moe_wna16"},
        endings=(".qweight",),
        suffix=".qweight",
        logical_suffix=".weight",
        dtypes=INT32,
        scales=(".scales",),
        extras=(".qzeros",),
        unpack=_unpack,
        certain=True,
        companion_dtypes={".scales": FLOATS16, ".qzeros": INT32},
    ),
)
