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
    # a range is not expanded: it may be as long as there are experts
    if isinstance(numbers, range) and numbers.step == 1 and len(numbers) > 1:
        return f"{numbers[0]}-{numbers[-1]}"

    ordered = sorted(set(numbers))
    if _has_even_step(ordered):
        first, second = ordered[:2]
        last = ordered[-1]
        return f"{first},{second},..,{last}"

    runs = _runs(ordered)
    pieces = [*starmap(_run, runs)]
    if len(pieces) > MAX_PIECES:
        kept = pieces[: MAX_PIECES - 2]
        pieces = [*kept, "..", pieces[-1]]

    return ",".join(pieces)


def _has_even_step(ordered: list[int]) -> bool:
    """Return whether more than three numbers are the same distance apart, which is not 1."""
    if len(ordered) <= 3:
        return False
    steps = {after - before for before, after in pairwise(ordered)}
    if len(steps) != 1:
        return False
    return steps != {1}


def _runs(ordered: list[int]) -> list[list[int]]:
    """Return the first and last number of each run of neighbours."""
    runs: list[list[int]] = []
    for number in ordered:
        before = number - 1
        if runs and runs[-1][1] == before:
            runs[-1][1] = number
        else:
            runs.append([number, number])

    return runs


def _run(first: int, last: int) -> str:
    """Return a run in short."""
    if first == last:
        return str(first)
    return f"{first}-{last}"


def braced(numbers: Sequence[int]) -> str:
    """Return numbers in short and in braces, `{3-60}`, but a single one without."""
    if not numbers:
        return "{}"
    first = numbers[0]
    last = numbers[-1]
    # the ends first: a set of all numbers costs more
    if first == last and len(set(numbers)) == 1:
        return str(first)
    short = span(numbers)
    return f"{{{short}}}"


def axes_folded(pattern: str, axes: Sequence[Sequence[int]]) -> str:
    """Return the names of a template row in short: `model.layers.{3-60}.mlp.down_proj.weight`.

    pattern: the names, with `{}` for each of the numbers in `axes`.
    """
    if not axes:
        return pattern
    pieces = pattern.split("{}")
    numbers = (*map(braced, axes), "")
    parts: list[str] = []
    for piece, short in zip(pieces, numbers, strict=True):
        parts += [piece, short]
    return "".join(parts)
