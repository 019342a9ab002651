"""A check from end to end: read models again, compare each with its lock entry, and judge it.

`CheckResult` also holds the lock as it would be after review.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import date
from fnmatch import fnmatchcase
from time import monotonic

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, LlmarchError, NotCached, UnknownReference, printable
from ..sources import project
from ..sources.progress import Progress, ignore_progress
from .at_once import read_at_once
from .gate import judge, judge_reference
from .lock import Entry, Lock, lock_text, parse_lock
from .policy import Policy, parse_policy
from .report import Report, Verdict, change_line
from .rereading import LoadEntry, renew


@frozen
class CheckResult(Frozen):
    """The report of a check; with a lock, what `--update` needs to write it again."""

    report: Report
    path: str = ""
    """The path of the lock file."""
    lock: Lock | None = None
    read_entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    """The models that were read as a whole, as they are now."""
    locked: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    """The entries of the lock, those of an older llmarch as this one reads them."""

    def updated_entries(self) -> dict[str, Entry]:
        """Return the entries of the lock, with those that were read replaced.

        A model whose checkpoint contradicts its config is not replaced, unless that was accepted.
        """
        entries = dict(self.locked)
        refused = self.refused_updates()
        for name, entry in self.read_entries.items():
            if name in refused:
                continue
            accepted = self._accepted(name, standing=True)
            entries[name] = replace(entry, accepted=accepted)
        return entries

    def refused_updates(self) -> list[str]:
        """Return the models that `updated_entries` does not replace, because of a conflict."""
        refused: list[str] = []
        for verdict in self.report.verdicts:
            entry = self.read_entries.get(verdict.name)
            if entry is None:
                continue
            conflicts = {(finding.rule, finding.path) for finding in entry.conflicts()}
            if any((change.rule, change.path) in conflicts for change in verdict.changes):
                refused.append(verdict.name)
        return refused

    def accepting_entries(self) -> dict[str, Entry]:
        """Return the entries of the lock with the changes that this check accepted."""
        entries = dict(self.locked)
        for verdict in self.report.verdicts:
            if verdict.name in entries:
                entry = entries[verdict.name]
                accepted = {**entry.accepted, **self._accepted(verdict.name, standing=False)}
                entries[verdict.name] = replace(entry, accepted=accepted)
        return entries

    def _accepted(self, name: str, *, standing: bool) -> dict[str, str]:
        """Return the accepted changes of a model, in words by their id.

        standing: only what is found of the model itself, which an update does not remove.
        """
        known: Mapping[str, str] = {}
        if name in self.locked:
            known = self.locked[name].accepted
        accepted: dict[str, str] = {}
        for verdict in self.report.verdicts:
            if verdict.name != name:
                continue
            for change in verdict.accepted:
                is_finding = (change.rule, change.path) in verdict.findings
                if standing and (not is_finding or change.new is None):
                    continue
                if change.id is not None:
                    words = f"{date.today()}: {change_line(change)}"
                    accepted[change.id] = known.get(change.id, words)
        return accepted


def project_policy() -> Policy:
    """Return the policy that the settings file of this project sets. Raises ConfigError."""
    table, file = project.read_settings()
    return parse_policy(table, file)


def open_lock(path: str) -> Lock:
    """Read a lock file. Raises ConfigError."""
    document, content = project.read_lock(path)
    return parse_lock(document, content, path)


def merge_lock(
    path: str,
    added: Mapping[str, Entry],
    *,
    removed: Iterable[str] = (),
    renewed: Mapping[str, Entry] | None = None,
    written_by: str,
) -> dict[str, Entry]:
    """Write entries into a lock file, and keep what it has beside them. Return all its entries.

    The file is read again under a lock of the operating system, so that of two programs at once
    neither loses what the other wrote.

    added: entries to write.
    removed: names of entries to leave out.
    renewed: entries that stand for those of an older llmarch.

    Raises ConfigError if the file cannot be read or written.
    """
    with project.exclusive(path):
        entries: dict[str, Entry] = {}
        if project.exists(path):
            current = open_lock(path)
            entries.update(current.entries)
            for name in current.outdated:
                if name in (renewed or {}):
                    entries[name] = (renewed or {})[name]
        entries.update(added)
        for name in removed:
            entries.pop(name, None)
        project.write_file(path, lock_text(entries, written_by))
    return entries


def run_check(
    reference: str | None,
    against: str | None,
    lock: str,
    policy: Policy,
    load: LoadEntry,
    *,
    headers: bool = True,
    progress: Progress = ignore_progress,
) -> CheckResult:
    """Check all models of the lock, or one reference. Several models are read at once.

    reference: the model to check; None for all models of the lock.
    against: what to compare the reference with, a lock file or another reference; None for the
        entry in `lock`.
    lock: the path of the lock file.
    load: reads a reference; of several models, in several threads.
    headers: whether tensor headers are read.
    progress: called while several models are read.

    Raises LlmarchError if the check is asked for wrongly. A model that cannot be read is in the
    report.
    """
    if against is None or project.is_lock(against):
        return _check_lock(against or lock, reference, policy, load, headers, progress)
    if reference is None:
        raise UnknownReference(
            "--against names a model: REF is needed to compare with it",
            f"llmarch check REF --against {against}",
        )
    verdict = check_pair(reference, against, policy, load, headers)
    return CheckResult(make_report((verdict,), policy))


@frozen
class _Checked(Frozen):
    """One model of a lock, checked."""

    verdict: Verdict
    locked: Entry | None = None
    """Its entry of the lock; None if it could not be read again."""
    read: Entry | None = None
    """The model as it is now; None if it could not be read as a whole."""


def _check_lock(
    path: str,
    reference: str | None,
    policy: Policy,
    load: LoadEntry,
    headers: bool,
    progress: Progress,
) -> CheckResult:
    """Compare one reference, or all models of a lock file, with their entries."""
    lock = open_lock(path)
    if not lock.references:
        raise ConfigError(
            f"{printable(path)} has no models, so there is nothing to check",
            f"`llmarch lock REF... -o {printable(path)}` adds one",
        )
    names = lock.references
    if reference is not None:
        names = find_entry_names(reference, lock, path)

    def load_with_headers(ref: str, tensors: bool) -> Entry:
        return load(ref, tensors and headers)

    def check_one(name: str) -> _Checked:
        asked = name
        if reference is not None and not is_glob(reference):
            asked = reference
        return _check_entry(lock, name, asked, policy, load_with_headers)

    checked = dict(zip(names, read_at_once(names, check_one, progress), strict=True))
    entries = dict(lock.entries)
    read_entries: dict[str, Entry] = {}
    for name, one in checked.items():
        if one.locked is not None:
            entries[name] = one.locked
        if one.read is not None and one.read.reference == name:
            read_entries[name] = one.read
    report = make_report(
        tuple(one.verdict for one in checked.values()),
        policy,
        project.relative_path(path),
        whole=reference is None,
    )
    return CheckResult(report, path, lock, read_entries, entries)


def _check_entry(lock: Lock, name: str, asked: str, policy: Policy, load: LoadEntry) -> _Checked:
    """Compare a model with its entry in a lock. A model that cannot be read is the verdict's error.

    name: its name in the lock.
    asked: the reference to read.
    """
    start = monotonic()
    try:
        locked = locked_entry(lock, name, load)
    except LlmarchError as error:
        return _Checked(Verdict(asked, None, None, error=error))
    verdict, entry = judge_reference(
        locked,
        load,
        policy,
        reference=asked,
        model_line=lock.model_lines[name],
        fact_lines=lock.fact_lines[name],
    )
    return _Checked(replace(verdict, seconds=monotonic() - start), locked, entry)


def make_report(
    verdicts: tuple[Verdict, ...], policy: Policy, file: str = "", *, whole: bool = False
) -> Report:
    """Return the report of verdicts under a policy.

    file: the path of the lock.
    whole: whether all its models were checked.
    """
    used = {ignore for verdict in verdicts for ignore in verdict.used_ignores}
    names = {verdict.name for verdict in verdicts}
    for verdict in verdicts:
        names |= {side.repo for side in (verdict.old_side, verdict.new_side) if side and side.repo}
    return Report(
        verdicts,
        policy.level,
        file,
        fail_rules=policy.fail_rules,
        notes=tuple(policy.notes(used, whole=whole, names=names)),
    )


def without_uncached(report: Report) -> Report:
    """Return a report in which models that were never read on this machine are skipped.

    Each has a remark that says so. What is known of the others stands.
    """
    verdicts: list[Verdict] = []
    for verdict in report.verdicts:
        reason = verdict.error
        if isinstance(reason, NotCached):
            remarks = (*verdict.remarks, f"not checked: {reason.message}")
            verdict = replace(verdict, error=None, is_skipped=True, remarks=remarks)
        verdicts.append(verdict)
    return replace(report, verdicts=tuple(verdicts))


def check_pair(
    reference: str, against: str, policy: Policy, load: LoadEntry, headers: bool
) -> Verdict:
    """Compare one model with another. A model that cannot be read is the verdict's error."""
    start = monotonic()
    try:
        old = load(against, headers)
        new = load(reference, headers)
        verdict = judge(old, new, policy)
    except LlmarchError as error:
        verdict = Verdict(reference, None, None, error=error, against=against)
    seconds = monotonic() - start
    return replace(verdict, seconds=seconds)


def locked_entry(lock: Lock, name: str, load: LoadEntry) -> Entry:
    """Return an entry of the lock; what an older llmarch wrote is read again. Raises LlmarchError.

    load: reads a reference.
    """
    outdated = lock.outdated.get(name)
    if outdated is not None:
        return renew(outdated, load)
    return lock.entries[name]


def all_entries(lock: Lock, load: LoadEntry, leave_out: Iterable[str] = ()) -> dict[str, Entry]:
    """Return the entries of a lock, as `locked_entry` does. Raises LlmarchError.

    leave_out: names of entries that nobody needs.
    """
    unneeded = set(leave_out)
    names = [name for name in lock.references if name not in unneeded]
    entries = read_at_once(names, lambda name: locked_entry(lock, name, load))
    return dict(zip(names, entries, strict=True))


def find_entry_names(reference: str, lock: Lock, path: str) -> list[str]:
    """Return the names of the lock entries to compare a reference with.

    reference: a name; or a pattern with `*` or `?`, which stands for all names that match it.

    Returns its own entry, or the only one. Raises UnknownReference if there are several entries and
    none is its own.
    """
    names = lock.references
    if reference in names:
        return [reference]
    hint = f"It has {', '.join(names)}."
    if is_glob(reference):
        found = [name for name in names if fnmatchcase(name, reference)]
        if not found:
            raise UnknownReference(f"{path} has no model {printable(reference)}", hint)
        return found
    if len(names) == 1:
        return names
    raise UnknownReference(f"{path} does not have {reference}", hint)


def is_glob(reference: str) -> bool:
    """Return whether a reference is a pattern of names: it has `*` or `?`."""
    return "*" in reference or "?" in reference
