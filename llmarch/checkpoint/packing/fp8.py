"""FP8 weights (F8_E4M3 or E5M2) of their logical shape, with scales beside them.

Scales per block of 128 x 128: `weight_scale_inv` [ceil(o/128), ceil(i/128)] (DeepSeek V3, its README_WEIGHTS.md; transformers
integrations/finegrained_fp8.py), `weight_scale` in Mistral Large 3 and in compressed-tensors' block strategy, `scale` in DeepSeek's
inference format. Per tensor or channel: `weight_scale` [], [1], [o] or [o, 1], and `input_scale` (ModelOpt, compressed-tensors
float-quantized, FBGEMM); Mistral's own names are `qscale_weight` and `qscale_act`. Stacked experts join them with an underscore.
"""

from __future__ import annotations

from .base import FLOAT8, FUSED, Format, Packed, Plain, blocks_of, listed

SCALES = (".weight_scale_inv", ".weight_scale", ".qscale_weight", ".scale")
FUSED_SCALES = ("_scale_inv", "_weight_scale_inv", "_weight_scale", "_scale")
BLOCKS = [(128, 128), (64, 64), (32, 32), (1, 128), (1, 64), (1, 32)]
METHODS = frozenset(
    {"fp8", "modelopt", "compressed-tensors", "fbgemm_fp8", "mistral", "ptpc_fp8", "quark"}
)


def unpack(p: Packed) -> Plain:
    scale = p.first(*SCALES, *FUSED_SCALES)
    how = granularity(p, scale) if scale is not None else ""
    wrong = (
        ""
        if how or scale is None
        else f"its scales are {listed(scale)}, which do not cover {listed(p.shape)}"
    )
    return Plain(8, p.shape, how=how, wrong=wrong)


def granularity(p: Packed, scale: tuple[int, ...]) -> str:
    """Per tensor, per expert, per channel, or blocks of which size; empty if the scales fit in no such way."""
    declared = p.declared.block if p.declared else None
    only = (
        p.declared.method == "fp8" if p.declared and declared and len(p.shape) == 2 else False
    )  # other methods may have several ways
    if all(n == 1 for n in scale) and not (
        only and declared and scale != blocks_of(p.shape, (declared[0], declared[1]))
    ):
        return "per tensor"
    if len(p.shape) < 2:
        return "per element" if scale == p.shape else ""
    *lead, o, i = p.shape
    if scale in ((*lead, o), (*lead, o, 1), (*lead, 1, o), (*lead, 1, i)):
        return "per channel"
    for block in [(declared[0], declared[1])] if declared and len(declared) == 2 else BLOCKS:
        if scale == blocks_of(p.shape, block):
            return f"blocks {block[0]} × {block[1]}"
    return "per expert" if lead and scale[0] == lead[0] and all(n == 1 for n in scale[1:]) else ""


FP8 = Format(
    name="fp8",
    methods=METHODS,
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=FLOAT8,
    scales=SCALES,
    beside=(
        ".input_scale",
        ".qscale_act",
        ".activation_scale",
        ".input_scale_ub",
        ".weight_zero_point",
        ".input_zero_point",
    ),
    unpack=unpack,
    sure=True,
    width=8,
)

FP8_EXPERTS = Format(
    name="fp8",
    methods=METHODS,
    values=FUSED,
    stem="",
    logical="",
    dtypes=FLOAT8,
    scales=FUSED_SCALES,
    beside=("_input_scale", "_activation_scale"),
    unpack=unpack,
    sure=True,
    width=8,
)

FORMATS = (FP8, FP8_EXPERTS)
