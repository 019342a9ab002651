"""Findings fit to be shown: not more than a person can read, and no name from a repository that is not printable."""

from __future__ import annotations

from dataclasses import replace

from ..architecture.schema import Finding
from ..errors import printable

MOST_FINDINGS = 200
LONGEST = 400


def tidy(findings: list[Finding]) -> list[Finding]:
    """At most MOST_FINDINGS, those that matter first; the last one says how many are left out."""
    if len(findings) > MOST_FINDINGS:
        ordered = sorted(findings, key=lambda f: f.severity == "info")
        first, left = ordered[MOST_FINDINGS - 1], ordered[MOST_FINDINGS:]
        worst = (
            first.severity
            if first.severity != "info"
            else next((f.severity for f in left if f.severity != "info"), "info")
        )
        last = replace(
            first, message=f"{first.message}; and {len(left):,} more findings", severity=worst
        )
        findings = [*ordered[: MOST_FINDINGS - 1], last]
    return [clean(f) for f in findings]


def clean(f: Finding) -> Finding:
    """Tensor names are a repository's: control characters are escaped, what is endless is cut."""
    if (
        f.path.isprintable()
        and f.message.isprintable()
        and len(f.path) <= LONGEST
        and len(f.message) <= LONGEST
    ):
        return f
    return replace(f, path=printable(f.path, LONGEST), message=printable(f.message, LONGEST))
