"""Match what names alone did not match, after both sides are fused as far as names allow.

A checkpoint may stack experts that the template has one by one, or hold gate and up, or q, k and v
in one matrix; and the other way round. Both sides are taken as parts of the same fused tensor, and
match where both have all parts of it (or the same ones).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

from ..tensors.template import TensorRow
from .indices import Index
from .layouts import FusedPlace, closer_layout, fused_place, joined_shape, other_layout
from .logical import LogicalTensor, Shape
from .matching import Match, Matching, MissingRow


@dataclass(slots=True, eq=False)
class _Part:
    """A part of a fused tensor, as one side has it. Compared and hashed by identity."""

    place: FusedPlace
    shapes: tuple[Shape, ...]
    """Its possible shapes, experts stacked; empty if unknown."""
    elements: int | None
    experts: int | None
    """How many experts it stacks; None if it has no expert number."""
    source: TensorRow | LogicalTensor


_Parts = dict[Index, list[_Part]]
"""The parts of one fused tensor name, by the numbers of the fused tensor."""


class _Fused(NamedTuple):
    """What several parts make together."""

    shapes: tuple[Shape, ...]
    elements: int | None


class _Pair(NamedTuple):
    """The parts of both sides that make the same fused tensors, and the numbers of these."""

    expected: tuple[_Part, ...]
    stored: tuple[_Part, ...]
    indices: list[Index]


def match_fused(matching: Matching) -> None:
    """Match the missing rows and extra tensors of a matching as fused tensors."""
    _Fusing(matching).run()


class _Fusing:
    """Collects the parts of both sides by the name of their fused tensor, and matches them."""

    def __init__(self, matching: Matching) -> None:
        self.matching = matching
        self.expected: dict[str, _Parts] = {}
        self.stored: dict[str, _Parts] = {}
        self.matched_rows: dict[TensorRow, set[Index]] = {}
        """Numbers of the fused tensors that a row's tensors are matched in."""
        self.matched_tensors: dict[LogicalTensor, set[Index]] = {}

    def run(self) -> None:
        places = _fused_places(self.matching.extra)
        self._collect_rows({place.key for place in places.values()})
        self._collect_tensors(places)
        for key, stored in self.stored.items():
            for pair in _pairs(self.expected[key], stored):
                self._match(key, pair)
        if self.matched_rows:
            self._remove_matched_rows()
            self._remove_matched_tensors()

    # --- collecting ---

    def _collect_rows(self, stored_keys: set[str]) -> None:
        """Collect missing rows that belong to a fused tensor of which something is stored."""
        for key, place in _fused_places(self.matching.missing).items():
            if place.key not in stored_keys:
                continue
            parts = self.expected.setdefault(place.key, {})
            for missing in self.matching.missing[key]:
                _add_row(parts, place, missing)

    def _collect_tensors(self, places: dict[str, FusedPlace]) -> None:
        """Collect extra tensors that belong to a fused tensor that is expected."""
        for key, place in places.items():
            if place.key not in self.expected:
                continue
            parts = self.stored.setdefault(place.key, {})
            for tensor in self.matching.extra[key]:
                if place.per_expert:
                    self._add_experts(parts, place, tensor)
                else:
                    _add_tensor(parts, place, tensor)

    def _add_experts(self, parts: _Parts, place: FusedPlace, tensor: LogicalTensor) -> None:
        """Add tensors of single experts, stacked by layer.

        A layer with half of the experts or more is taken as a stack of all; those that it lacks
        are noted as missing experts.
        """
        expected = _most_experts(self.expected[place.key])
        experts_of: dict[Index, set[int]] = {}
        for index in tensor.indices:
            experts_of.setdefault(index[:-1], set()).add(index[-1])
        stacks: dict[int, _Part] = {}
        for layer, experts in experts_of.items():
            count = max(max(experts) + 1, expected)
            if 2 * len(experts) < count:
                continue
            if len(experts) < count:
                absent = [(*layer, e) for e in range(count) if e not in experts]
                self.matching.missing_experts.setdefault(tensor.source, []).extend(absent)
            if count not in stacks:
                stacks[count] = _stacked_part(place, tensor, count)
            parts.setdefault(layer, []).append(stacks[count])

    # --- matching ---

    def _match(self, key: str, pair: _Pair) -> None:
        """Record a match of fused tensors, and which rows and tensors it is made of."""
        indices = pair.indices
        expected = _fuse(key, pair.expected)
        stored = _fuse(key, pair.stored)
        shape = expected.shapes[0]
        stored_shape = stored.shapes[0] if stored.shapes else None
        fits = _fits(key, expected, stored, pair.stored)
        other = other_layout(key, shape)
        if not fits and stored_shape is not None and other is not None:
            shape = closer_layout(shape, other, stored_shape)
        if fits:
            elements = expected.elements
        elif stored_shape is not None:
            elements = prod(stored_shape)
        else:
            elements = stored.elements
        rows: list[TensorRow] = []
        tensors: list[LogicalTensor] = []
        for part in pair.expected:
            if isinstance(part.source, TensorRow):
                rows.append(part.source)
                self.matched_rows.setdefault(part.source, set()).update(indices)
        for part in pair.stored:
            if isinstance(part.source, LogicalTensor):
                tensors.append(_tensors_of(part.place, part.source, indices))
                self.matched_tensors.setdefault(part.source, set()).update(indices)
        total = (elements or 0) * len(indices)
        self.matching.matches.append(
            Match(key, tuple(rows), tuple(tensors), indices, total, fits, shape, stored_shape)
        )

    # --- removing what is matched ---

    def _remove_matched_rows(self) -> None:
        for key, rows in self.matching.missing.items():
            still_missing: list[MissingRow] = []
            for missing in rows:
                left: MissingRow | None = missing
                if missing.row in self.matched_rows:
                    left = missing.without(self.matched_rows[missing.row])
                if left is not None:
                    still_missing.append(left)
            self.matching.missing[key] = still_missing

    def _remove_matched_tensors(self) -> None:
        for key, tensors in self.matching.extra.items():
            still_extra: list[LogicalTensor] = []
            for tensor in tensors:
                left = tensor
                if tensor in self.matched_tensors:
                    left = _without(tensor, self.matched_tensors[tensor])
                if left.indices:
                    still_extra.append(left)
            self.matching.extra[key] = still_extra


def _fused_places(keys: Iterable[str]) -> dict[str, FusedPlace]:
    """Return the fused tensor that each name belongs to; names that belong to none are left out."""
    places: dict[str, FusedPlace] = {}
    for key in keys:
        place = fused_place(key)
        if place is not None:
            places[key] = place
    return places


# --- parts of both sides ---


def _add_row(parts: _Parts, place: FusedPlace, missing: MissingRow) -> None:
    """Add the missing tensors of a row; where they have an expert number, all experts stacked."""
    row = missing.row
    axes, shape, experts = row.axes, row.shape, None
    if place.per_expert:
        experts = len(row.axes[-1])
        axes = row.axes[:-1]
        shape = (experts, *row.shape)
    matched = {index[: len(axes)] for index in missing.matched}
    part = _Part(place, (shape,), prod(shape), experts, row)
    for index in product(*axes):
        if index not in matched:
            parts.setdefault(index, []).append(part)


def _add_tensor(parts: _Parts, place: FusedPlace, tensor: LogicalTensor) -> None:
    """Add stored tensors without expert numbers."""
    part = _stored_part(place, tensor)
    for index in tensor.indices:
        parts.setdefault(index, []).append(part)


def _stored_part(place: FusedPlace, tensor: LogicalTensor) -> _Part:
    if tensor.shape is None:
        return _Part(place, (), tensor.elements, None, tensor)
    shapes = (tensor.shape, *tensor.other_shapes)
    return _Part(place, shapes, prod(tensor.shape), None, tensor)


def _stacked_part(place: FusedPlace, tensor: LogicalTensor, experts: int) -> _Part:
    """Return the part that `experts` tensors make, stacked."""
    one = _stored_part(place, tensor)
    shapes = tuple((experts, *shape) for shape in one.shapes)
    elements = None
    if one.elements is not None:
        elements = one.elements * experts
    return _Part(place, shapes, elements, experts, tensor)


def _most_experts(parts: _Parts) -> int:
    """Return how many experts the template stacks; 0 if it has none."""
    shapes = {part.shapes[0] for several in parts.values() for part in several}
    return max((shape[0] for shape in shapes if len(shape) > 1), default=0)


# --- pairs ---


def _pairs(expected: _Parts, stored: _Parts) -> list[_Pair]:
    """Return the parts that match, the numbers with the same parts on both sides together."""
    indices_of: dict[tuple[tuple[_Part, ...], tuple[_Part, ...]], list[Index]] = {}
    for index in sorted(expected.keys() & stored.keys()):
        ours = _by_slot(expected[index])
        theirs = _by_slot(stored[index])
        if (_is_complete(ours) and _is_complete(theirs)) or _same_slots(ours, theirs):
            indices_of.setdefault((ours, theirs), []).append(index)
    return [_Pair(*parts, indices) for parts, indices in indices_of.items()]


def _by_slot(parts: list[_Part]) -> tuple[_Part, ...]:
    return tuple(sorted(parts, key=lambda part: part.place.slot))


def _is_complete(parts: Sequence[_Part]) -> bool:
    """Return whether each slot of the fused tensor is there once."""
    slots = parts[0].place.slots
    if any(part.place.slots != slots for part in parts):
        return False
    return [part.place.slot for part in parts] == list(range(slots))


def _same_slots(ours: Sequence[_Part], theirs: Sequence[_Part]) -> bool:
    """Return whether both sides have the same slots, each once: experts that have no gate."""
    slots = [part.place.slot for part in ours]
    if len(set(slots)) < len(slots):
        return False
    return slots == [part.place.slot for part in theirs]


def _fuse(key: str, parts: Sequence[_Part]) -> _Fused:
    """Return the shapes that the parts can make together, and their elements if all are known."""
    total: int | None = 0
    for part in parts:
        if part.elements is None or total is None:
            total = None
        else:
            total += part.elements
    if len(parts) == 1:
        return _Fused(parts[0].shapes, total)
    shapes: list[Shape] = []
    for combination in zip(*(part.shapes for part in parts), strict=False):
        shape = joined_shape(key, combination)
        if shape is not None:
            shapes.append(shape)
    return _Fused(tuple(shapes), total)


def _fits(key: str, expected: _Fused, stored: _Fused, stored_parts: Sequence[_Part]) -> bool:
    """Return whether shapes agree in one of the layouts; else the elements, else the experts."""
    shape = expected.shapes[0]
    if stored.shapes:
        return shape in stored.shapes or other_layout(key, shape) in stored.shapes
    if stored.elements is not None:
        return stored.elements == expected.elements
    experts = {part.experts for part in stored_parts if part.experts is not None}
    return not experts or len(shape) < 2 or experts == {shape[0]}


# --- tensors by the numbers of fused ones ---


def _tensors_of(place: FusedPlace, tensor: LogicalTensor, fused: list[Index]) -> LogicalTensor:
    """Return the tensors that belong to the fused tensors at these numbers."""
    if not place.per_expert:
        return tensor.subset(fused)
    layers = set(fused)
    return tensor.subset([index for index in tensor.indices if index[:-1] in layers])


def _without(tensor: LogicalTensor, fused: set[Index]) -> LogicalTensor:
    """Return the tensors that do not belong to the fused tensors at these numbers."""
    width = len(next(iter(fused)))
    return tensor.subset([index for index in tensor.indices if index[:width] not in fused])
