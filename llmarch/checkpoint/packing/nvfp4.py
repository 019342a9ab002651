"""NVFP4: FP4 (E2M1) values, two a byte, with an F8_E4M3 scale for each 16 and one F32 scale a tensor.

ModelOpt (its unified HF export): `weight` U8 [o, i / 2], `weight_scale` F8_E4M3 [o, i / 16], `weight_scale_2` F32 [], `input_scale`
F32 []. compressed-tensors (compressors/nvfp4_quantized): `weight_packed` U8 [o, i / 2], `weight_scale` F8_E4M3 [o, i / 16],
`weight_global_scale` and `input_global_scale` F32 [1]. Stacked experts keep the names with underscores.
"""

from __future__ import annotations

from .base import FUSED, Format, Packed, Plain, listed

BYTES = frozenset({"U8"})


def accept(p: Packed) -> bool:
    """One scale for 16 values."""
    scale = p.first(".weight_scale", "_weight_scale")
    return len(p.shape) >= 2 and (
        scale is None or scale == (*p.shape[:-1], p.shape[-1] // 8) or ".weight_scale_2" in p.beside
    )


def unpack(p: Packed) -> Plain:
    scale = p.first(".weight_scale", "_weight_scale")
    need = (*p.shape[:-1], p.shape[-1] // 8)
    wrong = (
        f"its scales are {listed(scale)}; {listed(need)} is needed"
        if scale is not None and scale != need
        else ""
    )
    return Plain(4, (*p.shape[:-1], p.shape[-1] * 2), how="groups of 16", wrong=wrong)


MODELOPT = Format(
    name="nvfp4",
    methods=frozenset({"modelopt", "modelopt_fp4", "nvfp4"}),
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=BYTES,
    scales=(".weight_scale",),
    beside=(".weight_scale_2", ".input_scale", ".pre_quant_scale"),
    marks=(".weight_scale_2",),
    unpack=unpack,
    accept=accept,
    width=4,
)

MODELOPT_EXPERTS = Format(
    name="nvfp4",
    methods=MODELOPT.methods,
    values=FUSED,
    stem="",
    logical="",
    dtypes=BYTES,
    scales=("_weight_scale",),
    beside=("_weight_scale_2", "_input_scale"),
    unpack=unpack,
    accept=accept,
    width=4,
)

COMPRESSED = Format(
    name="nvfp4",
    methods=frozenset({"compressed-tensors", "mistral"}),
    values=(".weight_packed",),
    stem=".weight_packed",
    logical=".weight",
    dtypes=BYTES,
    scales=(".weight_scale",),
    beside=(".weight_global_scale", ".input_global_scale", ".weight_shape"),
    unpack=unpack,
    accept=accept,
    sure=True,
    width=4,
)

FORMATS = (MODELOPT, MODELOPT_EXPERTS, COMPRESSED)
