"""Tensors that lack a partner, gathered so that a finding names a module once: numbers fold to `{0-31}`, tensors to `module.*`."""

from __future__ import annotations

from collections.abc import Iterable

from ..architecture.frozen import Frozen, frozen
from ..tensors.naming import TensorRow
from .indices import Axes, Index, axes_folded, folded_names, missing_indices
from .logical import LogicalTensor

MIN_GROUPED = 3
"""From this many tensors of one module on, a finding names the module."""

Missing = tuple[TensorRow, list[Index] | None]
"""A row, and those of its numbers that did meet (None: none)."""


@frozen
class TensorSet(Frozen):
    """Tensors of one pattern that lack a partner: their numbers, listed or as whole axes."""

    pattern: str
    indices: list[Index] | Axes
    count: int
    position: int = 0

    def names(self, pattern: str) -> list[str]:
        return (
            folded_names(pattern, self.indices)
            if isinstance(self.indices, list)
            else [axes_folded(pattern, self.indices)]
        )

    def indices_key(self) -> object:
        return frozenset(self.indices) if isinstance(self.indices, list) else self.indices


@frozen
class ModuleGroup(Frozen):
    """What one finding is about: a path in short, how many tensors, and the lots they come from."""

    path: str
    more_places: int
    count: int
    sets: tuple[TensorSet, ...]

    def __str__(self) -> str:
        """`24 tensors (q_proj.weight, k_proj.weight, v_proj.weight and 5 more)`."""
        n = "1 tensor" if self.count == 1 else f"{self.count:,} tensors"
        if len(self.sets) > 1:
            ends = [x.pattern.rpartition("{}.")[2] for x in self.sets]
            n += f" ({', '.join(ends[:3])}{f' and {len(ends) - 3} more' if len(ends) > 3 else ''})"
        return n + (f", here and in {self.more_places} more places" if self.more_places else "")


def group_by_module(lots: Iterable[TensorSet], least: int = MIN_GROUPED) -> list[ModuleGroup]:
    """One group for each lot, or one for `least` lots or more of one module that have the same numbers."""
    groups: dict[tuple[str, object], list[TensorSet]] = {}
    for x in lots:
        stem, numbered, end = x.pattern.rpartition("{}.")
        groups.setdefault((stem + numbered if "{}" not in end else "", x.indices_key()), []).append(
            x
        )
    out: list[ModuleGroup] = []
    for (stem, _), members in groups.items():
        for together in [members] if stem and len(members) >= least else [[m] for m in members]:
            paths = together[0].names(stem + "*" if len(together) > 1 else together[0].pattern)
            out.append(
                ModuleGroup(
                    paths[0], len(paths) - 1, sum(x.count for x in together), tuple(together)
                )
            )
    return out


def stored_sets(tensors: Iterable[LogicalTensor]) -> list[TensorSet]:
    return [TensorSet(x.source, x.indices, len(x.indices), at) for at, x in enumerate(tensors)]


def missing_sets(missing: Iterable[Missing]) -> list[TensorSet]:
    return [missing_set(row, there, at) for at, (row, there) in enumerate(missing)]


def missing_set(row: TensorRow, there: list[Index] | None, at: int) -> TensorSet:
    return TensorSet(
        row.pattern,
        missing_indices(there, row.axes) if there else row.axes,
        row.count - len(there or ()),
        at,
    )
