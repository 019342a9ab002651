"""Find the facts that tensors contradict by being there or missing: biases, sinks and QK-norms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..architecture.paths import find_value
from ..architecture.schema import Architecture, Finding
from ..tensors.folding import axes_folded
from ..tensors.template import TensorRow
from .conflicts import Conflict, conflict_finding
from .logical import LogicalTensor


class _OptionalTensor(NamedTuple):
    """Tensors that are there only if a fact of their block has a value."""

    pattern: re.Pattern[str]
    field: str
    value: Any


def _optional(pattern: str, field: str, value: Any = True) -> _OptionalTensor:
    return _OptionalTensor(re.compile(pattern), field, value)


_OPTIONAL_TENSORS = (
    _optional(r"\.(?:q|k|v|qkv)_proj\.bias$", "qkv_bias"),
    _optional(r"\.o_proj\.bias$", "output_bias"),
    _optional(r"\.sinks$", "sinks"),
    _optional(r"\.[qk]_norm\.weight$", "qk_norm", "qk-norm"),
    _optional(r"\.(?:gate|up|down|gate_up)_proj\.bias$", "bias"),
    _optional(r"\.e_score_correction_bias$", "router.selection_bias"),
)


def unannounced_facts(
    a: Architecture,
    rows: Mapping[str, list[TensorRow]],
    extra: Iterable[tuple[str, LogicalTensor]],
) -> list[Finding]:
    """Return findings for facts whose tensors are stored and that the config denies.

    a: the architecture by the config.
    rows: the template by canonical name.
    extra: stored tensors without a row, with their canonical names.
    """
    found: dict[Conflict, list[str]] = {}
    for key, tensor in extra:
        optional = _optional_tensor(key)
        first_index = tensor.indices[0]
        if optional is None or not first_index:
            continue

        layer = first_index[0]
        for block in _blocks_of_module(rows, key, layer):
            path = f"{block}.{optional.field}"
            old = find_value(a, path)
            if old or (old is None and not hasattr(find_value(a, block), optional.field)):
                continue

            conflict = Conflict(path, old, optional.value)
            name = tensor.stored_name
            found.setdefault(conflict, []).append(name)

    return [conflict_finding(conflict, names) for conflict, names in found.items()]


def absent_facts(
    a: Architecture,
    rows: Mapping[str, list[TensorRow]],
    missing: Iterable[TensorRow],
) -> list[Finding]:
    """Return findings for facts that the config has and whose tensors are not stored.

    a: the architecture by the config.
    rows: the template by canonical name.
    missing: rows of which nothing is stored.
    """
    key_of = {row.pattern: key for key, of_name in rows.items() for row in of_name}
    found: dict[Conflict, list[str]] = {}
    for row in missing:
        key = key_of[row.pattern]
        optional = _optional_tensor(key)
        if optional is None or not row.axes:
            continue
        layer = row.axes[0][0]
        name = axes_folded(row.pattern, row.axes)
        for block in _blocks_of_module(rows, key, layer):
            path = f"{block}.{optional.field}"
            old = find_value(a, path)
            if not old:
                continue

            # A QK-norm is a block of facts, a bias or sinks are yes or no.
            conflict = Conflict(path, "qk-norm", None)
            if old is True:
                conflict = Conflict(path, True, False)
            found.setdefault(conflict, []).append(name)

    # The message names a tensor that is not there.
    findings: list[Finding] = []
    for conflict, (first, *others) in found.items():
        names = [f"the missing {first}", *others]
        findings.append(conflict_finding(conflict, names))
    return findings


def _optional_tensor(key: str) -> _OptionalTensor | None:
    for optional in _OPTIONAL_TENSORS:
        if optional.pattern.search(key):
            return optional
    return None


def _blocks_of_module(rows: Mapping[str, list[TensorRow]], key: str, layer: int) -> list[str]:
    """Return the blocks (`mixers.full`) that rows of the same module and layer belong to."""
    parts = key.split(".")
    module = ".".join(parts[:-2]) + "."
    blocks: dict[str, None] = {}
    for name, rows_of_name in rows.items():
        if not name.startswith(module):
            continue
        for row in rows_of_name:
            if row.axes and layer in row.axes[0]:
                blocks.update(_blocks_of(row))

    return list(blocks)


def _blocks_of(row: TensorRow) -> dict[str, None]:
    """Return the blocks whose facts a row proves, as the keys of a dict to keep their order."""
    blocks: dict[str, None] = {}
    for path in row.proves:
        if path.startswith(("mixers.", "ffns.")):
            kind, name, *_ = path.split(".")
            blocks[f"{kind}.{name}"] = None

    return blocks
