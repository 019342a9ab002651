"""Every class default in a family's table is the one that transformers declares.

tests/oracle/class_defaults.py wrote the fixture.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.config.families import MODEL_TYPES, family_named

FIXTURE: dict[str, Any] = json.loads((FIXTURES / "class_defaults.json").read_text())
CLASSES = {about["class"]: about for name, about in FIXTURE.items() if name != "_about"}
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
    assert name in CLASSES, (
        f"{name} is not in class_defaults.json: add {model_type} to TYPES in "
        "tests/oracle/class_defaults.py and run `make oracle ARGS=class_defaults`"
    )
    theirs = declared(CLASSES[name], key)
    if isinstance(value, dict):  # a class's own rope_parameters: the keys that llmarch reads
        theirs = {k: theirs[k] for k in value}
    assert value == theirs


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_table_names_its_class(family: Any) -> None:
    assert family.defaults.keys() <= family.config_class.keys()
