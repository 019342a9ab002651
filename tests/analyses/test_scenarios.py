"""Plans of many requests: each equals the plan alone, and rows name their units."""

from __future__ import annotations

import csv
import io
import re

import pytest

import llmarch
from llmarch.analyses.planning import PlanOptions, plan_models
from llmarch.analyses.scenarios import Choices, Scenario, plan_scenarios
from llmarch.errors import PlanError
from llmarch.renderers.csv import rows_text
from llmarch.sources.gpus import parse_gpus
from llmarch.views.scenarios import scenarios_table

REFS = ("qwen3-8b", "gemma3-27b", "deepseek-v3.2")
CHOICES = Choices(
    contexts=(None, 4096, 32768),
    batches=(1, 16),
    kv_dtypes=("auto", "fp8"),
    weights=(None, "int4"),
    gpus=tuple(parse_gpus(text) for text in ("8xH200", "3xA100", "2xM4 Max 128GB")),
)


@pytest.fixture(scope="module")
def planned() -> list[Scenario]:
    readings = [llmarch.inspect(ref, headers=False) for ref in REFS]
    return list(plan_scenarios(readings, CHOICES.combine(PlanOptions(engine="vllm"))))


def test_every_combination_is_planned_once(planned: list[Scenario]) -> None:
    assert len(planned) == len(REFS) * CHOICES.count == 3 * 72
    rows = [tuple(scenario.to_row().items()) for scenario in planned]
    assert len(set(rows)) == len(rows)


def test_a_scenario_is_the_plan_alone(planned: list[Scenario]) -> None:
    readings = {(r := llmarch.inspect(ref, headers=False)).name: r for ref in REFS}
    for scenario in planned[::5]:
        reading = readings[scenario.name]
        if scenario.planned is None:
            with pytest.raises(PlanError, match=re.escape(scenario.reason)):
                plan_models([reading], scenario.options)
            continue
        (alone,) = plan_models([reading], scenario.options, curve=False)
        assert scenario.planned.to_dict() == alone.to_dict()


def test_what_is_not_possible_says_why(planned: list[Scenario]) -> None:
    impossible = [s for s in planned if s.planned is None]
    assert {s.options.gpus for s in impossible} == {3}
    for scenario in impossible:
        row = scenario.to_row()
        assert row["not_possible"] == scenario.reason and "divisible" in scenario.reason
        assert row["fits"] is None and row["weights_bytes_per_gpu"] is None


def test_csv_holds_every_figure_with_its_unit(planned: list[Scenario]) -> None:
    rows = [scenario.to_row() for scenario in planned]
    parsed = list(csv.DictReader(io.StringIO(rows_text(rows))))
    assert len(parsed) == len(rows)
    for row, line in zip(rows, parsed, strict=True):
        for name, value in row.items():
            if value is None:
                assert line[name] == ""
            elif isinstance(value, bool):
                assert line[name] == str(value).lower()
            else:
                assert line[name] == str(value)
    counts = ("model", "engine", "gpu", "gpus", "not_possible", "fits", "tensor_parallel")
    units = "tokens|sequences|bytes_per_gpu|format|dtype|flops_per_token|at_most|at_least"
    for name in rows[0]:
        assert name in counts or re.search(units, name), name


def test_cells_are_no_formulas() -> None:
    assert rows_text([{"model": "=cmd|' /C calc'!A0", "n": -1}]) == (
        "model,n\n'=cmd|' /C calc'!A0,-1"
    )


def test_the_table_has_every_scenario(planned: list[Scenario]) -> None:
    table = scenarios_table(planned)
    assert len(table.rows) == len(planned)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(table.sections) == 3 * 12
    fits = table.columns.index("fits")
    for scenario, row in zip(planned, table.rows, strict=True):
        assert row[fits].startswith(("yes", "no"))
        assert (scenario.planned is None) == row[fits].startswith("not possible: ")


def test_unknown_words_are_errors_not_rows() -> None:
    reading = llmarch.inspect("qwen3-8b", headers=False)
    for wrong in ({"engine": "vlm"}, {"kv_dtype": "fp9"}, {"weights": "int3.5"}):
        with pytest.raises(PlanError):
            list(plan_scenarios([reading], [PlanOptions(**wrong)]))  # type: ignore[arg-type]
