"""The class that a config names in `architectures` is one of its model_type, or a finding.

tests/oracle/model_classes.py wrote the fixture: what transformers' Auto classes build of each type.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from helpers.models import files, having
from helpers.paths import FIXTURES, SPECS

import llmarch
from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.config.class_names import related_types
from llmarch.config.families import MODEL_TYPES

RULE = "class-of-another-type"
CLASSES: dict[str, list[str]] = json.loads((FIXTURES / "model_classes.json").read_text())["classes"]
TYPES = sorted(CLASSES.keys() & MODEL_TYPES.keys())
STRANGE = ["BertForTokenClassification", "FooBarForCausalLM", "LlamaLlamaForCausalLM"]


@cache
def specs() -> dict[str, dict[str, Any]]:
    """Return the config of one bundled spec by its model_type."""
    configs: dict[str, dict[str, Any]] = {}
    for path in sorted(SPECS.glob("*.json")):
        config = json.loads(path.read_text()).get("config")
        if config and "model_type" in config:
            configs.setdefault(config["model_type"], config)
    return configs


def findings(config: dict[str, Any]) -> list[Finding]:
    """Return what is said of the class that a config names."""
    family, keys = configure(config, "config.json")
    build_with_template(family, keys, {})
    return [f for f in keys.findings if f.rule == RULE]


def named(model_type: str, class_name: str) -> list[Finding]:
    """Return what is said of a class in the config of a bundled spec without own code."""
    config = {k: v for k, v in specs()[model_type].items() if k != "auto_map"}
    return findings({**config, "architectures": [class_name]})


@pytest.mark.parametrize("model_type", [t for t in TYPES if t in specs()])
def test_classes_of_the_type_are_taken_and_those_of_others_are_told(model_type: str) -> None:
    own = {name for t in related_types(model_type) for name in CLASSES.get(t, [])}
    for name in own:
        assert named(model_type, name) == [], name
    others = {name for t in TYPES for name in CLASSES[t]} - own
    for name in [*sorted(others)[:: max(1, len(others) // 40)], *STRANGE]:
        told = named(model_type, name)
        assert len(told) == 1, name
        assert told[0].new == name and name in told[0].message
        same_code = "vLLM runs by" in told[0].message
        nobodys = "no model_type that llmarch reads" in told[0].message
        assert (told[0].severity == "info") is (same_code or nobodys)


def test_every_class_of_a_known_type_is_told_with_its_type() -> None:
    for other in TYPES:
        if other in ("qwen2", "minimax_m3_vl", "minimax_m3_vl_text", "internlm3", "iquestcoder"):
            continue
        for name in CLASSES[other]:
            for told in named("qwen2", name):
                assert other in told.message or "a class of" in told.message, name


@pytest.mark.parametrize("alias", sorted(p.stem for p in SPECS.glob("*.json")))
def test_published_configs_name_classes_of_their_types(alias: str) -> None:
    config = json.loads((SPECS / f"{alias}.json").read_text()).get("config")
    if config and "model_type" in config:
        assert findings(config) == []


def test_classes_of_the_repository_are_its_own() -> None:
    config = {**specs()["qwen3"], "architectures": ["FooForCausalLM"]}
    assert findings(config)
    own = {"AutoModelForCausalLM": "modeling_foo.FooForCausalLM"}
    assert findings({**config, "auto_map": own}) == []


def test_another_class_is_a_change_and_no_verified_model(hub: Any, work: Any) -> None:
    hub.add("acme/model", files("qwen3-0.6b"))
    hub.add("acme/other", files("qwen3-0.6b", having(architectures=["LlamaForCausalLM"])))
    assert llmarch.load("acme/model").status == "verified"
    reading = llmarch.load("acme/other")
    assert reading.status == "conflict"
    report = llmarch.check("acme/other", against="acme/model")
    assert RULE in {c.rule for c in report.verdicts[0].changes}
    assert report.exit_code == 1
