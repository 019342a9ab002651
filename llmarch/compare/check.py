"""A check from end to end: read models again, compare each with its lock entry, and judge it.

`CheckResult` also holds the lock as it would be after review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, LlmarchError, UnknownReference, printable
from ..sources import project
from .gate import judge, judge_reference
from .lock import Entry, Lock, parse_lock
from .policy import Policy, parse_policy
from .report import Report, Verdict
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

        A model whose checkpoint contradicts its config is not replaced.
        """
        entries = dict(self.locked)
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

    verdicts: list[Verdict] = []
    read_entries: dict[str, Entry] = {}
    entries = dict(lock.entries)
    for name in names:
        asked = name
        if reference is not None and not is_glob(reference):
            asked = reference
        try:
            locked = locked_entry(lock, name, load_with_headers)
        except LlmarchError as error:
            verdicts.append(Verdict(asked, None, None, error=error))
            continue
        entries[name] = locked
        verdict, entry = judge_reference(
            locked,
            load_with_headers,
            policy,
            reference=asked,
            model_line=lock.model_lines[name],
            fact_lines=lock.fact_lines[name],
        )
        verdicts.append(verdict)
        if entry is not None and entry.reference == name:
            read_entries[name] = entry
    report = Report(tuple(verdicts), policy.level, project.relative_path(path))
    return CheckResult(report, path, lock, read_entries, entries)


def check_pair(
    reference: str, against: str, policy: Policy, load: LoadEntry, headers: bool
) -> Verdict:
    """Compare one model with another. A model that cannot be read is the verdict's error."""
    try:
        return judge(load(against, headers), load(reference, headers), policy)
    except LlmarchError as error:
        return Verdict(reference, None, None, error=error, against=against)


def locked_entry(lock: Lock, name: str, load: LoadEntry) -> Entry:
    """Return an entry of the lock; what an older llmarch wrote is read again. Raises LlmarchError.

    load: reads a reference.
    """
    if name in lock.outdated:
        return renew(lock.outdated[name], load)
    return lock.entries[name]


def all_entries(lock: Lock, load: LoadEntry) -> dict[str, Entry]:
    """Return all entries of a lock, as `locked_entry` does. Raises LlmarchError."""
    return {name: locked_entry(lock, name, load) for name in lock.references}


def find_entry_names(reference: str, lock: Lock, path: str) -> list[str]:
    """Return the names of the lock entries to compare a reference with.

    reference: a name; or a pattern with `*`, `?` or `[`, that stands for all names that match it.

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
    """Return whether a reference is a pattern of names: it has `*`, `?` or `[`."""
    return any(character in reference for character in "*?[")
