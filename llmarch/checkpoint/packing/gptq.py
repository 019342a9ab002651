"""GPTQ: integers of 2, 3, 4 or 8 bits packed into 32-bit words along the inputs.

AutoGPTQ and GPTQModel QuantLinear: `qweight` I32 [i * bits / 32, o], `qzeros` I32 [groups, o * bits / 32], `scales` F16 [groups, o],
`g_idx` I32 [i] (the group of each input; some writers leave it out).
"""

from __future__ import annotations

from math import ceil, floor

from .base import INT32, Format, Packed, Plain, listed

METHODS = frozenset({"gptq", "gptqmodel", "auto-round", "intel/auto-round", "auto_gptq", "marlin"})
BITS = (2, 3, 4, 8)


def accept(p: Packed) -> bool:
    """Scales as wide as the packed matrix: packed along the inputs (AWQ packs along the outputs)."""
    scales = p.beside.get(".scales")
    return len(p.shape) == 2 and (scales is None or (len(scales) == 2 and scales[1] == p.shape[1]))


def unpack(p: Packed) -> Plain | None:
    words, o = p.shape
    g_idx, zeros = p.beside.get(".g_idx"), p.beside.get(".qzeros")
    if g_idx and len(g_idx) == 1 and g_idx[0]:
        width = words * 32 / g_idx[0]
    elif zeros and len(zeros) == 2 and o:
        width = zeros[1] * 32 / o
    else:
        width = p.bits or 0
    wrong = (
        ""
        if width in BITS
        else f"{words:,} words are not {p.bits} bits for each input or zero point beside it"
    )
    width = p.bits if wrong else width
    if width not in BITS:
        return None
    i = words * 32 // int(width)
    return Plain(
        width,
        (o, i),
        how=f"{width:g} bits{group(p, i)}",
        wrong=wrong or scales_wrong(p, (o, i), width),
    )


def group(p: Packed, i: int) -> str:
    scales = p.beside.get(".scales")
    return f", groups of {-(-i // scales[0])}" if scales and scales[0] > 1 else ""


def scales_wrong(p: Packed, shape: tuple[int, int], width: float) -> str:
    """Scales must cover the inputs in the declared groups."""
    scales, zeros = p.beside.get(".scales"), p.beside.get(".qzeros")
    if (
        scales
        and zeros
        and (
            len(zeros) != 2
            or zeros[0] != scales[0]
            or not floor(shape[0] * width / 32) <= zeros[1] <= ceil(shape[0] * width / 32)
        )
    ):
        return f"its zero points are {listed(zeros)}, its scales {listed(scales)}"
    if scales is None or p.group is None or scales[0] == -(-shape[1] // p.group):
        return ""
    return f"its scales are {listed(scales)}; groups of {p.group} need [{-(-shape[1] // p.group)}, {shape[0]}]"


GPTQ = Format(
    name="gptq",
    methods=METHODS,
    values=(".qweight",),
    stem=".qweight",
    logical=".weight",
    dtypes=INT32,
    scales=(".scales",),
    beside=(".qzeros", ".g_idx"),
    unpack=unpack,
    accept=accept,
    sure=True,
)

FORMATS = (GPTQ,)
