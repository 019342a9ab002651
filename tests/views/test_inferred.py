"""Models that no family reads: blocks that differ only in their sizes share a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.checkpoints import safetensors, write

import llmarch
from llmarch.checkpoint.reading import Observation
from llmarch.views.inferred import MOST_VARIANTS, inferred_sheet

LAYERS = 9


def growing(up: str, down: str, fused: int, step: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A decoder with OpenELM's names, whose feed-forward blocks grow by `step` in each layer."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "transformer.token_embeddings.weight": ("BF16", (128, 64)),
        "transformer.norm.weight": ("BF16", (64,)),
    }
    for layer in range(LAYERS):
        width = 96 + step * layer
        parts = {
            "attn_norm.weight": (64,),
            "attn.qkv_proj.weight": (128, 64),
            "attn.out_proj.weight": (64, 64),
            "attn.q_norm.weight": (16,),
            "attn.k_norm.weight": (16,),
            "ffn_norm.weight": (64,),
            f"ffn.{up}.weight": (fused * width, 64),
            f"ffn.{down}.weight": (64, width),
        }
        for name, shape in parts.items():
            tensors[f"transformer.layers.{layer}.{name}"] = ("BF16", shape)
    return tensors


def lines_of(folder: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, list[str]]:
    seen = llmarch.inspect(str(write(folder, {"model.safetensors": safetensors(tensors)})))
    assert isinstance(seen, Observation)
    assert [f.rule for f in seen.findings if f.rule == "tensor-unrecognised"] == []
    return dict(inferred_sheet(seen).lines)


@pytest.mark.parametrize(
    ("up", "down", "fused", "gated"),
    [("proj_1", "proj_2", 2, "gated, "), ("fc1", "fc2", 1, ""), ("up_proj", "down_proj", 1, "")],
)
def test_blocks_that_grow_share_a_line(
    tmp_path: Path, up: str, down: str, fused: int, gated: str
) -> None:
    lines = lines_of(tmp_path, growing(up, down, fused, step=16))
    assert lines["Layers"][0] == f"{LAYERS} × attention + dense"
    assert lines["dense"] == [f"{gated}width 96 to {96 + 16 * (LAYERS - 1)}, in {LAYERS} variants"]


def test_blocks_that_are_equal_have_one_line_anyway(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, growing("proj_1", "proj_2", 2, step=0))
    assert lines["Layers"][0] == f"{LAYERS} × attention + dense"
    assert lines["dense"] == ["gated, width 96"]
    assert MOST_VARIANTS < LAYERS
