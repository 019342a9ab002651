"""Charts have nothing over anything else, and their bars are to scale."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from helpers.figures import lines_through, off_the_page, texts_over_texts, unknown_glyphs

import llmarch
from llmarch.analyses.parameters import count_parameters
from llmarch.analyses.planning import PlanOptions, plan_models
from llmarch.layout.charts import CHART_WIDTH, WHOLE_ROOM, chart_drawing
from llmarch.layout.drawing import Drawing, Rectangle, Wire
from llmarch.renderers.svg import drawing_svg
from llmarch.sources.gpus import parse_gpus
from llmarch.views.charts import Bar, BarChart, ChartSheet, Segment, memory_charts, parameter_charts

CASES = [
    (("deepseek-v3",), "8xH200"),
    (("qwen3-next",), None),
    (("llama3.1-8b", "gemma3-27b", "qwen3-next"), None),
    (("gpt2", "llama3-8b"), "2xRTX4090"),
    (("qwen3-235b",), "8xH100"),
]


def sheet(aliases: tuple[str, ...], gpus: str | None) -> ChartSheet:
    number, gpu = parse_gpus(gpus) if gpus else (None, None)
    readings = [llmarch.load(alias) for alias in aliases]
    planned = plan_models(readings, PlanOptions(batch=4, gpus=number, gpu=gpu))
    return memory_charts(planned, gpu.name if gpu else None)


def faults(drawing: Drawing) -> list[str]:
    found = [*unknown_glyphs(drawing), *off_the_page(drawing), *texts_over_texts(drawing)]
    lines = [s for s in drawing.shapes if not isinstance(s, Wire) or s.css == "limit"]
    return [*found, *lines_through(drawing._replace(shapes=tuple(lines)))]


@pytest.mark.parametrize("share", [0.5, 0.84, 0.9, 0.95, 0.999, 1.0, 1.05, 1.2, 3.0])
def test_no_line_is_over_the_size_of_a_bar(share: float) -> None:
    """Whatever a bar takes of what may be used."""
    bars = (bar("model", share), bar("another with a long name " * 3, share / 2))
    chart = BarChart("memory", bars, Segment("may be used: 71.7 GiB", 1.0, "71.7 GiB"))
    for narrow in (False, True):
        drawing = chart_drawing(ChartSheet("title", "", (chart,)), narrow=narrow)
        assert faults(drawing) == []


def bar(name: str, size: float) -> Bar:
    return Bar(name, (Segment("weights", size, f"{size:.1f} GiB"),), f"{100 * size:.1f} GiB")


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("aliases", "gpus"), CASES)
def test_charts_are_clear(aliases: tuple[str, ...], gpus: str | None, narrow: bool) -> None:
    drawing = chart_drawing(sheet(aliases, gpus), narrow=narrow)
    assert faults(drawing) == []
    assert drawing.width <= (304 if narrow else 608)
    ElementTree.fromstring(drawing_svg(drawing))


def test_bars_are_to_scale() -> None:
    a = llmarch.load("deepseek-v3").architecture
    drawing = chart_drawing(parameter_charts({"DeepSeek-V3": a}))
    bars = [s.area.width for s in drawing.shapes if isinstance(s, Rectangle) and s.radius == 1]
    total = count_parameters(a).total
    experts = count_parameters(a).by_component["experts"]
    assert max(bars) + 1 == pytest.approx((CHART_WIDTH - WHOLE_ROOM) * experts / total)
    assert sum(width + 1 for width in bars) == pytest.approx(CHART_WIDTH - WHOLE_ROOM, abs=3)


def test_the_summary_says_the_bars() -> None:
    assert "parameters by component, DeepSeek-V3: 671.03 B" in sheet(*CASES[0]).summary
