"""The JSON Schema describes every document and every property of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.analyses import planning
from llmarch.architecture.json_schema import DOCUMENTS, json_schema, read_architecture, validate
from llmarch.architecture.schema import Architecture
from llmarch.renderers import json as documents

SCHEMA = json_schema()


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of every definition, nested ones too."""
    if isinstance(node, dict):
        for name, value in node.get("properties", {}).items():
            yield f"{path}.{name}", value
        for name, value in node.items():
            yield from properties(value, f"{path}.{name}")
    elif isinstance(node, list):
        for item in node:
            yield from properties(item, path)


def test_every_property_has_a_description() -> None:
    found = list(properties(SCHEMA))
    assert len(found) > 450
    assert not [path for path, schema in found if not schema.get("description", "").strip()]


def test_every_definition_has_a_description() -> None:
    assert not [name for name, d in SCHEMA["$defs"].items() if not d.get("description", "").strip()]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    named = [ref["$ref"].rpartition("/")[2] for ref in SCHEMA["anyOf"] if "$ref" in ref]
    assert named == [*(kind.__name__ for kind in DOCUMENTS.values()), "LockDocument"]


def test_documents_have_names_of_their_own() -> None:
    """No public class of the package has the name of one that describes a document."""
    described: set[str] = set()
    others: set[str] = set()
    for path in (ROOT / "llmarch").rglob("*.py"):
        names = {
            n.name for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.ClassDef)
        }
        (described if path.name.startswith("json_") else others).update(names)
    assert described and not described & others


def test_what_is_written_fits_the_schema() -> None:
    """Show, diff of two and of three, memory: by the published schema and by `validate`."""
    readings = [llmarch.load(alias) for alias in ("qwen3-8b", "gemma3n-e4b", "deepseek-v4-flash")]
    options = planning.PlanOptions()
    written = [
        *(documents.model_document(r) for r in readings),
        documents.comparison(readings[:2]),
        documents.comparison(readings),
        documents.memory(readings, planning.plan_models(readings, options), None),
    ]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for document in written:
        plain = json.loads(documents.json_text(document))
        validate(plain)
        assert not [e.message for e in validator.iter_errors(plain)]


def test_a_key_too_many_is_refused() -> None:
    from pydantic import ValidationError

    document = json.loads(documents.json_text(documents.model_document(llmarch.load("qwen3-8b"))))
    document["architecture"]["mixers"]["full"]["another"] = 1
    with pytest.raises(ValidationError, match="another"):
        read_architecture(document["architecture"])
    del document["architecture"]["mixers"]["full"]["another"]
    assert isinstance(read_architecture(document["architecture"]), Architecture)


UNITS = frozenset(
    "bytes bits tokens parameters elements sequences seconds second flops tflops gb ratio ratios "
    "percent".split()
)
COUNTS = re.compile(
    r"Number of|Degree of|Version of|Exit code|Line of|Share of|How far|GPUs of|Copies of|"
    r"(?:Most |Routed )?(?:[Ll]ayers|[Ee]xperts|[Bb]locks|Pipeline stages|Stored tensors)\b"
)
"""How the description of a number begins that counts things, or has no unit."""
NAMED_BY_UNIT = {
    "ParametersDocument",  # `parameters.total`
    "CalibratedFigureDocument",  # `unit` is a field of it
    "ObservedFactsDocument",  # elements, in a lock file
}


def is_numeric(schema: dict[str, Any]) -> bool:
    """Whether a value may be a number, or an object of numbers."""
    if schema.get("type") in ("integer", "number"):
        return True
    inner = schema.get("additionalProperties")
    options = [*schema.get("anyOf", []), *([inner] if isinstance(inner, dict) else [])]
    return any(map(is_numeric, options))


def test_every_number_says_its_unit() -> None:
    """In its name, or by another field with the same value; counts say what they count."""
    unclear: list[str] = []
    for name, definition in SCHEMA["$defs"].items():
        if not name.endswith("Document") or name in NAMED_BY_UNIT:
            continue
        fields = definition.get("properties", {})
        texts = " ".join(field["description"] for field in fields.values())
        repeated = set(re.findall(r"The same as `(\w+)`", texts))
        for key, field in fields.items():
            says = UNITS & set(key.split("_")) or COUNTS.match(field["description"])
            if is_numeric(field) and not says and key not in repeated:
                unclear.append(f"{name}.{key}")
    assert unclear == []
