"""When what changed in a repository: its commits, each compared with the one before.

Pure, but for what `load` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..architecture.frozen import Frozen, frozen
from ..errors import LlmarchError, NotAModel
from ..sources.progress import Progress, ignore_progress
from ..sources.raw import abbreviate_commit
from .at_once import read_at_once
from .gate import judge
from .lock import Entry
from .policy import Policy
from .report import Verdict, change_line
from .rereading import LoadEntry


@frozen
class CommitStep(Frozen):
    """One commit, compared with the last one before it that could be read."""

    commit: str
    day: str
    """`2026-01-31`; empty if it is not known."""
    title: str
    """The first line of the commit's message."""
    verdict: Verdict
    is_first: bool = False
    """Whether there is none before it, so that nothing was compared."""

    @property
    def is_reported(self) -> bool:
        """Return whether there is something to say: a change, or that it could not be read."""
        verdict = self.verdict
        if verdict.error is not None or verdict.partial:
            return True
        return self.is_first or bool(verdict.changes)


@frozen
class CommitInfo(Frozen):
    """A commit as the Hub lists it."""

    commit: str
    day: str
    title: str


def walk(
    repo: str,
    commits: Sequence[CommitInfo],
    load: LoadEntry,
    headers: bool,
    progress: Progress = ignore_progress,
) -> list[CommitStep]:
    """Return a step for each commit, newest first. Several commits are read at once.

    commits: newest first; the last one is only compared with.
    load: reads a reference.
    headers: whether tensor headers are read.
    progress: called while they are read.
    """

    def read(info: CommitInfo) -> Entry | LlmarchError:
        try:
            return replace(load(f"{repo}@{info.commit}", headers), reading=None)
        except LlmarchError as error:
            return error

    policy = Policy()
    steps: list[CommitStep] = []
    before: Entry | None = None
    oldest_first = commits[::-1]
    found = read_at_once(oldest_first, read, progress)
    for info, entry in zip(oldest_first, found, strict=True):
        reference = f"{repo}@{info.commit}"
        if isinstance(entry, LlmarchError):
            verdict = Verdict(reference, None, info.commit, error=entry)
            step = CommitStep(info.commit, info.day, info.title, verdict)
            steps.append(step)
            continue
        is_first = before is None
        if before is None:
            verdict = Verdict(reference, None, info.commit)
        else:
            verdict = judge(before, entry, policy)
        before = entry
        step = CommitStep(info.commit, info.day, info.title, verdict, is_first)
        steps.append(step)
    return steps[::-1]


def is_uncertain(step: CommitStep) -> bool:
    """Return whether a commit may have changed more than was found.

    A commit without a model, such as the first one of most repositories, has nothing to compare.
    """
    verdict = step.verdict
    if verdict.error is not None:
        return not isinstance(verdict.error, NotAModel)
    return verdict.partial


def commit_lines(step: CommitStep) -> list[str]:
    """Return what a commit changed, a line for each change."""
    verdict = step.verdict
    if verdict.error is not None:
        return [f"could not be read: {verdict.error.message}"]
    lines = [change_line(change) for change in verdict.changes]
    if verdict.partial:
        lines += verdict.remarks
    if step.is_first:
        lines.append("the first commit that was read")
    return lines


def commit_remark(step: CommitStep) -> str:
    """Return `8d0b7aa 2026-01-31 (Fix theta): rope-theta-changed`."""
    rules = ", ".join(dict.fromkeys(change.rule for change in step.verdict.changes))
    if step.verdict.error is not None:
        rules = "could not be read"
    title = ""
    if step.title:
        title = f"({step.title})"
    words = [abbreviate_commit(step.commit), step.day, title]
    return f"{' '.join(filter(None, words))}: {rules}"
