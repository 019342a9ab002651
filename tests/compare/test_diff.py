"""Differences by path: nothing against itself, and mirrored the other way round.

Their rules are in test_rules.py.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest
from helpers.facts import one_of_each_kind

import llmarch
from llmarch.architecture.paths import replace_value
from llmarch.architecture.schema import Architecture, Change
from llmarch.compare.diff import diff, differing_facts
from llmarch.compare.rules import SEVERITIES
from llmarch.compare.severity import Difference, predict_tensors
from llmarch.sources.aliases import bundled_models

ALL = sorted(bundled_models())
KINDS = one_of_each_kind()


@cache
def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


@pytest.mark.parametrize("alias", ALL)
def test_nothing_differs_from_itself(alias: str) -> None:
    assert diff(architecture(alias), architecture(alias)) == []


@pytest.mark.parametrize("old", KINDS)
def test_the_other_way_round_is_the_mirror(old: str) -> None:
    """Against every model of another kind behind it in the list, no difference is lost."""
    for new in KINDS[KINDS.index(old) + 1 :]:
        there = differing_facts(architecture(old), architecture(new))
        back = differing_facts(architecture(new), architecture(old))
        assert sorted(map(both_sides, there)) == sorted(map(mirrored, back)), new


@pytest.mark.parametrize("old", KINDS)
def test_severities_are_the_same_both_ways(old: str) -> None:
    """Against a few models behind it in the list; the worst comes first."""
    start = KINDS.index(old)
    for new in KINDS[start + 1 : start + 60 : 12]:
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


@pytest.mark.sweep  # other tests run the same lines
def test_blocks_of_one_role_are_compared() -> None:
    """An MLP is compared with an MLP, and a per-layer input with that of another model."""
    models = {alias: llmarch.load(alias).architecture for alias in bundled_models()}
    special = [a for a in models.values() if a.embedding.per_layer]
    assert len(special) > 3
    for a, b in combinations(special, 2):
        changes = diff(a, b)
        paths = [c.path for c in changes]
        assert not any(
            p.startswith("ffns.") and p.endswith((".per_layer", ".own_skip")) for p in paths
        )
        changed = a.embedding.per_layer != b.embedding.per_layer
        assert ("per-layer-embedding-changed" in [c.rule for c in changes]) == changed
    for a in special:
        for b in (models["qwen3-8b"], models["gpt-j-6b"], models["gemma3-4b"]):
            for old, new in ((a, b), (b, a)):
                changes = diff(old, new)
                per_layer = [c for c in changes if c.rule == "per-layer-embedding-changed"]
                assert [c.path for c in per_layer] == ["embedding.per_layer"]
                whole = [c.path for c in changes if c.path == "ffns.per_layer"]
                assert whole, "the block comes or goes as a whole"


def test_gemma_3n_and_4() -> None:
    """What was told: a per-layer embedding that changed, as the MLP was compared with its block."""
    a, b = (llmarch.load(alias).architecture for alias in ("gemma3n-e2b", "gemma4-e2b"))
    told = {(c.rule, c.path) for c in diff(a, b)}
    assert ("ffn-changed", "ffns.laurel") in told
    assert not {path for _, path in told if path.startswith("ffns.laurel.")}


@pytest.mark.parametrize(("dims", "severity"), [(64, "behaviour"), (8, "info")])
def test_rope_parameters_that_turn_no_pair_break_nothing(dims: int, severity: str) -> None:
    """The ramp of YaRN falls between the few pairs of a small head: the same frequencies."""
    small = replace_value(architecture("deepseek-v3"), "mixers.full.rope.rotary_dim", dims)
    changed = replace_value(small, "mixers.full.rope.scaling.beta_fast", 16.0)
    (change,) = diff(small, changed)
    assert (change.path, change.severity) == ("mixers.full.rope.scaling.beta_fast", severity)
