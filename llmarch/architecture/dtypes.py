"""The dtypes that a config may name, and their widths."""

from __future__ import annotations

CONFIG_DTYPE_BITS = {"bfloat16": 16, "float16": 16, "float32": 32, "float8_e4m3fn": 8}
"""Bits of one element of each dtype; safetensors spells dtypes differently (sources/raw.py)."""

CONFIG_DTYPES = frozenset(
    """
    bfloat16 double float float16 float32 float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2
    float8_e5m2fnuz half
    """.split()
)
"""Words for dtypes of weights that torch knows."""
