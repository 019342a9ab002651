"""Names that transformers does not load are a conflict (tests/oracle/loading.py wrote the fixture).

The fixture has tiny models of 51 model types under 33 spellings, each with what `from_pretrained`
reports. Here are the spellings on which every status agrees; the others are accepted too freely.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.checkpoint.reading import read_model
from llmarch.errors import LlmarchError
from llmarch.sources.raw import RawModel, TensorTable, unfold

MODELS: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "loading.json.gz").read_bytes()))[
    "models"
]
AGREED = (
    "module. before all",
    "_orig_mod. before all",
    "base_model.model. before all",
    "mlp called feed_forward",
    "self_attn called attention",
    "norm renamed",
    "no final norm",
    "one layer's norm missing",
    "one matrix narrower",
)
ROWS = [(name, s) for name, model in MODELS.items() for s in AGREED if s in model["rows"]]


def table(row: dict[str, Any]) -> TensorTable:
    """Return the stored tensors of a row, which are folded by pattern and shape."""
    tensors: list[tuple[str, str, tuple[int, ...]]] = []
    for key, indices in row["tensors"].items():
        pattern, _, shape = key.partition(" ")
        dimensions = tuple(json.loads(shape))
        tensors += [(unfold(pattern, tuple(index)), "F32", dimensions) for index in indices]
    return TensorTable.from_tensors(tensors)


@pytest.mark.parametrize(("name", "spelling"), ROWS)
def test_status(name: str, spelling: str) -> None:
    model = MODELS[name]
    row = model["rows"][spelling]
    loads = not any(row.get(k) for k in ("error", "missing", "unexpected", "mismatched"))
    raw = RawModel(
        reference=name,
        kind="local",
        name=name,
        config=model["config"],
        config_file="config.json",
        tensors=table(row),
    )
    try:
        status = read_model(raw).status
    except LlmarchError:
        status = "refused"
    assert (status == "verified") is loads


def test_the_rows_cover_the_model_types() -> None:
    assert len(MODELS) > 45 and len(ROWS) > 300
