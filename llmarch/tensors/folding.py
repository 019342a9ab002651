"""Numbers of layers and experts in tensor names, written short: `model.layers.{3-60}`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise


def span(numbers: Iterable[int]) -> str:
    """`3-60`, `5`, `1,3,..,47` for an even step, `0,2-4,9`; more than six pieces are cut."""
    if isinstance(numbers, range) and numbers.step == 1 and len(numbers) > 1:
        return f"{numbers[0]}-{numbers[-1]}"
    n = sorted(set(numbers))
    if len(n) > 3 and (step := n[1] - n[0]) > 1 and all(b - a == step for a, b in pairwise(n)):
        return f"{n[0]},{n[1]},..,{n[-1]}"
    runs: list[list[int]] = []
    for i in n:
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    pieces = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ",".join(pieces if len(pieces) <= 6 else [*pieces[:4], "..", pieces[-1]])


def braced(numbers: Sequence[int]) -> str:
    """`{3-60}`; one number as it is."""
    if not numbers:
        return "{}"
    one = len(numbers) == 1 or (numbers[0] == numbers[-1] and len(set(numbers)) == 1)
    return str(numbers[0]) if one else "{" + span(numbers) + "}"


def axes_folded(pattern: str, axes: Sequence[Sequence[int]]) -> str:
    """The names of a template row in short: `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`."""
    parts = pattern.split("{}")
    return (
        "".join(p + s for p, s in zip(parts, (*map(braced, axes), ""), strict=True))
        if axes
        else pattern
    )
