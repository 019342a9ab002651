"""Findings fit to be shown: not more than a person can read, and no name from a repository that is not printable."""

from __future__ import annotations

from dataclasses import replace

from ..architecture.schema import Finding
from ..errors import printable

MAX_FINDINGS = 200
MAX_TEXT = 400


def limit_findings(findings: list[Finding]) -> list[Finding]:
    """At most MOST_FINDINGS, those that matter first; the last one says how many are left out."""
    if len(findings) > MAX_FINDINGS:
        ordered = sorted(findings, key=lambda f: f.severity == "info")
        first, left = ordered[MAX_FINDINGS - 1], ordered[MAX_FINDINGS:]
        worst = (
            first.severity
            if first.severity != "info"
            else next((f.severity for f in left if f.severity != "info"), "info")
        )
        last = replace(
            first, message=f"{first.message}; and {len(left):,} more findings", severity=worst
        )
        findings = [*ordered[: MAX_FINDINGS - 1], last]
    return [escape_finding(f) for f in findings]


def escape_finding(f: Finding) -> Finding:
    """Tensor names are a repository's: control characters are escaped, what is endless is cut."""
    if (
        f.path.isprintable()
        and f.message.isprintable()
        and len(f.path) <= MAX_TEXT
        and len(f.message) <= MAX_TEXT
    ):
        return f
    return replace(f, path=printable(f.path, MAX_TEXT), message=printable(f.message, MAX_TEXT))
