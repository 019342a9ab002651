"""mlx-lm on Apple silicon: arrays that grow by 256 tokens, one for each layer.

Read in mlx-lm 0.32.2: models/cache.py KVCache (step 256), RotatingKVCache (a window grows to W),
ArraysCache (states). Weights and cache share the memory of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from ...architecture.schema import Architecture, Mixer
from ..cache_parts import CachePart
from .base import Engine
from .pools import Pool, PoolRequest

STEP_TOKENS = 256
"""Tokens by which an array grows: KVCache.step (mlx_lm/models/cache.py)."""


class StepPool(Pool):
    """Arrays of each sequence, in whole steps of tokens."""

    def part_bytes(self, part: CachePart, tokens: int) -> int:
        """Return the bytes of one layer's part after `tokens` tokens of a sequence."""
        steps = ceil(tokens / STEP_TOKENS)
        grown = STEP_TOKENS * steps
        return part.bytes_at(grown)


class MLX(Engine):
    """Apple's mlx-lm."""

    name = "mlx"
    cache_dtypes = ("bf16", "fp16", "fp32")
    smaller_formats = ("int8", "int4")
    version = "0.32.2"
    files = ("mlx_lm/models/cache.py",)

    def pool(self, request: PoolRequest) -> Pool:
        """Return the arrays of a rank's sequences."""
        return StepPool(request)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        return [f"arrays grow by {STEP_TOKENS} tokens"]
