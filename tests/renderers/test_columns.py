"""Nothing is dropped in silence: every cell is on the screen at every width, broken at words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from helpers.checkpoint_fixtures import load as load_headers
from helpers.program import Run
from hypothesis import given
from hypothesis import strategies as st

import llmarch
from llmarch.architecture.schema import Finding
from llmarch.compare.gate import judge
from llmarch.compare.lock import make_entry
from llmarch.compare.policy import Policy
from llmarch.compare.report import Report, change_text
from llmarch.renderers import text
from llmarch.renderers.columns import spans, table_lines, text_lines
from llmarch.views.documents import ABSENT, Table, marked_row

WIDTHS = (40, 60, 80, 120, 200)
SCENARIOS = "--context 8k,32k --batch 1,16 --gpus 2xH100,3xA100 --engine vllm"
COMMANDS = (
    "show qwen3-8b",
    "show gemma3n-e2b",
    "show deepseek-v4-flash",
    "show nemotron-3-nano --layers",
    "show deepseek-v3 --tensors",
    "show qwen3-0.6b --all",
    "diff deepseek-v3 mistral-large-3",
    "diff qwen3-8b llama3.1-8b gemma3n-e2b",
    "diff deepseek-v3 kimi-k2 mistral-large-3 llama4-maverick nemotron-3-super",
    "memory qwen3-8b --context 8k --gpus 2xH100",
    f"memory deepseek-v3 {SCENARIOS}",
    f"memory nemotron-3-super mistral-large-3 {SCENARIOS}",
    "memory qwen3-8b deepseek-v3 llama4-maverick --context 8k",
    "fit deepseek-v3 --gpus H100",
    "gpus",
    "rules",
)


class Screen:
    """Lines of output, in which cells are found whose lines were broken."""

    def __init__(self, output: str) -> None:
        self.lines = output.split("\n")
        self.starts: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for y, line in enumerate(self.lines):
            for word in re.finditer(r"(?<!\S)\S", line):
                self.starts[word.group()].append((y, word.start()))

    def has(self, cell: str) -> bool:
        """Return whether a line of a cell begins somewhere and goes on there, or below."""
        rest = re.sub(r"\s", "", cell)
        return not rest or any(self._from(y, x, x, rest) for y, x in self.starts[rest[0]])

    def _from(self, y: int, x: int, left: int, rest: str) -> bool:
        """Return whether the rest of a cell is read from a place; its column begins at `left`."""
        line = self.lines[y]
        while x < len(line) and rest and line[x] == rest[0]:
            x, rest = x + 1, rest[1:]
        ended = x >= len(line) or line[x] == " "
        if not rest:
            return ended or line[x] == ":"
        if not ended:
            return False
        if x + 1 < len(line) and line[x + 1] == rest[0] and self._from(y, x + 1, left, rest):
            return True
        if y + 1 == len(self.lines):
            return False
        below = self.lines[y + 1]
        first = len(below) - len(below.lstrip())
        return any(
            self._from(y + 1, start, start, rest)
            for start in {left, first}
            if start < len(below) and below[start] == rest[0]
        )


def cells_of(t: Table) -> Iterator[str]:
    """Yield each line of each cell, and the names of columns and sections."""
    rows = [marked_row(t, row) for row in t.rows]
    for row in [t.columns, list(t.sections.values()), *rows]:
        for cell in row:
            yield from cell.split("\n")


def missing(output: str, cells: set[str]) -> list[str]:
    screen = Screen(output)
    return sorted(cell for cell in cells if cell != ABSENT and not screen.has(cell))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Table]:
    """Record the tables and labelled lines that are printed, and what is split first."""
    found: list[Table] = []
    table, split, labelled = text.table, text.split, text.labelled

    def record_table(t: Table, *rest: Any) -> None:
        found.append(t)
        table(t, *rest)

    def record_split(t: Table, width: int) -> Any:
        found.append(t)
        return split(t, width)

    def record_labelled(out: Any, lines: list[tuple[str, list[str]]]) -> None:
        found.append(Table(["", ""], [[label, "\n".join(values)] for label, values in lines]))
        labelled(out, lines)

    monkeypatch.setattr(text, "table", record_table)
    monkeypatch.setattr(text, "labelled", record_labelled)
    monkeypatch.setattr(text, "split", record_split)
    return found


@pytest.fixture
def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], None], int], str]:
    def collect(show: Callable[[], None], width: int) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        show()
        return capsys.readouterr().out

    return collect


def commands_in(tables: list[Table]) -> Iterator[str]:
    """Yield the command lines among recorded labelled lines."""
    for t in tables:
        for cell in cells_of(t):
            if cell.startswith(("vllm serve ", "python -m ", "llama-server ")):
                yield cell


def fits(output: str, width: int, commands: tuple[str, ...] = ()) -> None:
    """Hold that no line is wider than the output, but of commands, which are never broken."""
    wide = [line for line in output.split("\n") if len(line) > width]
    assert [line for line in wide if not line.endswith(commands)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_cell_of_a_command_is_printed(command: str, tables: list[Table], run: Run) -> None:
    for width in WIDTHS:
        tables.clear()
        output, _ = run(*command.split(), columns=width)
        fits(output, width, tuple(commands_in(tables)))
        assert tables
        assert missing(output, {cell for t in tables for cell in cells_of(t)}) == [], width


def test_every_tensor_of_a_header_is_printed(printed: Any) -> None:
    tensors = load_headers("deepseek-v3-fp8-mtp-reduced")["tensors"]
    rows = [[name, str(shape), dtype] for name, (dtype, shape) in tensors.items()][:200]
    t = Table(["tensor", "shape", "dtype"], rows)
    for width in WIDTHS:
        output = printed(lambda: text.table(t), width)
        fits(output, width)
        assert missing(output, set(cells_of(t))) == [], width


def test_every_change_of_a_report_is_printed(printed: Any) -> None:
    finding = Finding(
        rule="fact-contradicted",
        path="model.layers.0.self_attn.q_norm.weight",
        message="[64, 128] expected, [64, 64] in the checkpoint",
    )
    old = make_entry(llmarch.load("qwen3-8b"))
    new = make_entry(replace(llmarch.load("qwen3-14b"), findings=(finding,)))
    r = Report((judge(old, new, Policy("info")),), "info")
    parts = {part for v in r.verdicts for c in v.changes for part in (c.rule, change_text(c))}
    assert len(parts) > 5
    for width in WIDTHS:
        output = printed(lambda: text.report(r), width)
        fits(output, width)
        whole = re.sub(r"\s", "", output)
        assert [part for part in parts if re.sub(r"\s", "", part) not in whole] == [], width


def test_a_cell_that_is_cut_is_missed() -> None:
    assert missing("  alias   context\n  a       128k (re", {"128k (recorded)"})
    assert (
        missing("  alias   context\n  a       128k\n          (recorded)", {"128k (recorded)"})
        == []
    )


WORDS = st.text("ab4.-_/ ·文", max_size=40)


@given(WORDS, st.integers(2, 30))
def test_text_is_broken_at_words(value: str, width: int) -> None:
    """Lines hold all but blanks; inside a word they are broken only if it is too wide."""
    parts = spans(value, width)
    assert all(text.text(line).cell_len <= width for line in text_lines(value, width))
    assert re.sub(r"\s", "", "".join(text_lines(value, width))) == re.sub(r"\s", "", value)
    for (_, end), (start, _) in pairwise(parts):
        if start > end or end == 0 or value[end - 1] in "./_- ":
            continue
        assert any(text.text(word).cell_len > width for word in value.split())


@given(st.lists(st.lists(WORDS, min_size=4, max_size=4), min_size=1, max_size=4), st.booleans())
def test_a_table_has_all_that_it_is_given(rows: list[list[str]], has_sections: bool) -> None:
    sections = {0: "A section with a title that is wide"} if has_sections else {}
    t = Table(["name", "most context", "", "tokens/s"], rows, sections)
    for width in WIDTHS:
        lines = table_lines(t, width)
        whole = "".join(part for line in lines for part, _ in line)
        shown = re.sub(r"\s", "", whole)
        for character in "ab4·文":
            wanted = sum(row[i].count(character) for row in rows for i in range(4))
            assert shown.count(character) >= wanted
        assert all(text.text("".join(s.text for s in line)).cell_len <= width for line in lines)


def test_where_words_are_broken() -> None:
    assert text_lines("Meta-Llama-3.1-8B", 14) == ["Meta-Llama-", "3.1-8B"]
    assert text_lines("model.layers.{3-60}.mlp.up_proj", 20) == [
        "model.layers.{3-60}.",
        "mlp.up_proj",
    ]
    assert text_lines("https://huggingface.co/a", 22) == ["https://huggingface.", "co/a"]
    assert text_lines("1e-6 or 1.17", 4) == ["1e-6", "or", "1.17"]
    assert text_lines(" abcde", 5) == ["abcde"]
    assert text_lines("abcdefgh", 5) == ["abcde", "fgh"]


def test_a_section_spans_its_row() -> None:
    """The title of a section makes no column wider."""
    short = Table(["", "fits"], [["a", "yes"]], {0: "A"})
    wide = replace(short, sections={0: "A title that is wider than the first column"})
    assert table_lines(short, 40)[2:] == table_lines(wide, 40)[3:]


@pytest.mark.parametrize("width", range(11, 61))
def test_a_number_stays_with_its_unit(width: int) -> None:
    """Where the two have room; nothing is lost, whatever the width."""
    line = "4k 274 MiB · 40k (max) 5.62 GiB at 3,350 GB/s, blocks 128 × 128, YaRN × 40, 36 layers"
    lines = text_lines(line, width)
    assert " ".join(lines).split() == line.split()
    for pair in ("274 MiB", "5.62 GiB", "128 × 128", "× 40", "36 layers"):
        assert any(pair in part for part in lines), (width, lines)
