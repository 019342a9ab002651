"""Where a gate could pass by mistake, or fail for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Hub
from helpers.models import files, having, without
from helpers.program import Run

BOT = "acme/support-bot"


pytestmark = pytest.mark.usefixtures("work")


def changes(run: Run, *args: str, code: int) -> list[dict[str, Any]]:
    return run.json("check", *args, code=code)["verdicts"][0]["changes"]


def broken(hub: Hub, run: Run, settings: str = "") -> None:
    """Write a lock of a repository that lacks a tensor already."""
    hub.push(BOT, files("qwen3-0.6b", tensors=without("layers.3.mlp.down_proj")), "first")
    run("lock", BOT, "--allow-conflict")
    Path("llmarch.toml").write_text(settings)


def test_a_hole_that_grows_is_a_change(hub: Hub, run: Run) -> None:
    """The same rule at the same path says more than before."""
    hub.push(BOT, files("qwen3-0.6b", tensors=without("layers.27.")), "first")
    run("lock", BOT, "--allow-conflict")
    assert all(change["old"] == change["new"] for change in changes(run, code=1))
    hub.push(BOT, files("qwen3-0.6b", tensors=without("layers.27.", "layers.26.")), "second")
    found = changes(run, code=1)
    assert "fact-contradicted" in {c["rule"] for c in found}
    grown = next(c for c in found if c["rule"] == "fact-contradicted")
    assert (
        grown["path"] == "layers"
        and grown["severity"] == "weights"
        and None not in (grown["old"], grown["new"])
    )
    run("check", code=1)
    run("check", "-f", "markdown", code=1)


def test_what_was_mended_breaks_nothing_whatever_its_severity(hub: Hub, run: Run) -> None:
    broken(hub, run, '[severity]\ntensor-missing = "behaviour"\n')
    hub.push(BOT, files("qwen3-0.6b"), "mended")
    (change,) = changes(run, code=0)
    assert (change["rule"], change["severity"], change["new"]) == ("tensor-missing", "info", None)


def test_a_lock_without_models_is_no_pass(hub: Hub, run: Run) -> None:
    run("lock", "gpt2")
    document = json.loads(Path("llmarch.lock").read_text())
    Path("llmarch.lock").write_text(json.dumps(document | {"models": {}}))
    assert "nothing to check" in run("check", code=2)[1]
    assert "nothing to check" in run("check", "gpt2", code=2)[1]
    run("lock", "gpt2")
    run("check")


def test_an_ignore_needs_its_path(hub: Hub, run: Run) -> None:
    """A shell variable that is empty must not ignore the whole rule."""
    run("lock", "gpt2")
    assert "no path" in run("check", "--ignore", "rope-theta-changed:", code=2)[1]


def test_one_report_on_standard_output(hub: Hub, run: Run) -> None:
    run("lock", "gpt2")
    assert "cannot share" in run("check", "--output", "text=-", "--output", "junit=-", code=2)[1]
    assert "::notice" in run("check", "--output", "text=-", "--output", "github=-")[0]
    out, _ = run("check", "--output", "json=-", "--output", "markdown=out.md")
    assert json.loads(out)["exit_code"] == 0 and Path("out.md").read_text().startswith("## ")


def test_another_value_of_a_key_that_nobody_reads(hub: Hub, run: Run) -> None:
    """What it does is not known, so that it changed is said; long values are held as their hash."""
    hub.push(BOT, files("qwen3-0.6b", having(attention_twist=3, long_twist=["x"] * 100)), "first")
    run("lock", BOT)
    locked = json.loads(Path("llmarch.lock").read_text())["models"][BOT]["unread_keys"]
    assert locked["attention_twist"] == "3" and locked["long_twist"].startswith("sha256:")
    assert changes(run, code=0) == []
    hub.push(
        BOT,
        files(
            "qwen3-0.6b", having(attention_twist=4, long_twist=["x"] * 101, new_twist={"a": None})
        ),
        "second",
    )
    found = {c["path"]: (c["old"], c["new"]) for c in changes(run, code=0)}
    assert found["attention_twist"] == ("3", "4") and found["new_twist"] == (None, '{"a": null}')
    assert set(found) == {"attention_twist", "long_twist", "new_twist"}
    assert "3 → 4" in run("check")[0]
    changes(run, "--fail-on", "info", code=1)


def test_a_model_that_stands_twice_in_the_lock(hub: Hub, run: Run) -> None:
    """Refuse two entries after a merge: JSON readers keep the last, the other is not checked."""
    run("lock", "gpt2", "qwen3-8b")
    text = Path("llmarch.lock").read_text()
    Path("llmarch.lock").write_text(text.replace('"gpt2": {', '"qwen3-8b": {'))
    assert "qwen3-8b appears twice" in run("check", code=2)[1]
    Path("llmarch.lock").write_text(
        "\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline=""
    )
    run("check")
    Path("llmarch.lock").write_text(json.dumps(json.loads(text), indent=4))
    run("check")
