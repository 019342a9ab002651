"""Findings for expected tensors that the checkpoint does not store.

What is missing as a whole is one finding: MTP modules, a tower, layers, then modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..architecture.schema import Architecture, Finding
from ..tensors.template import TensorRow
from .classification import mtp_layers
from .conflicts import Conflict, conflict_finding
from .findings import info_finding, weights_finding
from .grouping import group_by_module, missing_sets
from .indices import braced, folded_names, missing_indices
from .matching import Matching, MissingRow
from .names import canonical, wrapper_prefix
from .optional_tensors import absent_facts
from .roles import LAYER_NAME

MAX_EXPERT_PATHS = 3
"""Missing experts of one stack are named in this many findings at most."""


class _Layers(NamedTuple):
    """Missing rows, divided by whether a missing layer explains them."""

    prefix: str
    """What the names of the layers start with in the template: `model.`."""
    others: list[MissingRow]


def missing_findings(a: Architecture, matching: Matching, partial: bool) -> list[Finding]:
    """Return findings for rows that still miss tensors.

    a: the architecture by the config.
    matching: what is matched, after unexpected tensors have been classified.
    partial: some headers could not be read.
    """
    missing = [m for rows in matching.missing.values() for m in rows]
    if partial:
        return _unread_findings(missing)

    mtp = [m for m in missing if m.row.component == "mtp"]
    findings = _mtp_findings(matching, mtp)
    findings += _decoder_layer_findings(a, matching)

    towers = _missing_towers(a, matching, missing)
    findings += _tower_findings(matching, missing, towers)
    missing = [m for m in missing if m.row.component not in ("mtp", *towers)]

    numbers: set[int] = set()
    if missing:
        numbers = _missing_layers(a, matching)
    if numbers:
        layers = _divide_by_layers(missing, numbers)
        findings += _layer_findings(a, layers.prefix, numbers)
        missing = layers.others

    # What is left: single tensors, or modules.
    heads = [m for m in missing if _is_head(m)]
    tensors = [m for m in missing if not _is_head(m)]
    findings += map(_head_finding, heads)
    findings += _expert_findings(matching)
    findings += _tensor_findings(tensors)

    absent = [m.row for m in tensors if not m.matched]
    if numbers:
        # A missing layer is the finding; what its neighbours also lack is not taken as a fact.
        absent = [row for row in absent if not _is_in_layer(row)]

    return findings + absent_facts(a, matching.rows, absent)


def _count(missing: Iterable[MissingRow]) -> int:
    return sum(m.missing_count for m in missing)


def _unread_findings(missing: list[MissingRow]) -> list[Finding]:
    """Report what is missing as `info`: with unread headers, absence proves nothing."""
    if not missing:
        return []
    first, *_ = group_by_module(missing_sets(missing))
    count = _count(missing)
    message = f"{count:,} tensors are not among the headers that could be read"
    return [info_finding("tensor-missing", first.path, message)]


def _mtp_findings(matching: Matching, missing: list[MissingRow]) -> list[Finding]:
    """Report missing MTP tensors as `info`.

    Re-quantised copies often leave the modules out, or their copies of embedding and head.
    """
    if not missing:
        return []

    modules = "of the multi-token-prediction modules that the config announces"
    if any(match.rows[0].component == "mtp" for match in matching.matches):
        message = f"{_count(missing):,} tensors {modules} are not stored"
    else:
        message = f"no tensor {modules} is stored"

    path = group_by_module(missing_sets(missing), minimum=2)[0].path
    return [info_finding("mtp-missing", path, message)]


def _decoder_layer_findings(a: Architecture, matching: Matching) -> list[Finding]:
    """Report layers that are stored in place of an MTP module and have nothing of one."""
    plain: set[int] = set()
    for match in matching.matches:
        if match.rows[0].component == "mtp" and LAYER_NAME.match(match.key):
            plain.update(index[0] for index in match.indices)
    plain -= mtp_layers(matching)
    if not plain:
        return []

    layers = len(a.layers)
    conflict = Conflict("layers", layers, max(plain) + 1)
    name = f"layers.{braced(sorted(plain))}.*, which has nothing of an MTP module"
    return [conflict_finding(conflict, [name])]


def _missing_towers(a: Architecture, matching: Matching, missing: list[MissingRow]) -> list[str]:
    """Return the towers of which no tensor is stored."""
    stored: set[str] = set()
    for match in matching.matches:
        stored.update(row.component for row in match.rows)
    absent = {m.row.component for m in missing} - stored
    return [tower for tower in a.towers if tower in absent]


def _tower_findings(
    matching: Matching, missing: list[MissingRow], towers: list[str]
) -> list[Finding]:
    """Report missing towers; as `info` in an MLX checkpoint, for mlx-lm leaves them out."""
    mlx = any(match.tensors[0].packing.startswith("mlx") for match in matching.matches)
    findings: list[Finding] = []
    for tower in towers:
        path = f"towers.{tower}"
        count = _count(m for m in missing if m.row.component == tower)
        message = f"no tensor of the {tower} tower is stored ({count:,} expected)"
        if mlx:
            # mlx_lm.convert drops the towers of multimodal checkpoints.
            message += "; mlx-lm converts the language model only"
            findings.append(info_finding("tower-missing", path, message))
        else:
            findings.append(weights_finding("tower-missing", path, message))

    return findings


def _missing_layers(a: Architecture, matching: Matching) -> set[int]:
    """Return the layers of which no tensor is stored; none where no layer is stored at all."""
    count = len(a.layers)
    layers = set(range(count))
    for match in matching.matches:
        if match.indices[0] and LAYER_NAME.match(match.key):
            first_numbers = next(zip(*match.indices, strict=True))  # 90,000 at once, in C
            layers.difference_update(first_numbers)
    if len(layers) == count:
        return set()

    return layers


def _divide_by_layers(missing: list[MissingRow], layers: set[int]) -> _Layers:
    """Return what is missing outside of the missing layers."""
    prefix = ""
    others: list[MissingRow] = []
    for m in missing:
        row = m.row
        if not _is_in_layer(row):
            others.append(m)
            continue

        # What the missing layers explain counts as matched.
        prefix = wrapper_prefix(row.pattern)
        elsewhere = {i for i in missing_indices(m.matched, row.axes) if i[0] not in layers}
        if elsewhere:
            explained = [i for i in missing_indices((), row.axes) if i not in elsewhere]
            others.append(MissingRow(row, explained))
    return _Layers(prefix, others)


def _is_in_layer(row: TensorRow) -> bool:
    return bool(row.axes) and LAYER_NAME.match(canonical(row.pattern)) is not None


def _layer_findings(a: Architecture, prefix: str, layers: set[int]) -> list[Finding]:
    expected = len(a.layers)
    stored = expected - len(layers)

    path = f"{prefix}layers.{braced(sorted(layers))}.*"
    these = "this layer"
    if len(layers) > 1:
        these = f"these {len(layers)} layers"

    message = f"no tensor of {these} is stored"
    conflict = Conflict("layers", expected, stored)
    return [
        weights_finding("tensor-missing", path, message, old=expected, new=stored),
        conflict_finding(conflict, [f"the missing {path}"]),
    ]


def _is_head(missing: MissingRow) -> bool:
    return "embedding.tied" in missing.row.proves


def _head_finding(missing: MissingRow) -> Finding:
    row = missing.row
    message = "the config does not tie the head to the token embedding, but no head is stored"
    shape = list(row.shape)
    return weights_finding("untied-head-missing", row.pattern, message, old=shape)


def _expert_findings(matching: Matching) -> list[Finding]:
    message = "the config asks for these experts, the checkpoint has none"
    findings: list[Finding] = []
    for pattern, indices in matching.missing_experts.items():
        for path in folded_names(pattern, indices)[:MAX_EXPERT_PATHS]:
            findings.append(weights_finding("tensor-missing", path, message))

    return findings


def _tensor_findings(missing: list[MissingRow]) -> list[Finding]:
    findings: list[Finding] = []
    for group in group_by_module(missing_sets(missing)):
        first, *others = group.sets
        shape = None
        if not others:
            row, _ = missing[first.position]
            shape = list(row.shape)
        them = "it" if group.count == 1 else "them"
        message = f"{group}: the config asks for {them}, the checkpoint has none"
        finding = weights_finding("tensor-missing", group.path, message, old=shape)
        findings.append(finding)

    return findings
