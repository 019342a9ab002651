"""Changes in words: no report prints records as JSON, and alike changes are one line."""

from __future__ import annotations

import re
from functools import cache

import pytest
from helpers.facts import one_of_each_kind, reading

from llmarch.architecture.schema import Change
from llmarch.compare.config_keys import changed_keys, common_part
from llmarch.compare.entry_diff import reported_changes
from llmarch.compare.gate import judge
from llmarch.compare.grouping import group_alike
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.policy import Policy
from llmarch.compare.report import Report, change_text
from llmarch.renderers import github, junit, markdown, sarif, text

KINDS = one_of_each_kind()
RECORD = re.compile(r"""[\[{(]\s*["'\[{(]|\bNone\b|\bTrue\b|\bFalse\b""")
"""The beginning of a record or list as JSON or Python write it, and Python's words."""


@cache
def entry(alias: str) -> Entry:
    return make_entry(reading(alias))


@pytest.mark.parametrize("old", KINDS)
def test_values_are_in_words(old: str) -> None:
    start = KINDS.index(old)
    for new in KINDS[start + 1 : start + 90 : 11]:
        for change in group_alike(reported_changes(entry(old), entry(new))):
            assert not RECORD.search(change_text(change)), change


@pytest.mark.parametrize("new", ["qwen3-next", "gemma3n-e2b", "deepseek-v4-flash", "gpt2"])
def test_no_report_has_records(new: str) -> None:
    old = make_entry(reading("gemma3-27b"))
    verdict = judge(old, make_entry(reading(new)), Policy())
    report = Report((verdict,), "behaviour")
    for format in (github.report, junit.report, markdown.report):
        assert '{"' not in format(report) and "{'" not in format(report)
    for message in sarif_messages(report):
        assert not RECORD.search(message)
    assert "{'" not in text.captured(lambda out: text.report(report, out))


def sarif_messages(report: Report) -> list[str]:
    return [result["message"]["text"] for result in sarif.report(report)["runs"][0]["results"]]


def test_of_long_lists_what_differs_is_told() -> None:
    old = [f"model.layers.{i}.mlp.gate" for i in range(60)]
    change = alike("quantization.excluded", old=old, new=[*old[1:], "lm_head"])
    assert change_text(change) == "model.layers.0.mlp.gate, and 59 more → lm_head, and 59 more"
    change = alike("quantization.excluded", old=[], new=old)
    assert change_text(change).endswith("model.layers.5.mlp.gate, and 54 more")


UNEVEN: list[list[object]] = [
    *([2, "linear"], [1, "full"], [3, "linear"], [1, "moe"], [2, "full"], [1, "linear"]),
    *([1, "full"], [4, "moe"], [1, "linear"], [3, "moe"], [1, "linear"], [5, "full"]),
]
ANOTHER: list[list[object]] = [[2, "linear"], [1, "full"], [1, "full"], [2, "linear"], *UNEVEN[3:]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (UNEVEN, ANOTHER, "layer 3: linear → full"),
        (
            UNEVEN,
            [[10, "full"], *UNEVEN[6:]],
            "layers 0-1,3-5,9: linear → full; layer 6: moe → full",
        ),
        (
            UNEVEN,
            UNEVEN[:-1],
            "25 layers: 8 × linear, 9 × full, 8 × moe → 20 layers: 8 × linear, 4 × full, 8 × moe",
        ),
        ([[36, "full"]], [[24, "full"]], "36 × full → 24 × full"),
        ([[1, "a"], [5, "b"]], [[6, "b"]], "1 × a, 5 × b → 6 × b"),
    ],
)
def test_layers_of_another_kind_are_named(
    old: list[list[object]], new: list[list[object]], words: str
) -> None:
    """By number, as tensors count them; short lists are told as they are."""
    assert change_text(alike("layers", old=old, new=new)) == words


def test_many_changes_of_layers_are_counted() -> None:
    old = [[1, f"a{i}"] for i in range(9)]
    new = [[1, f"much_longer_{i}"] for i in range(9)]
    words = change_text(alike("layers", old=old, new=new))
    assert words.startswith("layer 0: a0 → much_longer_0; ")
    assert words.endswith("layer 3: a3 → much_longer_3; and 5 other layers")


def alike(path: str, **values: object) -> Change:
    usual: dict[str, object] = {"old": 1.0, "new": 2.0, "severity": "behaviour"}
    return Change(rule="rope-theta-changed", path=path, **{**usual, **values})  # type: ignore[arg-type]


def test_alike_changes_are_one() -> None:
    paths = [f"mixers.{name}.rope.theta" for name in ("full", "sliding", "nope")]
    (one,) = group_alike(map(alike, paths))
    assert one.paths == tuple(paths)
    assert change_text(one) == "1 → 2 in 3 mixers"
    assert len(group_alike([alike(paths[0]), alike(paths[1], new=3.0)])) == 2
    (worst,) = group_alike([alike(paths[0]), alike(paths[1], severity="weights")])
    assert worst.severity == "weights" and worst.path == paths[1]


def test_the_key_that_all_changed_keys_belong_to() -> None:
    old = {"rope_scaling": None, "hidden_size": 4}
    new = {"rope_scaling": {"type": "yarn", "factor": 2.0}, "hidden_size": 4, "_name": "x"}
    assert common_part(changed_keys(old, new)) == "rope_scaling"
    assert common_part(["text_config.a", "text_config.b"]) == ""
    assert common_part(["text_config.a"]) == "text_config.a"
    assert common_part(["a", "b"]) == ""
