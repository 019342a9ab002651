"""Differences by path: nothing against itself, and mirrored the other way round. Their rules are in test_rules.py."""

from __future__ import annotations

import pytest

import llmarch
from llmarch.changes import diff
from llmarch.reference import catalog
from llmarch.rules import SEVERITIES
from llmarch.schema import Architecture

ALL = sorted(catalog())


def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


@pytest.mark.parametrize("alias", ALL)
def test_nothing_differs_from_itself(alias: str) -> None:
    assert diff(architecture(alias), architecture(alias)) == []


@pytest.mark.parametrize(("old", "new"), [(a, b) for a, b in zip(ALL, ALL[7:] + ALL[:7], strict=True)])
def test_the_other_way_round_is_the_mirror(old: str, new: str) -> None:
    there, back = diff(architecture(old), architecture(new)), diff(architecture(new), architecture(old))
    assert {(c.path, repr(c.old), repr(c.new)) for c in there} == {(c.path, repr(c.new), repr(c.old)) for c in back}
    assert [SEVERITIES.index(c.severity) for c in there] == sorted(SEVERITIES.index(c.severity) for c in there)
