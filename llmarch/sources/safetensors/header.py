"""The parsed header of a safetensors file, and the checks that every header must pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from operator import sub
from typing import NamedTuple

from ...errors import HeaderError, printable
from ..raw import DTYPE_BITS, DtypeShape, TensorTable

METADATA = "__metadata__"
"""Key of the header that is not a tensor."""
MAX_TENSORS = 500_000
"""In one file; Kimi K2 has 140,000 in 61 files."""
MAX_OFFSET = 2**63
MAX_DIMS = 64


@dataclass(slots=True)
class Header:
    """A parsed header, in columns."""

    file: str
    size: int
    """Bytes of the header, with the eight of the length."""
    data_size: int
    """Bytes of the weights after the header."""
    names: list[str]
    kinds: list[DtypeShape]
    """Dtype and shape of each tensor."""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    _table: TensorTable | None = None

    @property
    def table(self) -> TensorTable:
        """The tensors, folded when they are first asked for."""
        if self._table is None:
            self._table = TensorTable()
            self._table.extend(self.names, self.kinds)
        return self._table

    @property
    def tensors(self) -> Iterator[tuple[str, str, tuple[int, ...] | None]]:
        """Name, dtype and shape of each tensor."""
        named_kinds = zip(self.names, self.kinds, strict=True)
        for name, (dtype, shape) in named_kinds:
            yield name, dtype, shape


class SizedKind(NamedTuple):
    """Dtype and shape, and the bytes that such a tensor takes."""

    kind: DtypeShape
    size: int


@lru_cache(maxsize=4096)
def parse_kind(dtype: str, shape: str) -> SizedKind:
    """Return dtype and shape, one object for equal ones, and the size they give.

    Raises ValueError with the reason if they give none.

    shape: the sizes as text, separated by commas.
    """
    bits = DTYPE_BITS.get(dtype)
    if bits is None:
        raise ValueError(f"unknown dtype {printable(dtype)}")
    sizes = tuple(map(int, shape.split(","))) if shape else ()
    if len(sizes) > MAX_DIMS:
        raise ValueError(f"a shape of {len(sizes)} dimensions")
    if min(sizes, default=0) < 0:
        raise ValueError(f"a negative size in its shape {list(sizes)}")
    total_bits = prod(sizes) * bits
    if total_bits % 8:
        raise ValueError(f"{dtype} {list(sizes)} does not end on a whole byte")
    if total_bits // 8 > MAX_OFFSET:
        raise ValueError(f"{dtype} {list(sizes)} is larger than any file")
    return SizedKind((dtype, sizes), total_bits // 8)


def check_offsets(
    file: str,
    names: Sequence[str],
    begins: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
) -> int:
    """Check the tensors of a file against each other, and return where the last one ends.

    Raises HeaderError for duplicate names, offsets that do not fit the sizes, overlaps and holes.

    file: its name, for messages.
    names, begins, ends: name and offsets of each tensor.
    sizes: the bytes of each tensor by its dtype and shape.
    """
    spans = list(map(sub, ends, begins))
    if spans != sizes:
        raise _size_error(file, names, begins, ends, sizes)
    distinct = set(names)
    if METADATA in distinct:
        raise header_error(file, f"{METADATA} is not an object of strings")
    if len(distinct) != len(names):
        duplicate = next(a for a, b in pairwise(sorted(names)) if a == b)
        raise header_error(file, "named twice in one header", duplicate)
    if not names:
        return 0
    if begins[0] != 0 or begins[1:] != ends[:-1]:
        _check_order(file, names, begins, ends)
    end = max(ends)
    if end > MAX_OFFSET:
        raise header_error(file, f"its tensors end at byte {end}, beyond any file")
    return end


def padded_size(json_size: int) -> int:
    """Return the bytes of a header with its length and the spaces that the library adds."""
    return 8 + (json_size + 7) // 8 * 8


def header_error(file: str, problem: str, tensor: str | None = None) -> HeaderError:
    """Return the error that names file, tensor and problem."""
    location = printable(file)
    if tensor is not None:
        name = printable(tensor)
        location += f": tensor {name}"
    return HeaderError(f"{location}: {problem}")


def _size_error(
    file: str,
    names: Sequence[str],
    begins: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
) -> HeaderError:
    """Return the error for the first tensor whose offsets do not fit its size."""
    for name, begin, end, size in zip(names, begins, ends, sizes, strict=True):
        span = end - begin
        if span != size:
            problem = f"dtype and shape take {size:,} bytes, but "
            problem += f"its offsets {begin} to {end} span {span:,}"
            return header_error(file, problem, name)
    raise AssertionError


def _check_order(
    file: str, names: Sequence[str], begins: Sequence[int], ends: Sequence[int]
) -> None:
    """Raise HeaderError unless the tensors, sorted by offset, cover the file without gaps."""
    position = 0
    for begin, end, name in sorted(zip(begins, ends, names, strict=True)):
        if begin != position:
            problem = f"leave a hole of {begin - position:,} bytes before"
            if begin < position:
                problem = f"overlap the tensor before, which ends at {position}"
            raise header_error(file, f"its offsets {begin} to {end} {problem}", name)
        position = end
