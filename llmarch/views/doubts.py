"""Marks of values that a reconstructed config does not have from the published one."""

from __future__ import annotations

from collections.abc import Mapping

from ..architecture.catalogue import find_fact
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from ..config.certainty import UNCERTAIN, marked_facts
from .rows import Key

SHOW_LABELS = {
    "Linear attention": "Attention",
    "Norms": "Norm",
    "Size": "Vocabulary",
    "Storage": "Weights",
    "Config": "Weights",
}
"""Labels of `show` by section of `diff`, where they are not the same word."""


def marked_rows(r: Reading) -> dict[Key, str]:
    """Return the mark of each row of `diff` that words a marked fact: `uncertain`, `derived`."""
    rows: dict[Key, str] = {}
    for path, mark in marked_facts(r.evidence).items():
        key = row_key(path, r.architecture)
        if key is not None and rows.get(key) != UNCERTAIN:
            rows[key] = mark
    return rows


def row_key(path: str, a: Architecture) -> Key | None:
    """Return section and label of the row that words a fact."""
    fact = find_fact(path, a)
    if fact is None:
        return None
    if fact.group == "towers":
        name = path.split(".")[1]
        return fact.section, f"{name} {fact.label}"
    return fact.section, fact.label


def doubt_lines(r: Reading) -> dict[str, list[str]]:
    """Return the lines of `show` that name marked facts, by label: `uncertain: logit scale`."""
    facts: dict[str, dict[str, list[str]]] = {}
    for (section, label), mark in marked_rows(r).items():
        where, name = SHOW_LABELS.get(section, section), label
        if section == "Encoders":
            tower, _, name = label.partition(" ")
            where = tower.capitalize()
        facts.setdefault(where, {}).setdefault(mark, []).append(name)
    return {where: _lines(by_mark) for where, by_mark in facts.items()}


def _lines(by_mark: Mapping[str, list[str]]) -> list[str]:
    """Return a line for each mark, the worst first."""
    marks = sorted(by_mark, key=lambda mark: mark != UNCERTAIN)
    return [f"{mark}: {', '.join(by_mark[mark])}" for mark in marks]
