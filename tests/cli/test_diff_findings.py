"""`diff` beside a checkpoint that contradicts its config; findings with their values in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import write
from helpers.models import files, having, resized, without
from helpers.program import Run

FIXTURE = "llama-3-8b"


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
    sound = run("diff", models["sound"], models["sound"], "-f", form)[0].lower()
    assert "the architectures are the same" in sound and "contradicts" not in sound
    for pair in ((models["sound"], models["damaged"]), (models["damaged"], models["sound"])):
        out, _ = run("diff", *pair, "-f", form)
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
    document = run.document("diff", models["sound"], models["damaged"])
    assert (document["old"]["status"], document["old"]["findings"]) == ("verified", [])
    assert document["new"]["status"] == "conflict"
    assert [f["rule"] for f in document["new"]["findings"]] == ["tensor-missing"]
    several = run.document("diff", *models.values())
    statuses = [c["new"]["status"] for c in several["comparisons"]]
    assert statuses == ["conflict", "conflict", "verified"]


def test_check_has_findings_with_tensor_and_values(run: Run, models: dict[str, str]) -> None:
    document = run.document("check", models["grown"], "--against", models["sound"], code=1)
    changes: list[dict[str, Any]] = document["verdicts"][0]["changes"]
    found = {c["path"]: c["finding"] for c in changes if c["finding"] is not None}
    shapes = [f for f in found.values() if f["rule"] == "tensor-shape"]
    facts = [f for f in found.values() if f["rule"] == "fact-contradicted"]
    assert shapes or facts
    for finding in (*shapes, *facts):
        assert finding["old"] is not None and finding["new"] is not None
        assert finding["path"] and finding["message"] and finding["severity"] == "weights"
    other = run.json("check", models["other"], "--against", models["sound"], code=1)
    assert [c["finding"] for c in other["verdicts"][0]["changes"]] == [None]
