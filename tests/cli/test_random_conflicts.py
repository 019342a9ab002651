"""Every command says that a checkpoint contradicts its config, after any change of a clean one."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from helpers.checkpoints import safetensors, write
from helpers.program import Run
from helpers.quantised_checkpoints import CLEAN, QuantisedCheckpoint, plain
from helpers.random_changes import KINDS, PLAIN_KINDS

from llmarch.errors import ConfigError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

SEED = os.environ.get("LLMARCH_SEED", "16")
"""Set it to look elsewhere."""
CASES = 3
"""Conflicts that are tried, each with all commands, in some two seconds."""
SAYING = (
    "show {}",
    "show {} -f markdown",
    "memory {}",
    "memory {} -f json",
    "memory {} -f csv",
    "memory {} --context 64,128",
    "memory {clean} {}",
    "fit {} --gpus H200",
    "fit {} --gpus H200 -f json",
    "diff {} {clean}",
    "diff {clean} {}",
    "draw {} -o x.svg",
)
FAILING = {
    "fit {} --gpus H200 --check": 5,
    "check {} --against {clean}": 1,
    "check {} --against {}": 1,
    "diff {clean} {} --exit-code": 1,
    "diff {} {} --exit-code": 1,
    "diff {} {} --fail-on behaviour": 1,
    "lock {}": 1,
}
"""Commands that promise something, with their exit code on a conflict."""


def saved(checkpoint: QuantisedCheckpoint, folder: Path) -> str:
    """Write a checkpoint, its headers alone, and return its path."""

    tensors = {name: (d, s or ()) for name, (d, s) in checkpoint.tensors.items()}
    files = {
        "config.json": json.dumps(checkpoint.config).encode(),
        "model.safetensors": safetensors(tensors, {"format": "pt"}),
    }
    return str(write(folder, files))


def conflict(chooser: random.Random) -> tuple[str, QuantisedCheckpoint, QuantisedCheckpoint]:
    """Return a change of a clean checkpoint that makes it a conflict: in words, before, after."""
    while True:
        style = chooser.choice([*CLEAN, *["plain"] * 20])
        clean = QuantisedCheckpoint(*plain()) if style == "plain" else CLEAN[style]()
        kinds = PLAIN_KINDS if style in ("plain", "bitnet-plain", "ct-all-ignored") else KINDS
        change = chooser.choice(kinds)(clean, chooser)
        if change is None:
            continue
        try:
            status = change[1].verified().status
        except ConfigError:
            continue
        if status == "conflict":
            return f"{style}: {change[0]}", clean, change[1]


@pytest.mark.parametrize("number", range(CASES))
def test_every_command_tells_a_conflict(number: int, run: Run, work: Path) -> None:
    what, clean, changed = conflict(random.Random(f"{SEED} {number}"))
    paths = {"clean": saved(clean, work / "clean")}
    damaged = saved(changed, work / "damaged")
    for command in SAYING:
        out, err = run(*filled(command, damaged, paths))
        assert "contradict" in out + err, (what, command)
        if command.startswith(("memory {}", "fit")) and "-f" not in command:
            assert out.index("contradict") < out.index("iB"), (what, command)
            assert "as the headers say" not in out, (what, command)
    for command, code in FAILING.items():
        run(*filled(command, damaged, paths), code=code)
    assert not Path("llmarch.lock").exists()


def filled(command: str, damaged: str, paths: dict[str, str]) -> list[str]:
    """Return the words of a command, with the paths in their places."""
    return [word.replace("{}", damaged).format(**paths) for word in command.split()]
