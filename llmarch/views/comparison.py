"""Models side by side: the rows that differ, the facts that are equal, and the layers as strips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..architecture.implied import UNSET
from ..architecture.paths import find_value
from ..checkpoint.reading import Observation, Reading
from ..compare.diff import OFTEN_UNSAID, facts_written_differently
from ..compare.lock import make_entry
from ..compare.unstated import unstated_paths
from . import numbers
from .checkpoint_rows import with_checkpoint_rows
from .compared_rows import ComparedRow, compared_models, compared_rows
from .conflict import conflict_lines
from .documents import ABSENT, Comparison, Table
from .doubts import marked_rows
from .exact_values import exact_text
from .headings import column_names, comparison_origin
from .headline import Headline, headline_of_pair
from .remarks import remarks
from .rows import Key
from .shown_changes import ComparedModel
from .strips import layer_symbols, legend, strip


def compare_any(readings: Sequence[Reading | Observation], everything: bool = False) -> Comparison:
    """Return several models side by side, whether or not a family reads them.

    readings: the models; the first is the one that the others are compared with.
    everything: whether equal facts have rows too, of models that families read.
    """
    read = [r for r in readings if isinstance(r, Reading)]
    if len(read) == len(readings):
        return compare(read, everything)
    # Inference from tensors is imported where a model needs it: it is a fifth of the start-up.
    from .observed_comparison import compare_observed

    return compare_observed(readings)


def compare(readings: list[Reading], everything: bool = False) -> Comparison:
    """Return several models side by side. Two models have a column of ratios.

    readings: the models; the first is the one that the others are compared with.
    everything: whether equal facts have rows too, instead of being summed up.
    """
    models = compared_models(readings)
    rows = rows_of_models(readings, models)
    return comparison_of_rows(readings, models, rows, everything)


def comparison_of_rows(
    readings: Sequence[Reading],
    models: Sequence[ComparedModel],
    rows: Sequence[ComparedRow],
    everything: bool = False,
) -> Comparison:
    """Return several models side by side, as `compare` does, by rows that are made already.

    models: what is compared of each model.
    rows: all rows of the models.
    """
    equal = [row for row in rows if not row.differs]
    phrases = equal_phrases(equal)
    hidden = len(equal) - len(phrases)
    shown = [row for row in rows if row.differs]
    if everything:
        shown, hidden = rows, 0
    symbols = layer_symbols(readings)
    names = column_names(readings)
    headline = Headline()
    if len(readings) == 2:
        headline = headline_of_pair(names, rows)
    same = not any(model.changed_by_layers for model in models)
    differing = [row.label for row in rows if row.differs]
    conflicts = conflict_notes(names, readings)
    return Comparison(
        headline=headline.sentence,
        untold=headline.untold,
        origins=list(zip(names, map(comparison_origin, readings), strict=True)),
        table=comparison_table(names, shown, list(map(marked_rows, readings))),
        equal=phrases,
        hidden=hidden,
        strips=[strip(name, r, symbols) for name, r in zip(names, readings, strict=True)],
        legend=legend(readings, symbols),
        notes=[*unsaid_facts(names, readings), *comparison_notes(names, readings)],
        same=same,
        changed=bool(differing),
        verdict=verdict_words(same, differing, conflicts),
        conflicts=conflicts,
    )


def rows_of_models(
    readings: Sequence[Reading], models: Sequence[ComparedModel]
) -> list[ComparedRow]:
    """Return all rows of models, equal ones too, with those of what is beside the architecture.

    models: what is compared of each model.
    """
    entries = list(map(make_entry, readings))
    return with_checkpoint_rows(list(compared_rows(models)), entries)


def verdict_words(same: bool, differing: Sequence[str], conflicts: Sequence[str]) -> str:
    """Return what is the same, where the architectures are.

    same: whether they are by their configs.
    differing: the labels of all rows that differ.
    conflicts: what contradicts what in checkpoints.
    """
    if not same:
        return ""
    if conflicts:
        return "the configs say the same architecture, but a checkpoint is another one:"
    if differing:
        return f"one architecture; what differs beside it: {', '.join(differing)}"
    return "the architectures are the same"


def conflict_notes(names: Sequence[str], readings: Sequence[Reading]) -> list[str]:
    """Return what contradicts what in each model that has a conflict, and what is stored."""
    notes: list[str] = []
    for name, r in zip(names, readings, strict=True):
        notes += [f"{name}: {line}" for line in conflict_lines(r)]
    return notes


def comparison_table(
    names: Sequence[str], rows: Sequence[ComparedRow], marks: Sequence[Mapping[Key, str]]
) -> Table:
    """Return the rows as a table, with the ratio of the two where there are two models.

    marks: of each model, the marks of its rows.
    """
    is_pair = len(names) == 2
    columns = ["", *names]
    if is_pair:
        columns.append("")
    body: list[list[str]] = []
    sections: dict[int, str] = {}
    for row in rows:
        if row.section not in sections.values():
            sections[len(body)] = row.section
        cells = [row.label, *marked_cells(row, marks)]
        if is_pair:
            cells.append(ratio_text(row))
        body.append(cells)
    return Table(columns, body, sections)


def marked_cells(row: ComparedRow, marks: Sequence[Mapping[Key, str]]) -> list[str]:
    """Return the cells of a row, with a mark on what a reconstructed config does not tell surely.

    marks: of each model, the marks of its rows.
    """
    cells: list[str] = []
    for cell, of_model in zip(row.cells, marks, strict=True):
        mark = of_model.get((row.section, row.label))
        cells.append(f"{cell} ({mark})" if mark and cell != ABSENT else cell)
    return cells


def ratio_text(row: ComparedRow) -> str:
    """Return how the second number of a row compares with the first; nothing without numbers."""
    known: list[float] = []
    for number in row.numbers:
        if number is not None:
            known.append(number)
    if len(known) < 2:
        return ""
    return numbers.ratio(*known)


def equal_phrases(rows: Iterable[ComparedRow]) -> list[str]:
    """Return the equal facts that have a phrase; the others are only counted."""
    phrases: list[str] = []
    for row in rows:
        first = row.cells[0]
        text = first.replace("\n", ", ")
        if not row.equal or text in ("none", "0"):
            continue
        phrase = row.equal.format(text)
        if text == "1":
            phrase = phrase.removesuffix("s")
        phrases.append(phrase)
    return phrases


def unsaid_facts(names: Sequence[str], readings: Sequence[Reading]) -> list[str]:
    """Return the facts that some configs leave unsaid: no changes, but they are told.

    names: the name of each model.
    readings: the models.
    """
    lines = facts_left_out(names, readings)
    for path in sorted(OFTEN_UNSAID):
        values = [find_value(r.architecture, path) for r in readings]
        said: list[str] = []
        for name, value in zip(names, values, strict=True):
            said.append(f"{name} {value if value is not None else 'does not say it'}")
        if None in values and any(value is not None for value in values):
            lines.append(f"{path}, no change: {', '.join(said)}")
    for name, reading in zip(names, readings, strict=True):
        lines += unstated_lines(name, reading)
    return lines


def unstated_lines(name: str, reading: Reading) -> list[str]:
    """Return the facts that a GGUF file does not state, with the reasons."""
    lines: list[str] = []
    for path in unstated_paths(reading):
        if path not in OFTEN_UNSAID:
            reason = reading.config_evidence[path].ref
            lines.append(f"{path}, no change: {name} does not state it: {reason}")
    return lines


def facts_left_out(names: Sequence[str], readings: Sequence[Reading]) -> list[str]:
    """Return the facts that some models write out and others leave out, and that say the same.

    names: the name of each model.
    readings: the models.
    """
    architectures = [r.architecture for r in readings]
    paths: dict[str, None] = {}
    for a in architectures[1:]:
        paths |= dict.fromkeys(facts_written_differently(architectures[0], a))
    lines: list[str] = []
    for path in paths:
        said: list[str] = []
        for name, a in zip(names, architectures, strict=True):
            value = find_value(a, path)
            words = "leaves it out" if value in UNSET else exact_text(value)
            said.append(f"{name} {words}")
        lines.append(f"{path}, no change: {', '.join(said)}")
    return lines


def comparison_notes(names: Sequence[str], readings: Sequence[Reading]) -> list[str]:
    """Return the remarks about each model, with its name."""
    notes: list[str] = []
    for name, r in zip(names, readings, strict=True):
        notes += [f"{name}: {remark}" for remark in remarks(r)]
    return notes
