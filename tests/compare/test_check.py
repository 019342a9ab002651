"""Run the gate on a repository with a history on a loopback Hub.

Every commit has an exit code and rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import TOKEN, Files, Hub, commit_of
from helpers.models import files, fixture, having, layers, resized, without
from helpers.program import Run

import llmarch

pytestmark = pytest.mark.usefixtures("work")

BOT = "acme/support-bot"


def reports(run: Run, *args: str, code: int) -> list[dict[str, Any]]:
    """Return the verdicts of `check` as JSON."""
    document = run.json("check", *args, code=code)
    assert document["exit_code"] == code
    return document["verdicts"]


def fp8() -> Files:
    """Return the same model in blocks of FP8, as its maker quantises it."""
    config, tensors = fixture("qwen3-0.6b-reduced-fp8-block")
    return files("qwen3-0.6b-reduced-fp8-block", lambda _: config, lambda _: tensors)


# The history of acme/support-bot: a Qwen3 of 28 layers in two shards, and what was pushed to it.
def dropped_shard() -> Files:
    whole = files("qwen3-0.6b", shards=2)
    return {n: f for n, f in whole.items() if n != "model-00002-of-00002.safetensors"}


def resaved_files() -> Files:
    """Return the same model with another config.json that means the same."""
    return files("qwen3-0.6b", having(use_cache=False), shards=2)


HISTORY: dict[str, tuple[Callable[[], Files], int, set[str]]] = {
    "readme-only": (
        lambda: files("qwen3-0.6b", shards=2, more={"README.md": b"# Support bot\n"}),
        0,
        set(),
    ),
    "resharded": (lambda: files("qwen3-0.6b", shards=3), 0, set()),
    "rope-theta-edit": (
        lambda: files("qwen3-0.6b", having(rope_theta=10_000), shards=2),
        1,
        {"rope-theta-changed"},
    ),
    "added-layer": (
        lambda: files("qwen3-0.6b", having(num_hidden_layers=29), layers(29), shards=2),
        1,
        {"layers-changed"},
    ),
    "dropped-shard": (dropped_shard, 1, {"shard-missing", "tensor-missing"}),
    "weights-of-another-model": (
        lambda: files("qwen3-0.6b", tensors=layers(27), shards=2),
        1,
        {"tensor-missing", "fact-contradicted"},
    ),
    "bfloat16-to-float32": (
        lambda: files(
            "qwen3-0.6b", tensors=lambda t: {n: ("F32", s) for n, (_, s) in t.items()}, shards=2
        ),
        0,
        {"stored-tensors-changed"},
    ),
    "gguf-beside": (
        lambda: files("qwen3-0.6b", shards=2, more={"model.q4.gguf": b"GGUF"}),
        0,
        {"other-weights"},
    ),
    "re-saved-by-another-version": (
        lambda: files("qwen3-0.6b", resaved, shards=2),
        0,
        {"newer-spelling"},
    ),
}


def resaved(c: dict[str, Any]) -> dict[str, Any]:
    """Return the config as another transformers version writes it.

    It has other names, another order, and defaults written out.
    """
    rope = {"rope_theta": c["rope_theta"], "rope_type": "default"}
    renamed = {k: v for k, v in c.items() if k not in ("rope_theta", "rope_scaling", "torch_dtype")}
    whole = renamed | {
        "rope_parameters": rope,
        "dtype": c["torch_dtype"],
        "transformers_version": "5.23.0",
    }
    return dict(reversed(whole.items())) | {
        "layer_types": ["full_attention"] * 28,
        "pad_token_id": None,
    }


@pytest.fixture
def locked(hub: Hub, run: Run) -> Hub:
    """Return a Hub with the first commit of the repository, locked beside a bundled model."""
    hub.push(BOT, files("qwen3-0.6b", shards=2), "first")
    run("lock", f"{BOT}@main", "qwen3-8b")
    return hub


def push(hub: Hub, revision: str, content: Files) -> None:
    hub.push(BOT, content, revision)


@pytest.mark.parametrize("commit", HISTORY)
def test_history(locked: Hub, run: Run, commit: str) -> None:
    make, code, rules = HISTORY[commit]
    push(locked, commit, make())
    bot, other = reports(run, code=code)
    assert {c["rule"] for c in bot["changes"]} == rules
    assert bot["old"] == commit_of(BOT, "first")[:7] and bot["new"] == commit_of(BOT, commit)[:7]
    assert other["changes"] == [] and not other["partial"]
    lock_text, _ = run("check", code=code)
    assert lock_text.startswith("llmarch.lock: 2 models\n")
    assert f"{'✗' if code else '✓'} {BOT}@main" in lock_text and "✓ qwen3-8b" in lock_text
    assert all(rule in lock_text for rule in rules)


def test_nothing_pushed(locked: Hub, run: Run) -> None:
    assert "same architecture" in run("check")[0]
    assert [v["changes"] for v in reports(run, code=0)] == [[], []]


def test_a_quantised_re_upload(hub: Hub, run: Run) -> None:
    """Same architecture, stored differently: `quantization`, and nothing above."""
    config, _ = fixture("qwen3-0.6b-reduced-fp8-block")
    original = {k: v for k, v in config.items() if k != "quantization_config"}
    hub.push(
        BOT, files("qwen3-0.6b", lambda _: original, layers(config["num_hidden_layers"])), "first"
    )
    run("lock", BOT)
    push(hub, "fp8", fp8())
    (bot,) = reports(run, code=0)
    assert {c["severity"] for c in bot["changes"]} <= {"quantization", "info"}
    assert "quantization-changed" in {c["rule"] for c in bot["changes"]}
    reports(run, "--fail-on", "quantization", code=1)
    assert (
        "1 change at or above 'quantization'"
        in run(
            "check", f"{BOT}@fp8", "--against", f"{BOT}@first", "--fail-on", "quantization", code=1
        )[0]
    )


def test_update_after_review(locked: Hub, run: Run) -> None:
    before = Path("llmarch.lock").read_text()
    push(locked, "rope-theta-edit", HISTORY["rope-theta-edit"][0]())
    out, err = run("check", "--update")
    assert "rope-theta-changed" in out and f"{BOT}@main updated" in err
    after = Path("llmarch.lock").read_text()
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(changed) == 4, "commit, fingerprint and theta, there and in the config"
    assert '"theta": 10000,' in "\n".join(changed)
    run("check")
    assert "nothing to update" in run("check", "--update")[1]


def test_locking_again_keeps_the_others(locked: Hub, run: Run) -> None:
    lock_text = Path("llmarch.lock").read_text()
    out, _ = run("lock", "qwen3-8b")
    assert out.splitlines() == ["= qwen3-8b   8.19 B   computed", "llmarch.lock: 2 models"]
    assert Path("llmarch.lock").read_text() == lock_text
    assert run("lock", "gpt2")[0].splitlines()[-1] == "llmarch.lock: 3 models"
    assert list(json.loads(Path("llmarch.lock").read_text())["models"]) == [
        f"{BOT}@main",
        "gpt2",
        "qwen3-8b",
    ]


# One model against another


def test_a_fine_tune_against_its_base(hub: Hub, run: Run) -> None:
    """A resized vocabulary is allowed by one ignore, and nothing else is."""
    hub.add("Qwen/base", files("qwen3-0.6b"))
    hub.add("acme/tuned", files("qwen3-0.6b", having(vocab_size=151_940), resized(151_940)))
    args = ("acme/tuned", "--against", "Qwen/base")
    (v,) = reports(run, *args, code=1)
    assert [c["rule"] for c in v["changes"]] == ["vocabulary-changed"] and v[
        "against"
    ] == "Qwen/base"
    (v,) = reports(run, *args, "--ignore", "vocabulary-changed", code=0)
    assert v["changes"] == [] and v["ignored"] == 1
    reports(run, *args, "--ignore", "vocabulary-changed:vocab_size", code=0)
    reports(run, *args, "--ignore", "vocabulary-changed:hidden_size", code=1)
    hub.add(
        "acme/tuned",
        files("qwen3-0.6b", having(vocab_size=151_940, rope_theta=1), resized(151_940)),
        "v2",
    )
    reports(
        run, "acme/tuned@v2", "--against", "Qwen/base", "--ignore", "vocabulary-changed", code=1
    )


def test_against_a_lock(locked: Hub, run: Run) -> None:
    push(locked, "rope-theta-edit", HISTORY["rope-theta-edit"][0]())
    run("lock", f"{BOT}@first", "-o", "one.lock")
    assert [
        c["rule"]
        for c in reports(run, f"{BOT}@main", "--against", "one.lock", code=1)[0]["changes"]
    ] == ["rope-theta-changed"]
    assert [v["reference"] for v in reports(run, "qwen3-8b", code=0)] == ["qwen3-8b"]
    _, err = run("check", "gpt2", code=2)
    assert "llmarch.lock does not have gpt2" in err and BOT in err


def test_diff_with_a_level(hub: Hub, run: Run) -> None:
    hub.add("Qwen/base", files("qwen3-0.6b"))
    hub.add(
        "acme/tuned",
        files("qwen3-0.6b", having(rope_theta=1, vocab_size=151_940), resized(151_940)),
    )
    pair = ("diff", "Qwen/base", "acme/tuned")
    run(*pair)
    run(*pair, "--exit-code", code=1)
    run(*pair, "--fail-on", "weights", code=1)
    out, _ = run(*pair, "--fail-on", "behaviour", "--ignore", "vocabulary-changed", code=1)
    assert "rope-theta-changed" in out and "vocabulary-changed" not in out and "1 ignored" in out
    run(*pair, "--fail-on", "weights", "--ignore", "vocabulary-changed")
    document = run.document(*pair, "--fail-on", "weights", code=1)
    assert document["check"]["exit_code"] == 1
    _, err = run(*pair, "--fail-on", "everything", code=2)
    assert "weights, behaviour, capacity, quantization, info" in err


# What could not be told


def test_what_could_not_be_read(locked: Hub, run: Run) -> None:
    """Gated, gone, no such revision, no network: 3, with the others still checked."""
    locked.heads[BOT, "main"] = "nowhere"
    bot, other = reports(run, code=3)
    assert (
        "no revision" in bot["error"]["message"]
        and bot["error"]["exit_code"] == 3
        and other["error"] is None
    )
    push(locked, "first", files("qwen3-0.6b", shards=2))
    locked.gated.add(BOT)
    push(locked, "gated", resaved_files())
    assert "gated" in reports(run, code=3)[0]["error"]["message"]
    out, _ = run("check", code=3)
    assert f"? {BOT}@main" in out and "1 model could not be read" in out and "✓ qwen3-8b" in out
    del locked.repos[BOT]
    assert "there is no repository" in reports(run, code=3)[0]["error"]["message"]
    locked.broken["/api/models/"] = "drop"
    assert "cannot reach" in reports(run, code=3)[0]["error"]["message"]
    for command in ("show", "lock"):
        run(command, BOT, code=3)
    run("diff", BOT, "qwen3-8b", code=3)
    run("check", "qwen3-8b", "--against", BOT, code=3)
    run("show", "acme/never-read", "--offline", code=3)


def test_what_was_never_read_here_is_skipped_if_asked(
    locked: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a hook blocks no commit for it; what is known is still checked."""
    run("check", "--if-cached")
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "empty"))
    locked.reset()
    assert "is not cached" in run("check", "--offline", code=3)[0]
    out, _ = run("check", "--if-cached")
    assert f"✓ {BOT}@main" in out and "not checked: offline, and" in out
    for kind in ("json", "sarif", "gitlab", "junit", "markdown", "github"):
        assert "not checked" in run("check", "--if-cached", "-f", kind)[0]
    text = Path("llmarch.lock").read_text()
    run("check", "--if-cached", "--update")
    assert Path("llmarch.lock").read_text() == text
    assert locked.requests == []


def test_gated_with_a_token(locked: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    locked.gated.add(BOT)
    push(locked, "gated", resaved_files())
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    reports(run, code=0)


def test_what_could_be_read_in_part(locked: Hub, run: Run) -> None:
    """Exit with 4 for a shard that cannot be fetched, with 1 if something certainly changed."""
    locked.broken["00002-of-00002"] = 503
    push(locked, "readme-only", HISTORY["readme-only"][0]())
    reports(run, code=0)  # the shard is the one that was read before
    push(locked, "resaved", resaved_files())
    bot, _ = reports(run, code=4)
    assert (
        bot["partial"]
        and "could not be read" in bot["remarks"][0]
        and "model-00002" in bot["remarks"][0]
    )
    assert "read only in part" in run("check", code=4)[0]
    assert "nothing to update" in run("check", "--update", code=4)[1]
    run("lock", BOT, "-o", "other.lock", code=4)
    assert not Path("other.lock").exists()
    push(locked, "rope-theta-edit", HISTORY["rope-theta-edit"][0]())
    reports(run, code=1)
    reports(run, "--fail-on", "weights", code=4)


def test_headers_that_are_not_read_any_more(locked: Hub, run: Run) -> None:
    """The lock has the tensors; the config alone cannot tell whether they changed."""
    bot, other = reports(run, "--config-only", code=4)
    assert "tensor headers were read before" in bot["remarks"][0]
    assert not other["partial"], "nothing was read of its headers before"
    run("lock", BOT, "--config-only", "-o", "config.lock")
    push(locked, "weights-of-another-model", HISTORY["weights-of-another-model"][0]())
    reports(run, "--lock", "config.lock", code=0)


def test_a_config_that_no_family_reads(locked: Hub, run: Run) -> None:
    push(locked, "unknown", files("qwen3-0.6b", having(model_type="qwen_from_mars"), shards=2))
    bot, _ = reports(run, code=1)
    assert [(c["path"], c["old"], c["new"]) for c in bot["changes"]] == [
        ("model_type", '"qwen3"', '"qwen_from_mars"')
    ]
    assert bot["partial"] and "no family reads" in bot["remarks"][0]
    push(locked, "broken", {**files("qwen3-0.6b"), "config.json": b"{"})
    assert "not valid JSON" in reports(run, code=2)[0]["error"]["message"]


def test_a_config_key_that_nobody_reads(locked: Hub, run: Run) -> None:
    push(locked, "key", files("qwen3-0.6b", having(attention_twist=3), shards=2))
    (change,) = reports(run, code=0)[0]["changes"]
    assert (change["rule"], change["path"], change["severity"]) == (
        "unread-key",
        "attention_twist",
        "info",
    )


def test_a_repository_that_was_wrong_before(hub: Hub, run: Run) -> None:
    """A conflict that the lock has fails as before; it is `info` when it is fixed."""
    hub.push(BOT, files("qwen3-0.6b", tensors=without("layers.3.mlp.down_proj")), "first")
    run("lock", BOT, code=1)
    out, _ = run("lock", BOT, "--allow-conflict")
    assert "weights: tensor-missing" in out and "conflict" in out
    reports(run, code=1)
    push(hub, "mended", files("qwen3-0.6b"))
    (change,) = reports(run, code=0)[0]["changes"]
    assert (change["rule"], change["new"], change["severity"]) == ("tensor-missing", None, "info")
    assert "no longer found: " in run("check")[0]


def test_another_llmarch_read_the_same_commit(locked: Hub, run: Run) -> None:
    """A change at the same commit is llmarch's own: it is said so, and fails nothing."""
    from llmarch.architecture.schema import Architecture
    from llmarch.compare.check import open_lock
    from llmarch.compare.lock import lock_text, make_entry

    entries = dict(open_lock("llmarch.lock").entries)
    name = f"{BOT}@main"
    config = files("qwen3-0.6b", having(rope_theta=7))["config.json"]
    assert isinstance(config, bytes)
    Path("config.json").write_bytes(config)
    other = make_entry(llmarch.load("./config.json"))
    assert isinstance(other.architecture, Architecture)
    from dataclasses import replace

    entries[name] = replace(entries[name], architecture=other.architecture)
    Path("llmarch.lock").write_text(lock_text(entries, "llmarch 0.0.9"))
    (change,) = reports(run, code=0)[0]["changes"]
    assert (change["rule"], change["severity"]) == ("reading-changed", "info")
    assert (change["path"], change["old"]) == ("mixers.full.rope.theta", 7)
    out = run("check")[0]
    assert "another llmarch version wrote the lock" in out and "7 → 1,000,000" in out
    run("check", "--update")
    assert reports(run, code=0)[0]["changes"] == []


# Settings


def test_settings_of_the_project(locked: Hub, run: Run) -> None:
    push(locked, "rope-theta-edit", HISTORY["rope-theta-edit"][0]())
    Path("pyproject.toml").write_text('[tool.llmarch]\nfail-on = "weights"\n')
    reports(run, code=0)
    reports(run, "--fail-on", "behaviour", code=1)
    Path("pyproject.toml").write_text('[tool.llmarch.severity]\nrope-theta-changed = "info"\n')
    assert reports(run, code=0)[0]["changes"][0]["severity"] == "info"
    Path("pyproject.toml").write_text(
        '[tool.llmarch]\nignore = ["rope-theta-changed:mixers.full.*"]\n'
    )
    assert reports(run, code=0)[0]["ignored"] == 1
    Path("llmarch.toml").write_text('fail-on = "info"\n')
    reports(run, code=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ignore = ["rope-theta-chnaged"]', "did you mean rope-theta-changed"),
        ('severity = {"no-such-rule" = "info"}', "there is no rule 'no-such-rule'"),
        ('severity = {"rope-theta-changed" = "bad"}', "severity.rope-theta-changed is 'bad'"),
        ('fail-on = "everything"', "fail-on is 'everything'"),
        ('fail_on = "weights"', "no setting is called 'fail_on'"),
        ('ignore = "rope-theta-changed"', "ignore must be a list"),
        ("severity = 3", "severity must be a table"),
        ("fail-on = ", "not valid TOML"),
    ],
)
def test_wrong_settings_are_errors(hub: Hub, run: Run, text: str, message: str) -> None:
    Path("llmarch.toml").write_text(text)
    run("lock", "qwen3-8b")
    _, err = run("check", code=2)
    assert message in err and "llmarch.toml" in err


def test_wrong_usage(hub: Hub, run: Run) -> None:
    for args, message in (
        (("check",), "llmarch.lock: no such file"),
        (("check", "--against", "qwen3-8b"), "REF is needed"),
        (
            ("check", "qwen3-8b", "--against", "qwen3-8b", "--ignore", "nonsense"),
            "there is no rule 'nonsense'",
        ),
        (("check", "qwen3-8b", "--against", "qwen3-8b", "--update"), "--update writes the lock"),
        (("check", "qwen3-8b", "--against", "qwen3-8b", "--output", "pdf=x"), "FORMAT=FILE"),
        (
            ("check", "qwen3-8b", "--against", "qwen3-8b", "--output", "json=no/such/folder/x"),
            "cannot be written",
        ),
        (("lock",), "REF"),
        (("rules", "explain", "nonsense"), "there is no rule"),
    ):
        assert message in run(*args, code=2)[1]


def test_from_python(locked: Hub) -> None:
    report = llmarch.check()
    assert report.exit_code == 0, report
    push(locked, "rope-theta-edit", HISTORY["rope-theta-edit"][0]())
    report = llmarch.check()
    assert report.exit_code == 1
    assert (
        f"{BOT}@main: behaviour: rope-theta-changed: mixers.full.rope.theta: 1,000,000 → 10,000"
        in str(report)
    )
    assert llmarch.check(ignore=["rope-theta-changed"]).exit_code == 0
    assert llmarch.check(fail_on="weights").exit_code == 0
    assert llmarch.check(f"{BOT}@main", against=f"{BOT}@first").exit_code == 1
