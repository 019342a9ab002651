"""The first screen of `show` for an adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from ..analyses.parameters import count_parameters
from ..architecture.adapters import AdaptedGroup
from ..checkpoint.adapters.reading import AdapterReading
from ..checkpoint.indices import folded_names
from ..compare.adapters import AdapterChange
from . import numbers
from .documents import Sheet, Table
from .findings import finding_line
from .headings import origin
from .numbers import number

METHOD_WORDS = {
    "adalora": "AdaLoRA",
    "adaption_prompt": "adaption prompt",
    "boft": "BOFT",
    "delora": "DeLoRA",
    "fourierft": "FourierFT",
    "hira": "HiRA",
    "ia3": "IA³",
    "ln_tuning": "LN tuning",
    "loha": "LoHa",
    "lokr": "LoKr",
    "lora": "LoRA",
    "miss": "MiSS",
    "multitask_prompt_tuning": "multitask prompt tuning",
    "p_tuning": "P-tuning",
    "prefix_tuning": "prefix tuning",
    "prompt_tuning": "prompt tuning",
    "randlora": "RandLoRA",
    "road": "RoAd",
    "trainable_tokens": "trainable tokens",
    "vblora": "VB-LoRA",
    "vera": "VeRA",
    "xlora": "X-LoRA",
}
"""PEFT's methods as people write them; the others are capitals."""
_STATUS = {
    "verified": "verified: every tensor is one that the config and the base make, and none is"
    " missing",
    "observed": "observed: the base was not read, so that nothing could be compared with it",
    "computed": "computed from the adapter's config and the base; no tensors of the adapter were"
    " read",
    "partial": "partial: not all tensors could be compared with config and base",
    "conflict": "conflict: the adapter does not fit its config or its base",
}
_MOST_TARGETS = 12


def method_word(method: str) -> str:
    """Return `LoRA` for `lora`."""
    usual = method.upper()
    return METHOD_WORDS.get(method, usual)


def adapter_headline(r: AdapterReading) -> str:
    """Return `LoRA of rank 16 for Qwen/Qwen3-8B`."""
    adapter = r.adapter
    words = method_word(adapter.method)
    if adapter.dora:
        words = f"DoRA ({words})"
    ranks = sorted({group.rank for group in r.groups if group.rank})
    if len(ranks) > 1:
        words += f" of ranks {ranks[0]} to {ranks[-1]}"
    elif adapter.rank:
        words += f" of rank {ranks[0] if ranks else adapter.rank}"
    if adapter.virtual_tokens:
        words += f" of {numbers.plural(adapter.virtual_tokens, 'virtual token')}"
    base = adapter.base or "an unnamed base"
    return f"{words} for {base}"


def adapter_sheet(r: AdapterReading) -> Sheet:
    """Return the first screen about an adapter; labels without lines are left out."""
    lines = [
        ("Base", _base_lines(r)),
        ("Parameters", _parameter_lines(r)),
        ("Targets", _target_lines(r)),
        ("Factor", _factor_lines(r)),
        ("Whole modules", list(r.adapter.saved_modules)),
        ("Weights", _weight_lines(r)),
    ]
    shown = [(label, text) for label, text in lines if text]
    return Sheet(r.name, origin(r.raw, r.adapter.method), adapter_headline(r), shown, _notes(r))


def _base_lines(r: AdapterReading) -> list[str]:
    """Return the base model, and what was read of it."""
    named = r.adapter.base or "not named"
    if r.adapter.base_revision:
        named += f"@{r.adapter.base_revision}"
    if r.base is None:
        reason = f": {r.base_reason}" if r.base_reason else ""
        return [named, f"not read{reason}"]
    a = r.base.architecture
    total = numbers.count(count_parameters(a).total)
    return [named, f"read: {origin(r.base.raw, a.model_type)}, {total} parameters"]


def _parameter_lines(r: AdapterReading) -> list[str]:
    """Return how many parameters are trained, of the base's, and how many are stored."""
    lines: list[str] = []
    if r.trained is None:
        lines.append(f"trained: not known, {r.unknown}")
    else:
        words = f"{numbers.count(r.trained)} trained ({number(r.trained)})"
        if r.base is not None:
            total = count_parameters(r.base.architecture).total
            words += f", {100 * r.trained / max(1, total):.2g} % of the base"
        lines.append(words)
    if r.stored is not None and r.stored != r.trained:
        words = f"{number(r.stored)} stored"
        if r.copies:
            words += f", of which {number(r.copies)} are weights of the base"
        lines.append(words)
    return lines


def _target_lines(r: AdapterReading) -> list[str]:
    """Return the adapted modules with the parameters of each kind, else what the config says."""
    lines = [_group_line(group) for group in r.groups]
    if not lines:
        adapter = r.adapter
        lines = [*adapter.targets, *adapter.target_parameters]
        pattern = adapter.target_pattern
        if pattern:
            lines.append(f"modules that match {pattern}")
    left_out = len(lines) - _MOST_TARGETS
    if left_out > 0:
        lines = lines[:_MOST_TARGETS]
        lines.append(f"and {left_out} more (--layers)")
    return lines


def _group_line(group: AdaptedGroup) -> str:
    """Return `32 × model.layers.{}.self_attn.q_proj [4096, 4096], rank 16, 4.19M`."""
    words = f"{group.count} × {group.module}"
    if group.shape is not None:
        words += f" {[*group.shape]}"
    if group.rank is not None:
        words += f", rank {group.rank}"
    return f"{words}, {numbers.count(group.parameters)}"


def _factor_lines(r: AdapterReading) -> list[str]:
    """Return the factors on what the adapter adds, and of what they are made."""
    adapter = r.adapter
    alpha = adapter.alpha
    if alpha is None or adapter.method != "lora":
        return []
    scales: set[float] = set()
    for group in r.groups:
        if group.scale is not None:
            scales.add(group.scale)
    formula = "alpha / rank"
    if adapter.rank_stabilized:
        formula = "alpha / √rank (rsLoRA)"
    words = f"alpha {alpha:g}"
    if scales:
        first = sorted(scales)[:4]
        shown = ", ".join(f"{scale:.4g}" for scale in first)
        words += f", {formula} = {shown}"
    return [words]


def _weight_lines(r: AdapterReading) -> list[str]:
    """Return the bytes of the stored tensors by dtype."""
    tensors = r.raw.tensors
    if tensors is None:
        return []
    count = numbers.plural(len(tensors), "tensor")
    if not tensors.has_shapes:
        return [f"{count} named; their shapes were not read"]
    dtypes = {group.dtype for group in tensors}
    listed = ", ".join(sorted(dtypes))
    size = numbers.size(tensors.bytes)
    return [f"{size} stored in {count}, {listed}"]


def _notes(r: AdapterReading) -> list[str]:
    """Return the status, the findings, and keys without a use."""
    lines = [_STATUS[r.status]]
    lines += map(finding_line, r.findings)
    if r.unread_keys:
        keys = ", ".join(r.unread_keys)
        lines.append(f"keys that llmarch does not read: {keys}")
    return lines


def adapter_tensor_table(r: AdapterReading) -> Table:
    """Return the table of the stored tensors, folded."""
    rows: list[list[str]] = []
    for group in r.raw.tensors or ():
        shape = "–" if group.shape is None else str([*group.shape])
        names = folded_names(group.pattern, group.indices)
        rows.append([names[0], group.dtype, shape, str(len(group.indices))])
    return Table(["tensor", "dtype", "shape", "count"], rows, title="Stored tensors")


def adapter_diff_table(
    old: AdapterReading, new: AdapterReading, changes: Sequence[AdapterChange]
) -> Table:
    """Return the table of how two adapters differ."""
    rows = [
        [change.path, _cell(change.old), _cell(change.new), change.severity] for change in changes
    ]
    notes = [f"{r.name}: {_STATUS[r.status]}" for r in (old, new)]
    if not rows:
        notes.insert(0, "the adapters do not differ in what their configs and headers tell")
    names = [old.name, new.name]
    if old.name == new.name:
        names = [old.raw.reference, new.raw.reference]
    return Table(["fact", *names, "breaks"], rows, notes=notes)


def _cell(value: object) -> str:
    """Return a value of a change in a few words."""
    if value is None or value in ([], {}):
        return "–"
    match value:
        case list():
            return ", ".join(map(_cell, cast("list[object]", value)))
        case dict():
            items = cast("dict[str, object]", value)
            return ", ".join(f"{key} {_cell(inner)}" for key, inner in items.items())
        case int() if not isinstance(value, bool):
            return number(value)
        case _:
            return str(value)


def adapter_table(groups: Iterable[AdaptedGroup]) -> Table:
    """Return the table of all adapted modules."""
    rows: list[list[str]] = []
    for group in groups:
        shape = "–" if group.shape is None else str([*group.shape])
        rank = "–" if group.rank is None else number(group.rank)
        scale = "–" if group.scale is None else f"{group.scale:.4g}"
        rows.append([group.module, str(group.count), shape, rank, scale, number(group.parameters)])
    columns = ["module", "count", "base shape", "rank", "factor", "parameters"]
    return Table(columns, rows, title="Adapted modules")
