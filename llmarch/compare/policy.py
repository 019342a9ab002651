"""What a project counts as a failure: the level, ignores and severities of its own, from options and from its settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Change
from ..errors import ConfigError, printable
from . import rules
from .rules import SEVERITIES, Severity

KEYS = ("fail-on", "ignore", "severity")


class Ignore(NamedTuple):
    """A rule whose changes do not count; with a path, only those there (`*` stands for anything)."""

    rule: str
    path: str | None = None

    def covers(self, change: Change) -> bool:
        return change.rule == self.rule and (
            self.path is None or change.path == self.path or fnmatchcase(change.path, self.path)
        )


@frozen
class Policy(Frozen):
    """The level at or above which changes fail, what is ignored, and severities that are not those of the table."""

    level: Severity = "behaviour"
    ignore: tuple[Ignore, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict[str, Severity])

    def apply(self, changes: Iterable[Change]) -> tuple[list[Change], int]:
        """The changes that count, with the severity they have here; and how many are ignored."""
        found = list(changes)
        counted = [c for c in found if not any(i.covers(c) for i in self.ignore)]
        return [replace(c, severity=self._severity(c)) for c in counted], len(found) - len(counted)

    def _severity(self, change: Change) -> Severity:
        """As the project has it; but a finding that is no longer there breaks nothing, whatever it would break."""
        rule = rules.find(change.rule)
        gone = rule is not None and rule.pattern is None and change.new is None
        return change.severity if gone else self.severity.get(change.rule, change.severity)

    def also(
        self, level: str | None, ignore: Iterable[str], where: str = "the command line"
    ) -> Policy:
        """With what options add. Raises ConfigError as `settings` does."""
        return replace(
            self,
            level=self.level if level is None else known_severity(level, f"{where}: --fail-on"),
            ignore=(*self.ignore, *(parse_ignore(text, f"{where}: --ignore") for text in ignore)),
        )


def settings(table: Mapping[str, Any], where: str) -> Policy:
    """The policy in a settings table. Raises ConfigError for keys, rules and severities that there are not; `where` names the file."""
    for key in table:
        if key not in KEYS:
            raise ConfigError(
                f"{where}: no setting is called {printable(repr(key))}",
                f"There are {', '.join(KEYS)}.",
            )
    ignore, severity = table.get("ignore", []), table.get("severity", {})
    if not isinstance(ignore, list) or not all(
        isinstance(text, str) for text in cast("list[Any]", ignore)
    ):
        raise ConfigError(
            f"{where}: ignore is a list of rules",
            'such as ["vocabulary-changed", "window-changed:mixers.sliding.window"]',
        )
    if not isinstance(severity, dict):
        raise ConfigError(
            f"{where}: severity is a table of rules", 'such as {"context-changed" = "info"}'
        )
    levels = cast("dict[str, Any]", severity)
    return Policy(
        known_severity(table.get("fail-on", "behaviour"), f"{where}: fail-on"),
        tuple(parse_ignore(text, f"{where}: ignore") for text in cast("list[str]", ignore)),
        {
            known_rule(rule, f"{where}: severity"): known_severity(
                level, f"{where}: severity.{rule}"
            )
            for rule, level in levels.items()
        },
    )


def parse_ignore(text: str, where: str) -> Ignore:
    """`RULE` or `RULE:path`."""
    rule, colon, path = text.partition(":")
    if colon and not path.strip():
        raise ConfigError(
            f"{where}: {printable(repr(text))} has no path behind its colon",
            "such as window-changed:mixers.sliding.window",
        )
    return Ignore(known_rule(rule.strip(), where), path.strip() or None)


def known_rule(id: str, where: str) -> str:
    if rules.find(id) is None:
        near = rules.nearest(id)
        hint = f"did you mean {' or '.join(near)}?" if near else "`llmarch rules` lists them"
        raise ConfigError(f"{where}: there is no rule {printable(repr(id))}", hint)
    return id


def known_severity(value: object, where: str) -> Severity:
    if value not in SEVERITIES:
        raise ConfigError(
            f"{where} is {printable(repr(value))}", f"The severities are {', '.join(SEVERITIES)}."
        )
    return value
