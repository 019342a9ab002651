"""Exclusion patterns: what is compiled, and that matching takes linear time."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from llmarch.architecture.quantization import MAX_PATTERN_LENGTH, compile_pattern


@pytest.mark.parametrize(
    "expression", [r".*self_attn.*", r"model\.layers\.\d+\.mlp", r"lm_head", r"(a|b)\.weight"]
)
def test_patterns_of_real_exclusion_lists_are_compiled(expression: str) -> None:
    assert compile_pattern(expression) is not None


HARD = [
    "(a*)*b",
    "(a+)+$",
    "(a|aa)*b",
    "a*a*a*a*a*a*b",
    ".*.*.*.*.*.*x",
    ".?" * 60 + "!",
    "(.?){60}!",
    "((a?){30}){10}!",
]


@pytest.mark.parametrize("expression", HARD)
def test_matching_takes_linear_time(expression: str) -> None:
    regex = compile_pattern(expression)
    assert regex is not None
    started = time.process_time()
    for _ in range(1000):
        regex.match("a" * 300)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "expression",
    [
        r"(?=a)b",
        r"(?!a)b",
        r"(a)\1",
        r"[",
        "(a{1000}){1000}",
        "a" * (MAX_PATTERN_LENGTH + 1),
    ],
)
def test_what_cannot_be_matched_in_linear_time_is_not_compiled(expression: str) -> None:
    assert compile_pattern(expression) is None


def test_without_re2_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert compile_pattern("a") is None


def test_re2_is_imported_only_for_an_expression() -> None:
    code = (
        "import sys, llmarch\n"
        "reading = llmarch.load('qwen3-8b')\n"
        "assert 're2' not in sys.modules\n"
        "from llmarch.architecture.quantization import compile_pattern\n"
        "compile_pattern('a')\n"
        "assert 're2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
