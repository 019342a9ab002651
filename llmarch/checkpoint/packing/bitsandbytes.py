"""bitsandbytes: LLM.int8, and NF4 or FP4.

Int8 (transformers quantizer_bnb_8bit): `weight` I8 [o, i], `SCB` F32 [o], `weight_format` U8 []. Four bits (bitsandbytes QuantState):
`weight` a flat column of packed values [o * i / 2, 1] in U8 (or another storage dtype), `weight.absmax`, `weight.quant_map`, for doubly
quantised ones `weight.nested_absmax` and `weight.nested_quant_map`, and `weight.quant_state.bitsandbytes__nf4` (its shape is a value
in there, so the header tells only the number of elements).
"""

from __future__ import annotations

from math import prod

from ...raw import BITS
from .base import FUSED, Format, Packed, Plain

METHODS = frozenset({"bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit"})
PARTS = (".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4")


def unpack_4bit(p: Packed) -> Plain:
    return Plain(4, elements=prod(p.shape) * BITS.get(p.dtype, 8) // 4, how="fp4" if any(s.endswith("fp4") for s in p.beside) else "nf4")


INT8 = Format(
    name="bitsandbytes",
    methods=METHODS,
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=frozenset({"I8"}),
    scales=(".SCB",),
    beside=(".weight_format",),
    marks=(".weight_format",),
    unpack=lambda p: Plain(8, p.shape, how="int8"),
    width=8,
)

FOUR = Format(
    name="bitsandbytes",
    methods=METHODS,
    values=(".weight",),
    stem="",
    logical="",
    scales=(".absmax",),
    beside=PARTS,
    marks=PARTS,
    unpack=unpack_4bit,
    width=4,
)

FOUR_EXPERTS = Format(
    name="bitsandbytes", methods=METHODS, values=FUSED, stem="", logical="", scales=(".absmax",), beside=PARTS, unpack=unpack_4bit, width=4
)

FORMATS = (INT8, FOUR, FOUR_EXPERTS)
