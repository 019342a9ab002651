"""The figure of a model that no family reads has what tensors prove, and marks the unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import models
from helpers.checkpoints import Sparse
from helpers.facts import reading
from helpers.figures import problems

import llmarch
from llmarch.checkpoint.reading import Observation
from llmarch.layout.compose import drawing
from llmarch.layout.drawing import Sign, Wire
from llmarch.views.comparison import compare_any
from llmarch.views.figure.observed import UNKNOWN_VALUE, figure_with_observed


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
    described = figure_with_observed([observation(name, tmp_path)])
    drawn = drawing(described, narrow=narrow)
    assert problems(drawn) == []
    cells = [v.cells[0] for panel in described.panels for v in panel.values]
    assert UNKNOWN_VALUE in cells and set(cells) != {UNKNOWN_VALUE}
    assert not [s for s in drawn.shapes if isinstance(s, Sign) and s.kind == "plus"]
    assert [s for s in drawn.shapes if isinstance(s, Wire)]


@pytest.mark.parametrize("narrow", [False, True])
def test_observed_models_stand_beside_others(narrow: bool, tmp_path: Path) -> None:
    """In rows over what differs: none is left out, whichever is first."""
    (tmp_path / "other").mkdir()
    first = observation("gemma-2-9b", tmp_path)
    second = observation("gpt2-124m", tmp_path / "other")
    known = reading("llama3-8b")
    for models_ in ([first, known], [known, first], [first, second], [first, known, second]):
        described = figure_with_observed(models_)
        assert problems(drawing(described, narrow=narrow)) == []
        assert [model.strip.name for model in described.models] == [m.name for m in models_]
        assert {path for path, *_ in compare_any(models_).table.rows} == described.drawn
        shown = {v.label for _, v in described.matrix}
        assert {path.rpartition(".")[2] for path in described.drawn} <= {
            label.rpartition(".")[2] for label in shown
        }
