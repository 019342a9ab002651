"""Exclusion patterns: what is compiled, and what could take too long to match."""

from __future__ import annotations

import pytest

from llmarch.architecture.quantization import MAX_PATTERN_LENGTH, compile_pattern


@pytest.mark.parametrize(
    "expression", [r".*self_attn.*", r"model\.layers\.\d+\.mlp", r"lm_head", r"(a|b)\.weight"]
)
def test_patterns_of_real_exclusion_lists_are_compiled(expression: str) -> None:
    assert compile_pattern(expression) is not None


@pytest.mark.parametrize(
    "expression",
    [
        r"(a*)*b",
        r"(a+)+",
        r"(a){9}",
        r"a*b*c*d*",
        r"(?=a)b",
        r"(a)\1",
        r"[",
        "a" * (MAX_PATTERN_LENGTH + 1),
    ],
)
def test_patterns_that_could_be_slow_or_wrong_are_not(expression: str) -> None:
    assert compile_pattern(expression) is None
