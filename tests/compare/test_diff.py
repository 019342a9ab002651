"""Differences by path: nothing against itself, and mirrored the other way round.

Their rules are in test_rules.py.
"""

from __future__ import annotations

from functools import cache

import pytest

import llmarch
from llmarch.architecture.schema import Architecture, Change
from llmarch.compare.diff import diff, differing_facts
from llmarch.compare.rules import SEVERITIES
from llmarch.compare.severity import Difference, predict_tensors
from llmarch.sources.aliases import bundled_models

ALL = sorted(bundled_models())


@cache
def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


@pytest.mark.parametrize("alias", ALL)
def test_nothing_differs_from_itself(alias: str) -> None:
    assert diff(architecture(alias), architecture(alias)) == []


@pytest.mark.parametrize("old", ALL)
def test_the_other_way_round_is_the_mirror(old: str) -> None:
    """Against every model behind it in the list, no difference is lost."""
    for new in ALL[ALL.index(old) + 1 :]:
        there = differing_facts(architecture(old), architecture(new))
        back = differing_facts(architecture(new), architecture(old))
        assert sorted(map(both_sides, there)) == sorted(map(mirrored, back)), new


@pytest.mark.parametrize("old", ALL)
def test_severities_are_the_same_both_ways(old: str) -> None:
    """Against a few models behind it in the list; the worst comes first."""
    start = ALL.index(old)
    for new in ALL[start + 1 : start + 60 : 12]:
        there = diff(architecture(old), architecture(new))
        back = diff(architecture(new), architecture(old))
        assert severities_by_path(there, "old_path") == severities_by_path(back, "new_path"), new
        tensors = predict_tensors(architecture(old)), predict_tensors(architecture(new))
        assert any(c.severity == "weights" for c in there) == (tensors[0] != tensors[1]), new
        ranks = [SEVERITIES.index(c.severity) for c in there]
        assert ranks == sorted(ranks), new


def both_sides(d: Difference) -> tuple[str, ...]:
    """Path and value on each side."""
    return d.old_path, repr(d.old), d.new_path, repr(d.new)


def mirrored(d: Difference) -> tuple[str, ...]:
    return d.new_path, repr(d.new), d.old_path, repr(d.old)


def severities_by_path(changes: list[Change], side: str) -> list[tuple[str, str, str]]:
    """Path in the model of one side, rule and severity of each change."""
    return sorted((getattr(c, side) or c.path, c.rule, c.severity) for c in changes)
