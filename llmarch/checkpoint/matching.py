"""Match template rows with stored tensors by canonical name, numbers and shape.

What is left on both sides is matched as fused tensors by fusing.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import NamedTuple

from ..tensors.conversion import Conversion
from ..tensors.template import TensorRow
from .foreign_names import foreign_prefixes, unwrapped
from .indices import Index, split_by_axes
from .layouts import closer_layout, other_layout
from .logical import LogicalTensor, Shape
from .names import canonical, canonicalizer


@dataclass(slots=True)
class Match:
    """A template row with the tensors stored for it, or the rows and tensors of a fused tensor."""

    key: str
    """Canonical name, of the fused tensor where one side was fused."""
    rows: tuple[TensorRow, ...]
    tensors: tuple[LogicalTensor, ...]
    indices: list[Index]
    """Numbers of the tensors, of the fused ones where one side was fused."""
    elements: int
    fits: bool
    """Whether the shapes agree, or cannot be known."""
    expected_shape: Shape
    stored_shape: Shape | None

    @property
    def compared(self) -> bool:
        """Return whether shapes were compared at all."""
        return not any(x.not_comparable or not x.has_size for x in self.tensors)

    def count_of(self, row: TensorRow) -> int:
        """Return how many tensors of a row are matched here."""
        matched = len(self.indices)
        if matched == 0:
            return 0
        width = len(self.indices[0])
        # Where the match stacks the experts of a row, its numbers leave out the row's last axis.
        if len(row.axes) == width + 1:
            return matched * len(row.axes[-1])
        return matched


class MissingRow(NamedTuple):
    """A template row of which tensors are missing."""

    row: TensorRow
    matched: list[Index]
    """The numbers of its tensors that are stored."""

    @property
    def missing_count(self) -> int:
        """Return how many tensors are missing."""
        return self.row.count - len(self.matched)

    def without(self, found: set[Index]) -> MissingRow | None:
        """Return what is still missing once the tensors at `found` are stored; None if nothing is.

        found: numbers of the row, not empty. If they leave out the row's last axis, one of them
        stands for all experts of a layer.
        """
        width = len(next(iter(found)))
        axes = self.row.axes[:width]

        if len(found) >= prod(map(len, axes)):
            return None
        if width == 1 and not self.matched:
            return self._without_numbers(found)

        # A row that is matched in part lists its numbers.
        matched = self.matched.copy()
        for index in product(*self.row.axes):
            if index[:width] in found:
                matched.append(index)
        if len(matched) >= self.row.count:
            return None
        return MissingRow(self.row, matched)

    def _without_numbers(self, found: set[Index]) -> MissingRow:
        """Return the row with a narrower first axis.

        To list the numbers of its tensors instead could mean to list 10^9 experts.
        """
        first, *others = self.row.axes
        left = tuple(number for number in first if (number,) not in found)
        row = replace(self.row, axes=(left, *others))
        return MissingRow(row, [])


class Matching:
    """Template rows and stored tensors, matched or left over, by canonical name."""

    def __init__(
        self, rows: Iterable[TensorRow], tensors: list[LogicalTensor], conversion: Conversion
    ) -> None:
        self.rows: dict[str, list[TensorRow]] = {}
        self.stored: dict[str, list[LogicalTensor]] = {}
        self.matches: list[Match] = []
        self.missing: dict[str, list[MissingRow]] = {}
        self.extra: dict[str, list[LogicalTensor]] = {}
        """Stored tensors without a row."""
        self.duplicates: list[LogicalTensor] = []
        """Tensors stored a second time under another name."""
        self.conversion = conversion
        self.missing_experts: dict[str, list[Index]] = {}
        """By stored pattern, experts that are missing from stacks that otherwise match."""
        stored_patterns = {x.pattern for x in tensors}
        row_name, self._stored_name = canonicalizer(stored_patterns, conversion)
        for row in rows:
            self.rows.setdefault(row_name(row.pattern), []).append(row)
        self.prefixes: dict[str, str] = {}
        """By stored pattern, a prefix that nothing knows and without which the name has a row."""
        unknown: list[LogicalTensor] = []
        for tensor in tensors:
            key = self.canonical_name(tensor.pattern)
            if key in self.rows:
                self.stored.setdefault(key, []).append(tensor)
            else:
                unknown.append(tensor)
        known = sum(len(tensor.indices) for found in self.stored.values() for tensor in found)
        if unknown and known < sum(row.count for found in self.rows.values() for row in found):
            self.prefixes = foreign_prefixes(unknown, self.rows, self.stored, self.canonical_name)
        for tensor in unknown:
            self.stored.setdefault(self.canonical_name(tensor.pattern), []).append(tensor)

    def canonical_name(self, stored: str) -> str:
        """Return the canonical name of a stored tensor.

        A rename that leads to no row is not applied to a name that has one without it.
        """
        prefix = self.prefixes.get(stored, "")
        pattern = unwrapped(stored[len(prefix) :])
        renamed = self._stored_name(pattern)
        if renamed in self.rows:
            return renamed
        unchanged = canonical(pattern)
        if unchanged in self.rows:
            return unchanged
        return renamed

    def match_by_name(self) -> None:
        """Match rows with the tensors of the same canonical name."""
        for key, rows in self.rows.items():
            stored = self.stored.get(key, [])
            left = self._without_duplicates(stored)
            # Rows of one name have different numbers (kinds of layers): each takes its own.
            for row in rows:
                left = self._match_row(key, row, left)
            if left:
                self.extra[key] = left

        for key, stored in self.stored.items():
            if key not in self.rows:
                self.extra[key] = self._without_duplicates(stored)

    def _without_duplicates(self, tensors: list[LogicalTensor]) -> list[LogicalTensor]:
        """Return tensors of one canonical name, each number once; note the rest as duplicates."""
        spellings = {tensor.pattern for tensor in tensors}
        if len(spellings) < 2:
            return tensors

        seen: set[Index] = set()
        unique: list[LogicalTensor] = []
        for tensor in tensors:
            repeated = [index for index in tensor.indices if index in seen]
            first = tensor
            if repeated:
                self.duplicates.append(tensor.subset(repeated))
                new = [index for index in tensor.indices if index not in seen]
                first = tensor.subset(new)
            seen.update(first.indices)
            if first.indices:
                unique.append(first)
        return unique

    def _match_row(
        self, key: str, row: TensorRow, tensors: list[LogicalTensor]
    ) -> list[LogicalTensor]:
        """Match a row with the tensors at its numbers, and return the others.

        Tensors that are the row's in part are divided.
        """
        matched: list[Index] = []
        others: list[LogicalTensor] = []
        for tensor in tensors:
            if len(tensor.indices[0]) != len(row.axes):
                # A name that looks like the row's, with more or fewer numbers.
                others.append(tensor)
                continue

            inside, outside = split_by_axes(tensor.indices, row.axes)
            matched += inside
            if not outside:
                self.add_match(key, row, tensor)
            elif not inside:
                others.append(tensor)
            else:
                self.add_match(key, row, tensor.subset(inside))
                others.append(tensor.subset(outside))

        if len(matched) < row.count:
            self.missing.setdefault(key, []).append(MissingRow(row, matched))
        return others

    def add_match(self, key: str, row: TensorRow, tensor: LogicalTensor) -> None:
        """Record that the tensors of a row are stored as these."""
        shape = row.shape
        other = other_layout(key, shape)
        fits = tensor.fits(shape)
        if not fits and other is not None:
            fits = tensor.fits(other)
            if not fits:
                shape = closer_layout(shape, other, tensor.shape)

        # A packed tensor may not know its size: what fits has the size of the template.
        elements = tensor.total_elements
        if fits:
            elements = prod(row.shape) * len(tensor.indices)
        match = Match(
            key=key,
            rows=(row,),
            tensors=(tensor,),
            indices=tensor.indices,
            elements=elements,
            fits=fits,
            expected_shape=shape,
            stored_shape=tensor.shape,
        )
        self.matches.append(match)

    def match_missing(self, component: str, shape: Shape, tensor: LogicalTensor) -> bool:
        """Match a tensor, whatever its name, with the first missing row of a component and shape.

        Return whether there was one.
        """
        for key, missing in self.missing.items():
            for position, (row, _) in enumerate(missing):
                if row.component == component and row.shape == shape:
                    del missing[position]
                    self.add_match(key, row, tensor)
                    return True

        return False
