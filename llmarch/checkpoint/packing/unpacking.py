"""Undo every packing: find the values and scales of each format, and describe the logical tensors.

Tensors alike in pattern, dtype and shape are handled as one group, so that a checkpoint of 90,000
tensors takes some hundred steps; single indices are compared only where a companion (scales, zero
points) is not stored for exactly the tensors of its group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Finding, Quantization
from ...sources.raw import DTYPE_BITS, TensorGroup, TensorTable
from ..findings import weights_finding
from ..indices import Index, folded_names
from ..logical import LogicalTensor, StoredCompanion
from ..module_declarations import ModuleDeclarations
from .base import Decoded, Packed, PackingFormat, format_shape
from .formats import FORMATS

_CACHE_SCALE = re.compile(
    r"\.(?:[kvq]|kv|qkv|prob)_(?:scale|zero_point)$"
    r"|\.(?:[kvq]_proj)\.output_scale$"
    r"|_fake_quantizer\.qscale_act$"
)
"""Scales of the KV cache and of attention, which belong to no weight (vLLM's BaseKVCacheMethod;
docs/design/mistral_native.md, Scales)."""

_SINGLE = frozenset(
    {
        ".weight_scale_2",
        ".input_scale",
        ".activation_scale",
        ".qscale_act",
        ".weight_global_scale",
        ".input_global_scale",
        ".weight_format",
        ".input_activation_scale",
        ".output_activation_scale",
    }
)
"""Companions that are one number for a matrix."""

_MAX_PATHS = 3
"""Paths of one problem that are reported."""


@dataclass(slots=True)
class Unpacked:
    """The logical tensors of a checkpoint, with what was found while unpacking them."""

    logical: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    scales: int = 0
    """Elements of all scales, as stored."""
    findings: list[Finding] = field(default_factory=list[Finding])
    """What disagrees within the packings."""
    formats: dict[str, PackingFormat] = field(default_factory=dict[str, PackingFormat])
    """The formats that were found, by label (`fp8, blocks 128 × 128`)."""
    disagreeing: dict[str, set[Index]] = field(default_factory=dict[str, set[Index]])
    """By pattern: the tensors that `findings` are about."""

    def is_reported(self, tensor: LogicalTensor) -> bool:
        """Return whether `findings` tell of all tensors of a logical one."""
        reported = self.disagreeing.get(tensor.source, set())
        return all(index in reported for index in tensor.indices)


def unpack(table: TensorTable, declared: Quantization | None) -> Unpacked:
    """Undo every packing that names, dtypes and shapes identify.

    table: the stored tensors.
    declared: the config's quantization. It decides only what the headers leave open.

    Tensors of no format become logical tensors as they are.
    """
    return _Unpacker(table, declared).run()


@frozen
class _Candidate(Frozen):
    """A format that a group of tensors may have."""

    format: PackingFormat
    stem: str
    companions: dict[str, TensorGroup]
    """The groups stored beside the values, by suffix."""


_Varying = dict[str, dict[Index, int]]
"""By suffix of a companion: for each index, the position of the group that holds it."""


class _Unpacker:
    """One run of `unpack`."""

    def __init__(self, table: TensorTable, declared: Quantization | None) -> None:
        self.declared = declared
        self.result = Unpacked()
        self.groups: dict[str, list[TensorGroup]] = {}
        """Stored groups by pattern."""
        for group in map(_escape_braces, table):
            self.groups.setdefault(group.pattern, []).append(group)

        self.unpacked: list[TensorGroup] = []
        """Groups that no format accepts: plain tensors, or companions."""
        self.companions: dict[str, list[list[Index]]] = {}
        """Patterns of companions, with the indices of the values that they belong to."""
        self._positions: dict[str, dict[Index, int]] = {}
        self._declarations: ModuleDeclarations | None = None
        if declared is not None:
            self._declarations = ModuleDeclarations(declared)

    def run(self) -> Unpacked:
        """Unpack all groups, then account for plain tensors and companions."""
        for groups in self.groups.values():
            for group in groups:
                self._unpack_group(group)

        for group in self.unpacked:
            if not self._is_scale(group.pattern):
                self.result.logical.append(_as_stored(group))

        self._count_scales()
        self._add_orphaned_scales()
        return self.result

    def _count_scales(self) -> None:
        for pattern, groups in self.groups.items():
            if self._is_scale(pattern):
                self.result.scales += sum(group.elements for group in groups)

    def _is_scale(self, pattern: str) -> bool:
        return pattern in self.companions or _CACHE_SCALE.search(pattern) is not None

    def _unpack_group(self, group: TensorGroup) -> None:
        """Add the logical tensor of a group by the first format that accepts it."""
        candidate = self._find_format(group)
        if candidate is None:
            self.unpacked.append(group)
            return

        varying = self._varying_companions(group, candidate)
        parts = self._split(group, varying)
        if len(parts) > 1:
            self._report_missing_companions(group, candidate, varying)
        else:
            parts = self._split_by_declaration(group)
        if len(parts) > 1:
            for part in parts:
                self._unpack_group(part)
            return

        tensor = self._logical_tensor(group, candidate)
        for suffix in candidate.companions:
            self.companions.setdefault(candidate.stem + suffix, []).append(group.indices)

        self.result.logical.append(tensor)
        self.result.formats.setdefault(tensor.packing, candidate.format)

    # --- which format ---

    def _find_format(self, group: TensorGroup) -> _Candidate | None:
        candidates = self._candidates(group)
        if not group.dtype:
            candidates = iter(sorted(candidates, key=self._preference))

        for candidate in candidates:
            if group.shape is None:
                return candidate
            if candidate.format.accept(self._packed(group, group.shape, candidate)):
                return candidate

        return None

    def _preference(self, candidate: _Candidate) -> tuple[bool, int]:
        """Return a sort key for names alone: the declared format first, then most companions."""
        is_declared = False
        if self.declared is not None:
            is_declared = self.declared.method in candidate.format.methods
        return (not is_declared, -len(candidate.companions))

    def _candidates(self, group: TensorGroup) -> Iterator[_Candidate]:
        """Yield the formats that name, dtype and companions of a group allow."""
        for f in FORMATS:
            if group.dtype and f.dtypes and group.dtype not in f.dtypes:
                continue
            if not group.pattern.endswith(f.endings):
                continue
            stem = group.pattern.removesuffix(f.suffix)
            companions = self._find_companions(group, f, stem)
            # Without a dtype, an ending that plain tensors have too (`.weight`) proves nothing.
            is_certain = f.certain and (group.dtype or f.suffix != f.logical_suffix)
            if is_certain or any(s in f.scales or s in f.marks for s in companions):
                yield _Candidate(f, stem, companions)

    def _find_companions(
        self, group: TensorGroup, f: PackingFormat, stem: str
    ) -> dict[str, TensorGroup]:
        """Return the groups that hold the companions of the group's first tensor."""
        found: dict[str, TensorGroup] = {}
        first = group.indices[0]
        for suffix in f.companions:
            companion = self._group_with(stem + suffix, first)
            if companion is not None:
                found[suffix] = companion
        return found

    def _packed(self, group: TensorGroup, shape: tuple[int, ...], candidate: _Candidate) -> Packed:
        shapes = {
            suffix: companion.shape
            for suffix, companion in candidate.companions.items()
            if companion.shape is not None
        }
        return Packed(shape, group.dtype, shapes, self._declared_of(group))

    def _declared_of(self, group: TensorGroup) -> Quantization | None:
        """Return what the config declares for the module of a group's first tensor."""
        if self._declarations is None:
            return None
        first = _as_stored(group).subset(group.indices[:1])
        return self._declarations.parts(first)[0][0]

    def _split_by_declaration(self, group: TensorGroup) -> list[TensorGroup]:
        """Split a group so that the config declares one format for all modules of a part."""
        declarations = self._declarations
        if declarations is None or not declarations.has_own_formats:
            return [group]
        parts = declarations.parts(_as_stored(group))
        if len(parts) == 1:
            return [group]
        groups: list[TensorGroup] = []
        for _, indices in parts:
            part = TensorGroup(group.pattern, group.dtype, group.shape, indices)
            groups.append(part)
        return groups

    # --- which companions ---

    def _group_with(self, pattern: str, index: Index) -> TensorGroup | None:
        """Return the group of a pattern that holds an index."""
        groups = self.groups.get(pattern)
        if not groups:
            return None
        if len(groups) == 1 and groups[0].indices[0] == index:
            return groups[0]
        position = self._positions_of(pattern).get(index)
        return groups[position] if position is not None else None

    def _positions_of(self, pattern: str) -> dict[Index, int]:
        """Return for each index of a pattern the position of its group."""
        found = self._positions.get(pattern)
        if found is None:
            groups = self.groups.get(pattern, ())
            found = {i: position for position, g in enumerate(groups) for i in g.indices}
            self._positions[pattern] = found
        return found

    def _varying_companions(self, group: TensorGroup, candidate: _Candidate) -> _Varying:
        """Return the companions that are not stored in one group for exactly these tensors."""
        varying: _Varying = {}
        for suffix in candidate.format.companions:
            name = candidate.stem + suffix
            groups = self.groups.get(name)
            if not groups:
                continue
            if len(groups) > 1 or groups[0].indices != group.indices:
                varying[suffix] = self._positions_of(name)

        return varying

    def _split(self, group: TensorGroup, varying: _Varying) -> list[TensorGroup]:
        """Split a group so that all tensors of a part have their companions in the same groups."""
        if not varying:
            return [group]

        parts: dict[tuple[int | None, ...], list[Index]] = {}
        positions = list(varying.values())
        for index in group.indices:
            key = tuple([p.get(index) for p in positions])
            parts.setdefault(key, []).append(index)

        return [
            TensorGroup(group.pattern, group.dtype, group.shape, indices)
            for indices in parts.values()
        ]

    def _add_orphaned_scales(self) -> None:
        """Add scales whose values are not stored in their format: no logical tensor covers them."""
        for pattern, values in self.companions.items():
            groups = self.groups[pattern]
            if len(groups) == len(values) == 1 and groups[0].indices == values[0]:
                continue
            used = {index for indices in values for index in indices}
            for group in groups:
                unused = [index for index in group.indices if index not in used]
                if unused:
                    orphan = TensorGroup(pattern, group.dtype, group.shape, unused)
                    self.result.scales -= orphan.elements
                    self.result.logical.append(_as_stored(orphan))

    # --- the logical tensor ---

    def _logical_tensor(self, group: TensorGroup, candidate: _Candidate) -> LogicalTensor:
        """Return the logical tensor of packed values, and report what disagrees within them."""
        f = candidate.format
        decoded: Decoded | None = Decoded(f.width)
        if group.shape is not None:
            decoded = f.unpack(self._packed(group, group.shape, candidate))

        companions = list(candidate.companions.values())
        tensor = LogicalTensor(
            pattern=candidate.stem + f.logical_suffix,
            dtype=group.dtype,
            shape=None,
            indices=group.indices,
            source=group.pattern,
            packing=f.name,
            width=f.width,
            bits=sum(map(_bits_of_one, [group, *companions])),
            scales=sum(map(_elements_of_one, companions)),
            format=f.name,
            companions={
                suffix: StoredCompanion(companion.dtype, companion.shape)
                for suffix, companion in candidate.companions.items()
            },
            declared=self._declared_of(group),
        )
        if decoded is None and group.shape is not None and len(group.shape) != 2:
            message = f"{f.name} values of shape {format_shape(group.shape)} are not a matrix"
            self._report_misfit(group, message)
        if decoded is None:
            tensor.not_comparable = f"{f.name} values in a layout that llmarch does not unpack"
            return tensor

        if decoded.detail:
            tensor.packing = f"{f.name}, {decoded.detail}"

        tensor.shape = decoded.shape
        tensor.other_shapes = decoded.other_shapes
        tensor.elements = decoded.elements
        tensor.width = decoded.width
        tensor.uncertain = decoded.uncertain
        self._report_missing_scales(group, candidate)
        problem = decoded.problem or _companion_problem(group, candidate)
        if problem:
            self._report_misfit(group, f"{tensor.packing}: {problem}")

        return tensor

    # --- findings ---

    def _report_missing_companions(
        self, group: TensorGroup, candidate: _Candidate, varying: _Varying
    ) -> None:
        """Report tensors without a companion that others of their group have.

        Scales come later, except those that alone identify the format: without them the tensor is
        of no format.
        """
        f = candidate.format
        scales = [varying[suffix] for suffix in f.scales if suffix in varying]
        if scales and not f.certain:
            unscaled = [i for i in group.indices if not any(i in positions for positions in scales)]
            message = f"{f.name} values without scales, which others have"
            self._report_without(group, unscaled, message)
        for suffix, positions in varying.items():
            if suffix in f.scales:
                continue
            unscaled = [index for index in group.indices if index not in positions]
            if 0 < len(unscaled) < len(group.indices):
                message = f"{f.name} values without *{suffix}, which others have"
                self._report_without(group, unscaled, message)

    def _report_missing_scales(self, group: TensorGroup, candidate: _Candidate) -> None:
        """Report values whose scales are not stored."""
        f = candidate.format
        for suffix in f.scales:
            companion = candidate.companions.get(suffix)
            if companion is not None and companion.indices == group.indices:
                return

        unscaled = group.indices
        for suffix in f.scales:
            positions = self._positions_of(candidate.stem + suffix)
            unscaled = [index for index in unscaled if index not in positions]

        if unscaled:
            stored = [s for s in f.scales if candidate.stem + s in self.groups]
            suffix = stored[0] if stored else f.scales[0]
            message = f"{f.name} values without scales (*{suffix})"
            self._report_without(group, unscaled, message)

    def _report_without(self, group: TensorGroup, indices: list[Index], message: str) -> None:
        if not indices:
            return
        self.result.disagreeing.setdefault(group.pattern, set()).update(indices)
        for path in folded_names(group.pattern, indices)[:_MAX_PATHS]:
            self._report("packed-without-scales", path, message)

    def _report_misfit(self, group: TensorGroup, message: str) -> None:
        """Report values and companions whose shapes or dtypes do not fit each other."""
        self.result.disagreeing.setdefault(group.pattern, set()).update(group.indices)
        path = folded_names(group.pattern, group.indices)[0]
        self._report("tensor-shape", path, message)

    def _report(self, rule: str, path: str, message: str) -> None:
        self.result.findings.append(weights_finding(rule, path, message))


def _companion_problem(group: TensorGroup, candidate: _Candidate) -> str:
    """Return why the companions cannot scale anything (empty, or integers), or ""."""
    if group.elements:
        for suffix, companion in candidate.companions.items():
            if companion.shape is not None and 0 in companion.shape:
                return f"*{suffix} has no elements"

    is_matrix = group.shape is not None and len(group.shape) == 2
    for suffix, companion in candidate.companions.items():
        is_single = suffix in _SINGLE and is_matrix and companion.shape is not None
        if is_single and companion.shape not in ((), (1,)):
            return f"*{suffix} has shape {format_shape(companion.shape or ())}, expected one number"

    for suffix, dtypes in candidate.format.companion_dtypes.items():
        companion = candidate.companions.get(suffix)
        if companion is not None and companion.dtype not in ("", *dtypes):
            return f"*{suffix} is {companion.dtype}, expected {alternatives(dtypes)}"

    return ""


def alternatives(words: Iterable[str]) -> str:
    """Return sorted words as a choice: `BF16, F16 or F32`."""
    *first, last = sorted(words)
    if not first:
        return last
    return f"{', '.join(first)} or {last}"


def _as_stored(group: TensorGroup) -> LogicalTensor:
    """Return the logical tensor of a group that is not packed."""
    return LogicalTensor(
        pattern=group.pattern,
        dtype=group.dtype,
        shape=group.shape,
        indices=group.indices,
        source=group.pattern,
        width=DTYPE_BITS.get(group.dtype, 0),
        bits=_bits_of_one(group),
    )


def _elements_of_one(group: TensorGroup) -> int:
    """Return the stored elements of one tensor of a group (0 where only names are known)."""
    return prod(group.shape) if group.shape is not None else 0


def _bits_of_one(group: TensorGroup) -> int:
    return _elements_of_one(group) * DTYPE_BITS.get(group.dtype, 0)


def _escape_braces(group: TensorGroup) -> TensorGroup:
    """Return a group whose pattern has `{}` only for folded numbers: a name may hold it itself."""
    if "{}" not in group.pattern or group.indices[0]:
        return group
    pattern = group.pattern.replace("{}", "{?}")
    return TensorGroup(pattern, group.dtype, group.shape, group.indices)
