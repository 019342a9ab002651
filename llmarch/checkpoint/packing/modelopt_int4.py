"""Four-bit integers of ModelOpt, two a byte along the outputs, and of Quark, eight a word.

- ModelOpt 0.47.0 (torch/export/quant_utils.py, pack_int4_in_uint8; W4A16_AWQ, W4A8_AWQ): `weight`
  U8 [.., o / 2, i], `weight_scale` [.., o, i / group], `pre_quant_scale` [i]; W4A8 adds
  `weight_scale_2` and `input_scale`.
- Quark (vLLM 0.33.0 quark_w4a16_int4.py): `weight` I32 [i, o / 8], `weight_scale` [groups, o],
  and `weight_zero_point` I32 [groups, o / 8] if asymmetric.
"""

from __future__ import annotations

from ..method_names import MODELOPT_METHODS
from .base import (
    FLOAT32,
    INT32,
    REAL_DTYPES,
    UINT8,
    Decoded,
    Packed,
    PackingFormat,
    ceil_div,
    zeros_problem,
)

_WORD = 8
"""Values in a word of 32 bits."""


def _accept_bytes(p: Packed) -> bool:
    """Return whether there is a scale for each output and each group of inputs."""
    scale = p.companions.get(".weight_scale")
    if scale is None or len(p.shape) < 2 or len(scale) != len(p.shape) or not scale[-1]:
        return False
    *lead, rows, inputs = p.shape
    return scale[:-1] == (*lead, rows * 2) and inputs % scale[-1] == 0


def _unpack_bytes(p: Packed) -> Decoded:
    *lead, rows, inputs = p.shape
    groups = p.companions[".weight_scale"][-1]
    return Decoded(
        width=4,
        shape=(*lead, rows * 2, inputs),
        detail=f"groups of {inputs // groups}",
    )


def _accept_words(p: Packed) -> bool:
    """Return whether the scales are [groups, outputs]."""
    scale = p.companions.get(".weight_scale")
    if scale is None or len(p.shape) != 2 or len(scale) != 2 or not scale[0]:
        return False
    inputs, words = p.shape
    return ceil_div(scale[1], _WORD) == words and inputs % scale[0] == 0


def _unpack_words(p: Packed) -> Decoded:
    inputs, words = p.shape
    groups, outputs = p.companions[".weight_scale"]
    zeros = p.companions.get(".weight_zero_point")
    problem = ""
    if zeros is not None and zeros != (groups, words):
        problem = zeros_problem(zeros, (groups, outputs))
    return Decoded(
        width=4,
        shape=(outputs, inputs),
        detail=f"groups of {inputs // groups}",
        problem=problem,
    )


FORMATS = (
    PackingFormat(
        name="int4",
        methods=MODELOPT_METHODS,
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=UINT8,
        scales=(".weight_scale",),
        extras=(".weight_scale_2", ".input_scale", ".pre_quant_scale"),
        unpack=_unpack_bytes,
        accept=_accept_bytes,
        width=4,
        companion_dtypes={
            ".weight_scale": REAL_DTYPES,
            ".weight_scale_2": FLOAT32,
            ".input_scale": FLOAT32,
            ".pre_quant_scale": REAL_DTYPES,
        },
    ),
    PackingFormat(
        name="int4",
        methods=frozenset({"quark"}),
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=INT32,
        scales=(".weight_scale",),
        extras=(".weight_zero_point",),
        unpack=_unpack_words,
        accept=_accept_words,
        width=4,
        companion_dtypes={".weight_scale": REAL_DTYPES, ".weight_zero_point": INT32},
    ),
)
