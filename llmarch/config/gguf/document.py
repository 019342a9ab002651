"""The metadata of a GGUF file, and the config that is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...architecture.schema import Evidence
from ...errors import ConfigError, printable
from ...sources.raw import TENSOR_INFOS
from ..keys import MAX_LAYERS

LLAMA_CPP = "llama.cpp"
_GENERAL = "general"
_LARGEST_COUNT = 1 << 40
GgufKeys = dict[str, str | Evidence]
"""For each dotted key of the translation the key of the file, or the evidence of a value that no
key of it states."""


class GgufDocument:
    """The keys of one architecture and the tensors, with a note of the keys that were asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        general = document.get(_GENERAL)
        self.general: Mapping[str, Any] = {}
        if isinstance(general, dict):
            self.general = cast("Mapping[str, Any]", general)
        name = self.general.get("architecture")
        if not isinstance(name, str) or not name:
            raise ConfigError(
                "general.architecture is not a name",
                "It says which model the file holds; llama.cpp reads no file without it.",
            )
        self.architecture = name
        own = document.get(name)
        keys: Mapping[str, Any] = {}
        if isinstance(own, dict):
            keys = cast("Mapping[str, Any]", own)
        self.values = dict(_flat(keys))
        self.read_keys: set[str] = set()
        infos = document.get(TENSOR_INFOS)
        self.tensors: Mapping[str, list[Any]] = {}
        if isinstance(infos, dict):
            self.tensors = cast("Mapping[str, list[Any]]", infos)
        self._tokens = _length_at(document, "tokenizer", "ggml", "tokens")

    def name(self, key: str) -> str:
        """Return a key as the file names it: `qwen3.block_count`."""
        return f"{self.architecture}.{key}"

    def has(self, key: str) -> bool:
        """Return whether the file has a key of its architecture."""
        return key in self.values

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key of the architecture, and note that it was read."""
        self.read_keys.add(key)
        return self.values.get(key, default)

    def count(self, key: str, default: int = 0) -> int:
        """Return a number that is a count. Raises ConfigError for anything else."""
        value = self.get(key, default)
        if not _is_count(value):
            raise ConfigError(f"{self.name(key)} is {_shown(value)}; a count is needed")
        return value

    @property
    def layers(self) -> int:
        """Return the number of layers without those of multi-token prediction."""
        blocks = self.count("block_count")
        if not 0 < blocks <= MAX_LAYERS:
            raise ConfigError(
                f"{self.name('block_count')} is {blocks:,}; llmarch accepts 1 to {MAX_LAYERS:,}"
            )
        further = self.count("nextn_predict_layers")
        return max(1, blocks - further)

    def by_layer(self, key: str, default: Any = None) -> list[Any]:
        """Return the value of a key for each layer: from an array, or the same for all."""
        value = self.get(key, default)
        layers = self.layers
        if not isinstance(value, list):
            return [value] * layers
        items = cast("list[Any]", value)
        if len(items) < layers:
            raise ConfigError(f"{self.name(key)} has {len(items):,} entries for {layers:,} layers")
        return items[:layers]

    def counts_by_layer(self, key: str, default: int = 0) -> list[int]:
        """Return a count for each layer. Raises ConfigError for anything else."""
        values = self.by_layer(key, default)
        for value in values:
            if not _is_count(value):
                raise ConfigError(
                    f"{self.name(key)} has {_shown(value)} for a layer; a count is needed"
                )
        return values

    def has_tensor(self, *patterns: str) -> bool:
        """Return whether the file has tensors of one of these folded names."""
        return any(pattern in self.tensors for pattern in patterns)

    def shape(self, pattern: str) -> list[int]:
        """Return the shape of the first tensor of a folded name, outputs first; empty if none."""
        infos = self.tensors.get(pattern)
        if not infos:
            return []
        return list(infos[0][1])

    def layers_with(self, pattern: str) -> int:
        """Return how many tensors there are of a folded name."""
        return sum(count for _, _, count in self.tensors.get(pattern, ()))

    @property
    def tokens(self) -> int | None:
        """Return the number of tokens of the vocabulary, None if the file has none."""
        return self._tokens

    def unread(self) -> list[str]:
        """Return the keys of the architecture that were not read."""
        return [key for key in self.values if key not in self.read_keys]


class GgufConfig:
    """A config in the keys that families read, while it is made."""

    def __init__(self, document: GgufDocument) -> None:
        self.document = document
        self.config: dict[str, Any] = {}
        self.native_keys: GgufKeys = {}

    def put(self, path: str, value: Any, source: str | Evidence) -> None:
        """Set a dotted key, and where its value comes from."""
        self.native_keys[path] = source
        section: Any = self.config
        *parents, last = path.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value

    def copy(self, path: str, key: str) -> bool:
        """Copy a key of the architecture if the file has it, and return whether it has."""
        self.native_keys[path] = self.document.name(key)
        if not self.document.has(key):
            return False
        self.put(path, self.document.get(key), self.document.name(key))
        return True

    def has(self, path: str) -> bool:
        """Return whether a key at the top was set."""
        return path in self.config

    def imply(self, path: str, value: Any, reason: str) -> None:
        """Set a key that the file has no value for, to what llama.cpp does then."""
        if path not in self.config:
            self.put(path, value, Evidence(kind="family", ref=f"{LLAMA_CPP}: {reason}"))

    def derive(self, path: str, value: Any, *keys: str) -> None:
        """Set a key to a value that is computed from keys of the architecture."""
        names = ", ".join(self.document.name(key) for key in keys)
        self.put(path, value, Evidence(kind="derived", ref=names))

    def observe(self, path: str, value: Any, pattern: str) -> None:
        """Set a key to what the presence or the shape of a tensor tells."""
        self.put(path, value, Evidence(kind="tensor", ref=pattern))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values."""
    for key, value in data.items():
        if isinstance(value, dict) and not _is_summary(cast("dict[str, Any]", value)):
            yield from _flat(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _is_summary(value: dict[str, Any]) -> bool:
    """Return whether this stands for an array or string that was not kept."""
    return value.keys() == {"type", "length"}


def _length_at(document: Mapping[str, Any], *path: str) -> int | None:
    """Return the length of the array at a path; None if there is none."""
    value: Any = document
    for part in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(part)
    if isinstance(value, list):
        return len(cast("list[Any]", value))
    if isinstance(value, dict):
        length = cast("dict[str, Any]", value).get("length")
        if isinstance(length, int):
            return length
    return None


def _is_count(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return 0 <= value < _LARGEST_COUNT


def _shown(value: Any) -> str:
    return printable(repr(value), 60)
