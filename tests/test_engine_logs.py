"""Hold plans against figures that engines logged (scripts/engine_logs.py)."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from helpers.paths import ROOT

MODULE = importlib.util.spec_from_file_location("engine_logs", ROOT / "scripts" / "engine_logs.py")
assert MODULE is not None and MODULE.loader is not None
engine_logs: Any = importlib.util.module_from_spec(MODULE)
MODULE.loader.exec_module(engine_logs)

ROWS: list[dict[str, Any]] = engine_logs.read_logs()


def test_the_page_is_up_to_date() -> None:
    text = engine_logs.page([engine_logs.compare(row) for row in ROWS])
    assert engine_logs.PAGE.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_figure_is_within_its_aim_or_explained(row: dict[str, Any]) -> None:
    compared = engine_logs.compare(row)
    assert compared.is_within or row.get("why"), compared.percent
    if row["figure"] == "room" and row["version"]:
        assert compared.predicted - row["observed"] <= 1
    if row["figure"] in ("tokens", "concurrency"):
        assert abs(compared.percent) < 1.2


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["figure"] == "room"], ids=lambda row: row["id"]
)
def test_no_version_promises_more_than_there_was(row: dict[str, Any]) -> None:
    """A plan without a version is at most 1 GiB too large, whatever version the log is of."""
    compared = engine_logs.compare({**row, "version": ""})
    assert compared.predicted - row["observed"] <= 1


def test_most_are_within() -> None:
    within = sum(engine_logs.compare(row).is_within for row in ROWS)
    assert within >= len(ROWS) - 13


def test_rooms_of_known_starts_are_near() -> None:
    """Of starts whose version and flags are all logged, the room is off by some 1 %."""
    rows = [row for row in ROWS if row["figure"] == "room" and row["id"].startswith("h100-")]
    off = [abs(engine_logs.compare(row).percent) for row in rows]
    assert len(off) >= 30 and max(off) < 4 and sum(off) / len(off) < 0.5


def test_gpt_oss_120b_does_not_fit_one_h100_at_its_context() -> None:
    """vLLM refused 131,072 tokens at 0.95; with DeepSeek V4 Flash on two H200 there is room."""
    for ref, gpus, utilization, tokens, fits in (
        ("gpt-oss-120b", "1xH100", 0.95, None, False),
        ("gpt-oss-120b", "1xH100", 0.95, 1024, False),
        ("deepseek-v4-flash", "2xH200", 0.9, None, True),
    ):
        number, gpu = engine_logs.parse_gpus(gpus)
        options = engine_logs.PlanOptions(
            context=131072,
            engine="vllm",
            gpus=number,
            gpu=gpu,
            utilization=utilization,
            engine_options=engine_logs.EngineOptions(batched_tokens=tokens),
        )
        reading = engine_logs.load(ref)
        request, convention = engine_logs.plan_request(reading.architecture, options)
        weights = engine_logs.resolve_requested_weights(reading, None)
        plan = engine_logs.Planner(reading.architecture).plan(request, convention, weights)
        assert plan.fits is fits
