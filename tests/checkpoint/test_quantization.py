"""What an exclusion list of a quantization means."""

from __future__ import annotations

import pytest

from llmarch.architecture.quantization import compile_pattern
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


@pytest.mark.parametrize(
    "regex", ["(a+)+$", "(a|aa)*b", ".*.*.*.*x", r"(a)\1", "(?=a)", "[", "a" * 400]
)
def test_regular_expressions_that_could_take_long_are_left_alone(regex: str) -> None:
    assert compile_pattern(regex) is None
    assert (
        Exclusions((f"re:{regex}",)).excluded_indices(
            LogicalTensor("a" * 40, "U8", (1,), [()], "a" * 40 + "!", "x")
        )
        == []
    )
