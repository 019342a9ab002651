"""Ranks hold whole blocks of quantised weights, and groups divide experts, as vLLM does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmarch import load
from llmarch.analyses.block_division import BLOCKS_OF_FORMATS, block_errors
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.memory import Planner, Request
from llmarch.analyses.planning import PlanOptions
from llmarch.analyses.sharding import Parallel, count_rank_parameters, divisibility_errors
from llmarch.analyses.weight_formats import Weights, resolve_weights
from llmarch.architecture.schema import Architecture, Attention, Quantization
from llmarch.errors import ImpossiblePlan

BITS = {"attention": 8.0, "mlp": 8.0, "experts": 8.0, "shared_experts": 8.0}
STORED = Weights("as-stored", BITS, 16, "test")


def quantised(name: str, **declared: object) -> Architecture:
    a = load(name).architecture
    return replace(a, quantization=Quantization(method="fp8", **declared))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "tensor", "expert", "refused"),
    [
        ("qwen3-235b", 4, 1, ""),
        ("qwen3-235b", 8, 1, "192 channels of an expert"),
        ("qwen3-235b", 8, 8, ""),
        ("qwen3-30b-a3b", 4, 1, "192 channels of an expert"),
        ("qwen3-30b-a3b", 4, 4, ""),
        ("glm-4.5-air", 8, 1, "176 channels of an expert"),
        ("qwen3-32b", 8, 1, ""),
        ("qwen3-14b", 8, 1, ""),
        ("deepseek-v3", 8, 1, ""),
        ("deepseek-v3", 16, 16, ""),
    ],
)
def test_blocks_of_fp8(name: str, tensor: int, expert: int, refused: str) -> None:
    """vllm: "The output_size of gate's and up's weight = 192 is not divisible by …"."""
    a = quantised(name, block=(128, 128))
    parallel = Parallel(tensor, expert, tensor)
    errors = "; ".join(block_errors(a, parallel, STORED))
    assert (refused in errors) if refused else not errors
    request = Request(context=100, parallel=parallel)
    for engine in ("vllm", "sglang"):
        if refused:
            with pytest.raises(ImpossiblePlan, match="whole blocks"):
                Planner(a).plan(request, Convention(engine, "bf16"), STORED)
        else:
            Planner(a).plan(request, Convention(engine, "bf16"), STORED)
    Planner(a).plan(request, Convention("ideal", "bf16"), STORED)
    assert not block_errors(a, parallel, resolve_weights(a, "bf16"))


@pytest.mark.parametrize("name", ["qwen3-235b", "glm-4.5-air", "qwen2.5-7b", "qwen3-32b"])
@pytest.mark.parametrize("format", ["fp8", "awq", "int4", "gptq", "mxfp4", "bf16", "q4_k_m"])
def test_a_format_that_is_asked_for_is_held_to_its_blocks(name: str, format: str) -> None:
    """What a checkpoint in the format is refused for is a warning of the plan."""
    a = load(name).architecture
    weights = resolve_weights(a, format)
    for tensor in (1, 2, 4, 8):
        parallel = Parallel(tensor, 1, tensor)
        if divisibility_errors(a, parallel):
            continue
        checkpoint = quantised(name, block=(128, 128))
        if format != "fp8":
            declared = Quantization(method="awq", group_size=BLOCKS_OF_FORMATS.get(format, 1))
            checkpoint = replace(a, quantization=declared)
        request = Request(context=100, parallel=parallel)
        for engine in ("vllm", "sglang", "ideal"):
            with_columns = ENGINES[engine].checks_columns(a)
            refused = block_errors(checkpoint, parallel, STORED, with_columns)
            plan = Planner(a).plan(request, Convention(engine, "bf16"), weights)
            said = [line for line in plan.warnings if "whole blocks" in line]
            assert bool(said) == (bool(refused) and engine != "ideal")


@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
def test_mimo_runs_in_its_own_layouts(tensor: int) -> None:
    """Its keys of 192 are no whole blocks; its recipes and logs have TP 4 and 8.

    Other models' keys are checked by SGLang alone.
    """
    parallel = Parallel(tensor, 1, tensor)
    request = Request(context=100, parallel=parallel)
    mimo = load("mimo-v2-flash").architecture
    for engine in ("vllm", "sglang"):
        Planner(mimo).plan(request, Convention(engine, "bf16"), STORED)
    narrow = replace(quantised("qwen3-8b", block=(128, 128)), model_type="other")
    mixers = {
        name: replace(mixer, kv_heads=8, head_dim=192) for name, mixer in attention_mixers(narrow)
    }
    narrow = replace(narrow, mixers=mixers)
    Planner(narrow).plan(request, Convention("vllm", "bf16"), STORED)
    if tensor == 8:
        with pytest.raises(ImpossiblePlan, match="channels of keys"):
            Planner(narrow).plan(request, Convention("sglang", "bf16"), STORED)


def attention_mixers(a: Architecture) -> list[tuple[str, Attention]]:
    return [(name, mixer) for name, mixer in a.mixers.items() if isinstance(mixer, Attention)]


def test_groups_of_awq() -> None:
    """29,568 channels over 8 ranks are no whole groups of 128 (Qwen2-72B)."""
    a = load("qwen2-72b").architecture
    a = replace(a, quantization=Quantization(method="awq", group_size=128))
    stored = Weights("as-stored", dict.fromkeys(BITS, 4.15), 16, "test")
    assert block_errors(a, Parallel(8, 1, 8), stored)
    assert not block_errors(a, Parallel(1, 1, 1), stored)


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-120b"])
def test_groups_divide_the_experts(name: str) -> None:
    """A rank of vLLM holds the same share of the experts with and without expert parallelism."""
    a = load(name).architecture
    options = PlanOptions(engine="vllm", tensor=2, data=4, gpus=8)
    alone = options.make_parallel()
    shared = replace(options, expert=8).make_parallel()
    experts = [count_rank_parameters(a, p)["experts"] for p in (alone, shared)]
    assert alone.expert_width == 8 and abs(experts[0] / experts[1] - 1) < 0.001
    own = replace(options, engine="ideal").make_parallel()
    assert count_rank_parameters(a, own)["experts"] > 3.9 * experts[0]


# model, MiB of the tables: positions x rotary dims x 2 bytes
TABLES = [
    ("llama3.1-8b", 131072 * 128 * 2),
    ("gemma3-27b", 8 * 131072 * 128 * 2 + 131072 * 128 * 2),
    ("gpt-oss-20b", 131072 * 64 * 2),
    ("qwen3.5-35b-a3b", 4 * 262144 * 64 * 2),
    ("gpt2", 0),
]


@pytest.mark.parametrize(("name", "size"), TABLES)
def test_tables_of_rope(name: str, size: int) -> None:
    """vLLM keeps cosines and sines for every position, a table for each different RoPE."""
    a = load(name).architecture
    weights = resolve_weights(a, "bf16")
    plan = Planner(a).plan(Request(context=100), Convention("vllm", "bf16"), weights)
    assert sum(part.size for part in plan.allowance if part.name == "tables") == size


def test_the_compute_buffer_of_llama_cpp() -> None:
    """It grows with the context by the mask, and with a matrix that is copied from the CPU.

    Where that is less, it is the logits of a physical batch: 304.75 MiB in logs of Qwen3 8B.
    """
    a = load("qwen3-30b-a3b").architecture
    planner, weights = Planner(a), resolve_weights(a, "bf16")

    def buffer(context: int, cpu_experts: int = 0, gpus: int = 1) -> int:
        parallel = Parallel(pipeline=gpus, gpus=gpus)
        request = Request(context, parallel=parallel, cpu_expert_layers=cpu_experts)
        return planner.plan(request, Convention("llama.cpp", "fp16"), weights).allowance[0].size

    mask = 2 * 512 * 2**20
    assert buffer(2**21) - buffer(2**20) == mask
    assert buffer(2**21, gpus=2) - buffer(2**20, gpus=2) == 4 * mask
    assert buffer(2**20, 48) - buffer(2**20) == 2 * 128 * 2048 * 768
    assert buffer(4096) == 4 * 512 * (151936 + 2048)


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("qwen3-8b", {"speculative": True}, "no MTP modules"),
        ("minimax-m2", {"speculative": True}, "layout of its MTP modules is not known"),
        ("qwen3-8b", {"cpu_expert_layers": 3}, "no experts that could stay"),
    ],
)
def test_what_a_model_does_not_have_is_refused(
    name: str, wanted: dict[str, Any], said: str
) -> None:
    a = load(name).architecture
    with pytest.raises(ImpossiblePlan, match=said):
        request = replace(Request(context=100), **wanted)
        Planner(a).plan(request, Convention("llama.cpp", "fp16"), resolve_weights(a, "bf16"))


def test_ep_without_experts_is_said() -> None:
    a = load("qwen3-8b").architecture
    request = Request(context=100, parallel=Parallel(4, 4, 4))
    plan = Planner(a).plan(request, Convention("vllm", "bf16"), resolve_weights(a, "bf16"))
    assert any("there are no experts" in remark for remark in plan.remarks)
