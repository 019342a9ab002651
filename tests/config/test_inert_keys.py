"""No key counts as without effect that changes what a model computes or loads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.architecture.schema import Architecture, Finding
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.compare.diff import diff
from llmarch.errors import ConfigError
from llmarch.sources.aliases import bundled_models

Config = dict[str, Any]


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


def read(config: Config) -> tuple[Architecture, list[str], list[Finding]]:
    family, keys = configure(config, "config.json")
    architecture, _ = build_with_template(family, keys, {})
    return architecture, keys.unread(), keys.findings


ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))
WRAPPERS = [a for a in ALIASES if "vision_config" in spec(a)]


@pytest.mark.parametrize("alias", WRAPPERS)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vision_feature_layer", -2),
        ("vision_feature_layer", [-1, -2]),
        ("vision_feature_select_strategy", "odd"),
    ],
)
def test_which_features_of_a_tower_are_used(alias: str, key: str, value: Any) -> None:
    """It is a fact, or a key that is shown as unread, wherever the class looks for it."""
    config = spec(alias)
    before, unread, _ = read(config)
    nested = key in config["vision_config"]
    path = f"vision_config.{key}" if nested else key
    changed = {**config, key: value}
    if nested:
        changed = {**config, "vision_config": {**config["vision_config"], key: value}}
    after, unread_after, _ = read(changed)
    assert diff(before, after) or path in unread_after
    assert unread == []


@pytest.mark.parametrize(
    ("value", "layers"),
    [(-1, ()), (24, ()), ([-1], ()), (-2, (23,)), ([-1, -2], (24, 23)), (0, (0,))],
)
def test_features_of_pixtral(value: Any, layers: tuple[int, ...]) -> None:
    architecture, unread, _ = read(spec("mistral-small-3.1") | {"vision_feature_layer": value})
    tower: Any = architecture.towers["vision"]
    assert tower.features == layers
    assert tower.projector[1].inputs == 1024 * max(1, len(layers))
    assert unread == []


@pytest.mark.parametrize("value", [25, -26, "last", [1.5]])
def test_features_of_a_layer_that_does_not_exist(value: Any) -> None:
    with pytest.raises(ConfigError, match="vision_feature_layer"):
        read(spec("mistral-small-3.1") | {"vision_feature_layer": value})


@pytest.mark.parametrize("alias", ALIASES)
def test_code_of_its_own_is_told(alias: str) -> None:
    config = {k: v for k, v in spec(alias).items() if k != "auto_map"}
    _, unread, before = read(config)
    named = {"AutoConfig": "configuration_x.X", "AutoModelForCausalLM": "org/repo--modeling_x.X"}
    _, unread_after, found = read(config | {"auto_map": named})
    (finding,) = [f for f in found if f not in before]
    assert (finding.rule, finding.path) == ("remote-code", "org/repo--modeling_x.py")
    assert finding.severity == "info"
    assert unread == unread_after


@pytest.mark.parametrize(
    "named", [None, {}, [], "x", {"AutoTokenizer": ["a.B", None]}, {"AutoModel": 1}]
)
def test_no_model_code(named: Any) -> None:
    assert read(spec("qwen3-0.6b") | {"auto_map": named})[2] == []


@pytest.mark.parametrize(("key", "value"), [("pruned_heads", {"0": [1]}), ("torchscript", True)])
def test_keys_without_effect_while_they_are_off(key: str, value: Any) -> None:
    config = spec("gpt2")
    assert read(config | {key: type(value)()})[1] == []
    assert read(config | {key: value})[1] == [key]


# --- keys of blocks that no layer uses ----------------------------------------------------------


@pytest.mark.parametrize("alias", [a for a in ALIASES if a.startswith("nemotron")])
def test_a_key_that_an_unused_block_reads(alias: str) -> None:
    """mlp_bias gives biases to the shared experts too, which llmarch does not know."""
    config = spec(alias)
    plain, _, _ = read(config)
    biased, unread, _ = read(config | {"mlp_bias": True})
    assert "mlp_bias" in unread or diff(plain, biased)
    if "moe" in plain.ffns:
        assert "mlp_bias" in unread
