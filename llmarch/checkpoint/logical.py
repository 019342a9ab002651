"""Logical tensors: what a checkpoint's stored tensors stand for once their packing is undone, still folded by pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from .indices import Index

Shape = tuple[int, ...]


@dataclass(slots=True)
class LogicalTensor:
    """Tensors alike in pattern, logical shape and packing.

    `shape` None: the header does not tell it (a name without header, or a format that stores a flat row of `elements`). `others`: further
    shapes that the same packed tensor could have; `open`: none of them is certain (MLX without its group size). `bits` and `scales` are
    what one tensor takes in the file, scales included, and how many elements of it are scales. `why`: why it can't be compared.
    """

    pattern: str
    dtype: str
    shape: Shape | None
    indices: list[Index]
    source: str
    packing: str = ""
    width: float = 0.0
    bits: int = 0
    scales: int = 0
    elements: int | None = None
    other_shapes: tuple[Shape, ...] = field(default=())
    not_comparable: str = ""
    uncertain: bool = False

    @property
    def has_size(self) -> bool:
        """Whether there is anything to compare a shape with."""
        return self.shape is not None or self.elements is not None

    @property
    def total_elements(self) -> int:
        """The elements of all its tensors; 0 where the size is not known."""
        one = prod(self.shape) if self.shape is not None else self.elements or 0
        return one * len(self.indices)

    def fits(self, shape: Shape) -> bool:
        """Whether the stored tensor can be one of this shape."""
        if self.shape is not None:
            return shape == self.shape or shape in self.other_shapes
        return self.elements is None or self.elements == prod(shape)

    def subset(self, indices: list[Index]) -> LogicalTensor:
        """The same for a part of the indices."""
        return LogicalTensor(
            self.pattern, self.dtype, self.shape, indices, self.source, self.packing, self.width, self.bits, self.scales, self.elements,
            self.other_shapes, self.not_comparable, self.uncertain,
        )  # fmt: skip
