"""Adapters that peft saved (tests/oracle/adapters.py), as raw models and as folders."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.checkpoints import Tensors, safetensors, write
from helpers.paths import FIXTURES
from llmarch.checkpoint.adapters.reading import AdapterReading, read_adapter
from llmarch.checkpoint.reading import Reading, read_model
from llmarch.sources.raw import RawModel, TensorTable


@functools.cache
def document() -> dict[str, Any]:
    """Return the fixture."""
    return json.loads(gzip.decompress((FIXTURES / "adapters.json.gz").read_bytes()))


@functools.cache
def base_named(name: str) -> Reading:
    """Return a base model of the fixture, by its config alone."""
    config = document()["bases"][name]
    return read_model(RawModel(name, "local", name, config, "config.json"))


def tensors_of_row(row: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of each tensor that peft saved."""
    return {name: (dtype, tuple(shape)) for name, (dtype, shape) in row["tensors"].items()}


def raw_adapter(config: dict[str, Any], tensors: Tensors | None) -> RawModel:
    """Return an adapter as a source reads it."""
    table = None
    if tensors is not None:
        table = TensorTable.from_tensors((n, d, s) for n, (d, s) in tensors.items())
    return RawModel("./lora", "local", "lora", config, "adapter_config.json", tensors=table)


def read_row(
    row: Mapping[str, Any], tensors: Tensors | None = None, **changed: Any
) -> AdapterReading:
    """Return what an adapter of the fixture is on its base.

    tensors: in place of its own.
    changed: keys of its config.
    """
    if tensors is None:
        tensors = tensors_of_row(row)
    raw = raw_adapter({**row["config"], **changed}, tensors)
    return read_adapter(raw, base_named(row["base"]))


def row_with(base: str, kind: str = "LoraConfig", **asked: Any) -> dict[str, Any]:
    """Return the row of the fixture for which these were asked."""
    for row in document()["rows"]:
        if row["base"] == base and row["kind"] == kind and row["asked"] == asked:
            return row
    raise LookupError(f"{base} {kind} {asked}")


def write_adapter(folder: Path, row: Mapping[str, Any], **changed: Any) -> Path:
    """Write an adapter of the fixture as peft does, without values."""
    config = json.dumps({**row["config"], **changed}).encode()
    files = {
        "adapter_config.json": config,
        "adapter_model.safetensors": safetensors(tensors_of_row(row)),
    }
    return write(folder, files)


def write_base(folder: Path, name: str) -> Path:
    """Write the config of a base of the fixture."""
    return write(folder, {"config.json": json.dumps(document()["bases"][name]).encode()})
