"""What stays in the memory of the CPU: weights by GiB, caches, and layers by unequal parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import pytest

import llmarch
from llmarch.analyses.engines.llama_cpp import LlamaCpp, count_file_layers
from llmarch.analyses.engines.pools import EngineOptions, GPUTraits
from llmarch.analyses.planning import ModelPlanner, PlanOptions
from llmarch.errors import PlanError
from llmarch.sources.gpus import parse_gpus

GIB = 2**30
H100 = parse_gpus("H100")[1]


def options(engine: str, gpus: int = 1, **engine_options: object) -> PlanOptions:
    return PlanOptions(
        context=4096,
        engine=engine,
        gpus=gpus,
        gpu=H100,
        engine_options=EngineOptions(**engine_options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("gpus", [1, 2])
def test_offloaded_weights_are_room_for_the_cache(engine: str, gpus: int) -> None:
    planner = ModelPlanner(llmarch.load("llama3.1-8b"))
    plain = planner.plan(options(engine, gpus)).plan
    moved = planner.plan(options(engine, gpus, offload_bytes=2 * GIB)).plan
    assert plain.per_gpu.weights - moved.per_gpu.weights == 2 * GIB
    assert (moved.room or 0) - (plain.room or 0) == 2 * GIB
    assert moved.cpu_bytes == gpus * 2 * GIB and moved.has_work_on_cpu
    most = planner.plan(options(engine, gpus, offload_bytes=999 * GIB)).plan
    assert 0 < most.per_gpu.weights < plain.per_gpu.weights / 5  # embedding and head stay


@pytest.mark.parametrize("name", ["llama3.1-8b", "qwen3-next", "gemma3-27b"])
def test_a_cache_on_the_cpu_takes_nothing_of_the_gpu(name: str) -> None:
    planner = ModelPlanner(llmarch.load(name))
    plain = planner.plan(options("llama.cpp")).plan
    moved = planner.plan(options("llama.cpp", cache_on_cpu=True)).plan
    assert moved.per_gpu.cache == moved.per_gpu.state == 0
    assert moved.cpu_cache_bytes == plain.per_gpu.cache + plain.per_gpu.state
    assert moved.one_copy == plain.one_copy and moved.largest_batch is None
    assert moved.per_gpu.weights == plain.per_gpu.weights


SPLITS: list[tuple[float, ...]] = [(1,), (3, 1), (1, 1, 1), (0, 1), (2, 0, 1), (0.3, 0.7), (60, 40)]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("gpu_layers", [None, 1, 7, 20])
def test_layers_are_split_as_llama_cpp_does(split: Sequence[float], gpu_layers: int | None) -> None:
    """Its own loop: the first GPU whose cumulative part is above the layer's place."""
    a = llmarch.load("qwen3-8b").architecture
    gpus = 3
    wanted = EngineOptions(split=tuple(split), gpu_layers=gpu_layers)
    placement = LlamaCpp().placement(a, gpus, GPUTraits(), wanted)
    layers = count_file_layers(a)
    on_gpus = layers + 1 if gpu_layers is None else gpu_layers
    start = layers + 1 - on_gpus
    parts = [*split, *[0.0] * (gpus - len(split))]
    ends = [sum(parts[: i + 1]) / sum(parts) for i in range(gpus)]
    for layer in range(start, layers):
        owner = bisect_right(ends, (layer - start) / on_gpus)
        assert layer in placement.stages[owner]


def test_parts_that_cannot_be_are_refused() -> None:
    planner = ModelPlanner(llmarch.load("qwen3-8b"))
    for engine, wanted, said in (
        ("llama.cpp", {"split": (1.0, 1.0, 1.0)}, "3 GPUs, and there are 2"),
        ("vllm", {"split": (3.0, 1.0)}, "does not split"),
        ("vllm", {"cache_on_cpu": True}, "keeps no cache on the CPU"),
        ("llama.cpp", {"offload_bytes": GIB}, "keeps no weights of layers on the CPU"),
    ):
        with pytest.raises(PlanError, match=said):
            planner.plan(options(engine, 2, **wanted))


def test_blocks_that_are_asked_for() -> None:
    """vLLM makes so many blocks, whatever the room, and refuses longer contexts."""
    planner = ModelPlanner(llmarch.load("qwen3-8b"))
    plan = planner.plan(options("vllm", blocks=128)).plan
    assert plan.capacity is not None
    assert (plan.capacity.blocks, plan.capacity.tokens) == (128, 2048)
    assert not plan.fits and plan.largest_context == 127 * 16
