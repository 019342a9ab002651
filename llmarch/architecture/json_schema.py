"""The JSON Schema of what llmarch writes, and validation of what it is given.

Only here does pydantic read the schema's records. Descriptions come from `meanings.py`.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from .json_compare import (
    CheckDocument,
    ComparisonDocument,
    DiffDocument,
    LockDocument,
    LogDocument,
)
from .json_memory import CalibrationDocument, FitDocument, MemoryDocument, RefusalDocument
from .json_show import ShowDocument
from .meanings import ClassMeaning, class_meanings
from .schema import SCHEMA_VERSION, Architecture

DOCUMENTS: dict[str, type[Any]] = {
    "architecture": ShowDocument,
    "changes": DiffDocument,
    "comparisons": ComparisonDocument,
    "models": MemoryDocument,
    "layouts": FitDocument,
    "reasons": CalibrationDocument,
    "verdicts": CheckDocument,
    "commits": LogDocument,
    "not_possible": RefusalDocument,
}
"""Each document that `--format json` writes, by a key that only it has."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `--format json` of the commands that write documents."""
    documents: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {}
    for kind in DOCUMENTS.values():
        schema = TypeAdapter[Any](kind).json_schema()
        parts |= schema.pop("$defs", {})
        documents[kind.__name__] = schema
    definitions = documents | dict(sorted(parts.items()))
    meanings = class_meanings()
    for name, definition in definitions.items():
        if name in meanings:
            describe(definition, meanings[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmarch JSON, schema_version {SCHEMA_VERSION}",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in documents],
        "$defs": definitions,
    }


def describe(definition: dict[str, Any], meaning: ClassMeaning) -> None:
    """Add the descriptions of a class and of its fields to its definition."""
    definition["description"] = meaning.text
    properties = definition.get("properties", {})
    for name, schema in properties.items():
        field = meaning.fields[name]
        schema["description"] = field.text


def validate(document: dict[str, Any]) -> None:
    """Check a document of `show`, `diff`, `memory`, `fit` or `check` against its schema.

    Raises pydantic.ValidationError.
    """
    kind: Any = DiffDocument
    for key, keyed in DOCUMENTS.items():
        if key in document:
            kind = keyed
            break
    adapter = TypeAdapter[Any](kind)
    adapter.validate_python(document)


def locked_models(document: dict[str, Any]) -> dict[str, Any]:
    """Return the models of a lock file, as `LockedModelDocument`.

    Raises pydantic.ValidationError.
    """
    return TypeAdapter[Any](LockDocument).validate_python(document)["models"]


def read_architecture(document: dict[str, Any]) -> Architecture:
    """Return an Architecture from its JSON form.

    Raises pydantic.ValidationError, which names each path that does not fit.
    """
    return TypeAdapter(Architecture).validate_python(document)
