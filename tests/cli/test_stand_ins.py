"""Every output says that an alias stands for another's copy, or a name for another model."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.program import Run

SAID = {
    "gemma4-31b": "stand-in: the config is that of nvidia/Gemma-4-31B-IT-NVFP4",
    "Qwen3-8B-Base": "there is no spec of Qwen3-8B-Base; this is Qwen/Qwen3-8B",
}
OUTPUTS = (
    "show",
    "show -f json",
    "show -f markdown",
    "show --all",
    "show --tensors",
    "show --explain vocab_size",
    "show --explain vocab_size -f json",
    "show --explain vocab_size -f markdown",
    "memory",
    "memory -f json",
    "memory -f markdown",
    "memory -f csv",
    "memory --context 4k,8k",
    "memory --context 4k,8k -f json",
    "memory --context 4k,8k -f markdown",
    "memory --context 4k,8k -f csv",
    "fit --gpus H200",
    "fit --gpus H200 -f json",
    "draw",
    "draw -o picture.svg",
)
TWO = ("diff", "diff -f json", "diff -f markdown", "draw", "memory")


@pytest.mark.parametrize("ref", SAID)
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_says_what_was_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, ref: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = output.split()
    assert_said(run(command, ref, *options), ref)


@pytest.mark.parametrize("ref", SAID)
@pytest.mark.parametrize("output", TWO)
def test_of_two_models_too(run: Run, output: str, ref: str) -> None:
    command, *options = output.split()
    assert_said(run(command, ref, "gpt2", *options), ref)


def assert_said(streams: tuple[str, str], ref: str) -> None:
    """Check both streams, without the line breaks of a narrow terminal.

    JSON of a model has what it is a copy of in its source.
    """
    text = " ".join(" ".join(streams).split())
    assert SAID[ref] in text or f'"stand_in": "{SAID[ref].rpartition(" ")[2]}"' in text
