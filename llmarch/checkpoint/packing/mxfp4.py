"""MXFP4: FP4 (E2M1) values, two a byte, with one E8M0 scale (a U8 exponent) for each 32.

gpt-oss (transformers integrations/mxfp4.py): stacked experts `gate_up_proj_blocks` U8 [E, o, i / 32, 16] and `gate_up_proj_scales` U8
[E, o, i / 32]. As a matrix: `weight` U8 or I8 [o, i / 2] with `scale` (DeepSeek V4) or `weight_scale` (Quark), or `weight_packed`
(compressed-tensors mxfp4-pack-quantized) with `weight_scale`, [o, i / 32] each.
"""

from __future__ import annotations

from .base import Format, Packed, Plain, listed

GROUP = 32


def unpack_blocks(p: Packed) -> Plain | None:
    if len(p.shape) < 3 or p.shape[-1] != GROUP // 2:
        return None
    scale = p.beside.get("_scales")
    wrong = (
        f"its scales are {listed(scale)}; {listed(p.shape[:-1])} is needed"
        if scale is not None and scale != p.shape[:-1]
        else ""
    )
    return Plain(4, (*p.shape[:-2], p.shape[-2] * GROUP), how="groups of 32", wrong=wrong)


def accept_matrix(p: Packed) -> bool:
    scale = p.first(".scale", ".weight_scale")
    return len(p.shape) >= 2 and scale == (*p.shape[:-1], p.shape[-1] // (GROUP // 2))


def unpack_matrix(p: Packed) -> Plain:
    return Plain(4, (*p.shape[:-1], p.shape[-1] * 2), how="groups of 32")


BLOCKS = Format(
    name="mxfp4",
    methods=frozenset({"mxfp4"}),
    values=("_blocks",),
    stem="_blocks",
    logical="",
    dtypes=frozenset({"U8"}),
    scales=("_scales",),
    unpack=unpack_blocks,
    sure=True,
    width=4,
)

MATRIX = Format(
    name="mxfp4",
    methods=frozenset({"mxfp4", "quark", "fp8", "fp4"}),
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=frozenset({"U8", "I8"}),
    scales=(".scale", ".weight_scale"),
    unpack=unpack_matrix,
    accept=accept_matrix,
    width=4,
)

COMPRESSED = Format(
    name="mxfp4",
    methods=frozenset({"compressed-tensors"}),
    values=(".weight_packed",),
    stem=".weight_packed",
    logical=".weight",
    dtypes=frozenset({"U8"}),
    scales=(".weight_scale",),
    unpack=unpack_matrix,
    accept=accept_matrix,
    width=4,
)

FORMATS = (BLOCKS, MATRIX, COMPRESSED)
