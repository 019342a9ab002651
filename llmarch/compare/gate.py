"""The gate: models held against what was expected of them, and the verdict that a build passes or fails on. Pure.

What could not be told is never a pass: a model that could not be read, that was read in part, or whose tensors were locked and now are not
among what was read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Change, Finding
from ..errors import LlmarchError, printable
from ..views import numbers
from .diff import diff, worst_first
from .lock import Entry
from .policy import Policy
from .rules import CONSEQUENCES, SEVERITIES, Rule, Severity, find

Load = Callable[[str, bool], Entry]
"""Reads a reference, with tensor headers or without. Raises LlmarchError."""

UNREAD = frozenset(
    {
        "shard-unreadable",
        "index-unreadable",
        "headers-not-cached",
        "single-shard",
        "not-comparable",
        "shard-missing",
    }
)
"""Findings that say why something was read only in part."""

ELSEWHERE = frozenset({"other-weights", "repo-moved", "unread-key", "index-total-size"})
"""Findings that say nothing of the tensors that were read."""


@frozen
class Verdict(Frozen):
    """One model held against its expected self.

    `name`: the reference, as the lock or the command line has it; `against`: the other model's, where it is another one; `old`, `new`: the
    commits that were compared, where there are any.
    `changes`: after ignores, severities as configured, worst first (checkpoint findings of the new side among them, `old` None);
    `ignored`: how many changes an ignore took away; `partial`: the new side was read only in part; `error`: it could not be read at all.
    `remarks`: why it was read in part, and what else a reader should know.
    `lines`: line in the lock file by fact path, `line` that of the model (1 where there is no lock).
    """

    name: str
    old: str | None
    new: str | None
    changes: tuple[Change, ...] = ()
    ignored: int = 0
    partial: bool = False
    error: LlmarchError | None = None
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict[str, int])
    remarks: tuple[str, ...] = ()
    against: str | None = None

    def at(self, path: str) -> int:
        """The lock file's line for a fact: its own, or that of the nearest thing above it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return self.line


@frozen
class Report(Frozen):
    """Verdicts under one level. `file`: the lock file's path as it was given, or empty without one."""

    verdicts: tuple[Verdict, ...]
    level: Severity
    file: str = ""

    def failing(self, verdict: Verdict) -> tuple[Change, ...]:
        """The changes of a verdict at or above the level."""
        return tuple(c for c in verdict.changes if self.fails(c))

    def fails(self, change: Change) -> bool:
        return SEVERITIES.index(change.severity) <= SEVERITIES.index(self.level)

    @property
    def exit_code(self) -> int:
        """1 changes at or above the level, 2 or 3 what could not be read, 4 what was read in part, 0 none of these. What could not be told
        is never 0, and a certain change goes before a doubt."""
        if any(self.failing(v) for v in self.verdicts):
            return 1
        if any(v.error for v in self.verdicts):
            return max(v.error.exit_code for v in self.verdicts if v.error)
        return 4 if any(v.partial for v in self.verdicts) else 0

    def __str__(self) -> str:
        """A line for each change and doubt, and the summary: what a failed assertion shows."""
        lines = [
            f"{v.name}: {c.severity}: {c.rule}: {c.path}: {what(c)}"
            for v in self.verdicts
            for c in v.changes
        ]
        lines += [f"{v.name}: {v.error.message}" for v in self.verdicts if v.error]
        lines += [f"{v.name}: {r}" for v in self.verdicts for r in v.remarks]
        return "\n".join(map(printable, [*lines, *summary(self)]))


# Comparing


def pinned(
    old: Entry,
    load: Load,
    policy: Policy,
    *,
    reference: str,
    line: int = 1,
    lines: Mapping[str, int] | None = None,
) -> tuple[Verdict, Entry | None]:
    """What a reference gives now, held against an entry of the lock; and what that is, where it could be read as a whole."""
    try:
        new = load(reference, old.tensors is not None)
    except LlmarchError as error:
        return Verdict(
            reference, commit(old), None, error=error, line=line, lines=lines or {}
        ), None
    return judge(old, new, policy, line=line, lines=lines), None if new.partial else new


def judge(
    old: Entry, new: Entry, policy: Policy, *, line: int = 1, lines: Mapping[str, int] | None = None
) -> Verdict:
    """The verdict on `new`, held against `old`."""
    changes, ignored = policy.apply(differences(old, new))
    same = old.reference == new.reference
    return Verdict(
        name=new.reference,
        against=None if same else old.reference,
        old=commit(old),
        new=commit(new),
        changes=tuple(worst_first(changes)),
        ignored=ignored,
        partial=bool(doubts := [*doubt(old, new)]),
        line=line,
        lines=lines or {},
        remarks=(
            *doubts,
            *(
                ["the commit is the same: another llmarch read it"]
                if new.commit and old.commit == new.commit and changes
                else []
            ),
        ),
    )


def commit(e: Entry) -> str | None:
    return e.commit[:7] if e.commit else None


def differences(old: Entry, new: Entry) -> list[Change]:
    """Of the architectures; of what was found in checkpoint and files, on one side only; of what is stored, where nothing else tells it."""
    changes = diff(old.architecture, new.architecture)
    before, after = (
        {(f.rule, f.path): f for f in old.findings},
        {(f.rule, f.path): f for f in new.findings},
    )
    changes += [found(f, None, f.message) for key, f in after.items() if key not in before]
    changes += [found(f, f.message, None) for key, f in before.items() if key not in after]
    if (
        old.tensors and new.tensors and old.tensors.digest != new.tensors.digest
    ):  # else another llmarch may say the same in other words
        said = [(before[key].message, f) for key, f in after.items() if key in before]
        changes += [found(f, was, f.message) for was, f in said if was != f.message]
    changes += [
        Change(rule="unread-key", path=k, old=old.unread_keys.get(k), new=v, severity="info")
        for k, v in new.unread_keys.items()
        if old.unread_keys.get(k) != v
    ]
    if (
        old.tensors
        and new.tensors
        and old.tensors.digest != new.tensors.digest
        and not any(map(tells_of_tensors, changes))
    ):
        a, b = (f"{t.count:,} tensors, {numbers.size(t.bytes)}" for t in (old.tensors, new.tensors))
        changes.append(
            Change(
                rule="stored-tensors-changed", path="tensors", old=a, new=b, severity="quantization"
            )
        )
    return changes


def tells_of_tensors(c: Change) -> bool:
    """Whether a change is reason enough for other tensors to be stored."""
    return c.severity in ("weights", "quantization") or (
        rule(c).pattern is None and c.rule not in ELSEWHERE
    )


def found(f: Finding, old: str | None, new: str | None) -> Change:
    """A finding that came (with its severity) or went (which breaks nothing)."""
    return Change(
        rule=f.rule,
        path=f.path,
        old=old,
        new=new,
        severity=f.severity if new is not None else "info",
    )


def doubt(old: Entry, new: Entry) -> Iterable[str]:
    """Why it is not certain that no more has changed."""
    if old.tensors and not new.tensors:
        yield "tensor headers were read before, and not now: nothing is told about the tensors"
    whole = not any(
        f.rule in UNREAD and f.rule != "not-comparable" for f in (*old.findings, *new.findings)
    )
    if old.tensors and new.tensors and old.tensors.digest == new.tensors.digest and whole:
        return  # what could not be compared with the config is at least the same as before
    for side in (new, old):
        if side.partial:
            reasons = list(dict.fromkeys(f.message for f in side.findings if f.rule in UNREAD)) or [
                "some of it could not be compared"
            ]
            yield f"{'' if side is new else old.reference + ' '}read in part: {reasons[0]}" + (
                f" (and {n} more)" if (n := len(reasons) - 1) else ""
            )


# Words that every format uses


def rule(change: Change) -> Rule:
    known = find(change.rule)
    assert known is not None, change.rule
    return known


def what(change: Change) -> str:
    """`1,000,000 → 10,000` for a fact; what a finding says."""
    if rule(change).pattern is None and None in (change.old, change.new):
        return str(change.new) if change.old is None else f"no longer: {change.old}"
    return f"{said(change.old)} → {said(change.new)}"


def means(change: Change) -> str:
    """The rule's title, and what that means under the severity it has here."""
    return f"{rule(change).title}: {CONSEQUENCES[change.severity]}"


def said(value: Any) -> str:
    """A value of a fact in a few words."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return numbers.number(value)
        case str():
            return value
        case [[int(), str()], *_]:
            return ", ".join(f"{n} × {kind}" for n, kind in cast("list[tuple[int, str]]", value))
        case list():
            return ", ".join(map(said, cast("list[Any]", value))) or "none"
        case {"kind": str(kind)} | {"method": str(kind)}:
            return kind
        case _:
            return json.dumps(value, ensure_ascii=False)


def mark(report: Report, v: Verdict) -> str:
    return "✗" if report.failing(v) else "?" if v.error or v.partial else "✓"


def compared(v: Verdict) -> str:
    """`3f1c2e9 → 8d0b7aa`, one of them where they are the same; `8d0b7aa against org/base 3f1c2e9`."""
    if v.against is None:
        return " → ".join(dict.fromkeys(filter(None, (v.old, v.new))))
    return " ".join(filter(None, (v.new, "against", v.against, v.old)))


def state(v: Verdict) -> str:
    """What there is to say beside changes."""
    words = (
        ["could not be read"]
        if v.error
        else ["read only in part"]
        if v.partial
        else []
        if v.changes
        else ["same architecture"]
    )
    return ", ".join([*words, *([f"{v.ignored} ignored"] if v.ignored else [])])


def summary(report: Report) -> list[str]:
    """How it ended: changes at or above the level, then what could not be told."""
    failing = sum(len(report.failing(v)) for v in report.verdicts)
    below = sum(len(v.changes) for v in report.verdicts) - failing
    ignored = sum(v.ignored for v in report.verdicts)
    unread, partial = (
        sum(map(bool, (getattr(v, k) for v in report.verdicts))) for k in ("error", "partial")
    )
    first = f"{many(failing, 'change')} at or above '{report.level}'"
    first += f" · {below} below" if below else ""
    first += f" · {ignored} ignored" if ignored else ""
    lines = [first]
    lines += [f"{many(unread, 'model')} could not be read"] if unread else []
    lines += (
        [f"{many(partial, 'model')} read only in part: it is not told whether more changed"]
        if partial
        else []
    )
    return lines


def many(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"
