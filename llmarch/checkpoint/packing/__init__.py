"""From stored tensors to logical ones: one file for each packing format, tried in the order of `FORMATS`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from ...raw import BITS, TensorGroup, TensorTable
from ...schema import Finding, Quantization
from ..indices import Index, folded
from ..logical import Logical, Shape
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
"""The more special before the more general: an FP8 weight is one with scales of no other kind."""

ALONE = re.compile(r"\.(?:[kvq]|kv|qkv|prob)_(?:scale|zero_point)$|\.(?:[kvq]_proj)\.output_scale$|_fake_quantizer\.qscale_act$")
"""Scales of the KV cache and of attention, which belong to no weight (vLLM's BaseKVCacheMethod; mistral_native.md, Scales)."""


@dataclass(slots=True)
class Unpacked:
    """Logical tensors, the scales' elements as stored, and what was wrong within the packing."""

    logical: list[Logical] = field(default_factory=list[Logical])
    scales: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    formats: dict[str, Format] = field(default_factory=dict[str, Format])


def unpack(table: TensorTable, declared: Quantization | None) -> Unpacked:
    """Undo every packing that the names, dtypes and shapes tell; tensors of no format stand for themselves."""
    groups: dict[str, list[TensorGroup]] = {}
    for g in table:
        groups.setdefault(g.pattern, []).append(g)
    out = Unpacked()
    done: set[int] = set()
    beside: dict[str, None] = {}
    for g in table:
        for packed in candidates(g, groups, declared):
            logical = unpack_group(g, packed, groups, declared, out)
            if logical is None:
                continue
            done.add(id(g))
            beside.update(dict.fromkeys(packed.companions))
            out.logical.append(logical)
            out.formats.setdefault(logical.packing, packed.format)
            break
    for g in table:
        if g.pattern in beside or ALONE.search(g.pattern):
            out.scales += g.elements
        elif id(g) not in done:
            out.logical.append(plain(g))
    return out


def plain(g: TensorGroup) -> Logical:
    """A tensor that stands for itself."""
    n = prod(g.shape) if g.shape is not None else None
    width = BITS.get(g.dtype, 0)
    return Logical(g.pattern, g.dtype, g.shape, g.indices, g.pattern, "", width, (n or 0) * width)


@dataclass(slots=True)
class _Candidate:
    format: Format
    stem: str
    companions: dict[str, str]
    """Pattern -> suffix of what is stored beside the values."""


def candidates(g: TensorGroup, groups: dict[str, list[TensorGroup]], declared: Quantization | None) -> Iterator[_Candidate]:
    """The formats that a tensor's name, dtype and neighbours allow."""
    for f in FORMATS:
        if g.dtype and f.dtypes and g.dtype not in f.dtypes or not g.pattern.endswith(f.values):
            continue
        stem = g.pattern.removesuffix(f.stem)
        companions = {stem + s: s for s in f.companions if stem + s in groups}
        scaled = any(s in f.scales for s in companions.values())
        if scaled or (f.sure and (g.dtype or f.values[0] not in (".weight", ""))):
            yield _Candidate(f, stem, companions)


def unpack_group(
    g: TensorGroup, c: _Candidate, groups: dict[str, list[TensorGroup]], declared: Quantization | None, out: Unpacked
) -> Logical | None:
    """The logical tensor of one packed group; None if the format does not fit after all."""
    f = c.format
    near = {s: nearest(g, groups[p]) for p, s in c.companions.items()}
    if g.shape is None:
        result: Plain | None = Plain(f.width)
    else:
        shapes: dict[str, Shape] = {s: n.shape for s, n in near.items() if n is not None and n.shape is not None}
        packed = Packed(g.shape, g.dtype, shapes, declared, {s: n.dtype for s, n in near.items() if n is not None})
        if not f.accept(packed):
            return None
        result = f.unpack(packed)
    name = c.stem + f.logical
    scales = sum(prod(n.shape) for n in near.values() if n is not None and n.shape is not None)
    bits = prod(g.shape or (0,)) * BITS.get(g.dtype, 0)
    bits += sum(prod(n.shape) * BITS.get(n.dtype, 0) for n in near.values() if n is not None and n.shape is not None)
    label = f.name if result is None or not result.how else f"{f.name}, {result.how}"
    if result is None:
        return Logical(name, g.dtype, None, g.indices, g.pattern, label, f.width, bits, scales, why=f"{f.name} values of a layout that llmarch does not unpack")
    bare = without_scales(g, [x for s in f.scales for x in groups.get(c.stem + s, ())])
    for at in folded(g.pattern, bare) if bare else ():
        out.findings.append(
            Finding(rule="packed-without-scales", path=at, severity="quantization", message=f"{f.name} values without their scales ({c.stem.rpartition('.')[2]}{f.scales[0]})")
        )
    if result.wrong:
        at = folded(g.pattern, g.indices)[0]
        out.findings.append(Finding(rule="tensor-shape", path=at, severity="quantization", message=f"{f.name}: {result.wrong}"))
    return Logical(name, g.dtype, result.shape, g.indices, g.pattern, label, result.width, bits, scales, result.elements, result.others)


def nearest(g: TensorGroup, companions: list[TensorGroup]) -> TensorGroup | None:
    """Of companions of one pattern in several shapes, the group that holds those of `g`."""
    if len(companions) == 1:
        return companions[0]
    return next((c for c in companions if g.indices[0] in c.indices), None)


def without_scales(g: TensorGroup, scales: list[TensorGroup]) -> list[Index]:
    """The indices whose scales are not stored."""
    if any(s.indices == g.indices for s in scales):
        return []
    there: set[Index] = set()
    for s in scales:
        there.update(s.indices)
    return [i for i in g.indices if i not in there]
