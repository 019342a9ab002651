"""The config key that a change is told by is the key that made it."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from helpers.facts import reading
from helpers.paths import FIXTURES

from llmarch.architecture.schema import Change
from llmarch.checkpoint.reading import read_model
from llmarch.compare.config_keys import config_words
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.report import change_meaning, change_text, value_text
from llmarch.compare.rules import is_about_facts
from llmarch.errors import LlmarchError
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import RawModel

Config = dict[str, Any]
BREAKING = ("weights", "behaviour")


def entry(config: Config) -> Entry:
    return make_entry(read_model(RawModel("model", "local", "model", config, "config.json")))


def config_of(alias: str) -> Config:
    config = reading(alias).raw.config
    assert config is not None
    return copy.deepcopy(config)


def changes(old: Config, new: Config) -> list[Change]:
    return find_differences(entry(old), entry(new))


@cache
def pairs() -> dict[str, list[dict[str, Any]]]:
    """Edits by model that change something, of keys at the top of the config."""
    document = json.loads(gzip.decompress((FIXTURES / "gate_pairs.json.gz").read_bytes()))
    found: dict[str, list[dict[str, Any]]] = {}
    for pair in document["pairs"]:
        if pair["oracle"] in BREAKING and "." not in pair["key"] and pair["how"] == "set":
            found.setdefault(pair["model"], []).append(pair)
    return found


def bases() -> dict[str, Config]:
    return json.loads(gzip.decompress((FIXTURES / "gate_pairs.json.gz").read_bytes()))["bases"]


def made_by(base: Config, pair: dict[str, Any]) -> set[tuple[str, str]]:
    """What one edit alone changes."""
    found = changes(base, base | {pair["key"]: pair["value"]})
    return {(change.rule, change.path) for change in found}


def two_edits() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Two edits of one model, of every third one."""
    for model, edits in sorted(pairs().items())[::3]:
        first = edits[0]
        second = next((e for e in reversed(edits) if e["key"] != first["key"]), None)
        if second is not None:
            yield model, first, second


@pytest.mark.sweep
def test_of_two_edits_neither_is_named_for_the_other() -> None:
    configs = bases()
    named = 0
    for model, *edits in two_edits():
        base = configs[model]
        both = base | {edit["key"]: edit["value"] for edit in edits}
        try:
            alone = {edit["key"]: made_by(base, edit) for edit in edits}
            found = changes(base, both)
        except LlmarchError:
            continue
        for change in filter(lambda change: is_about_facts(change.rule), found):
            makers = {k for k, made in alone.items() if (change.rule, change.path) in made}
            if len(makers) == 1 and change.key is not None:
                assert {change.key} == makers, (model, change)
                named += 1
    assert named > 60


@pytest.mark.parametrize(
    ("alias", "edits", "expected"),
    [
        (
            "gemma2-9b",
            {
                "query_pre_attn_scalar": 224,
                "architectures": ["Gemma2ForSequenceClassification"],
            },
            {"head.kind": "architectures", "mixers.full.scale": "query_pre_attn_scalar"},
        ),
        (
            "deepseek-v3",
            {"rope_scaling": None, "n_group": 1, "topk_group": 1},
            {
                "mixers.full.scale": "rope_scaling",
                "mixers.full.rope.scaling": "rope_scaling",
                "ffns.moe.router.group_score": "n_group",
            },
        ),
        ("qwen3-8b", {"torch_dtype": "float16"}, {"dtype": "torch_dtype"}),
        ("qwen3-8b", {"torch_dtype": "float16", "x": 1}, {"dtype": "torch_dtype"}),
    ],
)
def test_keys(alias: str, edits: Config, expected: dict[str, str]) -> None:
    """Also of facts whose evidence does not name it, and of keys that usually have no effect."""
    old = config_of(alias)
    found = {change.path: change.key for change in changes(old, old | edits)}
    assert {path: found[path] for path in expected} == expected


def test_the_key_of_a_part_that_is_gone() -> None:
    old = config_of("gemma3-27b")
    new = {key: value for key, value in old.items() if key != "vision_config"}
    (tower,) = [c for c in changes(old, new) if c.rule == "tower-changed"]
    assert tower.key == "vision_config"


def test_a_key_that_is_off_on_both_sides_made_nothing() -> None:
    """Of many keys that differ, evidence names one that says the same on both sides."""
    old = config_of("gemma2-9b")
    found = changes(old, config_of("qwen3-8b"))
    (layers,) = [change for change in found if change.path == "layers"]
    assert layers.key != "use_sliding_window"


TOKENS = (
    *("eos_token_id", "bos_token_id", "pad_token_id", "image_token_id", "image_token_index"),
    *("video_token_id", "vision_start_token_id", "boi_token_index", "eoa_token_id"),
    *("decoder_start_token_id", "sep_token_ids", "media_placeholder_token_id"),
)


@pytest.mark.parametrize("key", TOKENS)
def test_token_ids_are_told(key: str) -> None:
    old = config_of("qwen3-8b") | {"vision_config": None}
    (change,) = changes(old | {key: 7}, old | {key: 9})
    assert (change.rule, change.severity) == ("token-ids-changed", "info")
    assert change_text(change) == "7 → 9"


def test_token_ids_of_an_older_lock_are_those_of_its_config() -> None:
    """A lock that holds fewer of them tells no change."""
    from llmarch.compare.lock import lock_text, parse_lock

    new = entry(config_of("qwen3-8b") | {"image_token_id": 7})
    document = json.loads(lock_text({"model": new}, "llmarch 0.1.0"))
    del document["models"]["model"]["beside"]["keys"]["image_token_id"]
    old = parse_lock(document, json.dumps(document), "llmarch.lock").entries["model"]
    assert find_differences(old, new) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"factor": 2.0, "rope_type": "linear"}, "factor 2.0, rope_type linear"),
        ({"a": [1, {"b": 2}]}, "a (1, (b 2))"),
        ([1, 2, 3], "1, 2, 3"),
        ("modeling_x.X", "modeling_x.X"),
        ([], "empty"),
        (True, "true"),
        (1e-06, "1e-06"),
        (None, "null"),
    ],
)
def test_values_of_keys_are_in_words(value: Any, words: str) -> None:
    assert config_words(json.dumps(value)) == words


def test_what_is_no_json_stays() -> None:
    for text in ("sha256:12ab", "removed", "12e45678", "{broken"):
        assert config_words(text) == text


def test_what_is_no_longer_found_breaks_nothing() -> None:
    gone = Change(
        rule="tensor-missing", path="score.weight", old="1 tensor", new=None, severity="info"
    )
    assert change_meaning(gone) == "tensors are missing: no longer so"


def test_runs_that_repeat_are_told_once() -> None:
    pair = [(1, "sliding"), (1, "full")]
    assert value_text(pair * 21) == "21 × (1 × sliding, 1 × full)"
    assert value_text([*pair * 3, (1, "sliding")]) == "3 × (1 × sliding, 1 × full), 1 × sliding"
    assert value_text([(3, "dense"), (58, "moe")]) == "3 × dense, 58 × moe"
    assert value_text(pair * 2) == "1 × sliding, 1 × full, 1 × sliding, 1 × full"


def test_every_bundled_pair_is_compared_with_few_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many keys differ, none is tried: `diff` of two models takes as long as before."""
    from llmarch.compare.key_trials import KeyTrials

    def refuse(*_: object, **__: object) -> bool:
        raise AssertionError("a key was tried")

    monkeypatch.setattr(KeyTrials, "makes", refuse)
    aliases = sorted(bundled_models())
    for alias in aliases[::30]:
        find_differences(make_entry(reading("deepseek-v3")), make_entry(reading(alias)))
