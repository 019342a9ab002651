"""The JSON files of a repository, read strictly: config.json, params.json, the index. Pure functions over bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from ..errors import ConfigError, printable

MAX_CONFIG = 20_000_000
MAX_INDEX = 50_000_000
"""Bytes. The largest published index (Kimi K2) has 14 MB; as objects it takes up to 25 times as much."""
MAX_NAME = 1000
"""Characters of a file's name with its folders."""

_CONFLICT = re.compile(rb"^(?:<{7}|>{7})(?: |$)", re.MULTILINE)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_OUTSIDE = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|^[A-Za-z]:|[\x00-\x1f\x7f\\]")


def parse_object(data: bytes, *, file: str, limit: int = MAX_CONFIG) -> dict[str, Any]:
    """A JSON object in UTF-8; NaN and Infinity are taken, for published configs have them (Mamba's time_step_limit).

    Raises ConfigError with file, line and column.
    """
    name = printable(file)
    if len(data) > limit:
        raise ConfigError(
            f"{name}: {len(data):,} bytes are no configuration (at most {limit:,} are read)"
        )
    if data.startswith(b"version https://git-lfs"):
        raise ConfigError(
            f"{name}: is a Git LFS pointer, not the file", "run `git lfs pull` in the repository"
        )
    try:
        value: Any = json.loads(data.decode("utf-8-sig"))
        if b"\\" in data and _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text (byte {error.start})") from None
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: holds half of a surrogate pair, which is no text") from None
    except json.JSONDecodeError as error:
        if conflict := _CONFLICT.search(data):
            line = data.count(b"\n", 0, conflict.start()) + 1
            raise ConfigError(
                f"{name}: line {line} is a merge conflict marker", "resolve the conflict first"
            ) from None
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{name}: not valid JSON at {where}: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:  # a number of more than 4300 digits
        raise ConfigError(f"{name}: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: holds {_kind(value)}, not a JSON object")
    return cast(dict[str, Any], value)


@dataclass
class Index:
    """An index: which file holds which tensor."""

    file: str
    weight_map: dict[str, str]
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def shards(self) -> frozenset[str]:
        """The files it names."""
        return frozenset(self.weight_map.values())

    @cached_property
    def tensors_of(self) -> dict[str, list[str]]:
        """The tensors of each file."""
        files: dict[str, list[str]] = {file: [] for file in sorted(self.shards)}
        for name, file in self.weight_map.items():
            files[file].append(name)
        return files


def parse_index(data: bytes, *, file: str) -> Index:
    """model.safetensors.index.json. Raises ConfigError, also for a `weight_map` that names files outside of the repository."""
    document = parse_object(data, file=file, limit=MAX_INDEX)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict):
        raise ConfigError(f"{printable(file)}: has no weight_map")
    weight_map = cast(dict[str, Any], weight_map)
    if set(map(type, weight_map.values())) - {str}:
        name, shard = next(item for item in weight_map.items() if type(item[1]) is not str)
        raise ConfigError(
            f"{printable(file)}: weight_map[{printable(name)}] is {_kind(shard)}, not a file name"
        )
    metadata = document.get("metadata")
    index = Index(
        file, weight_map, cast(dict[str, Any], metadata) if isinstance(metadata, dict) else {}
    )
    for shard in sorted(index.shards):
        if not safe_name(shard):
            raise ConfigError(
                f"{printable(file)}: weight_map names a file outside of the repository, {printable(repr(shard))}"
            )
        if not shard.endswith(".safetensors"):
            raise ConfigError(
                f"{printable(file)}: weight_map names {printable(shard)}, which is no .safetensors file"
            )
    return index


def safe_name(name: str) -> bool:
    """Whether a file name from a repository stays inside of it, holds no control characters and can be one at all."""
    return 0 < len(name) <= MAX_NAME and not _OUTSIDE.search(name)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    kinds: dict[type, str] = {
        list: "a list",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return kinds.get(type(value), "null")
