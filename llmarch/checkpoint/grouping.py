"""Group tensors so that one finding covers a whole module.

Numbers fold to `{0-31}`, the tensors of a module to `module.*`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..architecture.frozen import Frozen, frozen
from ..tensors.folding import axes_folded
from ..tensors.template import Axes
from .indices import Index, folded_names, missing_indices
from .logical import LogicalTensor
from .matching import MissingRow

MIN_GROUPED = 3
"""From this many tensors of one module on, a finding names the module."""

MAX_ENDINGS = 3
"""How many tensors of a module a finding names."""


@frozen
class TensorSet(Frozen):
    """Tensors of one pattern that a finding is about."""

    pattern: str
    indices: list[Index] | Axes
    """Their numbers, listed or as whole axes."""
    count: int
    position: int = 0
    """Where the tensor or row stands in the list that the sets were made of."""

    def folded_names(self, pattern: str) -> list[str]:
        """Return the names in short for these numbers in another pattern."""
        if isinstance(self.indices, list):
            return folded_names(pattern, self.indices)
        name = axes_folded(pattern, self.indices)
        return [name]

    def indices_key(self) -> object:
        """Return a hashable value, equal for sets that have the same numbers."""
        if isinstance(self.indices, list):
            return frozenset(self.indices)
        return self.indices


@frozen
class ModuleGroup(Frozen):
    """What one finding is about: its path in short, and the sets of tensors behind it."""

    path: str
    more_places: int
    """Further paths with the same tensors, which the finding counts but does not name."""
    count: int
    sets: tuple[TensorSet, ...]

    def __str__(self) -> str:
        """Return `24 tensors (q_proj.weight, k_proj.weight, v_proj.weight and 5 more)`."""
        text = "1 tensor" if self.count == 1 else f"{self.count:,} tensors"
        if len(self.sets) > 1:
            text += f" ({self._endings()})"
        if self.more_places:
            text += f", here and in {self.more_places} more places"

        return text

    def _endings(self) -> str:
        endings: list[str] = []
        for tensors in self.sets:
            _, _, ending = tensors.pattern.rpartition("{}.")
            endings.append(ending)

        first = ", ".join(endings[:MAX_ENDINGS])
        more = len(endings) - MAX_ENDINGS
        if more > 0:
            return f"{first} and {more} more"

        return first


def group_by_module(sets: Iterable[TensorSet], minimum: int = MIN_GROUPED) -> list[ModuleGroup]:
    """Return one group for `minimum` sets or more of one module with the same numbers.

    Every other set is a group of its own.
    """
    by_module: dict[tuple[str, object], list[TensorSet]] = {}
    for tensors in sets:
        module = _module_of(tensors.pattern)
        key = (module, tensors.indices_key())
        members = by_module.setdefault(key, [])
        members.append(tensors)

    groups: list[ModuleGroup] = []
    for (module, _), members in by_module.items():
        if module and len(members) >= minimum:
            together = _group(module + "*", members)
            groups.append(together)
            continue
        for member in members:
            alone = _group(member.pattern, [member])
            groups.append(alone)

    return groups


def _module_of(pattern: str) -> str:
    """Return `model.layers.{}.` for a tensor of that module; empty for one without numbers."""
    stem, number, ending = pattern.rpartition("{}.")
    if "{}" in ending:
        return ""
    return stem + number


def _group(pattern: str, members: list[TensorSet]) -> ModuleGroup:
    path, *more = members[0].folded_names(pattern)
    count = sum(member.count for member in members)
    return ModuleGroup(path, len(more), count, tuple(members))


def stored_sets(tensors: Iterable[LogicalTensor]) -> list[TensorSet]:
    """Return the sets of stored tensors, under their stored names."""
    return [
        TensorSet(tensor.source, tensor.indices, len(tensor.indices), position)
        for position, tensor in enumerate(tensors)
    ]


def missing_sets(missing: Iterable[MissingRow]) -> list[TensorSet]:
    """Return the sets of tensors that rows lack, under the template's names."""
    sets: list[TensorSet] = []
    for position, (row, matched) in enumerate(missing):
        indices: list[Index] | Axes = row.axes
        if matched:
            indices = missing_indices(matched, row.axes)
        count = row.count - len(matched)
        lacking = TensorSet(row.pattern, indices, count, position)
        sets.append(lacking)

    return sets
