"""Two spellings of the same architecture are equal, and a model differs from its quantised twin by
`quantization` alone.

The files in fixtures/pairs are published configs as they were found (`source`, `sha256` of the
whole file); long lists of module names are cut after eight (`cut`: how many there were). What
really differs between two published files is said in its row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.architecture.fingerprint import fingerprint
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import read_model
from llmarch.compare.diff import diff
from llmarch.config.families import find_family
from llmarch.sources import specs
from llmarch.sources.aliases import bundled_models

TESTS = ROOT / "tests"
PAIRS = TESTS / "fixtures/pairs"
DEFAULTS: dict[str, Any] = json.loads((TESTS / "fixtures/class_defaults.json").read_bytes())
Config = dict[str, Any]

FORMAT = "quantization-changed"
ROWS: list[tuple[str, str, set[str]]] = [
    # Saved by another version, with defaults left out or spelled out: no change.
    ("gpt2", "gpt2-resaved", set()),
    ("deepseek-v3", "deepseek-v3-earlier", set()),
    ("deepseek-r1", "deepseek-r1-earlier", set()),
    ("gemma3-27b", "gemma3-27b-short", set()),
    ("gemma3-27b", "gemma3-27b-resaved", set()),
    ("llama3.1-70b", "llama3.1-70b-instruct", set()),
    ("llama3-8b", "lexi-llama3-8b", set()),
    ("nemotron-3-nano", "nemotron-3-nano-bf16", set()),
    # Quantised, and the config says so.
    ("qwen3-32b", "qwen3-32b-fp8", {FORMAT}),
    ("qwen3-32b", "qwen3-32b-fp8-per-tensor", {FORMAT}),
    ("qwen3-235b", "qwen3-235b-fp8", {FORMAT}),
    ("qwen3-30b-a3b", "qwen3-30b-a3b-fp8", {FORMAT}),
    ("qwen3-14b", "qwen3-14b-mlx", {FORMAT}),
    ("qwen3.5-397b", "qwen3.5-397b-nvfp4", {FORMAT}),
    ("llama3.1-8b", "llama3.1-8b-bnb", {FORMAT, "dtype-changed"}),
    ("deepseek-v3.1", "deepseek-v3.1-nvfp4", {FORMAT}),
    ("glm-5", "glm-5-fp8", {FORMAT}),
    ("glm-5.1", "glm-5.1-nvfp4", {FORMAT}),
    ("gemma4-26b", "gemma4-26b-nvfp4", {FORMAT}),
    (
        "kimi-k2.5",
        "kimi-k2.5-nvfp4",
        {
            FORMAT,
            "quantization-activations-changed",
            "quantization-excluded-changed",
            "quantization-scheme-changed",
            "quantization-cache-changed",
        },
    ),
    ("minimax-m2.5", "minimax-m2.5-nvfp4", {FORMAT}),
    # Quantised, and the config is that of the original: only hf_quant_config.json and the tensors
    # tell.
    ("qwen3-235b", "qwen3-235b-nvfp4", set()),
    ("llama3.1-70b", "llama3.1-70b-fp8", set()),
    ("glm-5", "glm-5-nvfp4", set()),
    (
        "deepseek-v4-flash",  # mxfp4 experts against nvfp4 ones
        "deepseek-v4-flash-nvfp4",
        {FORMAT, "quantization-modules-changed"},
    ),
    ("nemotron-3-nano", "nemotron-3-nano-nvfp4", set()),
    ("nemotron-3-super", "nemotron-3-super-fp8", set()),
    ("nemotron-3-super", "nemotron-3-super-nvfp4", set()),
    # The published files do differ.
    (
        "minimax-m2.7",  # max_position_embeddings 204,800 against 196,608
        "minimax-m2.7-nvfp4",
        {
            FORMAT,
            "context-changed",
            "quantization-activations-changed",
            "quantization-excluded-changed",
            "quantization-cache-changed",
            "quantization-modules-changed",
        },
    ),
    (
        "mistral-7b-v0.2",
        "mistral-7b-v0.2-edited",
        {"context-changed", "dtype-changed"},
    ),  # 32,768 against 512, edited for a phone
    ("mixtral-8x7b", "dolphin-mixtral", {"vocabulary-changed"}),  # two tokens more
]
STORAGE = {
    FORMAT,
    "dtype-changed",
    "quantization-activations-changed",
    "quantization-excluded-changed",
    "quantization-cache-changed",
    "quantization-modules-changed",
    "quantization-scheme-changed",
}


def as_read(config: Config, text: str = "test") -> Architecture:
    """The architecture of a config, every key of which must be read."""
    reading = read_model(
        specs.from_document({"config": config}, text=text, file=Path("config.json"))
    )
    assert reading.unread_keys == ()
    return reading.architecture


def spec(alias: str) -> Config:
    config = json.loads((TESTS.parent / f"specs/{alias}.json").read_bytes())["config"]
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize(("alias", "other", "expected"), ROWS, ids=[r[1] for r in ROWS])
def test_published_pairs(alias: str, other: str, expected: set[str]) -> None:
    old = llmarch.load(alias).architecture
    new = as_read(json.loads((PAIRS / f"{other}.json").read_bytes())["config"])
    changes = diff(old, new)
    assert {c.rule for c in changes} == expected
    assert {c.rule for c in changes if c.severity == "quantization"} == expected & STORAGE
    assert (fingerprint(old) == fingerprint(new)) == (expected <= STORAGE)


def test_every_pair_has_its_row() -> None:
    assert {p.stem for p in PAIRS.glob("*.json")} == {other for _, other, _ in ROWS}


# Other spellings, of every bundled model

ALL = sorted(a for a in bundled_models() if "model_type" in spec(a))


def turned(node: Any) -> Any:
    """Keys in the reverse order, all the way down."""
    return {k: turned(v) for k, v in reversed(node.items())} if isinstance(node, dict) else node


def renamed(node: Any, old: str, new: str) -> Any:
    """One key for another wherever it has a value, all the way down."""
    if not isinstance(node, dict):
        return node
    return {
        new if k == old else k: renamed(v, old, new)
        for k, v in node.items()
        if not (k == old and new in node)
    }


def text_of(config: Config) -> Config:
    """The part of a config that has the text model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def with_text(config: Config, text: Config) -> Config:
    return {**config, "text_config": text} if isinstance(config.get("text_config"), dict) else text


def declared(config: Config) -> Config:
    """What transformers' class gives the text model's config where a key is absent, of facts that
    are one plain value.
    """
    model_type = str(text_of(config).get("model_type"))
    about = DEFAULTS.get(model_type, {"defaults": {}})
    return {
        k: v
        for k, v in about["defaults"].items()
        if isinstance(v, (int, float, str)) and k not in about.get("aliases", {})
    }


def omitted(config: Config) -> Config:
    """Of these, the keys that published configs leave out.

    (Sizes they never do: without one a config is refused.)
    """
    known = find_family(config["model_type"]).defaults.get(
        str(text_of(config).get("model_type")), {}
    )
    return {k: v for k, v in declared(config).items() if k in known}


@pytest.mark.parametrize("alias", ALL)
def test_the_order_of_keys_says_nothing(alias: str) -> None:
    assert_same(as_read(spec(alias)), as_read(turned(spec(alias))))


@pytest.mark.parametrize("alias", ALL)
def test_dtype_is_torch_dtype(alias: str) -> None:
    config = spec(alias)
    assert_same(
        as_read(renamed(config, "torch_dtype", "dtype")),
        as_read(renamed(config, "dtype", "torch_dtype")),
    )


@pytest.mark.parametrize("alias", ALL)
def test_names_notes_and_library_versions_say_nothing(alias: str) -> None:
    more = {
        "_name_or_path": "./out",
        "transformers_version": "9.9.9",
        "architectures": spec(alias).get("architectures"),
        "use_cache": False,
    }
    assert_same(as_read(spec(alias)), as_read({**spec(alias), **more}))


@pytest.mark.parametrize("alias", ALL)
def test_defaults_may_be_left_out(alias: str) -> None:
    config = spec(alias)
    text, defaults = text_of(config), omitted(config)
    less = {k: v for k, v in text.items() if k not in defaults or defaults[k] != v}
    assert_same(as_read(config), as_read(with_text(config, less)))


@pytest.mark.parametrize("alias", ALL)
def test_defaults_may_be_written_out(alias: str) -> None:
    config = spec(alias)
    assert_same(as_read(config), as_read(with_text(config, declared(config) | text_of(config))))


def test_many_defaults_are_tried() -> None:
    used = {alias: omitted(spec(alias)) for alias in ALL}
    assert sum(map(len, used.values())) > 200
    assert sum(k in text_of(spec(alias)) for alias, keys in used.items() for k in keys) > 50


def assert_same(a: Architecture, b: Architecture) -> None:
    assert diff(a, b) == []
    assert fingerprint(a) == fingerprint(b)


ROPES = [
    "qwen3-8b",
    "llama3.1-8b",
    "deepseek-v3",
    "gpt-oss-20b",
    "kimi-k2",
    "mistral-7b",
    "phi-3.5-mini",
    "olmo2-7b",
]


@pytest.mark.parametrize("alias", ROPES)
def test_rope_parameters_are_rope_theta_and_rope_scaling(alias: str) -> None:
    """transformers 5 writes one dict where 4 wrote two keys."""
    config = spec(alias)
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    rest = {k: v for k, v in config.items() if k not in ("rope_theta", "rope_scaling")}
    parameters = {k: v for k, v in scaling.items() if k not in ("type", "rope_type")} | {
        "rope_type": kind
    }
    theta = {"rope_theta": config["rope_theta"]} if "rope_theta" in config else {}
    assert_same(as_read(config), as_read({**rest, "rope_parameters": parameters | theta}))


def test_a_wrapper_around_the_same_text_model_changes_the_tower_alone() -> None:
    whole = json.loads((PAIRS / "gemma3-27b-resaved.json").read_bytes())["config"]
    changes = diff(as_read(whole), as_read(whole["text_config"]))
    assert {c.path for c in changes} <= {
        "model_type",
        "towers.vision",
        "dtype",
        "mixers.full.sees_ahead",
        "mixers.sliding.sees_ahead",
    }
    assert "towers.vision" in {c.path for c in changes}
