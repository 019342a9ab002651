"""What people read, word for word: `show` and `diff` of every kind of mixer and FFN.

A change of a text is seen here in full. If it is meant: pytest tests/golden --snapshot-update
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.program import Run
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

SHOWN = {
    "gpt2": "MHA, learned positions, LayerNorm",
    "olmo2-7b": "MHA, post-norm inside the residual",
    "llama3.1-8b": "GQA, llama3 scaling",
    "gemma-2b": "MQA",
    "gemma2-9b": "sliding windows, softcaps",
    "gemma3-27b": "5:1 sliding, image encoder",
    "mistral-7b": "sliding window on all layers",
    "smollm3-3b": "NoPE on every fourth layer",
    "phi-4-mini": "LongRoPE",
    "llama4-scout": "chunked attention, MoE, NoPE",
    "gpt-oss-20b": "sinks, biases, clamped experts",
    "mimo-v2-flash": "sinks on sliding layers, MTP",
    "step-3.5-flash": "gate by head, clamps on some layers",
    "laguna-xs.2": "softplus gate",
    "deepseek-v3": "MLA, MoE with shared expert and group limit",
    "deepseek-v3.2": "MLA with an indexer",
    "glm-5.2": "MLA with a shared index",
    "deepseek-v4-flash": "compressed attention, hash routing, hyper-connections",
    "minimax-m3": "block-sparse attention",
    "minimax-m1": "Lightning attention, scaled stream",
    "qwen3-next": "Gated DeltaNet, gated attention, shared expert with a gate",
    "kimi-linear": "KDA and MLA",
    "nemotron-3-super": "Mamba-2, experts in a latent",
    "granite-4.0-h-small": "Mamba-2, scaled blocks",
    "lfm2-1.2b": "short convolutions",
    "longcat-flash": "zero experts, shortcut",
    "gemma3n-e2b": "AltUp, Laurel, per-layer embedding, three encoders",
    "gemma4-e2b": "shared keys and values, per-layer embedding",
    "gemma4-26b": "dense and MoE in parallel",
    "qwen3-vl-8b": "image encoder with deepstack, axes of positions",
}
"""Models whose `show` is kept, and what each of them has."""

COMPARED = [
    "deepseek-v3 kimi-k2",
    "olmo2-7b llama3-8b",
    "olmo2-7b gemma3-27b",
    "gemma2-9b gemma3-27b",
    "gemma3-27b mistral-small-3.1",
    "deepseek-v3 llama4-maverick",
    "qwen3-0.6b llama3.2-1b",
    "deepseek-v3 qwen3-235b",
    "qwen3-4b smollm3-3b",
    "qwen3-next kimi-linear",
    "olmo3-7b qwen3-8b",
    "olmo3-32b qwen3-32b",
    "deepseek-r1 kimi-k2-thinking",
    "deepseek-v3 mistral-large-3",
    "minimax-m1 minimax-m2",
    "deepseek-v3 deepseek-v3.2",
    "kimi-k2.5 kimi-k2.6",
    "mimo-v2-flash gpt-oss-20b",
    "gpt2 llama3-8b",
    "deepseek-v3.2 deepseek-v4-flash",
    "gemma3n-e2b gemma4-e2b",
    "longcat-flash glm-4.5",
    "nemotron-3-nano granite-4.0-h-small",
    "minimax-m2 minimax-m3",
    "lfm2-1.2b qwen3-next",
    "step-3.5-flash laguna-xs.2",
    "deepseek-v3 deepseek-r1",
    "llama3-8b olmo2-7b gemma2-9b qwen3-8b",
]
"""Models whose `diff` is kept: the pairs of The Big LLM Architecture Comparison, and others."""


class TextFiles(SingleFileSnapshotExtension):
    """Keep each output in a text file of its own, as it is printed."""

    file_extension = "txt"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def golden(snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> SnapshotAssertion:
    """Fix the width, and return the kept outputs."""
    monkeypatch.setenv("COLUMNS", "100")
    return snapshot.use_extension(TextFiles)


@pytest.mark.parametrize("model", SHOWN)
def test_show(model: str, run: Run, golden: SnapshotAssertion) -> None:
    assert run("show", model)[0] == golden


@pytest.mark.parametrize("models", COMPARED)
def test_diff(models: str, run: Run, golden: SnapshotAssertion) -> None:
    assert run("diff", *models.split())[0] == golden


@pytest.mark.parametrize("model", ["qwen3-8b", "deepseek-v4-flash"])
def test_show_all(model: str, run: Run, golden: SnapshotAssertion) -> None:
    assert run("show", model, "--all", "--format", "markdown")[0] == golden


def test_diff_markdown(run: Run, golden: SnapshotAssertion) -> None:
    assert run("diff", "deepseek-v3", "kimi-k2", "--format", "markdown")[0] == golden


def test_diff_all(run: Run, golden: SnapshotAssertion) -> None:
    assert run("diff", "deepseek-v3", "deepseek-r1", "--all")[0] == golden


def test_every_golden_file_is_compared() -> None:
    """Each case has a file, and no file is left of a case that was removed."""
    kept = {path.name for path in (Path(__file__).parent / "__snapshots__").rglob("*.txt")}
    cases = len(SHOWN) + len(COMPARED) + 4
    assert len(kept) == cases
