"""Find all that differs between two entries of a lock: facts, findings, keys and tensors. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..architecture.schema import Architecture, Change, Finding, Severity
from .beside import code_differences, file_differences, key_differences
from .config_keys import with_keys
from .diff import diff, worst_first
from .lock import Entry
from .observed import (
    FactComparison,
    ObservedFacts,
    compare_facts,
    facts_of_architecture,
    key_changes,
    merge_keys,
    tensor_severity,
)
from .rules import is_about_facts
from .stored import describe_differences, describe_other_dtypes
from .tie_flags import TIE_KEY, states_the_same_flags, with_ties_of_class
from .unstated import Stated, completed

STORED_TENSORS = "stored-tensors-changed"
BESIDE_RULES = ("token-ids-changed", "remote-code-changed", "files-changed")
"""Rules of what changed beside the architecture."""

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

OF_ADDED_TENSORS = frozenset({"buffers-stored"})
"""Findings of tensors that are stored besides: the others may have changed in any way."""

UNRELATED_RULES = frozenset({"other-weights", "repo-moved", "unread-key", "index-total-size"})
"""Findings that are not about the tensors that were read."""


def find_differences(old: Entry, new: Entry) -> list[Change]:
    """Return all changes: of facts, findings, unread config keys, and stored tensors.

    Other stored tensors are a change of their own only if no other change explains them.
    """
    if old.architecture is None or new.architecture is None:
        changes = observed_changes(old, new)
    else:
        sides = [_stated(entry.architecture, entry) for entry in (old, new) if entry.architecture]
        of_facts = diff(*completed(sides))
        changes = with_keys(of_facts, old.config_source, new.config_source, new.files.config)
        changes = with_ties_of_class(changes, old, new)
        changes += _finding_changes(old, new)
        told = {change.path for change in changes}
        changes += [c for c in _unread_key_changes(old, new) if c.path not in told]
    changes += _stored_changes(old, new, changes)
    changes += _standing_conflicts(old, new)
    changes += _beside_changes(old, new)
    return changes


def _stated(architecture: Architecture, entry: Entry) -> Stated:
    source = entry.config_source
    return Stated(architecture, source.config, source.evidence)


def observed_changes(old: Entry, new: Entry) -> list[Change]:
    """Return the changes of two models of which one at least is observed, but for stored tensors.

    Findings of one observed and one read model are not compared: they come from different checks.
    """
    facts = compare_known(old, new)
    before = old.known_keys()
    after = new.known_keys()
    if not before or not after:
        before = _model_type_key(old)
        after = _model_type_key(new)
    changes = merge_keys(facts.changes, key_changes(before, after))
    if old.observed is not None and new.observed is not None:
        changes += _finding_changes(old, new)
    return changes


def _model_type_key(entry: Entry) -> dict[str, str]:
    """Return the one key that is known of every model, whether or not its config is."""
    keys = entry.known_keys()
    value = keys.get("model_type", "null")
    if entry.architecture is not None:
        value = json.dumps(entry.architecture.model_type)
    return {"model_type": value}


def compare_known(old: Entry, new: Entry) -> FactComparison:
    """Return the facts that both sides know and that differ, and those that one side lacks."""
    return compare_facts(_known_facts(old), _known_facts(new), _stored_severity(old, new))


def _known_facts(entry: Entry) -> ObservedFacts:
    """Return the facts of a model in the form in which observed ones are compared."""
    if entry.architecture is not None:
        return facts_of_architecture(entry.architecture)
    return entry.observed or ObservedFacts()


def _stored_severity(old: Entry, new: Entry) -> Severity:
    """Return what other stored tensors break: with a family, its findings tell the rest."""
    if old.architecture is not None and new.architecture is not None:
        return "quantization"
    before = old.observed or ObservedFacts()
    after = new.observed or ObservedFacts()
    same_sizes = before.components == after.components
    same_packings = before.packings == after.packings
    repacked = same_sizes and not same_packings
    return tensor_severity(old.tensors, new.tensors, repacked=repacked)


def _beside_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield what changed beside the architecture: token ids, own code, and small files.

    Other bytes of the weights are reported where the tensors are the same, of one model at two
    times.
    """
    sides = old.beside, new.beside
    for found in key_differences(*sides, code=False):
        yield Change(rule="token-ids-changed", **found._asdict(), severity="info")
    for found in (*key_differences(*sides, code=True), *code_differences(*sides)):
        yield Change(rule="remote-code-changed", **found._asdict(), severity="behaviour")
    same_model = old.reference == new.reference
    if new.repo is not None:
        same_model = old.repo == new.repo
    phrases = file_differences(*sides, weights=same_model and have_same_tensors(old, new))
    if phrases:
        yield Change(rule="files-changed", path="files", old=None, new=phrases, severity="info")


def reported_changes(old: Entry, new: Entry) -> list[Change]:
    """Return all changes between two models, worst first.

    A conflict that both have is none: it is among the findings of each. Token ids, code and small
    files are those of every other model: they are reported of two states of one repository or
    folder.
    """
    return select_reported(old, new, find_differences(old, new))


def reported_beside_facts(old: Entry, new: Entry) -> list[Change]:
    """Return the changes of `reported_changes` that are not about facts.

    Facts are only compared where they may explain other stored tensors: what each of their changes
    breaks takes most of the time of a comparison.
    """
    if _only_facts_are_left_out(old, new):
        other_changes = [*_finding_changes(old, new), *_unread_key_changes(old, new)]
        changes = select_reported(old, new, [*other_changes, *_beside_changes(old, new)])
    else:
        changes = reported_changes(old, new)
    return [change for change in changes if not is_about_facts(change.rule)]


def _only_facts_are_left_out(old: Entry, new: Entry) -> bool:
    """Return whether no change beside the facts depends on changes of facts."""
    both_read = old.architecture is not None and new.architecture is not None
    return both_read and not _has_other_tensors(old, new)


def select_reported(old: Entry, new: Entry, changes: Iterable[Change]) -> list[Change]:
    """Return those of some changes that are reported of two models, worst first."""
    states_of_one = are_states_of_one(old, new)
    reported: list[Change] = []
    for change in changes:
        if change.rule in BESIDE_RULES and not states_of_one:
            continue
        if change.old != change.new:
            reported.append(change)
    return worst_first(reported)


def are_states_of_one(old: Entry, new: Entry) -> bool:
    """Return whether two entries may be one model at two times: of one repository, or of folders.

    A bundled spec is a model by itself.
    """
    kinds = {entry.reading.raw.kind for entry in (old, new) if entry.reading is not None}
    return "spec" not in kinds and old.repo == new.repo


def _stored_changes(old: Entry, new: Entry, changes: Sequence[Change]) -> Iterator[Change]:
    """Yield the change of how tensors are stored, if no other change explains it.

    A change of weights explains which tensors there are, not that all are of another dtype.

    changes: the changes of facts, findings and keys.
    """
    if not _has_other_tensors(old, new):
        return
    explaining: list[Change] = []
    if old.observed is None and new.observed is None:
        explaining = list(filter(explains_stored_tensors, changes))
    if any(change.severity == "quantization" for change in explaining):
        return
    words = describe_differences(old.tensors, new.tensors)
    if explaining:
        words = describe_other_dtypes(old.tensors, new.tensors)
    if words is None:
        return
    before, after = words
    yield Change(
        rule="stored-tensors-changed",
        path="tensors",
        old=before,
        new=after,
        severity=_stored_severity(old, new),
    )


def _finding_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the findings of one side only; then those whose message changed, if tensors did.

    With the same tensors, another message only means that another llmarch version wrote it.
    """
    before, after = findings_by_place(old), findings_by_place(new)
    for key, finding in after.items():
        if key not in before:
            if finding.path.endswith(TIE_KEY) and states_the_same_flags(old, new):
                finding = replace(finding, severity="info")
            yield finding_change(finding, None, finding.message)
    for key, finding in before.items():
        if key not in after:
            yield finding_change(finding, finding.message, None)
    if not _has_other_tensors(old, new):
        return
    for key, finding in after.items():
        if key in before and before[key].message != finding.message:
            yield finding_change(finding, before[key].message, finding.message)


def findings_by_place(entry: Entry) -> dict[tuple[str, str], Finding]:
    """Return the findings of a model by rule and path."""
    return {(finding.rule, finding.path): finding for finding in entry.findings}


def _standing_conflicts(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the findings that make `new` a conflict and that `old` has with the same message.

    No change made them, but a checkpoint that contradicts its config never passes in silence.
    """
    before = findings_by_place(old)
    changed = _has_other_tensors(old, new)
    for finding in new.conflicts():
        known = before.get((finding.rule, finding.path))
        if known is None or (changed and known.message != finding.message):
            continue
        yield finding_change(finding, finding.message, finding.message)


def _unread_key_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the config keys that nothing reads and that came, went or have another value."""
    for key in dict.fromkeys([*new.unread_keys, *old.unread_keys]):
        before, value = old.unread_keys.get(key), new.unread_keys.get(key)
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
    if is_about_facts(change.rule) or change.rule in BESIDE_RULES:
        return False
    return change.rule not in UNRELATED_RULES and change.rule not in OF_ADDED_TENSORS


def finding_change(finding: Finding, old: str | None, new: str | None) -> Change:
    """Return the change of a finding from one message to another.

    old: the message before; None if the finding is new.
    new: the message now; None if the finding is gone, which breaks nothing.
    """
    rule = finding.rule
    path = finding.path
    severity = finding.severity
    if new is None:
        severity = "info"
    return Change(rule=rule, path=path, old=old, new=new, severity=severity)


def have_same_tensors(old: Entry, new: Entry) -> bool:
    """Return whether both sides certainly store the same tensors.

    Tensors that could not be compared with the config are then at least the same as before.
    """
    for finding in (*old.findings, *new.findings):
        if finding.rule in UNREAD_RULES and finding.rule != "not-comparable":
            return False
    if old.tensors is None or new.tensors is None:
        return False
    return old.tensors.digest == new.tensors.digest
