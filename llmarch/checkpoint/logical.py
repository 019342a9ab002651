"""Logical tensors: what stored tensors stand for once unpacked, still folded by pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

from ..architecture.schema import Quantization
from .indices import Index, folded_names

Shape = tuple[int, ...]


class StoredCompanion(NamedTuple):
    """A tensor stored beside packed values: scales, zero points, an index."""

    dtype: str
    shape: Shape | None
    """None for a name without header."""


@dataclass(slots=True, eq=False)
class LogicalTensor:
    """Tensors alike in pattern, logical shape and packing. Compared and hashed by identity."""

    pattern: str
    dtype: str
    shape: Shape | None
    """None where no header tells it: for a name without header, or a flat row of `elements`."""
    indices: list[Index]
    """The numbers at the `{}` of the pattern, one tuple for each tensor."""
    source: str
    """The pattern of the stored tensor that holds the values."""
    packing: str = ""
    width: float = 0.0
    """Bits of one packed value."""
    bits: int = 0
    """Bits that one tensor takes in the file, scales included."""
    scales: int = 0
    """Elements of one tensor's scales."""
    elements: int | None = None
    other_shapes: tuple[Shape, ...] = ()
    """Further shapes that the same packed tensor could have."""
    not_comparable: str = ""
    """Why the tensor cannot be compared with a template; empty if it can."""
    uncertain: bool = False
    """Whether none of its shapes is certain (MLX without its group size)."""
    format: str = ""
    """Name of its packing format; empty: not packed."""
    companions: Mapping[str, StoredCompanion] = field(default_factory=dict[str, StoredCompanion])
    """What is stored beside packed values, by suffix."""
    declared: Quantization | None = None
    """What the config declares for these tensors' modules; None: nothing."""

    @property
    def stored_name(self) -> str:
        """Return the name as stored, numbers folded: the first of several."""
        return folded_names(self.source, self.indices)[0]

    @property
    def has_size(self) -> bool:
        """Return whether there is a shape or a number of elements to compare."""
        return self.shape is not None or self.elements is not None

    @property
    def total_elements(self) -> int:
        """Return the elements of all its tensors; 0 where the size is not known."""
        one = self.elements or 0
        if self.shape is not None:
            one = prod(self.shape)
        count = len(self.indices)
        return one * count

    def fits(self, shape: Shape) -> bool:
        """Return whether the stored tensor can have this shape; True if its size is unknown."""
        if self.shape is not None:
            possible = (self.shape, *self.other_shapes)
            return shape in possible
        if self.elements is not None:
            return self.elements == prod(shape)
        return True

    def subset(self, indices: list[Index]) -> LogicalTensor:
        """Return the same tensor for a part of its indices."""
        return replace(self, indices=indices)
