"""The policy of a project: which changes fail, which are ignored, and severities of its own. Pure.

It comes from the settings file and from options.
"""

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

SETTINGS_KEYS = ("fail-on", "ignore", "severity")


class Ignore(NamedTuple):
    """A rule whose changes do not count; with a path (`*` matches anything), only those there.

    A block may have another name in each of two models: the path in either counts.
    """

    rule: str
    path: str | None = None

    def covers(self, change: Change) -> bool:
        """Return whether the change is ignored."""
        if change.rule != self.rule:
            return False
        if self.path is None:
            return True
        paths = {change.path, change.old_path, change.new_path} - {None}
        return any(path == self.path or fnmatchcase(str(path), self.path) for path in paths)


@frozen
class Policy(Frozen):
    """What counts as a failure."""

    level: Severity = "behaviour"
    """Changes at or above it fail."""
    ignore: tuple[Ignore, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict[str, Severity])
    """Severities by rule id, in place of those of the rule table."""

    def apply(self, changes: Iterable[Change]) -> tuple[list[Change], int]:
        """Return the changes that are not ignored, and how many are.

        The changes get the severities that the project configured.
        """
        counted: list[Change] = []
        ignored = 0
        for change in changes:
            if any(ignore.covers(change) for ignore in self.ignore):
                ignored += 1
            else:
                counted.append(replace(change, severity=self._severity(change)))
        return counted, ignored

    def _severity(self, change: Change) -> Severity:
        """Return the configured severity; a finding that is gone keeps its own, `info`."""
        severity = self.severities.get(change.rule, change.severity)
        rule = rules.find(change.rule)
        if rule is None or rule.pattern is not None:
            return severity
        if change.new is None:
            return change.severity
        return severity

    def with_options(
        self, level: str | None, ignore: Iterable[str], where: str = "the command line"
    ) -> Policy:
        """Return the policy with options added.

        level: replaces the policy's own, unless it is None.
        ignore: added to what is ignored already.
        where: names the origin of the options in errors.

        Raises ConfigError as `parse_policy` does.
        """
        chosen = self.level
        if level is not None:
            chosen = parse_severity(level, f"{where}: --fail-on")
        added = [parse_ignore(text, f"{where}: --ignore") for text in ignore]
        return replace(self, level=chosen, ignore=(*self.ignore, *added))


def parse_policy(table: Mapping[str, Any], where: str) -> Policy:
    """Return the policy of a settings table; `where` names the file in errors.

    Raises ConfigError for unknown keys, rules and severities.
    """
    for key in table:
        if key not in SETTINGS_KEYS:
            raise ConfigError(
                f"{where}: no setting is called {printable(repr(key))}",
                f"The settings are {', '.join(SETTINGS_KEYS)}.",
            )
    return Policy(
        parse_severity(table.get("fail-on", "behaviour"), f"{where}: fail-on"),
        tuple(_parse_ignores(table.get("ignore", []), where)),
        _parse_severities(table.get("severity", {}), where),
    )


def _parse_ignores(value: Any, where: str) -> list[Ignore]:
    if not isinstance(value, list) or not all(
        isinstance(text, str) for text in cast("list[Any]", value)
    ):
        raise ConfigError(
            f"{where}: ignore must be a list of rules",
            'such as ["vocabulary-changed", "window-changed:mixers.sliding.window"]',
        )
    return [parse_ignore(text, f"{where}: ignore") for text in cast("list[str]", value)]


def _parse_severities(value: Any, where: str) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where}: severity must be a table of rules",
            'such as {"context-changed" = "info"}',
        )
    severities: dict[str, Severity] = {}
    for rule, level in cast("dict[str, Any]", value).items():
        known = parse_rule(rule, f"{where}: severity")
        severities[known] = parse_severity(level, f"{where}: severity.{rule}")
    return severities


def parse_ignore(text: str, where: str) -> Ignore:
    """Parse `RULE` or `RULE:path`. Raises ConfigError."""
    rule, colon, path = text.partition(":")
    if colon and not path.strip():
        raise ConfigError(
            f"{where}: {printable(repr(text))} has no path after its colon",
            "such as window-changed:mixers.sliding.window",
        )
    return Ignore(parse_rule(rule.strip(), where), path.strip() or None)


def parse_rule(rule: str, where: str) -> str:
    """Return the id if there is such a rule. Raises ConfigError with ids that look like it."""
    if rules.find(rule) is not None:
        return rule
    hint = "`llmarch rules` lists them"
    near = rules.nearest(rule)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    raise ConfigError(f"{where}: there is no rule {printable(repr(rule))}", hint)


def parse_severity(value: object, where: str) -> Severity:
    """Return the value if it is a severity. Raises ConfigError."""
    if value not in SEVERITIES:
        raise ConfigError(
            f"{where} is {printable(repr(value))}, which is not a severity",
            f"The severities are {', '.join(SEVERITIES)}.",
        )
    return value
