"""Integers of 2, 4 and 8 bits of Gemma's quantisation-aware training, with a scale for each output.

transformers 5.23.0 (integrations/gemma_quant.py): `weight` U8 [o, i / 2] or [o, i / 4], or I8
[o, i], `weight_scale` F32 [o, 1], `input_activation_scale` and `output_activation_scale` F32 [];
an embedding has `embedding_quantized` and `embedding_scale` F32 [vocabulary, 1].
"""

from __future__ import annotations

from .base import FLOAT32, Decoded, Packed, PackingFormat

_METHODS = frozenset({"gemma"})
_DTYPES = frozenset({"U8", "I8"})
_ACTIVATIONS = (".input_activation_scale", ".output_activation_scale")


def _accept(p: Packed) -> bool:
    """Return whether there is one scale for each row."""
    scale = p.first(".weight_scale", ".embedding_scale")
    if len(p.shape) != 2:
        return False
    if scale != (p.shape[0], 1):
        return False
    is_declared = p.declared is not None and p.declared.method in _METHODS
    return is_declared or any(suffix in p.companions for suffix in _ACTIVATIONS)


def _unpack(p: Packed) -> Decoded:
    rows, stored = p.shape
    if p.dtype == "I8":
        return Decoded(width=8, shape=p.shape, detail="8 bits")
    bits = p.bits if p.bits in (2, 4) else None
    widths = (bits,) if bits else (4, 2)
    shapes = [(rows, stored * (8 // width)) for width in widths]
    return Decoded(
        width=widths[0],
        shape=shapes[0],
        other_shapes=tuple(shapes[1:]),
        detail=f"{widths[0]} bits" if bits else "",
        uncertain=bits is None,
    )


FORMATS = (
    PackingFormat(
        name="gemma",
        methods=_METHODS,
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=_DTYPES,
        scales=(".weight_scale",),
        extras=_ACTIVATIONS,
        unpack=_unpack,
        accept=_accept,
        companion_dtypes={".weight_scale": FLOAT32, **dict.fromkeys(_ACTIVATIONS, FLOAT32)},
    ),
    PackingFormat(
        name="gemma",
        methods=_METHODS,
        endings=(".embedding_quantized",),
        suffix=".embedding_quantized",
        logical_suffix=".weight",
        dtypes=_DTYPES,
        scales=(".embedding_scale",),
        unpack=_unpack,
        accept=_accept,
        companion_dtypes={".embedding_scale": FLOAT32},
    ),
)
