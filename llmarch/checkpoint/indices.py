"""Sets of tensor numbers: comparing them with what a template allows, and writing them short, without a name per tensor.

An index is the tuple of numbers folded out of a name; axes are the numbers that a template row allows at each place. A row of
384 experts in 60 layers stands for 23,040 indices, so nothing here builds their product unless a difference must be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise, product

Index = tuple[int, ...]
Axes = tuple[tuple[int, ...] | range, ...]

MOST_NAMED = 100_000
"""A difference of more indices than this is counted, not listed."""


def split(indices: Sequence[Index], axes: Axes) -> tuple[list[Index], list[Index]]:
    """The indices that the axes allow, and the others."""
    allowed = [a if isinstance(a, range) else frozenset(a) for a in axes]
    if all_within(indices, axes):
        return list(indices), []
    if len(axes) == 1:
        (first,) = allowed
        inside = [i[0] in first for i in indices]
    elif len(axes) == 2:
        first, second = allowed
        inside = [i[0] in first and i[1] in second for i in indices]
    else:
        inside = [all(n in a for n, a in zip(i, allowed, strict=True)) for i in indices]
    return [i for i, yes in zip(indices, inside, strict=True) if yes], [i for i, yes in zip(indices, inside, strict=True) if not yes]


def all_within(indices: Sequence[Index], axes: Axes) -> bool:
    """Whether the axes allow every index (each of as many numbers as there are axes)."""
    return all(set(numbers).issubset(axis) for numbers, axis in zip(zip(*indices, strict=True), axes, strict=True))


def absent(indices: Iterable[Index], axes: Axes, most: int = MOST_NAMED) -> list[Index]:
    """The first `most` indices of the axes that are not among `indices`."""
    there = set(indices)
    return list(islice((i for i in product(*axes) if i not in there), most))


def span(numbers: Iterable[int]) -> str:
    """`3-60`, `5`, `1,3,..,47` for an even step, `0,2-4,9`; more than six pieces are cut."""
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


def folded(pattern: str, indices: Iterable[Index]) -> list[str]:
    """Names in short, each a full product: `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`."""
    indices = list(indices)
    if not indices or not indices[0]:
        return [pattern]
    parts = pattern.split("{}")
    return ["".join(p + s for p, s in zip(parts, (*spans, ""), strict=True)) for spans in blocks(indices)]


def blocks(indices: Iterable[Index]) -> list[tuple[str, ...]]:
    """Indices as products of spans: first numbers with the same rest are one block."""
    rest: dict[int, list[Index]] = {}
    for i in indices:
        rest.setdefault(i[0], []).append(i[1:])
    by_rest: dict[frozenset[Index], list[int]] = {}
    for first, others in rest.items():
        by_rest.setdefault(frozenset(others), []).append(first)
    out: list[tuple[str, ...]] = []
    for others, firsts in by_rest.items():
        head = braced(firsts)
        out.extend((head, *tail) for tail in blocks(others)) if any(others) else out.append((head,))
    return out


def braced(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "{" + span(numbers) + "}"


def axes_folded(pattern: str, axes: Axes) -> str:
    """The name of a whole template row, in short."""
    parts = pattern.split("{}")
    return "".join(p + s for p, s in zip(parts, (*map(braced, axes), ""), strict=True)) if axes else pattern
