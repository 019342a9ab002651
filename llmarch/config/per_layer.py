"""Read configs that give single layers values of their own: `per_layer_config`.

transformers 5 (integrations/heterogeneity in 5.23.0) knows the key for every class, and writes it
for Gemma 4 and Step. It maps the number of a layer to keys of the config and their values in that
layer; all other keys have the values of the config around it.

A family reads the config once for each set of such values, as if all layers had them. Each layer
is then taken from the reading that has its own values. Blocks that come out alike are one block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from itertools import count
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import ConfigError
from .evidence import Draft, Sourced, build, derived, same_evidence
from .findings import add, layer_number_too_high, quoted
from .keys import ConfigKeys

PER_LAYER_KEY = "per_layer_config"
MAX_VARIANTS = 500
"""Number of different sets of values. Each is a reading of the whole config."""

BY_LAYER = ("mixers", "ffns", "norms", "layer_kinds")
"""The fields of an Architecture that hold what a layer is made of, by name."""

REFERENCES = {
    "pre_norm": "norms",
    "post_norm": "norms",
    "join_norm": "norms",
    "after_norm": "norms",
    "kv_from": "mixers",
    "index_from": "mixers",
    "layer_kind": "layer_kinds",
}
"""Fields that name something in another field of the Architecture. (`block` names both.)"""

Reader = Callable[[ConfigKeys], Draft]


@frozen
class Variant(Frozen):
    """Values that some layers have of their own."""

    values: dict[str, Any]
    path: str
    """Where the config gives them to the first of these layers, relative to it."""
    layers: dict[int, str] = field(default_factory=dict[int, str])
    """The number of each layer, and the key of its entry."""


class Source(NamedTuple):
    """What was read for the layers of a variant."""

    variant: Variant
    read: Draft


def read_by_layer(c: ConfigKeys, read: Reader) -> Draft:
    """Read the decoder of a config with `per_layer_config`.

    read: reads a config whose layers all have the same values.
    Raises ConfigError for a value that all layers must share.
    """
    entries = c.child(PER_LAYER_KEY)
    depth = _depth(c, entries, read)
    variants = _variants(c, entries, depth)
    shared = Variant({}, PER_LAYER_KEY, dict.fromkeys(_other_layers(variants, depth), ""))
    if shared.layers:
        variants.insert(0, shared)
    else:
        c.ignore(*variants[0].values)
    sources = [Source(v, _read_variant(c, entries, v, read)) for v in variants]
    for source in sources[1:]:
        _check_shared_facts(c, sources[0].read, source)
    return _Merger(sources).merge(f"{c.prefix}{PER_LAYER_KEY}")


def _depth(c: ConfigKeys, entries: ConfigKeys, read: Reader) -> int:
    """Return the number of layers. It does not depend on the values of single layers.

    A config whose every layer has an own value for a key need not have the key itself.
    """
    try:
        return len(_layers_of(read(c.at_layers({}, PER_LAYER_KEY))))
    except ConfigError:
        first = next(iter(entries.data.items()), None)
        if first is None or not isinstance(first[1], dict):
            raise
        values = cast("dict[str, Any]", first[1])
        return len(_layers_of(read(c.at_layers(values, f"{PER_LAYER_KEY}.{first[0]}"))))


def _variants(c: ConfigKeys, entries: ConfigKeys, depth: int) -> list[Variant]:
    """Return the different sets of values. Entries for layers after the last are a finding."""
    variants: dict[str, Variant] = {}
    surplus: list[int] = []
    for layer, key in _keys_of_layers(c, entries).items():
        if layer >= depth:
            surplus.append(layer)
            continue
        own = _own_values(entries, key, entries.data[key])
        if own:
            text = json.dumps(own, sort_keys=True)
            variant = variants.setdefault(text, Variant(own, f"{PER_LAYER_KEY}.{key}"))
            variant.layers[layer] = key
    if surplus:
        layer_number_too_high(c, entries.prefix[:-1], max(surplus), depth)
    if len(variants) > MAX_VARIANTS:
        raise ConfigError(
            f"{entries.file}: {entries.prefix[:-1]} has {len(variants):,} different entries;"
            f" at most {MAX_VARIANTS} are supported"
        )
    return list(variants.values())


def _keys_of_layers(c: ConfigKeys, entries: ConfigKeys) -> dict[int, str]:
    """Return the key of each layer's entry.

    Of two keys for one layer (`3` and `03`) transformers takes the last; entries that differ are a
    finding. Raises ConfigError for a key that is not a number, or an entry that is not an object.
    """
    keys: dict[int, str] = {}
    for key, values in entries.data.items():
        if not key.strip().isdecimal():
            raise ConfigError(f"{entries.file}: {entries.key(key)} is not the number of a layer")
        if not isinstance(values, dict):
            raise ConfigError(f"{entries.file}: {entries.key(key)} is not an object")
        layer = int(key)
        earlier = keys.get(layer)
        if earlier is not None:
            entries.ignore(earlier)
            if entries.data[earlier] != values:
                _report_two_entries(c, entries, earlier, key)
        keys[layer] = key
    return keys


def _report_two_entries(c: ConfigKeys, entries: ConfigKeys, earlier: str, later: str) -> None:
    first, second = entries.key(earlier), entries.key(later)
    message = f"{first} and {second} are of one layer and differ: transformers takes the latter"
    finding = Finding(
        rule="config-contradiction", path=second, message=message, severity="behaviour"
    )
    add(c, finding)


def _own_values(entries: ConfigKeys, key: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a layer's entry.

    Raises ConfigError for a layer without some of its blocks (`skip`), which no class of
    transformers 5.23.0 builds.
    """
    if values.get("skip"):
        skipped = quoted(values["skip"])
        raise ConfigError(
            f"{entries.file}: {entries.key(key)} skips {skipped}; layers without some of their"
            " blocks are not supported"
        )
    return {name: value for name, value in values.items() if name != "skip"}


def _other_layers(variants: list[Variant], depth: int) -> Iterator[int]:
    """Yield the layers that have no values of their own."""
    own = {layer for variant in variants for layer in variant.layers}
    return (layer for layer in range(depth) if layer not in own)


def _read_variant(c: ConfigKeys, entries: ConfigKeys, variant: Variant, read: Reader) -> Draft:
    """Read the config as it is for the layers of a variant, and note the keys that were read."""
    layered = c.at_layers(variant.values, variant.path)
    result = read(layered)
    own = {c.prefix + name for name in variant.values}
    c.read_keys.update(layered.read_keys - own)
    for key in variant.layers.values():
        for name in layered.read_keys:
            if any(name == path or name.startswith(f"{path}.") for path in own):
                c.read_keys.add(f"{entries.prefix}{key}.{name.removeprefix(c.prefix)}")
        if key:
            c.read_keys.add(f"{entries.prefix}{key}.skip")
    return result


def _check_shared_facts(c: ConfigKeys, read: Draft, source: Source) -> None:
    """Raise ConfigError if a variant changes a fact that is not about single layers."""
    mine = _without_layers(read)
    theirs = _without_layers(source.read)
    path = c.prefix + source.variant.path
    for name, value in theirs.items():
        if value != mine.get(name):
            raise ConfigError(f"{c.file}: {path} changes {name}, which all layers share")


def _without_layers(read: Draft) -> dict[str, Any]:
    """Return the facts that are not about single layers, and the number of layers."""
    facts: dict[str, Any] = {"the number of layers": len(_layers_of(read))}
    for name, value in read.fields.items():
        if name not in (*BY_LAYER, "layers", "mtp"):
            facts[name] = build(value, "", {})
    return facts


def _layers_of(read: Draft) -> list[str]:
    """Return the name of each layer's kind."""
    return _plain(read["layers"])


def _plain(value: Any) -> Any:
    """Return a value without its evidence."""
    if isinstance(value, Sourced):
        return value.value
    return value


class _Merger:
    """Put the layers of several readings together in one Architecture."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self.groups: dict[str, dict[str, Draft]] = {group: {} for group in BY_LAYER}
        """What has been taken so far, by its new name."""
        self.new_names: dict[tuple[int, str, str], str] = {}
        """By the number of a source, a group, and a name there."""
        self.by_layer = {
            layer: number
            for number, source in enumerate(sources)
            for layer in source.variant.layers
        }

    def merge(self, path: str) -> Draft:
        """Return the Architecture. `path` is where the config has the values of layers."""
        first = self.sources[0].read
        for name in first["norms"]:
            self.take(0, "norms", name)
        depth = len(_layers_of(first))
        in_order_of_sources = sorted(range(depth), key=self.by_layer.__getitem__)
        names = {layer: self.take_layer(layer) for layer in in_order_of_sources}
        layers = [names[layer] for layer in range(depth)]
        parts: dict[str, Any] = {"layers": self.layers(layers, path)}
        for name in first["layer_kinds"]:
            if name not in _layers_of(first):  # that of MTP modules
                self.take(self.source_of_kind(name), "layer_kinds", name)
        mtp = first.fields.get("mtp")
        if isinstance(mtp, Draft):
            number = self.source_of_kind(_plain(mtp["layer_kind"]))
            parts["mtp"] = self.follow(number, mtp)
        return first.replace(**self.groups, **parts)

    def layers(self, names: list[str], path: str) -> Sourced:
        """Return the names of the layers' kinds, with evidence."""
        given = self.sources[0].read["layers"]
        if not isinstance(given, Sourced):
            return derived(names, path)
        if names == given.value:
            return same_evidence(names, given)
        return derived(names, f"{given.evidence.ref}; {path}")

    def take_layer(self, layer: int) -> str:
        """Take the kind of a layer from its source. Return its new name."""
        number = self.by_layer[layer]
        return self.take(number, "layer_kinds", _layers_of(self.sources[number].read)[layer])

    def take(self, number: int, group: str, name: str) -> str:
        """Take a named part of a source, and all that it refers to. Return its new name.

        That is the old one, or the old one with a number if another part has it.
        """
        place = (number, group, name)
        if place in self.new_names:
            return self.new_names[place]
        part = self.follow(number, self.sources[number].read[group][name])
        new_name = self.add(group, name, part)
        self.new_names[place] = new_name
        return new_name

    def add(self, group: str, name: str, part: Draft) -> str:
        """Add a part to a group unless an equal one is there. Return its name there."""
        taken = self.groups[group]
        built = build(part, "", {})
        candidate = name
        for number in count(2):
            other = taken.setdefault(candidate, part)
            if build(other, "", {}) == built:
                break
            candidate = f"{name}_{number}"
        return candidate

    def follow(self, number: int, tree: Any, name: str = "") -> Any:
        """Return a part of a source with new names for what it refers to.

        name: the field that holds it.
        """
        if isinstance(tree, Draft):
            items = tree.fields.items()
            return tree.replace(**{k: self.follow(number, v, k) for k, v in items})
        if isinstance(tree, list):
            return [self.follow(number, item) for item in cast("list[Any]", tree)]
        if isinstance(tree, Sourced) and isinstance(tree.value, str):
            return same_evidence(self.follow(number, tree.value, name), tree)
        if isinstance(tree, str) and name == "block":
            group, _, old = tree.partition(".")
            return f"{group}.{self.take(number, group, old)}"
        if isinstance(tree, str) and name in REFERENCES:
            return self.take(number, REFERENCES[name], tree)
        return tree

    def source_of_kind(self, name: str) -> int:
        """Return the number of the source that the layers of MTP modules are taken from.

        It is that of the last layer that has their mixer.
        """
        mixer = _first_block(self.sources[0].read["layer_kinds"], name)
        for layer in reversed(self.by_layer):
            number = self.by_layer[layer]
            read = self.sources[number].read
            own = _first_block(read["layer_kinds"], _layers_of(read)[layer])
            if own == mixer and name in read["layer_kinds"]:
                return number
        return 0


def _first_block(kinds: Mapping[str, Draft], name: str) -> str | None:
    """Return the path of the first block of a layer kind."""
    if name not in kinds:
        return None
    return kinds[name]["steps"][0]["branches"][0]["block"]
