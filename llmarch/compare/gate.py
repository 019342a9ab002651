"""The gate: compare models with what was expected of them, and judge each comparison. Pure.

An uncertain result never passes. A comparison is incomplete when a model could not be read, was
read only in part, or has no tensor headers although its lock entry has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..architecture.schema import Change, Finding
from ..errors import LlmarchError
from .change_ids import change_id
from .config_keys import with_keys
from .consequences import with_consequence
from .diff import diff, worst_first
from .grouping import group_alike
from .lock import Entry
from .policy import Policy
from .report import Verdict, rule_of
from .rereading import LoadEntry, read_again
from .stored import told_differences

READING_CHANGED = "reading-changed"

UNREAD_RULES = frozenset(
    {
        "shard-unreadable",
        "index-unreadable",
        "headers-not-cached",
        "single-shard",
        "not-comparable",
        "shard-missing",
    }
)
"""Findings that say why a model was read only in part."""

UNRELATED_RULES = frozenset({"other-weights", "repo-moved", "unread-key", "index-total-size"})
"""Findings that are not about the tensors that were read."""


def judge_reference(
    old: Entry,
    load: LoadEntry,
    policy: Policy,
    *,
    reference: str,
    model_line: int = 1,
    fact_lines: Mapping[str, int] | None = None,
) -> tuple[Verdict, Entry | None]:
    """Read a reference and compare it with its entry in the lock.

    old: the entry of the lock.
    load: reads the reference; tensor headers are read if the entry has them.
    model_line, fact_lines: where the entry and its facts are in the lock file.

    Return the verdict, and the entry as it was read now; None if it could not be read as a whole.
    """
    try:
        new = load(reference, old.tensors is not None)
    except LlmarchError as error:
        verdict = Verdict(
            reference,
            short_commit(old),
            None,
            error=error,
            model_line=model_line,
            fact_lines=fact_lines or {},
        )
        return verdict, None
    expected = old
    if find_differences(old, new):
        expected = read_again(old, new, load)
    verdict = judge(
        old, new, policy, expected=expected, model_line=model_line, fact_lines=fact_lines
    )
    if new.partial:
        return verdict, None
    return verdict, replace(new, reading=None)


def judge(
    old: Entry,
    new: Entry,
    policy: Policy,
    *,
    expected: Entry | None = None,
    model_line: int = 1,
    fact_lines: Mapping[str, int] | None = None,
) -> Verdict:
    """Compare `new` with `old` and return the verdict. Lines are as in `judge_reference`.

    expected: `old` as this llmarch reads the same model; None: as it is.
    """
    if expected is None:
        expected = old
    differences = find_differences(expected, new)
    readings = reading_changes(old, expected, new)
    policy = policy.of(new.reference, new.repo)
    judged = policy.judge([*differences, *readings])
    findings = {(f.rule, f.path): f for f in (*old.findings, *new.findings)}
    told: list[Change] = []
    accepted: list[Change] = []
    for change in group_alike(judged.changes):
        found = findings.get((change.rule, change.path))
        named = replace(change, id=change_id(new.reference, change, found))
        if named.id in policy.accept or named.id in old.accepted:
            accepted.append(named)
        else:
            told.append(with_consequence(named, old, new))
    doubts = list(reasons_for_doubt(old, new))
    remarks = list(doubts)
    if any(change.rule == READING_CHANGED for change in told):
        remarks.append(
            "another llmarch version wrote the lock and reads the same files differently:"
            " `llmarch check --update` adopts it"
        )
    against = None
    if old.reference != new.reference:
        against = old.reference
    return Verdict(
        name=new.reference,
        against=against,
        old=short_commit(old),
        new=short_commit(new),
        changes=tuple(worst_first(told)),
        ignored=judged.ignored,
        accepted=tuple(accepted),
        used_ignores=judged.used,
        partial=bool(doubts),
        model_line=model_line,
        fact_lines=fact_lines or {},
        remarks=tuple(remarks),
        findings=findings,
    )


def short_commit(entry: Entry) -> str | None:
    """Return the first seven digits of the commit, if there is one."""
    if not entry.commit:
        return None
    return entry.commit[:7]


# --- differences --------------------------------------------------------------------------------


def find_differences(old: Entry, new: Entry) -> list[Change]:
    """Return all changes: of facts, findings, unread config keys, and stored tensors.

    Other stored tensors are a change of their own only if no other change explains them.
    """
    changes = with_keys(diff(old.architecture, new.architecture), old.told, new.told)
    changes += _finding_changes(old, new)
    changes += _unread_key_changes(old, new)
    if _has_other_tensors(old, new) and not any(map(explains_stored_tensors, changes)):
        before, after = told_differences(old.tensors, new.tensors)
        changes.append(
            Change(
                rule="stored-tensors-changed",
                path="tensors",
                old=before,
                new=after,
                severity="quantization",
            )
        )
    return [*changes, *_standing_conflicts(old, new)]


def reading_changes(old: Entry, expected: Entry, new: Entry) -> Iterator[Change]:
    """Yield what another llmarch read in the model of the lock, one change for each difference.

    old: the entry of the lock.
    expected: the same model as this llmarch reads it.
    new: the model as it is now. What contradicts its config is told as that.
    """
    if expected is old:
        return
    conflicts = {(finding.rule, finding.path) for finding in new.conflicts()}
    for change in find_differences(old, expected):
        is_standing = change.old == change.new
        if is_standing or (change.rule, change.path) in conflicts:
            continue
        yield Change(
            rule="reading-changed",
            path=change.path,
            old=change.old,
            new=change.new,
            severity="info",
            old_path=change.old_path,
            new_path=change.new_path,
        )


def _finding_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the findings of one side only; then those whose message changed, if tensors did.

    With the same tensors, another message only means that another llmarch version wrote it.
    """
    before = {(finding.rule, finding.path): finding for finding in old.findings}
    after = {(finding.rule, finding.path): finding for finding in new.findings}
    for key, finding in after.items():
        if key not in before:
            yield finding_change(finding, None, finding.message)
    for key, finding in before.items():
        if key not in after:
            yield finding_change(finding, finding.message, None)
    if not _has_other_tensors(old, new):
        return
    for key, finding in after.items():
        if key in before and before[key].message != finding.message:
            yield finding_change(finding, before[key].message, finding.message)


def _standing_conflicts(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the findings that make `new` a conflict and that `old` has with the same message.

    No change made them, but a checkpoint that contradicts its config never passes in silence.
    """
    before = {(finding.rule, finding.path): finding for finding in old.findings}
    changed = _has_other_tensors(old, new)
    for finding in new.conflicts():
        known = before.get((finding.rule, finding.path))
        if known is None or (changed and known.message != finding.message):
            continue
        yield finding_change(finding, finding.message, finding.message)


def _unread_key_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the config keys that nothing reads and that are new or have another value."""
    for key, value in new.unread_keys.items():
        before = old.unread_keys.get(key)
        if before != value:
            yield Change(
                rule="unread-key",
                path=key,
                old=before,
                new=value,
                severity="info",
            )


def _has_other_tensors(old: Entry, new: Entry) -> bool:
    """Return whether both sides know their stored tensors, and these differ."""
    if old.tensors is None or new.tensors is None:
        return False
    return old.tensors.digest != new.tensors.digest


def explains_stored_tensors(change: Change) -> bool:
    """Return whether a change is reason enough for other tensors to be stored."""
    if change.severity in ("weights", "quantization"):
        return True
    is_finding = rule_of(change).pattern is None
    return is_finding and change.rule not in UNRELATED_RULES


def finding_change(finding: Finding, old: str | None, new: str | None) -> Change:
    """Return the change of a finding from one message to another.

    old: the message before; None if the finding is new.
    new: the message now; None if the finding is gone, which breaks nothing.
    """
    severity = finding.severity
    if new is None:
        severity = "info"
    return Change(rule=finding.rule, path=finding.path, old=old, new=new, severity=severity)


# --- doubts -------------------------------------------------------------------------------------


def reasons_for_doubt(old: Entry, new: Entry) -> Iterator[str]:
    """Yield the reasons why more may have changed than was found."""
    if old.tensors and not new.tensors:
        yield "tensor headers were read before but not now: the tensors were not checked"
    if _have_same_tensors(old, new):
        return
    if new.partial:
        yield f"read in part: {_unread_reason(new)}"
    if old.partial:
        yield f"{old.reference} read in part: {_unread_reason(old)}"


def _have_same_tensors(old: Entry, new: Entry) -> bool:
    """Return whether both sides certainly store the same tensors.

    Tensors that could not be compared with the config are then at least the same as before.
    """
    for finding in (*old.findings, *new.findings):
        if finding.rule in UNREAD_RULES and finding.rule != "not-comparable":
            return False
    if old.tensors is None or new.tensors is None:
        return False
    return old.tensors.digest == new.tensors.digest


def _unread_reason(entry: Entry) -> str:
    """Return the first reason why an entry was read in part, and how many more there are."""
    reasons: list[str] = []
    for finding in entry.findings:
        if finding.rule in UNREAD_RULES and finding.message not in reasons:
            reasons.append(finding.message)
    if not reasons:
        return "some of it could not be compared"
    first, *others = reasons
    if not others:
        return first
    return f"{first} (and {len(others)} more)"
