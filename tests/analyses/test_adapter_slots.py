"""Memory that an engine sets aside for LoRA adapters."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.adapters import base_named, row_with
from helpers.program import Run

from llmarch.analyses.adapter_slots import adapter_part, check_rank
from llmarch.analyses.launch_lines import read_launch_line
from llmarch.analyses.sharding import Parallel, shard_architecture
from llmarch.errors import PlanError


@pytest.mark.parametrize("base", ["qwen2", "qwen3", "gemma3_text", "qwen3_moe"])
def test_every_matrix_is_as_large_as_peft_makes_it(base: str) -> None:
    """PEFT with all linear modules, and all experts, as targets trains so many parameters."""
    a = base_named(base).architecture
    trained = row_with(base, target_modules="all-linear", r=4)["trained"]
    part = adapter_part(a, a, a.layers, count=3, rank=4, has_embedding=False, has_head=False)
    bytes_each = {"bfloat16": 2, "float32": 4}[a.dtype or "bfloat16"]
    layers, experts, hidden, width = 3, 4, 32, 24
    joined = 2 * (hidden + 2 * width)  # PEFT: gate and up as one matrix, with twice the rank
    apart = 2 * (hidden + width)
    more = layers * experts * (joined - apart) * 4 if base == "qwen3_moe" else 0
    assert part.size == 3 * bytes_each * (trained - more)


def test_embedding_and_head_are_those_that_vllm_adapts() -> None:
    a = base_named("llama").architecture
    options: dict[str, Any] = {"count": 1, "rank": 8}
    layers = adapter_part(a, a, a.layers, has_embedding=False, has_head=False, **options)
    whole = adapter_part(a, a, a.layers, has_embedding=True, has_head=True, **options)
    width = {"bfloat16": 2, "float32": 4}[a.dtype or "bfloat16"]
    assert whole.size - layers.size == 2 * (96 + 32) * 8 * width
    other = base_named("qwen2").architecture
    parts = [
        adapter_part(other, other, other.layers, has_embedding=e, has_head=e, **options)
        for e in (False, True)
    ]
    assert parts[0] == parts[1]


def test_a_rank_of_a_divided_model_has_one_side_divided() -> None:
    a = base_named("llama").architecture
    share = shard_architecture(a, Parallel(tensor=2, gpus=2))
    options: dict[str, Any] = {"count": 1, "rank": 8, "has_embedding": False, "has_head": False}
    whole = adapter_part(a, a, a.layers, **options).size
    rank = adapter_part(a, share, a.layers, **options).size
    assert whole / 2 < rank < whole


def test_mixers_that_are_not_counted_are_named() -> None:
    a = base_named("mamba").architecture
    part = adapter_part(a, a, a.layers, count=1, rank=8, has_embedding=False, has_head=False)
    assert part.size == 0
    assert "not counted: linear_attention" in part.source


def test_the_plan_leaves_less_for_the_cache(run: Run) -> None:
    command = ("memory", "llama3-8b", "--engine", "vllm", "--gpus", "1xH100", "--context", "8k")
    (without,) = run.document(*command)["models"]
    (plan,) = run.document(*command, "--adapters", "4", "--adapter-rank", "64")["models"]
    (part,) = [p for p in plan["allowance"] if p["name"] == "adapters"]
    # 32 layers of 81,920 inputs and outputs, and embedding and head of 128,256 and 4,096
    assert part["bytes"] == 4 * 64 * 2 * (32 * 81_920 + 2 * (128_256 + 4_096))
    assert without["room_bytes"] - plan["room_bytes"] == part["bytes"]
    assert (plan["adapters"], plan["adapter_rank"]) == (4, 64)
    assert without["adapters"] == 0
    _, err = run(*command, "--adapters", "1", "--adapter-rank", "24", code=2)
    assert "vLLM admits 1, 8, 16" in err
    check_rank("transformers", 24)
    with pytest.raises(PlanError):
        check_rank("vllm", 24)


def test_a_command_line_says_how_many() -> None:
    line = "vllm serve meta-llama/Meta-Llama-3-8B"
    read = read_launch_line(f"{line} --enable-lora --max-loras 4 --max-lora-rank 64")
    assert read.options.engine_options.adapters == 4
    assert read.options.engine_options.adapter_rank == 64
    assert read.unread == ()
    read = read_launch_line(f"{line} --enable-lora")
    assert read.options.engine_options.adapters == 1
    read = read_launch_line(f"{line} --max-loras 4")
    assert read.options.engine_options.adapters == 0
