"""Make header-only checkpoints without llmarch: real headers, no weights behind them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

BYTES = {
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "BOOL": 1,
    "I16": 2,
    "I64": 8,
    "I32": 4,
    "U32": 4,
    "I8": 1,
    "U8": 1,
}
"""Bytes of one element of each dtype that tests use."""
Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> dtype and shape."""
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 4,
}


@dataclass(frozen=True)
class Sparse:
    """A file of `size` bytes that begins with `head`; the rest are zeros, stored nowhere."""

    head: bytes
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop)."""
        stop = min(stop, self.size)
        part = self.head[start:stop]
        zeros = max(0, stop - start - len(part))
        return part + bytes(zeros)


def data_size(tensors: Tensors) -> int:
    """Return the bytes that the tensors take."""
    return sum(prod(shape) * BYTES[dtype] for dtype, shape in tensors.values())


def entries(tensors: Tensors) -> dict[str, Any]:
    """Return the header of the tensors as a JSON object."""
    header: dict[str, Any] = {}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        end = begin + prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    return header


def safetensors(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Sparse:
    """Return a safetensors file as the safetensors library writes it, without its weights."""
    header = entries(tensors)
    if metadata is not None:
        header = {"__metadata__": dict(metadata), **header}
    text = json.dumps(header, separators=(",", ":"))
    return with_header(text, data_size(tensors))


def with_header(text: str, data_size: int = 0) -> Sparse:
    """Return a file with this header, padded to eight bytes."""
    data = text.encode()
    data += b" " * (-len(data) % 8)
    head = struct.pack("<Q", len(data)) + data
    return Sparse(head, len(head) + data_size)


def llama(
    layers: int = 4, hidden: int = 4096, experts: int = 0
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return tensors like those of a Llama, or of a mixture of experts."""
    square, vector = ("BF16", (hidden, hidden)), ("BF16", (hidden,))
    vocabulary = ("BF16", (32000, hidden))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": vocabulary}
    for i in range(layers):
        layer = f"model.layers.{i}"
        for projection in "qkvo":
            tensors[f"{layer}.self_attn.{projection}_proj.weight"] = square
        for j in range(experts):
            expert = f"{layer}.mlp.experts.{j}"
            tensors[f"{expert}.up_proj.weight"] = ("F8_E4M3", (hidden, hidden))
            tensors[f"{expert}.up_proj.weight_scale_inv"] = ("F32", (hidden // 128, hidden // 128))
        for projection in ("gate", "up", "down"):
            tensors[f"{layer}.mlp.{projection}_proj.weight"] = square
        tensors[f"{layer}.input_layernorm.weight"] = vector
    tensors["model.norm.weight"] = vector
    tensors["lm_head.weight"] = vocabulary
    return tensors


def sharded(tensors: Tensors, count: int, stem: str = "model") -> dict[str, bytes | Sparse]:
    """Return the tensors dealt out to `count` files, with their index."""
    names = list(tensors)
    files: dict[str, bytes | Sparse] = {}
    weight_map: dict[str, str] = {}
    for i in range(count):
        file = f"{stem}-{i + 1:05}-of-{count:05}.safetensors"
        start, stop = i * len(names) // count, (i + 1) * len(names) // count
        part = {name: tensors[name] for name in names[start:stop]}
        files[file] = safetensors(part, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    files[f"{stem}.safetensors.index.json"] = index(weight_map, data_size(tensors))
    return files


def index(weight_map: Mapping[str, Any], total_size: Any = 0) -> bytes:
    """Return the content of an index file."""
    document = {"metadata": {"total_size": total_size}, "weight_map": dict(weight_map)}
    return json.dumps(document, indent=2).encode()


def model(count: int = 3, **kind: int) -> dict[str, bytes | Sparse]:
    """Return a whole repository: config, index and `count` files of weights.

    kind: arguments of `llama`.
    """
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "README.md": b"# model",
        **sharded(llama(**kind), count),
    }


def write(folder: Path, files: Mapping[str, bytes | Sparse]) -> Path:
    """Write the files to disk, sparse ones as sparse files. Return the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
            continue
        with path.open("wb") as file:
            file.write(content.head)
            file.truncate(content.size)
    return folder
