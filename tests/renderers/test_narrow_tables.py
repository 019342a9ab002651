"""Tables in narrow terminals: nothing of a cell is cut, and no line is wider than the terminal."""

from __future__ import annotations

from collections import Counter
from functools import cache
from io import StringIO

import pytest

import llmarch
from llmarch.renderers import text
from llmarch.views.comparison import compare
from llmarch.views.documents import Table

PAIRS = ["qwen3-8b qwen3-14b", "deepseek-v3 kimi-k2", "gemma3n-e2b deepseek-v4-flash"]
MATRIX = "llama3-8b gemma3-27b qwen3-next"
NUMBERS = Table(
    ["GPU", "memory", "bandwidth (GB/s)", "bf16", "fp8"],
    [["H200", "140.4 GiB", "4,800", "989", "1,979"], ["A label of many words", "80", "", "", ""]],
)


@cache
def tables() -> dict[str, Table]:
    found = {
        "numbers": NUMBERS,
    }
    for models in (*PAIRS, MATRIX):
        readings = [llmarch.load(alias) for alias in models.split()]
        found[models] = compare(readings, everything=True).table
    return found


def printed(t: Table, width: int) -> str:
    file = StringIO()
    text.table(t, text.new_console(file, width))
    return file.getvalue()


def characters(*texts: str) -> Counter[str]:
    return Counter("".join("".join(texts).split()))


@pytest.mark.parametrize("name", ["numbers", *PAIRS, MATRIX])
def test_nothing_is_cut(name: str) -> None:
    t = tables()[name]
    cells = [cell for row in t.rows for cell in row]
    for width in (30, 40, 50, 60, 80, 100, 120, 200):
        output = printed(t, width)
        missing = characters(*cells, *t.sections.values()) - characters(output)
        assert not missing, width
        assert max(map(len, output.splitlines())) <= width


@pytest.mark.parametrize("width", range(20, 60))
def test_numbers_are_not_broken(width: int) -> None:
    output = printed(NUMBERS, width)
    assert "4,800" in output and "1,979" in output
