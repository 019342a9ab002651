"""A key that the model's code ignores and that says otherwise is a finding, not silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.folded import folded_table
from helpers.paths import SPECS
from helpers.type_fixtures import TYPES, folded, read_fixture

from llmarch.architecture import schema as s
from llmarch.checkpoint.reading import build_with_template, configure, read_model
from llmarch.compare.diff import diff
from llmarch.config.expert_statements import (
    ACTIVE_GROUP_KEYS,
    BIAS_KEYS,
    GROUP_KEYS,
    NORM_KEYS,
    SCALE_KEYS,
    SCORING_KEYS,
)
from llmarch.config.families import MODEL_TYPES
from llmarch.config.keys import ConfigKeys
from llmarch.errors import LlmarchError
from llmarch.sources.aliases import bundled_models

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

Config = dict[str, Any]
READ = [name for name in TYPES if name in MODEL_TYPES and name != "mimo_v2_flash"]


@cache
def defaults_of(model_type: str) -> Config:
    """Return the config that transformers saves of a class at its defaults."""
    document = read_fixture(model_type)
    return {**document["rows"][0]["saved"], "model_type": model_type}


@cache
def read(text: str) -> tuple[s.Architecture, set[str]]:
    """Return the architecture of a config, and the keys with findings."""
    family, keys = configure(json.loads(text), "config.json")
    architecture, _ = build_with_template(family, keys, {})
    return architecture, {f.path for f in keys.findings}


def has_experts(model_type: str) -> bool:
    architecture, _ = read(json.dumps(defaults_of(model_type)))
    return any(isinstance(ffn, s.MoE) for ffn in architecture.ffns.values())


WITH_EXPERTS = [name for name in READ if has_experts(name)]


def with_key(config: Config, key: str, value: Any) -> Config:
    changed = copy.deepcopy(config)
    text = changed.get("text_config")
    (text if isinstance(text, dict) else changed)[key] = value
    return changed


def others(router: s.Router) -> dict[str, Any]:
    """Return for each key of a router a value that says otherwise."""
    scoring = {"softmax": "sigmoid", "softmax_chosen": "sigmoid"}.get(router.scoring, "softmax")
    return {
        **dict.fromkeys(SCORING_KEYS, scoring),
        **dict.fromkeys(NORM_KEYS, not router.normalized),
        **dict.fromkeys(GROUP_KEYS, router.groups + 1),
        **dict.fromkeys(ACTIVE_GROUP_KEYS, router.active_groups + 1),
        **dict.fromkeys(SCALE_KEYS, router.scale + 0.5),
        **dict.fromkeys(BIAS_KEYS, not router.selection_bias),
        "topk_method": "greedy" if router.selection_bias else "noaux_tc",
    }


WITHOUT_EFFECT = {
    ("cohere2_moe", "norm_topk_prob"): "a softmax over the chosen experts is normalised",
    ("deepseek_ocr2", "n_group"): "greedy has no groups",
    ("deepseek_ocr2", "topk_group"): "greedy has no groups",
    ("deepseek_v2", "n_group"): "greedy has no groups",
    ("deepseek_v2", "topk_group"): "greedy has no groups",
}


@pytest.mark.parametrize("model_type", WITH_EXPERTS)
def test_every_key_of_a_router_counts_or_is_told(model_type: str) -> None:
    config = defaults_of(model_type)
    before, told = read(json.dumps(config))
    routers = [ffn.router for ffn in before.ffns.values() if isinstance(ffn, s.MoE)]
    router = next(router for router in routers if router.token_table is None)
    silent: list[str] = []
    for key, value in others(router).items():
        try:
            after, told_after = read(json.dumps(with_key(config, key, value)))
        except LlmarchError:
            continue
        if not diff(before, after) and not told_after - told:
            silent.append(key)
    assert silent == [key for name, key in WITHOUT_EFFECT if name == model_type]


@pytest.mark.parametrize("model_type", WITH_EXPERTS)
@pytest.mark.parametrize("key", ["first_k_dense_replace", "moe_layer_freq"])
def test_keys_that_give_other_layers_experts(model_type: str, key: str) -> None:
    config = defaults_of(model_type)
    before, told = read(json.dumps(config))
    for value in (2, 3):
        try:
            after, told_after = read(json.dumps(with_key(config, key, value)))
        except LlmarchError:
            return
        one_block_each = model_type in ("nemotron_h", "jamba")
        assert diff(before, after) or told_after - told or one_block_each or agrees(before, value)


def agrees(a: s.Architecture, dense: int) -> bool:
    """Return whether the first layers of a model, and no others, have an MLP."""
    paths = [
        {branch.block for step in a.layer_kinds[kind].steps for branch in step.branches}
        for kind in a.layers
    ]
    moe = {f"ffns.{name}" for name, ffn in a.ffns.items() if isinstance(ffn, s.MoE)}
    return [bool(blocks & moe) for blocks in paths] == [i >= dense for i in range(len(paths))]


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))


@pytest.mark.parametrize("alias", ALIASES)
def test_each_value_that_the_code_has_is_compared(
    alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    expect = ConfigKeys.expect
    unused = ConfigKeys.without_findings

    @contextmanager
    def forget(self: ConfigKeys) -> Generator[None]:
        """What no layer uses has no findings."""
        before = dict(asked)
        try:
            with unused(self):
                yield
        finally:
            asked.clear()
            asked.update(before)

    def note(self: ConfigKeys, key: str, value: Any, *meaning: Any) -> Any:
        asked[self.prefix + key] = value
        return expect(self, key, value, *meaning)

    config = spec(alias)
    monkeypatch.setattr(ConfigKeys, "expect", note)
    monkeypatch.setattr(ConfigKeys, "without_findings", forget)
    family, keys = configure(config, "config.json")
    build_with_template(family, keys, {})
    for path, value in list(asked.items()):
        changed = copy.deepcopy(config)
        *parents, key = path.split(".")
        at: Any = changed
        for parent in parents:
            at = cast("dict[str, Any]", at).get(parent)
            if not isinstance(at, dict):
                break
        else:
            at[key] = another(value)
            family, keys = configure(changed, "config.json")
            try:
                build_with_template(family, keys, {})
            except LlmarchError:
                continue
            assert path in {f.path for f in keys.findings}, path


def another(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, list):
        return [*value, 0]
    return "other"


@pytest.mark.parametrize(
    ("model_type", "key"), [("deepseek_v2", "topk_method"), ("cohere2_moe", "expert_selection_fn")]
)
def test_a_choice_that_no_code_has(model_type: str, key: str) -> None:
    _, told = read(json.dumps(defaults_of(model_type) | {key: "best"}))
    assert key in told


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("topk_method", "greedy", "conflict"),
        ("topk_method", "noaux_tc", "verified"),
        ("scoring_func", "softmax", "verified"),
    ],
)
def test_a_key_by_which_some_engines_load(key: str, value: str, status: str) -> None:
    """vLLM makes no place for the stored bias unless the key is noaux_tc, and cannot load it."""
    document = read_fixture("deepseek_v3")
    table = folded_table(folded(document["tables"][document["rows"][0]["tensors"]]), "BF16")
    config = defaults_of("deepseek_v3") | {key: value}
    reading = read_model(local_model(config, table, "deepseek_v3"))
    told = [f.severity for f in reading.findings if f.path == key]
    expected = {"conflict": ["behaviour"], "verified": ["info"] if value == "softmax" else []}
    assert (reading.status, told) == (status, expected[status])
