"""No document holds NaN or Infinity, whatever number of a config is one."""

from __future__ import annotations

import copy
import gzip
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import paths

from llmarch.checkpoint.reading import Reading, read_model
from llmarch.compare.lock import lock_text, make_entry
from llmarch.errors import LlmarchError
from llmarch.renderers import json as documents
from llmarch.sources.raw import RawModel
from llmarch.views.evidence import explain, explanation_document

NOT_FINITE = (math.nan, math.inf, -math.inf)
Path = tuple[str | int, ...]


def configs() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the file name and content of one config for each model_type, and native ones."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for file in sorted(paths.SPECS.glob("*.json")):
        config = json.loads(file.read_text(encoding="utf-8")).get("config")
        if config is not None and "model_type" in config:
            found.setdefault(config["model_type"], ("config.json", config))
    for file in sorted((paths.FIXTURES / "headers").glob("*native*.json.gz")):
        config = json.loads(gzip.decompress(file.read_bytes()))["config"]
        found[file.name.partition(".json")[0]] = ("params.json", config)
    return found


def numbers(node: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the place of each number, flag and null; one for each list."""
    if isinstance(node, dict):
        for key, value in node.items():  # pyright: ignore[reportUnknownVariableType]
            yield from numbers(value, (*path, key))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(node, list) and node:
        yield from numbers(node[0], (*path, 0))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(node, (int, float)) or node is None:
        yield path


def changed(config: dict[str, Any], path: Path, value: float) -> dict[str, Any]:
    copied = copy.deepcopy(config)
    node: Any = copied
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return copied


CONFIGS = configs()


@pytest.mark.parametrize("name", CONFIGS)
def test_no_number_of_a_config_passes_one_on(name: str) -> None:
    file, config = CONFIGS[name]
    for i, path in enumerate(numbers(config)):
        value = NOT_FINITE[i % len(NOT_FINITE)]
        raw = RawModel("r", "local", "n", changed(config, path, value), file)
        try:
            reading = read_model(raw)
        except LlmarchError as error:
            assert file in error.message
            continue
        for document in written(reading):
            json.dumps(document, allow_nan=False)


def written(reading: Reading) -> Iterator[Any]:
    """Yield what commands write of a reading, before `json_text` makes it text."""
    yield documents.model_document(reading)
    yield documents.comparison([reading, reading])
    yield explanation_document(explain(reading, "mixers"))
    yield json.loads(lock_text({"a": make_entry(reading)}, "test"), parse_constant=refuse)


def refuse(constant: str) -> None:
    raise AssertionError(constant)


def test_text_has_null_instead() -> None:
    text = documents.json_text({"a": [1.5, math.nan, {"b": -math.inf}], "c": (math.inf,)})
    assert json.loads(text, parse_constant=refuse) == {"a": [1.5, None, {"b": None}], "c": [None]}
