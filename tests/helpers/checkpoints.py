"""Header-only checkpoints, made without llmarch: real headers, no weights behind them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

BYTES = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "U8": 1, "I64": 8}
Tensors = Mapping[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Sparse:
    """A file of `size` bytes that begins with `head`; the rest are zeros, stored nowhere."""

    head: bytes
    size: int

    def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        part = self.head[start:stop]
        return part + bytes(max(0, stop - start - len(part)))


def entries(tensors: Tensors) -> dict[str, Any]:
    """The header of the tensors, as a JSON object."""
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return header


def safetensors(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Sparse:
    """A safetensors file as the safetensors library lays it out, without its weights."""
    header = {
        **({"__metadata__": dict(metadata)} if metadata is not None else {}),
        **entries(tensors),
    }
    return with_header(
        json.dumps(header, separators=(",", ":")),
        sum(prod(s) * BYTES[d] for d, s in tensors.values()),
    )


def with_header(text: str, data_size: int = 0) -> Sparse:
    """A file with this header, filled up to eight bytes."""
    data = text.encode()
    data += b" " * (-len(data) % 8)
    return Sparse(struct.pack("<Q", len(data)) + data, 8 + len(data) + data_size)


def llama(
    layers: int = 4, hidden: int = 4096, experts: int = 0
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensors like those of a Llama or of a mixture of experts."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "model.embed_tokens.weight": ("BF16", (32000, hidden))
    }
    for layer in range(layers):
        at = f"model.layers.{layer}"
        tensors |= {f"{at}.self_attn.{p}_proj.weight": ("BF16", (hidden, hidden)) for p in "qkvo"}
        for expert in range(experts):
            tensors[f"{at}.mlp.experts.{expert}.up_proj.weight"] = ("F8_E4M3", (hidden, hidden))
            tensors[f"{at}.mlp.experts.{expert}.up_proj.weight_scale_inv"] = (
                "F32",
                (hidden // 128, hidden // 128),
            )
        tensors |= {
            f"{at}.mlp.{p}_proj.weight": ("BF16", (hidden, hidden)) for p in ("gate", "up", "down")
        }
        tensors[f"{at}.input_layernorm.weight"] = ("BF16", (hidden,))
    return tensors | {
        "model.norm.weight": ("BF16", (hidden,)),
        "lm_head.weight": ("BF16", (32000, hidden)),
    }


def sharded(tensors: Tensors, count: int, stem: str = "model") -> dict[str, bytes | Sparse]:
    """The tensors dealt out to `count` files, with their index."""
    names = list(tensors)
    files: dict[str, bytes | Sparse] = {}
    weight_map: dict[str, str] = {}
    for number in range(count):
        file = f"{stem}-{number + 1:05}-of-{count:05}.safetensors"
        mine = names[number * len(names) // count : (number + 1) * len(names) // count]
        files[file] = safetensors({n: tensors[n] for n in mine}, {"format": "pt"})
        weight_map |= dict.fromkeys(mine, file)
    total = sum(prod(shape) * BYTES[dtype] for dtype, shape in tensors.values())
    files[f"{stem}.safetensors.index.json"] = index(weight_map, total)
    return files


def index(weight_map: Mapping[str, Any], total_size: Any = 0) -> bytes:
    return json.dumps(
        {"metadata": {"total_size": total_size}, "weight_map": dict(weight_map)}, indent=2
    ).encode()


CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 4,
}


def model(count: int = 3, **kind: int) -> dict[str, bytes | Sparse]:
    """A whole repository: config, index and `count` files of weights."""
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "README.md": b"# model",
        **sharded(llama(**kind), count),
    }


def write(folder: Path, files: Mapping[str, bytes | Sparse]) -> Path:
    """The files on disk; what is sparse stays sparse."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content if isinstance(content, bytes) else content.head)
            if isinstance(content, Sparse):
                file.truncate(content.size)
    return folder
