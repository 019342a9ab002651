"""Two statements of one thing that differ are a finding with both values; a new spelling is told.

The fixture tied_flags.json is written by tests/oracle/tied_flags.py, rope.json by
tests/oracle/rope.py.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from helpers.checkpoint_fixtures import NAMES, load
from helpers.paths import FIXTURES, SPECS
from helpers.type_fixtures import read_fixture

from llmarch.architecture.schema import Architecture, Attention, Finding
from llmarch.checkpoint.reading import build_with_template, configure, read_model
from llmarch.compare.diff import diff
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.rules import SEVERITIES
from llmarch.compare.stored import StoredTensors
from llmarch.compare.tie_flags import tied_by_class, with_ties_of_class
from llmarch.config.blocks.rope_statements import TYPES_OF_TRANSFORMERS_4
from llmarch.config.families import MODEL_TYPES
from llmarch.config.findings import same_statement
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import RawModel

Config = dict[str, Any]
CONTRADICTION = "config-contradiction"


def read(config: Config, file: str = "config.json") -> tuple[Architecture, list[Finding]]:
    family, keys = configure(config, file)
    architecture, _ = build_with_template(family, keys, {})
    return architecture, keys.findings


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


def text_of(config: Config) -> Config:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def with_text(config: Config, text: Config) -> Config:
    return {**config, "text_config": text} if isinstance(config.get("text_config"), dict) else text


def rules(config: Config) -> list[tuple[str, str, str]]:
    return [(f.rule, f.path, f.severity) for f in read(config)[1]]


ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))
FLAT = [a for a in ALIASES if isinstance(text_of(spec(a)).get("rope_theta"), (int, float))]
OTHERWISE = {
    "nemotron_h",
    "kimi_linear",
    "granitemoehybrid",
    "deepseek_v4",
    "mimo_v2_flash",
    "qwen",
}
"""model_types without RoPE, with bases by type of layers, or with another key for the base."""

# --- published configs --------------------------------------------------------------------------


@pytest.mark.parametrize("alias", ALIASES)
def test_published_configs_do_not_contradict_themselves(alias: str) -> None:
    """That a config has the spelling of transformers 5 is no contradiction."""
    others = ("remote-code", "newer-spelling")
    assert [row for row in rules(spec(alias)) if row[0] not in others] == []


@pytest.mark.parametrize("name", NAMES)
def test_nor_do_those_of_fixtures(name: str) -> None:
    config = load(name)["config"]
    file = "config.json" if "model_type" in config else "params.json"
    assert [f for f in read(config, file)[1] if f.rule != "remote-code"] == []


# --- RoPE ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", FLAT)
def test_two_bases(alias: str) -> None:
    """The nested base counts, as in transformers 5; the flat one is told."""
    config = spec(alias)
    text = text_of(config)
    if text.get("model_type") in OTHERWISE:
        pytest.skip("has no RoPE, bases by type of layers, or another key for the base")
    old = text.get("rope_scaling") or text.get("rope_parameters") or {"rope_type": "default"}
    if any(isinstance(value, dict) for value in old.values()):
        pytest.skip("has a base for each type of layers")
    rest = {k: v for k, v in text.items() if k != "rope_scaling"}
    twice = {**rest, "rope_theta": 123.0, "rope_parameters": {**old, "rope_theta": 54321.0}}
    architecture, found = read(with_text(config, twice))
    (finding,) = [f for f in found if f.path.endswith("rope_theta")]
    assert (finding.rule, finding.severity) == (CONTRADICTION, "behaviour")
    assert "54,321" in finding.message and "123" in finding.message
    thetas = {m.rope.theta for m in architecture.mixers.values() if getattr(m, "rope", None)}
    assert 54321.0 in thetas and 123.0 not in thetas
    once = {**twice, "rope_theta": 54321}
    assert [f for f in read(with_text(config, once))[1] if f.rule == CONTRADICTION] == []


LLAMA = spec("llama3.1-8b")
SCALED = LLAMA["rope_scaling"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"rope_scaling": {**SCALED, "type": "yarn"}}, "rope_scaling.type"),
        ({"rope_scaling": {**SCALED, "type": "llama3"}}, None),
        ({"rope_parameters": {**SCALED, "factor": 4.0}}, "rope_parameters.factor"),
        ({"rope_parameters": {**SCALED, "rope_type": "yarn"}}, "rope_parameters.rope_type"),
        ({"rope_parameters": {**SCALED, "rope_theta": 500000}}, None),
        ({"rope_parameters": {"rope_theta": 1e4, "rope_type": "llama3"}}, None),
        (
            {"original_max_position_embeddings": 4096},
            "rope_scaling.original_max_position_embeddings",
        ),
        ({"dtype": "float32"}, "torch_dtype"),
        ({"dtype": "torch.bfloat16"}, None),
        ({"bias": True}, "bias"),
        (
            {
                "rope_scaling": {**SCALED, "partial_rotary_factor": 0.5},
                "partial_rotary_factor": 1.0,
            },
            "partial_rotary_factor",
        ),
    ],
)
def test_statements_of_llama(change: Config, path: str | None) -> None:
    found = rules(LLAMA | change)
    expected = [] if path is None else [(CONTRADICTION, path, "behaviour")]
    assert [f for f in found if f[0] == CONTRADICTION] == expected


def test_a_base_beside_both_dicts() -> None:
    """transformers takes rope_scaling and the flat base; rope_parameters has another base."""
    parameters = {**SCALED, "rope_theta": 1e4}
    architecture, found = read(LLAMA | {"rope_parameters": parameters})
    assert [f.path for f in found] == []
    mixer = architecture.mixers["full"]
    assert isinstance(mixer, Attention) and mixer.rope and mixer.rope.theta == 5e5


def test_bases_of_types_of_layers() -> None:
    config = json.loads(gzip.decompress((FIXTURES / "resaved.json.gz").read_bytes()))["configs"][
        "specs/gemma3-1b"
    ]["saved"]
    assert rules(config) == [("newer-spelling", "rope_parameters", "info")]
    config |= {"rope_theta": 5.0, "rope_local_base_freq": 10000}
    assert rules(config) == [(CONTRADICTION, "rope_theta", "behaviour")]
    config |= {"rope_theta": 1e6, "rope_local_base_freq": 7.0}
    assert rules(config) == [(CONTRADICTION, "rope_local_base_freq", "behaviour")]


@pytest.mark.parametrize(
    ("beside", "contradicted"),
    [({}, []), ({"rope_local_base_freq": 1e4}, ["rope_local_base_freq"])],
)
def test_scaling_beside_bases_of_types_of_layers(beside: Config, contradicted: list[str]) -> None:
    """transformers updates the entry of full attention with rope_scaling, and keeps the others."""
    config = json.loads((SPECS / "gemma3-4b.json").read_text())["config"]
    linear = {"rope_type": "linear", "factor": 8.0}
    config["text_config"] |= {
        "rope_scaling": linear,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
            "full_attention": {**linear, "rope_theta": 1e6},
        },
        **beside,
    }
    config["text_config"] = {k: v for k, v in config["text_config"].items() if v is not None}
    architecture, found = read(config)
    mixers = [architecture.mixers[name] for name in ("sliding", "full")]
    ropes = [m.rope for m in mixers if isinstance(m, Attention) and m.rope]
    assert [rope.theta for rope in ropes] == [2e4, 1e6]
    assert [rope.scaling and rope.scaling.factor for rope in ropes] == [None, 8]
    names = [f.path.rpartition(".")[2] for f in found if f.rule == CONTRADICTION]
    assert names == contradicted


@pytest.mark.parametrize("alias", FLAT)
def test_a_new_spelling_alone_is_told(alias: str) -> None:
    name = f"specs/{alias}"
    document = json.loads(gzip.decompress((FIXTURES / "resaved.json.gz").read_bytes()))
    row = document["configs"].get(name)
    if row is None or "rope_theta" in text_of(row["saved"]):
        pytest.skip("transformers does not save it, or leaves the flat keys")
    given, _ = read(spec(alias))
    saved, found = read(row["saved"])
    assert [c for c in diff(given, saved) if c.path != "quantization"] == []
    told = [f for f in found if f.rule == "newer-spelling"]
    assert [f.severity for f in told] == ["info"] * len(told)
    model_type = text_of(row["saved"])["model_type"]
    if "rope_parameters" in text_of(row["saved"]) and model_type in TYPES_OF_TRANSFORMERS_4:
        assert [f.path.rpartition(".")[2] for f in told] == ["rope_parameters"]


# --- other pairs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "change", "path"),
    [
        ("nemotron-3-nano", {"num_hidden_layers": 50}, "num_hidden_layers"),
        ("nemotron-3-nano", {"attention_head_dim": 64}, "attention_head_dim"),
        ("minimax-m2", {"partial_rotary_factor": 0.25}, "rotary_dim"),
        ("gpt2", {"num_attention_heads": 16}, "n_head"),
        ("qwen3-30b-a3b", {"num_local_experts": 64}, "num_experts"),
        ("deepseek-v3", {"num_experts": 128}, "num_experts"),
    ],
)
def test_two_keys_for_one_thing(alias: str, change: Config, path: str) -> None:
    assert (CONTRADICTION, path, "behaviour") in rules(spec(alias) | change)


@pytest.mark.parametrize("alias", ["mistral-small-3.1", "llama4-scout"])
def test_a_head_dim_that_the_class_of_a_tower_computes(alias: str) -> None:
    config = spec(alias)
    vision = config["vision_config"]
    dim = vision["hidden_size"] // vision["num_attention_heads"]
    for given, expected in ((dim, []), (dim + 16, [(CONTRADICTION, "behaviour")])):
        found = rules({**config, "vision_config": {**vision, "head_dim": given}})
        assert [(r, s) for r, path, s in found if path == "vision_config.head_dim"] == expected


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (10000, 10000.000001, True),
        ("bfloat16", "torch.bfloat16", True),
        ("su", "longrope", True),
        ("mrope", "default", True),
        ("yarn", "llama3", False),
        (True, False, False),
        ([1], [1], True),
        (1, "1", False),
    ],
)
def test_values_that_mean_the_same(a: Any, b: Any, same: bool) -> None:
    assert same_statement(a, b) is same


# --- tie flags ----------------------------------------------------------------------------------

FLAGS: dict[str, list[tuple[bool | None, bool | None, bool]]] = {}
for wrapper, _, top, nested, tied in json.loads((FIXTURES / "tied_flags.json").read_text())["rows"]:
    FLAGS.setdefault(wrapper, []).append((top, nested, tied))
READ = sorted(FLAGS.keys() & MODEL_TYPES.keys())
TIE = "tie_word_embeddings"
UNTIED_PARTS = {"mllama", "step3p7"}
"""Wrappers of decoders whose class has no tie: their flag is told, whatever the other says."""


def with_flags(config: Config, top: bool | None, nested: bool | None) -> Config:
    text = {k: v for k, v in config["text_config"].items() if k != TIE}
    if nested is not None:
        text[TIE] = nested
    whole = {k: v for k, v in config.items() if k != TIE} | {"text_config": text}
    return whole if top is None else whole | {TIE: top}


@pytest.mark.parametrize("model_type", READ)
def test_flags_of_a_wrapper_and_its_text_part(model_type: str) -> None:
    """What transformers makes of them is known, and is the fact but for published defaults."""
    saved = read_fixture(model_type)["rows"][0]["saved"]
    for top, nested, tied in FLAGS[model_type]:
        config = with_flags(saved, top, nested)
        architecture, found = read(config)
        assert tied_by_class(config, "config.json") is tied, (top, nested)
        told = [(f.rule, f.severity) for f in found if f.path.endswith(TIE)]
        contradicts = None not in (top, nested) and top != nested
        if contradicts:
            assert [rule for rule, _ in told] == [CONTRADICTION], (top, nested)
        if model_type not in UNTIED_PARTS:
            assert ["behaviour"] * contradicts == [severity for _, severity in told], (top, nested)
        as_published = (top, nested) == (True, False)
        if contradicts and not as_published:
            assert architecture.embedding.tied is tied, (top, nested)


def changes_of_flags(
    alias: str, before: tuple[bool | None, bool | None], after: tuple[bool | None, bool | None]
) -> list[tuple[str, str]]:
    old, new = (entry_of(with_flags(spec(alias), *flags)) for flags in (before, after))
    return [(c.rule, c.severity) for c in find_differences(old, new)]


def entry_of(config: Config) -> Entry:
    return make_entry(read_model(RawModel("model", "local", "model", config, "config.json")))


def test_a_tie_that_only_transformers_makes_is_weights() -> None:
    """Without the wrapper's flag transformers takes its class default, whatever the part says."""
    told = [(CONTRADICTION, "weights")]
    assert changes_of_flags("qwen3.5-0.8b", (True, True), (None, True)) == told
    assert changes_of_flags("mistral-small-3.1", (None, None), (False, None)) == told
    assert changes_of_flags("mistral-small-3.1", (None, None), (True, None)) == []
    assert changes_of_flags("qwen3.5-27b", (False, None), (None, None)) == []


@pytest.mark.parametrize(
    ("alias", "before", "after", "told"),
    [
        ("qwen3.5-0.8b", (True, True), (None, True), [(CONTRADICTION, "weights")]),
        ("qwen3.5-0.8b", (None, True), (True, True), []),
        ("mistral-small-3.1", (None, None), (False, None), []),
        ("mistral-small-3.1", (False, None), (None, None), []),
    ],
)
def test_with_tensors_only_a_head_that_is_missing_counts(
    alias: str,
    before: tuple[bool | None, bool | None],
    after: tuple[bool | None, bool | None],
    told: list[tuple[str, str]],
) -> None:
    """A head that is stored is loaded, whether or not the flags tie it."""
    tensors = StoredTensors(2, 8, "digest")
    old, new = (
        replace(entry_of(with_flags(spec(alias), *flags)), tensors=tensors)
        for flags in (before, after)
    )
    assert [(c.rule, c.severity) for c in with_ties_of_class([], old, new)] == told


@pytest.mark.parametrize(
    ("alias", "before", "after", "severity"),
    [
        ("mistral-small-3.1", (None, None), (True, False), "info"),
        ("mistral-small-3.1", (None, False), (True, False), "info"),
        ("mistral-small-3.1", (False, False), (True, False), "weights"),
        ("qwen3-vl-30b-a3b", (False, None), (False, True), "info"),
        ("qwen3-vl-30b-a3b", (False, False), (False, True), "behaviour"),
    ],
)
def test_class_defaults_that_are_written_out(
    alias: str,
    before: tuple[bool | None, bool | None],
    after: tuple[bool | None, bool | None],
    severity: str,
) -> None:
    """transformers saves both flags; the model is the same, and so are the readers of each."""
    found = [told for _, told in changes_of_flags(alias, before, after)]
    assert max(found, key=list(reversed(SEVERITIES)).index) == severity, found


def test_a_key_that_some_block_obeys_is_told_once() -> None:
    """The class obeys it in one block and ignores it in another; the change is one line."""
    config = spec("deepseek-v2")
    told = [f for f in read(config | {"mlp_bias": True})[1] if f.path == "mlp_bias"]
    assert [f.rule for f in told] == ["value-not-described"]
    old, new = entry_of(config), entry_of(config | {"mlp_bias": True})
    changes = [c for c in find_differences(old, new) if c.path == "mlp_bias"]
    assert [(c.rule, c.severity) for c in changes] == [("value-not-described", "weights")]


def test_a_frequency_of_experts_tells_who_reads_it() -> None:
    config = spec("deepseek-v3")
    assert not [f for f in read(config)[1] if f.path == "moe_layer_freq"]
    (found,) = (f for f in read(config | {"moe_layer_freq": 2})[1] if f.path == "moe_layer_freq")
    assert found.severity == "info" and "vLLM" in found.message
