"""From stored tensors to logical ones: one file for each packing format, tried in the order of `FORMATS`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Finding, Quantization
from ...sources.raw import BITS, TensorGroup, TensorTable
from ..indices import Index, folded_names
from ..logical import LogicalTensor
from . import awq, bitsandbytes, compressed_tensors, fp8, gptq, mlx, mxfp4, nvfp4
from .base import Format, Packed, Plain

FORMATS: tuple[Format, ...] = (
    *gptq.FORMATS,
    *awq.FORMATS,
    *compressed_tensors.FORMATS,
    *nvfp4.FORMATS,
    *mxfp4.FORMATS,
    *bitsandbytes.FORMATS,
    *mlx.FORMATS,
    *fp8.FORMATS,
)
"""The more special before the more general: two formats may share an ending, and then the first that accepts the shapes is it."""

ALONE = re.compile(
    r"\.(?:[kvq]|kv|qkv|prob)_(?:scale|zero_point)$|\.(?:[kvq]_proj)\.output_scale$|_fake_quantizer\.qscale_act$"
)
"""Scales of the KV cache and of attention, which belong to no weight (vLLM's BaseKVCacheMethod; mistral_native.md, Scales)."""


INTEGERS = frozenset({"BOOL", "I8", "I16", "U16", "I32", "U32", "I64", "U64"})
"""What no scale is stored as (U8 holds exponents, or scales that are quantised themselves)."""


@dataclass(slots=True)
class Unpacked:
    """Logical tensors, the scales' elements as stored, what was wrong within the packings, and the formats met by label."""

    logical: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    scales: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    formats: dict[str, Format] = field(default_factory=dict[str, Format])


def unpack(table: TensorTable, declared: Quantization | None) -> Unpacked:
    """Undo every packing that names, dtypes and shapes tell; tensors of no format stand for themselves."""
    return _Unpacking(table, declared).run()


def plain(g: TensorGroup) -> LogicalTensor:
    """A tensor that stands for itself."""
    width = BITS.get(g.dtype, 0)
    n = prod(g.shape) if g.shape is not None else 0
    return LogicalTensor(
        g.pattern, g.dtype, g.shape, g.indices, g.pattern, width=width, bits=n * width
    )


def unambiguous(g: TensorGroup) -> TensorGroup:
    """A name that itself holds `{}` is not folded; it must not look like one that is."""
    if "{}" in g.pattern and not g.indices[0]:
        return TensorGroup(g.pattern.replace("{}", "{?}"), g.dtype, g.shape, g.indices)
    return g


@frozen
class _Candidate(Frozen):
    """A format that may be the one; `near`: what is stored beside the values, by suffix."""

    format: Format
    stem: str
    near: dict[str, TensorGroup]


class _Unpacking:
    def __init__(self, table: TensorTable, declared: Quantization | None) -> None:
        self.declared = declared
        self.groups: dict[str, list[TensorGroup]] = {}
        for g in map(unambiguous, table):
            self.groups.setdefault(g.pattern, []).append(g)
        self.out = Unpacked()
        self.plainly: list[TensorGroup] = []
        self.beside: dict[str, list[list[Index]]] = {}
        """Patterns of scales, and the numbers of the values that they belong to."""
        self._holders: dict[str, dict[Index, TensorGroup]] = {}

    def run(self) -> Unpacked:
        for groups in list(self.groups.values()):
            for g in groups:
                self.take(g)
        for g in self.plainly:
            if g.pattern not in self.beside and not ALONE.search(g.pattern):
                self.out.logical.append(plain(g))
        self.out.scales = sum(
            g.elements
            for p, groups in self.groups.items()
            if p in self.beside or ALONE.search(p)
            for g in groups
        )
        self.orphans()
        return self.out

    def take(self, g: TensorGroup) -> None:
        """Note the logical tensor of a group that holds packed values, or that it holds none."""
        candidates = (
            self.candidates(g) if g.dtype else sorted(self.candidates(g), key=self.unlikely)
        )
        for c in candidates:
            if not self.accepted(g, c):
                continue
            if len(parts := self.parts(g, c)) > 1:
                for part in parts:
                    self.take(part)
                return
            logical = self.logical(g, c)
            for s in c.near:
                self.beside.setdefault(c.stem + s, []).append(g.indices)
            self.out.logical.append(logical)
            self.out.formats.setdefault(logical.packing, c.format)
            return
        self.plainly.append(g)

    def accepted(self, g: TensorGroup, c: _Candidate) -> bool:
        """Whether the shapes are a format's."""
        return g.shape is None or c.format.accept(self.stored(g, g.shape, c))

    def stored(self, g: TensorGroup, shape: tuple[int, ...], c: _Candidate) -> Packed:
        return Packed(
            shape,
            g.dtype,
            {s: n.shape for s, n in c.near.items() if n.shape is not None},
            self.declared,
        )

    def parts(self, g: TensorGroup, c: _Candidate) -> list[TensorGroup]:
        """A group by what is stored beside its tensors, where that is not alike for all of them."""
        mixed: list[tuple[str, dict[Index, TensorGroup]]] = []
        for s in c.format.companions:
            groups = self.groups.get(c.stem + s)
            if groups and not (len(groups) == 1 and groups[0].indices == g.indices):
                mixed.append((s, self.holders(c.stem + s)))
        parts: dict[tuple[int, ...], list[Index]] = {}
        for i in g.indices if mixed else ():
            parts.setdefault(tuple([id(h.get(i)) for _, h in mixed]), []).append(i)
        if len(parts) < 2:
            return [g]
        for s, there in mixed:
            lack = [i for i in g.indices if i not in there] if s not in c.format.scales else []
            if 0 < len(lack) < len(g.indices):
                self.lacks(
                    g, lack, f"{c.format.name} values without what is stored beside others (*{s})"
                )
        return [TensorGroup(g.pattern, g.dtype, g.shape, indices) for indices in parts.values()]

    def orphans(self) -> None:
        """Scales whose values are not stored in their format stand for themselves: nothing accounts for them."""
        for pattern, taken in self.beside.items():
            groups = self.groups[pattern]
            if len(groups) == len(taken) == 1 and groups[0].indices == taken[0]:
                continue
            used = {i for indices in taken for i in indices}
            for g in groups:
                if rest := [i for i in g.indices if i not in used]:
                    orphan = TensorGroup(pattern, g.dtype, g.shape, rest)
                    self.out.scales -= orphan.elements
                    self.out.logical.append(plain(orphan))

    def unlikely(self, c: _Candidate) -> tuple[bool, int]:
        """Names alone leave formats open: the declared one goes first, then the one with most of its companions."""
        return (self.declared is None or self.declared.method not in c.format.methods, -len(c.near))

    def candidates(self, g: TensorGroup) -> Iterator[_Candidate]:
        """The formats that a tensor's name, dtype and neighbours allow."""
        for f in FORMATS:
            if (g.dtype and f.dtypes and g.dtype not in f.dtypes) or not g.pattern.endswith(
                f.values
            ):
                continue
            stem = g.pattern.removesuffix(f.stem)
            near = {s: n for s in f.companions if (n := self.nearest(g, stem + s)) is not None}
            named = f.sure and (
                g.dtype or f.stem != f.logical
            )  # a name without dtype tells it only by an ending of its own
            if named or any(s in f.scales or s in f.marks for s in near):
                yield _Candidate(f, stem, near)

    def nearest(self, g: TensorGroup, pattern: str) -> TensorGroup | None:
        """Of the tensors of a pattern, the group that holds those beside `g`."""
        groups = self.groups.get(pattern)
        if not groups:
            return None
        if len(groups) == 1 and groups[0].indices[0] == g.indices[0]:
            return groups[0]
        return self.holders(pattern).get(g.indices[0])

    def holders(self, pattern: str) -> dict[Index, TensorGroup]:
        """Which group of a pattern holds which numbers."""
        if pattern not in self._holders:
            self._holders[pattern] = {i: g for g in self.groups.get(pattern, ()) for i in g.indices}
        return self._holders[pattern]

    def logical(self, g: TensorGroup, c: _Candidate) -> LogicalTensor:
        """The logical tensor of packed values of an accepted format."""
        f = c.format
        plain = Plain(f.width) if g.shape is None else f.unpack(self.stored(g, g.shape, c))
        scales = sum(prod(n.shape) for n in c.near.values() if n.shape is not None)
        bits = sum(
            prod(n.shape) * BITS.get(n.dtype, 0)
            for n in (g, *c.near.values())
            if n.shape is not None
        )
        label = f"{f.name}, {plain.how}" if plain and plain.how else f.name
        x = LogicalTensor(
            c.stem + f.logical, g.dtype, None, g.indices, g.pattern, label, f.width, bits, scales
        )
        if plain is None:
            x.not_comparable = f"{f.name} values in a layout that llmarch does not unpack"
            return x
        x.shape, x.other_shapes, x.elements, x.width, x.uncertain = (
            plain.shape,
            plain.others,
            plain.elements,
            plain.width,
            plain.open,
        )
        self.bare(g, c)
        empty = (
            next((s for s, n in c.near.items() if n.shape is not None and 0 in n.shape), "")
            if g.elements
            else ""
        )
        whole = next((s for s in f.scales if s in c.near and c.near[s].dtype in INTEGERS), "")
        odd = (
            f"its *{empty} has no elements"
            if empty
            else f"its *{whole} is {c.near[whole].dtype}"
            if whole
            else ""
        )
        if wrong := plain.wrong or odd:
            self.find("tensor-shape", folded_names(g.pattern, g.indices)[0], f"{label}: {wrong}")
        return x

    def bare(self, g: TensorGroup, c: _Candidate) -> None:
        """A finding for values whose scales are not stored."""
        scales = [c.near[s] for s in c.format.scales if s in c.near]
        if any(s.indices == g.indices for s in scales):
            return
        holders = [self.holders(c.stem + s) for s in c.format.scales]
        bare = [i for i in g.indices if not any(i in h for h in holders)]
        if bare:
            suffix = next(
                (s for s in c.format.scales if c.stem + s in self.groups), c.format.scales[0]
            )
            self.lacks(g, bare, f"{c.format.name} values without their scales (*{suffix})")

    def lacks(self, g: TensorGroup, indices: list[Index], message: str) -> None:
        for path in folded_names(g.pattern, indices)[:3]:
            self.find("packed-without-scales", path, message)

    def find(self, rule: str, path: str, message: str) -> None:
        self.out.findings.append(
            Finding(rule=rule, path=path, severity="quantization", message=message)
        )
