"""The command `llmarch report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    end_if_partial,
    examples,
    file_option,
    inspect_references,
    models_argument,
)
from .pictures import figure_drawings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.reading import Observation, Reading
    from ..layout.drawing import Drawing


@app.command(
    "report",
    epilog=examples(
        "llmarch report deepseek-v3 -o deepseek-v3.html",
        "llmarch report llama3-8b olmo2-7b -o pair.html",
        "llmarch report org/model@main ./checkpoint -o report.html",
    ),
)
def report_models(
    refs: Annotated[
        list[str],
        models_argument("One model, or several side by side."),
    ],
    output: Annotated[
        str | None,
        file_option("File to write. Default: the page on standard output."),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Write a page about a model, or several: figure, facts, memory, findings."""
    readings = inspect_references(
        refs, offline=offline, headers=not config_only, refresh=refresh, config_suffices=True
    )
    page = report_page_text(readings)
    if output is None:
        typer.echo(page, nl=False)
    else:
        from ..sources.atomic import replace_file

        replace_file(Path(output), page.encode(), mode=0o644)
    end_if_partial(readings)


def report_page_text(readings: Sequence[Reading | Observation]) -> str:
    """Return the page about models."""
    from ..renderers.web.report_html import report_html
    from ..views.page import report_page

    figure = figure_drawings(readings, ".html")
    return report_html(report_page(readings), figure, report_charts(readings))


def report_charts(readings: Sequence[Reading | Observation]) -> list[list[Drawing]]:
    """Return the charts of parameters and of memory, each with a narrow one for small screens.

    There are none if a model is not known in full.
    """
    from ..analyses.planning import PlanOptions, plan_models
    from ..checkpoint.reading import Reading
    from ..layout.charts import chart_drawing
    from ..views.charts import ChartSheet, memory_charts, parameter_charts
    from ..views.headings import with_different_names

    known = [r for r in readings if isinstance(r, Reading)]
    if len(known) < len(readings):
        return []
    known = with_different_names(known)
    architectures = {r.name: r.architecture for r in known}
    memory = memory_charts(plan_models(known, PlanOptions()))
    sheets = [
        parameter_charts(architectures),
        ChartSheet(memory.title, memory.subtitle, memory.bars[:1], memory.plot),
    ]
    return [[chart_drawing(sheet), chart_drawing(sheet, narrow=True)] for sheet in sheets]
