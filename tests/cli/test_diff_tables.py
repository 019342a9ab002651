"""The tables of `diff`: rules, order of consequence, and matrices that are one table in parts."""

from __future__ import annotations

import pytest
from helpers.facts import reading
from helpers.program import Run

from llmarch.architecture.catalogue import CATALOGUE
from llmarch.compare.rules import SEVERITIES
from llmarch.renderers.text import split
from llmarch.views.comparison import by_consequence, compare, compare_any, consequence_of
from llmarch.views.derived_rows import DERIVED
from llmarch.views.documents import DIFFERS, Table, marked_row

PAIRS = ["deepseek-v3 kimi-k2", "llama3-8b gemma2-9b", "qwen3-next kimi-linear"]
MANY = "llama3-8b gemma3-27b deepseek-v3 qwen3-next gpt2"


@pytest.mark.parametrize("pair", PAIRS)
def test_rules_are_those_of_the_changes(pair: str, run: Run) -> None:
    """Each rule of the JSON document stands in a row, with its severity."""
    changes = run.json("diff", *pair.split())["changes"]
    compared = compare_any([reading(alias) for alias in pair.split()], rules=True)
    told = {row[-1] for row in compared.table.rows if row[-1]}
    assert told <= {f"{change['severity']} {change['rule']}" for change in changes}
    assert {word.split()[0] for word in told} >= {"weights", "behaviour"}
    heads = [row[-1] for row in compared.table.rows if row[0] == "query heads"]
    assert heads == ["weights heads-changed"] or "gemma2" not in pair
    out, _ = run("diff", *pair.split(), "--rules", columns=100)
    assert "breaks, and rule" in out and max(map(len, out.splitlines())) <= 100
    assert "breaks, and rule" not in run("diff", *pair.split())[0]


def rank_breaks(t: Table) -> list[str]:
    """Return the rows that stand after one of their section and rank that breaks less."""
    ranks = {(fact.section, fact.label): fact.rank for fact in CATALOGUE}
    found: list[str] = []
    section, last, worst = "", None, -1
    for i, row in enumerate(t.rows):
        section = t.sections.get(i, section)
        key = section, row[0]
        place = (section, ranks.get(key))
        consequence = consequence_of(key)
        if place == last and consequence < worst and key not in DERIVED:
            found.append(row[0])
        last, worst = place, consequence
    return found


@pytest.mark.parametrize("pair", PAIRS)
def test_what_breaks_most_comes_first(pair: str) -> None:
    compared = compare([reading(alias) for alias in pair.split()])
    assert rank_breaks(compared.table) == []
    worst = consequence_of(("Position", "RoPE θ")), consequence_of(("Position", "context"))
    assert worst == (SEVERITIES.index("behaviour"), SEVERITIES.index("capacity"))
    assert consequence_of(("Encoders", "vision heads")) == SEVERITIES.index("weights")
    assert by_consequence([]) == []


def test_a_matrix_in_parts_is_one_table() -> None:
    compared = compare([reading(alias) for alias in MANY.split()]).table
    parts = list(split(compared, 80))
    assert len(parts) > 1
    names = [part.columns[1] for part in parts]
    assert set(names) == {compared.columns[1]}, "the first model stands in each part"
    assert len({tuple(row[0] for row in part.rows) for part in parts}) == 1
    assert all(part.sections == compared.sections for part in parts)
    shown = [name for part in parts for name in part.columns[2:]]
    assert shown == compared.columns[2:]


def test_rules_stand_in_each_part_of_a_matrix() -> None:
    compared = compare_any([reading(alias) for alias in MANY.split()], rules=True).table
    for part in split(compared, 80):
        assert part.columns[-1] == "breaks, and rule"
        marked = [marked_row(part, row)[-1] for row in part.rows]
        assert not any(cell.startswith(DIFFERS) for cell in marked)


def test_cells_that_differ_are_marked(run: Run) -> None:
    for format in ("text", "markdown"):
        out, _ = run("diff", "llama3-8b", "gemma2-9b", "qwen3-8b", "--format", format, columns=120)
        heads = next(line for line in out.splitlines() if "query heads" in line)
        assert heads.count(DIFFERS.strip()) == 1
    pair, _ = run("diff", "llama3-8b", "gemma2-9b")
    assert DIFFERS not in pair, "with two models every row differs"


def test_a_ratio_of_caches_stands_once(run: Run) -> None:
    out, _ = run("diff", "qwen3-8b", "qwen3-14b", columns=120)
    _, _, cache = out.partition("Cache (bf16)")
    cache, _, _ = cache.partition("equal")
    assert cache.count("× 1.11") == 1
    document, _ = run("diff", "gemma2-9b", "qwen3-8b", columns=120)
    _, _, cache = document.partition("Cache (bf16)")
    assert cache.count("×") + cache.count("÷") > 1, "other ratios are all told"
