"""Match the regular expressions of repositories, which are not trusted, in bounded time.

RE2 matches in linear time, but has no look-around and no back-references. An expression with these
is matched by the package regex, which vLLM matches with too and which can stop. What takes too
long, or what this package reads otherwise than Python, is not matched, and that is said.
"""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from time import process_time
from typing import Any, Protocol

from ..architecture.frozen import Frozen, frozen

MAX_PATTERN_LENGTH = 10_000
"""Longest regular expression that is compiled."""
MAX_PATTERN_MEMORY = 8_000_000
"""Bytes that one expression of RE2 may take while it is matched."""
MAX_PATTERN_SECONDS = 3.0
"""Processor time for all expressions of a declaration; further names are not compared."""
_SECONDS_EACH = 0.05
"""Processor time for one name and one expression with look-around."""

_OTHER_SYNTAX = re.compile(r"\{[eids]|\[\[:")
"""What the package regex reads otherwise than Python: errors that are allowed, POSIX classes."""
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z]*i")
"""Python takes a second to compile `(?i)` with a class of all characters."""


class PatternRefusedError(ValueError):
    """An expression that Python does not compile, so that no engine does."""


class PatternNotComparedError(ValueError):
    """An expression that Python compiles, and that could not be matched here."""


class CompiledPattern(Protocol):
    """A compiled regular expression of RE2 or of the package regex."""

    @property
    def pattern(self) -> str:
        """The expression."""
        ...

    def match(self, text: str, /, **options: Any) -> object | None:
        """Return a match at the beginning of a text, or None."""
        ...


class PatternBudget:
    """The processor time that is left for the expressions of one declaration."""

    def __init__(self, seconds: float = MAX_PATTERN_SECONDS) -> None:
        self.seconds = seconds
        self._started = 0.0

    def __enter__(self) -> None:
        """Begin to spend. Raises PatternNotComparedError where nothing is left."""
        if self.seconds <= 0:
            raise PatternNotComparedError
        self._started = process_time()

    def __exit__(self, *_: object) -> None:
        """Count what was spent."""
        self.seconds -= process_time() - self._started


@frozen
class ModulePattern(Frozen):
    """A regular expression for names of modules."""

    compiled: CompiledPattern
    budget: PatternBudget
    is_linear: bool
    """Whether RE2 matches it."""

    @property
    def expression(self) -> str:
        """Return the expression."""
        return self.compiled.pattern

    def matches(self, name: str) -> bool:
        """Return whether the expression matches a name from its start.

        Raises PatternNotComparedError where that takes too long.
        """
        with self.budget:
            if self.is_linear:
                return self.compiled.match(name) is not None
            try:
                return self.compiled.match(name, timeout=_SECONDS_EACH) is not None
            except TimeoutError:
                raise PatternNotComparedError(self.expression) from None


def compile_pattern(expression: str, budget: PatternBudget) -> ModulePattern:
    """Compile a regular expression of a repository.

    Raises PatternRefusedError if Python does not compile it, PatternNotComparedError if it is too
    long, or cannot be matched in bounded time.
    """
    if len(expression) > MAX_PATTERN_LENGTH:
        raise PatternNotComparedError(expression)
    with budget:
        is_checked = _IGNORES_CASE.search(expression) is None
        if is_checked and not _is_regular_expression(expression):
            raise PatternRefusedError(expression)
        linear = _compile_linear(expression)
        if linear is not None:
            return ModulePattern(linear, budget, is_linear=True)
        if not is_checked or _OTHER_SYNTAX.search(expression) is not None:
            raise PatternNotComparedError(expression)
        return ModulePattern(_compile_backtracking(expression), budget, is_linear=False)


def _is_regular_expression(expression: str) -> bool:
    """Return whether Python compiles an expression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(expression)
        except (re.error, RecursionError, OverflowError):
            return False
    return True


def compile_own_pattern(expression: str, budget: PatternBudget) -> ModulePattern | None:
    """Compile an expression that llmarch wrote, of any length; None if RE2 does not."""
    linear = _compile_linear(expression)
    return None if linear is None else ModulePattern(linear, budget, is_linear=True)


def join_patterns(patterns: list[ModulePattern], budget: PatternBudget) -> list[ModulePattern]:
    """Return expressions of RE2 that match what these match: one, where it is not too large."""
    if len(patterns) < 2:
        return patterns
    either = "|".join(f"(?:{pattern.expression})" for pattern in patterns)
    one = compile_own_pattern(either, budget)
    return patterns if one is None else [one]


def _compile_linear(expression: str) -> CompiledPattern | None:
    """Compile an expression with RE2, or return None if RE2 refuses it or is not installed.

    RE2 is imported here, because few checkpoints need it and it takes 8 ms.
    """
    try:
        re2: Any = import_module("re2")
    except ImportError:
        return None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY
    try:
        return re2.compile(expression, options)
    except re2.error:
        return None


def _compile_backtracking(expression: str) -> CompiledPattern:
    """Compile an expression with the package regex; it is imported here, as it takes 10 ms.

    Raises PatternNotComparedError if that package refuses it, or is not installed.
    """
    try:
        regex: Any = import_module("regex")
    except ImportError:
        raise PatternNotComparedError(expression) from None
    try:
        return regex.compile(expression)
    except (regex.error, RecursionError, OverflowError):
        raise PatternNotComparedError(expression) from None
