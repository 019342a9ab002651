"""Look up, replace and take apart dotted paths of an architecture: `mixers.full.head_dim`.

The names of fields, of named blocks and the numbers of entries are the parts of a path. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast


def last_part(path: str) -> str:
    """Return what follows the last dot of a path, key or name; all of it without a dot."""
    _, _, last = path.rpartition(".")
    return last


def parent_path(path: str) -> str:
    """Return what precedes the last dot of a path, key or name; nothing without a dot."""
    parent, _, _ = path.rpartition(".")
    return parent


def find_value(node: Any, path: str) -> Any:
    """Return what is at a path below a node, None where a part on the way is not there."""
    for part in filter(None, path.split(".")):
        if isinstance(node, dict):
            blocks = cast("dict[str, Any]", node)
            node = blocks.get(part)
        elif isinstance(node, tuple):
            items = cast("tuple[Any, ...]", node)
            node = items[int(part)] if part.isdecimal() and int(part) < len(items) else None
        else:
            node = getattr(node, part, None)
    return node


def replace_value(node: Any, path: str, value: Any) -> Any:
    """Return a node with another value at a path, all parts of which but the last are there.

    node: a part of an architecture.
    path: the path below it; of blocks by name the last part may be new.
    value: the value; None removes a block from blocks by name.

    Raises LookupError, TypeError or ValueError for a path whose other parts are not there.
    """
    name, _, rest = path.partition(".")
    if rest:
        value = replace_value(find_value(node, name), rest, value)
    if isinstance(node, dict):
        blocks = dict(cast("dict[str, Any]", node))
        blocks[name] = value
        if value is None:
            del blocks[name]
        return blocks
    if isinstance(node, tuple):
        items = list(cast("tuple[Any, ...]", node))
        items[int(name)] = value
        return tuple(items)
    return replace(node, **{name: value})
