"""Drafts become schema objects with evidence; what a class does not have is refused."""

from __future__ import annotations

from typing import Any

import pytest

from llmarch.architecture.schema import Attention, Dense, Evidence, Norm, Router
from llmarch.config.evidence import build, derived, derived_from, draft, hard_coded
from llmarch.errors import FactError, InternalError


def test_each_leaf_has_evidence() -> None:
    evidence: dict[str, Evidence] = {}
    norm = build(draft(Norm, kind="rmsnorm", eps=derived(1e-6, "a / b")), "code", evidence, "n")
    assert norm == Norm(kind="rmsnorm", eps=1e-6)
    assert evidence == {
        "n.kind": Evidence(kind="family", ref="code"),
        "n.eps": Evidence(kind="derived", ref="a / b"),
        "n.offset": Evidence(kind="family", ref="code"),
        "n.bias": Evidence(kind="family", ref="code"),
        "n.weight": Evidence(kind="family", ref="code"),
        "n.gate_rank": Evidence(kind="family", ref="code"),
    }


def test_a_draft_may_name_other_code_than_the_one_around_it() -> None:
    evidence: dict[str, Evidence] = {}
    build({"x": draft(Norm, "other code", kind="rmsnorm")}, "code", evidence, "norms")
    assert evidence["norms.x.kind"].ref == "other code"


def test_lists_of_drafts_have_paths_with_numbers() -> None:
    evidence: dict[str, Evidence] = {}
    built = build([draft(Norm, kind="rmsnorm"), hard_coded(1, "c")], "code", evidence, "list")
    assert built == (Norm(kind="rmsnorm"), 1)
    assert {"list.0.kind", "list.1"} <= evidence.keys()


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Dense, {"width": 8, "activation": "silu", "gatd": False}, "Dense has no field 'gatd'"),
        (Dense, {"width": 8, "activation": "silu", "kind": "moe"}, "is 'moe', but Dense is always"),
        (Attention, {"kind": "latent_attention"}, "is 'latent_attention', but Attention"),
    ],
)
def test_a_field_that_the_class_does_not_have_is_a_fault(
    cls: type, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InternalError, match=message) as error:
        build(draft(cls, **fields), "code", {}, "ffns.dense")
    assert "report it" in str(error.value.hint)


def test_the_kind_of_a_class_may_be_repeated() -> None:
    built = build(draft(Dense, kind="dense", width=8, activation="silu"), "code", {}, "x")
    assert built == Dense(width=8, activation="silu")


def test_a_word_that_the_field_does_not_allow() -> None:
    router = draft(Router, scoring=derived("hardmax", "scoring_func"), normalized=True)
    with pytest.raises(FactError, match="scoring_func is 'hardmax'; supported: softmax, "):
        build(router, "code", {}, "router")


def test_derived_from_names_the_evidence_of_all() -> None:
    pair = derived_from([1], derived(None, "a"), hard_coded(None, "b"))
    assert pair.value == [1]
    assert pair.evidence == Evidence(kind="derived", ref="a, b")
