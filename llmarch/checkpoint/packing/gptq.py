"""GPTQ: integers of 2, 3, 4 or 8 bits packed into 32-bit words along the inputs.

AutoGPTQ and GPTQModel QuantLinear: `qweight` I32 [i * bits / 32, o], `qzeros` I32
[groups, o * bits / 32], `scales` F16 [groups, o], `g_idx` I32 [i] (the group of each input; some
writers leave it out).
"""

from __future__ import annotations

from math import ceil, floor

from ..method_names import AUTO_ROUND_METHODS
from .awq import declares_awq
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

_BITS = (2, 3, 4, 8)


def _accept(p: Packed) -> bool:
    """Return whether the scales are as wide as the packed matrix.

    GPTQ packs along the inputs; AWQ, which has the same names, packs along the outputs, and has no
    index. Where neither fits, the declaration decides.
    """
    if len(p.shape) != 2:
        return False
    is_awq = declares_awq(p.declared)
    scales = p.companions.get(".scales")
    if scales is None:
        return not is_awq
    if len(scales) == 2 and scales[1] == p.shape[1]:
        return True
    if is_awq:
        return False
    is_auto_round = p.declared is not None and p.declared.method in AUTO_ROUND_METHODS
    return is_auto_round or ".g_idx" in p.companions


def _unpack(p: Packed) -> Decoded | None:
    words, outputs = p.shape
    bits = _stored_bits(p)
    if bits is None:
        return None

    inputs = words * 32 // int(bits)
    detail = f"{bits:g} bits"
    scales = p.companions.get(".scales")
    if scales and scales[0] > 1:
        detail += f", groups of {ceil_div(inputs, scales[0])}"

    shape = (outputs, inputs)
    return Decoded(
        width=bits,
        shape=shape,
        detail=detail,
        problem=_companion_problem(p, shape, bits),
    )


def _stored_bits(p: Packed) -> float | None:
    """Return the bits on which most of index, zero points and declaration agree.

    Where all differ, the first of them that gives a possible number.
    """
    words, outputs = p.shape
    index = p.companions.get(".g_idx")
    zeros = p.companions.get(".qzeros")
    given: list[float] = []
    if index and len(index) == 1 and index[0]:
        given.append(words * 32 / index[0])
    if zeros and len(zeros) == 2 and outputs:
        given.append(zeros[1] * 32 / outputs)
    if p.bits is not None:
        given.append(p.bits)
    possible = [bits for bits in given if bits in _BITS]
    return max(possible, key=possible.count, default=None)


def _companion_problem(p: Packed, shape: tuple[int, int], bits: float) -> str:
    """Return what is wrong with scales or zero points, or "" where they cover all inputs."""
    outputs, inputs = shape
    index = p.companions.get(".g_idx")
    if index is not None and index not in ((inputs,), (0,)):
        return (
            f"index of shape {format_shape(index)} is not one number for each of {inputs:,} inputs"
        )
    scales = p.companions.get(".scales")
    if scales is not None and (len(scales) != 2 or scales[1] != outputs):
        return f"scales of shape {format_shape(scales)} do not fit {outputs:,} outputs"
    zeros = p.companions.get(".qzeros")
    if scales and zeros is not None:
        words = outputs * bits / 32
        if not _zeros_fit(zeros, scales[0], words):
            return zeros_problem(zeros, scales)

    if scales is None or p.group_size is None:
        return ""

    groups = ceil_div(inputs, p.group_size)
    if scales[0] == groups:
        return ""

    stored = format_shape(scales)
    needed = format_shape((groups, outputs))
    return f"scales have shape {stored}, but groups of {p.group_size} need {needed}"


def _zeros_fit(zeros: Shape, groups: int, words: float) -> bool:
    """Return whether zero points are [groups, words].

    Where values do not fill the last word, some writers round up and some down.
    """
    if len(zeros) != 2 or zeros[0] != groups:
        return False
    return floor(words) <= zeros[1] <= ceil(words)


FORMATS = (
    PackingFormat(
        name="gptq",
        methods=AUTO_ROUND_METHODS
        | {"gptq", "gptqmodel", "gptq_marlin", "auto_gptq", "marlin", "moe_wna16"},
        endings=(".qweight",),
        suffix=".qweight",
        logical_suffix=".weight",
        dtypes=INT32,
        scales=(".scales",),
        extras=(".qzeros", ".g_idx"),
        unpack=_unpack,
        accept=_accept,
        certain=True,
        companion_dtypes={".scales": FLOATS16, ".qzeros": INT32, ".g_idx": INT32},
    ),
)
