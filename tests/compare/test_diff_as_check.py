"""`diff` tells what `check` tells of stored tensors that differ, in every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checkpoint_fixtures import both
from helpers.checkpoints import write
from helpers.models import Tensors, files, resized, with_dtype, with_prefix
from helpers.program import Run

FIXTURE = "qwen3-0.6b"
Change = Callable[[Tensors], Tensors]


VARIANTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "all-in-another-dtype": (with_dtype("F32"), ("BF16 → F32 in 310 tensors",)),
    "some-in-another-dtype": (with_dtype("F32", "norm"), ("BF16 → F32 in 113 tensors",)),
    "without-a-prefix": (with_prefix("model.", ""), ("nothing instead of model.",)),
    "prefix-and-dtype": (
        both(with_prefix("model.layers.", "layers."), with_dtype("F16", "norm")),
        ("BF16", "F16", "layers."),
    ),
}
"""Tensors that are the same model, with words that must be said."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_diff_and_check_tell_the_same(run: Run, tmp_path: Path, variant: str) -> None:
    change, words = VARIANTS[variant]
    old = str(write(tmp_path / "old", files(FIXTURE)))
    new = str(write(tmp_path / "new", files(FIXTURE, tensors=change)))
    checked = run.json("check", new, "--against", old)
    (told,) = checked["verdicts"][0]["changes"]
    assert told["rule"] == "stored-tensors-changed" and told["old"] != told["new"]
    assert all(word in told["new"] for word in words)
    document = run.document("diff", old, new, "--exit-code", code=1)
    (shown,) = document["changes"]
    assert all(shown[key] == told[key] for key in ("rule", "path", "old", "new", "severity"))
    for form in ("text", "markdown"):
        out, _ = run("diff", old, new, "-f", form, "--exit-code", code=1)
        plain = " ".join(out.replace("\\", "").split())
        assert "architectures are the same" not in out.lower()
        assert "stored tensors" in plain and all(word in plain for word in words[1:])
    several = run.json("diff", old, old, new)
    assert [c["changes"] for c in several["comparisons"]] == [[], [shown]]
    run("diff", old, new, "--fail-on", "quantization", code=1)
    run("diff", old, new, "--fail-on", "weights")
    run("diff", new, new, "--exit-code")


def test_a_change_of_weights_does_not_hide_another_dtype(run: Run, tmp_path: Path) -> None:
    def vocabulary(config: dict[str, object]) -> dict[str, object]:
        return config | {"vocab_size": 160}

    other = files(FIXTURE, vocabulary, both(resized(160), with_dtype("F32")))
    old = str(write(tmp_path / "old", files(FIXTURE)))
    new = str(write(tmp_path / "new", other))
    document = run.json("diff", old, new)
    rules = [change["rule"] for change in document["changes"]]
    assert rules == ["vocabulary-changed", "stored-tensors-changed"]
    out, _ = run("diff", old, new)
    assert "BF16 → F32" in document["changes"][1]["new"] and "stored tensors" in out
