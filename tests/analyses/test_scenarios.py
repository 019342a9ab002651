"""Plans of many requests: each equals the plan alone, and rows name their units."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import replace
from time import process_time

import pytest
from helpers.facts import reading
from helpers.mutations import representatives

import llmarch
from llmarch.analyses.cache import compute_cache
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.launch_lines import read_launch_line
from llmarch.analyses.parameters import count_parameters
from llmarch.analyses.planning import ModelPlanner, PlanOptions, plan_models
from llmarch.analyses.scenarios import Choices, Scenario, plan_scenarios
from llmarch.architecture.layers import has_experts
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import Reading
from llmarch.errors import PlanError
from llmarch.renderers.csv import rows_text
from llmarch.sources.aliases import bundled_models
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
def readings() -> list[Reading]:
    return [llmarch.inspect(ref, headers=False) for ref in REFS]


@pytest.fixture(scope="module")
def planned(readings: list[Reading]) -> list[Scenario]:
    return list(plan_scenarios(readings, CHOICES.combine(PlanOptions(engine="vllm"))))


def test_every_combination_is_planned_once(planned: list[Scenario]) -> None:
    assert len(planned) == len(REFS) * CHOICES.count == 3 * 72
    rows = [tuple(scenario.to_row().items()) for scenario in planned]
    assert len(set(rows)) == len(rows)


def test_a_change_of_size_is_in_the_csv() -> None:
    """Every kind of fact changed once: where bytes or operations change, the row changes."""
    (number, gpu) = parse_gpus("2xH200")
    options = PlanOptions(engine="ideal", context=4096, gpus=number, gpu=gpu)
    told = 0
    for alias in ("aya-23-8b", "deepseek-r1", "gemma3n-e2b", "granite-4.0-h-350m"):
        old = reading(alias)
        before = sizes(old.architecture)
        row = rows_text([s.to_row() for s in plan_scenarios([old], [options])])
        for mutation in representatives()[alias]:
            new = replace(old, architecture=mutation.architecture)
            if sizes(new.architecture) == before:
                continue
            changed = rows_text([s.to_row() for s in plan_scenarios([new], [options])])
            assert changed != row, mutation.path
            told += 1
    assert told > 30


def sizes(a: Architecture) -> tuple[int, int]:
    """Parameters of the main model, and bytes of a sequence's cache and state."""
    return count_parameters(a).total, compute_cache(a).bytes_at(4096)


def test_a_scenario_is_the_plan_alone(readings: list[Reading], planned: list[Scenario]) -> None:
    by_name = {reading.name: reading for reading in readings}
    for scenario in planned[::5]:
        reading = by_name[scenario.name]
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
    counts += ("context_overflow", "warnings", "remarks", "status")
    units = "tokens|sequences|bytes_per_gpu|format|dtype|flops_per_token|at_most|at_least"
    for name in rows[0]:
        assert name in counts or re.search(units, name), name


def test_cells_are_no_formulas() -> None:
    assert rows_text([{"model": "=cmd|' /C calc'!A0", "n": -1}]) == (
        "model,n\n'=cmd|' /C calc'!A0,-1"
    )


def test_the_table_has_every_scenario(planned: list[Scenario]) -> None:
    table = scenarios_table(planned, [])
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


MOE_REFS = sorted(ref for ref in bundled_models() if has_experts(reading(ref).architecture))


@pytest.mark.parametrize("ref", MOE_REFS)
def test_experts_on_the_cpu_leave_the_gpu(ref: str) -> None:
    """What the CPU holds is missing on the GPU; all layers' experts are all routed experts."""
    planner = ModelPlanner(llmarch.inspect(ref, headers=False))
    a = planner.reading.architecture
    plans = [
        planner.plan(PlanOptions(context=1024, cpu_expert_layers=n, weights="bf16")).plan
        for n in (0, len(a.layers) // 2, 1_000_000)
    ]
    whole = plans[0].per_gpu.weights
    on_cpu = [plan.cpu_bytes for plan in plans]
    assert on_cpu[0] == 0 and on_cpu == sorted(on_cpu)
    assert on_cpu[2] == 2 * count_parameters(a).by_component["experts"]
    for plan in plans:
        assert plan.per_gpu.weights + plan.cpu_bytes == whole
        assert plan.one_copy.weights == whole


def test_only_engines_that_can_keep_experts_on_the_cpu() -> None:
    planner = ModelPlanner(llmarch.inspect("gpt-oss-20b", headers=False))
    with pytest.raises(PlanError, match="on the CPU"):
        planner.plan(PlanOptions(context=1024, cpu_expert_layers=1, engine="vllm"))
    options = read_launch_line("llama-server -m gpt-oss-20b -c 8192 --n-cpu-moe 12").options
    assert options.cpu_expert_layers == 12


def test_thousands_of_plans_take_seconds() -> None:
    """10,000 plans of one model take less than 5 s; a fifth of them is timed."""
    choices = Choices(
        contexts=tuple(range(1024, 1024 + 40 * 512, 512)),
        batches=tuple(range(1, 6)),
        kv_dtypes=("auto", "fp8"),
        gpus=tuple(parse_gpus(f"{number}xH200") for number in (1, 2, 4, 8, 16)),
    )
    requests = list(choices.combine(PlanOptions(engine="vllm")))
    assert len(requests) == 2000
    reading = llmarch.load("gemma3-27b")
    start = process_time()
    planned = sum(s.planned is not None for s in plan_scenarios([reading], requests))
    took = process_time() - start
    assert planned == 2000
    assert took < 1 or sys.gettrace() is not None  # a tracer of coverage takes its time


@pytest.mark.parametrize("engine", list(ENGINES))
def test_what_fits_agrees_with_the_most_that_fits(engine: str) -> None:
    """The verdict, the largest batch and context, and the concurrency that is printed."""
    kinds = ("qwen3.5-27b", "deepseek-v4-flash", "gemma3-27b", "llama3.1-8b", "nemotron-3-nano")
    for name in kinds:
        reading = llmarch.load(name)
        limit = reading.architecture.context_length or 131072
        choices = Choices(
            contexts=(2048, limit),
            batches=(3,),
            gpus=tuple(parse_gpus(f"{n}xH100") for n in (1, 2, 8)),
        )
        asked = PlanOptions(engine=engine)
        for scenario in plan_scenarios([reading], choices.combine(asked)):
            if scenario.planned is None:
                continue
            plan = scenario.planned.plan
            assert plan.fits == ((plan.largest_batch or 0) >= 3), (name, scenario.options)
            assert plan.fits == ((plan.largest_context or 0) >= plan.request.context)
            assert plan.capacity is not None
            if plan.fits and engine != "llama.cpp":
                assert plan.capacity.concurrency >= plan.request.sequences
