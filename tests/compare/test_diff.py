"""Differences by path: nothing against itself, and mirrored the other way round.

Their rules are in test_rules.py.
"""

from __future__ import annotations

from functools import cache

import pytest

import llmarch
from llmarch.architecture.schema import Architecture
from llmarch.compare.diff import diff
from llmarch.compare.rules import SEVERITIES
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
    """Against every model behind it in the list: no change is lost, and the worst comes first."""
    for new in ALL[ALL.index(old) + 1 :]:
        there, back = (
            diff(architecture(old), architecture(new)),
            diff(architecture(new), architecture(old)),
        )
        facts = sorted((c.rule, c.path, repr(c.old), repr(c.new)) for c in there)
        assert facts == sorted((c.rule, c.path, repr(c.new), repr(c.old)) for c in back), new
        assert [SEVERITIES.index(c.severity) for c in there] == sorted(
            SEVERITIES.index(c.severity) for c in there
        ), new
