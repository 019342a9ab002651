"""The policy of a project: which changes fail, which are ignored, and severities of its own. Pure.

It comes from the settings file and from options. Settings of one model add to those of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Change
from ..errors import ConfigError, did_you_mean, printable
from . import rules
from .change_ids import ID
from .rules import SEVERITIES, Severity

MODEL_KEYS = ("fail-on", "ignore", "severity")
"""Settings of one model."""
SETTINGS_KEYS = (*MODEL_KEYS, "model")
IGNORE_KEYS = ("rule", "path", "reason", "until")

SPELLINGS: dict[str, Severity] = {
    "behavior": "behaviour",
    "quantisation": "quantization",
}
"""Other spellings of severities."""


class Ignore(NamedTuple):
    """A rule whose changes do not count; with a path (`*` matches anything), only those there.

    A block may have another name in each of two models: the path in either counts.
    """

    rule: str
    path: str | None = None
    reason: str = ""
    """Why it is ignored, as the settings say."""
    until: date | None = None
    """The last day on which it is ignored. None: no end."""
    location: str = ""
    """The setting or option that it comes from."""

    def covers(self, change: Change) -> bool:
        """Return whether the change is ignored."""
        if change.rule != self.rule:
            return False
        if self.path is None:
            return True
        paths = {change.path, change.old_path, change.new_path, *change.paths} - {None}
        return any(path == self.path or fnmatchcase(str(path), self.path) for path in paths)

    def is_expired(self, today: date) -> bool:
        """Return whether its last day is over."""
        return self.until is not None and self.until < today

    def __str__(self) -> str:
        """Return `window-changed:mixers.full.window (reason)` as people read it."""
        text = self.rule
        if self.path is not None:
            text += f":{self.path}"
        if self.reason:
            text += f" ({self.reason})"
        return text


@frozen
class Judged(Frozen):
    """The changes of a model under a policy."""

    changes: tuple[Change, ...]
    """Those that are not ignored, with the configured severities, and whether each fails."""
    ignored: int
    """How many are ignored."""
    used: frozenset[Ignore]
    """The ignores that covered a change."""


@frozen
class Policy(Frozen):
    """What counts as a failure."""

    level: Severity = "behaviour"
    """Changes at or above it fail."""
    ignore: tuple[Ignore, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict[str, Severity])
    """Severities by rule id, in place of those of the rule table."""
    fail_rules: frozenset[str] = frozenset()
    """Rules whose changes fail whatever their severity."""
    accept: frozenset[str] = frozenset()
    """Ids of changes that do not count (change_ids.py)."""
    models: tuple[tuple[str, Policy], ...] = ()
    """Settings of models, by reference or repository; `*` matches anything. They are whole: what
    a model does not set is that of all."""
    location: str = ""
    """The file that it comes from."""
    today: date = field(default_factory=date.today)

    def of(self, *names: str | None) -> Policy:
        """Return the policy of a model.

        names: what it is called: its reference, and its repository.
        """
        for pattern, policy in self.models:
            if any(name and _matches(name, pattern) for name in names):
                return policy
        return self

    def judge(self, changes: Iterable[Change]) -> Judged:
        """Return the changes that count, how many are ignored, and by what.

        The changes get the severities that the project configured, and whether they fail.
        """
        counted: list[Change] = []
        ignored = 0
        used: set[Ignore] = set()
        active = [ignore for ignore in self.ignore if not ignore.is_expired(self.today)]
        for change in changes:
            covering = [ignore for ignore in active if ignore.covers(change)]
            used.update(covering)
            if covering:
                ignored += 1
                continue
            severity = self._severity(change)
            counted.append(replace(change, severity=severity, fails=self._fails(change, severity)))
        return Judged(tuple(counted), ignored, frozenset(used))

    def _fails(self, change: Change, severity: Severity) -> bool:
        """Return whether a change fails; a finding that is gone fails by its severity only."""
        if change.rule in self.fail_rules and not _is_gone(change):
            return True
        return SEVERITIES.index(severity) <= SEVERITIES.index(self.level)

    def _severity(self, change: Change) -> Severity:
        """Return the configured severity; a finding that is gone keeps its own, `info`."""
        if _is_gone(change):
            return change.severity
        return self.severities.get(change.rule, change.severity)

    def with_options(
        self,
        level: str | Iterable[str] | None,
        ignore: Iterable[str],
        location: str = "the command line",
        *,
        accept: Iterable[str] = (),
    ) -> Policy:
        """Return the policy with options added.

        level: a severity, or rules, that replace what fails by the settings, unless it is None or
            empty; several are separated by commas.
        ignore: added to what is ignored already.
        accept: ids of changes that do not count.
        location: names the origin of the options in errors.

        Raises ConfigError as `parse_policy` does.
        """
        chosen = _fail_settings(level, f"{location}: --fail-on")
        added = tuple(parse_ignore(text, f"{location}: --ignore") for text in ignore)
        ids = frozenset(parse_change_id(text, f"{location}: --accept") for text in accept)
        return self._with_added(chosen, added, ids)

    def _with_added(
        self,
        chosen: tuple[Severity | None, frozenset[str]] | None,
        added: tuple[Ignore, ...],
        accept: frozenset[str],
    ) -> Policy:
        """Return the policy, and those of its models, with options added."""
        changed = replace(
            self,
            ignore=(*self.ignore, *added),
            accept=self.accept | accept,
            models=tuple(
                (name, each._with_added(chosen, added, accept)) for name, each in self.models
            ),
        )
        return _with_fail_settings(changed, chosen)

    def notes(self, used: Iterable[Ignore], *, whole: bool, names: Iterable[str] = ()) -> list[str]:
        """Return what a reader should know of the settings.

        That is ignores that expired or that nothing needs, and models that the lock does not have.

        used: the ignores that covered a change.
        whole: whether all models were checked, so that an ignore of the settings had its chance.
        names: what the models that were checked are called.
        """
        seen = set(used)
        every = dict.fromkeys(self.ignore)
        for _, policy in self.models:
            every |= dict.fromkeys(policy.ignore)
        notes: list[str] = []
        for ignore in every:
            if ignore.is_expired(self.today):
                notes.append(f"{ignore.location}: {ignore} expired on {ignore.until}")
            elif ignore not in seen and (whole or "--ignore" in ignore.location):
                notes.append(f"{ignore.location}: {ignore} matched no change")
        if whole:
            known = list(names)
            for pattern, _ in self.models:
                if not any(_matches(name, pattern) for name in known):
                    notes.append(f"{self.location}: model.{pattern} is not a model of the lock")
        return notes


def _matches(name: str, pattern: str) -> bool:
    """Return whether a pattern of the settings stands for a model of this name."""
    return name == pattern or fnmatchcase(name, pattern)


def _is_gone(change: Change) -> bool:
    """Return whether a change is that a finding is gone."""
    return change.new is None and not rules.is_about_facts(change.rule)


def parse_policy(table: Mapping[str, Any], location: str) -> Policy:
    """Return the policy of a settings table; `location` names the file in errors.

    Raises ConfigError for unknown keys, rules and severities.
    """
    policy = _parse_settings(table, location, Policy(location=location), SETTINGS_KEYS)
    models = table.get("model", {})
    if not isinstance(models, dict):
        raise ConfigError(
            f"{location}: model must be a table of models",
            'such as [tool.llmarch.model."org/name"]',
        )
    own: list[tuple[str, Policy]] = []
    for name, settings in cast("dict[str, Any]", models).items():
        place = f"{location}: model.{printable(name)}"
        if not isinstance(settings, dict):
            raise ConfigError(f"{place} must be a table of settings")
        known = cast("dict[str, Any]", settings)
        own.append((name, _parse_settings(known, place, policy, MODEL_KEYS)))
    return replace(policy, models=tuple(own))


def _parse_settings(
    table: Mapping[str, Any], location: str, base: Policy, keys: tuple[str, ...]
) -> Policy:
    """Return the policy of a table; what it does not set is that of `base`."""
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"{location}: no setting is called {printable(repr(key))}",
                f"The settings are {', '.join(keys)}.",
            )
    ignores = _parse_ignores(table.get("ignore", []), location)
    severities = _parse_severities(table.get("severity", {}), location)
    policy = replace(
        base,
        ignore=(*base.ignore, *ignores),
        severities={**base.severities, **severities},
    )
    chosen = _fail_settings(table.get("fail-on"), f"{location}: fail-on")
    return _with_fail_settings(policy, chosen)


def _with_fail_settings(
    policy: Policy, chosen: tuple[Severity | None, frozenset[str]] | None
) -> Policy:
    """Return the policy with what `_fail_settings` returns in place of what fails."""
    if chosen is None:
        return policy
    level, fail_rules = chosen
    return replace(policy, level=level or policy.level, fail_rules=fail_rules)


def _fail_settings(value: object, location: str) -> tuple[Severity | None, frozenset[str]] | None:
    """Return the severity and the rules of `fail-on`; None where it is not set.

    value: a severity or the id of a rule, several separated by commas, or a list of those.

    Raises ConfigError for what is neither, and for two severities.
    """
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        parse_severity(value, location)
        return None
    words: list[str] = []
    for text in cast("list[object]", texts):
        if not isinstance(text, str):
            parse_severity(text, location)
        words += [word.strip() for word in str(text).split(",")]
    if not words:
        return None
    levels: list[Severity] = [
        parse_severity(word, location) for word in words if not _looks_like_rule(word)
    ]
    if len(set(levels)) > 1:
        raise ConfigError(f"{location} names two severities: {', '.join(levels)}", "name one")
    named = frozenset(parse_rule(word, location) for word in words if _looks_like_rule(word))
    level: Severity | None = None
    if levels:
        level = levels[0]
    return level, named


def _looks_like_rule(word: str) -> bool:
    """Return whether a word is the id of a rule rather than a severity: ids have a hyphen."""
    return "-" in word


def _parse_ignores(value: Any, location: str) -> list[Ignore]:
    """Return the ignores of a settings table, each a text or a table."""
    if not isinstance(value, list) or not all(
        isinstance(item, (str, dict)) for item in cast("list[Any]", value)
    ):
        raise ConfigError(
            f"{location}: ignore must be a list of rules",
            'such as ["vocabulary-changed", {rule = "window-changed", reason = "#12", until = '
            "2027-01-31}]",
        )
    place = f"{location}: ignore"
    ignores: list[Ignore] = []
    for item in cast("list[Any]", value):
        if isinstance(item, str):
            ignores.append(parse_ignore(item, place))
        else:
            ignores.append(_parse_ignore_table(cast("dict[str, Any]", item), place))
    return ignores


def _parse_ignore_table(table: Mapping[str, Any], location: str) -> Ignore:
    """Return the ignore of a table with rule, path, reason and until. Raises ConfigError."""
    known = ", ".join(IGNORE_KEYS)
    for key in table:
        if key not in IGNORE_KEYS:
            raise ConfigError(
                f"{location}: no setting is called {printable(repr(key))}",
                f"An ignore has {known}.",
            )
    for key in ("rule", "path", "reason"):
        if not isinstance(table.get(key, ""), str):
            raise ConfigError(
                f"{location}: {key} is {printable(repr(table[key]))}, which is not text"
            )
    if not table.get("rule"):
        raise ConfigError(f"{location}: an ignore has no rule", "`llmarch rules` lists them")
    ignore = parse_ignore(table["rule"], location)
    return ignore._replace(
        path=table.get("path") or ignore.path,
        reason=table.get("reason", ""),
        until=_parse_day(table.get("until"), f"{location}: until"),
    )


def _parse_day(value: object, location: str) -> date | None:
    """Return a day, written as a date of TOML or as a text. Raises ConfigError."""
    match value:
        case None:
            return None
        case datetime():
            return value.date()
        case date():
            return value
        case str():
            with suppress(ValueError):
                return date.fromisoformat(value)
        case _:
            pass
    shown = printable(repr(value))
    raise ConfigError(f"{location} is {shown}, which is not a day", "such as 2027-01-31")


def _parse_severities(value: Any, location: str) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{location}: severity must be a table of rules",
            'such as {"context-changed" = "info"}',
        )
    severities: dict[str, Severity] = {}
    for rule, level in cast("dict[str, Any]", value).items():
        known = parse_rule(rule, f"{location}: severity")
        severities[known] = parse_severity(level, f"{location}: severity.{rule}")
    return severities


def parse_ignore(text: str, location: str) -> Ignore:
    """Parse `RULE` or `RULE:path`. Raises ConfigError."""
    rule, colon, path = text.partition(":")
    if colon and not path.strip():
        raise ConfigError(
            f"{location}: {printable(repr(text))} has no path after its colon",
            "such as window-changed:mixers.sliding.window",
        )
    rule = parse_rule(rule.strip(), location)
    path = path.strip()
    return Ignore(rule, path or None, location=location)


def parse_change_id(text: str, location: str) -> str:
    """Return the id of a change. Raises ConfigError for other text."""
    if not ID.fullmatch(text):
        raise ConfigError(
            f"{location}: {printable(repr(text))} is not the id of a change",
            "`llmarch check` shows one beside each change that fails, such as 1a2b3c4d5e6f",
        )
    return text


def parse_rule(rule: str, location: str) -> str:
    """Return the id if there is such a rule. Raises ConfigError with ids that look like it."""
    if rules.find(rule) is not None:
        return rule
    hint = did_you_mean(rules.nearest(rule)) or "`llmarch rules` lists them"
    raise ConfigError(f"{location}: there is no rule {printable(repr(rule))}", hint)


def parse_severity(value: object, location: str) -> Severity:
    """Return the value if it is a severity, in either spelling. Raises ConfigError."""
    if isinstance(value, str):
        value = SPELLINGS.get(value, value)
    if value not in SEVERITIES:
        raise ConfigError(
            f"{location} is {printable(repr(value))}, which is not a severity",
            f"The severities are {', '.join(SEVERITIES)}.",
        )
    return value
