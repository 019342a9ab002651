"""`like` and `show --new`: what the comparison article says of who follows whom holds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from helpers.facts import one_of_each_kind, reading
from helpers.paths import SPECS
from helpers.program import Run

import llmarch
from llmarch.checkpoint.reading import Reading
from llmarch.sources.aliases import bundled_models
from llmarch.views.likeness import (
    ROUTER,
    WEIGHTS,
    Likeness,
    design_distance,
    design_of,
    is_before,
    likeness,
)
from llmarch.views.terms import ALL_TERMS


@cache
def all_models() -> list[Reading]:
    return [reading(alias) for alias in bundled_models()]


@cache
def place(alias: str) -> Likeness:
    return likeness(reading(alias), all_models())


def test_weights_are_of_terms_that_models_may_have() -> None:
    tested = {term.name for term in ALL_TERMS if term.is_in is not None}
    assert set(WEIGHTS) | set(ROUTER) <= tested
    assert not set(WEIGHTS) & set(ROUTER)


@pytest.mark.parametrize(
    ("alias", "ancestor"),
    [
        ("kimi-k2", "deepseek-v3"),
        ("deepseek-r1", "deepseek-v3"),
        ("mistral-large-3", "deepseek-v3"),
        ("deepseek-v3", "deepseek-v2"),
        ("deepseek-v3.2", "deepseek-v3"),
        ("glm-5", "deepseek-v3.2"),
        ("kimi-linear", "qwen3-next"),
        ("olmo3-7b", "olmo2-7b"),
        ("gemma3-27b", "gemma2-27b"),
        ("qwen3-235b", "mixtral-8x7b"),
    ],
)
def test_ancestors(alias: str, ancestor: str) -> None:
    found = place(alias).ancestor
    assert found is not None and found.name == ancestor


def test_sizes_are_no_design() -> None:
    for one, other in (
        ("deepseek-v3", "deepseek-r1"),
        ("qwen3-0.6b", "qwen3-32b"),
        ("gpt-oss-20b", "gpt-oss-120b"),
        ("gemma3-4b", "gemma3-27b"),
        ("kimi-k2", "kimi-k2-thinking"),
    ):
        like = next(like for like in place(one).nearest if like.name == other)
        assert like.differences == 0 and like.distance < 1, (one, other)


def test_kimi_linear_and_qwen3_next_are_nearest_of_two_makers() -> None:
    makers = {alias: model["organization"] for alias, model in bundled_models().items()}
    for one, other in (("kimi-linear", "qwen3-next"), ("qwen3-next", "kimi-linear")):
        foreign = [like.name for like in place(one).nearest if makers[like.name] != makers[one]]
        assert foreign[0] == other


def test_the_distance_is_one() -> None:
    """It is 0 of a design to itself alone, and the same both ways."""
    designs = [design_of(reading(alias).architecture) for alias in one_of_each_kind()[::5]]
    for one in designs:
        assert design_distance(one, one) == 0
        for other in designs:
            there, back = design_distance(one, other), design_distance(other, one)
            assert there == pytest.approx(back) and (there > 0 or one == other)


@pytest.mark.parametrize(
    ("alias", "new", "old"),
    [
        ("kimi-linear", {"Kimi Delta Attention (KDA)"}, {"linear attention", "delta rule"}),
        ("deepseek-v3.2", {"sparse attention with an indexer (DSA)"}, {"YaRN"}),
        ("qwen3-next", {"Gated DeltaNet", "gated attention"}, {"shared expert"}),
        ("olmo2-7b", {"post-norm"}, {"QK-norm"}),
        ("llama4-maverick", {"chunked attention", "NoPE"}, {"shared expert"}),
        ("gpt-oss-20b", {"attention sink"}, {"sliding window"}),
        ("kimi-k2", set(), {"selection bias"}),
    ],
)
def test_what_is_new(alias: str, new: set[str], old: set[str]) -> None:
    found = place(alias)
    assert new <= set(found.new_terms) and not old & set(found.new_terms)
    for term in ALL_TERMS:
        if term.name in found.new_terms:
            assert term.is_in is not None
            released = bundled_models()[alias]["released"]
            for r in all_models():
                before = is_before(r.raw.released or "", released)
                assert not (before and term.is_in(r.architecture)), (term.name, r.name)


@pytest.mark.parametrize(
    ("date", "other", "before"),
    [
        ("2024-12", "2025", True),
        ("2024", "2025-01", True),
        ("2025", "2025-07", False),
        ("2025-07", "2025", False),
        ("2025-07", "2025-07", False),
        ("2025-06", "2025-07", True),
        ("", "2025", False),
        ("2025", "", False),
    ],
)
def test_dates(date: str, other: str, before: bool) -> None:
    assert is_before(date, other) is before


def test_a_model_that_is_not_bundled_is_placed(run: Run, tmp_path: Path) -> None:
    config = json.loads((SPECS / "kimi-k2.json").read_text())["config"]
    config |= {"num_hidden_layers": 12, "hidden_size": 1024, "n_routed_experts": 16}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = likeness(llmarch.load(str(tmp_path)), all_models())
    assert found.before == len(bundled_models()), "without a date all are looked at"
    assert found.ancestor == found.nearest[0] and found.ancestor.name.startswith("kimi-k2")
    out, _ = run("like", str(tmp_path))
    assert "kimi-k2" in out and "size ×" in out


def test_the_commands(run: Run) -> None:
    out, _ = run("like", "kimi-k2", columns=100)
    assert (
        "ancestor" in out
        and "deepseek-v3 (2024-12, size ÷ 1.53): 1 difference: with group limit"
        in " ".join(out.split())
    )
    assert max(map(len, out.splitlines())) <= 100
    document = run.json("like", "kimi-k2")
    assert document["ancestor"]["alias"] == "deepseek-v3"
    assert document["same_design"] == ["kimi-k2-thinking"]
    assert len(document["nearest"]) == len(bundled_models()) - 1
    assert len(run("like", "kimi-k2", "-n", "2")[0]) < len(out)
    out, _ = run("show", "deepseek-v3.2", "--new")
    assert "New" in out and "sparse attention with an indexer (DSA)" in out
    assert "Ancestor" in out and "deepseek-v3 (2024-12, size equal)" in out
    assert run.json("show", "deepseek-v3.2", "--new")["news"]["ancestor"]["alias"] == "deepseek-v3"
    assert "news" not in run.json("show", "deepseek-v3.2")
    assert run("like", "kimi-k2", "--format", "markdown")[0].startswith("## Kimi-K2")
