"""Check that docs/conventions.md has what llmarch counts, and that published figures fit it."""

from __future__ import annotations

import re

import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.analyses.parameters import count_parameters

SPEC = {
    "DeepSeek-V3, R1": ["deepseek-v3"],
    "Kimi K2": ["kimi-k2"],
    "Qwen3-235B-A22B": ["qwen3-235b"],
    "Qwen3-30B-A3B": ["qwen3-30b-a3b"],
    "Qwen3-Next-80B-A3B": ["qwen3-next"],
    "Llama 4 Scout, Maverick": ["llama4-scout", "llama4-maverick"],
    "gpt-oss-20b": ["gpt-oss-20b"],
    "gpt-oss-120b": ["gpt-oss-120b"],
    "GLM-4.5": ["glm-4.5"],
    "MiniMax-M1": ["minimax-m1"],
    "MiniMax-M2": ["minimax-m2"],
    "Mistral Large 3": ["mistral-large-3"],
}
TABLE = (
    (ROOT / "docs" / "conventions.md")
    .read_text(encoding="utf-8")
    .partition("## Which published card")[2]
)
ROWS = {
    cells[0]: cells[1:]
    for line in TABLE.splitlines()
    if len(cells := [c.strip() for c in line.strip("|").split("|")]) == 5
}


def numbers(cell: str) -> list[float]:
    """Return the figures of a cell, without what is added to them."""
    return [float(n) for n in re.findall(r"\d+\.?\d*", cell.replace("encoder 2.50", ""))]


@pytest.mark.parametrize("name", SPEC)
def test_the_table_is_what_llmarch_counts(name: str) -> None:
    figures = [count_parameters(llmarch.load(spec).architecture) for spec in SPEC[name]]
    _, active, without_embedding, without_head = ROWS[name]
    for cell, of in (
        (active, [p.active for p in figures]),
        (without_embedding, [p.active_without_embedding for p in figures]),
        (without_head, [p.active_without_embedding_and_head for p in figures]),
    ):
        assert numbers(cell) == pytest.approx([n / 10**9 for n in of], abs=0.006)


@pytest.mark.parametrize("name", [n for n in ROWS if n not in ("model", "---")])
def test_the_published_figure_fits_a_bold_one(name: str) -> None:
    published, *ours = ROWS[name]
    extra = 2.50 if "encoder" in " ".join(ours) else 0
    bold = [n + extra for cell in ours if "**" in cell for n in numbers(cell)]
    for n in numbers(published):
        assert any(abs(n - b) / n < 0.09 for b in bold), (
            "the headline of a small model is rounded by up to 9 %"
        )
