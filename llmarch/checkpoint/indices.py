"""Sets of tensor numbers: compare them with the numbers of a template row, and write them short.

An index is the tuple of numbers folded out of a name; axes are the numbers that a template row
allows at each place. A row of 384 experts in 60 layers stands for 23,040 indices, so nothing here
builds their product unless a difference must be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, islice, product
from operator import not_

from ..tensors.folding import braced
from ..tensors.template import Axes

Index = tuple[int, ...]

MAX_LISTED = 100_000
"""A difference of more indices than this is counted, not listed."""


def split_by_axes(indices: Sequence[Index], axes: Axes) -> tuple[list[Index], list[Index]]:
    """Return the indices that the axes allow, and the others.

    All work is done a column at a time in C: a set test for each place whose numbers are all
    allowed, and a mask for each other place. Checkpoints have 90,000 indices.
    """
    columns = zip(*indices, strict=True)
    masks: list[Iterable[bool]] = []
    for numbers, axis in zip(columns, axes, strict=True):
        allowed = frozenset(axis)
        if not allowed.issuperset(numbers):
            masks.append(map(allowed.__contains__, numbers))
    if not masks:
        return list(indices), []

    inside = [*map(all, zip(*masks, strict=True))]
    outside = map(not_, inside)
    return list(compress(indices, inside)), list(compress(indices, outside))


def missing_indices(indices: Iterable[Index], axes: Axes, most: int = MAX_LISTED) -> list[Index]:
    """Return the first `most` indices of the axes that are not among `indices`."""
    present = set(indices)
    missing = (i for i in product(*axes) if i not in present)
    return list(islice(missing, most))


def folded_names(pattern: str, indices: Iterable[Index]) -> list[str]:
    """Return the names in short, each a full product.

    `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`
    """
    indices = list(indices)
    if not indices or not indices[0]:
        return [pattern]

    parts = pattern.split("{}")
    names: list[str] = []
    for spans in index_products(indices):
        pieces = zip(parts, (*spans, ""), strict=True)
        names.append("".join(part + span for part, span in pieces))

    return names


def index_products(indices: Iterable[Index]) -> list[tuple[str, ...]]:
    """Return indices as products of spans: first numbers with the same rest are one product.

    (3, 0), (3, 1), (4, 0), (4, 1) are ("{3-4}", "{0-1}").
    """
    rest_of: dict[int, list[Index]] = {}
    for first, *rest in indices:
        rest_of.setdefault(first, []).append(tuple(rest))

    firsts_of: dict[frozenset[Index], list[int]] = {}
    for first, several in rest_of.items():
        firsts_of.setdefault(frozenset(several), []).append(first)

    products: list[tuple[str, ...]] = []
    for rest, firsts in firsts_of.items():
        head = braced(firsts)
        if any(rest):
            products.extend((head, *tail) for tail in index_products(rest))
        else:
            products.append((head,))

    return products
