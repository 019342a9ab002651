"""The interface of a packing format: which stored tensors belong together, and what they unpack to.

A format knows suffixes, dtypes and shapes. It knows no family and reads no template: what the
header leaves open stays open (`other_shapes`, `elements`), and the matching decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Quantization
from ..logical import Shape

FLOATS16 = frozenset({"F16", "BF16"})
REAL_DTYPES = FLOATS16 | {"F32"}
"""Dtypes of scales that are real numbers."""
FLOAT32 = frozenset({"F32"})
UINT8 = frozenset({"U8"})
EXPONENTS = frozenset({"U8", "F8_E8M0"})
"""Dtypes of scales that are powers of two (E8M0)."""

FLOAT8 = frozenset({"F8_E4M3", "F8_E5M2"})
"""Dtypes of FP8 weights."""

INT32 = frozenset({"I32", "U32"})
"""Dtypes of the 32-bit words into which integers are packed."""

STACKED_EXPERTS = (
    "experts.gate_up_proj",
    "experts.down_proj",
    "experts.gate_proj",
    "experts.up_proj",
    "experts.w1",
    "experts.w2",
    "experts.w3",
)
"""Stacked experts are parameters without `.weight`; their companions add `_suffix` to the name."""


@frozen
class Packed(Frozen):
    """A stored tensor of packed values, with the shapes of the tensors stored beside it."""

    shape: Shape
    dtype: str
    companions: Mapping[str, Shape]
    """Shapes of its scales, zero points and other companions, by suffix."""
    declared: Quantization | None
    """The quantization that the config declares."""

    @property
    def bits(self) -> int | None:
        """Return the declared bits of a value, or None where they are not a whole number."""
        if self.declared is None or not self.declared.bits:
            return None
        whole = int(self.declared.bits)
        if whole != self.declared.bits:
            return None
        return whole

    @property
    def group_size(self) -> int | None:
        """Return the declared number of values that share a scale, or None."""
        if self.declared is None or not self.declared.group_size:
            return None
        if self.declared.group_size < 0:
            return None
        return self.declared.group_size

    @property
    def block(self) -> tuple[int, int] | None:
        """Return the declared block [rows, columns] that shares a scale, or None."""
        if self.declared is None:
            return None
        block = self.declared.block
        if block is None or len(block) != 2:
            return None
        rows, columns = block
        if rows <= 0 or columns <= 0:
            return None
        return rows, columns

    def first(self, *suffixes: str) -> Shape | None:
        """Return the shape of the first of these companions that is stored, or None."""
        for suffix in suffixes:
            if suffix in self.companions:
                return self.companions[suffix]
        return None


@frozen
class Decoded(Frozen):
    """The logical tensor that packed values stand for: a shape, or only a number of elements."""

    width: float
    """Bits of one value."""
    shape: Shape | None = None
    other_shapes: tuple[Shape, ...] = ()
    """Further shapes that the same stored tensor could have."""
    elements: int | None = None
    """Number of values, where the header does not give their shape."""
    detail: str = ""
    """What the label adds to the format's name: `blocks 128 × 128`."""
    problem: str = ""
    """What disagrees within the packing, as the text of a finding."""
    uncertain: bool = False
    """Whether `shape` is only the likeliest of several."""


@frozen
class PackingFormat(Frozen):
    """A packing format: the names and dtypes that belong to it, and how to unpack it.

    A stored name is a stem and `suffix`; the logical name is the stem and `logical_suffix`; a
    companion's name is the stem and one of `scales` or `extras`.
    """

    name: str
    methods: frozenset[str]
    """Quantization methods of a config that announce this format."""
    endings: tuple[str, ...]
    """Endings of the names of tensors that hold packed values."""
    suffix: str
    logical_suffix: str
    scales: tuple[str, ...]
    """Suffixes of scales: each tensor of values needs one of them."""
    unpack: Callable[[Packed], Decoded | None]
    """Return the logical tensor, or None for a layout that llmarch does not unpack."""
    dtypes: frozenset[str] = frozenset()
    """Dtypes of the values; empty: any."""
    extras: tuple[str, ...] = ()
    """Suffixes of companions that may be stored."""
    marks: tuple[str, ...] = ()
    """Companions that no other format has, which identify this one."""
    certain: bool = False
    """Whether name and dtype identify the format, so that missing scales are a finding."""
    width: float = 0.0
    """Bits of one value, where every tensor of the format has the same."""
    companion_dtypes: Mapping[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]]
    )
    """Dtypes that writers give to companions, by suffix. A suffix that is left out: any."""
    accept: Callable[[Packed], bool] = lambda packed: True
    """Return whether the shapes can be this format's."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Return the suffixes of all companions."""
        return self.scales + self.extras


def ceil_div(n: int, size: int) -> int:
    """Return how many parts of `size` cover `n`."""
    return -(-n // size)


def blocks_of(shape: Shape, block: tuple[int, int]) -> Shape:
    """Return the shape of one scale per block: [.., o, i] -> [.., ceil(o / b0), ceil(i / b1)]."""
    *lead, outputs, inputs = shape
    return (
        *lead,
        ceil_div(outputs, block[0]),
        ceil_div(inputs, block[1]),
    )


def format_shape(shape: Shape) -> str:
    """Return a shape as text, with separators in large numbers: `[151,936, 1024]`."""
    sizes = [f"{n:,}" if n >= 10_000 else str(n) for n in shape]
    return f"[{', '.join(sizes)}]"


def scale_problem(stored: Shape | None, needed: Shape) -> str:
    """Return what is wrong with scales that need another shape, or "" for nothing."""
    if stored is None or stored == needed:
        return ""
    found = format_shape(stored)
    expected = format_shape(needed)
    return f"scales have shape {found}, expected {expected}"


def zeros_problem(zeros: Shape, scales: Shape) -> str:
    """Return the text for zero points that do not go with the scales."""
    return f"zero points of shape {format_shape(zeros)} do not fit scales {format_shape(scales)}"
