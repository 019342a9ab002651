"""The gate: compare models with what was expected of them, and judge each comparison. Pure.

An uncertain result never passes. A comparison is incomplete when a model could not be read, was
read only in part, or has no tensor headers although its lock entry has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..architecture.schema import Change
from ..errors import LlmarchError
from ..sources.raw import abbreviate_commit
from .change_ids import change_id
from .consequences import with_consequence
from .diff import worst_first
from .entry_diff import (
    UNREAD_RULES,
    compare_known,
    find_differences,
    findings_by_place,
    have_same_tensors,
)
from .grouping import group_alike
from .lock import Entry
from .observed import key_changes
from .policy import Policy
from .report import ComparedSide, Verdict, count_noun
from .rereading import LoadEntry, read_again
from .rules import is_about_facts

READING_CHANGED = "reading-changed"


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
            old_side=compared_side(old),
        )
        return verdict, None
    expected = old
    differences = find_differences(old, new)
    if differences:
        expected = read_again(old, new, load)
    verdict = judge(
        old,
        new,
        policy,
        expected=expected,
        differences=differences if expected is old else None,
        model_line=model_line,
        fact_lines=fact_lines,
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
    differences: list[Change] | None = None,
    model_line: int = 1,
    fact_lines: Mapping[str, int] | None = None,
) -> Verdict:
    """Compare `new` with `old` and return the verdict. Lines are as in `judge_reference`.

    expected: `old` as this llmarch reads the same model; None: as it is.
    differences: of these two, where they are known.
    """
    if expected is None:
        expected = old
    if differences is None:
        differences = find_differences(expected, new)
    readings = reading_changes(old, expected, new)
    policy = policy.of(new.reference, new.repo)
    judged = policy.judge([*differences, *readings])
    findings = findings_by_place(old) | findings_by_place(new)
    reported: list[Change] = []
    accepted: list[Change] = []
    for change in group_alike(judged.changes):
        found = findings.get((change.rule, change.path))
        named = replace(change, id=change_id(new.reference, change, found))
        if named.id in policy.accept or named.id in old.accepted:
            accepted.append(named)
        else:
            reported.append(with_consequence(named, old, new))
    doubts = [*reasons_for_doubt(old, new), *_observed_doubts(expected, new)]
    remarks = [*doubts, *_observed_remarks(old, new)]
    if any(change.rule == READING_CHANGED for change in reported):
        remarks.append(
            "another llmarch version wrote the lock and reads the same files differently:"
            " `llmarch check --update` adopts it"
        )
    if _may_be_read_differently(old, expected, new, reported):
        remarks.append(
            "another llmarch version wrote the lock, without the config, and the locked commit"
            " cannot be read again: part of this may be how it is read"
        )
    against = None
    if old.reference != new.reference:
        against = old.reference
    return Verdict(
        name=new.reference,
        against=against,
        old=short_commit(old),
        new=short_commit(new),
        changes=tuple(worst_first(reported)),
        ignored=judged.ignored,
        accepted=tuple(accepted),
        used_ignores=judged.used,
        partial=bool(doubts),
        model_line=model_line,
        fact_lines=fact_lines or {},
        remarks=tuple(remarks),
        findings=findings,
        old_side=compared_side(old),
        new_side=compared_side(new),
    )


def _may_be_read_differently(
    old: Entry, expected: Entry, new: Entry, changes: Iterable[Change]
) -> bool:
    """Return whether changes of facts may come from another reading, which nothing can tell."""
    if expected is not old or old.reading is not None or old.config_source.config:
        return False
    is_other_version = old.read_by != new.read_by
    return is_other_version and any(is_about_facts(change.rule) for change in changes)


def compared_side(entry: Entry) -> ComparedSide:
    """Return where one side of a comparison was read."""
    return ComparedSide(entry.reference, entry.repo, entry.revision, entry.commit)


def short_commit(entry: Entry) -> str | None:
    """Return the first seven digits of the commit, if there is one."""
    if not entry.commit:
        return None
    return abbreviate_commit(entry.commit)


def reading_changes(old: Entry, expected: Entry, new: Entry) -> Iterator[Change]:
    """Yield what another llmarch read in the model of the lock, one change for each difference.

    old: the entry of the lock.
    expected: the same model as this llmarch reads it.
    new: the model as it is now. What contradicts its config is reported as that.
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


# --- doubts -------------------------------------------------------------------------------------


def reasons_for_doubt(old: Entry, new: Entry) -> Iterator[str]:
    """Yield the reasons why more may have changed than was found."""
    if old.tensors and not new.tensors:
        yield "tensor headers were read before but not now: the tensors were not checked"
    if have_same_tensors(old, new):
        return
    if new.partial:
        yield f"read in part: {_unread_reason(new)}"
    if old.partial:
        yield f"{old.reference} read in part: {_unread_reason(old)}"


def _observed_doubts(old: Entry, new: Entry) -> Iterator[str]:
    """Yield why a comparison with an observed model is incomplete.

    Where config and tensors are certainly the same, it is not: another llmarch reads the model.
    """
    if (old.observed is None) == (new.observed is None):
        return
    if have_same_tensors(old, new) and _same_config_keys(old, new):
        return
    facts = compare_known(old, new)
    unread = new if new.observed is not None else old
    yield (
        f"no family reads {unread.reference}: what its tensors and its config show was compared,"
        f" {count_noun(len(facts.open), 'fact')} could not be"
    )


def _observed_remarks(old: Entry, new: Entry) -> Iterator[str]:
    """Yield how observed models were compared."""
    if old.observed is not None and new.observed is not None:
        yield (
            "no family reads it: facts that tensors prove, every config key and the stored tensors"
            " are compared"
        )
    elif (old.observed is None) != (new.observed is None) and not [*_observed_doubts(old, new)]:
        reader = "a family reads it now"
        if new.observed is not None:
            reader = "no family reads it any more"
        yield f"{reader}; its config and tensors are the same: `llmarch check --update` adopts that"


def _same_config_keys(old: Entry, new: Entry) -> bool:
    """Return whether both configs are known and have the same keys with the same values."""
    before = old.known_keys()
    after = new.known_keys()
    if not before or not after:
        return False
    changes = list(key_changes(before, after))
    return not changes


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
