"""AWQ: 4-bit integers packed into 32-bit words, along the outputs (GEMM) or the inputs (GEMV).

AutoAWQ modules/linear: GEMM `qweight` I32 [i, o * bits / 32], `qzeros` I32 [groups, o * bits / 32], `scales` F16 [groups, o];
GEMV `qweight` I32 [o, i * bits / 32], `scales` F16 [o, groups, padded].
"""

from __future__ import annotations

from .base import INT32, Format, Packed, Plain, listed

METHODS = frozenset({"awq", "auto-round", "intel/auto-round", "awq_marlin", "modelopt"})


def unpack(p: Packed) -> Plain | None:
    scales = p.beside.get(".scales")
    if len(p.shape) != 2 or (scales is not None and len(scales) != 2):
        return None
    if scales is None:
        width = p.bits or 4
        return Plain(width, (p.shape[1] * 32 // width, p.shape[0]))
    width = p.shape[1] * 32 / scales[1] if scales[1] else 0
    if width in (2, 4, 8):
        size = -(-p.shape[0] // scales[0]) if scales[0] else 0
        zeros = p.beside.get(".qzeros", (scales[0], p.shape[1]))
        wrong = (
            ""
            if zeros == (scales[0], p.shape[1])
            else f"its zero points are {listed(zeros)}, its scales {listed(scales)}"
        )
        return Plain(
            width, (scales[1], p.shape[0]), how=f"{width:g} bits, groups of {size}", wrong=wrong
        )
    if scales[0] == p.shape[0]:
        return Plain(4, (p.shape[0], p.shape[1] * 8), how="4 bits, GEMV")
    return None


AWQ = Format(
    name="awq",
    methods=METHODS,
    values=(".qweight",),
    stem=".qweight",
    logical=".weight",
    dtypes=INT32,
    scales=(".scales",),
    beside=(".qzeros",),
    unpack=unpack,
    sure=True,
)

FORMATS = (AWQ,)
