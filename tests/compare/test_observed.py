"""Gate models that no family reads: their observed facts, every config key, and the tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model, table_of
from helpers.checkpoints import safetensors
from helpers.gguf_files import write_header
from helpers.loopback import Hub
from helpers.models import (
    Config,
    Tensors,
    files,
    fixture,
    having,
    layers,
    resized,
    with_dtype,
    with_prefix,
)
from helpers.program import Run

import llmarch
from llmarch.architecture.json_schema import validate
from llmarch.checkpoint.reading import read_or_infer
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.gate import judge
from llmarch.compare.lock import Entry, lock_text, make_entry, parse_lock
from llmarch.compare.observed import config_keys
from llmarch.compare.policy import Policy
from llmarch.sources import non_models

pytestmark = pytest.mark.usefixtures("work")

MODELS = (
    "qwen3-0.6b",
    "gpt2-124m",
    "gemma-3-4b",
    "gpt-oss-20b-mxfp4",
    "deepseek-v2-lite-reduced",
    "deepseek-v4-flash-reduced-mtp",
    "qwen3-next-reduced-mtp",
    "qwen3-0.6b-reduced-awq",
    "nemotron-h-56b-reduced",
)
MARS = {"model_type": "from_mars"}


def entry(config: Config, tensors: Tensors | None) -> Entry:
    table = None if tensors is None else table_of(tensors)
    return make_entry(read_or_infer(local_model(config, table, "m"), config_suffices=True))


@cache
def pair(name: str) -> tuple[Entry, Entry]:
    """The same model as a family reads it and as it is observed."""
    config, tensors = fixture(name)
    return entry(config, tensors), entry(config | MARS, tensors)


@pytest.mark.parametrize("name", MODELS)
def test_a_read_and_an_observed_model_differ_in_nothing_that_both_show(name: str) -> None:
    """Only the key differs that no family knows; what could not be compared is said."""
    for old, new in (pair(name), pair(name)[::-1]):
        (change,) = find_differences(old, new)
        assert (change.path, change.severity) == ("model_type", "behaviour")
        verdict = judge(old, new, Policy())
        assert verdict.partial and "could not be" in verdict.remarks[0]


@pytest.mark.parametrize("name", MODELS)
def test_an_observed_model_is_locked_as_it_is(name: str) -> None:
    _, observed = pair(name)
    text = lock_text({"m": observed}, "llmarch")
    lock = parse_lock(json.loads(text), text, "llmarch.lock")
    assert lock.entries["m"] == observed
    assert find_differences(lock.entries["m"], observed) == []
    assert lock.fact_lines["m"]["hidden_size"] > 1 and lock.fact_lines["m"]["model_type"] > 1
    before, facts, after = text.partition('"facts": {')
    edited = before + facts + after.replace('"hidden_size": ', '"hidden_size": 1', 1)
    with pytest.raises(llmarch.errors.ConfigError, match="does not match its fingerprint"):
        parse_lock(json.loads(edited), edited, "llmarch.lock")


@pytest.mark.parametrize("name", MODELS)
def test_a_family_that_comes_with_an_upgrade_breaks_nobody(name: str) -> None:
    """Locked while no family read it, read by one now: the same config and tensors pass."""
    config, _ = fixture(name)
    read, observed = pair(name)
    before = replace(observed, config_keys=config_keys(config))
    verdict = judge(before, read, Policy())
    assert not verdict.partial and not verdict.changes
    assert "a family reads it now" in verdict.remarks[0]


@pytest.mark.parametrize("name", MODELS[:4])
def test_every_key_that_changes_is_told(name: str) -> None:
    """Of an unknown model each key counts, nested ones too, with what it may break."""
    config, _ = fixture(name)
    old = entry(config | MARS, None)
    for key, value in config.items():
        if key == "model_type" or value is None:
            continue
        other = {**value, "twist": 1} if isinstance(value, dict) else [value, 7]
        for edited in (
            config | MARS | {key: other},
            {k: v for k, v in (config | MARS).items() if k != key},
        ):
            changes = find_differences(old, entry(edited, None))
            assert changes, key
            assert all(c.path.split(".")[0] == key for c in changes), key
            assert all(c.rule in ("unread-key", "token-ids-changed") for c in changes)
    unknown = find_differences(old, entry(config | MARS | {"attention_twist": 3}, None))
    assert [(c.path, c.old, c.new, c.severity) for c in unknown] == [
        ("attention_twist", None, "3", "behaviour")
    ]
    assert find_differences(old, entry(config | MARS | {"attention_twist": None}, None)) == []
    for key in ("transformers_version", "use_cache"):
        (change,) = find_differences(old, entry(config | MARS | {key: "5.99"}, None))
        assert change.severity == "info"


def without_last(t: Tensors) -> Tensors:
    return dict(list(t.items())[:-1])


def test_every_change_of_tensors_is_told() -> None:
    config, tensors = fixture("qwen3-0.6b")
    _, old = pair("qwen3-0.6b")

    def rules(change: Callable[[Tensors], Tensors]) -> dict[str, str]:
        found = find_differences(old, entry(config | MARS, change(tensors)))
        return {c.rule: c.severity for c in found}

    assert rules(with_dtype("F32")) == {"stored-tensors-changed": "quantization"}
    assert rules(without_last)["stored-tensors-changed"] == "weights"
    assert rules(with_prefix("", "wrapped."))["stored-tensors-changed"] == "weights"
    assert rules(resized(151_940)) == {
        "vocabulary-changed": "weights",
        "stored-tensors-changed": "weights",
    }
    assert rules(layers(27)) == {"layers-changed": "weights", "stored-tensors-changed": "weights"}


def test_a_packed_copy_is_stored_differently() -> None:
    """The same sizes in another packing: `quantization`, as for a model that a family reads."""
    config, tensors = fixture("qwen3-0.6b-reduced-awq")
    plain, _ = fixture("qwen3-0.6b")
    _, whole = fixture("qwen3-0.6b")
    n = config["num_hidden_layers"]
    old = entry(plain | MARS | {"num_hidden_layers": n}, layers(n)(whole))
    changes = find_differences(old, entry(config | MARS, tensors))
    (stored,) = [c for c in changes if c.rule == "stored-tensors-changed"]
    assert stored.severity == "quantization"


# On the command line


@pytest.fixture
def mars(hub: Hub, run: Run) -> Hub:
    """A repository of a model_type that no family reads, locked."""
    hub.push("acme/mars", files("qwen3-0.6b", having(**MARS)), "first")
    out, _ = run("lock", "acme/mars", "qwen3-8b")
    assert "observed" in out
    return hub


def push(hub: Hub, revision: str, config: Callable[[Config], Config]) -> None:
    hub.push("acme/mars", files("qwen3-0.6b", config), revision)


def verdict(run: Run, *args: str, code: int = 0) -> dict[str, Any]:
    return run.document("check", *args, code=code)["verdicts"][0]


def test_check_of_an_observed_model(mars: Hub, run: Run) -> None:
    assert verdict(run)["changes"] == []
    assert "no family reads it" in run("check")[0]
    push(mars, "twist", having(**MARS, attention_twist=3))
    (change,) = verdict(run, code=1)["changes"]
    assert (change["rule"], change["path"], change["severity"]) == (
        "unread-key",
        "attention_twist",
        "behaviour",
    )
    assert "attention_twist   3" in run("check", code=1)[0]
    verdict(run, "--ignore", "unread-key:attention_twist")
    Path("llmarch.toml").write_text('severity = {"unread-key" = "info"}\n')
    verdict(run)
    run("check", "--update")
    Path("llmarch.toml").unlink()
    assert verdict(run)["changes"] == []
    push(mars, "read", lambda config: config)
    assert "model_type" in {c["path"] for c in verdict(run, code=1)["changes"]}
    assert llmarch.check(ignore=["unread-key"]).exit_code == 4, "not all of it was compared"


def test_check_of_a_config_alone(run: Run, tmp_path: Path) -> None:
    config, _ = fixture("qwen3-0.6b")
    folder = Path("mars")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config | MARS))
    run("lock", "./mars")
    assert verdict(run)["changes"] == []
    (folder / "config.json").write_text(json.dumps(config | MARS | {"rope_theta": 7}))
    assert [c["path"] for c in verdict(run, code=1)["changes"]] == ["rope_theta"]


@pytest.mark.parametrize("format", ["text", "markdown", "json"])
def test_diff_with_observed_models(mars: Hub, run: Run, format: str) -> None:
    push(mars, "twist", having(**MARS, attention_twist=3))
    pairs: tuple[tuple[str, ...], ...] = (
        ("acme/mars@first", "acme/mars@twist"),
        ("acme/mars@first", "qwen3-0.6b"),
        ("qwen3-0.6b", "acme/mars@twist"),
        ("qwen3-0.6b", "acme/mars@first", "acme/mars@twist"),
        ("acme/mars@first", "acme/mars@first"),
    )
    for refs in pairs:
        out, _ = run("diff", *refs, "-f", format)
        same = len(set(refs)) < 2
        if format == "json":
            validate(json.loads(out))
            assert same or "model_type" in out or "attention_twist" in out
        else:
            out = out.replace("\\", "")
            assert ("attention_twist" in out) == any(ref.endswith("twist") for ref in refs)
            assert "no family" in out or "from_mars" in out
        run("diff", *refs, "--exit-code", code=0 if same else 1)
        run("diff", *refs, "--fail-on", "behaviour", "-f", format, code=0 if same else 1)


def test_a_draft_head_is_gated(hub: Hub, run: Run) -> None:
    tensors = {
        "fc.weight": ("BF16", (64, 192)),
        "midlayer.self_attn.q_proj.weight": ("BF16", (64, 128)),
        "midlayer.mlp.up_proj.weight": ("BF16", (96, 64)),
        "d2t": ("I64", (100,)),
        "lm_head.weight": ("BF16", (100, 64)),
    }
    config = {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": 64}

    def push_draft(revision: str, **keys: Any) -> None:
        hub.push(
            "acme/draft",
            {
                "config.json": json.dumps(config | keys).encode(),
                "model.safetensors": safetensors(tensors),
            },
            revision,
        )

    push_draft("first")
    run("lock", "acme/draft")
    assert verdict(run)["changes"] == []
    push_draft("second", draft_vocab_size=100)
    assert [c["path"] for c in verdict(run, code=1)["changes"]] == ["draft_vocab_size"]


# Models of another kind: encoders, encoder-decoders, parts of pipelines

OTHER_MODEL_TYPES = sorted(
    {
        *non_models.TEXT_ENCODERS,
        *non_models.ENCODER_DECODERS,
        *(name for names in non_models.KINDS_OF_ENCODERS.values() for name in names),
    }
)


def write_config(folder: str, **keys: Any) -> None:
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "config.json").write_text(json.dumps(keys))


def test_every_kind_of_model_is_gated(run: Run) -> None:
    """None is refused, each key that changes is told, and `show` says what they are."""
    configs: dict[str, dict[str, Any]] = {
        f"./{name}": {"model_type": name} for name in OTHER_MODEL_TYPES
    }
    configs["./embedding_gemma"] = {
        **fixture("gemma-3-4b")[0]["text_config"],
        "model_type": "gemma3_text",
        "use_bidirectional_attention": True,
    }
    configs["./unet"] = {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.1"}
    for folder, config in configs.items():
        write_config(folder, **config)
    run("lock", *configs)
    document = run.document("check")
    assert len(document["verdicts"]) == len(configs)
    assert [v["changes"] for v in document["verdicts"]] == [[]] * len(configs)
    for folder, config in configs.items():
        write_config(folder, **config, twist=3)
    document = run.document("check", code=1)
    told = [[(c["path"], c["severity"]) for c in v["changes"]] for v in document["verdicts"]]
    assert told == [[("twist", "behaviour")]] * len(configs)
    for folder in ("./bert", "./t5", "./clip", "./embedding_gemma", "./unet"):
        _, err = run("show", folder, code=2)
        assert "not a decoder" in err
    out, _ = run("diff", "./bert", "./t5")
    assert "a text encoder (bert), not a decoder language model" in out
    assert '"' not in out, "values of keys are in words"


def test_an_encoder_of_the_hub_is_gated(hub: Hub, run: Run) -> None:
    """With its tensors, and from the cache, of which `show` still says what it is."""

    def push_encoder(revision: str, width: int) -> None:
        tensors = {
            "embeddings.word_embeddings.weight": ("F32", (100, width)),
            "encoder.layer.0.attention.self.query.weight": ("F32", (width, width)),
        }
        config = {"model_type": "bert", "architectures": ["BertModel"]}
        content = {
            "config.json": json.dumps(config).encode(),
            "model.safetensors": safetensors(tensors),
        }
        hub.push("acme/encoder", content, revision)

    push_encoder("first", 8)
    run("lock", "acme/encoder")
    assert verdict(run)["changes"] == []
    assert verdict(run, "--offline")["changes"] == []
    _, err = run("show", "acme/encoder", code=2)
    assert "a text encoder (BertModel), not a decoder language model" in err
    push_encoder("second", 16)
    told = {(c["rule"], c["severity"]) for c in verdict(run, code=1)["changes"]}
    assert ("stored-tensors-changed", "weights") in told


def test_an_encoder_in_a_gguf_file_is_gated(run: Run) -> None:
    keys = {"general.architecture": ("STRING", None, "bert")}
    write_header(Path("bert.gguf"), keys, [("blk.0.attn_q.weight", (8, 8), "F32")])
    run("lock", "./bert.gguf")
    assert verdict(run)["changes"] == []
    _, err = run("show", "./bert.gguf", code=2)
    assert "a text encoder" in err
