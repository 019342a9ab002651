"""The factors of queries and keys that YaRN and LongRoPE give where the config states none.

They are those of transformers 5.23.0 modeling_rope_utils.py.
"""

from __future__ import annotations

from math import isclose, log, sqrt

from .primitives import RopeScaling


def yarn_factor(factor: float, mscale: float = 0.0, mscale_all_dim: float = 0.0) -> float:
    """Return YaRN's factor of queries and keys.

    factor: the ratio of the extended context to the original one.
    mscale, mscale_all_dim: DeepSeek's parameters, which count only if both are given and not 0.
    """
    if mscale and mscale_all_dim:
        numerator = _magnitude(factor, mscale)
        denominator = _magnitude(factor, mscale_all_dim)
        return numerator / denominator
    return _magnitude(factor, 1.0)


def has_usual_factor(s: RopeScaling) -> bool:
    """Return whether the factor of queries and keys is the one that follows from the others."""
    usual = usual_factor(s)
    if s.attention_factor is None or usual is None:
        return s.attention_factor is None
    return isclose(s.attention_factor, usual, rel_tol=1e-6)


def usual_factor(s: RopeScaling) -> float | None:
    """Return the factor of queries and keys that follows from the others; None where none does."""
    if s.factor is None:
        return None
    if s.kind == "yarn":
        return yarn_factor(s.factor, s.mscale or 0.0, s.mscale_all_dim or 0.0)
    if s.kind == "longrope" and s.original_context:
        return longrope_factor(s.factor, s.original_context)
    return None


def _magnitude(factor: float, mscale: float) -> float:
    if factor <= 1:
        return 1.0
    return 0.1 * mscale * log(factor) + 1.0


def longrope_factor(factor: float, original_context: int) -> float:
    """Return LongRoPE's factor of queries and keys.

    factor: the ratio of the extended context to the original one.
    """
    if factor <= 1 or original_context <= 1:
        return 1.0
    return sqrt(1 + log(factor) / log(original_context))
