"""The policy of a project: ignores with an end, settings of models, ids of changes, and locks that
several runs write.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import paths
from helpers.loopback import Hub
from helpers.models import files, having, without
from helpers.program import Run

import llmarch
from llmarch.architecture.schema import Change, Finding
from llmarch.compare.change_ids import change_id
from llmarch.compare.policy import parse_policy, parse_severity

pytestmark = pytest.mark.usefixtures("work")

BOT, TWIN = "acme/support-bot", "acme/twin"
LOCK = Path("llmarch.lock")
THETA = "rope-theta-changed"


@pytest.fixture
def changed(hub: Hub, run: Run) -> Hub:
    """Two models that were locked and whose base of RoPE changed since, one's context too."""
    for repo in (BOT, TWIN):
        hub.push(repo, files("qwen3-0.6b"), "first")
    run("lock", BOT, f"{TWIN}@main")
    for repo, more in ((BOT, {"max_position_embeddings": 4096}), (TWIN, {})):
        hub.push(repo, files("qwen3-0.6b", having(rope_theta=10_000, **more)), "second")
    return hub


def settings(text: str) -> None:
    Path("llmarch.toml").write_text(text)


def checked(run: Run, *args: str, code: int) -> dict[str, Any]:
    return run.json("check", *args, code=code)


def day(days: int) -> str:
    """Return the day so many days from now."""
    return (date.today() + timedelta(days=days)).isoformat()


def test_an_ignore_has_a_reason_and_an_end(changed: Hub, run: Run) -> None:
    table = 'ignore = [{{rule = "{}", reason = "ticket 12", until = {}}}]'
    for until, code in ((day(0), 0), (f'"{day(5)}"', 0), (day(-1), 1)):
        settings(table.format(THETA, until))
        report = checked(run, code=code)
        assert [v["ignored"] for v in report["verdicts"]] == [1 - code, 1 - code]
        assert bool(report["notes"]) == bool(code)
    assert f"{THETA} (ticket 12) expired on {day(-1)}" in run("check", code=1)[0]
    for form in ("markdown", "github", "junit"):
        assert "expired on" in run("check", "-f", form, code=1)[0]


def test_an_ignore_that_nothing_needs_is_told(changed: Hub, run: Run) -> None:
    """Where all models were checked; of one model others may need it."""
    settings(f'ignore = ["{THETA}", "window-changed", "{THETA}:mixers.other.*"]')
    notes = checked(run, code=0)["notes"]
    assert len(notes) == 2 and all("matched no change" in note for note in notes)
    assert "window-changed" in notes[0] and "mixers.other" in notes[1]
    assert checked(run, BOT, code=0)["notes"] == []
    assert len(checked(run, BOT, "--ignore", "window-changed", code=0)["notes"]) == 1
    pair = (f"{BOT}@second", "--against", f"{BOT}@first", "--ignore", "window-changed")
    assert len(checked(run, *pair, code=0)["notes"]) == 1


@pytest.mark.parametrize("name", [TWIN, f"{TWIN}@main", "acme/tw*"])
def test_settings_of_one_model(changed: Hub, run: Run, name: str) -> None:
    """By its repository, its reference, or a pattern; the rest is as for all."""
    Path("pyproject.toml").write_text(
        f'[tool.llmarch]\nfail-on = "capacity"\n[tool.llmarch.model."{name}"]\n'
        f'ignore = ["{THETA}"]\nfail-on = "weights"\nseverity = {{context-changed = "weights"}}\n'
    )
    bot, twin = checked(run, code=1)["verdicts"]
    assert [c["rule"] for c in bot["changes"] if c["fails"]] == [THETA, "context-changed"]
    assert (twin["changes"], twin["ignored"]) == ([], 1)
    run("check", f"{TWIN}@main")
    run("check", BOT, code=1)
    run("check", f"{TWIN}@main", "--fail-on", "info")
    settings('[model."acme/x"]\nlock = "x"\n')
    assert "no setting is called 'lock'" in run("check", code=2)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ignore = [{rule = "window-changed", ends = 2027-01-01}]', "'ends'"),
        ('ignore = [{reason = "x"}]', "an ignore has no rule"),
        ('ignore = [{rule = "window-changed", until = "soon"}]', "'soon', which is not a day"),
        ('ignore = [{rule = "window-changed", until = "2027-01-31 or so"}]', "which is not a day"),
        ('ignore = [{rule = "window-changed", until = 20270131}]', "20270131, which is not a day"),
        ('ignore = [{rule = "window-changed", until = 12:00:00}]', "which is not a day"),
        ('ignore = [{rule = "window-changed", reason = 3}]', "reason is 3"),
        ('ignore = [{rule = "window-change"}]', "did you mean window-changed"),
        ("model = 3", "model must be a table"),
        ('model = {"a/b" = 3}', "model.a/b must be a table"),
        ('fail-on = ["weights", "info"]', "two severities"),
        ('fail-on = "window-change"', "did you mean window-changed"),
    ],
)
def test_wrong_settings(text: str, message: str, run: Run) -> None:
    settings(text)
    run("lock", "gpt2")
    assert message in run("check", code=2)[1]


@pytest.mark.parametrize("text", ["[tool]\nllmarch = 5", "tool = 5", "[tool]\nllmarch = []"])
def test_settings_that_are_not_tables(text: str, run: Run) -> None:
    """They would be lost in silence."""
    run("lock", "gpt2")
    Path("pyproject.toml").write_text(text)
    assert "is not a table" in run("check", code=2)[1]


def test_settings_with_a_byte_order_mark(changed: Hub, run: Run) -> None:
    Path("llmarch.toml").write_bytes(b"\xef\xbb\xbf" + f'ignore = ["{THETA}"]'.encode())
    run("check")


def test_settings_of_a_model_that_the_lock_does_not_have(changed: Hub, run: Run) -> None:
    """A name with a fault in it would leave a model without its settings, in silence."""
    settings(f'ignore = ["{THETA}"]\n[model."acme/bott"]\n[model."acme/*"]\n[model."{TWIN}"]\n')
    (note,) = checked(run, code=0)["notes"]
    assert note == "llmarch.toml: model.acme/bott is not a model of the lock"
    assert checked(run, BOT, code=0)["notes"] == []


def test_fail_on_takes_rules(changed: Hub, run: Run) -> None:
    """Beside a level; alone they leave the level as it is."""
    settings('severity = {rope-theta-changed = "info"}')
    assert checked(run, code=0)["fail_rules"] == []
    for args in (("context-changed",), ("weights,context-changed",)):
        report = checked(run, "--fail-on", *args, code=1)
        fails = {c["rule"]: c["fails"] for c in report["verdicts"][0]["changes"]}
        assert fails == {"context-changed": True, THETA: False}
        assert report["fail_rules"] == ["context-changed"]
    settings(f'fail-on = ["weights", "{THETA}"]')
    run("check", f"{TWIN}@main", code=1)
    run("check", f"{TWIN}@main", "--fail-on", "weights")
    assert "did you mean" in run("check", "--fail-on", "context-change", code=2)[1]


def test_both_spellings() -> None:
    assert parse_severity("behavior", "x") == "behaviour"
    assert parse_severity("quantisation", "x") == "quantization"
    policy = parse_policy({"fail-on": "behavior", "severity": {THETA: "quantisation"}}, "x")
    assert (policy.level, policy.severities[THETA]) == ("behaviour", "quantization")


# Ids


def test_a_change_is_accepted_by_its_id(changed: Hub, run: Run) -> None:
    """For this model and these values; other changes fail as before."""
    bot, twin = checked(run, code=1)["verdicts"]
    ids = {c["rule"]: c["id"] for c in bot["changes"]}
    (other,) = (c["id"] for c in twin["changes"])
    assert other != ids[THETA] and f"id {other}" in run("check", code=1)[0]
    assert "no change has this id" in run("check", "--accept", "0" * 12, code=2)[1]
    assert "is not the id of a change" in run("check", "--accept", "x", code=2)[1]
    before = LOCK.read_bytes()
    run("check", "--accept", ids[THETA], BOT)
    run("check", "--accept", other, code=0)
    assert before != LOCK.read_bytes()
    report = checked(run, code=0)
    assert [v["accepted"] for v in report["verdicts"]] == [[ids[THETA]], [other]]
    locked = json.loads(LOCK.read_text())["models"][BOT]["accepted"][ids[THETA]]
    assert locked.startswith(day(0)) and "1,000,000 → 10,000" in locked
    changed.push(BOT, files("qwen3-0.6b", having(rope_theta=20_000)), "third")
    run("check", code=1)
    run("check", "--update")
    assert "accepted" not in json.loads(LOCK.read_text())["models"][BOT]
    pair = (f"{BOT}@third", "--against", f"{BOT}@first")
    (change,) = checked(run, *pair, code=1)["verdicts"][0]["changes"]
    run("check", *pair, "--accept", change["id"])
    report = llmarch.check(f"{BOT}@third", against=f"{BOT}@first", accept=[change["id"]])
    assert report.exit_code == 0 and len(report.verdicts[0].accepted) == 1


def test_a_conflict_is_accepted_by_its_id(hub: Hub, run: Run) -> None:
    """The id is the same whether the finding is new, was locked, or is told in other words."""
    hub.push(BOT, files("qwen3-0.6b"), "first")
    run("lock", BOT)
    broken = files("qwen3-0.6b", tensors=without("layers.3.mlp.down_proj"))
    hub.push(BOT, broken, "second")
    (found,) = checked(run, code=1)["verdicts"][0]["changes"]
    run("check", "--update", code=1)
    run("lock", BOT, "--allow-conflict")
    (standing,) = checked(run, code=1)["verdicts"][0]["changes"]
    assert standing["id"] == found["id"]
    run("check", "--accept", found["id"])
    run("check")
    run("check", "--update")
    run("lock", BOT, "--allow-conflict")
    run("check")
    hub.push(BOT, files("qwen3-0.6b", tensors=without("layers.3.mlp", "layers.4.mlp")), "third")
    run("check", code=1)


def test_what_an_id_depends_on() -> None:
    change = Change(rule=THETA, path="mixers.full.rope.theta", old=1e6, new=1e4, severity="weights")
    from dataclasses import replace

    one = change_id(BOT, change, None)
    assert len(one) == 12 and one == change_id(BOT, replace(change, severity="info"), None)
    others = [
        change_id(TWIN, change, None),
        change_id(BOT, replace(change, new=2e4), None),
        change_id(BOT, replace(change, path="mixers.sliding.rope.theta"), None),
        change_id(BOT, replace(change, rule="window-changed"), None),
    ]
    assert len({one, *others}) == 5
    said, reworded, grown = (
        Finding(rule="tensor-missing", path="x", message=text)
        for text in ("1,024 tensors are missing", "there are no 1,024 tensors", "7 are missing")
    )
    told = Change(rule="tensor-missing", path="x", old=None, new="x", severity="weights")
    assert change_id(BOT, told, said) == change_id(BOT, told, reworded)
    assert change_id(BOT, told, said) != change_id(BOT, told, grown)


# The lock file


def test_patterns_of_the_lock(changed: Hub, run: Run) -> None:
    run("lock", "gpt2")
    for pattern, names in {
        "acme/*": [BOT, f"{TWIN}@main"],
        "*@main": [f"{TWIN}@main"],
        "gpt?": ["gpt2"],
        "*": [BOT, f"{TWIN}@main", "gpt2"],
    }.items():
        report = checked(run, pattern, code=int(pattern != "gpt?"))
        assert [v["reference"] for v in report["verdicts"]] == names
    assert "has no model other/*" in run("check", "other/*", code=2)[1]


def test_models_of_a_file_and_forgotten_ones(changed: Hub, run: Run) -> None:
    Path("models.txt").write_bytes(b"\xef\xbb\xbf# ours\r\ngpt2  # small\r\n\r\nqwen3-8b\r\n")
    run("lock", "-r", "models.txt", "llama3-8b")
    names = list(json.loads(LOCK.read_text())["models"])
    assert names == [BOT, f"{TWIN}@main", "gpt2", "llama3-8b", "qwen3-8b"]
    out, _ = run("lock", "--remove", "acme/*", "--remove", "gpt2")
    assert f"- {BOT}" in out and out.endswith("llmarch.lock: 2 models\n")
    assert list(json.loads(LOCK.read_text())["models"]) == ["llama3-8b", "qwen3-8b"]
    assert "does not have gpt2" in run("lock", "--remove", "gpt2", code=2)[1]
    assert "no such file" in run("lock", "-r", "none.txt", code=2)[1].lower()
    run("lock", "--remove", "x", "-o", "other.lock", code=2)


def started(*args: str) -> subprocess.Popen[bytes]:
    """Start llmarch as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "llmarch", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)},
    )


def test_runs_at_once_lose_nothing(hub: Hub, run: Run) -> None:
    aliases = ["gpt2", "qwen3-8b", "llama3-8b", "olmo2-7b"]
    programs = [started("lock", alias) for alias in aliases]
    said = [program.communicate(timeout=120) for program in programs]
    assert [program.returncode for program in programs] == [0] * len(aliases), said
    assert sorted(json.loads(LOCK.read_text())["models"]) == sorted(aliases)
    run("check")


def test_an_update_keeps_what_another_run_wrote_meanwhile(changed: Hub, run: Run) -> None:
    """Between the reading of the lock and its writing another model may be pinned."""
    from llmarch.compare import check as checking
    from llmarch.compare.lock import make_entry

    before = checking.open_lock("llmarch.lock")
    run("lock", "gpt2")
    entry = make_entry(llmarch.load("qwen3-8b"))
    checking.merge_lock("llmarch.lock", {"qwen3-8b": entry}, written_by="llmarch")
    names = {*before.entries, "gpt2", "qwen3-8b"}
    assert set(checking.open_lock("llmarch.lock").entries) == names


def test_a_killed_run_leaves_the_lock_whole(changed: Hub, run: Run) -> None:
    """Whenever it is killed; nothing waits for it afterwards."""
    for delay in (0.05, 0.3, 0.6):
        program = started("lock", "gpt2", "qwen3-8b")
        time.sleep(delay)
        os.kill(program.pid, signal.SIGKILL)
        program.wait(30)
        assert BOT in json.loads(LOCK.read_text())["models"]
    run("lock", "gpt2")
    assert [path.name for path in Path().iterdir() if "lock" in path.name] == ["llmarch.lock"]


def test_a_lock_with_the_marks_of_a_merge(changed: Hub, run: Run) -> None:
    """Say what it is and where; windows' line ends are no matter."""
    text = LOCK.read_text()
    LOCK.write_bytes(text.replace("\n", "\r\n").encode())
    run("check", code=1)
    first, rest = text.split('      "commit"', 1)
    LOCK.write_text(f'{first}<<<<<<< HEAD\n"commit": 1,\n=======\n"commit"{rest}')
    _, err = run("check", code=2)
    line = first.count("\n") + 1
    assert "merge conflict" in err and f"line {line}" in err
    run("lock", "gpt2", code=2)


@pytest.mark.sweep  # other tests run the same lines
def test_a_hundred_models_in_one_pass(hub: Hub, run: Run) -> None:
    """With few connections at a time, and in the order of the lock."""
    content = files("gpt2-124m")
    refs = [f"acme/model-{number:03d}" for number in range(100)]
    for ref in refs:
        hub.add(ref, content)
    Path("models.txt").write_text("\n".join(refs))
    run("lock", "-r", "models.txt")
    hub.reset()
    hub.max_inflight = 0
    report = checked(run, code=0)
    assert [v["reference"] for v in report["verdicts"]] == refs
    assert hub.max_inflight <= 16 and len(hub.requests) <= 3 * len(refs)
