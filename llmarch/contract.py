"""The JSON Schema of what llmarch writes, and validation of what it is given back. Here pydantic meets the schema's dataclasses."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from .schema import SCHEMA_VERSION, Architecture, Change, Evidence, Finding


class Headers(TypedDict):
    tensors: int
    bytes: int
    partial: bool


class Source(TypedDict, total=False):
    reference: str
    kind: str
    name: str
    repo_id: str | None
    revision: str | None
    commit: str | None
    config_file: str
    headers: Headers | None
    provenance: dict[str, Any]
    published: list[dict[str, Any]]


class ParameterFigures(TypedDict):
    total: int
    active: int
    active_without_embedding: int
    embedding: int
    vision: int
    mtp: int | None
    stored: int | None
    by_component: dict[str, int]
    status: str


class Checkpoint(TypedDict):
    scales: int
    copies: int
    buffers: int
    bits_per_weight: float | None
    bits_by_component: dict[str, float]
    notes: list[str]


class CacheGroup(TypedDict):
    mixer: str
    kind: str
    layers: int
    bytes_per_token: int
    most_tokens: int | None
    indexer_bytes_per_token: int
    state_bytes: int


class CacheFigures(TypedDict):
    engine: str
    dtype: str
    state_dtype: str | None
    growing_bytes_per_token: int
    all_layers_bytes_per_token: int
    indexer_bytes_per_token: int
    window_bytes: int
    state_bytes: int
    groups: list[CacheGroup]
    at: dict[str, int]


class Show(TypedDict):
    schema_version: int
    source: Source
    architecture: Architecture
    parameters: ParameterFigures
    checkpoint: Checkpoint | None
    cache: CacheFigures
    evidence: dict[str, Evidence]
    findings: list[Finding]
    unread_keys: list[str]


class Diff(TypedDict):
    schema_version: int
    old: Source
    new: Source
    changes: list[Change]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `show --format json` and `diff --format json`."""
    show, diff = TypeAdapter(Show).json_schema(), TypeAdapter(Diff).json_schema()
    defs = show.pop("$defs") | diff.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmarch JSON, schema_version {SCHEMA_VERSION}",
        "anyOf": [{"$ref": "#/$defs/Show"}, {"$ref": "#/$defs/Diff"}],
        "$defs": {"Show": show, "Diff": diff} | dict(sorted(defs.items())),
    }


def validate(document: dict[str, Any]) -> None:
    """Hold a document of `show` or `diff` against the contract. Raises pydantic.ValidationError."""
    TypeAdapter[Any](Show if "architecture" in document else Diff).validate_python(document)


def architecture(document: dict[str, Any]) -> Architecture:
    """An Architecture from its JSON form. Raises pydantic.ValidationError, which names each path that does not fit."""
    return TypeAdapter(Architecture).validate_python(document)
