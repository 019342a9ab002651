"""Small models as repositories: configs and headers that transformers made, with changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

from helpers import paths
from helpers.checkpoints import Sparse, data_size, index, safetensors
from helpers.loopback import Files

FIXTURES = paths.FIXTURES / "headers"
Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Name -> dtype and shape."""
Config = dict[str, Any]


def fixture(name: str) -> tuple[Config, Tensors]:
    """Return the config and tensors of a model."""
    data = gzip.decompress((FIXTURES / f"{name}.json.gz").read_bytes())
    document = json.loads(data)
    tensors: Tensors = {}
    for tensor, (dtype, shape) in document["tensors"].items():
        tensors[tensor] = (dtype, tuple(shape))
    return document["config"], tensors


def files(
    name: str,
    config: Callable[[Config], Config] = lambda c: c,
    tensors: Callable[[Tensors], Tensors] = lambda t: t,
    *,
    shards: int = 1,
    more: Mapping[str, bytes] | None = None,
) -> Files:
    """Return a repository of a model.

    name: the fixture.
    config, tensors: change its config and its tensors.
    shards: number of files; with an index if more than one.
    more: files to add.
    """
    original_config, original_tensors = fixture(name)
    text = json.dumps(config(original_config), indent=2)
    repository: dict[str, bytes | Sparse] = {"config.json": text.encode()}
    stored = tensors(original_tensors)
    if shards == 1:
        repository["model.safetensors"] = safetensors(stored)
    else:
        repository |= split(stored, shards)
    return {**repository, **(more or {})}


def split(tensors: Tensors, shards: int) -> dict[str, bytes | Sparse]:
    """Return the tensors in so many files of about as many tensors, and their index."""
    names = list(tensors)
    size = -(-len(names) // shards)
    repository: dict[str, bytes | Sparse] = {}
    weight_map: dict[str, str] = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[i * size : (i + 1) * size]}
        repository[file] = safetensors(part)
        weight_map |= dict.fromkeys(part, file)
    return {
        "model.safetensors.index.json": index(weight_map, data_size(tensors)),
        **repository,
    }


def having(**values: Any) -> Callable[[Config], Config]:
    """Return the change of a config that sets these keys."""
    return lambda config: config | values


def without(*parts: str) -> Callable[[Tensors], Tensors]:
    """Return the change of tensors that removes those whose name contains one of the parts."""

    def change(tensors: Tensors) -> Tensors:
        return {
            name: tensor
            for name, tensor in tensors.items()
            if not any(part in name for part in parts)
        }

    return change


def layers(count: int) -> Callable[[Tensors], Tensors]:
    """Return the change of tensors to `count` layers: the first ones, or the last one repeated."""

    def change(tensors: Tensors) -> Tensors:
        changed: Tensors = {}
        layer_numbers: dict[str, int] = {}
        for name, tensor in tensors.items():
            if name.startswith("model.layers."):
                layer_numbers[name] = int(name.split(".")[2])
            if layer_numbers.get(name, 0) < count:
                changed[name] = tensor
        last = max(layer_numbers.values())
        for i in range(last + 1, count):
            for name, number in layer_numbers.items():
                if number == last:
                    copy = name.replace(f"layers.{last}.", f"layers.{i}.")
                    changed[copy] = tensors[name]
        return changed

    return change


def resized(rows: int) -> Callable[[Tensors], Tensors]:
    """Return the change of tensors to a vocabulary of `rows`."""

    def change(tensors: Tensors) -> Tensors:
        changed = dict(tensors)
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            if name in tensors:
                dtype, (_, *rest) = tensors[name]
                changed[name] = (dtype, (rows, *rest))
        return changed

    return change


def with_dtype(dtype: str, part: str = "") -> Callable[[Tensors], Tensors]:
    """Return the change of tensors whose name contains a part to another dtype."""
    return lambda tensors: {n: (dtype if part in n else d, s) for n, (d, s) in tensors.items()}


def with_prefix(old: str, new: str) -> Callable[[Tensors], Tensors]:
    """Return the change of a prefix to another one."""

    def change(tensors: Tensors) -> Tensors:
        renamed: Tensors = {}
        for name, kind in tensors.items():
            moved = new + name.removeprefix(old) if name.startswith(old) else name
            renamed[moved] = kind
        return renamed

    return change
