"""No output of `diff` or `show --all` loses a fact: each is changed once and must be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest
from helpers.facts import alike_models, one_of_each_kind, reading
from helpers.mutations import Mutation, changed, mutations, representatives

from llmarch.architecture.catalogue import CATALOGUE, NAMED, find_fact, iterate_facts
from llmarch.architecture.catalogue.fact import DETAIL
from llmarch.architecture.implied import same_floats
from llmarch.architecture.paths import find_value
from llmarch.architecture.schema import Architecture, MoE
from llmarch.checkpoint.reading import Reading
from llmarch.compare.diff import diff
from llmarch.renderers import json, markdown, text
from llmarch.sources.aliases import bundled_models
from llmarch.views.common_names import renamed, with_names_of
from llmarch.views.compared_rows import (
    ComparedModel,
    comparable_towers,
    compared_model,
    compared_models,
    compared_rows,
)
from llmarch.views.comparison import compare
from llmarch.views.derived_rows import CACHE, DERIVED
from llmarch.views.documents import Comparison, Table
from llmarch.views.exact_values import exact_text
from llmarch.views.rows import key_of
from llmarch.views.tables import fact_table

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

ALL = sorted(bundled_models())

LONG_LIST = 12
"""Records of a list, of which only those at the ends are changed."""

OF_EACH_KIND = 24
"""Mutations of one kind (class, field, from what to what) that are tried at most."""

SUMS = {key for key in DERIVED if key[0] in ("Size", "Encoders", CACHE)} - {
    (fact.section, fact.label) for fact in CATALOGUE
}
"""Rows of sizes, which change with many facts and are the row of none."""


def with_change(alias: str, mutation: Mutation) -> Reading:
    return replace(reading(alias), architecture=mutation.architecture)


def test_most_fields_of_the_schema_are_changed() -> None:
    fields = {mutation.kind[:2] for found in representatives().values() for mutation in found}
    assert len(fields) > 200


def lost(alias: str, found: list[Mutation]) -> Iterator[str]:
    """Yield the paths whose change an output does not show."""
    old = reading(alias)
    same = compare([old, old])
    outputs = printed(same)
    unchanged = json.comparison([old, old])
    everything = fact_table(old)
    for mutation in found:
        new = with_change(alias, mutation)
        document = compare([old, new])
        if not diff(old.architecture, new.architecture) or document.same:
            yield f"{mutation.path}: no change"
        if not any(row[1] != row[2] for row in document.table.rows):
            yield f"{mutation.path}: not in diff"
        if any(a == b for a, b in zip(printed(document), outputs, strict=True)):
            yield f"{mutation.path}: text, Markdown or JSON"
        if json.comparison([old, new]) == unchanged:
            yield f"{mutation.path}: JSON"
        if fact_table(new) == everything:
            yield f"{mutation.path}: not in show --all"


def printed(document: Comparison) -> tuple[str, str]:
    """The table in text and Markdown, without what stands beside it."""
    table = replace(document, equal=[], hidden=0, same=False)
    return text.captured(lambda out: text.table(table.table, out)), markdown.comparison(table)


@pytest.mark.parametrize("alias", sorted(representatives()))
def test_a_change_is_shown(alias: str) -> None:
    assert list(lost(alias, representatives()[alias])) == []


@pytest.mark.parametrize("alias", sorted(representatives()))
def test_a_change_is_in_the_matrix(alias: str) -> None:
    """Three changed models beside the old one: each has a row in which it differs."""
    old = reading(alias)
    found = representatives()[alias]
    for start in range(0, len(found), 3):
        some = found[start : start + 3]
        document = compare([old, *(with_change(alias, mutation) for mutation in some)])
        written = printed(document)
        for column, mutation in enumerate(some, start=2):
            rows = [row for row in document.table.rows if row[1] != row[column]]
            assert rows, mutation.path
            assert all(rows[0][0] in text for text in written), mutation.path


@cache
def divided_mutations() -> dict[str, list[Mutation]]:
    """Every fact of every model: those with the same facts share them, as their sizes alone differ.

    Of records in a long list (the blocks of a convolutional tower) those of the ends are changed,
    and of each kind of mutation so many that models far apart in the list have it.
    """
    found: dict[str, list[Mutation]] = {alias: [] for alias in ALL}
    by_kind: dict[tuple[str, str, str], list[tuple[str, Mutation]]] = {}
    for aliases in alike_models():
        for i, alias in enumerate(aliases):
            tried = list(mutations(reading(alias).architecture))
            for mutation in without_middles(tried)[i :: len(aliases)]:
                by_kind.setdefault(mutation.kind, []).append((alias, mutation))
    for tried_by_model in by_kind.values():
        for alias, mutation in tried_by_model[:: -(-len(tried_by_model) // OF_EACH_KIND)]:
            found[alias].append(mutation)
    return found


def without_middles(found: list[Mutation]) -> list[Mutation]:
    """Return mutations without those of records in the middle of long lists."""
    of_lists: dict[str, list[Mutation]] = {}
    for mutation in found:
        of_lists.setdefault(re.sub(r"\d+", "N", mutation.path), []).append(mutation)
    kept = [(m[:2] + m[-2:] if len(m) > LONG_LIST else m) for m in of_lists.values()]
    return [mutation for of_list in kept for mutation in of_list]


def test_mutations_are_divided_among_models_of_the_same_facts() -> None:
    divided = divided_mutations()
    assert set(divided) == set(ALL)
    kinds = {mutation.kind for found in divided.values() for mutation in found}
    assert kinds == {m.kind for found in representatives().values() for m in found}


@pytest.mark.slow
@pytest.mark.parametrize("alias", ALL)
def test_every_change_of_every_fact_is_shown(alias: str) -> None:
    """All facts of all models, by their rows alone; what the models have alike is made once."""
    old = reading(alias)
    a = old.architecture
    facts = dict(iterate_facts(a))

    @cache
    def first(towers: tuple[str, ...]) -> ComparedModel:
        return compared_model(old, a, towers)

    for mutation in divided_mutations()[alias]:
        b = mutation.architecture
        towers = tuple(comparable_towers([a, b]))
        models = [first(towers), compared_model(replace(old, architecture=b), a, towers)]
        assert models[1].changed, mutation.path
        assert any(row.differs for row in compared_rows(models)), mutation.path
        paths = dict(iterate_facts(b))  # what show --all lists
        if paths.keys() == facts.keys():
            changed = [path for path in facts if facts[path] != paths[path]]
            texts = [(exact_text(facts[path]), exact_text(paths[path])) for path in changed]
            assert texts and all(text != other for text, other in texts), mutation.path


def test_a_whole_number_that_is_larger_by_one_is_another() -> None:
    """However large it is; only fractions are compared as 32-bit floats."""
    tried = 0
    for i, alias in enumerate(ALL):
        old = reading(alias)
        a = old.architecture
        thetas = [path for path, _ in iterate_facts(a) if path.endswith("rope.theta")][:1]
        for path in thetas:
            value = find_value(a, path)
            new = replace(old, architecture=changed(a, path.split("."), value + 1))
            assert diff(a, new.architecture), (alias, path)
            if i % 20 == 0:
                assert any(row[1] != row[2] for row in compare([old, new]).table.rows)
            tried += 1
    assert tried > 100
    assert same_floats(1e-6, 9.999999974752427e-07) and not same_floats(1e-6, 1.0000001e-6)


@cache
def representative_pairs() -> dict[str, list[tuple[Mutation, Mutation]]]:
    """By model, two mutations of one row for each two kinds of mutation that share a row."""
    found: dict[str, list[tuple[Mutation, Mutation]]] = {}
    seen: set[tuple[tuple[str, str, str], ...]] = set()
    for alias in ALL:
        a = reading(alias).architecture
        rows: dict[tuple[str, str], list[Mutation]] = {}
        for mutation in mutations(a):
            fact = find_fact(mutation.path, mutation.architecture, a)
            rows.setdefault(key_of(mutation.path, fact), []).append(mutation)
        for of_row in rows.values():
            for x, y in combinations(of_row, 2):
                kinds = tuple(sorted((x.kind, y.kind)))
                if kinds in seen:
                    continue
                nested = f"{y.path}.".startswith(f"{x.path}.")
                if not nested and x.path != y.path:
                    seen.add(kinds)
                    found.setdefault(alias, []).append((x, y))
    return found


def both(x: Mutation, y: Mutation) -> Architecture:
    """The architecture with two mutations."""
    value = find_value(y.architecture, y.path)
    return changed(x.architecture, y.path.split("."), value)


def test_pairs_cover_the_rows_of_several_facts() -> None:
    assert sum(map(len, representative_pairs().values())) > 600


@pytest.mark.parametrize("alias", sorted(representative_pairs()))
def test_a_second_change_in_one_row_is_shown(alias: str) -> None:
    """Two changes look other than either of them alone, beside the old model and one another."""
    old = reading(alias)
    pairs = representative_pairs()[alias]
    mutations_of_pairs = {id(mutation): mutation for pair in pairs for mutation in pair}

    @cache
    def with_one(mutation: int) -> tuple[str, str]:
        return tables([old, with_change(alias, mutations_of_pairs[mutation])])

    for i, (x, y) in enumerate(pairs):
        new = replace(old, architecture=both(x, y))
        if len(diff(old.architecture, new.architecture)) < 2:
            continue  # one takes the place of the other
        outputs = tables([old, new])
        for one in (x, y):
            for changed_by_both, by_one in zip(outputs, with_one(id(one)), strict=True):
                assert changed_by_both != by_one, (x.path, y.path, one.path)
        if i % 6:
            continue  # the table of three models costs more than all else
        only_x = with_change(alias, x)
        matrix, without_y = tables([old, only_x, new]), tables([old, only_x, only_x])
        for changed_by_both, by_one in zip(matrix, without_y, strict=True):
            assert changed_by_both != by_one, (x.path, y.path)


def is_sum(key: tuple[str, str]) -> bool:
    """Whether a row is a sum over facts: a size, or a cache at some context length."""
    section, label = key
    return key in SUMS or (section == CACHE and label.startswith("at "))


def tables(readings: list[Reading]) -> tuple[str, str]:
    """The rows of the facts themselves in text and Markdown: no sizes or caches made of them."""
    document = compare(readings)
    kept = Table(document.table.columns, [], {})
    section = ""
    for i, row in enumerate(document.table.rows):
        section = document.table.sections.get(i, section)
        if not is_sum((section, row[0])):
            kept.rows.append([section, *row[: len(readings) + 1]])
    kept = replace(kept, columns=["section", *kept.columns[: len(readings) + 1]])
    return printed(replace(document, table=kept))


def test_two_changes_in_one_row_are_both_shown() -> None:
    """What people met: rows whose words are sums, quotients or lists of several facts."""
    a = architecture("gemma3n-e2b")
    per_layer = a.embedding.per_layer
    assert per_layer is not None
    wider = replace(per_layer, width=per_layer.width * 2, vocab_size=per_layer.vocab_size + 64)
    new = replace(a, embedding=replace(a.embedding, per_layer=wider))
    rows = compare([reading("gemma3n-e2b"), replace(reading("gemma3n-e2b"), architecture=new)])
    assert any("262,208" in row[2] for row in rows.table.rows)
    a = architecture("nemotron-3-super")
    name, block = next((n, f) for n, f in a.ffns.items() if isinstance(f, MoE))
    changed_block = replace(block, shared_experts=2, shared_width=block.shared_width + 1)
    new = replace(a, ffns={**a.ffns, name: changed_block})
    found = table("nemotron-3-super", replace(reading("nemotron-3-super"), architecture=new))
    assert found["shared experts"] == ["1 of width 5,376", "2, together of width 5,377"]
    a = architecture("step-3.5-flash")
    name, block = next((n, f) for n, f in a.ffns.items() if isinstance(f, MoE) and f.clamp)
    new = replace(a, ffns={**a.ffns, name: replace(block, clamp=9.0, shared_clamp=11.0)})
    found = table("step-3.5-flash", replace(reading("step-3.5-flash"), architecture=new))
    assert "9 (shared 11)" in found["activation clamp"][1]


@pytest.mark.parametrize("alias", one_of_each_kind())
def test_every_change_between_models_has_a_row(alias: str) -> None:
    """Against a few models behind it in the list; blocks and their wiring are in the recipe."""
    kinds = one_of_each_kind()
    start = kinds.index(alias)
    for other in kinds[start + 1 : start + 60 : 12]:
        models = compared_models([reading(alias), reading(other)])
        a, b = models[0].architecture, models[1].architecture
        shown = {(row.section, row.label) for row in compared_rows(models) if row.differs}
        for change in diff(a, b):
            path = path_by_name(change.path, a, b)
            key = key_of(path, find_fact(path, a, b))
            assert key in shown or is_in_recipe(path, shown), (other, path)


@pytest.mark.parametrize("alias", ["gemma3n-e2b", "deepseek-v3.2", "gpt2", "step-3.5-flash"])
def test_details_of_blocks_with_other_names_have_rows(alias: str) -> None:
    """A detail that rules find where the same layers use blocks of two names, in both orders."""
    for other in (name for name in ALL[::9] if name != alias):
        for pair in ([alias, other], [other, alias]):
            models = compared_models([reading(name) for name in pair])
            a, b = models[0].architecture, models[1].architecture
            shown = {(row.section, row.label) for row in compared_rows(models) if row.differs}
            for change in diff(a, b):
                fact = find_fact(change.path, a, b)
                if fact is not None and fact.rank == DETAIL:
                    assert key_of(change.path, fact) in shown, (pair, change.path)


def path_by_name(path: str, a: Architecture, b: Architecture) -> str:
    """The path by which rows tell a change: a block as a whole where one model has none of its
    name."""
    block = ".".join(path.split(".")[:2])
    if path.split(".")[0] in NAMED and None in (find_value(a, block), find_value(b, block)):
        return block
    return path


def is_in_recipe(path: str, shown: set[tuple[str, str]]) -> bool:
    """Whether a block or the wiring of a kind of layer changed, and so did the recipe."""
    group, _, rest = path.partition(".")
    is_block = group in ("mixers", "ffns") and "." not in rest
    return ("Layers", "recipe") in shown and (is_block or group == "layer_kinds")


def architecture(alias: str) -> Architecture:
    return reading(alias).architecture


def table(*models: str | Reading) -> dict[str, list[str]]:
    """The cells of a comparison by their label."""
    readings = [reading(m) if isinstance(m, str) else m for m in models]
    return {row[0]: row[1 : len(readings) + 1] for row in compare(readings).table.rows}


def test_a_fact_of_some_layers_is_not_equal_to_one_of_all() -> None:
    """MiMo has sinks on sliding layers, gpt-oss on all."""
    assert table("mimo-v2-flash", "gpt-oss-20b")["sinks"] == [
        "full none\nsliding one per query head",
        "one per query head",
    ]
    assert table("gemma3-27b", "mistral-small-3.1")["window"] == [
        "sliding 1,024\nfull none",
        "–",
    ]
    assert table("gemma2-9b", "gemma3-27b")["window"] == ["4,096", "1,024"]


def test_models_are_the_same_only_without_changes() -> None:
    """Two bundled models that differ in nothing but the modules that are not quantised."""
    found = table("kimi-k2.5", "kimi-k2.6")
    assert list(found) == ["unquantised modules"]
    assert "lm_head" in found["unquantised modules"][0]
    document = compare([reading("kimi-k2.5"), reading("kimi-k2.6")])
    assert not document.same
    assert "The architectures are the same." not in markdown.comparison(document)
    equal = compare([reading("kimi-k2.5"), reading("kimi-k2.5")], everything=True)
    assert equal.same and equal.table.rows
    assert "The architectures are the same." in markdown.comparison(equal)


def test_all_mixtures_of_experts_are_compared() -> None:
    a = architecture("deepseek-v4-flash")
    block = replace(a.ffns["moe_hash"], shared_clamp=3.0)
    new = replace(a, ffns={**a.ffns, "moe_hash": block})
    found = table("deepseek-v4-flash", replace(reading("deepseek-v4-flash"), architecture=new))
    assert found["activation clamp"] == ["10", "MoE 10\nMoE hash 10 (shared 3)"]


def test_a_value_that_the_words_round_is_shown_in_full() -> None:
    a = architecture("qwen3-8b")
    mixer = replace(a.mixers["full"], softcap=1.0000001)
    old = replace(reading("qwen3-8b"), architecture=with_mixer(a, replace(mixer, softcap=1.0)))
    new = replace(reading("qwen3-8b"), architecture=with_mixer(a, replace(mixer, softcap=1.000001)))
    assert table(old, new)["softcap"] == ["full: 1", "full: 1.000001"]


def with_mixer(a: Architecture, mixer: object) -> Architecture:
    return replace(a, mixers={**a.mixers, "full": mixer})


def test_a_block_of_another_name_is_no_change() -> None:
    """Blocks are compared with those that the same layers use, as the fingerprint does."""
    a = architecture("qwen3-8b")
    kind = a.layer_kinds["full"]
    steps = (
        replace(kind.steps[0], branches=(replace(kind.steps[0].branches[0], block="mixers.all"),)),
        *kind.steps[1:],
    )
    new = replace(
        a,
        mixers={"all": a.mixers["full"]},
        layer_kinds={"full": replace(kind, steps=steps)},
    )
    assert diff(a, new) == []
    document = compare([reading("qwen3-8b"), replace(reading("qwen3-8b"), architecture=new)])
    assert document.same and document.table.rows == []
    other = replace(new, mixers={"all": replace(a.mixers["full"], window=4096)})
    found = table("qwen3-8b", replace(reading("qwen3-8b"), architecture=other))
    sums = {label for label in found if is_sum((CACHE, label)) or is_sum(("Size", label))}
    assert set(found) - sums == {"recipe", "window"}


def test_names_of_blocks_do_not_clash() -> None:
    """Two kinds of layers that have each other's names keep apart."""
    a = architecture("gemma3-27b")
    names = {"layer_kinds.sliding": "layer_kinds.full", "layer_kinds.full": "layer_kinds.sliding"}
    swapped = renamed(a, names)
    assert swapped.layers[:6] == ("full",) * 5 + ("sliding",)
    assert with_names_of(a, swapped) == a
    assert with_names_of(a, a) is a


def test_sizes_that_differ_by_one_parameter_are_told_apart() -> None:
    a = architecture("qwen3-8b")
    new = replace(reading("qwen3-8b"), architecture=replace(a, vocab_size=a.vocab_size + 1))
    assert table("qwen3-8b", new)["total"] == ["8,190,735,360", "8,190,743,552"]
    assert table("qwen3-8b", new, "qwen3-8b")["total"][2] == "8,190,735,360"
    assert table("qwen3-8b", "qwen3-14b")["total"] == ["8.19 B", "14.77 B"]


def test_layers_in_another_order_are_shown() -> None:
    a = architecture("gpt-oss-20b")
    new = replace(a, layers=(*a.layers[:2], *reversed(a.layers[2:6]), *a.layers[6:]))
    found = table("gpt-oss-20b", replace(reading("gpt-oss-20b"), architecture=new))
    assert "[2] sliding" in found["recipe"][0]


def test_an_implied_softmax_scale_is_named() -> None:
    """The usual scale is no fact by itself, but stands beside a scale of another model."""
    assert table("deepseek-v3", "mistral-large-3")["softmax scale"] == ["0.135234", "1/√192"]
    assert "softmax scale" not in table("qwen3-8b", "smollm3-3b")
