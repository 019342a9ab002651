"""GGUF files without weights, written by the `gguf` package from the headers of the fixture.

tests/oracle/gguf_headers.py wrote that: what llama.cpp's converter makes of each model type.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np

from helpers.paths import FIXTURES

Tensors = Iterable[tuple[str, tuple[int, ...], str]]
"""Name, shape and ggml type of each tensor."""


class FileHeader(NamedTuple):
    """What the converter writes for one config."""

    model_type: str
    changed: dict[str, Any]
    """The keys of the config that differ from the class's."""
    keys: dict[str, Any]
    """Type, type of items, and value by key."""
    tensors: list[tuple[str, tuple[int, ...], str]]


@functools.cache
def read_fixture() -> dict[str, Any]:
    """Return the fixture."""
    return json.loads(gzip.decompress((FIXTURES / "gguf_headers.json.gz").read_bytes()))


def headers_of(model_type: str) -> Iterator[FileHeader]:
    """Yield the headers of a model type: of its own config, and of others."""
    first, *others = read_fixture()["types"][model_type]
    for row in (first, *others):
        keys = {k: v for k, v in {**first["keys"], **row["keys"]}.items() if v is not None}
        tensors = first["tensors"] if row["tensors"] is None else row["tensors"]
        yield FileHeader(model_type, row["set"], keys, [*unfolded(tensors)])


def unfolded(rows: Any) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield each tensor of folded ones."""
    for pattern, shape, kind, columns in rows:
        numbers = [[n for a, b in column for n in range(a, b + 1)] for column in columns]
        for index in itertools.product(*numbers):
            yield pattern.format(*index), tuple(shape), kind


def write_header(
    path: Path,
    keys: dict[str, Any],
    tensors: Tensors,
    *,
    tokens: int = 0,
    file_type: int | None = None,
) -> Path:
    """Write a GGUF file whose weights are a hole, and return its path.

    keys: type, type of items, and value by key, `general.architecture` among them.
    tokens: how many tokens its vocabulary has.
    file_type: llama.cpp's number of its file type.
    """
    writer = gguf.GGUFWriter(None, keys["general.architecture"][2])
    for key, (kind, item, value) in keys.items():
        if key == "general.architecture":
            continue
        sub_type = gguf.GGUFValueType[item] if item else None
        writer.add_key_value(key, value, gguf.GGUFValueType[kind], sub_type)
    if file_type is not None:
        writer.add_file_type(file_type)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token{i}" for i in range(tokens)])
    end = 0
    for name, shape, kind in tensors:
        dtype = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[dtype]
        count = int(np.prod(shape, dtype=object)) // block * size
        writer.add_tensor_info(name, shape, np.dtype(np.float16), count, raw_dtype=dtype)
        end = gguf.GGUFWriter.ggml_pad(end, writer.data_alignment) + count
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    size = gguf.GGUFWriter.ggml_pad(path.stat().st_size, writer.data_alignment)
    with path.open("r+b") as file:
        file.truncate(size + end)
    return path
