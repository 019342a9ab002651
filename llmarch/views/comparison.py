"""Models side by side: the rows that differ, the facts that are equal, and the layers as strips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from ..architecture.catalogue import CATALOGUE, find_fact
from ..architecture.implied import UNSET
from ..architecture.paths import find_value
from ..checkpoint.reading import Observation, Reading
from ..compare.diff import OFTEN_UNSAID, diff, facts_written_differently
from ..compare.lock import make_entry
from ..compare.rules import SEVERITIES
from ..compare.unstated import unstated_paths
from . import numbers
from .checkpoint_rows import with_checkpoint_rows
from .compared_rows import ComparedRow, compared_models, compared_rows
from .conflict import conflict_lines
from .derived_rows import CACHE, DERIVED
from .documents import ABSENT, Comparison, Table
from .doubts import marked_rows
from .exact_values import exact_text
from .headings import column_names, comparison_origin
from .headline import Headline, headline_of_pair
from .remarks import remarks
from .rows import Key, key_of
from .shown_changes import ComparedModel
from .strips import layer_symbols, legend, strip


def compare_any(
    readings: Sequence[Reading | Observation], everything: bool = False, rules: bool = False
) -> Comparison:
    """Return several models side by side, whether or not a family reads them.

    readings: the models; the first is the one that the others are compared with.
    everything: whether equal facts have rows too, of models that families read.
    rules: whether each row has the rule of its change, of models that families read.
    """
    read = [r for r in readings if isinstance(r, Reading)]
    if len(read) == len(readings):
        compared = compare(read, everything)
        return with_rules(compared, read) if rules else compared
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


def by_consequence(rows: Sequence[ComparedRow]) -> list[ComparedRow]:
    """Return rows so that what can break most comes first, within a section and a rank."""
    sections = list(dict.fromkeys(row.section for row in rows))

    def place(row: ComparedRow) -> tuple[int, int, int]:
        key = row.section, row.label
        return sections.index(row.section), row.rank, consequence_of(key)

    return sorted(rows, key=place)


def consequence_of(key: Key) -> int:
    """Return what sorts a row by what its change breaks; sums over facts keep their place."""
    if key in DERIVED:
        return 0
    section, label = key
    _, _, without_name = label.partition(" ")
    worst = worst_consequences()
    usual = worst.get((section, without_name), 0)
    return worst.get(key, usual)


@cache
def worst_consequences() -> dict[Key, int]:
    """Return the place in SEVERITIES of the worst that a change in each row can break."""
    found: dict[Key, int] = {}
    for fact in CATALOGUE:
        key = fact.section, fact.label
        rule = fact.rule
        severity = SEVERITIES.index(rule.severity)
        known = found.get(key, severity)
        worst = min(severity, known)
        found[key] = worst
    return found


def with_rules(compared: Comparison, readings: Sequence[Reading]) -> Comparison:
    """Return a comparison with a column of what the change in each row breaks, and its rule."""
    t = compared.table
    rules = rules_of_rows(readings)
    section = ""
    rows: list[list[str]] = []
    for i, row in enumerate(t.rows):
        section = t.sections.get(i, section)
        rows.append([*row, rules.get((section, row[0]), "")])
    table = replace(t, columns=[*t.columns, "breaks, and rule"], rows=rows, columns_beside=1)
    return replace(compared, table=table)


def rules_of_rows(readings: Sequence[Reading]) -> dict[Key, str]:
    """Return severity and rule of the worst change in each row: `weights heads-changed`."""
    first, *others = (r.architecture for r in readings)
    worst: dict[Key, tuple[int, str]] = {}
    for other in others:
        for change in diff(first, other):
            key = key_of(change.path, find_fact(change.path, first, other))
            found = (SEVERITIES.index(change.severity), f"{change.severity} {change.rule}")
            worst[key] = min(found, worst.get(key, found))
    return {key: words for key, (_, words) in worst.items()}


def rows_of_models(
    readings: Sequence[Reading], models: Sequence[ComparedModel]
) -> list[ComparedRow]:
    """Return all rows of models, equal ones too, with those of what is beside the architecture.

    models: what is compared of each model.
    """
    entries = list(map(make_entry, readings))
    rows = list(compared_rows(models))
    ordered = by_consequence(rows)
    return with_checkpoint_rows(ordered, entries)


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
        for line in conflict_lines(r):
            note = f"{name}: {line}"
            notes.append(note)
    return notes


def comparison_table(
    names: Sequence[str], rows: Sequence[ComparedRow], marks: Sequence[Mapping[Key, str]]
) -> Table:
    """Return the rows as a table, with the ratio of the two where there are two models.

    A ratio of caches that holds for several lengths stands at the first of them.

    marks: of each model, the marks of its rows.
    """
    is_pair = len(names) == 2
    columns = ["", *names]
    if is_pair:
        columns.append("")
    body: list[list[str]] = []
    sections: dict[int, str] = {}
    last_ratio = ""
    for row in rows:
        if row.section not in sections.values():
            sections[len(body)] = row.section
        cells = [row.label, *marked_cells(row, marks)]
        if is_pair:
            ratio = ratio_text(row)
            cells.append(ratio)
            if row.section != CACHE:
                last_ratio = ""
            elif ratio == last_ratio:
                cells[-1] = ""
            else:
                last_ratio = ratio
        body.append(cells)
    return Table(columns, body, sections, is_matrix=not is_pair)


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
        if path in OFTEN_UNSAID:
            continue
        evidence = reading.config_evidence[path]
        lines.append(f"{path}, no change: {name} does not state it: {evidence.ref}")
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
        for remark in remarks(r):
            note = f"{name}: {remark}"
            notes.append(note)
    return notes
