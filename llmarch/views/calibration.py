"""The view of a start-up log beside the plan of the same start."""

from __future__ import annotations

from ..analyses.calibration import SIZES, Calibration, FigureDifference
from ..analyses.engines import engine_of
from . import numbers
from .documents import ABSENT, Command, Sheet, Table
from .numbers import plural

FIGURE_LABELS = {
    "gpu": "memory of a GPU",
    "room": "room for the cache",
    "tokens": "tokens in the pool",
    "concurrency": "concurrency",
    "state": "recurrent state",
    "cache": "KV cache",
}
"""What figures are called where it is not their name."""


def calibration_view(name: str, calibration: Calibration) -> Sheet:
    """Return the sheet of a comparison.

    name: the model's name for people.
    """
    log, plan = calibration.log, calibration.plan
    version = log.version or "of a version that it does not log"
    engine = engine_of(log.engine)
    rules = f"rules read in {engine.version or 'no version'}"
    if log.version and engine.has_version_rules and not engine.is_newer(log.version):
        rules = "planned by the rules of that version"
    lines: list[tuple[str, list[str]]] = []
    if calibration.reasons:
        lines.append(("Differs", list(calibration.reasons)))
    else:
        lines.append(("Differs", ["nothing beyond what a plan aims at"]))
    lines.append(("Repeat", [Command(calibration.command)]))
    context = numbers.context(plan.request.context)
    gpus = plural(plan.request.parallel.gpus, "GPU")
    return Sheet(
        title=name,
        origin=f"log of {log.engine} {version}; {rules}",
        headline=f"context {context} · {gpus} · weights {plan.weights.name}",
        lines=lines,
        notes=[],
        tables=[figures_table(calibration)],
    )


def figures_table(calibration: Calibration) -> Table:
    """Return the table of figures, a row each."""
    columns = ["on one GPU", "log", "llmarch", "off", "with the logged room"]
    body: list[list[str]] = []
    for difference in calibration.differences:
        row = figure_row(difference)
        body.append(row)
    return Table(columns, body)


def figure_row(difference: FigureDifference) -> list[str]:
    """Return the cells of one figure."""
    off = ABSENT
    if difference.percent is not None:
        off = f"{difference.percent:+.1f} %"
    figures = (difference.logged, difference.planned, difference.with_logged_room)
    logged, planned, with_room = (logged_words(difference.name, figure) for figure in figures)
    label = FIGURE_LABELS.get(difference.name, difference.name)
    return [label, logged, planned, off, with_room]


def logged_words(name: str, figure: float | None) -> str:
    """Return a figure with its unit; a dash for none."""
    if figure is None:
        return ABSENT
    if name in SIZES:
        sign = "-" if figure < 0 else ""
        return f"{sign}{numbers.size(abs(figure))}"
    if name == "concurrency":
        return f"{figure:.2f}x"
    return numbers.number(figure)
