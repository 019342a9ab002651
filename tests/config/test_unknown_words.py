"""Words that no reader knows are told, and are no facts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.architecture.schema import Architecture, Evidence, Finding
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.errors import LlmarchError
from llmarch.sources.aliases import bundled_models

Config = dict[str, Any]
RULE = "value-not-described"
ACTIVATION_KEYS = ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act")


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))


def read(config: Config) -> tuple[Architecture, dict[str, Evidence], list[Finding], list[str]]:
    family, keys = configure(config, "config.json")
    evidence: dict[str, Evidence] = {}
    architecture, _ = build_with_template(family, keys, evidence)
    return architecture, evidence, keys.findings, keys.unread()


def changed(config: Config, key: str, value: str) -> Config:
    inner = config.get("text_config")
    if isinstance(inner, dict) and key in inner:
        return {**config, "text_config": {**inner, key: value}}
    return {**config, key: value}


@pytest.mark.parametrize("alias", ALIASES)
def test_published_words_are_known(alias: str) -> None:
    assert [f for f in read(spec(alias))[2] if f.rule == RULE] == []


@pytest.mark.parametrize("alias", ALIASES)
def test_an_unknown_activation_is_told(alias: str) -> None:
    config = spec(alias)
    part = config.get("text_config") or config
    for key in ACTIVATION_KEYS:
        if key not in part:
            continue
        try:
            before = read(config)
            after = read(changed(config, key, "swishglu3"))
        except LlmarchError as error:
            assert "swishglu3" in str(error)
            continue
        told = {f.path.rpartition(".")[2] for f in after[2]} | {
            name.rpartition(".")[2] for name in after[3]
        }
        assert key in told or before[0] == after[0]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_unknown_dtype_is_no_fact(alias: str) -> None:
    config = {k: v for k, v in spec(alias).items() if k not in ("dtype", "torch_dtype")}
    architecture, evidence, findings, _ = read(config | {"dtype": "bf17"})
    assert architecture.dtype is None
    assert evidence["dtype"].kind == "unknown"
    (finding,) = [f for f in findings if f.rule == RULE]
    assert (finding.path, finding.severity) == ("dtype", "quantization")
    assert '"bf17"' in finding.message


def test_auto_leaves_the_dtype_open() -> None:
    architecture, evidence, findings, _ = read(spec("qwen3-0.6b") | {"torch_dtype": "auto"})
    assert architecture.dtype is None and "auto" in evidence["dtype"].ref
    assert findings == []
