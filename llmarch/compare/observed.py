"""Compare models of which one at least is observed: no family reads it, only its tensors tell.

What both sides know is compared: facts that names and shapes prove, the keys of both configs, and
the stored tensors. A key whose meaning nobody knows may change the computation. What one side alone
knows is not compared, and said. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ..architecture.fingerprint import NAMED_GROUPS, digest
from ..architecture.frozen import Frozen, frozen
from ..architecture.implied import same
from ..architecture.layers import norm_places, run_lengths
from ..architecture.paths import last_part, parent_path
from ..architecture.schema import Architecture, Change, Severity
from ..config.keys import is_inert
from .beside import is_beside
from .config_keys import config_leaves
from .rules import rule_for
from .stored import StoredTensors

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation

BLOCK_GROUPS = ("mixers", "ffns", "norms")
"""Groups whose members are compared as layers use them, whatever their names."""
CONTEXT_FACTS = ("layers", "layer_kinds", "final_norm", "family", "model_type", "other")
"""Facts that an observed model has in another form than one that a family reads."""
STORAGE_KEYS = ("dtype", "torch_dtype", "quantization_config", "compression_config", "quantization")
"""Keys, or the parts they are in, that say how weights are stored."""
IDENTIFYING_KEYS = ("architectures", "model_type")
"""Keys without effect on a family's reading, by which loaders choose the code."""
JSON_SCALARS = (bool, int, float, str, type(None))
"""Types of the values that an observed model may have."""
LONGEST_KEY_VALUE = 200
"""Characters of a key's value as JSON; a longer value is kept as its hash."""
ABSENT_VALUE = "null"
"""The JSON of a key that is absent: null and absent mean the same."""


@frozen
class ObservedFacts(Frozen):
    """What a lock keeps of a model that no family reads."""

    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values by path, as far as they are known."""
    unknown: tuple[str, ...] = ()
    """Paths of facts that stay open."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """Paths of the blocks and norms of each kind of layer."""
    layers: tuple[str, ...] = ()
    """The kind of each layer."""
    components: Mapping[str, int] = field(default_factory=dict[str, int])
    """Elements by component."""
    packings: tuple[str, ...] = ()
    """Packings that were found."""
    by_family: bool = False
    """Whether a family reads the model: then its facts are all there, in their own form."""

    def blocks(self, layer: int, group: str) -> list[str]:
        """Return the paths of the members of a group that a layer uses, in their order."""
        paths = self.kinds[self.layers[layer]]
        return [path for path in paths if path.startswith(f"{group}.")]

    def document(self) -> dict[str, Any]:
        """Return the facts as a lock has them; layers are runs."""
        return {
            "facts": dict(self.facts),
            "unknown": list(self.unknown),
            "kinds": {name: list(paths) for name, paths in self.kinds.items()},
            "layers": run_lengths(self.layers),
            "components": dict(self.components),
            "packings": list(self.packings),
        }

    @property
    def fingerprint(self) -> str:
        """Return a hash of what is known."""
        return digest(self.document())


def locked_facts(o: Observation) -> ObservedFacts:
    """Return what a lock keeps of an observation; nothing without tensor headers."""
    if o.raw.tensors is None:
        return ObservedFacts()
    seen = o.observed
    known = {path: value for path, value in seen.facts.items() if value is not None}
    components = dict(sorted(seen.by_component.items()))
    if seen.mtp:
        components["mtp"] = seen.mtp
    return ObservedFacts(
        facts=known,
        unknown=tuple(path for path, value in seen.facts.items() if value is None),
        kinds={name: (*kind.blocks, *kind.norms) for name, kind in seen.kinds.items()},
        layers=seen.layers,
        components=components,
        packings=seen.notes,
    )


def facts_of_architecture(a: Architecture) -> ObservedFacts:
    """Return the facts of a model that a family reads in the form of an observed one."""
    facts: dict[str, Any] = {}
    for f in fields(a):
        if f.name not in CONTEXT_FACTS:
            facts |= _flat_facts(getattr(a, f.name), f.name)
    kinds: dict[str, tuple[str, ...]] = {}
    for name, kind in a.layer_kinds.items():
        blocks = [branch.block for step in kind.steps for branch in step.branches]
        named = filter(None, norm_places(kind))
        norms = [f"norms.{norm}" for norm in named]
        kinds[name] = (*blocks, *norms)
    facts["layers"] = len(a.layers)
    return ObservedFacts(facts=facts, kinds=kinds, layers=a.layers, by_family=True)


def _flat_facts(value: Any, path: str) -> dict[str, Any]:
    """Return the facts below a path by their paths."""
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
    elif isinstance(value, JSON_SCALARS):
        return {path: value}
    else:
        return {}
    facts: dict[str, Any] = {}
    for name, part in parts.items():
        facts |= _flat_facts(part, f"{path}.{name}")
    return facts


# --- keys of the config -------------------------------------------------------------------------


def config_keys(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the dotted keys of a config with their values as JSON, long ones as their hash."""
    found: dict[str, str] = {}
    leaves = config_leaves(config)
    for name, _, value in leaves:
        text = json.dumps(value, sort_keys=True)
        if len(text) > LONGEST_KEY_VALUE:
            text = digest(value)
        found[name] = text
    return found


def key_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Yield the keys with another value, each with what it may break."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, ABSENT_VALUE), new.get(key, ABSENT_VALUE)
        if before == after or is_beside(key):
            continue
        yield Change(
            rule="unread-key",
            path=key,
            old=None if before == ABSENT_VALUE else before,
            new=None if after == ABSENT_VALUE else after,
            severity=_key_severity(key, before, after),
        )


def _key_severity(key: str, *values: str) -> Severity:
    """Return what another value of a key may break: behaviour, unless its effect is known."""
    parts = key.split(".")
    last = parts[-1]
    if any(part in STORAGE_KEYS for part in parts):
        return "quantization"
    if last in IDENTIFYING_KEYS:
        return "behaviour"
    for value in filter(_is_json, values):
        if not is_inert(last, json.loads(value)):
            return "behaviour"
    return "info"


def _is_json(value: str) -> bool:
    """Return whether the value of a key is kept as it is, not as its hash."""
    return not value.startswith("sha256:")


def merge_keys(facts: Iterable[Change], keys: Iterable[Change]) -> list[Change]:
    """Return the changes of facts and keys, a key with the fact that it gives the same values."""
    left = {change.path: change for change in keys}
    reported: list[Change] = []
    for change in facts:
        key = _key_of_fact(change, left.values())
        if key is None:
            reported.append(change)
            continue
        del left[key]
        reported.append(replace(change, key=key, key_old=change.old, key_new=change.new))
    return [*reported, *left.values()]


def _key_of_fact(change: Change, keys: Iterable[Change]) -> str | None:
    """Return the first key that has the values of a fact, and its name in its own."""
    name = last_part(change.path)
    before = json.dumps(change.old)
    after = json.dumps(change.new)
    for key in keys:
        if name in key.path and (key.old, key.new) == (before, after):
            return key.path
    return None


# --- facts --------------------------------------------------------------------------------------


@frozen
class FactComparison(Frozen):
    """The facts of two models that differ, and how many could not be compared."""

    changes: tuple[Change, ...]
    open: tuple[str, ...]
    """Paths of facts that one side alone knows."""


def compare_facts(old: ObservedFacts, new: ObservedFacts, severest: Severity) -> FactComparison:
    """Compare what both sides know.

    severest: what a change of tensors breaks here: `weights` where names or shapes differ.
    """
    changes: dict[tuple[str, str], Change] = {}
    open_paths: dict[str, None] = {}
    mixed = old.by_family or new.by_family
    for old_path, new_path in _compared_paths(old, new):
        if old_path not in old.facts or new_path not in new.facts:
            known = old_path if old_path in old.facts else new_path
            is_open = _is_open(old_path, old) or _is_open(new_path, new)
            if is_open:
                open_paths[known] = None
            if is_open or mixed:
                continue
        before, after = old.facts.get(old_path), new.facts.get(new_path)
        if same(before, after) or (not before and not after):
            continue
        severity = rule_for(new_path).severity
        if severity == "weights":
            severity = severest
        changes[old_path, new_path] = Change(
            rule=rule_for(new_path).id,
            path=new_path,
            old=before,
            new=after,
            severity=severity,
            old_path=old_path if old_path != new_path else None,
        )
    return FactComparison(tuple(changes.values()), tuple(open_paths))


def _compared_paths(old: ObservedFacts, new: ObservedFacts) -> Iterator[tuple[str, str]]:
    """Yield the paths of facts that stand for one another: of blocks, those of the same layers."""
    for old_block, new_block in _paired_blocks(old, new):
        olds = _below(old.facts, old_block)
        news = _below(new.facts, new_block)
        for inner_path in dict.fromkeys([*olds, *news]):
            yield old_block + inner_path, new_block + inner_path
    for path in dict.fromkeys([*old.facts, *new.facts]):
        group, _, _ = path.partition(".")
        if group not in NAMED_GROUPS or group == path:
            yield path, path


def _below(facts: Iterable[str], block: str) -> list[str]:
    """Return what follows the path of a block in the paths of its facts."""
    return [path.removeprefix(block) for path in facts if path.startswith(f"{block}.")]


def _paired_blocks(old: ObservedFacts, new: ObservedFacts) -> list[tuple[str, str]]:
    """Return the blocks that stand at the same place of the same layer."""
    pairs: dict[tuple[str, str], None] = {}
    shared = min(len(old.layers), len(new.layers))
    for layer in range(shared):
        for group in BLOCK_GROUPS:
            olds = old.blocks(layer, group)
            news = new.blocks(layer, group)
            if len(olds) == len(news):
                alike = zip(olds, news, strict=True)
                pairs |= dict.fromkeys(alike)
    return list(pairs)


def _is_open(path: str, side: ObservedFacts) -> bool:
    """Return whether a side does not know the fact at a path, or the part that it belongs to."""
    if side.facts.get(path) is not None:
        return False
    while path:
        if path in side.unknown:
            return True
        path = parent_path(path)
    return False


def tensor_severity(
    old: StoredTensors | None, new: StoredTensors | None, *, repacked: bool
) -> Severity:
    """Return what other stored tensors break where no family says which names load.

    Other names or shapes are `weights`; other dtypes, or the same sizes packed otherwise, are
    `quantization`. Without headers of both sides nothing is known: `weights`.

    repacked: whether the checkpoint holds the same sizes in another packing.
    """
    if old is None or new is None:
        return "weights"
    if repacked:
        return "quantization"
    shapes = [sorted((r.pattern, r.shape, r.tensors) for r in side.rows) for side in (old, new)]
    if old.rows and new.rows and shapes[0] == shapes[1]:
        return "quantization"
    return "weights"
