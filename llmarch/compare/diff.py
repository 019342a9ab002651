"""List the differences of two architectures by dotted path. Pure.

`diff(a, a)` is empty, and `diff(b, a)` mirrors `diff(a, b)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, is_dataclass
from math import isclose
from typing import Any, NamedTuple, cast

from ..architecture.layers import run_lengths
from ..architecture.schema import Architecture, Change, LayerKind
from .rules import SEVERITIES, rule_for

PRECISION = 1e-7
"""Relative difference up to which floats are equal: that of 32-bit floats, in which some configs
were written (9.999999974752427e-07 for 1e-06)."""


class Difference(NamedTuple):
    """Two values at a path, as JSON has them; None on a side that lacks the path."""

    path: str
    old: Any
    new: Any


def diff(old: Architecture, new: Architecture) -> list[Change]:
    """Return all differences, worst first, then in the order of the schema.

    A block that was added, removed or replaced by another kind is one change.
    """
    changes: list[Change] = []
    for path, a, b in (*_differences(old, new, ""), *_norm_counts(old, new)):
        rule = rule_for(path)
        changes.append(Change(rule=rule.id, path=path, old=a, new=b, severity=rule.severity))
    return worst_first(changes)


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """Sort changes by severity; the order within a severity stays."""
    return sorted(changes, key=lambda change: SEVERITIES.index(change.severity))


def norms_of(kind: LayerKind) -> int:
    """Return how many norms a kind of layer has."""
    places: list[str | None] = []
    for step in kind.steps:
        places += [step.pre_norm, step.join_norm, step.after_norm]
        for branch in step.branches:
            places += [branch.pre_norm, branch.post_norm]
    return sum(place is not None for place in places)


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal, floats to PRECISION."""
    if isinstance(a, float) and isinstance(b, float):
        return isclose(a, b, rel_tol=PRECISION)
    if isinstance(a, tuple) and isinstance(b, tuple):
        olds, news = cast("tuple[Any, ...]", a), cast("tuple[Any, ...]", b)
        if olds and isinstance(olds[0], float):
            return len(olds) == len(news) and all(map(same, olds, news))
    return a == b


def _norm_counts(old: Architecture, new: Architecture) -> Iterator[Difference]:
    """Yield the kinds of layers with a different number of norms.

    Then a norm was added or removed with its weights, not only moved.
    """
    for name, kind in old.layer_kinds.items():
        if name not in new.layer_kinds:
            continue
        a, b = norms_of(kind), norms_of(new.layer_kinds[name])
        if a != b:
            yield Difference(f"layer_kinds.{name}.norms", a, b)


def _differences(old: Any, new: Any, path: str) -> Iterator[Difference]:
    """Yield the differences below a path; parts of different form are one difference."""
    if same(old, new) or (path == "dtype" and None in (old, new)):
        return  # a dtype that the config does not say is no other dtype
    if path == "layers":
        yield Difference(path, run_lengths(old), run_lengths(new))
    elif _have_one_form(old, new):
        prefix = f"{path}." if path else ""
        for f in fields(old):
            if f.compare:
                a, b = getattr(old, f.name), getattr(new, f.name)
                yield from _differences(a, b, f"{prefix}{f.name}")
    elif isinstance(old, dict) and isinstance(new, dict):
        blocks = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for name in dict.fromkeys([*blocks[0], *blocks[1]]):
            yield from _differences(blocks[0].get(name), blocks[1].get(name), f"{path}.{name}")
    elif _are_records(old, new):
        pairs = zip(cast("tuple[Any, ...]", old), cast("tuple[Any, ...]", new), strict=True)
        for i, (a, b) in enumerate(pairs):
            yield from _differences(a, b, f"{path}.{i}")
    else:
        yield Difference(path, _plain(old), _plain(new))


def _have_one_form(old: Any, new: Any) -> bool:
    """Return whether both are schema objects of one class and, if they have it, one kind."""
    if not is_dataclass(old) or type(old) is not type(new):
        return False
    return getattr(old, "kind", None) == getattr(new, "kind", None)


def _are_records(old: Any, new: Any) -> bool:
    """Return whether both are tuples of one length that hold schema objects."""
    if not (isinstance(old, tuple) and isinstance(new, tuple)):
        return False
    items = cast("tuple[Any, ...]", old)
    return len(items) == len(cast("tuple[Any, ...]", new)) and any(map(is_dataclass, items))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    return value
