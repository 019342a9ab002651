"""`explain`: every word that people meet has a meaning, and who has a thing is counted."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import cache

import pytest
from helpers.facts import one_of_each_kind, reading
from helpers.program import Run

from llmarch.architecture.catalogue import CATALOGUE, facts_at
from llmarch.architecture.meanings import class_meanings
from llmarch.checkpoint.reading import Reading
from llmarch.compare.rules import RULES
from llmarch.errors import UnknownReference
from llmarch.sources.aliases import bundled_models
from llmarch.views.explained import ExplainedWord, explain_words, models_with
from llmarch.views.model import model_sheet
from llmarch.views.terms import ALL_TERMS, find_term, plain_name, term_names, terms_in


@cache
def some_models() -> list[Reading]:
    return [reading(alias) for alias in one_of_each_kind()]


@cache
def all_models() -> list[Reading]:
    return [reading(alias) for alias in bundled_models()]


def explained(text: str) -> list[ExplainedWord]:
    return explain_words(text, all_models)


def test_no_name_means_two_things() -> None:
    names = Counter(name for term in ALL_TERMS for name in term_names(term))
    assert [name for name, count in names.items() if count > 1] == []
    assert "" not in names
    assert all(find_term(name.upper()) for name in names)


@pytest.mark.parametrize("term", ALL_TERMS, ids=lambda term: term.name)
def test_a_term_is_told_in_full(term: object) -> None:
    """Three sentences at most, why or where, and paths that there are."""
    assert isinstance(term, tuple)
    found = next(one for one in ALL_TERMS if one is term)
    assert found.meaning.endswith(".") and found.why.endswith(".")
    assert len(re.findall(r"\.(?: |$)", found.meaning)) <= 3
    assert found.formula or found.described or found.facts
    for path in found.facts:
        group = path.split(".")[0]
        assert facts_at(path) or group in class_meanings()["Architecture"].fields, path


def test_every_line_of_show_is_explained() -> None:
    unexplained: set[str] = set()
    for r in some_models():
        for label, lines in model_sheet(r).lines:
            if find_term(label) is None:
                unexplained.add(label)
            for line in lines:
                if not terms_in(line) and not terms_in(label):
                    unexplained.add(line)
    assert unexplained == set()


def test_every_fact_and_label_is_explained() -> None:
    """A sample of the catalogue: the last part of each path, and the label of its row."""
    rng = random.Random(7)
    for fact in rng.sample(CATALOGUE, 12):
        if not any(knows(r, fact.path) for r in some_models()):
            continue
        assert explain_words(fact.label, some_models)
        assert explain_words(fact.path.rpartition(".")[2].strip("{}").split(",")[0], some_models)


def knows(r: Reading, path: str) -> bool:
    field = path.rpartition(".")[2].strip("{}").split(",")[0]
    return any(f".{known}".endswith(f".{field}") for known in r.evidence)


def test_every_rule_is_explained() -> None:
    for rule in RULES:
        (word,) = explain_words(rule.id, lambda: pytest.fail("a rule needs no model"))
        assert word.kind == "rule" and word.name == rule.id


@pytest.mark.parametrize(
    ("text", "first", "some"),
    [
        ("MLA", "deepseek-v2", {"kimi-k2", "deepseek-v3", "mistral-large-3"}),
        ("laurel", "gemma3n-e2b", {"gemma3n-e4b"}),
        ("NoPE", "llama4-scout", {"smollm3-3b", "kimi-linear"}),
        ("DSA", "deepseek-v3.2", {"glm-5"}),
        ("kda", "kimi-linear", set()),
        ("weight + 1", "gemma-2b", {"gemma3-27b", "qwen3-next"}),
        ("hyper connections", "deepseek-v4-pro", {"deepseek-v4-flash"}),
        ("attention sinks", "gpt-oss-20b", {"gpt-oss-120b"}),
    ],
)
def test_who_has_it_and_who_was_first(text: str, first: str, some: set[str]) -> None:
    (word,) = explained(text)
    assert word.models is not None
    assert first in word.models.first and some <= set(word.models.models)
    assert len(word.models.models) < word.models.total == len(bundled_models())


def test_kinds_of_attention_are_those_of_the_list() -> None:
    for kind in ("mha", "gqa", "mqa", "mla", "sliding", "nope", "mamba2", "gated_deltanet"):
        (word,) = [w for w in explained(kind) if w.kind == "term"]
        assert word.models is not None
        expected = {a for a, m in bundled_models().items() if kind in m["attention"]}
        assert set(word.models.models) == expected


def test_a_fact_has_its_values_by_class() -> None:
    words = explained("kv_heads")
    assert [word.name for word in words] == ["mixers.*.kv_heads", "towers.*.kv_heads"]
    assert "kv-heads-changed" in dict(words[0].lines)["change"][0]
    assert words[0].models is not None and "deepseek-v3" not in words[0].models.models
    assert explained("mixers.full.rope.theta")[0].name == "mixers.*.rope.theta"
    assert explained("rope_theta")[0].name == "mixers.*.rope.theta", "the key of configs"


def test_a_line_is_taken_apart() -> None:
    line = "sigmoid router with selection bias, weights of the chosen 8 renormalised, × 2.5"
    names = {term.name for term in terms_in(line)}
    assert {"selection bias", "renormalised router"} <= names
    assert {t.name for t in terms_in("3 × MLA + dense, 58 × MLA + MoE")} >= {
        "multi-head latent attention (MLA)",
        "mixture of experts (MoE)",
    }
    assert plain_name("QK-Norm: _x_") == "qk norm x"


def test_models_without_a_date_come_last() -> None:
    found = models_with("x", all_models(), lambda r: r.name.startswith("Qwen3-"))
    dates = [bundled_models()[alias]["released"][:4] for alias in found.models]
    assert dates == sorted(dates, reverse=True)


def test_the_command(run: Run) -> None:
    out, _ = run("explain", "weight", "+", "1", columns=80)
    assert "x / rms(x) ⋅ (1 + weight)" in out and "models" in out and "arXiv:2403.08295" in out
    document = run.json("explain", "mla")
    assert document["explanations"][0]["first_released"] == "2024-05"
    assert run("explain", "laurel", "--format", "markdown")[0].startswith("## Laurel")
    assert "selection bias" in run("explain")[0]
    assert "did you mean" in run("explain", "laurelx", code=2)[1]
    with pytest.raises(UnknownReference, match="no explanation of zzzz"):
        explained("zzzz")
    newest = run("explain", "gqa")[0]
    assert "(--all)" in newest and "(--all)" not in run("explain", "gqa", "--all")[0]
