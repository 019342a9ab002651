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


class _Form(NamedTuple):
    """What a row's tensors have in common."""

    pattern: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """Return `BF16 [4096, 1024]`."""
        shape = list(self.shape)
        return f"{self.dtype} {shape}"


_Forms = Counter[_Form]
"""How many tensors of each form one side has more of than the other."""


def stored_rows(table: TensorTable) -> tuple[StoredRow, ...]:
    """Return the rows of a checkpoint, sorted; none if they are too many for a lock."""
    rows: list[StoredRow] = []
    for group in table:
        shape = tuple(group.shape or ())
        count = len(group.indices)
        rows.append(StoredRow(group.pattern, group.dtype, shape, count))
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


def _unshared_rows(old: Iterable[StoredRow], new: Iterable[StoredRow]) -> tuple[_Forms, _Forms]:
    """Return the tensors that the old side has more of, and those that the new one has."""
    before = _by_form(old)
    after = _by_form(new)
    gone = before - after
    added = after - before
    return gone, added


def _by_form(rows: Iterable[StoredRow]) -> _Forms:
    """Return the number of tensors by pattern, dtype and shape."""
    counts: _Forms = Counter()
    for row in rows:
        form = _Form(row.pattern, row.dtype, row.shape)
        counts[form] += row.tensors
    return counts


def _take(gone: _Forms, added: _Forms, before: _Form, after: _Form) -> int:
    """Remove as many tensors as both forms have from both sides. Return how many."""
    n = min(gone[before], added[after])
    for side, form in ((gone, before), (added, after)):
        side[form] -= n
        if not side[form]:
            del side[form]
    return n


def _other_dtypes(gone: _Forms, added: _Forms) -> list[str]:
    """Take the tensors that differ in their dtype alone: `BF16 → F32 in 311 tensors`."""
    changed: Counter[tuple[str, str]] = Counter()
    for before, after in _same_names(gone, added):
        if before.shape != after.shape:
            continue
        dtypes = before.dtype, after.dtype
        changed[dtypes] += _take(gone, added, before, after)
    phrases: list[str] = []
    for (old, new), n in changed.most_common():
        if n:
            tensors = numbers.plural(n, "tensor")
            phrases.append(f"{old} → {new} in {tensors}")
    return phrases


def _other_shapes(gone: _Forms, added: _Forms) -> list[str]:
    """Take the tensors of the same name that have another shape, or swapped dimensions."""
    found: list[str] = []
    swapped = 0
    for before, after in _same_names(gone, added):
        n = _take(gone, added, before, after)
        if not n:
            continue
        if _have_swapped_dimensions(before, after):
            swapped += n
            continue
        found.append(f"{before.pattern} {before} → {after} ({n:,})")
    phrases: list[str] = []
    if swapped:
        tensors = numbers.plural(swapped, "tensor")
        phrases.append(f"dimensions swapped in {tensors}")
    if found:
        shapes = _first_names(found)
        phrases.append(f"other shapes: {shapes}")
    return phrases


def _have_swapped_dimensions(before: _Form, after: _Form) -> bool:
    """Return whether two forms have one dtype and the same sizes, in whatever order."""
    if before.dtype != after.dtype:
        return False
    old_sizes = sorted(before.shape)
    new_sizes = sorted(after.shape)
    return old_sizes == new_sizes


def _same_names(gone: _Forms, added: _Forms) -> list[tuple[_Form, _Form]]:
    """Return the pairs of forms that have one name."""
    by_name: dict[str, list[_Form]] = {}
    for after in added:
        of_name = by_name.setdefault(after.pattern, [])
        of_name.append(after)
    pairs: list[tuple[_Form, _Form]] = []
    for before in gone:
        for after in by_name.get(before.pattern, ()):
            pairs.append((before, after))
    return pairs


def _other_prefix(gone: _Forms, added: _Forms) -> list[str]:
    """Take the tensors whose names differ in how they begin, where that is the same for most."""
    phrases: list[str] = []
    for old, new in _common_prefixes(gone, added):
        renamed = _take_renamed(gone, added, old, new)
        if not renamed:
            continue
        tensors = numbers.plural(renamed, "tensor")
        before = old or "nothing"
        after = new or "nothing"
        phrases.append(f"names begin with {after} instead of {before} in {tensors}")
    return phrases


def _common_prefixes(gone: _Forms, added: _Forms) -> list[tuple[str, str]]:
    """Return how names begin before and after, of as many tensors of one dtype and shape.

    The pairs of beginnings of most tensors come first, NAMED_TENSORS of them at most.
    """
    by_kind: dict[tuple[str, tuple[int, ...]], list[_Form]] = {}
    for after in added:
        of_kind = by_kind.setdefault((after.dtype, after.shape), [])
        of_kind.append(after)
    tensors: Counter[tuple[str, str]] = Counter()
    for before, n in gone.items():
        for after in by_kind.get((before.dtype, before.shape), ()):
            pair = _prefixes(before.pattern, after.pattern)
            if pair is not None and added[after] == n:
                tensors[pair] += n
    return [pair for pair, _ in tensors.most_common(NAMED_TENSORS)]


def _take_renamed(gone: _Forms, added: _Forms, old: str, new: str) -> int:
    """Remove the tensors whose names begin with `new` instead of `old`. Return how many."""
    renamed = 0
    for before in list(gone):
        if not before.pattern.startswith(old):
            continue
        rest = before.pattern.removeprefix(old)
        after = before._replace(pattern=new + rest)
        if after in added:
            renamed += _take(gone, added, before, after)
    return renamed


def _prefixes(old: str, new: str) -> tuple[str, str] | None:
    """Return how two names begin that end in the same parts; None if they share none."""
    olds = old.split(".")
    news = new.split(".")
    shared = 0
    for a, b in zip(reversed(olds), reversed(news), strict=False):
        if a != b:
            break
        shared += 1
    if not shared:
        return None
    before = _joined(olds[:-shared])
    after = _joined(news[:-shared])
    return before, after


def _joined(parts: Sequence[str]) -> str:
    """Return `model.layers.` of the first parts of a name; nothing for none."""
    return "".join(f"{part}." for part in parts)


def _other_layout(gone: _Forms, added: _Forms) -> list[str]:
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


def _left_over(gone: _Forms, added: _Forms) -> list[str]:
    """Return what one side alone has."""
    phrases: list[str] = []
    for side, word in ((added, "more"), (gone, "fewer")):
        if side:
            tensors = numbers.plural(side.total(), "tensor")
            names = _first_names(_names(side))
            phrases.append(f"{tensors} {word}: {names}")
    return phrases


def _elements(side: Mapping[_Form, int]) -> int:
    """Return the elements of all tensors of one side."""
    elements = [prod(form.shape) * n for form, n in side.items()]
    return sum(elements)


def _names(side: Mapping[_Form, int]) -> list[str]:
    """Return the patterns of names of one side, each once."""
    patterns = [form.pattern for form in side]
    return list(dict.fromkeys(patterns))


def _first_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:NAMED_TENSORS])
    others = len(names) - NAMED_TENSORS
    if others > 0:
        shown += f" and {others} more"
    return shown


def describe_differences(
    old: StoredTensors | None, new: StoredTensors | None
) -> tuple[str | None, str | None]:
    """Return the stored tensors of both sides in words; the new one with how it differs."""
    before = stored_text(old)
    after = stored_text(new)
    if old is None or new is None:
        return before, after
    if not old.rows or not new.rows:
        return before, after
    phrases = stored_differences(old.rows, new.rows)
    words = "; ".join(phrases) or "other numbers in their names"
    return before, f"{after} ({words})"


def describe_other_dtypes(
    old: StoredTensors | None, new: StoredTensors | None
) -> tuple[str | None, str | None] | None:
    """Return both sides in words with other dtypes alone, None if tensors of one name have one."""
    if old is None or new is None:
        return None
    gone, added = _unshared_rows(old.rows, new.rows)
    phrases = "; ".join(_other_dtypes(gone, added))
    if not phrases:
        return None
    return stored_text(old), f"{stored_text(new)} ({phrases})"
