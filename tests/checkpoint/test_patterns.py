"""Regular expressions of repositories: what is compiled, and what matching costs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from llmarch.checkpoint.patterns import (
    MAX_PATTERN_LENGTH,
    PatternBudget,
    PatternNotComparedError,
    PatternRefusedError,
    compile_pattern,
)


@pytest.mark.parametrize(
    "expression", [r".*self_attn.*", r"model\.layers\.\d+\.mlp", r"lm_head", r"(a|b)\.weight"]
)
def test_patterns_of_real_exclusion_lists_are_compiled(expression: str) -> None:
    assert compile_pattern(expression, PatternBudget()).is_linear


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
    pattern = compile_pattern(expression, PatternBudget(60))
    assert pattern.is_linear
    started = time.process_time()
    for _ in range(1000):
        pattern.matches("a" * 300)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("expression", ["[", "*(", "(?<=a+)b", "a{1}{2}", "(" * 3000, r"\p{L}"])
def test_expressions_that_no_engine_compiles(expression: str) -> None:
    with pytest.raises(PatternRefusedError):
        compile_pattern(expression, PatternBudget())


@pytest.mark.parametrize(
    "expression", ["a" * (MAX_PATTERN_LENGTH + 1), "(?i)(?=a)[\x00-\U0010ffff]", "(?=a){e<=3}"]
)
def test_expressions_that_are_not_matched(expression: str) -> None:
    with pytest.raises(PatternNotComparedError):
        compile_pattern(expression, PatternBudget())


MATCHED = [
    ("(?=a)a", "ab", True),
    (r"(a)\1", "aab", True),
    (r"(a)\1", "ab", False),
    ("(?!.*mlp)model", "model.attn", True),
    ("(?!.*mlp)model", "model.mlp", False),
    (".*(?<=x)y", "zxy", True),
    ("(a{1000}){2}", "a" * 1999, False),
    ("b", "ab", False),
]


@pytest.mark.parametrize("missing", ["re2", "none"])
@pytest.mark.parametrize(("expression", "name", "expected"), MATCHED)
def test_look_around_is_matched(
    expression: str, name: str, expected: bool, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package regex matches it, and everything where RE2 is not installed."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert compile_pattern(expression, PatternBudget()).matches(name) == expected


def test_without_either_package_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(PatternNotComparedError):
        compile_pattern("a", PatternBudget())


def test_without_time_nothing_is_compiled_or_matched() -> None:
    with pytest.raises(PatternNotComparedError):
        compile_pattern("a", PatternBudget(0))
    budget = PatternBudget()
    pattern = compile_pattern("a", budget)
    budget.seconds = 0
    with pytest.raises(PatternNotComparedError):
        pattern.matches("a")


def test_re2_is_imported_only_for_an_expression() -> None:
    code = (
        "import sys, llmarch\n"
        "reading = llmarch.load('qwen3-8b')\n"
        "assert 're2' not in sys.modules and 'regex' not in sys.modules\n"
        "from llmarch.checkpoint.patterns import PatternBudget, compile_pattern\n"
        "compile_pattern('a', PatternBudget())\n"
        "assert 're2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
