"""Small models as repositories: configs and headers that transformers made, changed here and there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

from helpers import paths
from helpers.checkpoints import BYTES, Sparse, safetensors
from helpers.loopback import Files

FIXTURES = paths.FIXTURES / "headers"
Tensors = dict[str, tuple[str, tuple[int, ...]]]
Config = dict[str, Any]
BYTES |= {"F16": 2, "I32": 4, "I8": 1, "U32": 4}


def fixture(name: str) -> tuple[Config, Tensors]:
    """The config and tensors of a model."""
    document = json.loads(gzip.decompress((FIXTURES / f"{name}.json.gz").read_bytes()))
    return document["config"], {
        n: (dtype, tuple(shape)) for n, (dtype, shape) in document["tensors"].items()
    }


def files(
    name: str,
    config: Callable[[Config], Config] = lambda c: c,
    tensors: Callable[[Tensors], Tensors] = lambda t: t,
    *,
    shards: int = 1,
    more: Mapping[str, bytes] | None = None,
) -> Files:
    """A repository of that model, changed; in so many shards with an index, if more than one."""
    c, t = fixture(name)
    text, held = json.dumps(config(c), indent=2).encode(), tensors(t)
    if shards == 1:
        return {"config.json": text, "model.safetensors": safetensors(held), **(more or {})}
    names = list(held)
    size = -(-len(names) // shards)
    parts = {
        f"model-{i + 1:05d}-of-{shards:05d}.safetensors": {
            n: held[n] for n in names[i * size : (i + 1) * size]
        }
        for i in range(shards)
    }
    weight_map = {n: file for file, part in parts.items() for n in part}
    total = sum(s.size for s in map(safetensors, parts.values())) - sum(
        len(safetensors(p).head) for p in parts.values()
    )
    index = json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}).encode()
    whole: dict[str, bytes | Sparse] = {file: safetensors(part) for file, part in parts.items()}
    return {"config.json": text, "model.safetensors.index.json": index, **whole, **(more or {})}


def having(**values: Any) -> Callable[[Config], Config]:
    return lambda c: c | values


def without(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda t: {n: v for n, v in t.items() if not any(part in n for part in names)}


def layers(n: int) -> Callable[[Tensors], Tensors]:
    """The tensors of a model with so many layers: the last one repeated, or the first n."""

    def change(t: Tensors) -> Tensors:
        numbers = [int(name.split(".")[2]) for name in t if name.startswith("model.layers.")]
        last = max(numbers)
        out = {
            k: v
            for k, v in t.items()
            if not k.startswith("model.layers.") or int(k.split(".")[2]) < n
        }
        for i in range(last + 1, n):
            out |= {
                k.replace(f"layers.{last}.", f"layers.{i}."): v
                for k, v in t.items()
                if f"layers.{last}." in k
            }
        return out

    return change


def resized(rows: int) -> Callable[[Tensors], Tensors]:
    """Another vocabulary."""
    return lambda t: {
        n: (d, (rows, *s[1:])) if n in ("model.embed_tokens.weight", "lm_head.weight") else (d, s)
        for n, (d, s) in t.items()
    }
