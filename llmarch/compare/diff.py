"""List the differences of two architectures by dotted path. Pure.

Blocks are compared with those that the same layers use (alignment.py). What a difference breaks is
computed (severity.py). `diff(a, a)` is empty, and `diff(b, a)` mirrors `diff(a, b)`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any, NamedTuple, cast

from ..architecture.fingerprint import NAMED_GROUPS
from ..architecture.frozen import Frozen, compared_names
from ..architecture.implied import have_same_effect, same
from ..architecture.layers import norm_places, run_lengths
from ..architecture.paths import find_value, last_part
from ..architecture.schema import Architecture, Change, LayerKind
from .alignment import (
    Alignment,
    align,
    have_one_form,
    names_on_other_side,
    rename_references,
    used_by_layers,
)
from .rules import SEVERITIES, rule_for
from .severity import Difference, Edit, severities

OFTEN_UNSAID = frozenset({"dtype"})
"""Facts that a config may leave to the checkpoint: leaving one out is not a change."""


def diff(old: Architecture, new: Architecture) -> list[Change]:
    """Return all differences, worst first, then in the order of the schema.

    A block that was added, removed or replaced by another kind is one change.
    """
    if old == new:
        return []
    differences = list(differing_facts(old, new))
    changes: list[Change] = []
    for difference, severity in zip(differences, severities(old, new, differences), strict=True):
        path = difference.path
        changes.append(
            Change(
                rule=rule_for(path).id,
                path=path,
                old=difference.old,
                new=difference.new,
                severity=severity,
                old_path=difference.old_path if difference.old_path != path else None,
                new_path=difference.new_path if difference.new_path != path else None,
            )
        )
    return worst_first(changes)


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """Sort changes by severity; the order within a severity stays."""
    return sorted(changes, key=lambda change: SEVERITIES.index(change.severity))


def norms_of(kind: LayerKind) -> int:
    """Return how many norms a kind of layer has."""
    return sum(place is not None for place in norm_places(kind))


def differing_facts(
    old: Architecture, new: Architecture, alignment: Alignment | None = None
) -> Iterator[Difference]:
    """Yield the differences of two architectures in the order of the schema.

    alignment: which blocks are compared; None for those that the same layers use.
    """
    yield from _Aligned(old, new, alignment or align(old, new)).differences()


def changed_fact_paths(old: Architecture, new: Architecture, alignment: Alignment) -> Iterator[str]:
    """Yield the paths of `differing_facts`, in half the time."""
    for difference in _Aligned(old, new, alignment, with_values=False).differences():
        yield difference.path


class _Block(NamedTuple):
    """A block of the old and one of the new architecture that are compared."""

    path: str
    """The path that its differences are reported by."""
    old_path: str
    new_path: str


class _Aligned:
    """Two architectures, and which blocks of one stand for which of the other."""

    def __init__(
        self,
        old: Architecture,
        new: Architecture,
        alignment: Alignment,
        *,
        with_values: bool = True,
    ) -> None:
        self.old = old
        self.new = new
        self.alignment = alignment
        self.with_values = with_values
        """Whether differences have their values and edits, or their paths alone."""
        self.in_old = self.alignment.in_old()
        self.in_new = self.alignment.in_new()
        self.old_names = names_on_other_side(self.in_old, new, old)
        """The old name of each new block, by which wirings are compared."""
        self.new_names = names_on_other_side(self.in_new, old, new)
        self.joined_names: dict[str, str] = {}
        """Old blocks that became one, by the old block that they are compared as."""
        for path in self.alignment.joined:
            self.joined_names[path] = self.in_old.get(self.in_new[path], path)

    @functools.cached_property
    def used_in_old(self) -> frozenset[str]:
        """Return the paths of what the old layers use."""
        return used_by_layers(self.old)

    @functools.cached_property
    def used_in_new(self) -> frozenset[str]:
        """Return the paths of what the new layers use."""
        return used_by_layers(self.new)

    def differences(self) -> Iterator[Difference]:
        """Yield the differences in the order of the schema."""
        for f in fields(Architecture):
            if f.name in NAMED_GROUPS:
                yield from self.group(f.name)
            elif f.name == "layers":
                yield from self.layers()
            else:
                yield from self.part(f.name)

    def part(self, name: str) -> Iterator[Difference]:
        """Yield the differences of a fact or a part of the whole model."""
        yield from self._below(_Block(name, name, name))

    def layers(self) -> Iterator[Difference]:
        """Yield the difference of the layers, if they are not of the same kinds in order."""
        paired = self.alignment.pairs
        olds = [f"layer_kinds.{kind}" for kind in self.old.layers]
        news = [f"layer_kinds.{kind}" for kind in self.new.layers]
        if [paired.get(path) for path in olds] == news:
            return
        yield Difference(
            "layers",
            run_lengths(self.old.layers),
            run_lengths(self.new.layers),
            "layers",
            "layers",
            make=_layers_edit(news, self.in_old),
            undo=_layers_edit(olds, self.in_new),
        )

    def group(self, group: str) -> Iterator[Difference]:
        """Yield the differences of the blocks, norms or kinds of layers of a group."""
        for path in _members(self.old, group):
            partner = self.in_new.get(path)
            if partner is None:
                yield from self._whole(path, path, "")
            else:
                yield from self._block(_Block(path, path, partner))
        paired = set(self.alignment.pairs.values())
        for path in _members(self.new, group):
            if path in self.alignment.split:
                yield from self._block(_Block(path, self.alignment.split[path], path))
            elif path not in paired:
                yield from self._whole(path, "", path)

    def _block(self, block: _Block) -> Iterator[Difference]:
        """Yield the differences of two blocks."""
        yield from self._below(block)
        if not block.path.startswith("layer_kinds."):
            return
        kinds = find_value(self.old, block.old_path), find_value(self.new, block.new_path)
        counts = norms_of(kinds[0]), norms_of(kinds[1])
        if counts[0] != counts[1]:
            yield Difference(
                f"{block.path}.norms",
                *counts,
                f"{block.old_path}.norms",
                f"{block.new_path}.norms",
                make=Edit(block.old_path, rename_references(kinds[1], self.old_names)),
                undo=Edit(block.new_path, rename_references(kinds[0], self.new_names)),
            )

    def _whole(self, path: str, old_path: str, new_path: str) -> Iterator[Difference]:
        """Yield a block that one side does not have, unless it came or went with the MTP."""
        side = self.old if old_path else self.new
        if _comes_with_mtp(self.old, self.new):
            used = self.used_in_old if old_path else self.used_in_new
            if path not in used:
                return
        block = _plain(find_value(side, path)) if self.with_values else None
        values = (block, None) if old_path else (None, block)
        yield Difference(path, *values, old_path, new_path)

    def _below(self, block: _Block) -> Iterator[Difference]:
        """Yield the differences below the paths of a block."""
        old = find_value(self.old, block.old_path)
        new = find_value(self.new, block.new_path)
        name = last_part(block.path)
        as_old = rename_references(old, self.joined_names, name)
        as_new = rename_references(new, self.old_names, name)
        for path in _differing_paths(as_old, as_new, block.path):
            inner_path = path.removeprefix(block.path)
            part = _Block(path, block.old_path + inner_path, block.new_path + inner_path)
            yield self._difference(part)

    def _difference(self, block: _Block) -> Difference:
        """Return the difference at the paths of a fact."""
        if not self.with_values:
            return Difference(block.path, None, None, block.old_path, block.new_path)
        name = last_part(block.path)
        old = find_value(self.old, block.old_path)
        new = find_value(self.new, block.new_path)
        made = rename_references(new, self.old_names, name)
        undone = rename_references(old, self.new_names, name)
        return Difference(
            block.path,
            _plain(old),
            _plain(new),
            block.old_path,
            block.new_path,
            make=Edit(block.old_path, made),
            undo=Edit(block.new_path, undone),
        )


def _members(a: Architecture, group: str) -> list[str]:
    """Return the paths of the members of a group."""
    return [f"{group}.{name}" for name in getattr(a, group)]


def _layers_edit(paths: Sequence[str], names: Mapping[str, str]) -> Edit | None:
    """Return the edit that gives a model the layers of the other, None if it lacks a kind.

    paths: the kinds of the other's layers.
    names: the model's own kind for each of them.
    """
    if not names.keys() >= set(paths):
        return None
    return Edit("layers", tuple(names[path].partition(".")[2] for path in paths))


def _comes_with_mtp(old: Architecture, new: Architecture) -> bool:
    """Return whether only one of two models has MTP modules with a layout that is known."""
    layouts = [a.mtp is not None and a.mtp.layer_kind is not None for a in (old, new)]
    return layouts[0] != layouts[1]


def _differing_paths(old: Any, new: Any, path: str) -> Iterator[str]:
    """Yield the paths at which two parts differ; parts of different form differ as a whole."""
    if same(old, new) or (path in OFTEN_UNSAID and None in (old, new)):
        return
    if have_one_form(old, new):
        cls = cast("type[Frozen]", type(old))
        for name in compared_names(cls):
            if have_same_effect(old, new, name):
                continue
            before = getattr(old, name)
            after = getattr(new, name)
            yield from _differing_paths(before, after, f"{path}.{name}")
    elif isinstance(old, dict) and isinstance(new, dict):
        olds = cast("dict[str, Any]", old)
        news = cast("dict[str, Any]", new)
        for name in dict.fromkeys([*olds, *news]):
            before = olds.get(name)
            after = news.get(name)
            yield from _differing_paths(before, after, f"{path}.{name}")
    elif _are_records(old, new):
        old_records = cast("tuple[Any, ...]", old)
        new_records = cast("tuple[Any, ...]", new)
        pairs = zip(old_records, new_records, strict=True)
        for i, (before, after) in enumerate(pairs):
            yield from _differing_paths(before, after, f"{path}.{i}")
    else:
        yield path


def facts_written_differently(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of facts that say the same in two parts and have other values.

    One of them leaves out what the other writes out (architecture/implied.py). Blocks are compared
    by name.

    old, new: the parts.
    path: where both are.
    """
    if old is new or old == new:
        return
    if have_one_form(old, new):
        for f in fields(old):
            values = getattr(old, f.name), getattr(new, f.name)
            inner_path = f"{path}.{f.name}".removeprefix(".")
            if same(*values) or not have_same_effect(old, new, f.name):
                yield from facts_written_differently(*values, inner_path)
            elif f.compare:
                yield inner_path
    elif isinstance(old, dict) and isinstance(new, dict):
        blocks = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for name in blocks[0]:
            if name in blocks[1]:
                inner_path = f"{path}.{name}"
                yield from facts_written_differently(blocks[0][name], blocks[1][name], inner_path)


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
        items = cast("tuple[Any, ...]", value)
        return list(map(_plain, items))
    return value
