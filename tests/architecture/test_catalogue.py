"""The catalogue has each fact of the schema exactly once, and nothing else."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.architecture.catalogue import (
    CATALOGUE,
    NAMED,
    PARTS,
    expand_path,
    facts_at,
    find_fact,
    iterate_facts,
)
from llmarch.architecture.catalogue.fact import DETAIL, LEAD, MAIN, SECTIONS, Fact
from llmarch.architecture.paths import find_value
from llmarch.architecture.schema import Architecture
from llmarch.sources.aliases import bundled_models
from llmarch.views.derived_rows import DERIVED
from llmarch.views.fact_rows import row_sources

NOT_IN_THE_SCHEMA = {"layer_kinds.*.norms"}
"""Paths of changes that are computed: the number of norms follows from the wiring."""


class Leaf(NamedTuple):
    """A path of the schema at which a change can be reported, and the class of its block."""

    path: str
    block: type | None


def leaves(hint: Any, path: str = "", block: type | None = None) -> Iterator[Leaf]:
    """Yield the leaves below a type, and the parts that can be added, removed or replaced."""
    if is_dataclass(hint):
        if path.count(".") == 1 and path.partition(".")[0] in NAMED:
            block = hint
        hints = get_type_hints(hint)
        for f in fields(hint):
            if f.compare:
                yield from leaves(hints[f.name], f"{path}.{f.name}" if path else f.name, block)
        return
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if type(None) in args:
            yield Leaf(path, block)
        for arg in args:
            if arg is not type(None):
                yield from leaves(arg, path, block)
    elif origin is dict:
        for cls in get_args(args[1]) or (args[1],):
            yield Leaf(f"{path}.NAME", cls)
        yield from leaves(args[1], f"{path}.NAME", block)
    elif origin is tuple and (is_dataclass(args[0]) or get_origin(args[0]) is tuple):
        yield Leaf(path, block)
        yield from leaves(args[0], f"{path}.0", block)
    else:
        yield Leaf(path, block)


LEAVES = sorted(set(leaves(Architecture)), key=str)


def entries(leaf: Leaf) -> list[Fact]:
    """The entries of a leaf."""
    found = facts_at(leaf.path)
    return [f for f in found if leaf.block is None or not f.kinds or leaf.block in f.kinds]


def test_the_leaves_are_those_of_the_schema() -> None:
    paths = {leaf.path for leaf in LEAVES}
    assert {
        "mixers.NAME.rope.scaling.short_factor",
        "towers.NAME.stages.0.0.key_width",
        "mixers.NAME",
        "layers",
    } <= paths
    assert len(paths) > 250


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: f"{leaf.path}-{leaf.block}")
def test_every_leaf_has_one_entry(leaf: Leaf) -> None:
    found = [fact.path for fact in entries(leaf)]
    assert len(found) == 1, f"{leaf.path} needs one Fact in llmarch/architecture/catalogue/"


def test_every_path_of_an_entry_is_in_the_schema() -> None:
    """None is left of a fact that was renamed."""
    covered = {(id(fact), leaf.path) for leaf in LEAVES for fact in entries(leaf)}
    paths = {leaf.path for leaf in LEAVES}
    for fact in CATALOGUE:
        for path in expand_path(fact.path):
            if path in NOT_IN_THE_SCHEMA:
                continue
            found = {p for p in paths if fact in facts_at(p) and matches(path, p)}
            wholes = {p.rpartition(".")[0] for p in paths if "." in p}
            assert found or any(matches(path, p) for p in wholes), path
        assert fact.path in NOT_IN_THE_SCHEMA or any(i == id(fact) for i, _ in covered), fact.path


def matches(pattern: str, path: str) -> bool:
    parts, names = pattern.split("."), path.split(".")
    pairs = zip(parts, names, strict=False)
    return len(parts) == len(names) and all(part in ("*", name) for part, name in pairs)


def test_the_classes_of_an_entry_have_one_of_its_fields() -> None:
    """But for rows of a fact that follows from the class, such as the QK-norm of MLA."""
    for fact in CATALOGUE:
        for kind in fact.kinds:
            has = any(leaf.block is kind and fact in entries(leaf) for leaf in LEAVES)
            follows = fact.label in ("QK-norm", "bias")
            assert has or follows or fact.group in PARTS, (fact.path, kind)


def test_facts_at_one_path_have_one_rule() -> None:
    """The severity of a change does not depend on the class of the block."""
    for leaf in LEAVES:
        assert len({fact.rule for fact in facts_at(leaf.path)}) == 1, leaf.path


def test_a_rule_is_the_same_in_all_its_entries() -> None:
    rules = {fact.rule for fact in CATALOGUE}
    assert [id for id, n in Counter(rule.id for rule in rules).items() if n > 1] == []


def test_rules_of_facts_are_known_ids() -> None:
    lines = (ROOT / "tests/fixtures/rule_ids.txt").read_text(encoding="utf-8").splitlines()
    known = {line.split()[0] for line in lines if line and not line.startswith("#")}
    new = sorted({fact.rule.id for fact in CATALOGUE} - known)
    assert new == [], "add new ids at the end of tests/fixtures/rule_ids.txt"


def test_entries_are_whole() -> None:
    for fact in CATALOGUE:
        assert fact.section in SECTIONS
        assert fact.rank in (LEAD, MAIN, DETAIL)
        assert fact.label and fact.label == fact.label.strip()
        assert fact.equal == "" or fact.equal.count("{}") == 1
        assert fact.words is not None or not (fact.equal or fact.implied)


def test_rows_of_one_label_are_of_one_group_and_rank() -> None:
    """A row is made of the blocks of one group; each of its entries words other classes."""
    for key, (facts, _) in row_sources().items():
        assert key not in DERIVED
        assert len({fact.group for fact in facts}) == 1, key
        assert len({(fact.rank, fact.equal) for fact in facts}) == 1, key
        kinds = [kind for fact in facts for kind in fact.kinds]
        assert len(facts) == 1 or len(kinds) == len(set(kinds)) > 0, key


@pytest.mark.parametrize("alias", sorted(bundled_models()))
def test_every_fact_of_a_model_has_an_entry(alias: str) -> None:
    a = llmarch.load(alias).architecture
    for path, value in iterate_facts(a):
        assert find_fact(path, a) is not None, f"{path}: add a Fact in architecture/catalogue/"
        assert find_value(a, path) == value


def test_braces_are_expanded() -> None:
    assert expand_path("a.b") == ["a.b"]
    assert expand_path("a{,.b,.c.d}") == ["a", "a.b", "a.c.d"]
    assert expand_path("a.{b,c}.d.{e,f}") == ["a.b.d.e", "a.b.d.f", "a.c.d.e", "a.c.d.f"]


def test_an_unknown_path_has_no_entry() -> None:
    assert facts_at("mixers.full.nonsense") == []
    assert facts_at("nonsense") == []
