"""What an exclusion list of a quantization means."""

from __future__ import annotations

import time

import pytest

from llmarch.architecture.quantization import compile_pattern
from llmarch.checkpoint.exclusions import expand_modules
from llmarch.checkpoint.logical import LogicalTensor
from llmarch.checkpoint.quantization import Exclusions

EXCLUDED: list[tuple[str, str, list[tuple[int, ...]], list[tuple[int, ...]]]] = [
    ("lm_head", "lm_head.weight", [()], [()]),
    ("gate", "model.layers.{}.mlp.gate.weight", [(0,), (1,)], [(0,), (1,)]),
    ("gate", "model.layers.{}.mlp.gate_proj.weight", [(0,)], []),
    ("model.layers.1.mlp.gate", "model.layers.{}.mlp.gate.weight", [(0,), (1,)], [(1,)]),
    ("model.layers.1.self_attn", "model.layers.{}.self_attn.q_proj.weight", [(0,), (1,)], [(1,)]),
    (
        "model.layers.1.mlp",
        "model.layers.{}.mlp.experts.{}.up_proj.weight",
        [(0, 3), (1, 3)],
        [(1, 3)],
    ),
    (
        "language_model.model.layers.1.self_attn*",
        "model.layers.{}.self_attn.q_proj.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    ("*.mlp.shared_expert.*", "model.layers.{}.mlp.shared_expert.up_proj.weight", [(0,)], [(0,)]),
    (
        "model.vision_tower",
        "vision_tower.transformer.layers.{}.attention.q_proj.weight",
        [(0,)],
        [(0,)],
    ),
    # An engine's names: wrappers do not matter, on either side.
    (
        "model.language_model.layers.1.self_attn",
        "language_model.model.layers.{}.self_attn.q_proj.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    ("backbone.layers.1.mixer", "backbone.layers.{}.mixer.in_proj.weight", [(0,), (1,)], [(1,)]),
    ("model.layers.1.mixer", "backbone.layers.{}.mixer.in_proj.weight", [(0,), (1,)], [(1,)]),
    ("self_attn", "model.layers.{}.self_attn.q_proj.weight", [(0,), (1,)], [(0,), (1,)]),
    (
        "layers.1.block_sparse_moe.experts.3.w1",
        "model.layers.{}.mlp.experts.{}.gate_proj.weight",
        [(1, 2), (1, 3), (3, 3)],
        [(1, 3)],
    ),
    # A glob of a part of a number.
    (
        "model.layers.1*",
        "model.layers.{}.mlp.up_proj.weight",
        [(0,), (1,), (2,), (10,), (19,), (21,)],
        [(1,), (10,), (19,)],
    ),
    (
        "transformer.h.0.attn.c_attn",
        "transformer.h.{}.attn.c_attn.weight",
        [(0,), (1,)],
        [(0,)],
    ),
    (
        "gpt_neox.layers.1.attention.query_key_value",
        "gpt_neox.layers.{}.attention.query_key_value.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    (
        "model.layers.1.block_sparse_moe.input_linear",
        "model.layers.{}.block_sparse_moe.input_linear.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    (
        r"re:.*layers\.(0|2)\..*",
        "model.layers.{}.mlp.up_proj.weight",
        [(0,), (1,), (2,), (3,)],
        [(0,), (2,)],
    ),
    (
        r"re:model\.layers\.1\..*",
        "language_model.model.layers.{}.mlp.up_proj.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    ("re:.*self_attn.*", "model.layers.{}.self_attn.q_proj.weight", [(0,), (1,)], [(0,), (1,)]),
    (
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
        "model.layers.{}.mlp.experts.{}.up_proj.weight",
        [(1, 0)],
        [],
    ),
    (
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
        "model.layers.{}.mlp.up_proj.weight",
        [(0,)],
        [(0,)],
    ),
]


@pytest.mark.parametrize(("name", "pattern", "indices", "expected"), EXCLUDED)
def test_what_exclusions_mean(
    name: str, pattern: str, indices: list[tuple[int, ...]], expected: list[tuple[int, ...]]
) -> None:
    assert (
        Exclusions((name,)).excluded_indices(
            LogicalTensor(pattern, "U8", (1,), indices, pattern, "x")
        )
        == expected
    )


@pytest.mark.parametrize("regex", [r"(a)\1", "(?=a)", "[", "a" * 2000])
def test_regular_expressions_that_cannot_be_compared_are_told(regex: str) -> None:
    assert compile_pattern(regex) is None
    exclusions = Exclusions((f"re:{regex}",))
    assert exclusions.unread == [regex] and not exclusions.is_complete
    tensor = LogicalTensor("a" * 40, "U8", (1,), [()], "a" * 40 + "!", "x")
    assert exclusions.excluded_indices(tensor) == []


@pytest.mark.parametrize("regex", ["(a+)+$", "(a|aa)*!", ".*.*.*.*x", ".?" * 60 + "!"])
def test_regular_expressions_that_backtrack_elsewhere(regex: str) -> None:
    names = tuple(f"re:{regex}{i or ''}" for i in range(90))
    tensor = LogicalTensor(
        "a" * 60 + ".{}", "U8", (1,), [(i,) for i in range(2000)], "a" * 60 + ".{}", "x"
    )
    started = time.process_time()
    assert Exclusions(names).excluded_indices(tensor) == []
    assert time.process_time() - started < 5


LISTS = {
    "names": tuple(f"model.layers.{i}.mlp.up_proj{i}" for i in range(100_000)),
    "numbers": tuple(f"model.layers.{i}.mlp.up_proj" for i in range(100_000)),
    "globs": tuple(f"model.layers.{i}.mlp*x{i}" for i in range(100_000)),
    "parts of numbers": tuple(f"model.layers.{i}*" for i in range(100_000)),
    "expressions": tuple(f"re:.*layers\\.{i}\\..*" for i in range(100_000)),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_long_list_costs_little(kind: str) -> None:
    started = time.process_time()
    exclusions = Exclusions(LISTS[kind])
    name = "model.layers.{}.mlp.up_proj.weight"
    tensor = LogicalTensor(name, "U8", (1,), [(i,) for i in range(100)], name, "x")
    exclusions.excluded_indices(tensor)
    assert time.process_time() - started < 5, "some 0.3 s"


@pytest.mark.parametrize(
    ("glob", "number", "expected"),
    [
        ("model.layers.0*", 0, True),
        ("model.layers.1*", 12, True),
        ("model.layers.1?.mlp", 12, True),
        ("model.layers.1?.mlp", 1, False),
        ("model.layers.[12]?.mlp", 12, True),
        ("model.layers.[!1]?.mlp", 12, False),
        ("model.layers.1*.attn", 12, False),
        ("model.layers.[2].mlp*", 2, True),
        ("model.layers.[2].mlp*", 12, False),
        ("model.layers.[12].mlp.up_proj", 1, True),
    ],
)
def test_globs_of_parts_of_numbers(glob: str, number: int, expected: bool) -> None:
    name = "model.layers.{}.mlp.up_proj.weight"
    tensor = LogicalTensor(name, "U8", (1,), [(number,)], name, "x")
    assert bool(Exclusions((glob,)).excluded_indices(tensor)) == expected


def test_long_lists_take_no_time() -> None:
    names = tuple(f"model.part_{i}.layers.{i}.mlp.x{i}_proj" for i in range(100_000))
    indices = [(i, j) for i in range(60) for j in range(100)]
    started = time.process_time()
    exclusions = Exclusions(names)
    for matrix in ("gate_proj", "up_proj", "down_proj"):
        pattern = f"model.layers.{{}}.mlp.experts.{{}}.{matrix}.weight"
        tensor = LogicalTensor(pattern, "U8", (1,), indices, pattern, "x")
        assert exclusions.excluded_indices(tensor) == []
    assert time.process_time() - started < 3


def test_modules_are_unfolded() -> None:
    entries = ("a.{0-2,5}.b.{0-1}.c: 8 bits", "lm_head: fp8")
    names = expand_modules(entries)
    assert names["fp8"] == ["lm_head"]
    assert len(names["8 bits"]) == 8 and names["8 bits"][-1] == "a.5.b.1.c"
    with pytest.raises(ValueError, match="stands for"):
        expand_modules(("a.{0-999999}.b: 8 bits",))
