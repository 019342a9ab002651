"""What people read in `show` and `diff` has words of people: swept over all specs and many pairs.

No label or cell holds a path or the name of a field of llmarch; config keys, config values, names
of tensors and of families are what people search for. Numbers have separators, one of something is
in the singular.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from helpers.facts import reading
from helpers.mutations import mutations

from llmarch.architecture.paths import find_value
from llmarch.architecture.wording.names import name_title
from llmarch.checkpoint.reading import Reading
from llmarch.sources.aliases import bundled_models
from llmarch.views.bundled import attention_kinds
from llmarch.views.comparison import compare
from llmarch.views.layer_kinds import distinct_kind_words
from llmarch.views.model import model_sheet
from llmarch.views.numbers import plural
from llmarch.views.strips import (
    different_symbols,
    layer_symbols,
    strip,
)
from llmarch.views.tables import fact_table, layer_table
from llmarch.views.wording import positions

ALL = sorted(bundled_models())
PAIRS = 300

INTERNAL = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[._][A-Za-z0-9]+)+")
"""Words with points or underscores: paths, fields, config keys, tensors, files."""
ONE_OF_MANY = re.compile(r"(?<![\d.,×√/^-])\b1 (?:[A-Za-z-]+ )?[a-z-]{2,}s\b")
MANY_OF_ONE = re.compile(
    r"(?<![.,\d])\b(?!1 )\d[\d,]* (?:KV |query |value )?"
    r"(?:head|layer|block|norm|group|token|module|stream|frame|dim|row|expert|bit)\b(?! ids)"
)
LONG_NUMBER = re.compile(r"(?<![\w.,-])\d{4,}(?![\w-])")
SAME_WORD_TWICE = re.compile(r"\b([A-Za-z]{2,}) \1\b", re.IGNORECASE)


@cache
def config_text(alias: str) -> str:
    """What a config says, in lower case, with the names that llmarch gives a whole model, and the
    tensors and files that its findings are about."""
    r = reading(alias)
    encoders = [tower.kind for tower in r.architecture.towers.values()]
    found = [finding.path for finding in r.findings]
    text = json.dumps([r.raw.config, r.raw.config_file, r.architecture.family, encoders, found])
    return text.lower()


@cache
def config_keys() -> frozenset[str]:
    """The keys of all configs: also those whose default a config does not write out."""
    keys: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, dict):
            keys.update(map(str, node))
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for item in node:
                visit(item)

    for alias in ALL:
        visit(reading(alias).raw.config)
    return frozenset(keys)


def faults(text: str, *aliases: str, new: str = "") -> list[str]:
    """What is wrong with a text about some models, of which one may have a new value."""
    texts = [*map(config_text, aliases), new.lower()]
    words, found = looked_at(text)
    for word in words:
        if not any(word.lower() in config for config in texts):
            found = [*found, word]
    return [f"{fault}: {text}" for fault in found]


@cache
def looked_at(text: str) -> tuple[list[str], list[str]]:
    """Words of a text that a config must have, and what is wrong with it whatever a config has."""
    words = [word for word in INTERNAL.findall(text) if word not in config_keys()]
    found: list[str] = []
    for pattern in (ONE_OF_MANY, MANY_OF_ONE, LONG_NUMBER, SAME_WORD_TWICE):
        found += [match.group() for match in pattern.finditer(text)]
    return words, found


def compared_texts(readings: list[Reading]) -> Iterator[str]:
    """Yield what a comparison says in labels, cells, the equal line and the legend."""
    document = compare(readings, everything=True)
    for row in document.table.rows:
        yield row[0]
        for cell in row[1:]:
            yield from cell.split("\n")
    yield from document.equal
    for _, words in document.legend:
        yield words


@pytest.mark.parametrize("alias", ALL)
def test_show_has_words_of_people(alias: str) -> None:
    sheet = model_sheet(reading(alias))
    found = faults(sheet.headline, alias)
    for label, lines in sheet.lines:
        for line in [label, *lines]:
            found += faults(line, alias)
    assert found == []


@pytest.mark.sweep  # a sweep: other tests run the same lines
def test_diff_has_words_of_people() -> None:
    """Of random pairs, and of pairs whose second model has one other fact."""
    choose = random.Random(15)
    found: list[str] = []
    for _ in range(PAIRS):
        pair = choose.sample(ALL, 2)
        for text in compared_texts([reading(alias) for alias in pair]):
            found += faults(text, *pair)
    assert found == []


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("alias", ["deepseek-v3.2", "gemma4-e2b", "longcat-flash", "qwen3-next"])
def test_values_in_full_have_words_of_people(alias: str) -> None:
    """A change that the words of a row hide is told by its place: `full, sliding`."""
    old = reading(alias)
    found: list[str] = []
    for mutation in mutations(old.architecture):
        new = replace(old, architecture=mutation.architecture)
        value = str(find_value(new.architecture, mutation.path))
        for label, *cells in compare([old, new]).table.rows:
            for text in [label, *cells[0].split("\n"), *cells[1].split("\n")]:
                found += faults(text, alias, new=value)
    assert found == []


@pytest.mark.parametrize("alias", ALL)
def test_facts_have_labels_that_tell_them_apart(alias: str) -> None:
    """No two facts have one label in `show --all`, and those of norms say which norm."""
    rows = fact_table(reading(alias)).rows
    labels = [label for _, label, _ in rows]
    assert len(set(labels)) == len(labels)
    for path, label, _ in rows:
        if path.startswith("norms."):
            assert label.startswith(f"{name_title(path.split('.')[1])} norm · "), label


@pytest.mark.parametrize("alias", ALL)
def test_each_kind_of_layer_has_a_sign_and_words_of_its_own(alias: str) -> None:
    r = reading(alias)
    kinds = r.architecture.layers
    by_word = layer_symbols([r])
    signs = strip(r.name, r, by_word).symbols
    assert len(set(zip(kinds, signs, strict=True))) == len(set(kinds)) == len(set(signs))
    table = layer_table(r)
    assert table.columns == ["layer", "blocks", "sees", "positions"]
    words = [row[1] for row in table.rows]
    assert [by_word[word] for word in words] == list(signs)
    assert not any("_" in cell for row in table.rows for cell in row)


def test_kinds_of_one_recipe_say_what_differs() -> None:
    words = distinct_kind_words(reading("step-3.5-flash").architecture)
    assert words["full_moe"] == "gated GQA + MoE"
    assert words["full_moe_clamped"] == "gated GQA + MoE (activation clamp)"
    a = reading("qwen3-8b").architecture
    kinds = {**a.layer_kinds, "other_kind": a.layer_kinds["full"]}
    twins = distinct_kind_words(replace(a, layer_kinds=kinds, layers=(*a.layers, "other_kind")))
    assert twins == {"full": "GQA + dense (full)", "other_kind": "GQA + dense (other kind)"}


def test_layer_symbols_are_different_for_any_number_of_kinds() -> None:
    symbols = [symbol for symbol, _ in zip(different_symbols(), range(5000), strict=False)]
    assert len(set(symbols)) == 5000
    choose = random.Random(7)
    for _ in range(40):
        readings = [reading(alias) for alias in choose.sample(ALL, 9)]
        by_word = layer_symbols(readings)
        assert len(set(by_word.values())) == len(by_word)
        for r in readings:
            assert len(strip(r.name, r, by_word).symbols) == len(r.architecture.layers)


@pytest.mark.parametrize(("n", "words"), [(0, "0 heads"), (1, "1 head"), (1024, "1,024 heads")])
def test_plural(n: int, words: str) -> None:
    assert plural(n, "head") == words


@pytest.mark.parametrize("alias", sorted(bundled_models()))
def test_layers_without_positions_are_those_that_show_says(alias: str) -> None:
    """`list --attention nope` and the timeline by the same rule: ALiBi and tables are positions."""
    a = reading(alias).architecture
    assert ("nope" in attention_kinds(a)) == ("NoPE" in (positions(a) or ""))
