"""Sets of tensor numbers: comparing them with what a template allows, and writing them short, without a name per tensor.

An index is the tuple of numbers folded out of a name; axes are the numbers that a template row allows at each place. A row of
384 experts in 60 layers stands for 23,040 indices, so nothing here builds their product unless a difference must be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, islice, product
from operator import not_

from ..tensors.folding import axes_folded, braced, span

Index = tuple[int, ...]
Axes = tuple[tuple[int, ...] | range, ...]

__all__ = [
    "Axes",
    "Index",
    "axes_folded",
    "braced",
    "folded_names",
    "index_products",
    "missing_indices",
    "span",
    "split_by_axes",
]

MAX_LISTED = 100_000
"""A difference of more indices than this is counted, not listed."""


def split_by_axes(indices: Sequence[Index], axes: Axes) -> tuple[list[Index], list[Index]]:
    """The indices that the axes allow, and the others."""
    columns = zip(zip(*indices, strict=True), map(frozenset[int], axes), strict=True)
    masks = [
        map(allowed.__contains__, numbers)
        for numbers, allowed in columns
        if not allowed.issuperset(numbers)
    ]
    if not masks:
        return list(indices), []
    inside = [*map(all, zip(*masks, strict=True))]
    return list(compress(indices, inside)), list(compress(indices, map(not_, inside)))


def missing_indices(indices: Iterable[Index], axes: Axes, most: int = MAX_LISTED) -> list[Index]:
    """The first `most` indices of the axes that are not among `indices`."""
    there = set(indices)
    return list(islice((i for i in product(*axes) if i not in there), most))


def folded_names(pattern: str, indices: Iterable[Index]) -> list[str]:
    """Names in short, each a full product: `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`."""
    indices = list(indices)
    if not indices or not indices[0]:
        return [pattern]
    parts = pattern.split("{}")
    return [
        "".join(p + s for p, s in zip(parts, (*spans, ""), strict=True))
        for spans in index_products(indices)
    ]


def index_products(indices: Iterable[Index]) -> list[tuple[str, ...]]:
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
        out.extend((head, *tail) for tail in index_products(others)) if any(others) else out.append(
            (head,)
        )
    return out
