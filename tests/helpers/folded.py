"""Tables of tensors from fixtures that are folded already: no name of a tensor is made."""

from __future__ import annotations

from collections.abc import Iterable

from llmarch.sources.raw import TensorGroup, TensorTable

Folded = tuple[str, tuple[int, ...], Iterable[tuple[int, ...]]]
"""A pattern, a shape, and the numbers of each tensor."""


def folded_table(rows: Iterable[Folded], dtype: str) -> TensorTable:
    """Return the table of tensors of one dtype, as their names would be folded again."""
    groups: dict[tuple[str, tuple[int, ...]], TensorGroup] = {}
    for pattern, shape, indices in rows:
        group = groups.setdefault((pattern, shape), TensorGroup(pattern, dtype, shape))
        group.indices += indices
    table = TensorTable()
    for group in groups.values():
        table.add_group(group)
    return table
