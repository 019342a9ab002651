"""`diff` tells what `check` tells of stored tensors that differ, in every format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checkpoints import write
from helpers.models import Tensors, files, resized

from llmarch.architecture.json_schema import validate
from llmarch.cli import main

FIXTURE = "qwen3-0.6b"
Run = Callable[..., str]
Change = Callable[[Tensors], Tensors]


def with_dtype(dtype: str, part: str = "") -> Change:
    """Return the change of tensors whose name contains a part to another dtype."""
    return lambda tensors: {n: (dtype if part in n else d, s) for n, (d, s) in tensors.items()}


def with_prefix(old: str, new: str) -> Change:
    """Return the change of a prefix to another one."""

    def change(tensors: Tensors) -> Tensors:
        renamed: Tensors = {}
        for name, kind in tensors.items():
            moved = new + name.removeprefix(old) if name.startswith(old) else name
            renamed[moved] = kind
        return renamed

    return change


def one_of(*changes: Change) -> Change:
    """Return several changes as one."""

    def change(tensors: Tensors) -> Tensors:
        for one in changes:
            tensors = one(tensors)
        return tensors

    return change


VARIANTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "all-in-another-dtype": (with_dtype("F32"), ("BF16 → F32 in 310 tensors",)),
    "some-in-another-dtype": (with_dtype("F32", "norm"), ("BF16 → F32 in 113 tensors",)),
    "without-a-prefix": (with_prefix("model.", ""), ("nothing instead of model.",)),
    "prefix-and-dtype": (
        one_of(with_prefix("model.layers.", "layers."), with_dtype("F16", "norm")),
        ("BF16", "F16", "layers."),
    ),
}
"""Tensors that are the same model, with words that must be said."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*args: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["llmarch", *args])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("variant", VARIANTS)
def test_diff_and_check_tell_the_same(run: Run, tmp_path: Path, variant: str) -> None:
    change, words = VARIANTS[variant]
    old = str(write(tmp_path / "old", files(FIXTURE)))
    new = str(write(tmp_path / "new", files(FIXTURE, tensors=change)))
    checked = json.loads(run("check", new, "--against", old, "-f", "json"))
    (told,) = checked["verdicts"][0]["changes"]
    assert told["rule"] == "stored-tensors-changed" and told["old"] != told["new"]
    assert all(word in told["new"] for word in words)
    document = json.loads(run("diff", old, new, "-f", "json", "--exit-code", code=1))
    validate(document)
    (shown,) = document["changes"]
    assert all(shown[key] == told[key] for key in ("rule", "path", "old", "new", "severity"))
    for form in ("text", "markdown"):
        out = run("diff", old, new, "-f", form, "--exit-code", code=1)
        plain = " ".join(out.replace("\\", "").split())
        assert "architectures are the same" not in out.lower()
        assert "stored tensors" in plain and all(word in plain for word in words[1:])
    several = json.loads(run("diff", old, old, new, "-f", "json"))
    assert [c["changes"] for c in several["comparisons"]] == [[], [shown]]
    run("diff", old, new, "--fail-on", "quantization", code=1)
    run("diff", old, new, "--fail-on", "weights")
    run("diff", new, new, "--exit-code")


def test_a_change_of_weights_does_not_hide_another_dtype(run: Run, tmp_path: Path) -> None:
    def vocabulary(config: dict[str, object]) -> dict[str, object]:
        return config | {"vocab_size": 160}

    other = files(FIXTURE, vocabulary, one_of(resized(160), with_dtype("F32")))
    old = str(write(tmp_path / "old", files(FIXTURE)))
    new = str(write(tmp_path / "new", other))
    document = json.loads(run("diff", old, new, "-f", "json"))
    rules = [change["rule"] for change in document["changes"]]
    assert rules == ["vocabulary-changed", "stored-tensors-changed"]
    out = run("diff", old, new)
    assert "BF16 → F32" in document["changes"][1]["new"] and "stored tensors" in out
