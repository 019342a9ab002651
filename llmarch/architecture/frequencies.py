"""The frequencies of rotary pairs, where they are the same at every length.

As transformers 5.23.0 modeling_rope_utils.py computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isclose, log, pi

from .implied import SINGLE_PRECISION, effective_value
from .primitives import Rope, RopeScaling

SINGULAR = 0.001
"""Width of YaRN's ramp where both of its ends are one pair."""


def turn_alike(old: Rope, new: Rope) -> bool:
    """Return whether the pairs of two heads turn alike, whatever their parameters.

    False where that is not known.
    """
    before = rotary_frequencies(old)
    after = rotary_frequencies(new)
    if before is None or after is None or len(before) != len(after):
        return False
    pairs = zip(before, after, strict=True)
    return all(isclose(a, b, rel_tol=SINGLE_PRECISION) for a, b in pairs)


def attention_factor(rope: Rope) -> float:
    """Return the factor of cosines and sines, stated or computed."""
    if rope.scaling is None:
        return 1.0
    factor = effective_value(rope.scaling, "attention_factor")
    return 1.0 if factor is None else factor


def rotary_frequencies(rope: Rope) -> list[float] | None:
    """Return the angle by which each pair turns from one position to the next, in radians.

    None where it depends on the length of the sequence, or a parameter is missing or not positive.
    """
    if rope.theta <= 0:
        return None
    dims = rope.span or rope.rotary_dim
    count = rope.rotary_dim // 2
    plain = [rope.theta ** (-2 * pair / dims) for pair in range(count)]
    scaling = rope.scaling
    if scaling is None:
        return plain
    if scaling.factor is None or scaling.factor <= 0:
        return None
    if scaling.kind == "linear":
        return [frequency / scaling.factor for frequency in plain]
    if scaling.kind == "llama3":
        return _llama3(plain, scaling, scaling.factor)
    if scaling.kind == "yarn":
        return _yarn(plain, scaling, scaling.factor, rope)
    return None


def _llama3(plain: Sequence[float], scaling: RopeScaling, factor: float) -> list[float] | None:
    """Divide long waves by the factor, keep short ones, and blend those between."""
    context = scaling.original_context
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    if context is None or low is None or high is None:
        return None
    found: list[float] = []
    for frequency in plain:
        turns = context * frequency / (2 * pi)
        kept = float(turns >= low)
        if low < turns < high:
            kept = (turns - low) / (high - low)
        found.append(frequency * (kept + (1 - kept) / factor))
    return found


def _yarn(
    plain: Sequence[float], scaling: RopeScaling, factor: float, rope: Rope
) -> list[float] | None:
    """Divide pairs by the factor along a ramp between the two numbers of turns."""
    context = scaling.original_context
    most, fewest = scaling.beta_fast or 32.0, scaling.beta_slow or 1.0
    if context is None or context <= 0 or rope.theta <= 1 or min(most, fewest) <= 0:
        return None
    first = _pair_of_turns(most, rope, context)
    last = _pair_of_turns(fewest, rope, context)
    if scaling.truncate is not False:
        first, last = floor(first), ceil(last)
    first = max(first, 0)
    last = min(last, rope.rotary_dim - 1)
    if first == last:
        last += SINGULAR
    found: list[float] = []
    for pair, frequency in enumerate(plain):
        divided = (pair - first) / (last - first)
        divided = min(max(divided, 0.0), 1.0)
        found.append(frequency * (1 - divided + divided / factor))
    return found


def _pair_of_turns(turns: float, rope: Rope, context: int) -> float:
    """Return the number of the pair that makes so many turns within a context, a fraction."""
    wavelengths = context / (turns * 2 * pi)
    return rope.rotary_dim * log(wavelengths) / (2 * log(rope.theta))
