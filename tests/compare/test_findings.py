"""Findings as changes: for each rule about a checkpoint and its files, an upload that brings it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import safetensors
from helpers.loopback import Files, Hub, commit_of
from helpers.models import Tensors, files, fixture, having, layers, without
from helpers.program import Run

import llmarch
from llmarch.compare.rules import RULES

pytestmark = pytest.mark.usefixtures("work")

REPO = "acme/model"
SMALL = "qwen3-0.6b"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def small(*config: Any, **more: Any) -> Files:
    return files(SMALL, *config, **more)


def declaring(**keys: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the change of a config that declares its quantisation with other keys."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        return config | {"quantization_config": config["quantization_config"] | keys}

    return change


def excluding(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the change of a config that excludes modules from its quantisation."""
    return declaring(modules_to_not_convert=list(names))


def adding(**tensors: tuple[str, tuple[int, ...]]) -> Callable[[Tensors], Tensors]:
    return lambda t: t | {n.replace("__", "."): v for n, v in tensors.items()}


def packed(t: Tensors) -> Tensors:
    """Four-bit values in a packing that nobody knows, of one matrix."""
    return {
        n.replace("weight", "qweight_x") if "layers.0.mlp.up_proj" in n else n: (
            "U8",
            (s[0], s[1] // 2),
        )
        if "layers.0.mlp.up_proj" in n
        else (d, s)
        for n, (d, s) in t.items()
    }


def shards(
    change: Callable[[dict[str, Any], dict[str, str]], None], extra: Files | None = None
) -> Files:
    """Two shards whose index was changed."""
    content = dict(small(shards=2))
    data = content["model.safetensors.index.json"]
    assert isinstance(data, bytes)
    index = json.loads(data)
    change(index["metadata"], index["weight_map"])
    return (
        content | {"model.safetensors.index.json": json.dumps(index).encode()} | dict(extra or {})
    )


def stated_twice() -> Files:
    """A config with a second hidden_size, which is the last and so the one that is read."""
    content = dict(small())
    data = content["config.json"]
    assert isinstance(data, bytes)
    return content | {"config.json": data.replace(b"{", b'{"hidden_size": 64, ', 1)}


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def wrong_shard(_: dict[str, Any], names: dict[str, str]) -> None:
    names[EMBEDDING] = SECOND


def unlisted(_: dict[str, Any], names: dict[str, str]) -> None:
    del names[EMBEDDING]


def listed_only(_: dict[str, Any], names: dict[str, str]) -> None:
    names["model.layers.0.self_attn.rotary_emb.inv_freq"] = FIRST


def other_size(metadata: dict[str, Any], _: dict[str, str]) -> None:
    metadata["total_size"] = 1


def twice() -> Files:
    _, t = fixture(SMALL)
    copy = {EMBEDDING: t[EMBEDDING]}
    names = dict.fromkeys(t, "a.safetensors")
    index = json.dumps({"metadata": {}, "weight_map": names | {"extra": "b.safetensors"}}).encode()
    return {
        "config.json": small()["config.json"],
        "model.safetensors.index.json": index,
        "a.safetensors": safetensors(t),
        "b.safetensors": safetensors(copy | {"extra": ("BF16", (1,))}),
    }


def in_eight_bits(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}


def attention_in_eight_bits(t: Tensors) -> Tensors:
    """Attention as bitsandbytes packs it, and experts as they are."""
    names = [name for name in t if "self_attn" in name]
    scales = {f"{n.removesuffix('weight')}SCB": ("F32", t[n][1][:1]) for n in names}
    return t | {n: ("I8", t[n][1]) for n in names} | scales


def head_alone(t: Tensors) -> Tensors:
    """The tied embedding under the head's name."""
    return {n.replace("model.embed_tokens", "lm_head"): v for n, v in t.items()}


def gptq_without_scales(t: Tensors) -> Tensors:
    return {n: v for n, v in t.items() if not n.endswith("layers.0.mlp.up_proj.scales")}


def renamed(t: Tensors, prefix: str, other: str) -> Tensors:
    return {other + n.removeprefix(prefix) if n.startswith(prefix) else n: v for n, v in t.items()}


def turned_experts(t: Tensors) -> Tensors:
    return {n: (d, (s[0], s[2], s[1]) if len(s) == 3 else s) for n, (d, s) in t.items()}


def declared_beside() -> Files:
    """A checkpoint whose quantization_config is in quantize_config.json instead."""
    content = dict(files("qwen3-0.6b-reduced-gptq"))
    data = content["config.json"]
    assert isinstance(data, bytes)
    config = json.loads(data)
    declared = config.pop("quantization_config")
    return content | {
        "config.json": json.dumps(config).encode(),
        "quantize_config.json": json.dumps(declared).encode(),
    }


ROWS: list[tuple[str, Callable[[], Files], Callable[[], Files]]] = [
    (
        "fact-contradicted",
        small,
        lambda: small(tensors=adding(model__layers__0__self_attn__q_proj__bias=("BF16", (2048,)))),
    ),
    ("tensor-missing", small, lambda: small(tensors=without("layers.7.mlp.up_proj"))),
    ("tensor-unexpected", small, lambda: small(tensors=layers(29))),
    (
        "tensor-shape",
        small,
        lambda: small(tensors=lambda t: t | {"model.norm.weight": ("BF16", (7,))}),
    ),
    ("config-refused", small, lambda: small(having(rms_norm_eps=0))),
    (
        "class-of-another-type",
        small,
        lambda: small(having(architectures=["LlamaForCausalLM"])),
    ),
    ("untied-head-missing", small, lambda: small(having(tie_word_embeddings=False))),
    (
        "tower-missing",
        lambda: files("gemma-3-4b"),
        lambda: files("gemma-3-4b", tensors=without("vision_tower", "multi_modal")),
    ),
    (
        "mtp-missing",
        lambda: files("glm-4.5-reduced-mtp"),
        lambda: files("glm-4.5-reduced-mtp", tensors=without(*mtp_layers())),
    ),
    (
        "mtp-stored",
        lambda: files("qwen3-next-reduced-mtp", tensors=without("mtp.")),
        lambda: files("qwen3-next-reduced-mtp"),
    ),
    ("tied-copy-stored", small, lambda: small(tensors=lambda t: t | {HEAD: t[EMBEDDING]})),
    (
        "buffers-stored",
        small,
        lambda: small(
            tensors=adding(model__layers__0__self_attn__rotary_emb__inv_freq=("F32", (64,)))
        ),
    ),
    (
        "tensor-dtype",
        lambda: files("qwen3-0.6b-reduced-fp8-block"),
        lambda: files(
            "qwen3-0.6b-reduced-fp8-block",
            lambda c: {k: v for k, v in c.items() if k != "quantization_config"},
        ),
    ),
    (
        "packed-without-scales",
        lambda: files("qwen3-0.6b-reduced-gptq"),
        lambda: files("qwen3-0.6b-reduced-gptq", tensors=gptq_without_scales),
    ),
    (
        "quantization-beside-config",
        lambda: files("qwen3-0.6b-reduced-gptq"),
        declared_beside,
    ),
    (
        "quantization-files-differ",
        lambda: files("qwen3-0.6b-reduced-gptq"),
        lambda: {
            **files("qwen3-0.6b-reduced-gptq"),
            "quantize_config.json": json.dumps({"bits": 8}).encode(),
        },
    ),
    (
        "quantization-word-unknown",
        lambda: files("qwen3-0.6b-reduced-fp8-block"),
        lambda: files("qwen3-0.6b-reduced-fp8-block", declaring(activation_scheme="lazy")),
    ),
    (
        "declaration-not-obeyed",
        lambda: files("qwen3-0.6b-reduced-bnb-nf4"),
        lambda: files("qwen3-0.6b-reduced-bnb-nf4", declaring(bnb_4bit_quant_type="fp4")),
    ),
    (
        "experts-unquantised",
        lambda: files("granite-3.1-1b-a400m"),
        lambda: files("granite-3.1-1b-a400m", in_eight_bits, tensors=attention_in_eight_bits),
    ),
    ("not-comparable", small, lambda: small(tensors=packed)),
    (
        "stored-tensors-changed",
        small,
        lambda: small(tensors=lambda t: {n: ("F16", s) for n, (_, s) in t.items()}),
    ),
    (
        "shard-missing",
        lambda: small(shards=2),
        lambda: {n: f for n, f in small(shards=2).items() if n != SECOND},
    ),
    ("index-tensor-missing", lambda: small(shards=2), lambda: shards(listed_only)),
    ("index-wrong-shard", lambda: small(shards=2), lambda: shards(wrong_shard)),
    ("index-tensor-unlisted", lambda: small(shards=2), lambda: shards(unlisted)),
    ("index-total-size", lambda: small(shards=2), lambda: shards(other_size)),
    ("tensor-in-two-shards", small, twice),
    ("weights-by-reader", small, lambda: {**small(shards=2), **small()}),
    (
        "pattern-not-compared",
        lambda: files("qwen3-0.6b-reduced-fp8-block"),
        lambda: files("qwen3-0.6b-reduced-fp8-block", excluding("a*" * 5001)),
    ),
    (
        "tied-head-alone",
        lambda: files("llama-3.2-1b"),
        lambda: files("llama-3.2-1b", tensors=head_alone),
    ),
    (
        "pattern-refused",
        lambda: files("qwen2.5-7b-reduced-gptq"),
        lambda: files("qwen2.5-7b-reduced-gptq", declaring(dynamic={"-:*(": {}})),
    ),
    (
        "list-by-reader",
        lambda: files("qwen3-0.6b-reduced-fp8-block"),
        lambda: files("qwen3-0.6b-reduced-fp8-block", excluding("*.none.(")),
    ),
    ("other-weights", small, lambda: small(more={"pytorch_model.bin": b""})),
    (
        "layer-list-length",
        small,
        lambda: small(having(per_layer_config={"28": {"intermediate_size": 1}})),
    ),
    ("config-contradiction", small, lambda: small(having(dtype="float32"))),
    ("key-stated-twice", small, stated_twice),
    (
        "value-not-described",
        lambda: files("gpt2-124m"),
        lambda: files("gpt2-124m", having(add_cross_attention=True)),
    ),
    (
        "newer-spelling",
        small,
        lambda: small(having(rope_theta=None, rope_parameters={"rope_theta": 1e6})),
    ),
    (
        "remote-code",
        small,
        lambda: small(having(auto_map={"AutoModelForCausalLM": "modeling_x.XForCausalLM"})),
    ),
    ("unread-key", small, lambda: small(having(attention_twist=3))),
    ("names-not-loaded", small, lambda: small(tensors=lambda t: renamed(t, "", "transformer."))),
    (
        "layout-not-loaded",
        lambda: files("qwen3-30b-a3b-reduced-fused"),
        lambda: files("qwen3-30b-a3b-reduced-fused", tensors=turned_experts),
    ),
    (
        "names-mixed",
        small,
        lambda: small(tensors=lambda t: renamed(t, "model.layers.3.", "layers.3.")),
    ),
]


def mtp_layers() -> tuple[str, ...]:
    config, _ = fixture("glm-4.5-reduced-mtp")
    return (f"layers.{config['num_hidden_layers']}.",)


def rules(new: str, old: str, **options: Any) -> set[str]:
    (verdict,) = llmarch.check(new, against=old, fail_on="info", **options).verdicts
    assert verdict.error is None, verdict.error
    return {c.rule for c in verdict.changes}


ROWS += [
    ("token-ids-changed", small, lambda: small(having(eos_token_id=[151643, 151645]))),
    (
        "remote-code-changed",
        lambda: small(more={"modeling_x.py": b"x = 1"}),
        lambda: small(more={"modeling_x.py": b"x = 2"}),
    ),
    (
        "files-changed",
        lambda: small(more={"chat_template.jinja": b"old"}),
        lambda: small(more={"chat_template.jinja": b"new"}),
    ),
]


@pytest.mark.parametrize(("rule", "old", "new"), ROWS, ids=[r[0] for r in ROWS])
def test_an_upload_brings_its_rule(
    hub: Hub, rule: str, old: Callable[[], Files], new: Callable[[], Files]
) -> None:
    hub.add(REPO, old(), "old")
    hub.add(REPO, new(), "new")
    assert rule in rules(f"{REPO}@new", f"{REPO}@old")
    assert rule not in rules(f"{REPO}@old", f"{REPO}@old")
    gone = llmarch.check(f"{REPO}@old", against=f"{REPO}@new").verdicts[0].changes
    assert [c.severity for c in gone if c.rule == rule and c.new is None] == ["info"] * sum(
        c.rule == rule and c.new is None for c in gone
    )


@pytest.mark.parametrize(("rule", "old", "new"), ROWS, ids=[r[0] for r in ROWS])
def test_a_conflict_fails_the_gate_at_its_default_level(
    hub: Hub, rule: str, old: Callable[[], Files], new: Callable[[], Files]
) -> None:
    """What makes the status `conflict` breaks something, so that no gate lets it pass."""
    hub.add(REPO, old(), "old")
    hub.add(REPO, new(), "new")
    model = llmarch.inspect(f"{REPO}@new")
    worst = [f for f in model.findings if f.severity != "info"]
    assert all(f.severity in ("weights", "behaviour") for f in worst)
    if model.status == "conflict":
        assert worst
        assert llmarch.check(f"{REPO}@new", against=f"{REPO}@old").exit_code == 1


@pytest.mark.parametrize(("rule", "old", "new"), ROWS, ids=[r[0] for r in ROWS])
def test_no_command_passes_on_a_conflict(
    hub: Hub, run: Run, rule: str, old: Callable[[], Files], new: Callable[[], Files]
) -> None:
    """What promises something promises nothing of a conflict, the same one as before included.

    Of what is no conflict nothing fails that passed before.
    """
    hub.add(REPO, new())
    model = llmarch.inspect(REPO)
    failed = int(model.status == "conflict")
    partial = 4 if model.status == "partial" or model.raw.partial else 0
    run("lock", REPO, code=partial or failed)
    assert Path("llmarch.lock").exists() == (failed + partial == 0)
    run("lock", REPO, "--allow-conflict", code=partial)
    if not partial:
        run("check", code=failed)
        run("check", "--update", code=failed)
        run("check", code=failed)
        run("check", REPO, "--against", REPO, code=failed)
        run("diff", REPO, REPO, "--fail-on", "behaviour", code=failed)
    run("diff", REPO, REPO, "--exit-code", code=failed or partial)
    fit = run("fit", REPO, "--gpus", "H200", "--check", code=partial or 5 * failed)[0]
    memory = run("memory", REPO, "--gpus", "H200", code=partial)[0]
    for said in (fit, memory):
        first = said.index("contradict") if failed else 0
        assert first <= said.index("GiB")
        assert ("contradict" in said) == bool(failed)
    assert ("Fits" in fit) != bool(failed)


def test_no_finding_of_a_reading_is_below_the_default_level() -> None:
    """`stored-tensors-changed` is a comparison's; no reading has it."""
    below = {
        r.id for r in RULES if r.pattern is None and r.severity in ("capacity", "quantization")
    }
    assert below == {"stored-tensors-changed"}


def test_a_shard_or_an_index_that_the_server_does_not_give(hub: Hub) -> None:
    for number, (part, rule) in enumerate(
        {SECOND: "shard-unreadable", "index.json": "index-unreadable"}.items()
    ):
        hub.add(REPO, small(shards=2), "old")
        hub.add(REPO, small(having(transformers_version=f"4.{number}"), shards=2), f"new{number}")
        rules(f"{REPO}@old", f"{REPO}@old")
        hub.broken[
            f"{commit_of(REPO, f'new{number}')}/{part}" if "safetensors" in part else part
        ] = 503
        report = llmarch.check(f"{REPO}@new{number}", against=f"{REPO}@old")
        assert rule in {c.rule for c in report.verdicts[0].changes}
        assert report.exit_code == 4
        hub.broken.clear()


def test_a_repository_that_was_renamed(hub: Hub) -> None:
    hub.add("acme/new-name", small())
    hub.moved[REPO] = "acme/new-name"
    assert rules(REPO, "acme/new-name") == {"repo-moved"}
    assert llmarch.check(REPO, against="acme/new-name").exit_code == 0


def test_files_here(hub: Hub, tmp_path: Path) -> None:
    """One shard of several; and a config without its tensors in the Hub's own cache."""
    for name, content in small(shards=2).items():
        data, size = (
            (content, len(content)) if isinstance(content, bytes) else (content.head, content.size)
        )
        with (tmp_path / name).open("wb") as file:
            file.write(data)
            file.truncate(size)
    folder = str(tmp_path)
    assert llmarch.check(f"{folder}/{FIRST}", against=folder).exit_code == 2, (
        "a shard without its config"
    )
    commit = commit_of(REPO)
    snapshot = tmp_path / "hf" / f"models--{REPO.replace('/', '--')}" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    config = small()["config.json"]
    assert isinstance(config, bytes)
    (snapshot / "config.json").write_bytes(config)
    hub.add(REPO, small())
    report = llmarch.check(f"{REPO}@{commit}", against=folder, offline=True)
    assert "headers-not-cached" in {c.rule for c in report.verdicts[0].changes}
    assert report.exit_code == 4


def test_every_finding_rule_has_a_row() -> None:
    shown = {row[0] for row in ROWS} | {
        "shard-unreadable",
        "index-unreadable",
        "repo-moved",
        "headers-not-cached",
        "reading-changed",
    }
    elsewhere = {
        "single-shard",
        "tensor-unrecognised",
        "unused-stored",
        "head-unknown",
        "head-from-tensors",
        "name-not-exact",
    }
    """The first two have no architecture to compare; tests/checkpoint has the others."""
    of_findings = {r.id for r in RULES if r.pattern is None}
    adapters = {id for id in of_findings if id.startswith("adapter-")}
    elsewhere |= adapters  # tests/checkpoint/test_adapters.py
    elsewhere |= {"pickle-unreadable", "pickle-globals"}  # tests/sources/test_torch_files.py
    missing = sorted(of_findings - shown - elsewhere)
    assert not missing, f"add a row to ROWS: an upload that brings {', '.join(missing)}"
    assert elsewhere <= of_findings - shown
