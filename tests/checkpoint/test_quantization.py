"""What is bounded when lists of modules come from a repository."""

from __future__ import annotations

import time

import pytest
from helpers.quantised_checkpoints import CLEAN

from llmarch.checkpoint.exclusions import MAX_GLOBS, MAX_REGEXES, ModuleList, expand_modules
from llmarch.checkpoint.list_readers import readers_of
from llmarch.checkpoint.logical import LogicalTensor
from llmarch.checkpoint.patterns import (
    MAX_PATTERN_LENGTH,
    PatternBudget,
)
from llmarch.errors import FactError

SLOW = "(?=[am])((.{1,1000}){1,1000}){1,1000}[!?]"
"""An expression with look-ahead that matches nothing here, after trying for ages."""


def named(names: tuple[str, ...], method: str = "compressed-tensors") -> ModuleList:
    return ModuleList(names, readers_of(method))


def tensor_named(module: str, count: int = 1) -> LogicalTensor:
    indices = [(i,) for i in range(count)] if "{}" in module else [()]
    return LogicalTensor(f"{module}.weight", "U8", (1,), indices, f"{module}.weight", "x")


def test_time_is_bounded_where_matching_backtracks() -> None:
    """The first expression that takes too long ends the comparison, and is told."""
    names = tuple(f"re:{SLOW}{i}" for i in range(200))
    entries = ModuleList(names, readers_of("compressed-tensors"), PatternBudget(0.5))
    started = time.process_time()
    entries.matched_by_some(tensor_named("a" * 60 + ".{}", 2000), ["a" * 60 + ".{}"])
    assert time.process_time() - started < 2
    assert len(entries.unread) == 200 and not entries.is_complete


@pytest.mark.parametrize("regex", ["(a+)+$", "(a|aa)*!", ".*.*.*.*x", ".?" * 60 + "!"])
def test_regular_expressions_that_backtrack_elsewhere(regex: str) -> None:
    entries = named(tuple(f"re:{regex}{i or ''}" for i in range(90)))
    started = time.process_time()
    name = "a" * 60 + ".{}"
    assert entries.matched_by_some(tensor_named(name, 2000), [name]) == set()
    assert time.process_time() - started < 5
    assert entries.is_complete


LISTS = {
    "names": ("fp8", tuple(f"model.layers.{i}.mlp.up_proj{i}" for i in range(100_000))),
    "numbers": ("fp8", tuple(f"model.layers.{i}.mlp.up_proj" for i in range(100_000))),
    "parts": ("awq", tuple(f"up_proj{i}" for i in range(100_000))),
    "globs": ("modelopt", tuple(f"model.layers.{i}.mlp*x{i}" for i in range(100_000))),
    "parts of numbers": ("modelopt", tuple(f"model.layers.{i}*" for i in range(100_000))),
    "marked": ("compressed-tensors", tuple(f"re:.*layers\\.{i}\\..*" for i in range(100_000))),
    "look-ahead": ("compressed-tensors", tuple(f"re:(?!x{i})y" for i in range(10_000))),
    "unmarked": ("fp8", tuple(f".*layers\\.{i}\\..*" for i in range(100_000))),
    "refused": ("fp8", tuple(f"*.{i}.(" for i in range(20_000))),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_long_list_costs_little(kind: str) -> None:
    method, names = LISTS[kind]
    started = time.process_time()
    entries = ModuleList(names, readers_of(method), PatternBudget(0.5))
    module = "model.layers.{}.mlp.up_proj"
    entries.matched_by_some(tensor_named(module, 100), [module])
    assert time.process_time() - started < 5, "some 0.3 to 1.5 s"


def test_long_lists_take_no_time() -> None:
    names = tuple(f"model.part_{i}.layers.{i}.mlp.x{i}_proj" for i in range(100_000))
    indices = [(i, j) for i in range(60) for j in range(100)]
    started = time.process_time()
    entries = named(names, "fp8")
    for matrix in ("gate_proj", "up_proj", "down_proj"):
        module = f"model.layers.{{}}.mlp.experts.{{}}.{matrix}"
        tensor = LogicalTensor(f"{module}.weight", "U8", (1,), indices, module, "x")
        assert entries.matched_by_some(tensor, [module]) == set()
    assert time.process_time() - started < 3


TOO_MUCH: dict[str, tuple[str, list[str]]] = {
    "too many expressions": ("ct-fp8-dynamic", [f"re:x{i}y" for i in range(MAX_REGEXES + 1)]),
    "too many globs": ("modelopt-nvfp4", [f"x{i}y*" for i in range(MAX_GLOBS + 1)]),
    "too costly": ("ct-fp8-dynamic", [f"re:{SLOW}"]),
    "too long": ("ct-fp8-dynamic", ["re:" + "x" * (MAX_PATTERN_LENGTH + 1)]),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_is_not_compared_is_not_verified(what: str) -> None:
    """Neither a sound checkpoint nor one with a plain module is verified, so that none passes."""
    style, entries = TOO_MUCH[what]
    sound = CLEAN[style]().declaring("ignore", [*entries, "lm_head"])
    name = "model.layers.0.mlp.up_proj"
    kept = {n: t for n, t in sound.tensors.items() if not n.startswith(f"{name}.")}
    plain = CLEAN["bitnet-plain"]().tensors[f"{name}.weight"]
    for checkpoint in (sound, sound.with_tensors({**kept, f"{name}.weight": plain})):
        result = checkpoint.verified()
        assert result.status == "partial"
        assert any(f.rule == "pattern-not-compared" for f in result.findings)


@pytest.mark.parametrize("expression", ["re:(?!x)nothing", "re:*(", "re:["])
def test_an_expression_hides_no_plain_module(expression: str) -> None:
    """Look-around is matched; what no engine compiles is a conflict by itself."""
    sound = CLEAN["ct-fp8-dynamic"]().declaring("ignore", [expression, "lm_head"])
    name = "model.layers.0.mlp.up_proj.weight"
    kept = {n: t for n, t in sound.tensors.items() if n != f"{name}_scale"}
    damaged = sound.with_tensors({**kept, name: ("BF16", kept[name][1])})
    assert damaged.verified().status == "conflict"
    is_expression = expression == "re:(?!x)nothing"
    assert sound.verified().status == ("verified" if is_expression else "conflict")


def test_modules_are_unfolded() -> None:
    entries = ("a.{0-2,5}.b.{0-1}.c: 8 bits", "lm_head: fp8")
    names = expand_modules(entries)
    assert names["fp8"] == ["lm_head"]
    assert len(names["8 bits"]) == 8 and names["8 bits"][-1] == "a.5.b.1.c"
    with pytest.raises(FactError, match="stands for"):
        expand_modules(("a.{0-999999}.b: 8 bits",))
