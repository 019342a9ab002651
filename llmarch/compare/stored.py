"""Say in words how the stored tensors of two checkpoints differ: names, dtypes, shapes, counts.

It compares what is in the headers, not what it means: a tensor under another prefix, fused with
others or in another dtype is another stored tensor. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..sources.raw import TensorTable
from ..views import numbers

MOST_STORED_ROWS = 2000
"""Patterns of names beyond which a lock keeps only the hash of the tensors."""
NAMED_TENSORS = 3
"""Names that are given of each kind of difference; the rest is counted."""


class StoredRow(NamedTuple):
    """Tensors whose names differ only in numbers, of one dtype and shape."""

    pattern: str
    dtype: str
    shape: tuple[int, ...]
    tensors: int


@frozen
class StoredTensors(Frozen):
    """The tensors of a checkpoint: how many, their bytes, and a hash (see `lock.hash_tensors`)."""

    count: int
    bytes: int
    digest: str
    rows: tuple[StoredRow, ...] = field(default=(), compare=False)
    """Their names, dtypes and shapes; empty where they are too many, or the lock is an old one."""


_Key = tuple[str, str, tuple[int, ...]]
"""Pattern, dtype and shape of a row."""


def stored_rows(table: TensorTable) -> tuple[StoredRow, ...]:
    """Return the rows of a checkpoint, sorted; none if they are too many for a lock."""
    rows = [
        StoredRow(group.pattern, group.dtype, tuple(group.shape or ()), len(group.indices))
        for group in table
    ]
    if len(rows) > MOST_STORED_ROWS:
        return ()
    return tuple(sorted(rows))


def stored_text(tensors: StoredTensors | None) -> str | None:
    """Return `311 tensors, 1.11 GiB`; None where no headers were read."""
    if tensors is None:
        return None
    count = numbers.plural(tensors.count, "tensor")
    size = numbers.size(tensors.bytes)
    return f"{count}, {size}"


def stored_differences(old: Iterable[StoredRow], new: Iterable[StoredRow]) -> list[str]:
    """Return how the stored tensors differ, a phrase for each kind of difference.

    `BF16 → F32 in 311 tensors`, `names begin with model.language_model. instead of model. in 290
    tensors`, `3 tensors more: …`. Empty if the rows are equal.
    """
    gone, added = _unshared_rows(old, new)
    phrases: list[str] = []
    for step in (_other_dtypes, _other_shapes, _other_prefix, _other_layout, _left_over):
        phrases += step(gone, added)
    return phrases


def _unshared_rows(
    old: Iterable[StoredRow], new: Iterable[StoredRow]
) -> tuple[Counter[_Key], Counter[_Key]]:
    """Return the tensors that the old side has more of, and those that the new one has."""
    gone, added = _by_row(old), _by_row(new)
    return gone - added, added - gone


def _by_row(rows: Iterable[StoredRow]) -> Counter[_Key]:
    """Return the number of tensors by pattern, dtype and shape."""
    counts: Counter[_Key] = Counter()
    for row in rows:
        key = row.pattern, row.dtype, row.shape
        counts[key] += row.tensors
    return counts


def _take(gone: Counter[_Key], added: Counter[_Key], before: _Key, after: _Key) -> int:
    """Remove as many tensors as both rows have from both sides. Return how many."""
    n = min(gone[before], added[after])
    for side, key in ((gone, before), (added, after)):
        side[key] -= n
        if not side[key]:
            del side[key]
    return n


def _other_dtypes(gone: Counter[_Key], added: Counter[_Key]) -> list[str]:
    """Take the tensors that differ in their dtype alone: `BF16 → F32 in 311 tensors`."""
    changed: Counter[tuple[str, str]] = Counter()
    for before, after in _same_names(gone, added):
        if before[2] == after[2]:
            changed[before[1], after[1]] += _take(gone, added, before, after)
    return [
        f"{old} → {new} in {numbers.plural(n, 'tensor')}"
        for (old, new), n in changed.most_common()
        if n
    ]


def _other_shapes(gone: Counter[_Key], added: Counter[_Key]) -> list[str]:
    """Take the tensors of the same name that have another shape, or swapped dimensions."""
    found: list[str] = []
    swapped = 0
    for before, after in _same_names(gone, added):
        n = _take(gone, added, before, after)
        if not n:
            continue
        if before[1] == after[1] and sorted(before[2]) == sorted(after[2]):
            swapped += n
            continue
        old, new = _kind_text(before), _kind_text(after)
        found.append(f"{before[0]} {old} → {new} ({n:,})")
    phrases: list[str] = []
    if swapped:
        phrases.append(f"dimensions swapped in {numbers.plural(swapped, 'tensor')}")
    if found:
        phrases.append(f"other shapes: {_first_names(found)}")
    return phrases


def _same_names(gone: Counter[_Key], added: Counter[_Key]) -> list[tuple[_Key, _Key]]:
    """Return the pairs of rows that have one name."""
    by_name: dict[str, list[_Key]] = {}
    for after in added:
        by_name.setdefault(after[0], []).append(after)
    return [(before, after) for before in gone for after in by_name.get(before[0], ())]


def _kind_text(row: _Key) -> str:
    """Return `BF16 [4096, 1024]`."""
    _, dtype, shape = row
    return f"{dtype} {list(shape)}"


def _other_prefix(gone: Counter[_Key], added: Counter[_Key]) -> list[str]:
    """Take the tensors whose names differ in how they begin, where that is the same for most."""
    prefixes: Counter[tuple[str, str]] = Counter()
    by_shape: dict[tuple[str, tuple[int, ...]], list[_Key]] = {}
    for after in added:
        by_shape.setdefault(after[1:], []).append(after)
    for before, n in gone.items():
        for after in by_shape.get(before[1:], []):
            pair = _prefixes(before[0], after[0])
            if pair is not None and added[after] == n:
                prefixes[pair] += n
    phrases: list[str] = []
    for (old, new), _ in prefixes.most_common(NAMED_TENSORS):
        renamed = 0
        for before in list(gone):
            after = (new + before[0].removeprefix(old), before[1], before[2])
            if before[0].startswith(old) and after in added:
                renamed += _take(gone, added, before, after)
        if renamed:
            tensors = numbers.plural(renamed, "tensor")
            phrases.append(
                f"names begin with {new or 'nothing'} instead of {old or 'nothing'} in {tensors}"
            )
    return phrases


def _prefixes(old: str, new: str) -> tuple[str, str] | None:
    """Return how two names begin that end in the same parts; None if they share none."""
    olds, news = old.split("."), new.split(".")
    shared = 0
    for a, b in zip(reversed(olds), reversed(news), strict=False):
        if a != b:
            break
        shared += 1
    if not shared:
        return None
    starts = [".".join(parts[: len(parts) - shared]) for parts in (olds, news)]
    before, after = (f"{start}." if start else "" for start in starts)
    return before, after


def _other_layout(gone: Counter[_Key], added: Counter[_Key]) -> list[str]:
    """Take all that is left, if it has as many elements on both sides: fused, split or stacked."""
    if not gone or not added or _elements(gone) != _elements(added):
        return []
    olds = _first_names(_names(gone))
    news = _first_names(_names(added))
    before = numbers.plural(gone.total(), "tensor")
    after = added.total()
    phrase = f"{before} are {after:,}, with as many elements: {olds} → {news}"
    gone.clear()
    added.clear()
    return [phrase]


def _left_over(gone: Counter[_Key], added: Counter[_Key]) -> list[str]:
    """Return what one side alone has."""
    phrases: list[str] = []
    for side, word in ((added, "more"), (gone, "fewer")):
        if side:
            tensors = numbers.plural(side.total(), "tensor")
            phrases.append(f"{tensors} {word}: {_first_names(_names(side))}")
    return phrases


def _elements(side: Mapping[_Key, int]) -> int:
    """Return the elements of all tensors of one side."""
    return sum(prod(shape) * n for (_, _, shape), n in side.items())


def _names(side: Mapping[_Key, int]) -> list[str]:
    """Return the patterns of names of one side, each once."""
    return list(dict.fromkeys(pattern for pattern, _, _ in side))


def _first_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:NAMED_TENSORS])
    others = len(names) - NAMED_TENSORS
    if others > 0:
        shown += f" and {others} more"
    return shown


def told_differences(
    old: StoredTensors | None, new: StoredTensors | None
) -> tuple[str | None, str | None]:
    """Return the stored tensors of both sides in words; the new one with how it differs."""
    before, after = stored_text(old), stored_text(new)
    if old is None or new is None or not old.rows or not new.rows:
        return before, after
    phrases = stored_differences(old.rows, new.rows) or ["other numbers in their names"]
    return before, f"{after} ({'; '.join(phrases)})"


def told_dtypes(
    old: StoredTensors | None, new: StoredTensors | None
) -> tuple[str | None, str | None] | None:
    """Return the same where only other dtypes are told; None if those of equal names are equal."""
    if old is None or new is None:
        return None
    gone, added = _unshared_rows(old.rows, new.rows)
    phrases = "; ".join(_other_dtypes(gone, added))
    if not phrases:
        return None
    return stored_text(old), f"{stored_text(new)} ({phrases})"
