"""A check from end to end: read models again, compare each with its lock entry, and judge it.

`CheckResult` also holds the lock as it would be after review.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import date
from fnmatch import fnmatchcase
from time import monotonic

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, LlmarchError, NotCached, UnknownReference, printable
from ..sources import project
from ..sources.progress import Progress, ignore_progress
from .at_once import read_at_once
from .cached import judge_cached, not_here
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


@frozen
class CheckOptions(Frozen):
    """How models are checked."""

    policy: Policy
    headers: bool = True
    """Whether tensor headers are read, of models that were locked with them."""
    if_cached: bool = False
    """Whether what is not on this machine is left out."""


def run_check(
    references: Sequence[str],
    against: str | None,
    lock: str,
    options: CheckOptions,
    load: LoadEntry,
    progress: Progress = ignore_progress,
) -> CheckResult:
    """Check all models of the lock, or some references. Several models are read at once.

    references: the models to check, and patterns of names in the lock; none for all of it.
    against: what to compare with, a lock file or another reference; None for the entries in `lock`.
    lock: the path of the lock file.
    load: reads a reference; of several models, in several threads.
    progress: called while several models are read.

    Raises LlmarchError if the check is asked for wrongly. A model that cannot be read is in the
    report.
    """
    if against is None or project.is_lock(against):
        path = against or lock
        locked = open_lock(path)
        if not locked.references:
            raise ConfigError(
                f"{printable(path)} has no models, so there is nothing to check",
                f"`llmarch lock REF... -o {printable(path)}` adds one",
            )
        asked = {name: name for name in locked.references}
        if references:
            asked = find_entries(references, locked, path)
        whole = not references
        return check_entries(asked, locked, path, options, load, whole=whole, progress=progress)
    if not references:
        raise UnknownReference(
            "--against names a model: REF is needed to compare with it",
            f"llmarch check REF --against {against}",
        )
    pairs = [(reference, against) for reference in references]
    return check_pairs(pairs, options, load, progress=progress)


def check_pairs(
    pairs: Sequence[tuple[str, str]],
    options: CheckOptions,
    load: LoadEntry,
    *,
    progress: Progress = ignore_progress,
) -> CheckResult:
    """Compare models with others: the first of each pair with the second."""

    def check_one(pair: tuple[str, str]) -> Verdict:
        return check_pair(*pair, options, load)

    verdicts = read_at_once(pairs, check_one, progress)
    return CheckResult(make_report(tuple(verdicts), options.policy))


@frozen
class _Checked(Frozen):
    """One model of a lock, checked."""

    verdict: Verdict
    locked: Entry | None = None
    """Its entry of the lock; None if it could not be read again."""
    read: Entry | None = None
    """The model as it is now; None if it could not be read as a whole."""


def check_entries(
    asked: Mapping[str, str],
    lock: Lock,
    path: str,
    options: CheckOptions,
    load: LoadEntry,
    *,
    whole: bool = False,
    notes: Sequence[str] = (),
    progress: Progress = ignore_progress,
) -> CheckResult:
    """Compare models with their entries in a lock.

    asked: the reference to read for each name in the lock.
    path: of the lock file.
    whole: whether these are all models of the lock.
    notes: what a reader should know of the choice of models.
    """

    def load_with_headers(ref: str, tensors: bool) -> Entry:
        return load(ref, tensors and options.headers)

    def check_one(name: str) -> _Checked:
        return _check_entry(lock, name, asked[name], options, load_with_headers)

    checked = dict(zip(asked, read_at_once([*asked], check_one, progress), strict=True))
    entries = dict(lock.entries)
    read_entries: dict[str, Entry] = {}
    for name, one in checked.items():
        if one.locked is not None:
            entries[name] = one.locked
        if one.read is not None and one.read.reference == name:
            read_entries[name] = one.read
    report = make_report(
        tuple(one.verdict for one in checked.values()),
        options.policy,
        project.relative_path(path),
        whole=whole,
        notes=notes,
    )
    return CheckResult(report, path, lock, read_entries, entries)


def _check_entry(
    lock: Lock, name: str, asked: str, options: CheckOptions, load: LoadEntry
) -> _Checked:
    """Compare a model with its entry in a lock. A model that cannot be read is the verdict's error.

    name: its name in the lock.
    asked: the reference to read.
    """
    start = monotonic()
    try:
        locked = locked_entry(lock, name, load)
    except LlmarchError as error:
        if options.if_cached and isinstance(error, NotCached):
            return _Checked(not_here(name, error))
        return _Checked(Verdict(asked, None, None, error=error))
    compare = judge_cached if options.if_cached else judge_reference
    verdict, entry = compare(
        locked,
        load,
        options.policy,
        reference=asked,
        model_line=lock.model_lines[name],
        fact_lines=lock.fact_lines[name],
    )
    return _Checked(replace(verdict, seconds=monotonic() - start), locked, entry)


def make_report(
    verdicts: tuple[Verdict, ...],
    policy: Policy,
    file: str = "",
    *,
    whole: bool = False,
    notes: Sequence[str] = (),
) -> Report:
    """Return the report of verdicts under a policy.

    file: the path of the lock.
    whole: whether all its models were asked for; those that were not compared need no ignore.
    notes: what a reader should know besides.
    """
    whole = whole and all(v.error is None and not v.is_skipped for v in verdicts)
    used = {ignore for verdict in verdicts for ignore in verdict.used_ignores}
    names = {verdict.name for verdict in verdicts}
    for verdict in verdicts:
        names |= {side.repo for side in (verdict.old_side, verdict.new_side) if side and side.repo}
    return Report(
        verdicts,
        policy.level,
        file,
        fail_rules=policy.fail_rules,
        notes=(*notes, *policy.notes(used, whole=whole, names=names)),
    )


def check_pair(reference: str, against: str, options: CheckOptions, load: LoadEntry) -> Verdict:
    """Compare one model with another. A model that cannot be read is the verdict's error."""
    start = monotonic()
    try:
        old = load(against, options.headers)
        new = load(reference, options.headers)
        verdict = judge(old, new, options.policy)
    except LlmarchError as error:
        if options.if_cached and isinstance(error, NotCached):
            return not_here(reference, error)
        verdict = Verdict(reference, None, None, error=error, against=against)
    seconds = monotonic() - start
    return replace(verdict, seconds=seconds)


def as_quantized_copies(done: CheckResult) -> CheckResult:
    """Return a check of a quantised copy, in which how it is stored fails nothing.

    A copy that is stored as its base is has a remark.
    """
    verdicts: list[Verdict] = []
    for verdict in done.report.verdicts:
        stored = [change for change in verdict.changes if change.severity == "quantization"]
        remark = (
            "its card says that it is quantized: stored in another way is what it is meant to be"
        )
        if not stored:
            remark = "its card says that it is quantized, but it is stored as its base is"
        changes = tuple(
            replace(change, fails=False) if change in stored else change
            for change in verdict.changes
        )
        remarks = verdict.remarks if verdict.error else (*verdict.remarks, remark)
        verdicts.append(replace(verdict, changes=changes, remarks=remarks))
    return replace(done, report=replace(done.report, verdicts=tuple(verdicts)))


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


def find_entries(references: Iterable[str], lock: Lock, path: str) -> dict[str, str]:
    """Return the reference to read for each name in a lock that some references stand for.

    references: names; patterns with `*` or `?`, which stand for all names that match; or, where
        the lock has one model, what is compared with it.

    The names have the order of the references. Raises UnknownReference for a reference that is none
    of these.
    """
    names = lock.references
    hint = f"It has {', '.join(names)}."
    found: dict[str, str] = {}
    for reference in references:
        if reference in names:
            found[reference] = reference
        elif is_glob(reference):
            matched = [name for name in names if fnmatchcase(name, reference)]
            if not matched:
                raise UnknownReference(f"{path} has no model {printable(reference)}", hint)
            for name in matched:
                found.setdefault(name, name)
        elif len(names) == 1:
            found[names[0]] = reference
        else:
            raise UnknownReference(f"{path} does not have {reference}", hint)
    return found


def is_glob(reference: str) -> bool:
    """Return whether a reference is a pattern of names: it has `*` or `?`."""
    return "*" in reference or "?" in reference
