"""`list`: which models it chooses, in which order, and that each has one line."""

from __future__ import annotations

import csv
import json
import random
from typing import Any

import pytest
from helpers.facts import reading
from helpers.program import Run

from llmarch.architecture.schema import MoE
from llmarch.errors import ConditionError
from llmarch.sources.aliases import bundled_models
from llmarch.views.conditions import parse_condition
from llmarch.views.model_list import natural_key, values_named

MODEL: dict[str, Any] = {
    "heads": [32, 16], "kind": ["Attention"], "moe": [True], "window": [None], "released": ["2025"],
    "day": ["2025-04"], "context": [131072], "total": [7_000_000_000], "attention": ["gqa", "nope"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("heads == 32", True),
        ("heads == 16 and heads == 32", True),
        ("heads != 32", False),
        ("heads != 8", True),
        ("not heads == 8", True),
        ("heads > 31", True),
        ("heads > 32", False),
        ("heads >= 3.2e1", True),
        ("context = 128k", True),
        ("context >= 128000 AND total < 7.5B", True),
        ("total == 7,000,000,000", True),
        ("kind == attention", True),
        ('kind == "Attention"', True),
        ("attention == gqa and attention == nope", True),
        ("attention != gqa", False),
        ("moe", True),
        ("moe == yes", True),
        ("moe == no", False),
        ("window", False),
        ("window == none", True),
        ("window != none", False),
        ("absent == none", True),
        ("absent", False),
        ("absent != 3", True),
        ("window > 3", False),
        ("released == 2025", True),
        ("released >= 2025-04", True),
        ("day == 2025", True),
        ("day < 2025-04", False),
        ("day < 2025-05", True),
        ("heads == 1 or heads == 2 or moe", True),
        ("moe or heads == 1 and heads == 2", True),
        ("(moe or heads == 1) and heads == 2", False),
        ("not (moe and window)", True),
        ("not not moe", True),
        ("heads>8and", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(lambda name: MODEL.get(name, [])) is holds


@pytest.mark.parametrize(
    ("text", "pointed"),
    [
        ("", 0),
        ("moe and", 7),
        ("moe heads", 4),
        ("heads ==", 8),
        ("heads == == 3", 9),
        ("heads == and", 9),
        ("(moe", 4),
        ("moe)", 3),
        ("== 3", 0),
        ("and moe", 0),
        ("not", 3),
        ("heads == 'x", 9),
        ("moe ! heads", 4),
        ("(" * 60 + "moe", 50),
        ("not " * 60 + "moe", 200),
    ],
)
def test_a_fault_is_pointed_at(text: str, pointed: int) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)
    _, line, carets = caught.value.message.split("\n")
    place = carets.index("^")
    shown = line[place : place + 5].strip()
    assert shown == text[pointed : pointed + 5].strip()


def test_any_text_is_a_condition_or_an_error() -> None:
    rng = random.Random(1)
    words = ["and", "or", "not", "(", ")", "==", "<", ">=", "moe", "3", "'", '"', "x.y", "é", "\t"]
    parsed = 0
    for _ in range(3000):
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(8)))
        try:
            condition = parse_condition(text)
        except ConditionError as error:
            assert "^" in error.message
            continue
        parsed += 1
        assert condition.holds(lambda name: MODEL.get(name, [])) in (True, False)
    assert parsed > 20


def test_names_are_the_ends_of_paths() -> None:
    facts = {
        "ffns.moe.experts": 128,
        "ffns.moe.router.scoring": "sigmoid",
        "mixers.full.heads": 64,
        "mixers.sliding.heads": 64,
        "mixers.sliding.window": 512,
        "mixers.full.window": None,
        "mixers.full.qk_norm": None,
        "towers.vision.heads": 16,
        "towers.vision.patch": (14, 14),
    }
    assert values_named(facts, "moe.experts") == values_named(facts, "ffns.*.experts") == [128]
    assert values_named(facts, "HEADS") == [64]
    assert values_named(facts, "vision.heads") == [16]
    assert values_named(facts, "patch") == [14]
    assert values_named(facts, "window") == [512]
    assert values_named(facts, "qk_norm") == [None]
    assert values_named(facts, "router") == values_named(facts, "moe") == [True]
    assert values_named(facts, "xperts") == values_named(facts, "scoring.sigmoid") == []


def test_where_is_what_the_architectures_say(run: Run) -> None:
    found = run("list", "--where", "moe.experts >= 128 and attention == mla", "--names")[0].split()
    expected = []
    for alias in bundled_models():
        a = reading(alias).architecture
        many = any(isinstance(ffn, MoE) and ffn.experts >= 128 for ffn in a.ffns.values())
        if many and "mla" in bundled_models()[alias]["attention"]:
            expected.append(alias)
    assert sorted(found) == sorted(expected) and "deepseek-v3" in found


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("moe.expert > 3", ["no bundled model has a fact moe.expert", "did you mean moe.experts"]),
        ("attention == ml", ["no bundled model has attention ml", "did you mean mla"]),
        ("attention == zzz", ["Known: ", "gqa"]),
        ("attention > mla", ["is a word"]),
        ("moe.experts > many", ["moe.experts is a number"]),
        ("moe.experts == many", ["moe.experts is a number"]),
        ("released > soon", ["released is a date"]),
    ],
)
def test_a_condition_of_no_model_is_an_error(run: Run, condition: str, words: list[str]) -> None:
    _, error = run("list", "--where", condition, code=2)
    assert "^" in error
    for word in words:
        assert word in error


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_model_has_one_line(run: Run, width: int) -> None:
    """What does not fit is named below."""
    out, _ = run("list", columns=width)
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    told = " ".join(lines[len(bundled_models()) + 1 :])
    head = lines[0].split()
    for column in ("alias", "total", "active", "released", "attention", "context", "origin"):
        assert column in head or column in told
    firsts = [line.split()[0] for line in lines[1 : len(bundled_models()) + 1]]
    assert sorted(firsts) == sorted(bundled_models())


def test_order(run: Run) -> None:
    names = run("list", "--names")[0].split()
    assert names == sorted(names, key=natural_key)
    assert names.index("glm-5") < names.index("glm-5.1") < names.index("glm-5.3")
    largest = run("list", "--sort", "-total", "--names")[0].split()[0]
    assert bundled_models()[largest]["total"] == max(m["total"] for m in bundled_models().values())
    by_date = run("list", "--sort", "released", "--names")[0].split()
    assert by_date[0] == "gpt2" and bundled_models()[by_date[-1]]["released"] >= "2026"
    experts = run("list", "--sort", "-moe.experts,alias", "--names")[0].split()
    assert not bundled_models()[experts[-1]]["moe"], "models without a value come last"


def test_columns_and_formats(run: Run) -> None:
    asked = ["--columns", "alias,kv_heads,attention,rope.theta"]
    rows = list(csv.DictReader(run("list", *asked, "--format", "csv")[0].splitlines()))
    records = json.loads(run("list", *asked, "--format", "json")[0])["models"]
    assert len(rows) == len(records) == len(bundled_models())
    qwen = next(record for record in records if record["alias"] == "qwen3-8b")
    assert qwen == {
        "alias": "qwen3-8b", "kv_heads": 8, "attention": ["gqa"], "rope.theta": 1e6,
    }  # fmt: skip
    assert next(row for row in rows if row["alias"] == "qwen3-8b")["kv_heads"] == "8"
    markdown = run("list", "qwen3-8b", *asked, "--format", "markdown")[0]
    assert markdown.splitlines()[0] == r"| alias | kv\_heads | attention | rope.theta |"
    assert "did you mean" in run("list", "--columns", "alias,kv_head", code=2)[1]
    assert "no bundled model has a fact" in run("list", "--sort", "colour", code=2)[1]


def test_no_match_is_said(run: Run) -> None:
    for format in ("text", "csv", "markdown", "ndjson", "json"):
        printed, error = run("list", "no-such-model", "--format", format)
        assert "no bundled model matches" in error
        if format == "json":
            assert json.loads(printed)["models"] == []
        else:
            assert printed == ""
