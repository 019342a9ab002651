"""Figures as they are drawn, shape by shape; look at the picture before a change is kept.

A change that is meant: pytest tests/golden/test_figures.py --snapshot-update
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.facts import reading
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from llmarch.architecture import schema
from llmarch.renderers.svg import svg
from llmarch.views.figure import figure

SINGLE = {
    "gpt2": "MHA, learned positions, LayerNorm",
    "olmo2-7b": "norms after the blocks",
    "gemma3-27b": "sliding windows, an image encoder",
    "gpt-oss-20b": "sinks, biases",
    "deepseek-v3": "MLA, MoE, prediction modules",
    "deepseek-v4-flash": "hyper-connections, compressed attention",
    "minimax-m1": "Lightning attention, the stream from the norm",
    "qwen3-next": "Gated DeltaNet, gated attention",
    "nemotron-3-nano": "Mamba-2, one block a layer",
    "longcat-flash": "shortcut, zero experts",
    "gemma3n-e2b": "AltUp, per-layer embedding, reused keys and values, two encoders",
    "gemma4-26b": "dense and MoE in parallel",
    "qwen3-vl-8b": "features that enter deeper layers",
}
PAIRS = [
    "deepseek-v3 kimi-k2",
    "olmo2-7b llama3-8b",
    "olmo2-7b gemma3-27b",
    "gemma3-27b mistral-small-3.1",
    "deepseek-v3 llama4-maverick",
    "qwen3-0.6b llama3.2-1b",
    "deepseek-v3 qwen3-235b",
    "qwen3-4b smollm3-3b",
    "qwen3-next kimi-linear",
    "olmo3-7b qwen3-8b",
    "deepseek-v3 mistral-large-3",
    "minimax-m1 minimax-m2",
]
"""The pairs of The Big LLM Architecture Comparison."""
NARROW = ["olmo2-7b llama3-8b", "deepseek-v3"]
BLOCKS = {
    schema.Attention,
    schema.LatentAttention,
    schema.CompressedAttention,
    schema.LinearAttention,
    schema.Dense,
    schema.MoE,
    schema.Tower,
    schema.Conformer,
    schema.ConvTower,
}


class Pictures(SingleFileSnapshotExtension):
    """Keep each figure in a file of its own, as it is written."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Pictures)


def lines(text: str) -> str:
    """An element a line, so that a change can be read."""
    return text.replace("><", ">\n<")


@pytest.mark.parametrize("models", [*SINGLE, *PAIRS])
def test_figure(models: str, golden: SnapshotAssertion) -> None:
    drawn = svg(figure([reading(alias) for alias in models.split()]), theme="light")
    assert lines(drawn) == golden


@pytest.mark.parametrize("models", NARROW)
def test_narrow_figure(models: str, golden: SnapshotAssertion) -> None:
    described = figure([reading(alias) for alias in models.split()])
    assert lines(svg(described, theme="auto", narrow=True)) == golden


def test_every_class_of_block_is_drawn() -> None:
    found: set[type] = set()
    for alias in SINGLE:
        a = reading(alias).architecture
        blocks = (*a.mixers.values(), *a.ffns.values(), *a.towers.values())
        found |= {type(block) for block in blocks}
    assert found == BLOCKS


def test_every_golden_figure_is_compared() -> None:
    kept = {p.name for p in (Path(__file__).parent / "__snapshots__" / "test_figures").iterdir()}
    assert len(kept) == len(SINGLE) + len(PAIRS) + len(NARROW)
