"""Write the numbers of layers and experts in tensor names short: `model.layers.{3-60}`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, starmap

MAX_PIECES = 6
"""How many pieces a list of numbers may have before it is cut."""


def span(numbers: Iterable[int]) -> str:
    """Return sorted numbers in short.

    These are `3-60` for a run, `1,3,..,47` for an even step, and `0,2-4,9` for several runs, of
    which more than six are cut.
    """
    if isinstance(numbers, range) and numbers.step == 1 and len(numbers) > 1:
        return f"{numbers[0]}-{numbers[-1]}"
    ordered = sorted(set(numbers))
    if _has_even_step(ordered):
        return f"{ordered[0]},{ordered[1]},..,{ordered[-1]}"
    pieces = [*starmap(_run, _runs(ordered))]
    if len(pieces) > MAX_PIECES:
        pieces = [*pieces[: MAX_PIECES - 2], "..", pieces[-1]]
    return ",".join(pieces)


def _has_even_step(ordered: list[int]) -> bool:
    """Return whether more than three numbers are the same distance apart, which is not 1."""
    steps = {after - before for before, after in pairwise(ordered)}
    return len(ordered) > 3 and len(steps) == 1 and steps != {1}


def _runs(ordered: list[int]) -> list[list[int]]:
    """Return the first and last number of each run of neighbours."""
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _run(first: int, last: int) -> str:
    """Return a run in short."""
    return str(first) if first == last else f"{first}-{last}"


def braced(numbers: Sequence[int]) -> str:
    """Return numbers in short and in braces, `{3-60}`, but a single one without."""
    if not numbers:
        return "{}"
    if len(numbers) == 1 or (numbers[0] == numbers[-1] and len(set(numbers)) == 1):
        return str(numbers[0])
    return "{" + span(numbers) + "}"


def axes_folded(pattern: str, axes: Sequence[Sequence[int]]) -> str:
    """Return the names of a template row in short: `model.layers.{3-60}.mlp.down_proj.weight`.

    pattern: the names, with `{}` for each of the numbers in `axes`.
    """
    if not axes:
        return pattern
    pieces = pattern.split("{}")
    numbers = (*map(braced, axes), "")
    return "".join(piece + short for piece, short in zip(pieces, numbers, strict=True))
