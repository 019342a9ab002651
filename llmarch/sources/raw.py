"""Raw evidence: what a source found before any family reads it. Plain slotted dataclasses, for checkpoints hold 140,000 tensors.

Tensors that differ only in numbers are kept folded: `model.layers.3.mlp.experts.7.up_proj.weight` is the pattern
`model.layers.{}.mlp.experts.{}.up_proj.weight` at (3, 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from ..architecture.schema import Finding

_NUMBER = re.compile(r"(?<![^.])(0|[1-9][0-9]{0,8})(?![^.])")
_DIGITS = b"0123456789"
_ONLY_DIGITS = bytes(byte if byte in _DIGITS else 32 for byte in range(256))
_LINES_AS_PARTS = bytes.maketrans(b"\n", b".")
_NUMBERS = {b"%d" % number: number for number in range(1000)}
"""Numbers of layers and experts as they are written; looked up in half the time that `int` takes."""

Kind = tuple[str, tuple[int, ...] | None]
"""Dtype and shape of a tensor."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6,
    "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Bits of one element of each safetensors dtype (safetensors 0.8, Dtype::bitsize)."""


def fold(name: str) -> tuple[str, tuple[int, ...]]:
    """`a.3.b.7` -> (`a.{}.b.{}`, (3, 7)). Only whole dotted parts count as numbers, written plainly (no `03`, nothing of ten digits)."""
    parts = _NUMBER.split(name)
    if len(parts) == 1 or "{}" in name:
        return name, ()
    return "{}".join(parts[::2]), tuple(map(int, parts[1::2]))


def unfold(pattern: str, index: tuple[int, ...]) -> str:
    """The name at one index: the inverse of `fold`."""
    if not index:
        return pattern
    parts = pattern.split("{}")
    return "".join(
        [part + number for part, number in zip(parts, (*map(str, index), ""), strict=True)]
    )


@dataclass(slots=True)
class TensorGroup:
    """Tensors alike in pattern, dtype and shape; `indices` holds one tuple of numbers for each."""

    pattern: str
    dtype: str
    shape: tuple[int, ...] | None
    indices: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])

    @property
    def elements(self) -> int:
        """Stored elements of the whole group (0 where only names are known)."""
        return prod(self.shape) * len(self.indices) if self.shape is not None else 0

    @property
    def bits(self) -> int:
        """Stored bits of the whole group."""
        return self.elements * BITS.get(self.dtype, 0)


class TensorTable:
    """Every tensor of a checkpoint, folded. `shape` None and dtype "" mean that only the name is known (an index without its shards)."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, tuple[int, ...] | None, int], TensorGroup] = {}
        """By pattern, dtype, shape and the count of numbers, for a name may hold `{}` itself."""

    def add(self, name: str, dtype: str, shape: tuple[int, ...] | None) -> None:
        pattern, index = fold(name)
        key = (pattern, dtype, shape, len(index))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = TensorGroup(pattern, dtype, shape)
        group.indices.append(index)

    def add_group(self, group: TensorGroup) -> None:
        """A whole group at once, of a pattern, dtype and shape that is not there yet."""
        self._groups[group.pattern, group.dtype, group.shape, len(group.indices[0])] = group

    def extend(self, names: Sequence[str], kinds: Sequence[Kind]) -> None:
        """`add` for many: names, and the dtype and shape of each. All names are folded in one go, which takes half of the time.

        Without its digits `a.3.b.7` is `a..b.`, where each empty part stands for a number. That holds if no part was empty before (`..`),
        and if there are as many numbers as empty parts, none in a word (`w1`). Otherwise each name is folded by itself.
        """
        text = "\n".join(names).encode("utf-8", "surrogatepass")
        plain = text.translate(None, _DIGITS).split(b"\n")
        written = text.translate(_ONLY_DIGITS).split()
        numbers = [n for n in map(_NUMBERS.get, written) if n is not None]
        patterns = {
            p: ".".join(part or "{}" for part in p.decode("utf-8", "surrogatepass").split("."))
            for p in {*plain}
        }
        widths = {p: pattern.count("{}") for p, pattern in patterns.items()}
        odd = (
            len(plain) != len(names)
            or any(b"{}" in p for p in patterns)
            or b".." in b".%b." % text.translate(_LINES_AS_PARTS)
        )
        if odd or not sum(map(widths.__getitem__, plain)) == len(numbers) == len(written):
            for name, kind in zip(names, kinds, strict=True):
                self.add(name, *kind)
            return
        groups: dict[tuple[bytes, int], tuple[list[tuple[int, ...]], int]] = {}
        at = 0
        for key, kind in zip(
            zip(plain, map(id, kinds), strict=True), kinds, strict=True
        ):  # to hash a kind takes long
            group = groups.get(key)
            if group is None:
                pattern, width = patterns[key[0]], widths[key[0]]
                indices = self._groups.setdefault(
                    (pattern, *kind, width), TensorGroup(pattern, *kind)
                ).indices
                group = groups[key] = (indices, width)
            indices, width = group
            indices.append(tuple(numbers[at : at + width]))
            at += width

    def take(self, other: TensorTable) -> None:
        """All tensors of another table, which is of no use afterwards."""
        for key, group in other._groups.items():
            own = self._groups.get(key)
            if own is None:
                self._groups[key] = group
            else:
                own.indices += group.indices

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, str, tuple[int, ...] | None]]) -> TensorTable:
        table = cls()
        for tensor in tensors:
            table.add(*tensor)
        return table

    def __iter__(self) -> Iterator[TensorGroup]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return sum(len(g.indices) for g in self)

    @property
    def has_shapes(self) -> bool:
        return all(g.shape is not None for g in self)

    @property
    def elements(self) -> int:
        return sum(g.elements for g in self)


@dataclass(slots=True)
class RawModel:
    """What a source read: the config as parsed, and the tensor headers where there are any.

    `kind`: spec (bundled), local, hub. `config` None: there is none, only tensors. `tensors` None: no header was read.
    `partial`: some shard could not be read (its reason is among `findings`). `files`: names in the folder or repository.
    """

    reference: str
    kind: Literal["spec", "local", "hub"]
    name: str
    config: dict[str, Any] | None
    config_file: str
    repo_id: str | None = None
    revision: str | None = None
    commit: str | None = None
    tensors: TensorTable | None = None
    partial: bool = False
    files: tuple[str, ...] = ()
    header_bytes: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    provenance: dict[str, Any] | None = None
    published: tuple[dict[str, Any], ...] = ()
