"""Two architectures to the list of their differences, by dotted path. Pure; `diff(a, a)` is empty and `diff(b, a)` mirrors `diff(a, b)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, is_dataclass
from math import isclose
from typing import Any, cast

from ..architecture.layers import run_lengths
from ..architecture.schema import Architecture, Change, LayerKind
from .rules import SEVERITIES, rule_for


def diff(old: Architecture, new: Architecture) -> list[Change]:
    """All differences, worst first, then in the schema's order. Blocks that came, went or changed their kind are one change each."""
    found = [*_walk(old, new, ""), *_norm_counts(old, new)]
    return worst_first(
        Change(rule=(r := rule_for(path)).id, path=path, old=a, new=b, severity=r.severity)
        for path, a, b in found
    )


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """By severity; the order within one stays."""
    return sorted(changes, key=lambda c: SEVERITIES.index(c.severity))


def _norm_counts(old: Architecture, new: Architecture) -> Iterator[tuple[str, int, int]]:
    """Kinds of layers with another number of norms: then it is not only their places that differ."""
    for name in (n for n in old.layer_kinds if n in new.layer_kinds):
        a, b = norms_of(old.layer_kinds[name]), norms_of(new.layer_kinds[name])
        if a != b:
            yield f"layer_kinds.{name}.norms", a, b


def norms_of(kind: LayerKind) -> int:
    """How many norms a kind of layer has."""
    places = [p for s in kind.steps for p in (s.pre_norm, s.join_norm, s.after_norm)]
    places += [p for s in kind.steps for b in s.branches for p in (b.pre_norm, b.post_norm)]
    return sum(p is not None for p in places)


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if same(old, new) or (
        path == "dtype" and None in (old, new)
    ):  # a config that does not say is no other dtype
        return
    if path == "layers":
        yield path, run_lengths(old), run_lengths(new)
    elif (
        is_dataclass(old)
        and type(old) is type(new)
        and getattr(old, "kind", None) == getattr(new, "kind", None)
    ):
        for f in (f for f in fields(old) if f.compare):
            yield from _walk(
                getattr(old, f.name), getattr(new, f.name), f"{path}.{f.name}" if path else f.name
            )
    elif isinstance(old, dict) and isinstance(new, dict):
        names: dict[str, None] = dict.fromkeys([*old, *new])  # pyright: ignore[reportUnknownArgumentType]
        for name in names:
            yield from _walk(old.get(name), new.get(name), f"{path}.{name}")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    elif _are_records(old, new):
        pairs = zip(cast("tuple[Any, ...]", old), cast("tuple[Any, ...]", new), strict=True)
        for i, (a, b) in enumerate(pairs):
            yield from _walk(a, b, f"{path}.{i}")
    else:
        yield path, _plain(old), _plain(new)


def _are_records(old: Any, new: Any) -> bool:
    """Return whether both are tuples of one length that hold schema objects."""
    if not (isinstance(old, tuple) and isinstance(new, tuple)):
        return False
    items = cast("tuple[Any, ...]", old)
    return len(items) == len(cast("tuple[Any, ...]", new)) and any(map(is_dataclass, items))


def same(a: Any, b: Any) -> bool:
    """Equal; of numbers, to the precision of a 32-bit float, for configs hold 9.999999974752427e-07 for 1e-06."""
    if isinstance(a, float) and isinstance(b, float):
        return isclose(a, b, rel_tol=1e-7)
    if isinstance(a, tuple) and isinstance(b, tuple) and a and isinstance(a[0], float):
        return len(a) == len(b) and all(map(same, a, b))  # pyright: ignore[reportUnknownArgumentType]
    return a == b


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownVariableType]
