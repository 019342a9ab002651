"""Lines for a checkpoint that contradicts its config: whose the figures are, and what is stored."""

from __future__ import annotations

from ..analyses.parameters import count_parameters
from ..architecture.schema import Finding
from ..checkpoint.reading import Reading
from . import numbers
from .numbers import number

SELF_CONTRADICTION = "the config contradicts itself"
MOST_FACTS = 4
"""Contradicted facts that are listed; all are among the findings."""


def conflict_lines(r: Reading) -> list[str]:
    """Return what contradicts what, and the stored figures beside those of the config.

    No lines for a reading of another status.
    """
    if r.status != "conflict":
        return []
    words = conflict_words(r)
    lines = [f"{words}; the figures below are the config's"]
    stored = stored_words(r)
    if stored and words != SELF_CONTRADICTION:
        counted = count_parameters(r.architecture)
        total = numbers.count(counted.total)
        lines.append(f"parameters: {total} by the config, {stored}")
    lines += contradicted_facts(r.findings)
    return lines


def conflict_words(r: Reading) -> str:
    """Return which of the sources of a reading contradict each other."""
    if r.check is not None and r.check.status == "conflict":
        return "the checkpoint contradicts its config"
    if any(f.severity != "info" for f in r.raw.findings):
        return "the files of the checkpoint contradict each other"
    return SELF_CONTRADICTION


def stored_words(r: Reading) -> str:
    """Return `640.11 M stored, 1.19 GiB in 13 tensors`; nothing where no shape was read."""
    if r.check is None or r.check.names_only or r.raw.tensors is None:
        return ""
    weights = numbers.count(r.check.weights)
    size = numbers.size(r.raw.tensors.bytes)
    tensors = number(len(r.raw.tensors))
    return f"{weights} stored, {size} in {tensors} tensors"


def contradicted_facts(findings: tuple[Finding, ...]) -> list[str]:
    """Return the facts that tensors contradict, with the value of each."""
    lines: list[str] = []
    for finding in findings:
        if finding.rule == "fact-contradicted" and finding.new is not None:
            by_config, stored = contradicted_value(finding.old), contradicted_value(finding.new)
            lines.append(f"{finding.path}: {by_config} by the config, {stored} stored")
    hidden = len(lines) - MOST_FACTS
    if hidden > 0:
        lines[MOST_FACTS:] = [f"{hidden} more facts: see the findings"]
    return lines


def contradicted_value(value: object) -> str:
    """Return the value of a fact as findings have it."""
    if isinstance(value, int):
        return number(value)
    return str(value)
