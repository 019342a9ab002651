"""FP8 weights (F8_E4M3 or F8_E5M2) of their logical shape, with scales beside them.

- Scales per block of 128 x 128: `weight_scale_inv` [ceil(o / 128), ceil(i / 128)] (DeepSeek V3, its
  README_WEIGHTS.md; transformers integrations/finegrained_fp8.py), `weight_scale` in Mistral Large
  3 and in compressed-tensors' block strategy, `scale` in DeepSeek's inference format.
- ModelOpt's FP8_PB_WO: `weight_scale` F32 [o / 128, 1, i / 128, 1] (vLLM 0.33.0 modelopt.py,
  KFp8Block128). MXFP8: [o, i / 32] in U8 (vLLM, KMxfp8Static) or F8_E8M0.
- Scales per tensor or channel: `weight_scale` [], [1], [o] or [o, 1], and `input_scale` (ModelOpt,
  compressed-tensors float-quantized, FBGEMM); `qscale_weight` and `qscale_act` in Mistral's names.
- Stacked experts join the suffix with an underscore.
"""

from __future__ import annotations

from ..method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS
from .base import (
    EXPONENTS,
    FLOAT8,
    REAL_DTYPES,
    STACKED_EXPERTS,
    Decoded,
    Packed,
    PackingFormat,
    Shape,
    blocks_of,
    format_shape,
)

_SCALES = (".weight_scale_inv", ".weight_scale", ".qscale_weight", ".scale")
_EXPERT_SCALES = ("_scale_inv", "_weight_scale_inv", "_weight_scale", "_scale")
_INPUT_SCALES = (".input_scale", ".qscale_act", ".activation_scale")
_EXPERT_INPUT_SCALES = ("_input_scale", "_activation_scale")
_BLOCKS = ((128, 128), (64, 64), (32, 32), (1, 128), (1, 64), (1, 32))
"""Blocks to try where the config declares none."""

_METHODS = (
    MODELOPT_METHODS
    | AUTO_ROUND_METHODS
    | {
        "compressed-tensors",
        "deepseek_v4_fp8",
        "fbgemm_fp8",
        "fp8",
        "mistral",
        "mxfp8",
        "ptpc_fp8",
        "quark",
        "w8a8_fp8",
    }
)


def _unpack(p: Packed) -> Decoded:
    scale = p.first(*_SCALES, *_EXPERT_SCALES)
    if scale is None:
        return Decoded(8, p.shape)

    detail = _granularity(p, scale)
    if detail:
        return Decoded(8, p.shape, detail=detail)

    stored = format_shape(scale)
    values = format_shape(p.shape)
    return Decoded(
        width=8,
        shape=p.shape,
        problem=f"scales of shape {stored} do not cover {values}",
    )


def _granularity(p: Packed, scale: Shape) -> str:
    """Return what one scale covers (tensor, expert, channel, block), or "" where none fits."""
    is_single = set(scale) <= {1}
    if is_single and not _contradicts_block(p, scale):
        return "per tensor"
    if len(p.shape) < 2:
        return "per element" if scale == p.shape else ""

    *lead, outputs, inputs = p.shape
    per_channel = (
        (*lead, outputs),
        (*lead, outputs, 1),
        (*lead, 1, outputs),
        (*lead, 1, inputs),
    )
    if scale in per_channel:
        return "per channel"

    for rows, columns in _candidate_blocks(p):
        blocks = blocks_of(p.shape, (rows, columns))
        if scale in (blocks, _spread(blocks)):
            return f"blocks {rows} × {columns}"

    if lead and scale[0] == lead[0] and set(scale[1:]) <= {1}:
        return "per expert"
    return ""


def _spread(blocks: Shape) -> Shape:
    """Return the shape of scales with a dimension after each of rows and columns (ModelOpt)."""
    *lead, rows, columns = blocks
    return (*lead, rows, 1, columns, 1)


def _contradicts_block(p: Packed, scale: Shape) -> bool:
    """Return whether method fp8 declares blocks that need another scale for this matrix.

    Other methods may scale some tensors by block and others as a whole.
    """
    if p.declared is None or p.declared.method != "fp8":
        return False
    if p.block is None or len(p.shape) != 2:
        return False
    return scale != blocks_of(p.shape, p.block)


def _candidate_blocks(p: Packed) -> tuple[tuple[int, int], ...]:
    if p.block is not None:
        return (p.block,)
    return _BLOCKS


FORMATS = (
    PackingFormat(
        name="fp8",
        methods=_METHODS,
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=FLOAT8,
        scales=_SCALES,
        extras=(
            *_INPUT_SCALES,
            ".input_scale_ub",
            ".weight_zero_point",
            ".input_zero_point",
        ),
        unpack=_unpack,
        certain=True,
        width=8,
        companion_dtypes={
            **dict.fromkeys(_SCALES, REAL_DTYPES | EXPONENTS),
            **dict.fromkeys(_INPUT_SCALES, REAL_DTYPES),
        },
    ),
    PackingFormat(
        name="fp8",
        methods=_METHODS,
        endings=STACKED_EXPERTS,
        suffix="",
        logical_suffix="",
        dtypes=FLOAT8,
        scales=_EXPERT_SCALES,
        extras=_EXPERT_INPUT_SCALES,
        unpack=_unpack,
        certain=True,
        width=8,
        companion_dtypes={
            **dict.fromkeys(_EXPERT_SCALES, REAL_DTYPES | EXPONENTS),
            **dict.fromkeys(_EXPERT_INPUT_SCALES, REAL_DTYPES),
        },
    ),
)
