"""The gate: models held against what was expected of them, and the verdict that a build passes or fails on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import LlmarchError
from .rules import SEVERITIES, Severity
from .schema import Change


@dataclass(frozen=True, slots=True)
class Verdict:
    """One model held against its expected self.

    `name`: the reference, as the lock or the command line has it; `old`, `new`: what was compared, commits where there are any.
    `changes`: after ignores, severities as configured, worst first (checkpoint findings of the new side among them, `old` None);
    `ignored`: how many changes an ignore took away; `partial`: the new side was read only in part; `error`: it could not be read at all.
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

    def at(self, path: str) -> int:
        """The lock file's line for a fact: its own, or that of the nearest thing above it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return self.line


@dataclass(frozen=True, slots=True)
class Report:
    """Verdicts under one level. `file`: the lock file's path as it was given, or empty without one."""

    verdicts: tuple[Verdict, ...]
    level: Severity
    file: str = ""

    def failing(self, verdict: Verdict) -> tuple[Change, ...]:
        """The changes of a verdict at or above the level."""
        return tuple(c for c in verdict.changes if SEVERITIES.index(c.severity) <= SEVERITIES.index(self.level))

    @property
    def exit_code(self) -> int:
        """3 what could not be read, 4 what was read in part, 1 changes at or above the level, 0 none; what could not be told is never 0,
        and a certain change goes before a doubt."""
        if any(self.failing(v) for v in self.verdicts):
            return 1
        if any(v.error for v in self.verdicts):
            return max(v.error.exit_code for v in self.verdicts if v.error)
        return 4 if any(v.partial for v in self.verdicts) else 0
