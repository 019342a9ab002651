"""A list for the layers that does not fit their number is a finding, in every family.

What transformers 5.23.0 refuses: `layer_types` of another length, for every class
(PreTrainedConfig.validate_layer_type).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.errors import ConfigError
from llmarch.sources.aliases import bundled_models

Config = dict[str, Any]

OTHER_LISTS = ("architectures", "mrope_section", "layer_list")


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))


def findings(config: Config) -> list[Finding]:
    family, keys = configure(config, "config.json")
    build_with_template(family, keys, {})
    return keys.findings


def text_of(config: Config) -> Config:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def with_text(config: Config, text: Config) -> Config:
    return {**config, "text_config": text} if isinstance(config.get("text_config"), dict) else text


def lists_of(alias: str) -> Iterator[str]:
    """Yield the keys whose value has an entry for each layer, MTP modules included or not."""
    text = text_of(spec(alias))
    depth = text.get("num_hidden_layers") or -1
    modules = text.get("num_nextn_predict_layers") or 0
    for key, value in text.items():
        if key == "layers_block_type":
            continue  # it is what gives the number of layers
        if isinstance(value, list) and len(value) in (depth, depth + modules):
            yield key


@pytest.mark.parametrize("alias", ALIASES)
def test_published_lists_fit(alias: str) -> None:
    assert [f for f in findings(spec(alias)) if f.rule == "layer-list-length"] == []


ROWS = [(alias, key) for alias in ALIASES for key in lists_of(alias)]


@pytest.mark.parametrize(("alias", "key"), ROWS)
def test_a_list_of_a_deeper_model(alias: str, key: str) -> None:
    config = spec(alias)
    text = text_of(config)
    longer = {**text, key: [*text[key], *text[key][-5:]]}
    try:
        found = findings(with_text(config, longer))
    except ConfigError:
        return
    same = [f for f in found if f.path.endswith(key)]
    assert [(f.rule, f.severity) for f in same] == [("layer-list-length", "weights")] or (
        key in NOT_READ
    )


@pytest.mark.parametrize(("alias", "key"), ROWS)
def test_a_list_of_a_shallower_model(alias: str, key: str) -> None:
    """The last entry is taken for the others, so that there is a reading to show."""
    config = spec(alias)
    text = text_of(config)
    try:
        found = findings(with_text(config, {**text, key: text[key][:-5]}))
    except ConfigError as error:
        assert "entries for" not in error.message
        return
    same = [f for f in found if f.path.endswith(key)]
    assert [(f.rule, f.severity) for f in same] == [("layer-list-length", "weights")] or (
        key in NOT_READ
    )


DEPTH_KEY = "num_hidden_layers"
NOT_READ = {"gating_types", "layer_list"}


def test_many_lists_are_tried() -> None:
    assert len(ROWS) > 50


@pytest.mark.parametrize("alias", ALIASES)
def test_layer_types_of_another_length_whether_or_not_they_are_read(alias: str) -> None:
    config = spec(alias)
    text = text_of(config)
    depth = len(_layers(config))
    words = text.get("layer_types") or ["full_attention"] * depth
    for count in (depth - 2, depth + 4):
        given = (list(words) * 2)[:count]
        try:
            found = findings(with_text(config, {**text, "layer_types": given}))
        except ConfigError:
            continue  # of a type that the family does not have, or too few
        told = [(f.rule, f.path) for f in found if f.path.endswith(("layer_types", DEPTH_KEY))]
        if config.get("model_type") == "nemotron_h":  # the class counts the list's layers
            assert told == [("config-contradiction", DEPTH_KEY)] * (DEPTH_KEY in config)
            continue
        assert [rule for rule, _ in told] == ["layer-list-length"]
        assert [f.new for f in found if f.rule == "layer-list-length"] == [count]


def _layers(config: Config) -> tuple[str, ...]:
    family, keys = configure(config, "config.json")
    return build_with_template(family, keys, {})[0].layers


def test_entries_for_mtp_modules_are_usual() -> None:
    config = spec("glm-4.5")
    depth = config["num_hidden_layers"]
    assert config["num_nextn_predict_layers"] == 1
    for count, expected in ((depth, []), (depth + 1, []), (depth + 2, ["layer-list-length"])):
        found = findings(config | {"layer_types": ["full_attention"] * count})
        assert [f.rule for f in found] == expected


@pytest.mark.parametrize(
    ("alias", "key", "number"),
    [
        ("qwen3-30b-a3b", "mlp_only_layers", 48),
        ("lfm2-1.2b", "full_attn_idxs", 16),
        ("llama4-scout", "moe_layers", 48),
        ("step-3.5-flash", "moe_layers_enum", 48),
        ("laguna-xs.2", "mlp_only_layers", 40),
    ],
)
def test_numbers_of_layers_that_do_not_exist(alias: str, key: str, number: int) -> None:
    config = spec(alias)
    text = text_of(config)
    text.pop("layer_types", None)
    text.pop("mlp_layer_types", None)
    for highest, expected in ((number - 1, []), (number, ["layer-list-length"])):
        given = {**text, key: [*range(8), highest]}
        found = findings(with_text(config, given))
        assert [f.rule for f in found if f.path.endswith(key)] == expected


def test_kimi_linear_counts_layers_from_one() -> None:
    config = spec("kimi-linear")
    nested = config["linear_attn_config"]
    published = findings(config)
    longer = {**nested, "kda_layers": [*nested["kda_layers"], 28]}
    found = findings(config | {"linear_attn_config": longer})
    (finding,) = [f for f in found if f not in published]
    assert finding.path == "linear_attn_config.kda_layers"
