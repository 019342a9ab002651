"""What a packing format is: which stored tensors belong together, and the logical tensor that they stand for.

A format knows suffixes, dtypes and shapes. It knows no family, and reads no template: what it can't tell stays open (`others`,
`elements`), and the join picks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Quantization
from ..logical import Shape

FLOAT8 = frozenset({"F8_E4M3", "F8_E5M2"})
INT32 = frozenset({"I32", "U32"})
FUSED = tuple(
    f"experts.{n}" for n in ("gate_up_proj", "down_proj", "gate_proj", "up_proj", "w1", "w2", "w3")
)
"""Parameters of stacked experts, whose names have no `.weight`; their companions are joined by an underscore."""


@frozen
class Packed(Frozen):
    """One stored tensor of values, and the shapes of what is stored beside it, by suffix."""

    shape: Shape
    dtype: str
    beside: Mapping[str, Shape]
    declared: Quantization | None

    @property
    def bits(self) -> int | None:
        """Whole bits of a value, as the config declares."""
        d = self.declared
        return int(d.bits) if d and d.bits and d.bits == int(d.bits) else None

    @property
    def group(self) -> int | None:
        d = self.declared
        return d.group_size if d and d.group_size and d.group_size > 0 else None

    def first(self, *suffixes: str) -> Shape | None:
        """The shape of the first of these that is there."""
        return next((self.beside[s] for s in suffixes if s in self.beside), None)


@frozen
class Plain(Frozen):
    """The logical tensor: its shape, or shapes that it may have, or only its number of elements; `open`: its shape is but the likeliest
    of several. `how` says more than the format's name ("blocks 128 x 128"), `wrong` what disagrees within the packing."""

    width: float
    shape: Shape | None = None
    others: tuple[Shape, ...] = ()
    elements: int | None = None
    how: str = ""
    wrong: str = ""
    open: bool = False


@frozen
class Format(Frozen):
    """A packing format.

    `values` are the endings of tensors that hold packed values; the stem is the name without `stem`, the logical name is the stem plus
    `logical`. One of `scales` must be there for each; `beside` may be. `sure`: name or dtype alone tell the format, so a lack of scales
    is a finding; so do `marks`, companions that no other format has. `methods` are the quantization methods of a config that announce it.
    """

    name: str
    methods: frozenset[str]
    values: tuple[str, ...]
    stem: str
    logical: str
    scales: tuple[str, ...]
    unpack: Callable[[Packed], Plain | None]
    dtypes: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    sure: bool = False
    width: float = 0.0
    accept: Callable[[Packed], bool] = lambda p: True

    @property
    def companions(self) -> tuple[str, ...]:
        return self.scales + self.beside


def blocks_of(shape: Shape, block: tuple[int, int]) -> Shape:
    """How many blocks cover the last two dimensions: [.., o, i] -> [.., ceil(o / b0), ceil(i / b1)]."""
    *lead, o, i = shape
    return (*lead, -(-o // block[0]), -(-i // block[1]))


def listed(shape: Shape) -> str:
    return "[" + ", ".join(f"{n:,}" if n >= 10_000 else str(n) for n in shape) + "]"
