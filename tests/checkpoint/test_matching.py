"""Matching: what a row still misses, and that reporting changes nothing."""

from __future__ import annotations

import pytest
from helpers.checkpoint_fixtures import Change, drop, load, read, rename, table_of, tensors_of

from llmarch.checkpoint.classification import classify
from llmarch.checkpoint.fusing import match_fused
from llmarch.checkpoint.indices import Index
from llmarch.checkpoint.matching import Matching, MissingRow
from llmarch.checkpoint.missing import missing_findings
from llmarch.checkpoint.packing import unpack
from llmarch.checkpoint.unexpected import unexpected_findings
from llmarch.tensors.conversion import Conversion
from llmarch.tensors.template import TensorRow

NORMS = TensorRow("layers.{}.norm.weight", (8,), (range(4),), "norms")
EXPERTS = TensorRow("layers.{}.experts.{}.w1.weight", (8, 8), ((1, 2), range(3)), "experts")
ALL_EXPERTS = {(layer, expert) for layer in (1, 2) for expert in range(3)}


@pytest.mark.parametrize(
    ("row", "matched", "found", "left"),
    [
        (NORMS, [], {(0,), (3,)}, 2),
        (NORMS, [(1,)], {(0,), (3,)}, 1),
        (NORMS, [(1,), (2,)], {(0,), (3,)}, 0),
        (NORMS, [], {(0,), (1,), (2,), (3,)}, 0),
        (EXPERTS, [], {(1,)}, 3),
        (EXPERTS, [], {(1,), (2,)}, 0),
        (EXPERTS, [(2, 0)], {(1,)}, 2),
        (EXPERTS, [], {(1, 0), (2, 0)}, 4),
        (EXPERTS, [], ALL_EXPERTS, 0),
    ],
)
def test_what_is_found_is_missing_no_longer(
    row: TensorRow, matched: list[Index], found: set[Index], left: int
) -> None:
    missing = MissingRow(row, matched).without(found)
    if left == 0:
        assert missing is None
    else:
        assert missing is not None
        assert missing.missing_count == left


def test_a_row_of_a_billion_experts_is_not_listed() -> None:
    row = TensorRow("layers.{}.experts.{}.w1.weight", (8, 8), (range(4), range(10**9)), "experts")
    missing = MissingRow(row, []).without({(0,), (1,)})
    assert missing is not None
    assert missing.missing_count == 2 * 10**9


@pytest.mark.parametrize(
    "change",
    [drop(r"layers\.1\.self_attn"), rename("q_proj.weight", "q_proj.codes"), drop("lm_head")],
)
def test_reports_change_nothing(change: Change) -> None:
    fixture = load("qwen3-30b-a3b-reduced")
    fixture["config"]["quantization_config"] = {"quant_method": "aqlm"}
    architecture, rows = read(fixture["config"])
    unpacked = unpack(table_of(change(tensors_of(fixture))), architecture.quantization)
    matching = Matching(rows, unpacked.logical, Conversion())
    matching.match_by_name()
    match_fused(matching)
    classified = classify(architecture, matching, unpacked, architecture.quantization)
    for _ in range(2):
        first = unexpected_findings(architecture, matching, classified, [])
        assert unexpected_findings(architecture, matching, classified, []) == first
        missing = missing_findings(architecture, matching, partial=False)
        assert missing_findings(architecture, matching, partial=False) == missing
