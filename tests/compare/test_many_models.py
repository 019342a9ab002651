"""Many models of one lock, and many commits of one repository: read at once, with few requests."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from helpers.loopback import Hub
from helpers.models import files, having, without
from helpers.program import Run

from llmarch.compare.at_once import AT_ONCE, read_at_once
from llmarch.sources.hub.limits import CONNECTIONS

pytestmark = pytest.mark.usefixtures("work")

MODELS = [f"acme/m{number:03d}" for number in range(100)]
BOT = "acme/bot"


@pytest.fixture
def many(hub: Hub, run: Run) -> Hub:
    """A lock of 100 models, of five shards each."""
    content = files("qwen3-0.6b", shards=5)
    for name in MODELS:
        hub.add(name, content)
    Path("models.txt").write_text("\n".join(MODELS))
    run("lock", "-r", "models.txt")
    return hub


@pytest.mark.sweep  # other tests run the same lines
def test_a_lock_of_100_models_in_one_pass(many: Hub, run: Run) -> None:
    other = files("qwen3-0.6b", having(rope_theta=10_000), shards=5)
    for name in (MODELS[3], MODELS[96]):
        many.push(name, other, "theta")
    many.gated.add(MODELS[40])
    many.push(MODELS[40], other, "gated")
    del many.repos[MODELS[41]]
    many.delay = 0.03
    many.reset()
    many.max_inflight = 0
    document = run.document("check", code=1)
    assert [v["reference"] for v in document["verdicts"]] == MODELS
    found = {v["reference"]: v for v in document["verdicts"] if v["changes"] or v["error"]}
    assert set(found) == {MODELS[n] for n in (3, 40, 41, 96)}
    assert "is gated" in found[MODELS[40]]["error"]["message"]
    assert "no repository" in found[MODELS[41]]["error"]["message"]
    assert AT_ONCE // 2 < many.max_inflight <= CONNECTIONS
    assert len(many.requests) < 2 * len(MODELS)


def test_connections_are_bounded_whatever_many_models_have(
    hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = files("qwen3-0.6b", shards=30)
    names = MODELS[: AT_ONCE + 2]
    for name in names:
        hub.add(name, content)
    hub.delay = 0.02
    run("lock", *names)
    assert AT_ONCE < hub.max_inflight <= CONNECTIONS
    assert list(json.loads(Path("llmarch.lock").read_text())["models"]) == names


@pytest.mark.sweep  # other tests run the same lines
def test_two_locks_of_many_models_are_the_same_bytes(many: Hub, run: Run) -> None:
    before = Path("llmarch.lock").read_bytes()
    run("lock", *reversed(MODELS))
    assert Path("llmarch.lock").read_bytes() == before


def test_results_have_the_order_of_the_items() -> None:
    said: list[tuple[int, int]] = []

    def slow_first(n: int) -> tuple[int, bool]:
        time.sleep((20 - n) / 1000)
        return n, threading.current_thread() is threading.main_thread()

    found = read_at_once(range(20), slow_first, lambda done, total, _: said.append((done, total)))
    assert found == [(n, False) for n in range(20)]
    assert said == [(done, 20) for done in range(21)]
    assert read_at_once([7], slow_first) == [(7, True)]
    assert read_at_once([], slow_first) == []


def test_the_first_error_is_raised_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def fail_early(n: int) -> int:
        begun.append(n)
        time.sleep(0.01)
        if n in (2, 5):
            raise KeyError(n)
        return n

    with pytest.raises(KeyError, match="2"):
        read_at_once(range(1000), fail_early)
    assert len(begun) < 100


# The history of a repository

CARD = {"README.md": b"hello"}


def headers_read(hub: Hub) -> int:
    """Return how many headers were requested of the host that has the weights."""
    return len(hub.asked(".safetensors", cdn=True))


def test_only_commits_that_changed_something_are_read(hub: Hub, run: Run) -> None:
    model = files("qwen3-0.6b", shards=3)
    changed = files("qwen3-0.6b", having(rope_theta=10_000), shards=3)
    for number in range(30):
        content = model if number < 20 else changed
        beside = {
            "README.md": b"card %d" % number,
            "tokenizer_config.json": b'{"n": %d}' % (number // 10),
            "modeling.py": b"",
        }
        if number % 2:
            beside["assets/logo.png"] = b"x"
        hub.push(BOT, {**content, **beside}, f"r{number}")
    hub.commits_a_page = 100
    hub.reset()
    document = run.document("log", BOT)
    rules = {c["title"]: [x["rule"] for x in c["changes"]] for c in document["commits"]}
    assert [title for title, found in rules.items() if found] == ["Upload r20", "Upload r10"]
    assert rules["Upload r10"] == ["files-changed"]
    assert rules["Upload r20"] == ["rope-theta-changed", "files-changed"]
    assert len(hub.asked("/revision/")) == 30
    assert headers_read(hub) == 2 * 3 and len(hub.asked("/config.json")) == 2
    hub.reset()
    assert run.document("log", BOT) == document
    assert len(hub.requests) == 1, "commits do not change"


def test_a_check_after_a_new_card_reads_no_header(hub: Hub, run: Run) -> None:
    model = files("qwen3-0.6b", shards=3)
    hub.add(BOT, {**model, **CARD})
    run("lock", BOT)
    hub.push(BOT, {**model, "README.md": b"other", "LICENSE": b"MIT"}, "card")
    hub.reset()
    out, _ = run("check")
    assert "same architecture" in out and "→" in out
    assert len(hub.requests) == 1
    hub.push(
        BOT, {**files("qwen3-0.6b", shards=3, tensors=without("layers.3.mlp.up")), **CARD}, "h"
    )
    run("check", code=1)
    assert headers_read(hub) > 0


def test_without_hashes_each_commit_is_read(hub: Hub, run: Run) -> None:
    hub.blobs = False
    model = files("qwen3-0.6b")
    for number in range(3):
        hub.push(BOT, {**model, "README.md": b"card %d" % number}, f"r{number}")
    run("log", BOT)
    assert headers_read(hub) == 3


def test_a_moved_repository_is_another_content(hub: Hub, run: Run) -> None:
    model = files("qwen3-0.6b")
    hub.add(BOT, {**model, **CARD})
    run("show", BOT)
    hub.add("acme/new", {**model, "README.md": b"moved"})
    hub.moved[BOT] = "acme/new"
    assert "was renamed to acme/new" in run("show", BOT)[0]
