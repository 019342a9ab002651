"""What `show` and `memory` say first of a checkpoint that contradicts its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.checkpoints import write
from helpers.models import Config, Tensors, files, fixture, having, layers, resized, without
from helpers.program import Run

WORDS = "the checkpoint contradicts its config"


class Change(NamedTuple):
    config: Callable[[Config], Config] = lambda c: c
    tensors: Callable[[Tensors], Tensors] = lambda t: t


CHANGES = {
    "fewer layers are stored": Change(tensors=layers(1)),
    "the vocabulary has grown": Change(tensors=resized(160)),
    "a tensor is missing": Change(tensors=without("layers.0.self_attn.o_proj")),
    "the config has other heads": Change(config=having(num_attention_heads=16)),
}
FIXTURE = "llama-3-8b"


def folder(tmp_path: Path, change: str = "") -> str:
    config, tensors = CHANGES.get(change, Change())
    return str(write(tmp_path / "model", files(FIXTURE, config, tensors)))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_both_figures_stand_first(run: Run, tmp_path: Path, change: str, form: str) -> None:
    path = folder(tmp_path, change)
    show, _ = run("show", path, "-f", form)
    memory, _ = run("memory", path, "-f", form)
    for out, figures in ((show, "Parameters"), (memory, "one copy")):
        assert WORDS in out and out.index(WORDS) < out.index(figures)
        assert " by the config, " in out and " stored, " in out
    assert "as the headers say" not in memory and "parameters by the config" in memory


@pytest.mark.parametrize("change", CHANGES)
def test_json_has_both_figures(run: Run, tmp_path: Path, change: str) -> None:
    path = folder(tmp_path, change)
    show = run.document("show", path)
    memory = run.document("memory", path)
    plan = memory["models"][0]
    assert plan["status"] == show["parameters"]["status"] == "conflict"
    assert plan["checkpoint"] == show["checkpoint"]
    _, tensors = fixture(FIXTURE)
    changed = CHANGES[change].tensors(tensors)
    stored = sum(rows * columns for rows, columns in map(two_sizes, changed.values()))
    assert show["checkpoint"]["weights"] == stored
    assert show["checkpoint"]["bytes"] == 2 * stored
    assert show["checkpoint"]["tensors"] == len(changed)


def two_sizes(tensor: tuple[str, tuple[int, ...]]) -> tuple[int, int]:
    _, shape = tensor
    first, *others = shape
    return first, others[0] if others else 1


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_sound_checkpoint_has_no_conflict(run: Run, tmp_path: Path, form: str) -> None:
    path = folder(tmp_path)
    assert "onflict" not in run("show", path, "-f", form)[0]
    memory, _ = run("memory", path, "-f", form)
    assert "contradict" not in memory and "as the headers say" in memory


def test_a_sound_checkpoint_stores_what_the_config_says(run: Run, tmp_path: Path) -> None:
    show = run.json("show", folder(tmp_path))
    assert show["checkpoint"]["weights"] == show["parameters"]["total"]
