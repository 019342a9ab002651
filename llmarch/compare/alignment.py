"""Align the blocks of two architectures by the layers that use them, whatever their names. Pure.

A block is named after what it does (`sliding`, `full`), so its name changes with its facts. The
layers that use a block tell which one of the other architecture it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, is_dataclass, replace
from typing import Any, NamedTuple, cast

from ..architecture.fingerprint import (
    NAMED_GROUPS,
    DanglingReference,
    is_reference,
    number_names,
    referenced_path,
)
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import norm_places
from ..architecture.schema import Architecture, Dense, Head, LayerKind

BESIDE_LAYERS = 0.5
"""The weight of two blocks in one place outside of the layers: norms at the ends, MTP modules."""

Pair = tuple[str, str]
"""Paths of a block in the old and in the new architecture: `mixers.sliding`, `mixers.full`."""


@frozen
class Alignment(Frozen):
    """Which blocks, norms and kinds of layers of two architectures stand for one another."""

    pairs: Mapping[str, str]
    """The path in the new architecture for the path in the old one; each block is in one pair."""
    joined: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same for old blocks without a partner: the new block that took their layers."""
    split: Mapping[str, str] = field(default_factory=dict[str, str])
    """For new blocks without a partner, the old block whose layers they took."""

    def in_new(self) -> dict[str, str]:
        """Return the path of the new block for each old block that has one."""
        return {**self.joined, **self.pairs}

    def in_old(self) -> dict[str, str]:
        """Return the path of the old block for each new block that has one."""
        return {**self.split, **reversed_pairs(self.pairs)}


UNKNOWN = "′"
"""What ends the name of a block, compared by name, that the other side has nothing for."""


def reversed_pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the old path by the new one."""
    return {new: old for old, new in pairs.items()}


def names_on_other_side(
    known: Mapping[str, str], side: Architecture, other: Architecture
) -> dict[str, str]:
    """Return the path on the other side for the paths of one, where it is another.

    known: those of blocks that stand for one another. A block without a counterpart must not equal
    what has its name on the other side, so it gets a name of its own.
    """
    taken = all_members(other)
    names = {path: path + UNKNOWN for path in all_members(side) if path in taken}
    return {path: name for path, name in {**names, **known}.items() if path != name}


class _Candidate(NamedTuple):
    """Two blocks that may stand for one another; of two candidates the larger is better."""

    one_class: bool
    one_name: bool
    """Whether they have one name, and layers in common if one family named both."""
    equal: bool
    weight: float
    """How many layers use the two in one place."""
    place: int
    """Less for later blocks, so that otherwise the order of the schema decides."""
    pair: Pair


def align(old: Architecture, new: Architecture) -> Alignment:
    """Return which blocks of two architectures stand for one another.

    Layers correspond by their number. Blocks of one class are matched first; of these such as have
    one name and share layers, then such as are equal, then such as share most layers. Blocks that
    share no layers are matched by name; those of different families before others, because there a
    name is the role that a block has in its family.
    """
    weights = shared_layers(old, new)
    pairs: dict[str, str] = {}
    for group in ("norms", "mixers", "ffns", "layer_kinds"):
        old_paths = reversed_pairs(pairs)
        names = names_on_other_side(old_paths, new, old)
        candidates = list(_candidates(group, old, new, weights, names))
        candidates.sort(reverse=True)
        pairs |= _best_pairs(candidates)
    return _with_leftovers(old, new, pairs, weights)


def align_names(old: Architecture, new: Architecture) -> Alignment:
    """Return the alignment of blocks that have one name, for outputs that name blocks."""
    others = all_members(new)
    return Alignment({path: path for path in all_members(old) if path in others})


def shared_layers(old: Architecture, new: Architecture) -> dict[Pair, float]:
    """Return how many layers use two blocks, norms or kinds in one place."""
    weights: dict[Pair, float] = {}

    members = all_members(old), all_members(new)

    def count(one: str | None, other: str | None, layers: float) -> None:
        if one in members[0] and other in members[1]:
            weights[one, other] = weights.get((one, other), 0) + layers

    for (one, other), layers in _shared_kinds(old, new).items():
        count(f"layer_kinds.{one}", f"layer_kinds.{other}", layers)
        kinds = old.layer_kinds[one], new.layer_kinds[other]
        for blocks in (_mixers, _ffns):
            for first, second in _by_role(members, blocks(kinds[0]), blocks(kinds[1])):
                count(first, second, layers)
        for first, second in zip(_norms(kinds[0]), _norms(kinds[1]), strict=False):
            count(first, second, layers)
    count(_norm_path(old.final_norm), _norm_path(new.final_norm), BESIDE_LAYERS)
    count(_norm_path(old.embedding.norm), _norm_path(new.embedding.norm), BESIDE_LAYERS)
    return weights


def _by_role(
    members: tuple[Mapping[str, Any], Mapping[str, Any]], olds: Sequence[str], news: Sequence[str]
) -> Iterator[Pair]:
    """Yield which blocks of two kinds of layers are in one place: those of one role, in order.

    Blocks whose role the other kind does not have are in one place with what is left, in order.

    members: the blocks of both architectures by path.
    olds, news: the paths of the blocks of each kind, in order.
    """
    left = list(news)
    without_role: list[str] = []
    for old in olds:
        role = _role(members[0].get(old))
        same_role = [new for new in left if _role(members[1].get(new)) == role]
        if same_role:
            left.remove(same_role[0])
            yield old, same_role[0]
        else:
            without_role.append(old)
    yield from zip(without_role, left, strict=False)


def _role(block: object) -> tuple[object, ...]:
    """Return what a block is for within a layer: its class, and what makes an MLP a special one."""
    if isinstance(block, Dense):
        return Dense, block.per_layer, block.own_skip
    return (type(block),)


def _shared_kinds(old: Architecture, new: Architecture) -> dict[Pair, float]:
    """Return how many layers are of one kind in the old and of another in the new model."""
    kinds: dict[Pair, float] = {}
    for pair in zip(old.layers, new.layers, strict=False):
        known = kinds.get(pair, 0)
        kinds[pair] = known + 1
    if old.mtp is None or new.mtp is None:
        return kinds
    if old.mtp.layer_kind and new.mtp.layer_kind:
        pair = old.mtp.layer_kind, new.mtp.layer_kind
        kinds.setdefault(pair, BESIDE_LAYERS)
    return kinds


def _mixers(kind: LayerKind) -> list[str]:
    """Return the paths of the mixers of a kind of layer in order."""
    return [path for path in _blocks(kind) if path.startswith("mixers.")]


def _ffns(kind: LayerKind) -> list[str]:
    """Return the paths of the feed-forward blocks of a kind of layer in order."""
    return [path for path in _blocks(kind) if path.startswith("ffns.")]


def _blocks(kind: LayerKind) -> Iterator[str]:
    for step in kind.steps:
        for branch in step.branches:
            yield branch.block


def _norms(kind: LayerKind) -> list[str | None]:
    """Return the path of the norm at each place of a kind of layer, None where there is none."""
    return [_norm_path(name) for name in norm_places(kind)]


def _norm_path(name: str | None) -> str | None:
    return name and f"norms.{name}"


def _candidates(
    group: str,
    old: Architecture,
    new: Architecture,
    weights: Mapping[Pair, float],
    names: Mapping[str, str],
) -> Iterator[_Candidate]:
    """Yield the members of a group that may stand for one another.

    names: the old path of each new block that is matched already.
    """
    names_are_roles = old.family != new.family
    for i, (old_name, one) in enumerate(getattr(old, group).items()):
        for j, (new_name, other) in enumerate(getattr(new, group).items()):
            pair = f"{group}.{old_name}", f"{group}.{new_name}"
            weight = weights.get(pair, 0)
            if not weight and old_name != new_name:
                continue
            yield _Candidate(
                one_class=have_one_form(one, other),
                one_name=old_name == new_name and (weight > 0 or names_are_roles),
                equal=one == rename_references(other, names),
                weight=weight,
                place=-i - j,
                pair=pair,
            )


def have_one_form(old: Any, new: Any) -> bool:
    """Return whether both are schema objects of one class and, if they have it, one kind."""
    if not is_dataclass(old) or type(old) is not type(new):
        return False
    if isinstance(old, Head):
        return True  # each kind has the same facts
    old_kind = getattr(old, "kind", None)
    new_kind = getattr(new, "kind", None)
    return old_kind == new_kind


def _best_pairs(candidates: Iterable[_Candidate]) -> dict[str, str]:
    """Return the pairs of the best candidates, each block in one pair only."""
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for candidate in candidates:
        old, new = candidate.pair
        if old not in pairs and new not in taken:
            pairs[old] = new
            taken.add(new)
    return pairs


def _with_leftovers(
    old: Architecture, new: Architecture, pairs: Mapping[str, str], weights: Mapping[Pair, float]
) -> Alignment:
    """Add to each block without a partner the block of the other side that shares its layers."""
    taken = set(pairs.values())
    joined: dict[str, str] = {}
    split: dict[str, str] = {}
    olds, news = all_members(old), all_members(new)
    for one, other in sorted(weights, key=lambda pair: -weights[pair]):
        if not have_one_form(olds[one], news[other]):
            continue
        if one not in pairs:
            joined.setdefault(one, other)
        if other not in taken:
            split.setdefault(other, one)
    return Alignment(pairs, joined, split)


# Names


def rename_references(node: Any, names: Mapping[str, str], field_name: str = "") -> Any:
    """Return a part of an architecture with other names where it names blocks.

    names: the other path by the path of a block; what is not in it keeps its name.
    field_name: the field that the part is the value of.
    """
    if not names:
        return node
    if isinstance(node, str) and is_reference(field_name):
        path = referenced_path(field_name, node)
        renamed = names.get(path, path)
        if node == path:
            return renamed
        return renamed.partition(".")[2]
    if isinstance(node, tuple):
        items = cast("tuple[Any, ...]", node)
        if not items or not isinstance(items[0], (Frozen, tuple)):
            return items
        renamed_items = tuple(rename_references(item, names) for item in items)
        return renamed_items if renamed_items != items else items
    if not isinstance(node, Frozen):
        return node
    changed: dict[str, Any] = {}
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        renamed = rename_references(value, names, name)
        if renamed is not value:
            changed[name] = renamed
    if not changed:
        return node
    return replace(node, **changed)


def used_by_layers(a: Architecture) -> frozenset[str]:
    """Return the paths of the blocks, norms and kinds that the decoder uses, its MTP apart.

    Where the wiring names what does not exist, that is all there is.
    """
    try:
        return frozenset(number_names(replace(a, mtp=None)))
    except DanglingReference:
        return frozenset(all_members(a))


def all_members(a: Architecture) -> dict[str, Any]:
    """Return the blocks, norms and kinds of layers of an architecture by path."""
    members: dict[str, Any] = {}
    for group in NAMED_GROUPS:
        of_group = getattr(a, group)
        for name, member in of_group.items():
            path = f"{group}.{name}"
            members[path] = member
    return members
