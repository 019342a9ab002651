"""Marks of values that a reconstructed config does not have from the published one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..checkpoint.reading import Reading
from ..config.certainty import UNCERTAIN, marked_facts

if TYPE_CHECKING:
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
    marked = marked_facts(r.config_evidence)
    if not marked:  # as of most models, for which `show` does without the catalogue
        return {}
    from ..architecture.catalogue import find_fact
    from .rows import key_of

    rows: dict[Key, str] = {}
    for path, mark in marked.items():
        fact = find_fact(path, r.architecture)
        key = key_of(path, fact)
        if fact is not None and rows.get(key) != UNCERTAIN:
            rows[key] = mark
    return rows


def doubt_lines(r: Reading) -> dict[str, list[str]]:
    """Return the lines of `show` that name marked facts, by label: `uncertain: logit scale`."""
    facts: dict[str, dict[str, list[str]]] = {}
    for (section, label), mark in marked_rows(r).items():
        location, name = SHOW_LABELS.get(section, section), label
        if section == "Encoders":
            tower, _, name = label.partition(" ")
            location = tower.capitalize()
        facts.setdefault(location, {}).setdefault(mark, []).append(name)
    return {location: _lines(by_mark) for location, by_mark in facts.items()}


def _lines(by_mark: Mapping[str, list[str]]) -> list[str]:
    """Return a line for each mark, the worst first."""
    marks = sorted(by_mark, key=lambda mark: mark != UNCERTAIN)
    return [f"{mark}: {', '.join(by_mark[mark])}" for mark in marks]
