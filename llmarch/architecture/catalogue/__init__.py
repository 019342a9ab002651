"""Declare every fact of the schema once: its words, its row in `diff`, what a change breaks.

From the entries follow the rows of `diff` and of the comparison matrix, the line of equal facts,
the table of `show --all`, the rules of changes and their page. What a fact means is the docstring
of its field in the schema. Rows that are computed from the whole architecture (the recipe of
layers, sizes, the cache) are in views/derived_rows.py. A file here is a group of facts; this one
looks them up. `show` imports them only for a model with marked values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, cast

from ..frozen import Frozen, compared_names
from ..schema import Architecture
from . import (
    attention,
    encoders,
    experts,
    feed_forward,
    layers,
    linear,
    model,
    norms,
    position,
    sparse,
    storage,
)
from .fact import Fact

CATALOGUE: tuple[Fact, ...] = (
    *model.FACTS,
    *layers.FACTS,
    *attention.FACTS,
    *sparse.FACTS,
    *linear.FACTS,
    *experts.FACTS,
    *feed_forward.FACTS,
    *norms.FACTS,
    *position.FACTS,
    *encoders.FACTS,
    *storage.FACTS,
)
"""All entries. Their order is the order of rules, and of rows within a section and a rank."""

NAMED = ("mixers", "ffns", "norms", "layer_kinds", "towers", "other")
"""Parts of an architecture that hold blocks by name."""

PARTS = ("embedding", "head", "residual", "mtp", "quantization")
"""Parts of an architecture that are one block without a name."""


class Node(NamedTuple):
    """One part of the paths that entries cover."""

    parts: dict[str, Node]
    facts: list[Fact]


def expand_path(pattern: str) -> list[str]:
    """Return the paths that a pattern stands for: `a.{b,c}` -> `a.b`, `a.c`."""
    head, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    names, _, tail = rest.partition("}")
    ends = expand_path(tail)
    paths: list[str] = []
    for choice in names.split(","):
        start = head + choice
        paths += [start + end for end in ends]
    return paths


@cache
def path_tree() -> Node:
    """Return the paths of all entries as a tree of their parts."""
    root = Node({}, [])
    for fact in CATALOGUE:
        for path in expand_path(fact.path):
            node = root
            for part in path.split("."):
                node = node.parts.setdefault(part, Node({}, []))
            node.facts.append(fact)
    return root


PLAIN_VALUES = (str, int, float, type(None))
"""Types of values that hold no others."""


def facts_at(path: str) -> list[Fact]:
    """Return the entries that cover a path: one, or one for each class that has the field.

    A part of an entry's path that is the same word goes before `*`.
    """
    node = path_tree()
    for part in path.split("."):
        found = node.parts.get(part) or node.parts.get("*")
        if found is None:
            return []
        node = found
    return node.facts


def find_fact(path: str, *architectures: Architecture) -> Fact | None:
    """Return the entry that covers a path in one of these architectures.

    path: the path of a leaf, or of a block that only some of them have.
    architectures: those in which the class of its block is looked up.
    """
    facts = facts_at(path)
    if not facts:
        return None
    group, _, rest = path.partition(".")
    name, _, _ = rest.partition(".")
    for a in architectures:
        block = named_blocks(a, group).get(name)
        for fact in facts:
            if block is not None and fact.belongs_to(block):
                return fact
    return facts[0]


def named_blocks(a: Architecture, group: str) -> dict[str, Any]:
    """Return the blocks of a group by name.

    A part that is not a dict has one block, without a name; a leaf of the architecture belongs to
    the architecture itself.
    """
    part = getattr(a, group)
    if group in NAMED:
        return dict(part)
    if group not in PARTS:
        return {"": a}
    if part is None:
        return {}
    return {"": part}


def block_name(path: str) -> str:
    """Return the name of the block of a path, empty for a part without a name."""
    group, _, rest = path.partition(".")
    name, _, _ = rest.partition(".")
    if group in NAMED:
        return name
    return ""


def generic_path(path: str) -> str:
    """Return a path with `*` for the name of its block and the numbers of its parts.

    `mixers.full.heads` gives `mixers.*.heads`.
    """
    parts = ["*" if part.isdecimal() else part for part in path.split(".")]
    if parts[0] in NAMED and len(parts) > 1:
        parts[1] = "*"
    return ".".join(parts)


def iterate_facts(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every fact of an architecture, or of a part of it at `path`.

    The order is that of the schema. `layers` is one fact; parts that are not there are None.
    """
    parts = list(iterate_parts(node))
    if not parts and path and not isinstance(node, dict):
        yield path, node
    for name, part in parts:
        inner_path = f"{path}.{name}".removeprefix(".")
        if isinstance(part, PLAIN_VALUES):
            # Most facts end here: iterating over a value that has no parts would take longer.
            yield inner_path, part
        else:
            yield from iterate_facts(part, inner_path)


def iterate_parts(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of what a node holds; nothing for a fact."""
    if isinstance(node, Frozen):
        for name in compared_names(type(node)):
            value = getattr(node, name)
            yield name, value
    elif isinstance(node, dict):
        yield from cast("dict[str, Any]", node).items()
    elif holds_records(node):
        for i, item in enumerate(node):
            yield str(i), item


def holds_records(node: Any) -> bool:
    """Return whether a node is a tuple of schema objects, or of tuples of them."""
    if not isinstance(node, tuple) or not node:
        return False
    first = cast("tuple[Any, ...]", node)[0]
    return isinstance(first, Frozen) or holds_records(first)
