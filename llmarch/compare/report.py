"""The report of a check: verdicts, what fails, and the words that every format uses. Pure.

An uncertain result never passes: it has an exit code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Literal, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import parent_path
from ..architecture.schema import Change, Finding
from ..errors import LlmarchError, printable
from ..views import numbers
from .config_keys import config_words
from .grouping import places_text
from .layer_words import are_runs, changed_layers_text, runs_text
from .policy import Ignore
from .rules import CONSEQUENCES, SEVERITIES, Rule, Severity, find, is_about_facts

Outcome = Literal["failed", "uncertain", "passed"]

COMPARED = ("reading-changed", "token-ids-changed", "remote-code-changed")
"""Rules of no path of their own that have a value on both sides, as facts have."""

OF_CONFIG_KEYS = ("unread-key", "token-ids-changed", "remote-code-changed")
"""Rules whose values are those of config keys, as JSON."""

ABSENT_KEY = "absent"
"""What is shown for a key that a config does not have, or has with null."""

LONG_LIST = 8
"""Names beyond which a list is first_names."""
MOST_NAMES = 6
"""Names that are shown of a long list."""

LONGEST_WORD = 40
"""Characters of a config's string that is shown beside its key."""


@frozen
class ComparedSide(Frozen):
    """One side of a comparison: where the model was read."""

    reference: str
    """As the lock or the command line gives it."""
    repo: str | None = None
    """The repository on the Hub; None for another source."""
    revision: str | None = None
    """The branch, tag or commit that was asked for."""
    commit: str | None = None
    """The full commit that was read."""


@frozen
class Verdict(Frozen):
    """The result of comparing one model with what was expected of it."""

    name: str
    """The reference, as the lock or the command line gives it."""
    old: str | None
    """The commit of the expected model, if it has one."""
    new: str | None
    """The commit that was read, if it has one."""
    changes: tuple[Change, ...] = ()
    """Changes that are not ignored, with the configured severities, worst first. A new checkpoint
    finding is a change whose `old` is None."""
    ignored: int = 0
    """How many changes were ignored."""
    accepted: tuple[Change, ...] = ()
    """Changes that were accepted by their id, with it."""
    used_ignores: frozenset[Ignore] = frozenset()
    """The ignores of the policy that covered a change."""
    partial: bool = False
    """Whether the comparison is incomplete: more may have changed."""
    error: LlmarchError | None = None
    """Why the model could not be read at all."""
    model_line: int = 1
    """The line of the lock file where the model begins; 1 without a lock."""
    fact_lines: Mapping[str, int] = field(default_factory=dict[str, int])
    """The line of the lock file for each fact path."""
    remarks: tuple[str, ...] = ()
    """Why the comparison is incomplete, and what else a reader should know."""
    findings: Mapping[tuple[str, str], Finding] = field(
        default_factory=dict[tuple[str, str], Finding]
    )
    """By rule and path the findings that changes are about."""
    against: str | None = None
    """The reference of the expected model, if it is another one than `name`."""
    old_side: ComparedSide | None = None
    """Where the expected model was read."""
    new_side: ComparedSide | None = None
    """Where the model was read; None if it could not be."""
    is_skipped: bool = False
    """Whether nothing was compared, because the model was never read on this machine."""
    seconds: float | None = None
    """How long it took to read and compare the model; None: not measured."""

    def line_of(self, path: str) -> int:
        """Return the line of the lock file for a fact, or for its nearest parent that has one."""
        while path:
            if path in self.fact_lines:
                return self.fact_lines[path]
            path = parent_path(path)
        return self.model_line


@frozen
class Report(Frozen):
    """The verdicts of a check, and the level at or above which changes fail."""

    verdicts: tuple[Verdict, ...]
    level: Severity
    file: str = ""
    """The path of the lock file as it was given; empty without one."""
    fail_rules: frozenset[str] = frozenset()
    """Rules whose changes fail whatever their severity."""
    notes: tuple[str, ...] = ()
    """What a reader should know of the policy: ignores that expired or that nothing needs."""
    is_unbegun: bool = False
    """Whether no model was read: the command or the lock is wrong, as the only verdict says."""

    def failing(self, verdict: Verdict) -> tuple[Change, ...]:
        """Return the changes of a verdict at or above the level."""
        return tuple(filter(self.fails, verdict.changes))

    def fails(self, change: Change) -> bool:
        """Return whether a change fails, as it was judged; else whether it is at the level."""
        if change.fails is not None:
            return change.fails
        rank = SEVERITIES.index(change.severity)
        level = SEVERITIES.index(self.level)
        return rank <= level

    def outcome(self, verdict: Verdict) -> Outcome:
        """Return how a comparison ended: failing changes outrank an incomplete comparison."""
        if self.failing(verdict):
            return "failed"
        if verdict.error or verdict.partial:
            return "uncertain"
        return "passed"

    @property
    def exit_code(self) -> int:
        """Return the exit code of the check.

        1: changes at or above the level. 2 or 3: a model could not be read. 4: a model was read
        only in part. 0: none of these. A definite change outranks uncertainty, and an uncertain
        result never exits 0.
        """
        verdicts = self.verdicts
        if any(map(self.failing, verdicts)):
            return 1
        errors = [verdict.error for verdict in verdicts if verdict.error]
        if errors:
            return max(error.exit_code for error in errors)
        if any(verdict.partial for verdict in verdicts):
            return 4
        return 0

    def counts(self) -> dict[Severity, int]:
        """Return how many changes there are of each severity, from worst."""
        found = [change.severity for verdict in self.verdicts for change in verdict.changes]
        return {severity: found.count(severity) for severity in SEVERITIES}

    def __str__(self) -> str:
        """Return a line for each change, error and remark, and the summary.

        A failed `assert report.exit_code == 0, report` shows it.
        """
        changes: list[str] = []
        errors: list[str] = []
        remarks: list[str] = []
        for verdict in self.verdicts:
            name = verdict.name
            changes += [f"{name}: {change_line(change)}" for change in verdict.changes]
            if verdict.error:
                errors.append(f"{name}: {verdict.error.message}")
            remarks += [f"{name}: {remark}" for remark in verdict.remarks]
        lines = changes + errors + remarks + summary_lines(self)
        return "\n".join(map(printable, lines))


# --- words that every format uses ---------------------------------------------------------------


def rule_of(change: Change) -> Rule:
    """Return the rule of a change."""
    rule = find(change.rule)
    assert rule is not None, change.rule
    return rule


def change_line(change: Change) -> str:
    """Return `behaviour: rope-theta-changed: mixers.full.rope.theta: 1,000,000 → 10,000`."""
    location = f"{change.severity}: {change.rule}: {change.path}"
    return f"{location}: {change_text(change)}"


def change_text(change: Change) -> str:
    """Return `1,000,000 → 10,000` for a fact, the message for a finding."""
    is_finding = not is_about_facts(change.rule) and change.rule not in COMPARED
    if change.rule in OF_CONFIG_KEYS:
        change = replace(change, old=config_words(change.old), new=config_words(change.new))
    if is_finding and change.old is None:
        return str(change.new)
    if is_finding and change.new is None:
        return f"no longer found: {change.old}"
    if is_finding and change.old == change.new:
        return f"as before: {change.new}"
    words = [values_text(change), places_text(change)]
    key = key_text(change)
    if key:
        words.append(f"({key})")
    return " ".join(filter(None, words))


def values_text(change: Change) -> str:
    """Return the values of a change: `1,000,000 → 10,000`, of layers those of another kind."""
    if are_runs(change.old) and are_runs(change.new):
        return changed_layers_text(change.old, change.new)
    old, new = differing_items(change.old, change.new)
    return f"{value_text(old)} → {value_text(new)}"


def differing_items(old: Any, new: Any) -> tuple[Any, Any]:
    """Return two values of a fact; of long lists of names those that not both have, first."""
    if not isinstance(old, list) or not isinstance(new, list):
        return first_names(old), first_names(new)
    olds = cast("list[Any]", old)
    news = cast("list[Any]", new)
    if max(len(olds), len(news)) <= LONG_LIST:
        return first_names(olds), first_names(news)
    return own_names_first(olds, news), own_names_first(news, olds)


def own_names_first(items: list[Any], others: list[Any]) -> Any:
    """Return a long list as `first_names` does, those that only this one has before the rest."""
    own = [item for item in items if item not in others]
    shared = [item for item in items if item in others]
    shown = own or shared
    return first_names([*own, *shared], len(shown))


def first_names(value: Any, most: int = LONG_LIST) -> Any:
    """Return a value, of a long list of names its first items and how many more there are."""
    if not isinstance(value, list):
        return value
    items = cast("list[Any]", value)
    count = len(items)
    are_names = all(isinstance(item, str) for item in items)
    if count <= LONG_LIST or not are_names:
        return items
    most = min(most, MOST_NAMES)
    others = count - most
    return [*items[:most], f"and {others} more"]


def key_text(change: Change) -> str:
    """Return the config key that made a change, with its values where the fact has others.

    `query_pre_attn_scalar 224 → 256`, or `sliding_window`; nothing where no key is known.
    """
    if change.key is None:
        return ""
    values = change.key_old, change.key_new
    if values == (change.old, change.new) or not all(map(is_short, values)):
        return change.key
    old, new = (ABSENT_KEY if value is None else value_text(value) for value in values)
    return f"{change.key} {old} → {new}"


def is_short(value: Any) -> bool:
    """Return whether a value of a config stands in a line beside its key."""
    if value is None:
        return True
    if isinstance(value, str):
        return len(value) <= LONGEST_WORD
    return isinstance(value, (bool, int, float))


def is_gone(change: Change) -> bool:
    """Return whether a change is that something is no longer found."""
    if is_about_facts(change.rule) or change.rule in COMPARED:
        return False
    return change.new is None and change.old is not None


def change_meaning(change: Change) -> str:
    """Return the title of the rule, and what the change breaks here."""
    title = rule_of(change).title
    if is_gone(change):
        return f"{title}: no longer so"
    consequence = change.consequence
    if consequence is None:
        consequence = CONSEQUENCES[change.severity]
    if not consequence:
        return title
    return f"{title}: {consequence}"


def change_id_words(change: Change) -> str:
    """Return `id 1a2b3c4d5e6f`, by which `check --accept` accepts a change; nothing without one."""
    if change.id is None:
        return ""
    return f"id {change.id}"


def change_details(change: Change) -> str:
    """Return what a change breaks, and its id: `title: consequence · id 1a2b3c4d5e6f`."""
    return " · ".join(filter(None, (change_meaning(change), change_id_words(change))))


def value_text(value: Any) -> str:
    """Return the value of a fact in a few words."""
    match value:
        case None:
            return "none"
        case True:
            return "yes"
        case False:
            return "no"
        case int() | float():
            return numbers.number(value)
        case str():
            return value
        case _ if are_runs(value):
            return runs_text(value)
        case list() | tuple():
            return ", ".join(map(value_text, cast("list[Any]", value))) or "none"
        case {"kind": str(kind)} | {"method": str(kind)}:
            return kind.replace("_", " ")
        case {"steps": parts} | {"branches": parts}:
            return value_text(parts)
        case {"block": str(block)}:
            return block
        case {"modules": int(n)}:
            return numbers.plural(n, "module")
        case dict():
            return described_part(cast("dict[str, Any]", value))
        case _:
            return str(value)


def described_part(part: Mapping[str, Any]) -> str:
    """Return a part of an architecture by what it has: `theta 10,000, rotary_dim 128`."""
    words: list[str] = []
    for name, value in part.items():
        if value is None or value is False or value in ((), []):
            continue
        text = value_text(value)
        if isinstance(value, dict):
            text = f"({text})"
        words.append(f"{name} {text}")
    return ", ".join(words) or "defaults"


OUTCOMES: dict[Outcome, str] = {"failed": "✗", "uncertain": "?", "passed": "✓"}
"""The mark of each outcome of a comparison, from worst."""


def verdict_mark(report: Report, verdict: Verdict) -> str:
    """Return ✗ for failing changes, ? for an incomplete comparison, ✓ for a pass."""
    return OUTCOMES[report.outcome(verdict)]


def compared_commits(verdict: Verdict) -> str:
    """Return `3f1c2e9 → 8d0b7aa` (one of them if they are equal) or `8d0b7aa against base 3f1c2e9`.

    Commits that are not known are left out.
    """
    if verdict.against is None:
        commits = dict.fromkeys((verdict.old, verdict.new))
        return " → ".join(filter(None, commits))
    words = (verdict.new, "against", verdict.against, verdict.old)
    return " ".join(filter(None, words))


def model_with_commits(verdict: Verdict) -> str:
    """Return `acme/bot@main (3f1c2e9 → 8d0b7aa)`; the name alone where no commit is known."""
    commits = compared_commits(verdict)
    if not commits:
        return verdict.name
    return f"{verdict.name} ({commits})"


def change_of_model(verdict: Verdict, change: Change) -> str:
    """Return `acme/bot@main (3f1c2e9 → 8d0b7aa): mixers.full.rope.theta: 1,000,000 → 10,000`."""
    return f"{model_with_commits(verdict)}: {change.path}: {change_text(change)}"


def verdict_state(verdict: Verdict) -> str:
    """Return how a comparison ended, apart from its changes: `same architecture, 2 ignored`."""
    words: list[str] = []
    if verdict.error and verdict.is_skipped:
        words.append("nothing was checked")
    elif verdict.error:
        words.append("could not be read")
    elif verdict.partial:
        words.append("read only in part")
    elif verdict.is_skipped:
        words.append("not checked")
    elif not verdict.changes:
        words.append("same architecture")
    if verdict.ignored:
        words.append(f"{verdict.ignored} ignored")
    if verdict.accepted:
        words.append(f"{len(verdict.accepted)} accepted")
    return ", ".join(words)


def verdict_remarks(verdict: Verdict) -> list[str]:
    """Return what a reader should know of a model that was read as a whole."""
    if verdict.partial:
        return []
    return list(verdict.remarks)


def failed_report(error: LlmarchError, file: str = "") -> Report:
    """Return the report of a check that could not begin, with the reason as its only verdict."""
    verdict = Verdict("llmarch check", None, None, error=error, is_skipped=True)
    return Report((verdict,), "behaviour", file, is_unbegun=True)


def verdict_reasons(verdict: Verdict) -> list[str]:
    """Return why a model was not read as a whole, and what else a reader should know."""
    reasons: list[str] = []
    if verdict.error:
        reasons.append(verdict.error.message)
        if verdict.error.hint:
            reasons.append(verdict.error.hint)
    reasons += verdict.remarks
    return reasons


def summary_lines(report: Report) -> list[str]:
    """Return the lines that sum up a report: changes first, then models not read as a whole."""
    verdicts = report.verdicts
    failing = sum(len(report.failing(verdict)) for verdict in verdicts)
    lesser = sum(len(verdict.changes) for verdict in verdicts) - failing
    ignored = sum(verdict.ignored for verdict in verdicts)
    accepted = sum(len(verdict.accepted) for verdict in verdicts)
    unread = sum(verdict.error is not None for verdict in verdicts)
    partial = sum(verdict.partial for verdict in verdicts)
    if report.is_unbegun:
        return ["nothing was checked", *report.notes]
    counts = [f"{count_noun(failing, 'change')} {failing_words(report)}"]
    if lesser:
        counts.append(f"{lesser} below")
    if ignored:
        counts.append(f"{ignored} ignored")
    if accepted:
        counts.append(f"{accepted} accepted")
    lines = [" · ".join(counts)]
    if unread:
        lines.append(f"{count_noun(unread, 'model')} could not be read")
    if partial:
        models = count_noun(partial, "model")
        lines.append(f"{models} read only in part: more may have changed")
    return [*lines, *report.notes]


def failing_words(report: Report) -> str:
    """Return `at or above 'weights'`, or with the rules whose changes fail beside the level."""
    level = f"at or above '{report.level}'"
    if not report.fail_rules:
        return level
    return f"{level} or of {', '.join(sorted(report.fail_rules))}"


def count_noun(n: int, noun: str) -> str:
    """Return `no models`, `1 model`, `2 models`."""
    if n == 0:
        return f"no {noun}s"
    return numbers.plural(n, noun)
