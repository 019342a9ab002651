"""The JSON Schema of what llmarch writes, and validation of what it is given back. Here pydantic meets the schema's dataclasses."""

from __future__ import annotations

from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from .schema import SCHEMA_VERSION, Architecture, Change, Evidence, Finding, Severity


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
    """Null where a model was observed from its tensors alone and they do not tell."""

    total: int | None
    active: int | None
    active_without_embedding: int | None
    active_without_embedding_and_head: int | None
    embedding: int | None
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


class CachePart(TypedDict):
    role: str
    dtype: str
    law: str
    entry_bytes: int
    tokens_per_entry: float | None
    most_tokens: int | None
    page_tokens: int | None
    page_bytes: int | None


class CacheGroup(TypedDict):
    mixer: str
    kind: str
    layers: int
    bytes_per_token: int
    most_tokens: int | None
    indexer_bytes_per_token: int
    window_bytes: int
    state_bytes: int
    parts: list[CachePart]
    at: dict[str, int]


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
    assumptions: list[str]


class Show(TypedDict):
    schema_version: int
    source: Source
    architecture: Architecture | dict[str, Any]
    parameters: ParameterFigures
    checkpoint: Checkpoint | None
    cache: CacheFigures | None
    evidence: dict[str, Evidence]
    findings: list[Finding]
    unread_keys: list[str]


class FoundChange(TypedDict):
    """A Change, whether it fails under `fail_on`, and the line of its fact in the lock file."""

    rule: str
    path: str
    old: Any
    new: Any
    severity: Severity
    fails: bool
    line: int | None


class CheckError(TypedDict):
    message: str
    hint: str | None
    exit_code: int


class CheckedModel(TypedDict):
    reference: str
    against: str | None
    old: str | None
    new: str | None
    changes: list[FoundChange]
    ignored: int
    partial: bool
    error: CheckError | None
    remarks: list[str]


class Check(TypedDict):
    schema_version: int
    lock: str | None
    fail_on: Severity
    exit_code: int
    verdicts: list[CheckedModel]


class Diff(TypedDict):
    schema_version: int
    old: Source
    new: Source
    changes: list[Change]
    check: NotRequired[Check]


class Footprint(TypedDict):
    weights: int
    cache: int
    state: int
    total: int


class WeightFormat(TypedDict):
    format: str
    source: str
    bits: dict[str, float]
    other_bits: float


class Parallel(TypedDict):
    gpus: int
    tensor: int
    expert: int
    replicas: int


class FlopFigures(TypedDict):
    total: int
    by_component: dict[str, int]


class Reads(TypedDict):
    batch_1: int
    batch: int


class Point(TypedDict):
    context: int
    cache_bytes: int


class Plan(TypedDict):
    source: Source
    name: str
    context: int
    batch: int
    engine: str
    cache_dtype: str
    weights: WeightFormat
    parallel: Parallel
    one_copy: Footprint
    per_gpu: Footprint
    all_gpus: Footprint
    gpu_bytes: int | None
    utilization: float
    budget_bytes: int | None
    fits: bool | None
    largest_context: int | None
    largest_batch: int | None
    context_limit: int | None
    remarks: list[str]
    assumptions: list[str]
    tensor_degrees: dict[str, list[str]]
    flops_per_token: FlopFigures
    weight_bytes_read_per_token: Reads
    curve: list[Point]


class GPUFigures(TypedDict):
    name: str
    memory_bytes: int
    source: str


class Memory(TypedDict):
    schema_version: int
    gpu: GPUFigures | None
    models: list[Plan]


class StoredTensors(TypedDict):
    count: int
    bytes: int
    digest: str


class LockedModel(TypedDict):
    repo: str | None
    revision: str | None
    commit: str | None
    status: str
    fingerprint: str
    parameters: dict[str, int]
    tensors: StoredTensors | None
    architecture: Architecture
    findings: list[Finding]
    unread_keys: dict[str, str]


class LockFile(TypedDict):
    """`architecture.layers` is stored as runs; here they are one by one."""

    llmarch_lock: int
    schema_version: int
    written_by: str
    models: dict[str, LockedModel]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `--format json` of `show`, `diff`, `memory` and `check`."""
    kinds = {
        kind.__name__: TypeAdapter[Any](kind).json_schema() for kind in (Show, Diff, Memory, Check)
    }
    defs = {name: d for schema in kinds.values() for name, d in schema.pop("$defs").items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmarch JSON, schema_version {SCHEMA_VERSION}",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in kinds],
        "$defs": kinds | dict(sorted(defs.items())),
    }


def validate(document: dict[str, Any]) -> None:
    """Hold a document of `show`, `diff`, `memory` or `check` against the contract. Raises pydantic.ValidationError."""
    kind = (
        Show
        if "architecture" in document
        else Memory
        if "models" in document
        else Check
        if "verdicts" in document
        else Diff
    )
    TypeAdapter[Any](kind).validate_python(document)


def locked(document: dict[str, Any]) -> dict[str, Any]:
    """The models of a lock, as LockedModel. Raises pydantic.ValidationError."""
    return TypeAdapter[Any](LockFile).validate_python(document)["models"]


def architecture(document: dict[str, Any]) -> Architecture:
    """An Architecture from its JSON form. Raises pydantic.ValidationError, which names each path that does not fit."""
    return TypeAdapter(Architecture).validate_python(document)
