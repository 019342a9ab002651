"""Find the facts that shapes prove: those that can have no other value with the same shapes.

A shape often gives a product or a sum of facts (heads * head_dim). Each number that the shapes
give is one equation. A fact is proved if the equations leave no direction in which it could change
together with others: to find that, each fact is changed by one, and the shapes compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from math import prod

from ..architecture.paths import find_value, replace_value
from ..architecture.schema import Architecture
from ..tensors.folding import axes_folded
from ..tensors.template import UNPREDICTABLE, TensorRow
from .matching import Matching
from .variants import TemplateOf, integer_facts

_Name = tuple[str, tuple[int, ...]]
"""The pattern of a row, and the first number of each axis."""
_Equations = list[dict[str, Fraction]]
"""How much each number changes with each fact."""


def confirmed_facts(
    a: Architecture, matching: Matching, template_of: TemplateOf
) -> dict[str, tuple[str, ...]]:
    """Return the facts that shapes prove, and the tensors that prove them.

    All tensors of a fact must be stored with the shapes that it gives them.
    """
    by_shape, by_size, refuted = _confirmed_rows(matching)
    tensors: dict[str, list[str]] = {}
    for row in (*by_shape, *by_size):
        for path in row.proves:
            if path not in refuted:
                tensors.setdefault(path, []).append(axes_folded(row.pattern, row.axes))

    numbers = _Numbers(by_shape, by_size)
    before = numbers.of(matching_rows(matching))
    equations: _Equations = [{} for _ in before]
    unknown: set[str] = set()
    for path in _integers_of(a, tensors):
        try:
            after = numbers.of(template_of(replace_value(a, path, find_value(a, path) + 1)))
        except UNPREDICTABLE:
            unknown.add(path)
            continue
        for equation, old, new in zip(equations, before, after, strict=True):
            if old != new:
                equation[path] = Fraction(new - old)
    proved = _determined(equations)
    confirmed: dict[str, tuple[str, ...]] = {}
    for path, names in tensors.items():
        is_number = type(find_value(a, path)) is int
        if not is_number or (path in proved and path not in unknown):
            confirmed[path] = tuple(names)
    return confirmed


def matching_rows(matching: Matching) -> list[TensorRow]:
    """Return the template of a matching."""
    return [row for rows in matching.rows.values() for row in rows]


def _confirmed_rows(
    matching: Matching,
) -> tuple[list[TensorRow], list[TensorRow], set[str]]:
    """Return rows that are stored in full, and the facts of those that are not.

    Of the rows, first those whose shapes are known. Of the others only the size is.
    """
    stored: Counter[TensorRow] = Counter()
    sizes_only: set[TensorRow] = set()
    refuted: set[str] = set()
    for match in matching.matches:
        for row in match.rows:
            if not match.fits:
                refuted.update(row.proves)
            elif match.compared:
                stored[row] += match.count_of(row)
            if match.stored_shape is None or len(match.rows) > 1:
                sizes_only.add(row)

    by_shape: list[TensorRow] = []
    by_size: list[TensorRow] = []
    for row in matching_rows(matching):
        is_whole = stored[row] >= row.count
        if is_whole and row in sizes_only:
            by_size.append(row)
        elif is_whole:
            by_shape.append(row)
        elif row.component != "mtp":
            # Re-quantised copies leave MTP modules out, which says nothing of other layers.
            refuted.update(row.proves)
    return by_shape, by_size, refuted


class _Numbers:
    """The numbers that stored tensors give: dimensions, sizes, and how many tensors there are."""

    def __init__(self, by_shape: Iterable[TensorRow], by_size: Iterable[TensorRow]) -> None:
        self.by_shape = [(_name_of(row), len(row.shape)) for row in by_shape]
        self.by_size = [_name_of(row) for row in by_size]

    def of(self, rows: Iterable[TensorRow]) -> list[int]:
        """Return the numbers as a template has them; 0 for tensors that it has not."""
        named: Mapping[_Name, TensorRow] = {_name_of(row): row for row in rows}
        numbers: list[int] = []
        for name, dimensions in self.by_shape:
            row = named.get(name)
            shape = (0,) * dimensions
            if row is not None and len(row.shape) == dimensions:
                shape = row.shape
            numbers += shape
            numbers.append(row.count if row is not None else 0)
        for name in self.by_size:
            row = named.get(name)
            numbers.append(prod(row.shape) if row is not None else 0)
        return numbers


def _name_of(row: TensorRow) -> _Name:
    return row.pattern, tuple(axis[0] for axis in row.axes)


def _integers_of(a: Architecture, paths: Collection[str]) -> list[str]:
    """Return the numbers of the blocks that have these facts, and those of the model."""
    blocks = {".".join(path.split(".")[:2]) for path in paths if "." in path}
    found = {*integer_facts(a, "")}
    found.update(path for path in paths if type(find_value(a, path)) is int)
    for block in blocks:
        found.update(integer_facts(a, block))
    return sorted(found)


def _determined(equations: _Equations) -> set[str]:
    """Return the facts that linear equations determine, by elimination."""
    rows: dict[str, dict[str, Fraction]] = {}  # by the fact that each is solved for
    for equation in equations:
        rest = dict(equation)
        for fact, row in rows.items():
            if rest.get(fact):
                _subtract(rest, row, rest[fact])
        rest = {fact: factor for fact, factor in rest.items() if factor}
        if not rest:
            continue
        solved = min(rest)
        unit = {fact: factor / rest[solved] for fact, factor in rest.items()}
        for row in rows.values():
            if row.get(solved):
                _subtract(row, unit, row[solved])
        rows[solved] = unit
    return {fact for fact, row in rows.items() if all(f == fact or not v for f, v in row.items())}


def _subtract(row: dict[str, Fraction], other: dict[str, Fraction], factor: Fraction) -> None:
    for fact, value in other.items():
        row[fact] = row.get(fact, Fraction(0)) - factor * value
