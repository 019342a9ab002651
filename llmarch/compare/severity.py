"""Compute what a difference breaks: make it alone, and compare the tensors that families predict.

A difference is `weights` if names or shapes of tensors differ because of it. Where none do, it is
what its rule says below that. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from ..analyses.parameters import count_parameters
from ..architecture.fingerprint import NAMED_GROUPS
from ..architecture.frequencies import attention_factor, turn_alike
from ..architecture.paths import find_value, replace_value
from ..architecture.primitives import Rope
from ..architecture.schema import Architecture, Severity
from ..config.families import family_named
from ..tensors.template import UNPREDICTABLE, TensorRow, template
from .alignment import used_by_layers
from .rules import rule_for

MTP_COMPONENT = "mtp"
"""The component of MTP modules. The main model is whole without them."""

COUNTED_ELSEWHERE = ".shared_experts"
"""End of the path of a number by itself without effect: shared experts are one MLP, and how wide it
is, is another fact."""

FREQUENCY_FACTS = ("theta", "scaling")
"""Facts of RoPE that give the frequencies of its pairs, and what belongs to the latter."""

TensorKey = tuple[str, tuple[int, ...], tuple[Any, ...]]
"""Name pattern, shape, and the numbers in the name after the first, such as those of experts."""

Tensors = dict[TensorKey, set[int]]
"""The first numbers in the names of tensors, such as those of layers."""


class Edit(NamedTuple):
    """A value to put at a path of an architecture."""

    path: str
    value: Any


class Difference(NamedTuple):
    """Two values of a fact, as JSON has them; None on a side that lacks it."""

    path: str
    """Where the fact is, as people see it."""
    old: Any
    new: Any
    old_path: str
    """Where it is in the old architecture, if it is there."""
    new_path: str
    """Where it is in the new architecture, if it is there."""
    make: Edit | None = None
    """What makes the difference in the old architecture. None: no single edit does."""
    undo: Edit | None = None
    """What undoes it in the new architecture."""


class Side:
    """One of the two architectures, and the tensors that its family predicts."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.tensors: Tensors | None = None
        rows = main_rows(architecture)
        if rows is not None and have_all_parameters(rows, architecture):
            self.tensors = fold_rows(rows)

    @cached_property
    def used(self) -> frozenset[str]:
        """Return the paths of what the decoder uses."""
        return used_by_layers(self.architecture)

    def names_changed_by(self, edits: Iterable[Edit | None]) -> set[str] | None:
        """Return the names of the tensors that edits change. None: that is not known."""
        if self.tensors is None:
            return None
        edited = self.architecture
        try:
            for edit in edits:
                if edit is None:
                    return None
                edited = replace_value(edited, edit.path, edit.value)
        except UNPREDICTABLE:
            return None
        tensors = predict_tensors(edited)
        if tensors is None:
            return None
        return changed_names(self.tensors, tensors)


def severities(
    old: Architecture, new: Architecture, differences: Sequence[Difference]
) -> list[Severity]:
    """Return what each difference between two architectures breaks.

    A difference is `weights` if it alone, made in the old or undone in the new architecture,
    changes tensors in which the two differ. If neither can be predicted, its rule says so. If
    tensors differ, at least one difference is `weights`.
    """
    if not differences:
        return []
    sides = Side(old), Side(new)
    found: list[Severity] = []
    for difference in differences:
        found.append(_severity_without_tensors(difference, sides))
    if sides[0].tensors is None or sides[1].tensors is None:
        unpredicted: list[Severity] = []
        for difference in differences:
            unpredicted.append(_severity_of_rule(difference, sides))
        return unpredicted
    changed = changed_names(sides[0].tensors, sides[1].tensors)
    if not changed:
        return found
    for number in _changing_tensors(differences, sides, changed):
        found[number] = "weights"
    return found


def _changing_tensors(
    differences: Sequence[Difference], sides: tuple[Side, Side], changed: set[str]
) -> list[int]:
    """Return the numbers of the differences by which tensors differ; there is at least one.

    changed: the names of the tensors in which the sides differ.
    """
    relevant: list[int] = []
    by_rule: list[int] = []
    others: list[Difference] = []
    for n, difference in enumerate(differences):
        if not _is_used(difference, sides):
            continue
        relevant.append(n)
        rule = rule_for(difference.path)
        if rule.severity == "weights":
            by_rule.append(n)
        else:
            others.append(difference)
    suspected = relevant
    if _together_change_nothing(others, sides, changed):
        suspected = by_rule
    breaking = [n for n in suspected if _changes_tensors(differences[n], sides, changed)]
    return breaking or by_rule or relevant


def _together_change_nothing(
    differences: Sequence[Difference], sides: tuple[Side, Side], changed: set[str]
) -> bool:
    """Return whether differences that change no tensor as a rule do so here too, all at once."""
    made = sides[0].names_changed_by(difference.make for difference in differences)
    undone = sides[1].names_changed_by(difference.undo for difference in differences)
    return made is not None and undone is not None and not (made | undone) & changed


def _changes_tensors(difference: Difference, sides: tuple[Side, Side], changed: set[str]) -> bool:
    """Return whether a difference by itself changes tensors in which the two sides differ."""
    predicted = False
    for side, edit in zip(sides, (difference.make, difference.undo), strict=True):
        names = side.names_changed_by([edit])
        if names is None:
            continue
        predicted = True
        if names & changed:
            return True
    return not predicted and rule_for(difference.path).severity == "weights"


def _severity_of_rule(difference: Difference, sides: tuple[Side, Side]) -> Severity:
    """Return the severity that the table has, for architectures whose tensors are not known."""
    if not _is_used(difference, sides):
        return "info"
    return rule_for(difference.path).severity


def _severity_without_tensors(difference: Difference, sides: tuple[Side, Side]) -> Severity:
    """Return what a difference breaks that changes no tensor."""
    severity = _severity_of_rule(difference, sides)
    if difference.path.endswith(COUNTED_ELSEWHERE):
        return "info"
    if _turns_alike(difference, sides):
        return "info"
    if severity == "weights":
        return "behaviour"
    return severity


def _turns_alike(difference: Difference, sides: tuple[Side, Side]) -> bool:
    """Return whether a difference is one of RoPE by which no pair of a head turns differently."""
    paths = difference.old_path, difference.new_path
    ropes: list[Rope] = []
    for side, path in zip(sides, paths, strict=True):
        owner, found, fact = path.partition(".rope.")
        if not found or not fact.startswith(FREQUENCY_FACTS):
            return False
        rope = find_value(side.architecture, f"{owner}.rope")
        if not isinstance(rope, Rope):
            return False
        ropes.append(rope)
    old, new = ropes
    return attention_factor(old) == attention_factor(new) and turn_alike(old, new)


def _is_used(difference: Difference, sides: tuple[Side, Side]) -> bool:
    """Return whether the decoder of a side uses the block of a difference; MTP is apart."""
    paths = difference.old_path, difference.new_path
    for side, path in zip(sides, paths, strict=True):
        group, _, rest = path.partition(".")
        if group not in NAMED_GROUPS:
            return True
        name, _, _ = rest.partition(".")
        block = f"{group}.{name}"
        if block in side.used:
            return True
    return False


# Tensors


def main_rows(a: Architecture) -> list[TensorRow] | None:
    """Return the tensor template of the main model; None where there is none."""
    try:
        family = family_named(a.family)
        rows = template(a, family.names(a))
    except UNPREDICTABLE:
        return None
    return [row for row in rows if row.component != MTP_COMPONENT]


def predict_tensors(a: Architecture) -> Tensors | None:
    """Return the tensors of the main model, folded; None where they cannot be predicted."""
    rows = main_rows(a)
    if rows is None:
        return None
    return fold_rows(rows)


def have_all_parameters(rows: Sequence[TensorRow], a: Architecture) -> bool:
    """Return whether rows have as many parameters as the facts of the architecture.

    A family knows what its models may have, so that it has no tensor for other facts.

    rows: the tensor template of the main model.
    """
    try:
        counts = count_parameters(a).by_component
    except UNPREDICTABLE:
        return False
    predicted = [row.parameters for row in rows]
    return sum(counts.values()) == sum(predicted)


def fold_rows(rows: Iterable[TensorRow]) -> Tensors:
    """Return the tensors of a template, with the first numbers of their names in one set."""
    tensors: Tensors = {}
    for row in rows:
        first, *others = row.axes or ((0,),)
        key = row.pattern, row.shape, tuple(map(tuple, others))
        numbers = tensors.setdefault(key, set())
        numbers.update(first)
    return tensors


def changed_names(old: Tensors, new: Tensors) -> set[str]:
    """Return the name patterns of the tensors that only one side has, or in other shapes."""
    return {key[0] for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
