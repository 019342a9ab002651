"""Models side by side of which one at least is observed: facts, config keys and stored tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..architecture.schema import Change
from ..checkpoint.reading import Observation, Reading
from ..compare.config_keys import config_words
from ..compare.entry_diff import find_differences
from ..compare.gate import judge
from ..compare.lock import Entry, make_entry
from ..compare.policy import Policy
from ..compare.report import OF_CONFIG_KEYS, value_text
from .conflict import conflict_lines
from .documents import ABSENT, Comparison, Strip, Table
from .findings import finding_line
from .headings import column_names, comparison_origin
from .inferred import blocks_text
from .layer_kinds import layer_words
from .strips import different_symbols

UNCHANGED = "="
"""The cell of a model that has the value of the first."""


def compare_observed(readings: Sequence[Reading | Observation]) -> Comparison:
    """Return several models side by side, of which no family reads one or more.

    readings: the models; the first is the one that the others are compared with.
    """
    entries = [make_entry(r) for r in readings]
    first, *others = entries
    changes = [find_differences(first, other) for other in others]
    names = column_names(readings)
    symbols = dict(zip(legend_words(readings), different_symbols(), strict=False))
    same = not any(changes)
    return Comparison(
        headline="",
        origins=list(zip(names, map(comparison_origin, readings), strict=True)),
        table=_table(names, changes),
        equal=[],
        hidden=0,
        strips=[
            Strip(name, "".join(symbols[word] for word in words_of_layers(r)))
            for name, r in zip(names, readings, strict=True)
        ],
        legend=[(symbol, word) for word, symbol in symbols.items()],
        notes=_notes(names, readings, entries),
        same=same,
        changed=not same,
        verdict="what both show is the same" if same else "",
        conflicts=[
            f"{name}: {line}"
            for name, r in zip(names, readings, strict=True)
            if isinstance(r, Reading)
            for line in conflict_lines(r)
        ],
    )


def _table(names: Sequence[str], changes: Sequence[Sequence[Change]]) -> Table:
    """Return a row for each path that differs in a model from the first."""
    rows: dict[str, list[str]] = {}
    for number, of_model in enumerate(changes):
        for change in of_model:
            cells = rows.setdefault(change.path, ["", *[UNCHANGED] * len(changes)])
            cells[0] = _cell(change.rule, change.old)
            cells[1 + number] = _cell(change.rule, change.new)
    return Table(["", *names], [[path, *cells] for path, cells in rows.items()])


def _cell(rule: str, value: Any) -> str:
    """Return a value in words, a dash where there is none."""
    if value is None:
        return ABSENT
    if rule in OF_CONFIG_KEYS:
        value = config_words(value)
    return value_text(value)


def legend_words(readings: Sequence[Reading | Observation]) -> tuple[str, ...]:
    """Return the kinds of layers of models in words, in order of first use."""
    words: dict[str, None] = {}
    for r in readings:
        of_model = words_of_layers(r)
        words |= dict.fromkeys(of_model)
    return tuple(words)


def words_of_layers(r: Reading | Observation) -> list[str]:
    """Return the kind of each layer in words, those of an observed model from its tensors."""
    if isinstance(r, Reading):
        return layer_words(r.architecture)
    seen = r.observed
    words: list[str] = []
    for kind in seen.layers:
        text = blocks_text(seen, kind)
        words.append(text or "unrecognised")
    return words


def _notes(
    names: Sequence[str], readings: Sequence[Reading | Observation], entries: Sequence[Entry]
) -> list[str]:
    """Return why models are observed, what could not be compared, and the findings."""
    notes: list[str] = []
    for name, r in zip(names, readings, strict=True):
        if isinstance(r, Observation):
            notes.append(f"{name}: observed: {r.why}")
        notes += [f"{name}: {finding_line(finding)}" for finding in r.findings]
    first, *others = entries
    for other in others:
        notes += judge(first, other, Policy()).remarks
    return list(dict.fromkeys(notes))
