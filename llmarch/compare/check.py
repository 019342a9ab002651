"""A check from end to end: read models again, compare each with its lock entry, and judge it.

`CheckResult` also holds the lock as it would be after review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, LlmarchError, UnknownReference, printable
from ..sources import project
from .gate import LoadEntry, judge, judge_reference
from .lock import Entry, Lock, parse_lock
from .policy import Policy, parse_policy
from .report import Report, Verdict


@frozen
class CheckResult(Frozen):
    """The report of a check; with a lock, what `--update` needs to write it again."""

    report: Report
    path: str = ""
    """The path of the lock file."""
    lock: Lock | None = None
    read_entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    """The models that were read as a whole, as they are now."""

    def updated_entries(self) -> dict[str, Entry]:
        """Return the entries of the lock, with those that were read replaced.

        A model whose checkpoint contradicts its config is not replaced.
        """
        entries: dict[str, Entry] = {}
        if self.lock:
            entries.update(self.lock.entries)
        for name, entry in self.read_entries.items():
            if not entry.conflicts():
                entries[name] = entry
        return entries

    def refused_updates(self) -> list[str]:
        """Return the models that `updated_entries` does not replace, because of a conflict."""
        return [name for name, entry in self.read_entries.items() if entry.conflicts()]


def project_policy() -> Policy:
    """Return the policy that the settings file of this project sets. Raises ConfigError."""
    table, file = project.read_settings()
    return parse_policy(table, file)


def open_lock(path: str) -> Lock:
    """Read a lock file. Raises ConfigError."""
    document, content = project.read_lock(path)
    return parse_lock(document, content, path)


def run_check(
    reference: str | None,
    against: str | None,
    lock: str,
    policy: Policy,
    load: LoadEntry,
    *,
    headers: bool = True,
) -> CheckResult:
    """Check all models of the lock, or one reference.

    reference: the model to check; None for all models of the lock.
    against: what to compare the reference with, a lock file or another reference; None for the
        entry in `lock`.
    lock: the path of the lock file.
    load: reads a reference.
    headers: whether tensor headers are read.

    Raises LlmarchError if the check is asked for wrongly. A model that cannot be read is in the
    report.
    """
    if against is None:
        return _check_lock(lock, reference, policy, load, headers)
    if project.is_lock(against):
        return _check_lock(against, reference, policy, load, headers)
    if reference is None:
        raise UnknownReference(
            "--against names a model: REF is needed to compare with it",
            f"llmarch check REF --against {against}",
        )
    verdict = check_pair(reference, against, policy, load, headers)
    return CheckResult(Report((verdict,), policy.level))


def _check_lock(
    path: str, reference: str | None, policy: Policy, load: LoadEntry, headers: bool
) -> CheckResult:
    """Compare one reference, or all models of a lock file, with their entries."""
    lock = open_lock(path)
    if not lock.entries:
        raise ConfigError(
            f"{printable(path)} has no models, so there is nothing to check",
            f"`llmarch lock REF... -o {printable(path)}` adds one",
        )
    names = list(lock.entries)
    if reference is not None:
        names = [find_entry_name(reference, lock, path)]

    def load_with_headers(ref: str, tensors: bool) -> Entry:
        return load(ref, tensors and headers)

    verdicts: list[Verdict] = []
    read_entries: dict[str, Entry] = {}
    for name in names:
        verdict, entry = judge_reference(
            lock.entries[name],
            load_with_headers,
            policy,
            reference=reference or name,
            model_line=lock.model_lines[name],
            fact_lines=lock.fact_lines[name],
        )
        verdicts.append(verdict)
        if entry is not None and entry.reference == name:
            read_entries[name] = entry
    report = Report(tuple(verdicts), policy.level, project.relative_path(path))
    return CheckResult(report, path, lock, read_entries)


def check_pair(
    reference: str, against: str, policy: Policy, load: LoadEntry, headers: bool
) -> Verdict:
    """Compare one model with another. A model that cannot be read is the verdict's error."""
    try:
        return judge(load(against, headers), load(reference, headers), policy)
    except LlmarchError as error:
        return Verdict(reference, None, None, error=error, against=against)


def find_entry_name(reference: str, lock: Lock, path: str) -> str:
    """Return the name of the lock entry to compare a reference with: its own, or the only one.

    Raises UnknownReference if there are several entries and none is its own.
    """
    if reference in lock.entries:
        return reference
    if len(lock.entries) == 1:
        return next(iter(lock.entries))
    raise UnknownReference(
        f"{path} does not have {reference}", f"It has {', '.join(lock.entries)}."
    )
