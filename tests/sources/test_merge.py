"""Index against shards: one finding for each pattern, and no tensor is counted twice."""

from __future__ import annotations

from typing import Any

import pytest

from llmarch.sources.index import ShardIndex
from llmarch.sources.merge import MissingFile, merge, missing_shards, names_from_index
from llmarch.sources.safetensors import Header

A, B, C = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "extra.safetensors",
)
X, Y, Z = "layers.0.x", "layers.1.x", "z"


def header(file: str, *names: str, shape: tuple[int, ...] = (2,)) -> Header:
    return Header(file, 100, 4 * len(names), list(names), [("BF16", shape)] * len(names))


def index(weight_map: dict[str, str], **metadata: Any) -> ShardIndex:
    return ShardIndex("index.json", weight_map, metadata)


@pytest.mark.parametrize(
    ("shards", "listed", "findings"),
    [
        ({A: [X, Y], B: [Z]}, {X: A, Y: A, Z: B}, []),
        ({A: [X], B: [Z]}, {X: A, Y: A, Z: B}, [("index-tensor-missing", "layers.{}.x",
         "info")]),
        ({A: [], B: [Z]}, {X: A, Y: A, Z: B}, [("index-tensor-missing", "layers.{}.x", "info")]),
        ({A: [X], B: [Y, Z]}, {X: A, Y: A, Z: B}, [("index-wrong-shard", "layers.{}.x",
         "info")]),
        ({A: [X, Y], B: [Y, Z]}, {X: A, Y: A, Z: B}, [("tensor-in-two-shards", "layers.{}.x",
         "info")]),
        ({A: [X], B: [Y, Z], C: [Y]}, {X: A, Y: A, Z: B}, [("index-wrong-shard", "layers.{}.x",
         "info"), ("tensor-in-two-shards",
         "layers.{}.x", "info")]),
        ({A: [X, Y], B: [Z]}, {X: A, Z: B}, [("index-tensor-unlisted", "layers.{}.x", "info")]),
        ({A: [X, Y, "new"], B: [Z, "new"]}, {X: A, Y: A, Z: B}, [("tensor-in-two-shards", "new",
         "info"), ("index-tensor-unlisted",
         "new", "info")]),
        ({A: [X, Y], B: [Y, Z]}, None, [("tensor-in-two-shards", "layers.{}.x", "info")]),
        ({A: [X, Y], B: [Z]}, None, []),
    ],
)  # fmt: skip
def test_disagreements(
    shards: dict[str, list[str]],
    listed: dict[str, str] | None,
    findings: list[tuple[str, str, str]],
) -> None:
    merged = merge(
        [header(f, *names) for f, names in shards.items()],
        None if listed is None else index(listed),
    )
    assert [(f.rule, f.path, f.severity) for f in merged.findings] == findings
    assert len(merged.table) == len({name for names in shards.values() for name in names})
    assert not merged.partial


def test_a_tensor_that_is_stored_twice_counts_from_the_file_that_the_index_names() -> None:
    merged = merge([header(A, Z, shape=(7,)), header(B, Z, shape=(5,))], index({Z: B}))
    assert [g.shape for g in merged.table] == [(5,)]
    assert "and 1 more" not in merged.findings[0].message


def test_findings_are_folded() -> None:
    merged = merge(
        [header(A, *(f"layers.{i}.x" for i in range(99)))],
        index({f"layers.{i}.{p}": A for i in range(99) for p in "xy"}),
    )
    assert [f.path for f in merged.findings] == ["layers.{}.y"]
    assert "layers.0.y and 98 more like it" in merged.findings[0].message


@pytest.mark.parametrize(
    ("total", "said"),
    [(8, None), (None, None), (9, "total_size is 9"), (0, "total_size is 0"), (8.0, "8.0, a float"),
     ("8", "not a number"), (True,
     "not a number"),
     ({"a": 1}, "not a number")],
)  # fmt: skip
def test_total_size(total: Any, said: str | None) -> None:
    merged = merge(
        [header(A, X, Y)], index({X: A, Y: A}, **({} if total is None else {"total_size": total}))
    )
    assert [f.rule for f in merged.findings] == ([] if said is None else ["index-total-size"])
    if said is not None:
        assert said in merged.findings[0].message
        assert (merged.findings[0].new, merged.findings[0].severity) == (8, "info")


def test_absent_files() -> None:
    gone = MissingFile("shard-unreadable", "could not be read: HTTP 503")
    merged = merge(
        [header(A, X)], index({X: A, Y: B, Z: C}, total_size=1), missing={B: gone, C: gone}
    )
    assert merged.partial
    assert [(f.rule, f.severity) for f in merged.findings] == [("shard-unreadable", "info")], (
        "it may be there"
    )
    assert (
        "extra.safetensors (and 1 more files) could not be read: HTTP 503"
        in merged.findings[0].message
    )


def test_nothing_is_said_about_what_an_absent_file_may_hold() -> None:
    merged = merge(
        [header(A, X, Z)],
        index({X: A, Y: B, Z: B}),
        missing={B: MissingFile("shard-missing", "is not there")},
    )
    assert [f.rule for f in merged.findings] == ["shard-missing"]
    assert len(merged.table) == 2


def test_two_copies_of_what_a_missing_file_lists_count_once() -> None:
    merged = merge(
        [header(A, Z), header(C, Z)],
        index({Z: B}),
        missing={B: MissingFile("shard-missing", "is missing")},
    )
    assert [f.rule for f in merged.findings] == ["shard-missing", "tensor-in-two-shards"]
    assert len(merged.table) == 1


def test_duplicates_name_the_files_that_store_the_tensor() -> None:
    merged = merge([header(A), header(B, Z), header(C, Z)], index({Z: A}))
    message = {f.rule: f.message for f in merged.findings}
    assert f"({B} and {C})" in message["tensor-in-two-shards"]
    assert f"({B} instead of {A})" in message["index-wrong-shard"]


def test_names_from_an_index() -> None:
    merged = names_from_index(index({X: A, Y: A, Z: B}))
    assert merged.partial
    assert [(g.pattern, g.dtype, g.shape, g.indices) for g in merged.table] == [
        ("layers.{}.x", "", None, [(0,), (1,)]),
        ("z", "", None, [()]),
    ]


def test_missing_shards() -> None:
    assert list(
        missing_shards(
            ["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors", "x.safetensors"]
        )
    ) == ["m-00002-of-00003.safetensors"]
    assert (
        list(missing_shards(["m-00000-of-00002.safetensors", "m-00001-of-00002.safetensors"])) == []
    )
    assert len(missing_shards(["m-1-of-99999999999999.safetensors"])) < 20_000
    assert len(missing_shards(f"m{i}-1-of-99999.safetensors" for i in range(20))) < 20_000


@pytest.mark.parametrize("total", [float("nan"), float("inf")])
def test_a_total_that_json_does_not_know_is_not_passed_on(total: float) -> None:
    (finding,) = merge([header(A, X)], index({X: A}, total_size=total)).findings
    assert (finding.rule, finding.old) == ("index-total-size", None)


def test_control_characters_are_escaped() -> None:
    merged = merge(
        [header("a\x1b.safetensors", "evil\x1b[2J\n")],
        index({"\x1b]0;x\x07": "a\x1b.safetensors"}, total_size="\x1b"),
    )
    assert merged.findings
    assert all((f.message + f.path).isprintable() for f in merged.findings)
