"""The index of a sharded checkpoint: which file stores which tensor. Pure functions over bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from posixpath import normpath
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import ConfigError, printable
from .file_names import PICKLE_INDEX, is_safe_name
from .strict_json import parse_object, repeated_keys, type_name

MAX_INDEX = 50_000_000
"""Bytes. The largest published index (Kimi K2) has 14 MB, and 25 times as much when parsed."""


@frozen
class IndexSummary(Frozen):
    """What an index says, without the file of each tensor."""

    file: str
    """The name of the index."""
    shards: frozenset[str]
    """The files that it names."""
    total_size: Any = None
    """`metadata.total_size` as it stands there: bytes of all tensors, if it is right."""
    findings: tuple[Finding, ...] = ()
    """What is said of the file itself."""


@dataclass
class ShardIndex:
    """A parsed `model.safetensors.index.json`."""

    file: str
    weight_map: dict[str, str]
    """Tensor name -> file name."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    findings: list[Finding] = field(default_factory=list[Finding])
    """What is said of the file itself: keys that it states twice, paths in unusual spellings."""

    @cached_property
    def shards(self) -> frozenset[str]:
        """The files that the index names."""
        return frozenset(self.weight_map.values())

    @property
    def summary(self) -> IndexSummary:
        """What the index says, without the file of each tensor."""
        total_size = self.metadata.get("total_size")
        return IndexSummary(self.file, self.shards, total_size, tuple(self.findings))

    @cached_property
    def tensors_by_file(self) -> dict[str, list[str]]:
        """The tensors of each file, in the order of the index; the files are sorted."""
        tensors: dict[str, list[str]] = {}
        files = sorted(self.shards)
        for file in files:
            tensors[file] = []
        for name, file in self.weight_map.items():
            names = tensors[file]
            names.append(name)
        return tensors


def parse_index(data: bytes, *, file: str) -> ShardIndex:
    """Parse an index.

    Raises ConfigError for broken JSON, and for a `weight_map` that is missing, contains anything
    but file names, or names a file outside the repository.
    """
    shown = printable(file)
    document = parse_object(data, file=file, limit=MAX_INDEX)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict):
        raise ConfigError(f"{shown}: has no weight_map")
    weight_map = cast(dict[str, Any], weight_map)
    if set(map(type, weight_map.values())) - {str}:
        name, shard = next(item for item in weight_map.items() if type(item[1]) is not str)
        raise ConfigError(
            f"{shown}: weight_map[{printable(name)}] is {type_name(shard)}, not a file name"
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    findings = repeated_keys(file, document, is_config=False)
    is_pickled = file == PICKLE_INDEX
    files: dict[str, str] = {}
    for shard in sorted(set(weight_map.values())):
        if not is_safe_name(shard):
            raise ConfigError(
                f"{shown}: weight_map names a file outside the repository: {printable(repr(shard))}"
            )
        suffix = ".bin" if is_pickled else ".safetensors"
        if not shard.endswith(suffix):
            raise ConfigError(
                f"{shown}: weight_map names {printable(shard)}, which is not a {suffix} file"
            )
        files[shard] = normpath(shard)
    unusual = [shard for shard, path in files.items() if shard != path]
    if unusual:
        weight_map = {name: files[shard] for name, shard in weight_map.items()}
        findings.append(_spelling_finding(shown, unusual[0], files[unusual[0]]))
    return ShardIndex(file, weight_map, cast(dict[str, Any], metadata), findings)


def is_shard_name(name: str) -> bool:
    """Return whether a name is the path of a safetensors file within the repository."""
    return is_safe_name(name) and name.endswith(".safetensors") and normpath(name) == name


def _spelling_finding(index: str, shard: str, path: str) -> Finding:
    """Return the finding about a path in an index that is spelled in an unusual way."""
    message = (
        f"{index} names {printable(shard)}: transformers opens {printable(path)}; vLLM compares"
        " the spelling with the names in the folder, finds none that is equal and loads no weights"
    )
    return Finding(rule="weights-by-reader", path=index, message=message)
