"""Classify stored tensors that match no template row, and matches whose shapes differ.

A tensor is harmless by its name, belongs to an MTP module, is in a packing that llmarch does not
unpack, or is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..architecture.schema import Architecture, Attention, Finding, Quantization
from .conflicts import ShapeMismatch, conflict_finding, conflict_findings, unannounced_facts
from .findings import info_finding, weights_finding
from .grouping import ModuleGroup, group_by_module, stored_sets
from .indices import Index, braced, folded_names, split_by_axes
from .layouts import fused_place
from .logical import LogicalTensor
from .matching import Match, Matching, MissingRow
from .names import wrapper_prefix
from .packing import Unpacked
from .packing.base import format_shape
from .quantization import FLOATS, holds_integers, is_known_method
from .roles import HEAD_NAMES, LAYER_NAME, MTP_NAME, MTP_TENSOR, is_buffer

KEYS_AND_VALUES = re.compile(r"^layers\.\{\}\.self_attn\.(k_proj|v_proj|k_norm)\.")


@dataclass(slots=True)
class _Classes:
    """Tensors without a row, by what they are."""

    mtp: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    further_layers: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    """Of layers after the config's last."""
    buffers: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    unused: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    """Keys and values of layers that use those of another layer."""
    packed: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    """Of matrices in a packing that llmarch does not unpack."""
    unexpected: list[tuple[str, LogicalTensor]] = field(
        default_factory=list[tuple[str, LogicalTensor]]
    )
    """All others, with their canonical names."""


class Classifier:
    """Classifies what a matching left over. Rows that a tensor explains are no longer missing."""

    def __init__(
        self,
        architecture: Architecture,
        matching: Matching,
        unpacked: Unpacked,
        declared: Quantization | None,
    ) -> None:
        self.architecture = architecture
        self.matching = matching
        self.unpacked = unpacked
        self.declared = declared
        self.findings: list[Finding] = []
        self.mtp = 0
        """Elements of MTP modules that the template does not have."""
        self.copies = 0
        """Elements of stored copies of a tied head."""
        self.buffers = 0
        """Elements that are stored and not used."""
        self.uncertain = False
        """Whether some tensor could not be compared."""
        self._unknown: set[str] = set()
        """Canonical names of matrices in a packing that llmarch does not unpack."""
        self._packings = _packings(matching)
        self._missing_parts = _missing_parts(matching)

    def run(self) -> None:
        """Classify everything. Results are attributes; explained rows leave the matching."""
        self._match_tied_head()
        self._compare_shapes()
        classes = self._classify()
        self._report_mtp(classes.mtp)
        self._report_buffers(classes.buffers, "computed, not learned; not counted")
        self._report_unused(classes.unused)
        self._report_not_comparable(classes.packed)
        self._report_further_layers(classes.further_layers)
        self._report_unexpected(classes.unexpected)
        self._report_duplicates()

    def _match_tied_head(self) -> None:
        """Match a head that is stored although it is tied.

        It is a copy of the embedding, or the embedding itself if that is stored under the head's
        name only.
        """
        a = self.architecture
        if not a.embedding.tied:
            return
        shape = (a.vocab_size, a.hidden_size)
        for key in sorted(HEAD_NAMES & self.matching.extra.keys()):
            tensors = self.matching.extra[key]
            self.matching.extra[key] = [x for x in tensors if not x.fits(shape)]
            for head in tensors:
                if not head.fits(shape) or self.matching.match_missing("embedding", shape, head):
                    continue
                self.copies += head.total_elements
                message = "a copy of the token embedding, which the head is tied to; not counted"
                self.findings.append(info_finding("tied-copy-stored", head.source, message))

    # --- matches with other shapes ---

    def _compare_shapes(self) -> None:
        """Report matches of other shapes, and the facts that they contradict.

        If a row matches elsewhere with its shape, this is one bad tensor and no wrong fact.
        """
        fitting = {
            row
            for match in self.matching.matches
            if match.fits and match.compared
            for row in match.rows
        }
        mismatches: list[ShapeMismatch] = []
        not_comparable: list[LogicalTensor] = []
        for match in self.matching.matches:
            tensor = _not_comparable(match, self.declared)
            if tensor is not None:
                self._unknown.add(match.key)
                not_comparable.append(tensor)
                continue
            if match.fits:
                continue
            finding = _shape_finding(match)
            self.findings.append(finding)
            if match.stored_shape is None or len(match.rows) != 1 or match.rows[0] in fitting:
                continue
            mismatches.append(
                ShapeMismatch(match.rows[0], match.expected_shape, match.stored_shape, finding.path)
            )
        self._report_not_comparable(not_comparable)
        self.findings += conflict_findings(self.architecture, mismatches)

    # --- tensors without a row ---

    def _classify(self) -> _Classes:
        """Return the tensors without a row by what they are.

        A tensor of layers below and after the config's last is divided.
        """
        layers = len(self.architecture.layers)
        extra = [(key, x) for key, tensors in self.matching.extra.items() for x in tensors]
        reaching_further = {
            x for key, x in extra if LAYER_NAME.match(key) and _last_layer(x) >= layers
        }
        has_mtp_tensors = any(x in reaching_further and MTP_TENSOR.search(key) for key, x in extra)
        kv_sharing = kv_sharing_layers(self.architecture)
        classes = _Classes()
        further = classes.further_layers
        if self.architecture.mtp is not None or has_mtp_tensors:
            further = classes.mtp
        for key, tensor in extra:
            own = tensor
            if tensor in reaching_further:
                further.append(tensor.subset([i for i in tensor.indices if i[0] >= layers]))
                own = tensor.subset([i for i in tensor.indices if i[0] < layers])
                if not own.indices:
                    continue
            if is_buffer(key, own):
                classes.buffers.append(own)
            elif KEYS_AND_VALUES.match(key) and kv_sharing.issuperset(i[0] for i in own.indices):
                classes.unused.append(own)
            elif MTP_NAME.search(key):
                classes.mtp.append(own)
            elif self._claim_packed(own):
                classes.packed.append(own)
            else:
                classes.unexpected.append((key, own))
        return classes

    def _claim_packed(self, tensor: LogicalTensor) -> bool:
        """Claim the missing matrix that a tensor in an unknown packing belongs to.

        The matrix is named by some leading part of the tensor's name. Return whether it was
        missing, or could not be compared itself.
        """
        companions = tuple(
            suffix for format in self.unpacked.formats.values() for suffix in format.companions
        )
        if tensor.source.endswith(companions):
            return False
        if self.declared is None and tensor.dtype in FLOATS:
            return False
        stem = tensor.source
        while "." in stem:
            stem = stem.rpartition(".")[0]
            key = self.matching.canonical_name(f"{stem}.weight")
            width = stem.count("{}")
            if self._claim_missing(key, {index[:width] for index in tensor.indices}):
                return True
        return False

    def _claim_missing(self, key: str, indices: set[Index]) -> bool:
        """Claim a missing matrix, or the missing parts of a fused one, at these numbers.

        What is claimed counts as not comparable and is missing no longer. Return whether anything
        was claimed, or the matrix could not be compared itself.
        """
        if key in self._packings:
            return False
        place = fused_place(key)
        claimed = key in self._unknown or (place is not None and place.key in self._unknown)
        names = [key]
        if key not in self.matching.rows:
            names = self._missing_parts.get(place.key, []) if place is not None else []
        for name in names:
            still_missing: list[MissingRow] = []
            for missing in self.matching.missing.get(name, []):
                left: MissingRow | None = missing
                found = _overlap(missing, indices)
                if found:
                    claimed = True
                    self._unknown.add(name)
                    left = missing.without(found)
                if left is not None:
                    still_missing.append(left)
            self.matching.missing[name] = still_missing
        if claimed:
            self._unknown.add(key)
        return claimed

    # --- reports ---

    def _report_not_comparable(self, tensors: list[LogicalTensor]) -> None:
        if tensors:
            self.uncertain = True
        for group in group_by_module(stored_sets(tensors)):
            tensor = tensors[group.sets[0].position]
            why = tensor.not_comparable
            if not why:
                kind = f"{tensor.dtype} {format_shape(tensor.shape or ())}"
                why = f"{kind}, in a packing that llmarch does not unpack"
            message = f"{group} not compared: {why}"
            self.findings.append(info_finding("not-comparable", group.path, message))

    def _report_mtp(self, tensors: list[LogicalTensor]) -> None:
        if not tensors:
            return
        elements = _elements(tensors)
        self.mtp += elements
        unknown_to = "the family does not know"
        if self.architecture.mtp is None:
            unknown_to = "the config does not announce"
        message = f"{_count(tensors):,} tensors of multi-token prediction that {unknown_to}"
        if elements:
            message += f": {elements:,} elements, not counted in the total"
        path = _largest_group(tensors).path
        self.findings.append(info_finding("mtp-stored", path, message))

    def _report_buffers(self, tensors: list[LogicalTensor], why: str) -> None:
        self.buffers += _elements(tensors)
        for group in group_by_module(stored_sets(tensors)):
            self.findings.append(info_finding("buffers-stored", group.path, f"{group}: {why}"))

    def _report_unused(self, tensors: list[LogicalTensor]) -> None:
        """Report keys and values of layers that use an earlier layer's.

        Published Gemma 4 E and Gemma 3n files have them.
        """
        if not tensors:
            return
        elements = _elements(tensors)
        self.buffers += elements
        message = (
            f"{_count(tensors):,} tensors, {elements:,} elements: "
            "keys and values of layers that use those of another layer; not used, not counted"
        )
        path = _largest_group(tensors).path
        self.findings.append(info_finding("unused-stored", path, message))

    def _report_further_layers(self, tensors: list[LogicalTensor]) -> None:
        if not tensors:
            return
        numbers = sorted({index[0] for x in tensors for index in x.indices})
        expected = len(self.architecture.layers)
        stored = numbers[-1] + 1
        path = f"{wrapper_prefix(tensors[0].source)}layers.{braced(numbers)}.*"
        message = f"{_count(tensors):,} tensors of layers that the config does not have"
        self.findings.append(
            weights_finding("tensor-unexpected", path, message, old=expected, new=stored)
        )
        self.findings.append(conflict_finding("layers", expected, stored, [path]))

    def _report_unexpected(self, extra: list[tuple[str, LogicalTensor]]) -> None:
        biases = [x for _, x in extra if self._is_gptq_bias(x)]
        why = (
            "a bias that GPTQ tools write beside every matrix, "
            "zero where the model has none; not counted"
        )
        self._report_buffers(biases, why)
        harmless = set(biases)
        unexpected = [(key, x) for key, x in extra if x not in harmless]
        for group in group_by_module(stored_sets(x for _, x in unexpected)):
            shape, what = None, ""
            if len(group.sets) == 1:
                _, tensor = unexpected[group.sets[0].position]
                shape = tensor.shape
                what = f" {tensor.dtype} {format_shape(shape)}" if shape is not None else ""
            them = "it" if group.count == 1 else "them"
            message = f"{group}{what}: no fact of the config explains {them}"
            new = list(shape) if shape is not None else None
            self.findings.append(weights_finding("tensor-unexpected", group.path, message, new=new))
        self.findings += unannounced_facts(self.architecture, self.matching.rows, unexpected)

    def _is_gptq_bias(self, tensor: LogicalTensor) -> bool:
        """Return whether a tensor is the bias of a matrix that is packed by GPTQ."""
        if not tensor.source.endswith(".bias"):
            return False
        matrix = self.matching.canonical_name(tensor.pattern.removesuffix("bias") + "weight")
        return self._packings.get(matrix, "").startswith("gptq")

    def _report_duplicates(self) -> None:
        for tensor in self.matching.duplicates:
            path = folded_names(tensor.source, tensor.indices)[0]
            message = "stored a second time under another name"
            self.findings.append(weights_finding("tensor-unexpected", path, message))


def kv_sharing_layers(a: Architecture) -> set[int]:
    """Return the layers that use the keys and values of another layer."""
    kinds = {
        kind
        for kind in a.layer_kinds
        if any(isinstance(block, Attention) and block.kv_from for block in a.blocks_of(kind))
    }
    return {number for number, kind in enumerate(a.layers) if kind in kinds}


def _packings(matching: Matching) -> dict[str, str]:
    """Return how matched matrices are packed, by canonical name."""
    packings: dict[str, str] = {}
    for match in matching.matches:
        for tensor in match.tensors:
            if tensor.packing:
                packings[matching.canonical_name(tensor.pattern)] = tensor.packing
    return packings


def _missing_parts(matching: Matching) -> dict[str, list[str]]:
    """Return the names of missing rows by the fused tensor that they are a part of."""
    parts: dict[str, list[str]] = {}
    for key in matching.missing:
        place = fused_place(key)
        if place is not None:
            parts.setdefault(place.key, []).append(key)
    return parts


def _not_comparable(match: Match, declared: Quantization | None) -> LogicalTensor | None:
    """Return the tensor of a match that cannot be compared, if there is one.

    That is one whose format says so, or integers that no known packing explains: where a matrix of
    another shape is expected, and for unknown quantization methods regardless of shape.
    """
    for tensor in match.tensors:
        if tensor.not_comparable:
            return tensor
    first = match.tensors[0]
    unknown_method = declared is not None and not is_known_method(declared)
    if holds_integers(first) and (unknown_method or not match.fits):
        return first
    return None


def _shape_finding(match: Match) -> Finding:
    tensor = match.tensors[0]
    new = None
    if match.stored_shape is not None:
        new = list(match.stored_shape)
        stored = format_shape(match.stored_shape)
    elif tensor.elements:
        stored = f"{tensor.elements:,} elements"
    else:
        stored = "another size"
    return weights_finding(
        "tensor-shape",
        folded_names(tensor.source, tensor.indices)[0],
        f"expected {format_shape(match.expected_shape)} from the config, stored as {stored}",
        old=list(match.expected_shape),
        new=new,
    )


def _overlap(missing: MissingRow, indices: set[Index]) -> set[Index]:
    """Return the numbers of a missing matrix that are among `indices`.

    Where `indices` leave out its expert number, so do the returned ones. Vectors are never packed,
    and have no overlap.
    """
    row = missing.row
    if len(row.shape) < 2:
        return set()
    width = min(len(row.axes), len(next(iter(indices))))
    axes = row.axes[:width]
    inside, _ = split_by_axes([index[:width] for index in indices], axes)
    if width < len(row.axes):
        return set(inside)
    return set(inside).difference(missing.matched)


def _last_layer(tensor: LogicalTensor) -> int:
    return max(index[0] for index in tensor.indices)


def _count(tensors: Iterable[LogicalTensor]) -> int:
    return sum(len(x.indices) for x in tensors)


def _elements(tensors: Iterable[LogicalTensor]) -> int:
    return sum(x.total_elements for x in tensors)


def _largest_group(tensors: Iterable[LogicalTensor]) -> ModuleGroup:
    groups = group_by_module(stored_sets(tensors), minimum=2)
    return max(groups, key=lambda group: group.count)
