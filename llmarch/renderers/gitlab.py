"""GitLab's Code Quality report: the subset of Code Climate's format that merge requests show.

Each entry has `description`, `check_name`, `fingerprint`, `severity` and `location` with a path
relative to the repository and a line (docs.gitlab.com/ci/testing/code_quality). A comparison that
is incomplete is an entry too: an empty list would pass for a clean one.
"""

from __future__ import annotations

from typing import Any, Literal

from ..architecture.schema import Change
from ..compare.report import Report, Verdict, change_details, change_of_model, model_with_commits
from .cleaning import clean
from .sarif import change_digest, digest_of

CodeQualitySeverity = Literal["info", "minor", "major", "critical", "blocker"]

UNREAD_CHECK = "llmarch-not-read"
"""The name of the check that a model could be read, and as a whole."""
REMARK_CHECK = "llmarch-remark"
"""The name of what else a reader should know."""


def report(r: Report) -> list[dict[str, Any]]:
    """Return the list of entries: changes, models not read as a whole, remarks, then settings."""
    entries: list[dict[str, Any]] = []
    for v in r.verdicts:
        entries += [change_entry(r, v, c) for c in v.changes]
        if v.error:
            words = [v.error.message, v.error.hint or ""]
            entries.append(
                told_entry(r, v, UNREAD_CHECK, "critical", ". ".join(filter(None, words)))
            )
        for remark in v.remarks:
            if v.partial:
                entries.append(told_entry(r, v, UNREAD_CHECK, "critical", remark))
            else:
                entries.append(told_entry(r, v, REMARK_CHECK, "info", remark))
        if v.partial and not v.remarks:
            entries.append(told_entry(r, v, UNREAD_CHECK, "critical", "read only in part"))
    return entries + [policy_entry(r, note) for note in r.notes]


def change_entry(r: Report, v: Verdict, c: Change) -> dict[str, Any]:
    """Return the entry of one change."""
    description = f"{change_of_model(v, c)} ({change_details(c)})"
    return entry(r, v, c.rule, change_severity(r, c), description, change_digest(v, c), c.path)


def told_entry(
    r: Report, v: Verdict, name: str, severity: CodeQualitySeverity, words: str
) -> dict[str, Any]:
    """Return the entry of something about a whole model."""
    fingerprint = digest_of(v.name, name, words)
    return entry(r, v, name, severity, f"{model_with_commits(v)}: {words}", fingerprint)


def policy_entry(r: Report, note: str) -> dict[str, Any]:
    """Return the entry of something about the settings."""
    return placed_entry(REMARK_CHECK, "info", note, digest_of(note), r.file, 1)


def entry(
    r: Report,
    v: Verdict,
    name: str,
    severity: CodeQualitySeverity,
    description: str,
    fingerprint: str,
    path: str = "",
) -> dict[str, Any]:
    """Return one entry, at the line of a fact in the lock; without a lock, at the model as a file.

    path: the dotted path of the fact; the line of the model for none.
    """
    line = v.line_of(path) if r.file else 1
    return placed_entry(name, severity, description, fingerprint, r.file or v.name, line)


def placed_entry(
    name: str,
    severity: CodeQualitySeverity,
    description: str,
    fingerprint: str,
    path: str,
    line: int,
) -> dict[str, Any]:
    """Return one entry at a line of a file of the project."""
    file = path.replace("\\", "/").removeprefix("./")
    return {
        "description": clean(description),
        "check_name": name,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": clean(file) or ".", "lines": {"begin": line}},
    }


def change_severity(r: Report, c: Change) -> CodeQualitySeverity:
    """Return what GitLab shows for a change: what fails is major or critical."""
    if not r.fails(c):
        return "info" if c.severity == "info" else "minor"
    if c.severity == "weights":
        return "critical"
    return "major"
