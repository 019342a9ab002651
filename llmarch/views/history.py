"""The view of a repository's history: the commits that changed something."""

from __future__ import annotations

from collections.abc import Sequence

from ..compare.history import CommitStep, commit_lines, is_uncertain
from ..errors import printable
from ..sources.raw import abbreviate_commit
from .documents import Table
from .numbers import plural

LONGEST_CHANGE = 1000


def history_table(steps: Sequence[CommitStep]) -> Table:
    """Return a row for each commit that has something to say, newest first."""
    rows: list[list[str]] = []
    for step in steps:
        if step.is_reported:
            lines = [step.title, *commit_lines(step)]
            cell = "\n".join(printable(line, LONGEST_CHANGE) for line in lines if line)
            commit = abbreviate_commit(step.commit)
            rows.append([commit, printable(step.day), cell])
    return Table(["commit", "day", "what changed"], rows)


def history_summary(repo: str, steps: Sequence[CommitStep]) -> str:
    """Return `acme/support-bot: 5 commits, 2 of them changed something`."""
    changed = sum(bool(step.verdict.changes) for step in steps)
    unread = sum(is_uncertain(step) for step in steps)
    words = f"{repo}: {plural(len(steps), 'commit')}, {changed or 'none'} of them changed something"
    if unread:
        words += f", {unread} could not be read as a whole: more may have changed"
    return words
