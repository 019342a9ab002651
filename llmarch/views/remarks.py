"""What a reader must know of a model beside its facts: the state of its config, and findings."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoint.reading import Reading
from .conflict import conflict_lines
from .findings import finding_line

RECONSTRUCTED = (
    "the config is reconstructed: no published copy was found; each value's source is in the spec"
    " (--format json)"
)
ANOTHER_NAME = "name-not-exact"
"""The rule of a name that was taken for another model's."""
STAND_IN = (
    "stand-in: the config is that of {}, without its quantisation; the maker's own file was not"
    " seen"
)
INCOMPLETE = "the copy of the config is not complete; absent keys took class defaults"


def stand_ins(r: Reading) -> list[str]:
    """Return what was read in place of what was named: another model, a copy's config."""
    lines = [finding_line(f) for f in r.findings if f.rule == ANOTHER_NAME]
    provenance = r.raw.provenance or {}
    copy = provenance.get("stand_in")
    if copy:
        line = STAND_IN.format(copy)
        lines.append(line)
    return lines


def remarks(r: Reading) -> list[str]:
    """Return what a reader must know: the config's state, findings, and keys without a use."""
    lines: list[str] = []
    provenance = r.raw.provenance or {}
    if provenance.get("state") == "reconstructed":
        lines.append(RECONSTRUCTED)
    elif provenance.get("complete") is False:
        lines.append(INCOMPLETE)
    lines += stand_ins(r)
    for finding in r.findings:
        if finding.rule != ANOTHER_NAME:
            line = finding_line(finding)
            lines.append(line)
    if r.unread_keys:
        keys = ", ".join(r.unread_keys)
        lines.append(f"keys that llmarch does not read: {keys}")
    return lines


def reading_warnings(readings: Sequence[Reading]) -> list[str]:
    """Return what contradicts each config, and what was read in place of what was named.

    The model's name stands before each line where there are several.
    """
    warnings: list[str] = []
    several = len(readings) > 1
    for reading in readings:
        prefix = ""
        if several:
            prefix = f"{reading.name}: "
        lines = [*conflict_lines(reading), *stand_ins(reading)]
        for line in lines:
            warnings.append(f"{prefix}{line}")
    return warnings
