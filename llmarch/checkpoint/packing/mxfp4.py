"""MXFP4: FP4 (E2M1) values, two a byte, with one E8M0 scale (a U8 exponent) for each 32.

- gpt-oss (transformers integrations/mxfp4.py): stacked experts `gate_up_proj_blocks` U8
  [E, o, i / 32, 16] and `gate_up_proj_scales` U8 [E, o, i / 32].
- As a matrix: `weight` U8 or I8 [o, i / 2] with `scale` (DeepSeek V4) or `weight_scale` (Quark,
  ModelOpt), or `weight_packed` (compressed-tensors mxfp4-pack-quantized, auto-round) with
  `weight_scale`; scales [o, i / 32]. Static FP8 activations add `input_scale`.
"""

from __future__ import annotations

from ..method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS
from .base import (
    EXPONENTS,
    REAL_DTYPES,
    UINT8,
    Decoded,
    Packed,
    PackingFormat,
    scale_problem,
)

_GROUP_SIZE = 32
_GROUP_BYTES = 16


def _unpack_blocks(p: Packed) -> Decoded | None:
    if len(p.shape) < 3 or p.shape[-1] != _GROUP_BYTES:
        return None

    *lead, groups, _ = p.shape
    scale = p.companions.get("_scales")
    return Decoded(
        width=4,
        shape=(*lead, groups * _GROUP_SIZE),
        detail="groups of 32",
        problem=scale_problem(scale, needed=(*lead, groups)),
    )


def _accept_matrix(p: Packed) -> bool:
    """Return whether there is a scale for each 32 values: U8 matrices alone may be anything."""
    if len(p.shape) < 2:
        return False
    *lead, width = p.shape
    needed = (*lead, width // _GROUP_BYTES)
    return p.first(".scale", ".weight_scale") == needed


def _unpack_matrix(p: Packed) -> Decoded:
    *lead, width = p.shape
    return Decoded(
        width=4,
        shape=(*lead, width * 2),
        detail="groups of 32",
    )


FORMATS = (
    PackingFormat(
        name="mxfp4",
        methods=frozenset({"mxfp4", "gpt_oss_mxfp4"}),
        endings=("_blocks",),
        suffix="_blocks",
        logical_suffix="",
        dtypes=frozenset({"U8"}),
        scales=("_scales",),
        unpack=_unpack_blocks,
        certain=True,
        width=4,
        companion_dtypes={"_scales": UINT8},
    ),
    PackingFormat(
        name="mxfp4",
        methods=MODELOPT_METHODS | {"mxfp4", "quark", "fp8", "fp4", "deepseek_v4_fp8"},
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=frozenset({"U8", "I8"}),
        scales=(".scale", ".weight_scale"),
        extras=(".input_scale",),
        unpack=_unpack_matrix,
        accept=_accept_matrix,
        width=4,
        companion_dtypes={
            ".scale": EXPONENTS,
            ".weight_scale": EXPONENTS,
            ".input_scale": REAL_DTYPES,
        },
    ),
    PackingFormat(
        name="mxfp4",
        methods=AUTO_ROUND_METHODS | {"compressed-tensors"},
        endings=(".weight_packed",),
        suffix=".weight_packed",
        logical_suffix=".weight",
        dtypes=frozenset({"U8"}),
        scales=(".weight_scale",),
        unpack=_unpack_matrix,
        accept=_accept_matrix,
        width=4,
        companion_dtypes={".weight_scale": EXPONENTS},
    ),
)
