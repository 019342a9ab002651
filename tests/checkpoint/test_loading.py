"""Names that transformers does not load are a conflict (tests/oracle/loading.py wrote the fixture).

The fixture has tiny models of 51 model types under 36 spellings, and of 126 more under 16, each
with what `from_pretrained` reports: prefixes of other classes, modules renamed, matrices fused,
experts stacked, split and turned, tensors missing. A checkpoint is verified where all of it loads,
and nowhere else.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.folded import Folded, folded_table
from helpers.paths import FIXTURES

from llmarch.checkpoint.reading import Reading, read_model
from llmarch.config.families import MODEL_TYPES
from llmarch.sources.aliases import bundled_models

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

MODELS: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "loading.json.gz").read_bytes()))[
    "models"
]
ALIASES = frozenset(bundled_models())
ALL_ROWS = [
    (name, spelling)
    for name, model in MODELS.items()
    if model["config"]["model_type"] in MODEL_TYPES
    for spelling in model["rows"]
]
ROWS = [row for i, row in enumerate(ALL_ROWS) if row[0] in ALIASES or i % 5 == 0]
"""Model types without a spec have a fifth of their rows tried here."""
PREFIXES = {
    "language_model. before all": "language_model.",
    "transformer. before all": "transformer.",
    "transformer. instead of model.": "transformer.",
    "module. before all": "module.",
    "_orig_mod. before all": "_orig_mod.",
    "base_model.model. before all": "base_model.",
}
NAMING_RULES = ("names-not-loaded", "tensor-unexpected")
BEHAVIOUR = {
    (name, "a head more or less")
    for name in (
        "mistral-small-3.1",
        "deepseek_vl",
        "deepseek_vl_hybrid",
        "internvl",
        "lighton_ocr",
        "moss_transcribe_diarize",
        "hyperclovax_vision_v2",
        "minicpm_ocr",
    )
}
"""Rows that load and are a conflict all the same: the config ties the head that is stored."""
OWN_NAMES = ("the class's own names", "the class's own names without the base's")
APART = {*(("qianfan_ocr", spelling) for spelling in OWN_NAMES), ("deepseek_ocr2", OWN_NAMES[0])}
"""Rows that load and are a conflict: modules that have a number of their own in published names
(`mlp1.0`, `neck.0`) are not known by the class's names."""


def folded(row: dict[str, Any]) -> Iterator[Folded]:
    """Yield the stored tensors of a row."""
    for key, indices in row["tensors"].items():
        pattern, _, shape = key.partition(" ")
        yield pattern, tuple(json.loads(shape)), map(tuple, indices)


def reading_of(name: str, spelling: str) -> Reading:
    model = MODELS[name]
    table = folded_table(folded(model["rows"][spelling]), "F32")
    return read_model(local_model(model["config"], table, name))


@pytest.mark.parametrize(("name", "spelling"), ROWS)
def test_status(name: str, spelling: str) -> None:
    model = MODELS[name]
    row = model["rows"][spelling]
    loads = not any(row.get(k) for k in ("error", "missing", "unexpected", "mismatched"))
    reading = reading_of(name, spelling)
    if (name, spelling) in BEHAVIOUR:
        assert loads and reading.status == "conflict"
        assert {f.severity for f in reading.findings} == {"behaviour", "info"}
    elif (name, spelling) in APART:
        assert loads and reading.status == "conflict"
    else:
        assert (reading.status == "verified") is loads


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in ROWS))
def test_a_prefix_that_does_not_load_is_named(name: str) -> None:
    for spelling, prefix in PREFIXES.items():
        row = MODELS[name]["rows"].get(spelling)
        if row is None or not row["missing"]:
            continue
        reading = reading_of(name, spelling)
        findings = [
            f for f in reading.findings if f.rule in ("names-not-loaded", "tensor-unexpected")
        ]
        assert any(prefix in f.path for f in findings), spelling


def test_the_rows_cover_the_model_types() -> None:
    assert len(MODELS) > 170 and len(ALL_ROWS) > 2000
