"""The packing formats in the order in which they are tried."""

from __future__ import annotations

from . import (
    awq,
    bitsandbytes,
    compressed_tensors,
    fp8,
    gemma,
    gptq,
    mlx,
    modelopt_int4,
    mxfp4,
    nvfp4,
)
from .base import PackingFormat

FORMATS: tuple[PackingFormat, ...] = (
    *gptq.FORMATS,
    *awq.FORMATS,
    *gemma.FORMATS,
    *modelopt_int4.FORMATS,
    *compressed_tensors.FORMATS,
    *nvfp4.FORMATS,
    *mxfp4.FORMATS,
    *bitsandbytes.FORMATS,
    *mlx.FORMATS,
    *fp8.FORMATS,
)
"""Special formats before general ones: of two that share an ending, the first that accepts wins."""
