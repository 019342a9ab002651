"""Header fixtures as tables, and ways to change them before they are verified."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any, TypeVar

from helpers.paths import FIXTURES
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import build_with_template, configure, key_variants
from llmarch.checkpoint.variants import KeyVariants
from llmarch.checkpoint.verify import Verification, verify
from llmarch.config.families import family_named
from llmarch.sources.raw import RawModel, TensorTable
from llmarch.tensors.template import TensorRow

NAMES = sorted(p.name.removesuffix(".json.gz") for p in (FIXTURES / "headers").glob("*.json.gz"))
INDEXES = sorted(p.name.removesuffix(".json.gz") for p in (FIXTURES / "indexes").glob("*.json.gz"))

Tensors = dict[str, tuple[str, tuple[int, ...] | None]]
Change = Callable[[Tensors], Tensors]
Changed = TypeVar("Changed")


@cache
def text_of(folder: str, name: str) -> bytes:
    return gzip.decompress((FIXTURES / folder / f"{name}.json.gz").read_bytes())


def load(name: str) -> dict[str, Any]:
    return json.loads(text_of("headers", name))


def tensors_of(fixture: dict[str, Any]) -> Tensors:
    return {n: (dtype, tuple(shape)) for n, (dtype, shape) in fixture["tensors"].items()}


def read(config: dict[str, Any]) -> tuple[Architecture, list[TensorRow]]:
    """Return the architecture and template of a config.json or params.json."""
    file = "config.json" if "model_type" in config else "params.json"
    family, keys = configure(config, file)
    return build_with_template(family, keys, {})


def verify_headers(
    architecture: Architecture,
    rows: list[TensorRow],
    table: TensorTable,
    *,
    keys: KeyVariants | None = None,
    partial: bool = False,
) -> Verification:
    """Return the verification of headers, with the names that the family's loaders find."""
    conversion = family_named(architecture.family).conversion(architecture)
    return verify(architecture, rows, table, conversion=conversion, keys=keys, partial=partial)


def verify_config(
    config: dict[str, Any], table: TensorTable, *, partial: bool = False
) -> Verification:
    """Return the verification of headers by a config.json or params.json."""
    file = "config.json" if "model_type" in config else "params.json"
    family, keys = configure(config, file)
    architecture, rows = build_with_template(family, keys, {})
    variants = key_variants(config, keys)
    return verify_headers(architecture, rows, table, keys=variants, partial=partial)


def table_of(tensors: Tensors) -> TensorTable:
    return TensorTable.from_tensors((n, dtype, shape) for n, (dtype, shape) in tensors.items())


def local_model(
    config: dict[str, Any], tensors: TensorTable | None = None, name: str = "x", **more: Any
) -> RawModel:
    """Return a config beside the headers of a folder, as sources give them."""
    return RawModel(
        reference=name,
        kind="local",
        name=name,
        config=config,
        config_file="config.json",
        tensors=tensors,
        **more,
    )


def check(
    name: str,
    change: Change | None = None,
    config: Callable[[dict[str, Any]], object] | None = None,
    *,
    partial: bool = False,
) -> Verification:
    """Return the verification of a fixture.

    Args:
        name: the fixture
        change: makes other tensors of its tensors
        config: changes its config in place
        partial: some headers could not be read

    """
    fixture = load(name)
    tensors = tensors_of(fixture)
    if config is not None:
        config(fixture["config"])
    if change is not None:
        tensors = change(tensors)
    return verify_config(fixture["config"], table_of(tensors), partial=partial)


def index_names(name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the config and the tensor names of an index fixture."""
    data = json.loads(text_of("indexes", name))
    names: list[str] = []
    for pattern, products in data["names"].items():
        names += unfolded(pattern, products)
    assert len(names) == data["about"]["tensors"]
    return data["config"], names


def unfolded(pattern: str, products: list[list[str]]) -> Iterator[str]:
    if not products:
        yield pattern
    for spans in products:
        for index in product(*(numbers(s) for s in spans)):
            yield pattern.format(*index)


def numbers(spans: str) -> list[int]:
    ends = (s.partition("-") for s in spans.split(","))
    return [i for a, _, b in ends for i in range(int(a), int(b or a) + 1)]


# --- changes of a config ---


def set_config(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c.update(changes)


def set_quantization(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c["quantization_config"].update(changes)


# --- changes of tensors ---


def drop(pattern: str) -> Change:
    return lambda t: {n: v for n, v in t.items() if not re.search(pattern, n)}


def rename(pattern: str, to: str) -> Change:
    return lambda t: {re.sub(pattern, to, n): v for n, v in t.items()}


def resize(pattern: str, shape: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Change:
    return lambda t: {
        n: (d, shape(s)) if s is not None and re.search(pattern, n) else (d, s)
        for n, (d, s) in t.items()
    }


def retype(pattern: str, dtype: str) -> Change:
    return lambda t: {n: (dtype, s) if re.search(pattern, n) else (d, s) for n, (d, s) in t.items()}


def add(**tensors: tuple[str, tuple[int, ...]]) -> Change:
    return lambda t: {**t, **{n.replace("__", "."): v for n, v in tensors.items()}}


def names_only(t: Tensors) -> Tensors:
    return dict.fromkeys(t, ("", None))


def both(*changes: Callable[[Changed], Changed]) -> Callable[[Changed], Changed]:
    """Return several changes as one."""

    def all_of(changed: Changed) -> Changed:
        for change in changes:
            changed = change(changed)
        return changed

    return all_of
