"""Build the architecture that a model has with other values of facts, or of keys of its config."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen
from ..architecture.paths import find_value
from ..architecture.schema import Architecture, Evidence
from ..config.quantization_keys import QUANTIZATION_KEYS
from ..errors import LlmarchError
from ..tensors.template import TensorRow

MAX_LAYERS_READ = 20_000
"""Layers that `KeyVariants.read` reads in all, so that a config cannot make it slow."""

TemplateOf = Callable[[Architecture], list[TensorRow]]
"""Gives the template of an architecture."""


class KeyVariant(NamedTuple):
    """An architecture with other values, and the evidence of its facts."""

    architecture: Architecture
    evidence: Mapping[str, Evidence]


Read = Callable[[dict[str, Any]], KeyVariant]
"""Read a whole config."""


class KeyVariants:
    """A config, read again with other values of single keys."""

    def __init__(
        self,
        data: Mapping[str, Any],
        read_keys: set[str] | None,
        read: Read,
        assumed: Mapping[str, int | None] | None = None,
    ) -> None:
        """Take what a config says.

        read_keys: the dotted keys that the family asked for; None if the file has other names.
        read: reads a config like this one. What it raises means that the values make no model.
        assumed: the counts that the family takes for keys that the file does not have, by dotted
        key; None for no count.
        """
        self._data = data
        self._read = read
        self._layers_left = MAX_LAYERS_READ
        self._paths = dict(_integer_paths(data, ()))
        self.values: dict[str, int | None] = {
            key: _value_at(data, path) for key, path in self._paths.items()
        }
        """The counts of the config that have to do with the architecture, by dotted key: those
        that the file has, then those that the family takes for others; None for no count."""
        if read_keys is not None:
            self.values = {key: v for key, v in self.values.items() if key in read_keys}
        self.assumed = {
            key: value
            for key, value in (assumed or {}).items()
            if key not in self.values and _can_be_set(data, key.split("."))
        }
        """Those that the file does not have, or has as null, and that are in no list."""
        self.values.update(self.assumed)
        for key in self.assumed:
            self._paths[key] = tuple(key.split("."))

    def read(self, changes: Mapping[str, int]) -> KeyVariant | None:
        """Return the architecture with other values of keys; None if they make no model."""
        if self._layers_left <= 0:
            return None
        data = copy.deepcopy(dict(self._data))
        for key, value in changes.items():
            _set_value(data, self._paths[key], value)
        try:
            variant = self._read(data)
        except LlmarchError:
            self._layers_left -= 10
            return None
        self._layers_left -= 10 + len(variant.architecture.layers)
        return variant


def _integer_paths(
    data: Mapping[str, Any], parents: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the dotted key of each integer of a config, and the keys that lead to it.

    One key may itself have dots: MLX declares storage under names of modules. What says how weights
    are stored is left out, as no tensor's logical shape depends on it.
    """
    for key, value in data.items():
        path = (*parents, key)
        if isinstance(value, dict) and key not in QUANTIZATION_KEYS:
            yield from _integer_paths(cast("dict[str, Any]", value), path)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield ".".join(path), path


def _can_be_set(data: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Return whether the parents of a key are objects, or can be made."""
    for parent in path[:-1]:
        found: Any = data.get(parent)
        if found is None:
            return True
        if not isinstance(found, dict):
            return False
        data = cast("dict[str, Any]", found)
    return True


def _value_at(data: Mapping[str, Any], path: tuple[str, ...]) -> int:
    found: Any = data
    for key in path:
        found = found[key]
    return found


def _set_value(data: dict[str, Any], path: tuple[str, ...], value: int) -> None:
    *parents, name = path
    for parent in parents:
        data[parent] = data.get(parent) or {}
        data = data[parent]
    data[name] = value


# --- facts --------------------------------------------------------------------------------------


def integer_facts(a: Architecture, path: str) -> Iterator[str]:
    """Yield the paths of the integers in a record, and of those in records that it holds.

    path: of the record (`mixers.full`); empty for the architecture without its blocks.
    """
    for name, value in _fields(find_value(a, path)):
        inner = f"{path}.{name}" if path else name
        if isinstance(value, int) and not isinstance(value, bool):
            yield inner
        elif isinstance(value, Frozen) and path:
            yield from integer_facts(a, inner)


def _fields(record: Any) -> Iterator[tuple[str, Any]]:
    if not is_dataclass(record):
        return
    for field in fields(record):
        value = getattr(record, field.name)
        yield field.name, value
