"""A check from end to end: which models are held against what, read again, judged; and the lock as it would be after review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, LlmarchError, UnknownReference, printable
from ..sources import project
from . import lock as locks
from .gate import Load, Report, Verdict, judge, pinned
from .lock import Entry, Lock, entry
from .policy import Policy, settings

__all__ = ["Checked", "check", "entry", "open_lock", "policy"]


@frozen
class Checked(Frozen):
    """The report; with a lock, its path and content, and the models that were read as a whole, as they are now."""

    report: Report
    path: str = ""
    lock: Lock | None = None
    now: Mapping[str, Entry] = field(default_factory=dict[str, Entry])

    def updated(self) -> dict[str, Entry]:
        """The entries of the lock, those that were read as they are now."""
        return {**(self.lock.entries if self.lock else {}), **self.now}


def policy() -> Policy:
    """The policy that the project here has set. Raises ConfigError."""
    return settings(*project.settings())


def open_lock(path: str) -> Lock:
    """A lock file. Raises ConfigError."""
    return locks.parse(*project.read_lock(path), path)


def check(
    reference: str | None,
    against: str | None,
    lock: str,
    rules: Policy,
    load: Load,
    *,
    headers: bool = True,
) -> Checked:
    """All models of the lock; or one reference, against its entry in the lock, in another lock, or another reference.

    Raises LlmarchError for what was asked wrongly; what cannot be read is in the report.
    """
    if against is not None and not project.is_lock(against):
        if reference is None:
            raise UnknownReference(
                "--against names a model: say which one is held against it",
                f"llmarch check REF --against {against}",
            )
        return Checked(Report((pair(reference, against, rules, load, headers),), rules.level))
    path = lock if against is None else against
    found = open_lock(path)
    if not found.entries:
        raise ConfigError(
            f"{printable(path)} has no models, so there is nothing to check",
            f"`llmarch lock REF... -o {printable(path)}` adds one",
        )
    names = list(found.entries) if reference is None else [entry_for(reference, found, path)]
    verdicts: list[Verdict] = []
    now: dict[str, Entry] = {}
    for name in names:
        verdict, fresh = pinned(
            found.entries[name],
            lambda ref, tensors: load(ref, tensors and headers),
            rules,
            reference=reference or name,
            line=found.line[name],
            lines=found.lines[name],
        )
        verdicts.append(verdict)
        if fresh is not None and fresh.reference == name:
            now[name] = fresh
    return Checked(Report(tuple(verdicts), rules.level, project.relative(path)), path, found, now)


def pair(reference: str, against: str, rules: Policy, load: Load, headers: bool) -> Verdict:
    """One model held against another."""
    try:
        return judge(load(against, headers), load(reference, headers), rules)
    except LlmarchError as error:
        return Verdict(reference, None, None, error=error, against=against)


def entry_for(reference: str, lock: Lock, path: str) -> str:
    """The model of the lock that a reference is held against: its own entry, or the only one there is."""
    if reference in lock.entries:
        return reference
    if len(lock.entries) == 1:
        return next(iter(lock.entries))
    raise UnknownReference(
        f"{path} does not have {reference}", f"It has {', '.join(lock.entries)}."
    )
