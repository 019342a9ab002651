"""Every class default in a family's table is the one that transformers declares.

tests/oracle/model_types.py and class_defaults.py wrote the fixtures.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.config.families import MODEL_TYPES, family_named

FIXTURE: dict[str, Any] = json.loads((FIXTURES / "class_defaults.json").read_text())


def classes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and what is known of each configuration class.

    Those that makers publish with a model have the model_type before their name.
    """
    for path in sorted((FIXTURES / "model_types").glob("*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        owner = f"{document['model_type']} " if document["about"].get("whole") else ""
        yield from ((owner + about["class"], about) for about in document["defaults"])
    yield from ((about["class"], about) for name, about in FIXTURE.items() if name != "_about")


CLASSES = dict(classes())
FAMILIES = {name: family_named(name) for name in sorted(set(MODEL_TYPES.values()))}
ROWS = [
    pytest.param(family, model_type, key, value, id=f"{model_type}.{key}")
    for family in FAMILIES.values()
    for model_type, table in family.defaults.items()
    for key, value in table.items()
]


def declared(about: dict[str, Any], key: str) -> Any:
    """What the class gives a config without `key`.

    Rope bases are spelled apart: one, or `global` and `local` (Gemma 3).
    """
    theta = about["default_theta"]
    if key == "rope_theta":
        return theta["global"] if isinstance(theta, dict) else theta
    if key == "rope_local_base_freq":
        return theta["local"]
    if key in about["defaults"]:
        value = about["defaults"][key]
        return about.get("constructed", {}).get(key) if value is None else value
    if key in about.get("kwargs", {}):
        return json.loads(about["kwargs"][key])
    raise AssertionError(f"{about['class']} has no default for {key}")


@pytest.mark.parametrize(("family", "model_type", "key", "value"), ROWS)
def test_default(family: Any, model_type: str, key: str, value: Any) -> None:
    name = family.config_class[model_type]
    published = [known for known in CLASSES if known.endswith(f" {name}")]
    name = next((n for n in (f"{model_type} {name}", name, *published) if n in CLASSES), name)
    assert name in CLASSES, (
        f"{name} is in no fixture: run `make oracle ARGS='model_types {model_type}'`, which needs "
        "no other files"
    )
    theirs = declared(CLASSES[name], key)
    if isinstance(value, dict):  # a class's own rope_parameters: the keys that llmarch reads
        theirs = {k: theirs[k] for k in value}
    assert value == theirs


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_table_names_its_class(family: Any) -> None:
    assert family.defaults.keys() <= family.config_class.keys()
