"""Layers on GPUs and on the CPU, as llama.cpp's `-ngl` counts them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

import pytest
from helpers.paths import SPECS

from llmarch import load
from llmarch.analyses.advice import most_gpu_layers
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.engines.llama_cpp import LlamaCpp, count_file_layers
from llmarch.analyses.engines.pools import EngineOptions, GPUTraits
from llmarch.analyses.memory import Plan, Planner, Request
from llmarch.analyses.parameters import count_parameters
from llmarch.analyses.planning import PlanOptions
from llmarch.analyses.sharding import Parallel
from llmarch.analyses.weight_formats import resolve_weights
from llmarch.architecture.schema import Architecture
from llmarch.errors import ImpossiblePlan

SPEC_FILES = {path.stem: path for path in SPECS.glob("*.json") if path.stem != "index"}
LLAMA_CPP = Convention("llama.cpp", "fp16")


def plan(planner: Planner, gpu_layers: int | None, **wanted: object) -> Plan:
    request = Request(
        context=3000, batch=2, gpu_bytes=80 * 2**30, options=EngineOptions(gpu_layers=gpu_layers)
    )
    weights = resolve_weights(planner.architecture, "bf16")
    return planner.plan(replace(request, **wanted), LLAMA_CPP, weights)


def tied_matrix_bytes(a: Architecture) -> int:
    """Return the bytes of a matrix that is embedding on the CPU and head on a GPU."""
    if not a.embedding.tied:
        return 0
    return 2 * count_parameters(a).by_component["embedding"]


@pytest.mark.parametrize("name", sorted(SPEC_FILES))
def test_every_layer_is_on_a_gpu_or_on_the_cpu(name: str) -> None:
    """With any number of layers on the GPU, both parts are the whole model."""
    a = load(str(SPEC_FILES[name])).architecture
    planner = Planner(a)
    layers = count_file_layers(a)
    whole = plan(planner, None)
    encoders = sum(count_parameters(a).by_component.get(tower, 0) for tower in a.towers)
    before = -1
    for gpu_layers in sorted({0, 1, 2, layers // 2, layers - 1, layers, layers + 1, 999}):
        p = plan(planner, gpu_layers)
        copies = tied_matrix_bytes(a) if gpu_layers else 0
        outside = p.per_gpu.weights + p.cpu_bytes - copies - p.one_copy.weights
        assert abs(outside) <= 8 * a.hidden_size, gpu_layers  # a norm of each
        cached = p.per_gpu.cache + p.per_gpu.state + p.cpu_cache_bytes
        assert cached == whole.one_copy.cache + whole.one_copy.state
        assert p.per_gpu.weights >= before
        before = p.per_gpu.weights
        on_gpu = sum(p.placement.holds(n) for n in range(len(a.layers)))
        assert on_gpu == max(0, min(gpu_layers - 1 - layers + len(a.layers), len(a.layers)))
        assert p.has_work_on_cpu == (gpu_layers < layers + 1 and on_gpu < len(a.layers))
        if gpu_layers == 0:
            assert p.per_gpu.weights <= 2 * encoders + 8 * a.hidden_size and not p.per_gpu.cache
        if gpu_layers > layers:
            assert p.per_gpu == whole.per_gpu and p.cpu_bytes == whole.cpu_bytes


@pytest.mark.parametrize("gpus", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("name", ["qwen3-8b", "gemma3-27b", "qwen3.5-27b", "deepseek-v3"])
def test_split_over_gpus(name: str, gpus: int) -> None:
    """Layers go to GPUs of equal memory as `std::upper_bound` over the splits chooses."""
    a = load(str(SPEC_FILES[name])).architecture
    layers = count_file_layers(a)
    for gpu_layers in (1, layers // 3, layers, layers + 1):
        options = EngineOptions(gpu_layers=gpu_layers)
        placement = LlamaCpp().placement(a, gpus, GPUTraits("H100"), options)
        start, placed = max(layers + 1 - gpu_layers, 0), min(gpu_layers, layers + 1)
        splits = [(i + 1) / gpus for i in range(gpus)]
        for layer in range(len(a.layers)):
            stages = [n for n, held in enumerate(placement.stages) if layer in held]
            expected: list[int] = []
            if layer >= start:
                expected = [bisect_right(splits, (layer - start) / placed)]
            assert stages == expected
        assert placement.head_stage == gpus - 1
        assert placement.embedding_stages == ()


def test_the_most_layers_that_fit() -> None:
    a = load("qwen3-30b-a3b").architecture
    planner = Planner(a)
    full = plan(planner, None, gpu_bytes=24 * 2**30)
    found = most_gpu_layers(planner, full)
    assert not full.fits and found is not None and found.gpus == 1
    assert plan(planner, found.layers, gpu_bytes=24 * 2**30).fits
    assert not plan(planner, found.layers + 1, gpu_bytes=24 * 2**30).fits
    assert most_gpu_layers(planner, plan(planner, None, gpu_bytes=2**28)) is None


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "llama.cpp"])
def test_other_engines_keep_all_layers_on_gpus(engine: str) -> None:
    planner = Planner(load("qwen3-0.6b").architecture)
    request = Request(context=100, options=EngineOptions(gpu_layers=3))
    with pytest.raises(ImpossiblePlan, match="keeps no layers on the CPU"):
        planner.plan(
            request, Convention(engine, "bf16"), resolve_weights(planner.architecture, "bf16")
        )


def test_a_cpu_holds_all() -> None:
    """Without GPUs the embedding lies with the layers, and a tied one once."""
    a = load("qwen3-0.6b").architecture
    p = plan(Planner(a), None, gpu_name="CPU 64 GiB")
    assert p.per_gpu.weights == p.one_copy.weights and not p.cpu_bytes


@pytest.mark.parametrize("engine", ["vllm", "llama.cpp"])
def test_stages_hold_the_drafters_layers(engine: str) -> None:
    """MTP modules run with the head, on the last stage, and their cache lies there."""
    a = load("glm-4.5-air").architecture
    planner, weights = Planner(a), resolve_weights(a, "bf16")
    convention = Convention(engine, "bf16")
    request = Request(context=8192, parallel=Parallel(pipeline=2, gpus=2), gpu_bytes=200 * 2**30)
    alone = planner.pool(request, convention)
    drafted = planner.pool(replace(request, speculative=True), convention)
    for stage, more in ((0, False), (1, True)):
        assert (drafted.bytes_at(8192, 1, stage) > alone.bytes_at(8192, 1, stage)) == more
    assert planner.plan(request, convention, weights).fits is not None


def test_gpus_are_a_pipeline_unless_asked_otherwise() -> None:
    """llama.cpp splits a model by layers; other engines by heads and widths."""
    for options, wanted in (
        (PlanOptions(engine="llama.cpp", gpus=4), (1, 4)),
        (PlanOptions(engine="llama.cpp", gpus=4, tensor=4), (4, 1)),
        (PlanOptions(engine="llama.cpp", gpus=4, pipeline=2), (2, 2)),
        (PlanOptions(engine="vllm", gpus=4), (4, 1)),
    ):
        parallel = options.make_parallel()
        assert (parallel.tensor, parallel.pipeline) == wanted
