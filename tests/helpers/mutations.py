"""Architectures with one fact changed: every fact of the schema, to another value of its type."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import llmarch
from llmarch.architecture import schema
from llmarch.architecture.implied import have_same_effect
from llmarch.architecture.schema import Architecture
from llmarch.sources.aliases import bundled_models

NEW_PARTS: dict[type, Any] = {
    schema.Rope: schema.Rope(theta=12345.0, rotary_dim=2),
    schema.RopeScaling: schema.RopeScaling(kind="yarn", factor=3.0, original_context=77),
    schema.QKNorm: schema.QKNorm(scope="head"),
    schema.Dense: schema.Dense(width=33, activation="gelu"),
    schema.QueryScaling: schema.QueryScaling(beta=0.3, original_context=77),
    schema.RelativeLogits: schema.RelativeLogits(width=3, extent=5),
    schema.SharedTransformer: schema.SharedTransformer(ffn=schema.Dense(width=33, activation="x")),
    schema.Indexer: schema.Indexer(heads=3, head_dim=5, top_k=7, rope_dim=2),
    schema.BlockIndex: schema.BlockIndex(heads=3, head_dim=5, block=7, top_blocks=2),
    schema.PerLayerEmbedding: schema.PerLayerEmbedding(width=3, vocab_size=5),
    schema.MTP: schema.MTP(modules=2, layer_kind=None),
    schema.Linear: schema.Linear(inputs=3, outputs=5),
    schema.Quantization: schema.Quantization(method="test", bits=3.0),
}
"""Parts that an architecture may lack, as they are added to it."""

REFERENCES = {
    "norm": "norms",
    "final_norm": "norms",
    "pre_norm": "norms",
    "post_norm": "norms",
    "join_norm": "norms",
    "after_norm": "norms",
    "kv_from": "mixers",
    "index_from": "mixers",
    "layer_kind": "layer_kinds",
}
"""Fields that hold the name of a block, and where the blocks are."""


FIXED_LENGTH = ("branches", "steps", "projector")
"""Lists of parts that are not made shorter: the counts need each of their items."""


class Mutation(NamedTuple):
    """An architecture with one fact changed."""

    path: str
    """Path of the fact."""
    kind: tuple[str, str, str]
    """Class that has the field, the field, and from what to what it changed: `None to int`."""
    original: Architecture
    value: Any
    """What the fact becomes."""

    @property
    def architecture(self) -> Architecture:
        """The architecture with the change; made when asked for, as most are only listed."""
        return changed(self.original, self.path.split("."), self.value)


def mutations(a: Architecture) -> Iterator[Mutation]:
    """Yield a mutation of every fact of an architecture, and of every part that may come or go."""
    for path, kind, value in changes(a, Architecture, "", a):
        yield Mutation(path, kind, a, value)


@cache
def representatives() -> dict[str, list[Mutation]]:
    """One mutation for each class, field, and type of value and of its new value.

    They are by the first bundled model that has them.
    """
    found: dict[str, list[Mutation]] = {}
    seen: set[tuple[str, str, str]] = set()
    for alias in sorted(bundled_models()):
        for mutation in mutations(llmarch.load(alias).architecture):
            if mutation.kind not in seen:
                seen.add(mutation.kind)
                found.setdefault(alias, []).append(mutation)
    return found


def changes(node: Any, hint: Any, path: str, a: Architecture) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, kind and new value of each fact below a node."""
    prefix = f"{path}." if path else ""
    for f in fields(node):
        if (
            not f.compare
            or f.name == "dtype"
            or (f.name == "kind" and not is_choice(hints(type(node))["kind"]))
        ):
            continue
        value, hint = getattr(node, f.name), hints(type(node))[f.name]
        owner = (type(node).__name__, f.name)
        for change in changes_of_value(value, hint, f"{prefix}{f.name}", owner, a):
            if not is_same_effect(node, f.name, change):
                yield change


def is_same_effect(node: Any, name: str, change: tuple[str, Any, Any]) -> bool:
    """Whether a change only writes out what the fact stands for where it is not written."""
    path, _, value = change
    is_whole = path.endswith(f".{name}") or path == name
    return is_whole and have_same_effect(node, replace(node, **{name: value}), name)


def changes_of_value(
    value: Any, hint: Any, path: str, owner: tuple[str, str], a: Architecture
) -> Iterator[tuple[str, Any, Any]]:
    if is_dataclass(value):
        if type(None) in get_args(hint):
            yield path, (*owner, "to None"), None
        yield from changes(value, type(value), path, a)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from changes(item, type(item), f"{path}.{name}", a)
    elif holds_records(value):
        for i, item in enumerate(value):
            if is_dataclass(item):
                yield from changes(item, type(item), f"{path}.{i}", a)
            else:
                yield from changes_of_value(item, hint, f"{path}.{i}", owner, a)
        if owner[1] not in FIXED_LENGTH:
            yield path, (*owner, "shorter"), value[:-1]
    else:
        new = other_value(value, hint, owner[1], a)
        if new is not value:
            name = "None" if value is None else type(value).__name__
            yield path, (*owner, f"{name} to {type(new).__name__}"), new


def holds_records(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and (is_dataclass(value[0]) or holds_records(value[0]))
    )


def is_choice(hint: Any) -> bool:
    """Whether a field can have other values: a `kind` of one value is the class itself."""
    return len(get_args(hint)) != 1


@cache
def hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def other_value(value: Any, hint: Any, name: str, a: Architecture) -> Any:
    """Another value that the type allows."""
    if name == "layers" and isinstance(value, tuple):
        return other_layers(a)
    if name == "block" and isinstance(value, str):
        group = value.partition(".")[0]
        blocks = [f"{g}.{n}" for g in (group, "mixers", "ffns") for n in getattr(a, g)]
        return next(block for block in blocks if block != value)
    if name in REFERENCES:
        return next((n for n in getattr(a, REFERENCES[name]) if n != value), None)
    match value:
        case None:
            return new_value(hint)
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 1.25 or 1.0
        case str():
            return next((c for c in literals(hint) if c != value), f"{value}x")
        case ():
            return new_value(hint)
        case _:
            return (*value[:-1], other_value(value[-1], type(value[-1]), "", a))


def other_layers(a: Architecture) -> tuple[str, ...]:
    """The layers with the last one of another kind, or without it where there is one kind."""
    *layers, last = a.layers
    other = [kind for kind in dict.fromkeys(a.layers) if kind != last]
    return (*layers, *other[:1])


def literals(hint: Any) -> list[Any]:
    """The values of a Literal, alone or in a union."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for part in get_args(hint) for choice in literals(part)]


def new_value(hint: Any) -> Any:
    """A value for a field that has none."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return next(new_value(part) for part in get_args(hint) if part is not type(None))
    if origin is Literal:
        return get_args(hint)[0]
    if origin is tuple:
        items = get_args(hint)
        return tuple(new_value(item) for item in items if item is not Ellipsis)
    return NEW_PARTS.get(hint) or {int: 7, float: 0.5, bool: True, str: "new"}[hint]


def changed(node: Any, path: list[str], value: Any) -> Any:
    """The node with another value at a path."""
    name, *rest = path
    if isinstance(node, tuple):
        i = int(name)
        item = changed(node[i], rest, value) if rest else value
        return (*node[:i], item, *node[i + 1 :])
    if isinstance(node, dict):
        return {**node, name: changed(node[name], rest, value) if rest else value}
    return replace(node, **{name: changed(getattr(node, name), rest, value) if rest else value})
