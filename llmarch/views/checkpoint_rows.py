"""Rows of what differs beside the architecture: stored tensors, unread config keys, findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from ..architecture.catalogue.fact import SECTIONS
from ..architecture.schema import Change, Finding
from ..compare.config_keys import config_words
from ..compare.entry_diff import BESIDE_RULES, STORED_TENSORS, reported_beside_facts
from ..compare.lock import Entry
from .compared_rows import ComparedRow
from .documents import ABSENT

STORAGE, UNREAD_KEYS, FINDINGS = "Storage", "Keys that nothing reads", "Findings"
BESIDE_FACTS = "Beside the architecture"
ORDER = (*SECTIONS, UNREAD_KEYS, FINDINGS, BESIDE_FACTS)
"""Sections of `diff` in the order in which they are printed."""
MOST_PATHS = 3
"""Tensors or files of one rule that are named; more are counted."""


def with_checkpoint_rows(
    rows: Sequence[ComparedRow], entries: Sequence[Entry]
) -> list[ComparedRow]:
    """Return the rows of facts, and in their sections the rows of what else differs.

    rows: the rows of the facts of some models.
    entries: the models; the first is the one that the others are compared with.
    """
    changes = [reported_beside_facts(entries[0], other) for other in entries[1:]]
    found = [*rows, *stored_row(changes), *key_rows(entries, changes)]
    found += finding_rows(entries, changes)
    found += beside_rows(changes)
    return sorted(found, key=lambda row: ORDER.index(row.section))


def stored_row(changes: Sequence[Sequence[Change]]) -> Iterator[ComparedRow]:
    """Yield the row of the stored tensors, if a model stores them otherwise than the first.

    One that stores them as the first does has its words.

    changes: those of each model but the first.
    """
    found = [[c for c in of_model if c.rule == STORED_TENSORS] for of_model in changes]
    first = next((change.old for of_model in found for change in of_model), None)
    if first is None:
        return
    cells = [str(first)]
    for of_model in found:
        cells += [str(change.new) for change in of_model] or [str(first)]
    yield ComparedRow(STORAGE, "stored tensors", cells)


def key_rows(entries: Sequence[Entry], changes: Sequence[Sequence[Change]]) -> list[ComparedRow]:
    """Return a row for each config key that nothing reads and that has other values.

    changes: those of each model but the first.
    """
    keys: dict[str, None] = {}
    for of_model in changes:
        for change in of_model:
            if change.rule == "unread-key":
                keys[change.path] = None
    rows: list[ComparedRow] = []
    for key in keys:
        cells = [config_words(entry.unread_keys.get(key)) or ABSENT for entry in entries]
        row = ComparedRow(UNREAD_KEYS, key, cells)
        rows.append(row)
    return rows


def finding_rows(
    entries: Sequence[Entry], changes: Sequence[Sequence[Change]]
) -> list[ComparedRow]:
    """Return a row for each rule whose findings are not those of the first model.

    Cells name tensors and files; the messages where these are the same.

    changes: those of each model but the first.
    """
    elsewhere = ("unread-key", STORED_TENSORS, *BESIDE_RULES)
    rules = dict.fromkeys(
        change.rule for of_model in changes for change in of_model if change.rule not in elsewhere
    )
    rows: list[ComparedRow] = []
    for rule in rules:
        found = [[f for f in entry.findings if f.rule == rule] for entry in entries]
        cells = list(map(finding_paths, found))
        if len(set(cells)) < 2:
            cells = list(map(finding_messages, found))
        rows.append(ComparedRow(FINDINGS, rule, cells))
    return rows


def beside_rows(changes: Sequence[Sequence[Change]]) -> list[ComparedRow]:
    """Return a row for each token id, class of own code or list of files that changed.

    changes: those of each model but the first.
    """
    paths = dict.fromkeys(
        change.path for of_model in changes for change in of_model if change.rule in BESIDE_RULES
    )
    rows: list[ComparedRow] = []
    for path in paths:
        found = [next((c for c in of_model if c.path == path), None) for of_model in changes]
        first = beside_words(next(change.old for change in found if change is not None))
        cells = [first]
        for change in found:
            cells.append(first if change is None else beside_words(change.new))
        rows.append(ComparedRow(BESIDE_FACTS, path, cells))
    return rows


def beside_words(value: object) -> str:
    """Return a value of a token id, of code or of files as a cell."""
    if value is None:
        return ABSENT
    if isinstance(value, list | tuple):
        return "\n".join(map(str, cast("Sequence[object]", value)))
    return str(value)


def finding_paths(findings: Sequence[Finding]) -> str:
    """Return what findings are about: `model.norm.weight and 3 more`."""
    if not findings:
        return ABSENT
    paths = [finding.path or finding.rule for finding in findings]
    shown = "\n".join(paths[:MOST_PATHS])
    more = len(paths) - MOST_PATHS
    if more > 0:
        return f"{shown}\nand {more} more"
    return shown


def finding_messages(findings: Sequence[Finding]) -> str:
    """Return what findings say."""
    return "\n".join(finding.message for finding in findings) or ABSENT
