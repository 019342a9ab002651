"""The JSON Schema of what llmarch writes, and validation of what it is given.

Only here does pydantic read the schema's records. Descriptions come from `meanings.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from .json_adapter import AdapterDiffDocument, AdapterDocument
from .json_brief import BriefDiffDocument, BriefDocument, BriefFitDocument
from .json_compare import (
    CheckDocument,
    CommitDocument,
    ComparisonDocument,
    DiffDocument,
    LockDocument,
    LogDocument,
    VerdictDocument,
)
from .json_memory import (
    CalibrationDocument,
    FitDocument,
    MemoryDocument,
    PlanDocument,
    RefusalDocument,
    ScenarioDocument,
)
from .json_scan import DuplicateGroupDocument, DuplicatesDocument, ScanRowDocument
from .json_show import ShowDocument
from .json_tables import (
    CacheInfoDocument,
    ColumnsDocument,
    EvidenceDocument,
    ExplainDocument,
    ExplainedFactDocument,
    ExplanationDocument,
    GPUsDocument,
    LikeDocument,
    LikeModelDocument,
    ListDocument,
    ListedGPUDocument,
    ListedModelDocument,
    RuleDocument,
    RulesDocument,
    TermsDocument,
)
from .meanings import ClassMeaning, class_meanings
from .schema import SCHEMA_VERSION, Architecture

DOCUMENTS: dict[str, type[Any]] = {
    "show": ShowDocument,
    "adapter": AdapterDocument,
    "adapter_diff": AdapterDiffDocument,
    "brief": BriefDocument,
    "evidence": EvidenceDocument,
    "diff": DiffDocument,
    "comparison": ComparisonDocument,
    "brief_diff": BriefDiffDocument,
    "memory": MemoryDocument,
    "fit": FitDocument,
    "brief_fit": BriefFitDocument,
    "calibration": CalibrationDocument,
    "refusal": RefusalDocument,
    "check": CheckDocument,
    "log": LogDocument,
    "list": ListDocument,
    "columns": ColumnsDocument,
    "like": LikeDocument,
    "explain": ExplainDocument,
    "terms": TermsDocument,
    "rules": RulesDocument,
    "gpus": GPUsDocument,
    "cache": CacheInfoDocument,
    "scan_row": ScanRowDocument,
    "duplicates": DuplicatesDocument,
}
"""Each document that `--format json` writes, by its field `document`."""
LINES: dict[str, Any] = {
    "list.models": ListedModelDocument,
    "columns.models": dict[str, Any],
    "like.nearest": LikeModelDocument,
    "explain.explanations": ExplanationDocument,
    "rules.rules": RuleDocument,
    "gpus.gpus": ListedGPUDocument,
    "memory.scenarios": ScenarioDocument,
    "memory.models": PlanDocument,
    "log.commits": CommitDocument,
    "check.verdicts": VerdictDocument,
    "duplicates.groups": DuplicateGroupDocument,
}
"""What the lines of `--format ndjson` are, by their field `line_of`. A line without this field is a
document."""
OTHER_KEYS: dict[str, type[Any]] = {"EvidenceDocument": ExplainedFactDocument}
"""Of documents whose other keys are paths of facts: what each of these keys has."""
RESERVED_WORDS = {
    "with": "Terms that only this model has.",
    "without": "Terms that only the model that was asked about has.",
}
"""Descriptions of fields whose names Python or the rules of this project do not allow."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `--format json` of all commands, and of lock files."""
    documents = {kind.__name__: kind for kind in DOCUMENTS.values()}
    documents["LockDocument"] = LockDocument
    definitions = define_parts([*documents.values(), *OTHER_KEYS.values()], list(documents))
    meanings = class_meanings()
    for name, definition in definitions.items():
        if name in meanings:
            describe(definition, meanings[name])
    for name, kind in OTHER_KEYS.items():
        definitions[name]["additionalProperties"] = reference_to(kind.__name__)
    describe_lock_file(definitions)
    lines = [line_schema(name) for name in LINES]
    several = {
        "type": "array",
        "items": {"anyOf": [reference_to(name) for name in SEVERAL]},
        "description": "Documents of several models, in the order of the command line.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmarch JSON, schema_version {SCHEMA_VERSION}",
        "anyOf": [*map(reference_to, documents), *lines, several],
        "$defs": definitions,
    }


SEVERAL = ("ShowDocument", "BriefDocument", "EvidenceDocument")
"""Documents that `show` writes as a list for several models."""


def reference_to(name: str) -> dict[str, Any]:
    """Return the reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def define_parts(kinds: list[type[Any]], first: list[str]) -> dict[str, dict[str, Any]]:
    """Return the schemas of documents and of their parts, by name.

    kinds: classes of the documents.
    first: names that come first.
    """
    documents: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        schema = TypeAdapter[Any](kind).json_schema()
        parts |= schema.pop("$defs", {})
        documents[kind.__name__] = schema
    parts |= documents
    leading = {name: parts.pop(name) for name in first}
    return leading | dict(sorted(parts.items()))


def line_schema(name: str) -> dict[str, Any]:
    """Return the schema of a line of NDJSON that is a row of a document.

    name: a key of LINES.
    """
    head: dict[str, Any] = {
        "type": "object",
        "required": ["schema_version", "line_of"],
        "properties": {
            "schema_version": {"type": "integer", "description": "Version of this document."},
            "line_of": {"const": name, "description": "Document and list that the line is of."},
        },
        "description": f"A line of `--format ndjson`: {name}.",
    }
    kind = LINES[name]
    if kind != dict[str, Any]:
        head["allOf"] = [reference_to(kind.__name__)]
    return head


def describe_lock_file(definitions: dict[str, dict[str, Any]]) -> None:
    """Make the definition of a lock that of the file, in which layers are runs."""
    architecture = definitions["Architecture"]
    runs = {
        "type": "array",
        "items": {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "description": "Layers as runs [number, kind of layer].",
    }
    properties = architecture["properties"] | {"layers": runs}
    definitions["LockedArchitecture"] = {
        **architecture,
        "title": "LockedArchitecture",
        "properties": properties,
    }
    locked = definitions["LockedModelDocument"]["properties"]["architecture"]
    locked["anyOf"] = [reference_to("LockedArchitecture"), {"type": "null"}]


def describe(definition: dict[str, Any], meaning: ClassMeaning) -> None:
    """Add the descriptions of a class and of its fields to its definition."""
    definition["description"] = meaning.text
    properties = definition.get("properties", {})
    for name, schema in properties.items():
        if name in RESERVED_WORDS:
            schema["description"] = RESERVED_WORDS[name]
            continue
        field = meaning.fields[name]
        schema["description"] = field.text


def validate(document: dict[str, Any]) -> None:
    """Check a document, or a line of NDJSON, against its schema.

    Raises KeyError for one that does not say what it is, pydantic.ValidationError for one that is
    not what it says.
    """
    if "line_of" in document:
        kind = LINES[document["line_of"]]
    else:
        kind = DOCUMENTS[document["document"]]
    _adapter_of(kind).validate_python(document)
    others = OTHER_KEYS.get(kind.__name__)
    if others is None:
        return
    own = kind.__annotations__
    for key, value in document.items():
        if key not in own:
            _adapter_of(others).validate_python(value)


@cache
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Return what checks documents of a class."""
    return TypeAdapter[Any](kind)


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
