"""Folded tensor names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmarch.sources.raw import TensorTable, fold, unfold


@pytest.mark.parametrize(
    ("name", "pattern", "index"),
    [
        (
            "model.layers.3.mlp.experts.7.up_proj.weight",
            "model.layers.{}.mlp.experts.{}.up_proj.weight",
            (3, 7),
        ),
        ("0.weight", "{}.weight", (0,)),
        ("wte.12", "wte.{}", (12,)),
        ("a.1.2.3", "a.{}.{}.{}", (1, 2, 3)),
        ("h1.w2_3", "h1.w2_3", ()),
        ("a.03.b", "a.03.b", ()),
        ("a.1234567890.b", "a.1234567890.b", ()),
        ("a.٣.b", "a.٣.b", ()),
        ("a{0}.3.{x}", "a{0}.{}.{x}", (3,)),
        ("a.{}.3", "a.{}.3", ()),
        ("a.3\n.b.4", "a.3\n.b.{}", (4,)),
        ("", "", ()),
    ],
)
def test_fold(name: str, pattern: str, index: tuple[int, ...]) -> None:
    assert fold(name) == (pattern, index)
    assert unfold(pattern, index) == name


PARTS = st.sampled_from(
    [
        "layers",
        "0",
        "7",
        "12",
        "03",
        "00",
        "1234567890",
        "w",
        "{}",
        "{0}",
        "",
        "a\nb",
        "\n",
        "é",
        "²",
    ]
)
NAMES = st.lists(PARTS, min_size=1, max_size=6).map(".".join) | st.text(max_size=12)


@given(NAMES)
def test_unfold_is_the_inverse(name: str) -> None:
    assert unfold(*fold(name)) == name


@given(st.lists(NAMES, max_size=12, unique=True))
def test_many_at_once_are_folded_like_one_at_a_time(names: list[str]) -> None:
    kinds = [("BF16", (len(n) % 2,)) for n in names]
    at_once, one_by_one = (
        TensorTable(),
        TensorTable.from_tensors((n, *k) for n, k in zip(names, kinds, strict=True)),
    )
    at_once.extend(names, kinds)
    assert [(g.pattern, g.dtype, g.shape, g.indices) for g in at_once] == [
        (g.pattern, g.dtype, g.shape, g.indices) for g in one_by_one
    ]
    assert sorted(unfold(g.pattern, i) for g in at_once for i in g.indices) == sorted(names)


def test_extending_twice_joins_groups() -> None:
    table = TensorTable()
    table.extend(["a.1.w", "b"], [("BF16", (2, 3)), ("F32", ())])
    table.extend(["a.2.w", "a.3.w"], [("BF16", (2, 3)), ("F32", (2, 3))])
    assert [(g.pattern, g.dtype, g.indices) for g in table] == [
        ("a.{}.w", "BF16", [(1,), (2,)]),
        ("b", "F32", [()]),
        ("a.{}.w", "F32", [(3,)]),
    ]
    assert (len(table), table.elements) == (4, 6 + 6 + 1 + 6)


@pytest.mark.parametrize(
    "names",
    [
        ["a.{}.w", "a.1.w"],
        ["a.1.w", "a.{}.w"],
        ["w2000", "w"],
        ["a..w.1", "a.1.w"],
        ["w1..x", "w.1.x"],
        ["5.x", ".x"],
    ],
)
def test_names_that_look_alike_without_their_numbers(names: list[str]) -> None:
    kinds = [("BF16", (2,))] * len(names)
    table = TensorTable()
    table.extend(names, kinds)
    assert [(g.pattern, g.indices) for g in table] == [
        (pattern, [index]) for pattern, index in map(fold, names)
    ]
