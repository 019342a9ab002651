"""NVFP4: FP4 (E2M1) values, two a byte, with an F8_E4M3 scale for each 16 and an F32 scale for all.

- ModelOpt (its unified HF export): `weight` U8 [o, i / 2], `weight_scale` F8_E4M3 [o, i / 16],
  `weight_scale_2` F32 [], `input_scale` F32 []. Stacked experts keep these names with underscores.
- Quark: the same with `input_scale_2` (vLLM 0.33.0 quark_nvfp4.py).
- compressed-tensors (compressors/nvfp4_quantized): `weight_packed` U8 [o, i / 2], `weight_scale`
  F8_E4M3 [o, i / 16], `weight_global_scale` and `input_global_scale` F32 [1].
"""

from __future__ import annotations

from ..method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS
from .base import (
    FLOAT32,
    REAL_DTYPES,
    STACKED_EXPERTS,
    Decoded,
    Packed,
    PackingFormat,
    Shape,
    scale_problem,
)

_BYTES = frozenset({"U8"})
_MODELOPT = MODELOPT_METHODS | {"petit_nvfp4", "quark"}
_LOW_RANK = (".svdquant_lora_a", ".svdquant_lora_b")
"""What SVDQuant keeps of each matrix beside it (ModelOpt 0.47.0 export)."""
_SCALES = frozenset({"F8_E4M3"})
_GROUP_BYTES = 8
"""Bytes of the 16 values that share a scale."""


def _accept(p: Packed) -> bool:
    """Return whether there is a scale for each 16 values, or one for the tensor (ModelOpt)."""
    if len(p.shape) < 2:
        return False
    if ".weight_scale_2" in p.companions:
        return True
    scale = _stored_scale(p)
    return scale is None or scale == _needed_scale(p)


def _unpack(p: Packed) -> Decoded:
    *lead, width = p.shape
    return Decoded(
        width=4,
        shape=(*lead, width * 2),
        detail="groups of 16",
        problem=scale_problem(_stored_scale(p), _needed_scale(p)),
    )


def _stored_scale(p: Packed) -> Shape | None:
    return p.first(".weight_scale", "_weight_scale")


def _needed_scale(p: Packed) -> Shape:
    *lead, width = p.shape
    return (*lead, width // _GROUP_BYTES)


FORMATS = (
    PackingFormat(
        name="nvfp4",
        methods=_MODELOPT,
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=_BYTES,
        scales=(".weight_scale",),
        extras=(
            ".weight_scale_2",
            ".input_scale",
            ".input_scale_2",
            ".pre_quant_scale",
            *_LOW_RANK,
        ),
        marks=(".weight_scale_2",),
        unpack=_unpack,
        accept=_accept,
        width=4,
        companion_dtypes={
            ".weight_scale": _SCALES,
            ".weight_scale_2": FLOAT32,
            ".input_scale": FLOAT32,
            ".input_scale_2": FLOAT32,
            ".pre_quant_scale": REAL_DTYPES,
        },
    ),
    PackingFormat(
        name="nvfp4",
        methods=_MODELOPT,
        endings=STACKED_EXPERTS,
        suffix="",
        logical_suffix="",
        dtypes=_BYTES,
        scales=("_weight_scale",),
        extras=("_weight_scale_2", "_input_scale"),
        unpack=_unpack,
        accept=_accept,
        width=4,
        companion_dtypes={
            "_weight_scale": _SCALES,
            "_weight_scale_2": FLOAT32,
            "_input_scale": FLOAT32,
        },
    ),
    PackingFormat(
        name="nvfp4",
        methods=AUTO_ROUND_METHODS | {"compressed-tensors", "mistral"},
        endings=(".weight_packed",),
        suffix=".weight_packed",
        logical_suffix=".weight",
        dtypes=_BYTES,
        scales=(".weight_scale",),
        extras=(".weight_global_scale", ".input_global_scale", ".weight_shape"),
        unpack=_unpack,
        accept=_accept,
        certain=True,
        width=4,
        companion_dtypes={
            ".weight_scale": _SCALES,
            ".weight_global_scale": FLOAT32,
            ".input_global_scale": FLOAT32,
            ".weight_shape": frozenset({"I32", "I64"}),
        },
    ),
)
