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
from typing import NamedTuple, TypeVar

from ..tensors.template import TensorRow
from .indices import Index
from .layouts import FusedPlace, closer_layout, fused_place, joined_shape, other_layout
from .logical import LogicalTensor, Shape
from .matching import Match, Matching, MissingRow


@dataclass(slots=True, eq=False)
class _Part:
    """A part of a fused tensor. Compared and hashed by identity."""

    place: FusedPlace
    shapes: tuple[Shape, ...]
    """Its possible shapes, experts stacked; empty if unknown."""
    elements: int | None
    experts: int | None
    """How many experts it stacks; None if it has no expert number."""


@dataclass(slots=True, eq=False)
class _RowPart(_Part):
    """The tensors of a template row as a part."""

    row: TensorRow


@dataclass(slots=True, eq=False)
class _TensorPart(_Part):
    """Stored tensors as a part."""

    tensor: LogicalTensor


_RowParts = dict[Index, list[_RowPart]]
_TensorParts = dict[Index, list[_TensorPart]]
"""The parts of one fused tensor name, by the numbers of the fused tensor."""

_AnyPart = TypeVar("_AnyPart", bound=_Part)


class _Fused(NamedTuple):
    """What several parts make together."""

    shapes: tuple[Shape, ...]
    """Its possible shapes; empty if unknown, or if the parts do not go together."""
    elements: int | None
    joins: bool = True
    """Whether the parts go together, as far as their shapes are known."""


class _Pair(NamedTuple):
    """Parts of both sides that make the same fused tensors."""

    expected: tuple[_RowPart, ...]
    stored: tuple[_TensorPart, ...]


def match_fused(matching: Matching) -> None:
    """Match the missing rows and extra tensors of a matching as fused tensors."""
    _Fusing(matching).run()


class _Fusing:
    """Collects the parts of both sides by the name of their fused tensor, and matches them."""

    def __init__(self, matching: Matching) -> None:
        self.matching = matching
        self.split_places = _split_places(matching)
        """By name, where parts sit that the family's own conversion splits a tensor into."""

        self.expected: dict[str, _RowParts] = {}
        self.stored: dict[str, _TensorParts] = {}

        self.matched_rows: dict[TensorRow, set[Index]] = {}
        """Numbers of the fused tensors that a row's tensors are matched in."""

        self.matched_tensors: dict[LogicalTensor, set[Index]] = {}

    def run(self) -> None:
        """Match all that can be fused, and remove it from what is missing and extra."""
        places = {**_fused_places(self.matching.extra), **self.split_places.stored}
        stored_keys = {place.key for place in places.values()}
        self._collect_rows(stored_keys)
        self._collect_tensors(places)

        for key, stored in self.stored.items():
            pairs = _pairs(self.expected[key], stored)
            for pair, indices in pairs.items():
                self._add_match(key, pair, indices)

        if self.matched_rows:
            self._remove_matched_rows()
            self._remove_matched_tensors()

    # --- collecting ---

    def _collect_rows(self, stored_keys: set[str]) -> None:
        """Collect missing rows that belong to a fused tensor of which something is stored."""
        all_missing = self.matching.missing
        places = {**_fused_places(all_missing), **self.split_places.expected}
        for key, place in places.items():
            fused_key = place.key
            if fused_key not in stored_keys:
                continue
            parts = self.expected.setdefault(fused_key, {})
            for missing in all_missing[key]:
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

    def _add_experts(self, parts: _TensorParts, place: FusedPlace, tensor: LogicalTensor) -> None:
        """Add tensors of single experts, stacked by layer.

        A layer with half of the experts or more is taken as a stack of all; those that it lacks
        are noted as missing experts.
        """
        experts_of: dict[Index, set[int]] = {}
        for index in tensor.indices:
            layer = index[:-1]
            expert = index[-1]
            experts_of.setdefault(layer, set()).add(expert)

        expected = _most_experts(self.expected[place.key])
        stacks: dict[int, _TensorPart] = {}
        for layer, experts in experts_of.items():
            highest = max(experts)
            count = max(highest + 1, expected)
            if 2 * len(experts) < count:
                continue

            if len(experts) < count:
                self._note_missing_experts(tensor, layer, set(range(count)) - experts)
            # Layers with the same number of experts share a part, and match together.
            if count not in stacks:
                stacks[count] = _stacked_part(place, tensor, count)
            parts.setdefault(layer, []).append(stacks[count])

    def _note_missing_experts(self, tensor: LogicalTensor, layer: Index, experts: set[int]) -> None:
        indices = self.matching.missing_experts.setdefault(tensor.source, [])
        for expert in sorted(experts):
            indices.append((*layer, expert))

    # --- matching ---

    def _add_match(self, key: str, pair: _Pair, indices: list[Index]) -> None:
        """Add a match of fused tensors, and note the rows and tensors that it is made of."""
        for part in pair.expected:
            self.matched_rows.setdefault(part.row, set()).update(indices)
        for part in pair.stored:
            self.matched_tensors.setdefault(part.tensor, set()).update(indices)

        expected = _fuse(key, pair.expected)
        stored = _fuse(key, pair.stored)
        fits = _fits(key, expected, stored, pair.stored)

        shape = expected.shapes[0]
        other = other_layout(key, shape)
        elements = expected.elements
        stored_shape: Shape | None = None
        if stored.shapes:
            stored_shape = stored.shapes[0]
        if not fits:
            elements = stored.elements
            if stored_shape is not None:
                elements = prod(stored_shape)
            if stored_shape is not None and other is not None:
                shape = closer_layout(shape, other, stored_shape)

        match = Match(
            key=key,
            rows=tuple(part.row for part in pair.expected),
            tensors=tuple(_tensors_of(part, indices) for part in pair.stored),
            indices=indices,
            elements=(elements or 0) * len(indices),
            fits=fits,
            expected_shape=shape,
            stored_shape=stored_shape,
        )
        self.matching.matches.append(match)

    # --- removing what is matched ---

    def _remove_matched_rows(self) -> None:
        """Leave of the missing rows what no fused tensor has."""
        all_missing = self.matching.missing
        for key, rows in all_missing.items():
            still_missing: list[MissingRow] = []
            for missing in rows:
                found = self.matched_rows.get(missing.row)
                left: MissingRow | None = missing
                if found is not None:
                    left = missing.without(found)
                if left is not None:
                    still_missing.append(left)
            all_missing[key] = still_missing

    def _remove_matched_tensors(self) -> None:
        """Leave of the extra tensors what is part of no fused tensor."""
        for key, tensors in self.matching.extra.items():
            still_extra: list[LogicalTensor] = []
            for tensor in tensors:
                found = self.matched_tensors.get(tensor)
                left = tensor
                if found is not None:
                    left = _without(tensor, found)
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


class _SplitPlaces(NamedTuple):
    """Where tensors sit that are one in a template and several in a checkpoint."""

    expected: dict[str, FusedPlace]
    stored: dict[str, FusedPlace]


def _split_places(matching: Matching) -> _SplitPlaces:
    """Return the places of missing tensors that transformers splits, where the parts are stored.

    Names that are parts of the same tensor in every family have their places by `fused_place`.
    """
    places = _SplitPlaces({}, {})
    for key, missing in matching.missing.items():
        if not missing or fused_place(key) is not None:
            continue
        names = matching.conversion.parts(missing[0].row.pattern)
        parts = [*map(matching.canonical_name, names)]
        if not parts or not matching.extra.keys() >= set(parts):
            continue
        places.expected[key] = FusedPlace(key)
        for slot, part in enumerate(parts):
            places.stored[part] = FusedPlace(key, slot, len(parts))
    return places


# --- parts of both sides ---


def _add_row(parts: _RowParts, place: FusedPlace, missing: MissingRow) -> None:
    """Add the missing tensors of a row; where they have an expert number, all experts stacked."""
    row = missing.row
    axes = row.axes
    shape = row.shape
    experts = None
    if place.per_expert:
        *layers, expert_axis = row.axes
        axes = tuple(layers)
        experts = len(expert_axis)
        shape = (experts, *row.shape)
    part = _RowPart(place, (shape,), prod(shape), experts, row)

    # What is matched by name is not included; of a stack that is partly matched, nothing is.
    width = len(axes)
    matched = {index[:width] for index in missing.matched}
    for index in product(*axes):
        if index not in matched:
            parts.setdefault(index, []).append(part)


def _add_tensor(parts: _TensorParts, place: FusedPlace, tensor: LogicalTensor) -> None:
    """Add stored tensors without expert numbers."""
    part = _stored_part(place, tensor)
    for index in tensor.indices:
        of_index = parts.setdefault(index, [])
        of_index.append(part)


def _stored_part(place: FusedPlace, tensor: LogicalTensor) -> _TensorPart:
    shapes: tuple[Shape, ...] = ()
    elements = tensor.elements
    if tensor.shape is not None:
        shapes = (tensor.shape, *tensor.other_shapes)
        elements = prod(tensor.shape)

    return _TensorPart(place, shapes, elements, None, tensor)


def _stacked_part(place: FusedPlace, tensor: LogicalTensor, experts: int) -> _TensorPart:
    """Return the part that `experts` tensors make, stacked."""
    one = _stored_part(place, tensor)
    shapes = tuple((experts, *shape) for shape in one.shapes)
    elements = one.elements
    if elements is not None:
        elements *= experts

    return _TensorPart(place, shapes, elements, experts, tensor)


def _most_experts(parts: _RowParts) -> int:
    """Return how many experts the template stacks; 0 if it has none."""
    most = 0
    for several in parts.values():
        for part in several:
            shape = part.shapes[0]
            if len(shape) > 1:
                most = max(most, shape[0])
    return most


# --- pairs ---


def _pairs(expected: _RowParts, stored: _TensorParts) -> dict[_Pair, list[Index]]:
    """Return the parts that match, with the numbers at which both sides have these parts."""
    pairs: dict[_Pair, list[Index]] = {}
    for index in sorted(expected.keys() & stored.keys()):
        ours = _by_slot(expected[index])
        theirs = _by_slot(stored[index])
        both_complete = _is_complete(ours) and _is_complete(theirs)
        if both_complete or _have_same_slots(ours, theirs):
            pair = _Pair(ours, theirs)
            pairs.setdefault(pair, []).append(index)

    return pairs


def _by_slot(parts: list[_AnyPart]) -> tuple[_AnyPart, ...]:
    return tuple(sorted(parts, key=_slot))


def _slot(part: _Part) -> int:
    return part.place.slot


def _is_complete(parts: Sequence[_Part]) -> bool:
    """Return whether each slot of the fused tensor is there once."""
    counts = {part.place.slots for part in parts}
    if len(counts) > 1:
        return False
    slots = [*map(_slot, parts)]
    return slots == list(range(counts.pop()))


def _have_same_slots(ours: Sequence[_Part], theirs: Sequence[_Part]) -> bool:
    """Return whether both sides have the same slots, each once: experts that have no gate."""
    slots = [*map(_slot, ours)]
    other_slots = [*map(_slot, theirs)]
    if len(set(slots)) < len(slots):
        return False
    return slots == other_slots


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

    # Where a packing leaves several shapes open, the first of each part go together, and so on.
    shapes: list[Shape] = []
    for combination in zip(*(part.shapes for part in parts), strict=False):
        shape = joined_shape(key, combination)
        if shape is not None:
            shapes.append(shape)
    are_known = all(part.shapes for part in parts)
    return _Fused(tuple(shapes), total, joins=bool(shapes) or not are_known)


def _fits(key: str, expected: _Fused, stored: _Fused, stored_parts: Sequence[_TensorPart]) -> bool:
    """Return whether shapes agree in one of the layouts; else the elements, else the experts."""
    if not stored.joins:
        return False
    shape = expected.shapes[0]
    if stored.shapes:
        layouts = {shape, other_layout(key, shape)}
        return not layouts.isdisjoint(stored.shapes)
    if stored.elements is not None:
        return stored.elements == expected.elements

    experts = {part.experts for part in stored_parts if part.experts is not None}
    if not experts or len(shape) < 2:
        # There are names alone, and nothing to compare.
        return True
    return experts == {shape[0]}


# --- tensors by the numbers of fused ones ---


def _tensors_of(part: _TensorPart, fused: list[Index]) -> LogicalTensor:
    """Return the tensors of a part that belong to the fused tensors at these numbers."""
    tensor = part.tensor
    if not part.place.per_expert:
        return tensor.subset(fused)

    layers = set(fused)
    own = [index for index in tensor.indices if index[:-1] in layers]
    return tensor.subset(own)


def _without(tensor: LogicalTensor, fused: set[Index]) -> LogicalTensor:
    """Return the tensors that do not belong to the fused tensors at these numbers."""
    width = len(next(iter(fused)))
    others = [index for index in tensor.indices if index[:width] not in fused]
    return tensor.subset(others)
