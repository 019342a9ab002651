"""Findings for stored tensors that are not as the template says: of other shapes, or unexpected."""

from __future__ import annotations

from collections.abc import Iterable

from ..architecture.schema import Architecture, Finding
from .classification import Classification
from .conflicts import Conflict, conflict_finding
from .findings import TIED_HEAD, info_finding, weights_finding
from .grouping import group_by_module, stored_sets
from .heads import head_conflicts
from .indices import braced
from .logical import LogicalTensor
from .matching import Match, Matching
from .names import wrapper_prefix
from .optional_tensors import unannounced_facts
from .packing.base import format_shape


def unexpected_findings(
    a: Architecture,
    matching: Matching,
    classified: Classification,
    contradicted: Iterable[Finding],
) -> list[Finding]:
    """Return the findings for all classes of stored tensors, and the facts that these contradict.

    a: the architecture by the config.
    matching: rows and the tensors stored for them.
    classified: the tensors that are not as the template says.
    contradicted: the facts that sizes contradict.
    """
    return [
        *_copy_findings(classified.copies),
        *map(_left_head_finding, classified.left_heads),
        *map(_shape_finding, classified.wrong_shapes),
        *_not_comparable_findings(classified.not_comparable),
        *contradicted,
        *_mtp_findings(a, classified.mtp),
        *_buffer_findings(classified.buffers),
        *_unused_findings(classified.unused),
        *_not_comparable_findings(classified.packed),
        *_further_layer_findings(a, classified.further_layers),
        *_gptq_bias_findings(classified.gptq_biases),
        *_unexplained_findings(classified.unexpected),
        *unannounced_facts(a, matching.rows, classified.unexpected),
        *head_conflicts(a, (tensor for _, tensor in classified.unexpected)),
        *_duplicate_findings(matching.duplicates),
    ]


def count_elements(tensors: Iterable[LogicalTensor]) -> int:
    """Return the elements of all tensors whose size is known."""
    return sum(tensor.total_elements for tensor in tensors)


# --- other shapes -------------------------------------------------------------------------------


def _shape_finding(match: Match) -> Finding:
    tensor = match.tensors[0]
    new = None
    stored = "another size"
    if match.stored_shape is not None:
        new = list(match.stored_shape)
        stored = format_shape(match.stored_shape)
    elif tensor.elements:
        stored = f"{tensor.elements:,} elements"
    expected = format_shape(match.expected_shape)
    return weights_finding(
        "tensor-shape",
        tensor.stored_name,
        f"expected {expected} from the config, stored as {stored}",
        old=list(match.expected_shape),
        new=new,
    )


def _not_comparable_findings(tensors: list[LogicalTensor]) -> list[Finding]:
    findings: list[Finding] = []
    for group in group_by_module(stored_sets(tensors)):
        first = group.sets[0]
        tensor = tensors[first.position]
        why = tensor.not_comparable
        if not why:
            shape = format_shape(tensor.shape or ())
            why = f"{tensor.dtype} {shape}, in a packing that llmarch does not unpack"
        message = f"{group} not compared: {why}"
        finding = info_finding("not-comparable", group.path, message)
        findings.append(finding)

    return findings


# --- harmless tensors ---------------------------------------------------------------------------


def _copy_findings(tensors: list[LogicalTensor]) -> list[Finding]:
    return [info_finding("tied-copy-stored", tensor.source, TIED_HEAD) for tensor in tensors]


def _left_head_finding(tensor: LogicalTensor) -> Finding:
    message = "the head of a language model, which the reward model does not have; not counted"
    return info_finding("unused-stored", tensor.source, message)


def _buffer_findings(
    tensors: list[LogicalTensor], why: str = "computed, not learned; not counted"
) -> list[Finding]:
    findings: list[Finding] = []
    groups = group_by_module(stored_sets(tensors))
    for group in groups:
        message = f"{group}: {why}"
        finding = info_finding("buffers-stored", group.path, message)
        findings.append(finding)
    return findings


def _gptq_bias_findings(tensors: list[LogicalTensor]) -> list[Finding]:
    why = "a bias that GPTQ tools write beside every matrix"
    return _buffer_findings(tensors, f"{why}, zero where the model has none; not counted")


def _unused_findings(tensors: list[LogicalTensor]) -> list[Finding]:
    """Report keys and values of layers that use an earlier layer's.

    Published Gemma 4 E and Gemma 3n files have them.
    """
    if not tensors:
        return []
    count = _count(tensors)
    elements = count_elements(tensors)
    what = "keys and values of layers that use those of another layer; not used, not counted"
    message = f"{count:,} tensors, {elements:,} elements: {what}"
    return [info_finding("unused-stored", _main_path(tensors), message)]


def _mtp_findings(a: Architecture, tensors: list[LogicalTensor]) -> list[Finding]:
    if not tensors:
        return []
    unknown_to = "the family does not know"
    if a.mtp is None:
        unknown_to = "the config does not announce"
    message = f"{_count(tensors):,} tensors of multi-token prediction that {unknown_to}"
    elements = count_elements(tensors)
    if elements:
        message += f": {elements:,} elements, not counted in the total"
    return [info_finding("mtp-stored", _main_path(tensors), message)]


def _count(tensors: Iterable[LogicalTensor]) -> int:
    return sum(len(tensor.indices) for tensor in tensors)


def _main_path(tensors: list[LogicalTensor]) -> str:
    """Return the path of the module with the most of these tensors."""
    groups = group_by_module(stored_sets(tensors), minimum=2)
    largest = max(groups, key=lambda group: group.count)
    return largest.path


# --- unexpected tensors -------------------------------------------------------------------------


def _further_layer_findings(a: Architecture, tensors: list[LogicalTensor]) -> list[Finding]:
    """Report tensors of layers after the config's last, and another number of layers."""
    if not tensors:
        return []

    layers: set[int] = set()
    for tensor in tensors:
        layers.update(index[0] for index in tensor.indices)

    numbers = sorted(layers)
    expected = len(a.layers)
    stored = numbers[-1] + 1
    prefix = wrapper_prefix(tensors[0].source)
    path = f"{prefix}layers.{braced(numbers)}.*"
    message = f"{_count(tensors):,} tensors of layers that the config does not have"
    return [
        weights_finding("tensor-unexpected", path, message, old=expected, new=stored),
        conflict_finding(Conflict("layers", expected, stored), [path]),
    ]


def _unexplained_findings(extra: list[tuple[str, LogicalTensor]]) -> list[Finding]:
    tensors = [tensor for _, tensor in extra]
    findings: list[Finding] = []
    for group in group_by_module(stored_sets(tensors)):
        first = tensors[group.sets[0].position]
        what = str(group)
        new = None
        if len(group.sets) == 1 and first.shape is not None:
            what += f" {first.dtype} {format_shape(first.shape)}"
            new = list(first.shape)
        them = "it" if group.count == 1 else "them"
        message = f"{what}: no fact of the config explains {them}"
        findings.append(weights_finding("tensor-unexpected", group.path, message, new=new))

    return findings


def _duplicate_findings(duplicates: list[LogicalTensor]) -> list[Finding]:
    message = "stored a second time under another name"
    findings: list[Finding] = []
    for tensor in duplicates:
        path = tensor.stored_name
        findings.append(weights_finding("tensor-unexpected", path, message))
    return findings
