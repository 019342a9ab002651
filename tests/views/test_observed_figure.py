"""The figure of a model that no family reads has what tensors prove, and marks the unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import models
from helpers.checkpoints import Sparse
from helpers.figures import problems

import llmarch
from llmarch.checkpoint.reading import Observation
from llmarch.layout.compose import drawing
from llmarch.layout.drawing import Sign, Wire
from llmarch.views.figure.observed import UNKNOWN_VALUE, observed_figure


def observation(name: str, folder: Path) -> Observation:
    """A model whose model_type nobody knows."""
    repository = models.files(name, config=lambda c: {**c, "model_type": "unheard_of"})
    for file, data in repository.items():
        with (folder / file).open("wb") as stored:
            stored.write(data.head if isinstance(data, Sparse) else data)
            if isinstance(data, Sparse):
                stored.truncate(data.size)
    seen = llmarch.inspect(str(folder))
    assert isinstance(seen, Observation)
    return seen


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(
    "name", ["deepseek-v3-reduced", "gemma-2-9b", "gpt2-124m", "kimi-linear-48b", "lfm2-1.2b"]
)
def test_an_observed_model_is_drawn(name: str, narrow: bool, tmp_path: Path) -> None:
    described = observed_figure(observation(name, tmp_path))
    drawn = drawing(described, narrow=narrow)
    assert problems(drawn) == []
    cells = [v.cells[0] for panel in described.panels for v in panel.values]
    assert UNKNOWN_VALUE in cells and set(cells) != {UNKNOWN_VALUE}
    assert not [s for s in drawn.shapes if isinstance(s, Sign) and s.kind == "plus"]
    assert [s for s in drawn.shapes if isinstance(s, Wire)]
