"""A fine-tune against the base model of its card, and the history of a repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.checkpoints import write
from helpers.loopback import Hub, commit_of
from helpers.models import files, having, resized, without
from helpers.program import Run

from llmarch.errors import ConfigError
from llmarch.sources.cards import base_models

pytestmark = pytest.mark.usefixtures("work")

BOT, BASE = "acme/support-bot", "acme/base"
THETA = "rope-theta-changed"


def card(text: str) -> dict[str, bytes]:
    """Return a model card with a front matter."""
    return {"README.md": f"---\n{text}\n---\n# A model\nbase_model: acme/other\n".encode()}


# The base model of a card


@pytest.fixture
def tuned(hub: Hub) -> Hub:
    """A base model, and a fine-tune with more words whose card names it."""
    hub.add(BASE, files("qwen3-0.6b"))
    bigger = files("qwen3-0.6b", having(vocab_size=151_940), resized(151_940))
    hub.add(BOT, {**bigger, **card(f"license: mit\nbase_model: {BASE}\ntags:\n- chat")})
    return hub


def test_a_fine_tune_against_the_base_model_of_its_card(tuned: Hub, run: Run) -> None:
    out, _ = run("check", BOT, "--against", "base_model", code=1)
    assert f"against {BASE}" in out and "vocabulary-changed" in out
    run("check", BOT, "--against", "base_model", "--ignore", "vocabulary-changed")
    config = files("qwen3-0.6b")["config.json"]
    write(Path("tuned"), {"config.json": config, **card(f"base_model:\n- {BASE}")})
    run("check", "./tuned", "--against", "base_model", "--config-only")


@pytest.mark.parametrize(
    ("files_beside", "message"),
    [
        ({}, "has no README.md"),
        ({"README.md": b"# A model"}, "names no base_model"),
        (card("license: mit"), "names no base_model"),
        (card("base_model: [a/b, c/d]"), "several base models: a/b, c/d"),
        (card("base_model: [a/b"), "is not valid YAML"),
        (card("base_model: /etc/passwd"), "not a repository on the Hub: /etc/passwd"),
        (card("base_model: ../other"), "not a repository on the Hub: ../other"),
        (card("base_model: ./config.json"), "not a repository on the Hub"),
    ],
)
def test_a_card_without_one_base_model(
    hub: Hub, run: Run, files_beside: dict[str, bytes], message: str
) -> None:
    hub.add(BOT, {**files("qwen3-0.6b"), **files_beside})
    _, err = run("check", BOT, "--against", "base_model", code=2)
    assert message in err and "--against org/name" in err


def test_a_card_that_names_the_model_itself(hub: Hub, run: Run) -> None:
    hub.add(BOT, {**files("qwen3-0.6b"), **card(f"base_model: {BOT}")})
    assert "names the model itself" in run("check", BOT, "--against", "base_model", code=2)[1]


def test_an_address_is_a_base_model_too(tuned: Hub, run: Run) -> None:
    tuned.add(BOT, {**files("qwen3-0.6b"), **card(f"base_model: https://huggingface.co/{BASE}")})
    assert f"against {BASE}" in run("check", BOT, "--against", "base_model")[0]


def test_a_merge_is_compared_with_each_of_its_bases(tuned: Hub, run: Run) -> None:
    tuned.add("acme/other", files("qwen3-0.6b", having(rope_theta=10_000)))
    merged = card(f"base_model: [{BASE}, acme/other]\nbase_model_relation: merge")
    tuned.add(BOT, {**files("qwen3-0.6b"), **merged})
    first, second = run.json("check", BOT, "--against", "base_model", code=1)["verdicts"]
    assert first["changes"] == []
    assert THETA in [change["rule"] for change in second["changes"]]


def test_an_adapter_has_nothing_to_compare(tuned: Hub, run: Run) -> None:
    adapter = card(f"base_model: {BASE}\nbase_model_relation: adapter")
    tuned.add(BOT, {"adapter_config.json": b"{}", **adapter})
    _, err = run("check", BOT, "--against", "base_model", code=2)
    assert "is an adapter" in err and f"llmarch check {BASE}" in err


@pytest.mark.parametrize("relation", ["quantized", "finetune"])
def test_that_a_quantised_copy_is_stored_in_another_way_is_meant(
    tuned: Hub, run: Run, relation: str
) -> None:
    """Only if its card says that it is one; what it computes is compared all the same."""
    told = card(f"base_model: {BASE}\nbase_model_relation: {relation}")
    in_float32 = lambda t: {n: ("F32", s) for n, (_, s) in t.items()}  # noqa: E731
    tuned.add(BOT, {**files("qwen3-0.6b", tensors=in_float32), **told})
    args = ("check", BOT, "--against", "base_model", "--fail-on", "quantization")
    out, _ = run(*args, code=int(relation == "finetune"))
    assert ("meant to be" in out) == (relation == "quantized")
    tuned.push(BOT, {**files("qwen3-0.6b", having(rope_theta=10_000)), **told}, "theta")
    out, _ = run(*args, code=1)
    assert THETA in out
    assert ("stored as its base is" in out) == (relation == "quantized")


def test_who_has_no_card(tuned: Hub, run: Run) -> None:
    assert "has no model card" in run("check", "gpt2", "--against", "base_model", code=2)[1]
    assert "REF is needed" in run("check", "--against", "base_model", code=2)[1]
    assert "offline" in run("check", BOT, "--against", "base_model", "--offline", code=3)[1]
    assert "no repository" in run("check", "a/b", "--against", "base_model", code=3)[1]


@pytest.mark.parametrize(
    ("front", "names"),
    [
        ("base_model: a/b", ["a/b"]),
        ('base_model: "a/b"', ["a/b"]),
        ("base_model:\n  - a/b\n  - a/b", ["a/b"]),
        ("base_model: # none\n", []),
        ("base_model: 3", []),
        ("- a list", []),
        ("base_model: &x a/b\nother: *x", ["a/b"]),
    ],
)
def test_front_matters(front: str, names: list[str]) -> None:
    assert base_models(f"---\n{front}\n---\n", "x") == names
    assert base_models(f"\ufeff---\n{front}\n---".replace("\n", "\r\n"), "x") == names
    assert base_models(f"\n# {front}", "x") == []


def test_a_hostile_front_matter() -> None:
    bomb = "a: &a [x, x]\n" + "\n".join(f"b{i}: &b{i} [*a, *a]" for i in range(50))
    assert base_models(f"---\n{bomb}\nbase_model: a/b\n---\n", "x") == ["a/b"]
    assert base_models(f"---\n{'x: 1' * 100_000}\n---\n", "x") == []
    with pytest.raises(ConfigError):
        base_models("---\nbase_model: !!python/object:os.system x\n---\n", "x")


# The history of a repository


@pytest.fixture
def pushed(hub: Hub) -> Hub:
    """Eight commits: no config, a model, cards, another theta, a hole that is mended, a context."""
    content = {
        "empty": {"README.md": b"soon"},
        "upload": files("qwen3-0.6b"),
        "card": {**files("qwen3-0.6b"), "README.md": b"hello"},
        "theta": files("qwen3-0.6b", having(rope_theta=10_000)),
        "card-again": {**files("qwen3-0.6b", having(rope_theta=10_000)), "README.md": b"hello"},
        "hole": files("qwen3-0.6b", having(rope_theta=10_000), without("layers.3.mlp.up_proj")),
        "mended": files("qwen3-0.6b", having(rope_theta=10_000)),
        "context": files("qwen3-0.6b", having(rope_theta=10_000, max_position_embeddings=4096)),
    }
    for revision, files_then in content.items():
        hub.add(BOT, files_then, revision)
    hub.heads[BOT, "main"] = "context"
    return hub


def history(run: Run, *args: str) -> dict[str, list[str]]:
    """Return the rules of what each commit changed, newest first, by its title."""
    document = run.document("log", *args)
    assert document["repo"] == BOT
    return {
        commit["title"]: [c["rule"] for c in commit["changes"] if c["rule"] != "files-changed"]
        for commit in document["commits"]
    }


def test_when_what_changed(pushed: Hub, run: Run) -> None:
    assert history(run, BOT) == {
        "Upload context": ["context-changed"],
        "Upload mended": ["tensor-missing"],
        "Upload hole": ["tensor-missing"],
        "Upload card-again": [],
        "Upload theta": [THETA],
        "Upload card": [],
        "Upload upload": [],
        "Upload empty": [],
    }
    out, _ = run("log", BOT)
    assert "2026-01-04" in out and commit_of(BOT, "theta")[:7] in out
    assert "mixers.full.rope.theta: 1,000,000 → 10,000 (rope_theta)" in out.replace("\n", " ")
    assert "could not be read" in out and "the first commit that was read" in out
    assert "8 commits" in out
    assert "Upload theta<br>behaviour" in run("log", BOT, "-f", "markdown")[0]


def test_since_a_revision(pushed: Hub, run: Run) -> None:
    assert list(history(run, BOT, "--since", "theta")) == [
        "Upload context",
        "Upload mended",
        "Upload hole",
        "Upload card-again",
    ]
    assert history(run, f"{BOT}@theta", "--since", "card")["Upload theta"] == [THETA]
    assert list(history(run, BOT, "--since", commit_of(BOT, "mended"))) == ["Upload context"]
    assert list(history(run, BOT, "--limit", "2")) == ["Upload context", "Upload mended"]
    assert "--limit reads more" in run("log", BOT, "--since", "upload", "--limit", "2", code=2)[1]
    assert "is not among" in run("log", f"{BOT}@card", "--since", "theta", code=2)[1]
    assert "no revision x" in run("log", BOT, "--since", "x", code=3)[1]
    assert "not a repository" in run("log", "gpt2", code=2)[1]
    assert "no repository" in run("log", "acme/none", code=3)[1]


def test_a_check_since_a_revision_says_when(pushed: Hub, run: Run) -> None:
    out, _ = run("check", BOT, "--since", "card", code=1)
    theta, context = (commit_of(BOT, name)[:7] for name in ("theta", "context"))
    assert f"{theta} 2026-01-04 (Upload theta): {THETA}" in out
    assert f"{context} 2026-01-08 (Upload context): context-changed" in out
    assert "could not" not in out
    run("check", BOT, "--since", "mended")
    run("check", BOT, "--since", "mended", "--fail-on", "capacity", code=1)
    assert "REF is needed" in run("check", "--since", "card", code=2)[1]
    assert "neither" in run("check", BOT, "--since", "card", "--against", BASE, code=2)[1]
    assert "not a repository" in run("check", "gpt2", "--since", "card", code=2)[1]


def test_the_oldest_of_a_limit_is_compared_with_the_one_before(pushed: Hub, run: Run) -> None:
    assert history(run, BOT, "--limit", "1") == {"Upload context": ["context-changed"]}
    assert len(history(run, BOT, "--limit", "50")) == 8


def test_a_commit_that_cannot_be_read_is_uncertain(pushed: Hub, run: Run) -> None:
    """But one without a model, as the first of most repositories is, has nothing to compare."""
    run("log", BOT)
    pushed.push(BOT, {**files("qwen3-0.6b"), "config.json": b"{broken"}, "broken")
    out, _ = run("log", BOT, code=4)
    assert "1 could not be read as a whole" in out
    pushed.push(BOT, files("qwen3-0.6b"), "again")
    assert "(Upload broken): could not be read" in run("check", BOT, "--since", "theta", code=1)[0]
