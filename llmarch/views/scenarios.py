"""The table of scenarios: a row for each batch and context, in sections of what else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..analyses.planning import PlannedModel
from ..analyses.scenarios import SENTENCES, Scenario
from ..checkpoint.reading import Reading
from . import numbers
from .documents import ABSENT, Table
from .memory import largest_context_words, planned_fit_words
from .numbers import number
from .remarks import reading_warnings


def scenario_row(scenario: Scenario, reading: Reading) -> dict[str, Any]:
    """Return a scenario as one flat row, with what contradicts the model's config."""
    row = scenario.to_row()
    warnings = [*reading_warnings([reading]), row["warnings"] or ""]
    return row | {"warnings": SENTENCES.join(filter(None, warnings))}


def scenarios_table(scenarios: Sequence[Scenario], readings: Sequence[Reading]) -> Table:
    """Return the table of scenarios: a section for each model, GPUs and formats that differ.

    readings: the models, of which it says what contradicts their configs.
    """
    sections: dict[int, str] = {}
    rows: list[list[str]] = []
    columns = shown_columns(scenarios)
    varied = [words for words in SECTION_WORDS if len({words(s) for s in scenarios}) > 1]
    same = [words(scenarios[0]) for words in SECTION_WORDS if words not in varied]
    last = ""
    for scenario in scenarios:
        title = " · ".join(filter(None, (words(scenario) for words in varied)))
        if title != last:
            sections[len(rows)] = title
            last = title
        rows.append([words(scenario) for words in columns.values()])
    title = " · ".join(filter(None, same))
    return Table(list(columns), rows, sections, title, notes=reading_warnings(readings))


def shown_columns(scenarios: Sequence[Scenario]) -> dict[str, Callable[[Scenario], str]]:
    """Return the columns that say something of some scenario."""
    columns = dict(ROW_WORDS)
    for label, figure in FIGURE_WORDS.items():
        words = partial(figure_words, figure=figure)
        shown = {words(s) for s in scenarios}
        said = shown - {"", ABSENT}
        if said:
            columns[label] = words
    return columns


def figure_words(scenario: Scenario, figure: Callable[[PlannedModel], str]) -> str:
    """Return a figure of a scenario in words, a dash if it is not possible."""
    if scenario.planned is None:
        return ABSENT
    return figure(scenario.planned)


def outcome_words(scenario: Scenario) -> str:
    """Return whether a scenario fits, or why it is not possible; nothing without GPUs.

    A context beyond the model's own is said with it.
    """
    if scenario.planned is None:
        return f"not possible: {scenario.reason}"
    plan = scenario.planned.plan
    words = [planned_fit_words(scenario.planned)]
    if plan.beyond_context:
        limit = plan.context_limit or 0
        shown = numbers.context(limit)
        words.append(f"beyond its own context of {shown}")
    return ", ".join(filter(None, words))


def weights_words(scenario: Scenario) -> str:
    """Return the format of the weights."""
    return f"weights {scenario.options.weights or 'as-stored'}"


def cache_words(scenario: Scenario) -> str:
    """Return the dtype of the cache that is asked for, and the engine."""
    return f"cache {scenario.options.kv_dtype}, {scenario.options.engine}"


def gpus_words(scenario: Scenario) -> str:
    """Return `8 × H100`; nothing without GPUs."""
    options = scenario.options
    if options.gpu is None:
        return ""
    return f"{options.gpus or 1} × {options.gpu.name}"


def longest_words(planned: PlannedModel) -> str:
    """Return the largest context that fits; nothing without GPUs."""
    if planned.plan.largest_context is None:
        return ""
    return largest_context_words(planned.plan)


def batch_words(planned: PlannedModel) -> str:
    """Return the largest batch that fits; nothing without GPUs."""
    if planned.plan.largest_batch is None:
        return ""
    return number(planned.plan.largest_batch)


def speed_words(planned: PlannedModel) -> str:
    """Return the most tokens a second of all sequences; nothing if the bandwidth is not known."""
    if planned.speed is None:
        return ""
    return numbers.three_digits(planned.speed.decode_tokens_per_second_all)


SECTION_WORDS: tuple[Callable[[Scenario], str], ...] = (
    lambda s: s.name,
    gpus_words,
    weights_words,
    cache_words,
)
"""What a section is of; what all scenarios share stands above the table."""
ROW_WORDS: dict[str, Callable[[Scenario], str]] = {
    "batch": lambda s: number(s.options.batch),
    "context": lambda s: numbers.context(s.options.context or 0),
    "fits": outcome_words,
}
"""What a row is of, by the label of its column."""
FIGURE_WORDS: dict[str, Callable[[PlannedModel], str]] = {
    "weights": lambda p: numbers.size(p.plan.per_gpu.weights),
    "cache": lambda p: numbers.size(p.plan.per_gpu.cache + p.plan.per_gpu.state),
    "most context": longest_words,
    "most batch": batch_words,
    "tokens/s": speed_words,
}
"""What a plan gives of one GPU, and of all: by the label of its column."""
