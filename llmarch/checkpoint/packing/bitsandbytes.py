"""bitsandbytes: LLM.int8, and NF4 or FP4.

Int8 (transformers quantizer_bnb_8bit): `weight` I8 [o, i], `SCB` F32 [o], `weight_format` U8 []. Four bits (bitsandbytes QuantState):
`weight` a flat column of packed values [o * i / 2, 1] in U8 (or another storage dtype), `weight.absmax`, `weight.quant_map`, for doubly
quantised ones `weight.nested_absmax` and `weight.nested_quant_map`, and `weight.quant_state.bitsandbytes__nf4` (its shape is a value
in there, so the header tells only the number of elements).
"""

from __future__ import annotations

from math import prod

from ...sources.raw import BITS
from .base import FUSED, Format, Packed, Plain, listed

METHODS = frozenset({"bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit"})
BLOCKS = tuple(2**n for n in range(5, 13))
"""Elements for which there is one scale: bitsandbytes functional.py takes 64 to 4096, and 32."""
PARTS = (
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".quant_state.bitsandbytes__nf4",
    ".quant_state.bitsandbytes__fp4",
)


def unpack_4bit(p: Packed) -> Plain:
    n = prod(p.shape) * BITS.get(p.dtype, 8) // 4
    scale = p.first(".absmax", "_absmax")
    covered = scale is None or (
        len(scale) == 1 and any(scale[0] == -(-n // block) for block in BLOCKS)
    )
    wrong = "" if covered else f"its scales are {listed(scale or ())}, for {n:,} elements"
    return Plain(
        4, elements=n, how="fp4" if any(s.endswith("fp4") for s in p.beside) else "nf4", wrong=wrong
    )


def unpack_8bit(p: Packed) -> Plain:
    scale = p.beside.get(".SCB")
    wrong = (
        ""
        if scale is None or scale in (p.shape[:1], (*p.shape[:1], 1))
        else f"its scales are {listed(scale)}, for {listed(p.shape)}"
    )
    return Plain(8, p.shape, how="int8", wrong=wrong)


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
    unpack=unpack_8bit,
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
    name="bitsandbytes",
    methods=METHODS,
    values=FUSED,
    stem="",
    logical="",
    scales=(".absmax",),
    beside=PARTS,
    unpack=unpack_4bit,
    width=4,
)

FORMATS = (INT8, FOUR, FOUR_EXPERTS)
