"""Compare a second set of weights with the config, where engines differ in what they read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..architecture.schema import Finding
from ..sources.raw import RivalWeights
from .verify import Verification


def rival_findings(rival: RivalWeights, other: Verification, check: Verification) -> list[Finding]:
    """Return what is wrong with the second set, and not with the first.

    rival: the second set.
    other: its comparison with the config.
    check: the comparison of the first set.
    """
    found = [*rival.findings, *other.findings]
    return list(_named(found, check.findings, rival.words))


def _named(findings: Iterable[Finding], known: list[Finding], words: str) -> Iterable[Finding]:
    """Return the findings that are not known, with the files that they are about."""
    for finding in findings:
        if finding.severity != "info" and finding not in known:
            yield replace(finding, message=f"{finding.message} (in {words})")
