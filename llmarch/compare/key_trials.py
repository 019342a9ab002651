"""Find out which config key made a change, by changing one key at a time. Pure.

The evidence of a fact names the keys that its value was read from. It does not name those that
another fact decides by, nor tell which of several keys made a change: reading the old config with
one key of the new one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..architecture.schema import Architecture, Change
from ..errors import LlmarchError
from .diff import differing_facts

Places = frozenset[str] | None
"""Paths of facts that differ; None: the config cannot be read with that key."""


class KeyTrials:
    """Two configs, and what single keys of one change in the other; each is tried once."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any], file: str) -> None:
        """Take the two configs; `file` is the name of the file that both come from."""
        self.old, self.new, self.file = old, new, file
        self._unchanged: dict[bool, Architecture | None] = {}
        """The two configs as they are, each read once: whether it is the old one."""
        self._tried: dict[tuple[str, bool], Places] = {}

    def makes(self, key: str, change: Change) -> bool | None:
        """Return whether a key makes a change by itself, or whether its old value undoes it.

        None: neither config can be read with the other value of this key.
        """
        made = self._places(key, forward=True)
        if made is not None and (change.old_path or change.path) in made:
            return True
        undone = self._places(key, forward=False)
        if undone is not None and (change.new_path or change.path) in undone:
            return True
        if made is None and undone is None:
            return None
        return False

    def _places(self, key: str, *, forward: bool) -> Places:
        """Return the facts of a config that differ with the other side's value of one key.

        forward: whether the old config takes the new value.
        """
        found = (key, forward)
        if found not in self._tried:
            base, other = (self.old, self.new) if forward else (self.new, self.old)
            if forward not in self._unchanged:
                self._unchanged[forward] = _read(base, self.file)
            changed = _read(with_value_of(base, other, key.split(".")), self.file)
            self._tried[found] = _changed_places(self._unchanged[forward], changed)
        return self._tried[found]


def with_value_of(
    base: Mapping[str, Any], other: Mapping[str, Any], key: Sequence[str]
) -> dict[str, Any]:
    """Return a config with the value that another has at a key, or without the key.

    key: the parts of a dotted key. Nothing changes where the config lacks the part it is in.
    """
    config = dict(base)
    first, *rest = key
    if rest:
        inner = config.get(first)
        if isinstance(inner, Mapping):
            part = cast("Mapping[str, Any]", inner)
            config[first] = with_value_of(part, _part(other, first), rest)
    elif first in other:
        config[first] = other[first]
    else:
        config.pop(first, None)
    return config


def _part(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the part of a config at a key; an empty one if there is none."""
    found = config.get(key)
    if isinstance(found, Mapping):
        return cast("Mapping[str, Any]", found)
    return {}


def _changed_places(before: Architecture | None, after: Architecture | None) -> Places:
    """Return the paths of facts in which two readings differ; None without one of them."""
    if before is None or after is None:
        return None
    paths: set[str] = set()
    for difference in differing_facts(before, after):
        paths |= {difference.path, difference.old_path, difference.new_path}
    return frozenset(paths)


def _read(config: Mapping[str, Any], file: str) -> Architecture | None:
    """Return the architecture of a config; None if it cannot be read."""
    from ..checkpoint.reading import read_model
    from ..sources.raw import RawModel

    try:
        return read_model(RawModel("", "local", "", dict(config), file)).architecture
    except LlmarchError:
        return None
