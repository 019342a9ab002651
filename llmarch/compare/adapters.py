"""How two adapters differ: in what they state, and in what they have for each module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

from ..architecture.adapters import AdaptedGroup, Adapter
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Severity
from ..checkpoint.adapters.reading import AdapterReading

_SEVERITIES: dict[str, Severity] = {
    "alpha": "behaviour",
    "alpha_pattern": "behaviour",
    "rank_stabilized": "behaviour",
    "base": "behaviour",
    "base_revision": "behaviour",
    "task": "info",
    "written_by": "info",
}
"""What a fact breaks where it differs; the others decide which tensors there are."""


@frozen
class AdapterChange(Frozen):
    """One difference of two adapters."""

    path: str
    """Name of the fact, or `modules.` and the name of the modules."""
    old: Any
    """Null: the old adapter has no such thing."""
    new: Any
    """Null: the new adapter has no such thing."""
    severity: Severity


def compare_adapters(old: AdapterReading, new: AdapterReading) -> list[AdapterChange]:
    """Return how two adapters differ, facts first."""
    changes = [*_facts(old.adapter, new.adapter), *_modules(old.groups, new.groups)]
    if old.stored != new.stored:
        changes.append(AdapterChange("stored", old.stored, new.stored, "weights"))
    dtypes = [_dtypes(old), _dtypes(new)]
    if dtypes[0] != dtypes[1]:
        changes.append(AdapterChange("dtypes", dtypes[0], dtypes[1], "quantization"))
    return changes


def _facts(old: Adapter, new: Adapter) -> Iterator[AdapterChange]:
    """Yield the facts that differ."""
    for field in fields(Adapter):
        before = _plain(getattr(old, field.name))
        after = _plain(getattr(new, field.name))
        if before == after:
            continue
        severity = _SEVERITIES.get(field.name, "weights")
        yield AdapterChange(field.name, before, after, severity)


def _modules(old: list[AdaptedGroup], new: list[AdaptedGroup]) -> Iterator[AdapterChange]:
    """Yield the modules that differ in what the adapters have for them."""
    before, after = _by_module(old), _by_module(new)
    for module in sorted({**before, **after}):
        sides = [before.get(module), after.get(module)]
        if sides[0] == sides[1]:
            continue
        yield AdapterChange(f"modules.{module}", sides[0], sides[1], "weights")


def _by_module(groups: list[AdaptedGroup]) -> dict[str, list[dict[str, Any]]]:
    """Return count and rank by module; some modules have several ranks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        several = found.setdefault(group.module, [])
        several.append({"count": group.count, "rank": group.rank})
    return found


def _dtypes(r: AdapterReading) -> list[str]:
    """Return the dtypes of the stored tensors."""
    return sorted({group.dtype for group in r.raw.tensors or ()} - {""})


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: lists in place of tuples, names in order."""
    if not isinstance(value, tuple):
        return value
    items = list(cast("tuple[Any, ...]", value))
    if all(isinstance(item, str) for item in items):
        items.sort()
    return items
