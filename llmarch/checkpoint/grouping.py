"""Tensors that lack a partner, gathered so that a finding names a module once: numbers fold to `{0-31}`, tensors to `module.*`."""

from __future__ import annotations

from collections.abc import Iterable

from ..architecture.frozen import Frozen, frozen
from ..tensors.naming import TensorRow
from .indices import Axes, Index, absent, axes_folded, folded
from .logical import Logical

GATHER = 3
"""From this many tensors of one module on, a finding names the module."""

Missing = tuple[TensorRow, list[Index] | None]
"""A row, and those of its numbers that did meet (None: none)."""


@frozen
class Lot(Frozen):
    """Tensors of one pattern that lack a partner: their numbers, listed or as whole axes."""

    pattern: str
    numbers: list[Index] | Axes
    count: int
    at: int = 0

    def names(self, pattern: str) -> list[str]:
        return (
            folded(pattern, self.numbers)
            if isinstance(self.numbers, list)
            else [axes_folded(pattern, self.numbers)]
        )

    def alike(self) -> object:
        return frozenset(self.numbers) if isinstance(self.numbers, list) else self.numbers


@frozen
class Group(Frozen):
    """What one finding is about: a path in short, how many tensors, and the lots they come from."""

    path: str
    more: int
    count: int
    lots: tuple[Lot, ...]

    def __str__(self) -> str:
        """`24 tensors (q_proj.weight, k_proj.weight, v_proj.weight and 5 more)`."""
        n = "1 tensor" if self.count == 1 else f"{self.count:,} tensors"
        if len(self.lots) > 1:
            ends = [x.pattern.rpartition("{}.")[2] for x in self.lots]
            n += f" ({', '.join(ends[:3])}{f' and {len(ends) - 3} more' if len(ends) > 3 else ''})"
        return n + (f", here and in {self.more} more places" if self.more else "")


def gathered(lots: Iterable[Lot], least: int = GATHER) -> list[Group]:
    """One group for each lot, or one for `least` lots or more of one module that have the same numbers."""
    groups: dict[tuple[str, object], list[Lot]] = {}
    for x in lots:
        stem, numbered, end = x.pattern.rpartition("{}.")
        groups.setdefault((stem + numbered if "{}" not in end else "", x.alike()), []).append(x)
    out: list[Group] = []
    for (stem, _), members in groups.items():
        for together in [members] if stem and len(members) >= least else [[m] for m in members]:
            paths = together[0].names(stem + "*" if len(together) > 1 else together[0].pattern)
            out.append(
                Group(paths[0], len(paths) - 1, sum(x.count for x in together), tuple(together))
            )
    return out


def stored_lots(tensors: Iterable[Logical]) -> list[Lot]:
    return [Lot(x.source, x.indices, len(x.indices), at) for at, x in enumerate(tensors)]


def row_lots(missing: Iterable[Missing]) -> list[Lot]:
    return [row_lot(row, there, at) for at, (row, there) in enumerate(missing)]


def row_lot(row: TensorRow, there: list[Index] | None, at: int) -> Lot:
    return Lot(
        row.pattern,
        absent(there, row.axes) if there else row.axes,
        row.count - len(there or ()),
        at,
    )
