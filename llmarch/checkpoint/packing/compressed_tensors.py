"""compressed-tensors: packed integers, and 8-bit integers of the logical shape.

compressors/pack_quantized: `weight_packed` I32 [o, ceil(i / (32 // bits))], `weight_scale` [o, groups] (or [o, 1] per channel),
`weight_shape` [2] (a value, so not in the header), and for asymmetric or reordered ones `weight_zero_point`, `weight_g_idx` [i].
int-quantized and naive-quantized: `weight` I8 [o, i] with `weight_scale` and, if asymmetric, `weight_zero_point`; float-quantized is
FP8 (fp8.py), nvfp4-pack-quantized and mxfp4-pack-quantized are FP4 (nvfp4.py, mxfp4.py).
"""

from __future__ import annotations

from .base import INT32, Format, Packed, Plain, Shape, listed

METHODS = frozenset({"compressed-tensors"})
BITS = (4, 8, 2, 3, 6, 5)
GROUPS = (16, 32, 64, 128, 256)


def unpack(p: Packed) -> Plain | None:
    if len(p.shape) < 2:
        return None
    *lead, words = p.shape
    scale, g_idx = p.beside.get(".weight_scale"), p.beside.get(".weight_g_idx")
    groups = scale[-1] if scale and len(scale) == len(p.shape) else 1
    wrong = (
        f"its scales are {listed(scale)}, for {lead[-1]} outputs"
        if scale and len(scale) >= 2 and list(scale[:-1]) != lead
        else ""
    )
    for bits in (p.bits,) if p.bits else BITS:
        per = 32 // bits
        inputs = range(max(1, (words - 1) * per + 1), words * per + 1)
        if g_idx and g_idx[0] in inputs:
            return Plain(bits, (*lead, g_idx[0]), how=told(bits, g_idx[0], groups), wrong=wrong)
        if groups > 1 and p.group and groups * p.group in inputs:
            return Plain(
                bits,
                (*lead, groups * p.group),
                how=told(bits, groups * p.group, groups),
                wrong=wrong,
                open=p.bits is None,
            )
        if p.bits or (groups > 1 and words * per % groups == 0 and words * per // groups in GROUPS):
            padded: tuple[Shape, ...] = tuple((*lead, i) for i in reversed(inputs[:-1]))
            how = told(bits, words * per, groups)
            return Plain(
                bits, (*lead, words * per), padded, how=how, wrong=wrong, open=p.bits is None
            )
    return Plain(
        4,
        (*lead, words * 8),
        tuple((*lead, words * (32 // b)) for b in BITS[1:]),
        wrong=wrong,
        open=True,
    )


def told(bits: int, i: int, groups: int) -> str:
    return f"{bits} bits, " + (f"groups of {-(-i // groups)}" if groups > 1 else "per channel")


PACKED = Format(
    name="compressed-tensors",
    methods=METHODS,
    values=(".weight_packed",),
    stem=".weight_packed",
    logical=".weight",
    dtypes=INT32,
    scales=(".weight_scale",),
    beside=(
        ".weight_shape",
        ".weight_zero_point",
        ".weight_g_idx",
        ".input_scale",
        ".input_zero_point",
    ),
    unpack=unpack,
    sure=True,
    width=4,
)

INT8 = Format(
    name="int8",
    methods=METHODS | {"modelopt", "quark"},
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=frozenset({"I8"}),
    scales=(".weight_scale",),
    beside=(".weight_zero_point", ".input_scale", ".input_zero_point", ".azp_adj"),
    unpack=lambda p: Plain(8, p.shape),
    width=8,
)

FORMATS = (PACKED, INT8)
