"""Hold llama.cpp's cells and states against what it allocates (tests/oracle/llama_cpp_cache.py)."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from helpers.architectures import (
    architecture,
    gqa,
    lightning_indexer,
    mamba2,
    mla,
    recurrent,
    v4,
)
from helpers.paths import SPECS

import llmarch
from llmarch.analyses.cache import list_layer_parts
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import ENGINES, engine_of
from llmarch.analyses.engines.llama_cpp import CellPool
from llmarch.analyses.engines.pools import EngineOptions, GPUTraits, Pool, PoolRequest
from llmarch.analyses.memory import Planner, Request
from llmarch.analyses.weight_formats import Weights
from llmarch.architecture.schema import Architecture, BlockIndex, Mixer, Quantization
from llmarch.errors import ImpossiblePlan

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

FIXTURE = SPECS.parent / "tests" / "fixtures" / "llama_cpp_cache.json.gz"
MODELS: list[dict[str, Any]] = json.loads(gzip.decompress(FIXTURE.read_bytes()))["models"]
MIB = 2**20
TYPES = {"f16": "fp16", "f32": "fp32"}


def make_mixer(kind: str, *sizes: int) -> Mixer:
    """Return the mixer of a row's layer."""
    match kind, sizes:
        case "full", (kv, dim, value):
            return gqa(kv, kv, dim, value)
        case "sliding", (kv, dim, value, window):
            return gqa(kv, kv, dim, value, window=window)
        case "mla", (rank, rope):
            return mla(8, rank, rope)
        case "mla", (rank, rope, index):
            return mla(8, rank, rope, lightning_indexer(4, index))
        case "block_index", (kv, dim, value, index):
            found = BlockIndex(heads=4, head_dim=index, block=128, top_blocks=16)
            return gqa(kv, kv, dim, value, block_index=found)
        case "compressed", (dim, rope, window, ratio, index):
            return v4(ratio, dim=dim, rope=rope, window=window, index_dim=index or 128)
        case "kda", (keys, key_dim, values, value_dim, kernel):
            return recurrent("kda", (keys, key_dim), (values, value_dim), kernel)
        case "mamba", (width, state, kernel):
            return recurrent("mamba", (1, state), (1, width), kernel)
        case "rwkv7", (heads, dim):
            return recurrent("rwkv7", (heads, dim), (heads, dim), 0)
        case "lightning", (heads, dim):
            return recurrent("lightning", (heads, dim), (heads, dim), 0)
        case "mamba2", (heads, dim, groups, state, _):
            return mamba2(heads, dim, groups, state)
        case "gated_deltanet", (keys, key_dim, values, value_dim, kernel):
            return recurrent("gated_deltanet", (keys, key_dim), (values, value_dim), kernel)
        case "short_conv", (width, kernel):
            return recurrent("short_conv", (0, 0), (1, width), kernel)
        case _:
            raise AssertionError(kind)


def make_architecture(layers: list[list[Any]]) -> Architecture:
    """Return the architecture of a row; a layer with `+` has two mixers."""
    mixers: dict[str, Mixer] = {}
    names: list[str | tuple[str, ...]] = []
    for layer in layers:
        if layer == ["none"]:
            continue
        parts = [layer]
        if "+" in layer:
            cut = layer.index("+")
            parts = [layer[:cut], layer[cut + 1 :]]
        own: list[str] = []
        for part in parts:
            name = "_".join(map(str, part))
            mixers[name] = make_mixer(*part)
            own.append(name)
        names += own
    return architecture(mixers, names, hidden_size=256)


def make_pool(a: Architecture, row: dict[str, Any]) -> Pool:
    engine = engine_of("llama.cpp")
    convention = Convention("llama.cpp", TYPES.get(row["type"], row["type"]))
    options = EngineOptions(batched_tokens=row["ubatch"])
    return engine.pool(
        PoolRequest(
            architecture=a,
            convention=convention,
            layers=list_layer_parts(a, convention),
            options=options,
            batched_tokens=engine.batched_tokens(GPUTraits(), options),
            max_sequences=1,
        )
    )


def test_there_are_rows_of_every_kind() -> None:
    kinds = {layer[0] for m in MODELS for layer in m["layers"]}
    assert kinds >= {"full", "sliding", "mla", "mamba2", "gated_deltanet", "short_conv"}
    assert kinds >= {"compressed", "block_index", "kda", "mamba", "rwkv7", "lightning"}
    assert sum(len(m["rows"]) for m in MODELS) > 10_000


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m["arch"])
def test_equal_to_what_llama_cpp_allocates(model: dict[str, Any]) -> None:
    """Its log has two digits of a MiB; several caches are printed one by one."""
    a = make_architecture(model["layers"])
    for row in model["rows"]:
        pool = make_pool(a, row)
        cached = sum(float(cache["k"]) + float(cache["v"]) for cache in row["kv"])
        printed = 0.005 * 2 * len(row["kv"]) + 1e-6
        assert pool.cache_bytes(row["ctx"], row["slots"]) / MIB == pytest.approx(
            cached, abs=printed
        ), row
        state = sum(float(cache["r"]) + float(cache["s"]) for cache in row["state"])
        assert pool.state_bytes(row["ctx"], row["slots"]) / MIB == pytest.approx(
            state, abs=0.0101 * max(1, len(row["state"]))
        ), row
        cells = max((cache["cells"] for cache in row["kv"]), default=0)
        assert cells == 0 or cells == 256 * -(-row["ctx"] // 256), row


@pytest.mark.parametrize(
    ("quantization", "converted"),
    [
        (Quantization(method="fp8", format="e4m3"), 16),
        (Quantization(method="gptq", bits=4), 16),
        (Quantization(method="bitnet"), 16),
        (Quantization(method="compressed-tensors", format="pack-quantized"), 16),
        (Quantization(method="modelopt", format="fp8"), 16),
        (Quantization(method="modelopt", format="nvfp4"), 4.5),
        (Quantization(method="modelopt", format="mixed_precision"), 4.5),
        (Quantization(method="compressed-tensors", format="nvfp4-pack-quantized"), 4.5),
        (Quantization(method="fp8", format="e4m3", experts="fp4"), 4.5),
        (Quantization(method="mxfp4", format="mxfp4"), 4.5),
        (Quantization(method="gguf"), 4.5),
    ],
)
def test_what_the_converter_makes_of_a_checkpoint(
    quantization: Quantization, converted: float
) -> None:
    """Weights of 4-bit floats are kept, all others written in 16 bits."""
    stored = Weights("as-stored", {"experts": 4.5, "router": 16}, 16, "as the headers say")
    loaded = ENGINES["llama.cpp"].convert_weights(quantization, stored)
    assert loaded.bits_of("experts") == converted and loaded.bits_of("router") == 16
    assert ("converter writes it" in loaded.source) == (loaded != stored)


@pytest.mark.parametrize("method", ["awq", "bitsandbytes", "mlx", "hqq", "quanto", "aqlm"])
def test_checkpoints_that_the_converter_does_not_read_are_refused(method: str) -> None:
    stored = Weights("as-stored", {"mlp": 4.5}, 16, "as the headers say")
    with pytest.raises(ImpossiblePlan, match=f"reads no checkpoints of {method}"):
        ENGINES["llama.cpp"].convert_weights(Quantization(method=method), stored)


@pytest.mark.parametrize("name", ["qwen3.5-9b", "qwen3.6-35b-a3b", "nemotron-3-nano", "lfm2-1.2b"])
def test_a_drafted_token_keeps_a_state_more(name: str) -> None:
    """Where the model can be rolled back, and MTP modules or a head draft."""
    planner = Planner(llmarch.load(name).architecture)
    convention = Convention("llama.cpp", "fp16")

    def state_bytes(**request: Any) -> int:
        asked = Request(context=4096, **request)
        return planner.pool(asked, convention).state_bytes(4096)

    one = state_bytes()
    drafted = EngineOptions(draft_tokens=3)
    assert state_bytes(options=drafted) == one, "n-grams, or a model of its own, draft"
    rolled = planner.pool(Request(context=4096, options=drafted), convention)
    request = replace(rolled.request, rolled_back=3)
    assert CellPool(request).state_bytes(4096) == 4 * one
    other = replace(request.architecture, model_type="mamba2")
    assert CellPool(replace(request, architecture=other)).state_bytes(4096) == one
