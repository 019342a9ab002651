"""`diff` beside a checkpoint that contradicts its config; findings with their values in JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import write
from helpers.models import files, having, resized, without

from llmarch.architecture.json_schema import validate
from llmarch.cli import main

FIXTURE = "llama-3-8b"
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*args: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["llmarch", *args])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code
        return capsys.readouterr().out

    return run


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Return the folders of a sound checkpoint, of one that contradicts its config, and another."""
    contents = {
        "sound": files(FIXTURE),
        "damaged": files(FIXTURE, tensors=without("layers.0.self_attn.o_proj")),
        "grown": files(FIXTURE, tensors=resized(160)),
        "other": files(FIXTURE, having(rope_theta=1.0)),
    }
    return {name: str(write(tmp_path / name, content)) for name, content in contents.items()}


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_same_config_beside_a_conflict_is_not_the_same(
    run: Run, models: dict[str, str], form: str
) -> None:
    sound = run("diff", models["sound"], models["sound"], "-f", form).lower()
    assert "the architectures are the same" in sound and "contradicts" not in sound
    for pair in ((models["sound"], models["damaged"]), (models["damaged"], models["sound"])):
        out = run("diff", *pair, "-f", form)
        assert "the architectures are the same" not in out.lower()
        assert "damaged: the checkpoint contradicts its config" in out
        assert out.index("contradicts") < out.index("layers.0.self")


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_exit_code(run: Run, models: dict[str, str], form: str) -> None:
    sound, damaged = models["sound"], models["damaged"]
    run("diff", sound, sound, "--exit-code", "-f", form)
    run("diff", sound, models["other"], "--exit-code", "-f", form, code=1)
    run("diff", sound, damaged, "--exit-code", "-f", form, code=1)
    run("diff", damaged, sound, "--exit-code", "-f", form, code=1)
    run("diff", sound, damaged, "-f", form)
    run("diff", sound, sound, damaged, "--exit-code", "-f", form, code=1)


def test_json_has_the_findings_of_each_side(run: Run, models: dict[str, str]) -> None:
    document = json.loads(run("diff", models["sound"], models["damaged"], "-f", "json"))
    validate(document)
    assert (document["old"]["status"], document["old"]["findings"]) == ("verified", [])
    assert document["new"]["status"] == "conflict"
    assert [f["rule"] for f in document["new"]["findings"]] == ["tensor-missing"]
    several = json.loads(run("diff", *models.values(), "-f", "json"))
    validate(several)
    statuses = [c["new"]["status"] for c in several["comparisons"]]
    assert statuses == ["conflict", "conflict", "verified"]


def test_check_has_findings_with_tensor_and_values(run: Run, models: dict[str, str]) -> None:
    args = ("check", models["grown"], "--against", models["sound"], "-f", "json")
    document = json.loads(run(*args, code=1))
    validate(document)
    changes: list[dict[str, Any]] = document["verdicts"][0]["changes"]
    found = {c["path"]: c["finding"] for c in changes if c["finding"] is not None}
    shapes = [f for f in found.values() if f["rule"] == "tensor-shape"]
    facts = [f for f in found.values() if f["rule"] == "fact-contradicted"]
    assert shapes or facts
    for finding in (*shapes, *facts):
        assert finding["old"] is not None and finding["new"] is not None
        assert finding["path"] and finding["message"] and finding["severity"] == "weights"
    other = json.loads(
        run("check", models["other"], "--against", models["sound"], "-f", "json", code=1)
    )
    assert [c["finding"] for c in other["verdicts"][0]["changes"]] == [None]
