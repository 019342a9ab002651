"""bitsandbytes: LLM.int8, and NF4 or FP4.

- Int8 (transformers quantizer_bnb_8bit): `weight` I8 [o, i], `SCB` F32 [o], `weight_format` U8 [].
- Four bits (bitsandbytes QuantState): `weight` a flat column of packed values [o * i / 2, 1] in U8
  (or another storage dtype), `weight.absmax`, `weight.quant_map`; doubly quantized ones add
  `weight.nested_absmax` and `weight.nested_quant_map`. The shape is a value inside
  `weight.quant_state.bitsandbytes__nf4`, so the header gives only the number of elements.
"""

from __future__ import annotations

from math import prod

from ...sources.raw import DTYPE_BITS
from .base import (
    FLOAT32,
    STACKED_EXPERTS,
    UINT8,
    Decoded,
    Packed,
    PackingFormat,
    Shape,
    ceil_div,
    format_shape,
)

_METHODS = frozenset({"bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit"})
_BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Elements that share a scale: bitsandbytes functional.py takes 64 to 4096, and 32."""

_NESTED_BLOCK = 256
"""Scales that share a scale of their own, where they are quantised (bitsandbytes, nested)."""

_QUANT_STATE = (
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".quant_state.bitsandbytes__nf4",
    ".quant_state.bitsandbytes__fp4",
)
_STATE_NAMES = _QUANT_STATE[-2:]
_STATE_BYTES = (60, 4096)
"""Bytes of the text of a state, at least and at most: type, block size, dtype and shape are some
80, and a few more where scales are quantised."""
_STATE_DTYPES = {
    ".absmax": UINT8 | FLOAT32,
    ".quant_map": FLOAT32,
    ".nested_absmax": FLOAT32,
    ".nested_quant_map": FLOAT32,
    **dict.fromkeys(_STATE_NAMES, UINT8),
}


def _unpack_4bit(p: Packed) -> Decoded:
    stored_bits = prod(p.shape) * DTYPE_BITS.get(p.dtype, 8)
    elements = stored_bits // 4
    detail = "nf4"
    if any(suffix.endswith("fp4") for suffix in p.companions):
        detail = "fp4"

    return Decoded(
        width=4,
        elements=elements,
        detail=detail,
        problem=_column_problem(p) or _scale_problem(p, elements),
    )


def _is_text(state: Shape) -> bool:
    """Return whether a tensor of bytes can be the text of a state."""
    least, most = _STATE_BYTES
    return len(state) == 1 and least <= state[0] <= most


def _scale_problem(p: Packed, elements: int) -> str:
    """Return what is wrong with the scales of values, and with what belongs to them, or ""."""
    scales = p.first(".absmax", "_absmax")
    if scales is None:
        return ""
    if not _covers(scales, elements):
        return f"scales of shape {format_shape(scales)} do not cover {elements:,} elements"
    return _nested_problem(p, scales)


def _column_problem(p: Packed) -> str:
    """Return what is wrong with the shape of values or of the state that describes them, or "".

    bitsandbytes 0.50.2 functional.py: quantize_4bit makes a column, and dequantize_4bit transposes
    what it makes of a row; QuantState.as_dict packs a dict as the bytes of its JSON text.
    """
    if len(p.shape) != 2 or p.shape[1] != 1:
        return f"values of shape {format_shape(p.shape)} are not a column [.., 1]"
    for suffix in _STATE_NAMES:
        state = p.companions.get(suffix)
        if state is not None and not _is_text(state):
            return f"*{suffix} has shape {format_shape(state)}, expected the bytes of a short text"
    return ""


def _nested_problem(p: Packed, scales: Shape) -> str:
    """Return what is wrong with the scales of quantised scales and with the tables, or ""."""
    needed = {
        ".nested_absmax": (ceil_div(scales[0], _NESTED_BLOCK),),
        ".quant_map": (16,),
        ".nested_quant_map": (256,),
    }
    for suffix, shape in needed.items():
        stored = p.companions.get(suffix, shape)
        if stored != shape:
            return f"*{suffix} has shape {format_shape(stored)}, expected {format_shape(shape)}"
    return ""


def _covers(scales: Shape, elements: int) -> bool:
    """Return whether there is one scale for each block of some usual size."""
    needed = [(ceil_div(elements, size),) for size in _BLOCK_SIZES]
    return scales in needed


def _unpack_8bit(p: Packed) -> Decoded:
    problem = ""
    scales = p.companions.get(".SCB")
    if scales is not None and scales != p.shape[:1]:
        problem = f"scales of shape {format_shape(scales)} do not cover {format_shape(p.shape)}"

    return Decoded(
        width=8,
        shape=p.shape,
        detail="int8",
        problem=problem,
    )


FORMATS = (
    PackingFormat(
        name="bitsandbytes",
        methods=_METHODS,
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=frozenset({"I8"}),
        scales=(".SCB",),
        extras=(".weight_format",),
        marks=(".weight_format",),
        unpack=_unpack_8bit,
        width=8,
        companion_dtypes={".SCB": FLOAT32, ".weight_format": UINT8},
    ),
    PackingFormat(
        name="bitsandbytes",
        methods=_METHODS,
        endings=(".weight",),
        suffix="",
        logical_suffix="",
        scales=(".absmax",),
        extras=_QUANT_STATE,
        marks=_QUANT_STATE,
        unpack=_unpack_4bit,
        width=4,
        companion_dtypes=_STATE_DTYPES,
    ),
    PackingFormat(
        name="bitsandbytes",
        methods=_METHODS,
        endings=STACKED_EXPERTS,
        suffix="",
        logical_suffix="",
        scales=(".absmax",),
        extras=_QUANT_STATE,
        unpack=_unpack_4bit,
        width=4,
        companion_dtypes=_STATE_DTYPES,
    ),
)
