"""Hold SGLang's default share of a GPU and its pools to what its sources and logs say."""

from __future__ import annotations

from functools import cache as memo
from typing import Any

import pytest

import llmarch
from llmarch.analyses.cache import list_layer_parts
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import engine_of
from llmarch.analyses.engines.pools import EngineOptions, GPUTraits, ShareRequest
from llmarch.analyses.engines.sglang_share import count_prompt_sizes, largest_decoded_batch
from llmarch.architecture.schema import Architecture, Attention
from llmarch.sources.gpus import parse_gpus

MIB = 2**20
ENGINE = engine_of("sglang")


@memo
def model(name: str) -> Architecture:
    return llmarch.load(name).architecture


def gpu_of(name: str) -> GPUTraits:
    _, gpu = parse_gpus(name)
    return GPUTraits(gpu.name, gpu.memory_bytes)


def share(name: str, gpu: str, **options: Any) -> float:
    flags = EngineOptions(**options.pop("flags", {}))
    return ENGINE.share(ShareRequest(model(name), gpu_of(gpu), flags, **options))


def reserved_mib(name: str, gpu: str, **options: Any) -> float:
    """Return the MiB outside the share, to the rounding of the share to 0.001."""
    total = (gpu_of(gpu).memory_bytes or 0) / MIB
    return (1 - share(name, gpu, **options)) * total


def test_the_share_that_a_log_states() -> None:
    """Gemma 4 26B on a 32 GB card: "auto-chosen mem_fraction_static 0.718"."""
    assert round(share("gemma4-26b", "RTX5090"), 3) == 0.718


@pytest.mark.parametrize(
    ("name", "gpu", "options", "mib"),
    [
        ("qwen3-8b", "RTX4090", {}, 512 + 1.5 * 4096 + 128 + 2 * 48 + 8 * 50),
        ("qwen3-8b", "L40S", {"ranks": 4}, 512 + 1.5 * 4096 + 512 + 2 * 160 + 8 * 50),
        ("qwen3-8b", "H100", {}, 512 + 1.5 * 8192 + 128 + 2 * 256 + 8 * 58),
        ("qwen3-8b", "H100", {"ranks": 8}, 512 + 1.5 * 8192 + 1024 + 2 * 512 + 8 * 58),
        ("qwen3-8b", "H100", {"stages": 2}, 512 + 1.5 * 8192 + 256 + 2 * 256),
        ("qwen3-8b", "H100", {"eager": True}, 512 + 1.5 * 8192 + 128),
        ("qwen3-8b", "H100", {"flags": {"batched_tokens": 2048}}, 10240),
        ("qwen3-8b", "MI300X", {}, 512 + 1.5 * 16384 + 128 + 2 * 512),
        ("deepseek-v3", "H200", {"ranks": 8}, 512 + 1.5 * 8192 + 1024 + 2 * 512 + 1536),
        (
            "deepseek-v3",
            "H200",
            {"ranks": 8, "groups": 8},
            512 + 1.5 * 8192 + 1024 + 2 * 512 + 1536 + 4.5 * 512 * 8,
        ),
        ("deepseek-v3", "H200", {"ranks": 8, "has_decode_context": True}, 14848),
        ("deepseek-v4-flash", "H200", {"ranks": 8}, 14848),
        ("kimi-linear", "H100", {}, 512 + 1.5 * 8192 + 128 + 2 * 256),
    ],
)
def test_the_share_is_what_the_source_computes(
    name: str, gpu: str, options: dict[str, Any], mib: float
) -> None:
    half_a_step = 0.0005 * (gpu_of(gpu).memory_bytes or 0) / MIB
    assert reserved_mib(name, gpu, **options) == pytest.approx(mib, abs=half_a_step + 1)


def test_images_cut_the_share() -> None:
    """By the size of the encoder, unless they are off: by default, or with --language-only."""
    plain = share("qwen3-8b", "H100", eager=True)
    for name, factor in (
        ("qwen3-vl-2b", 0.95),
        ("qwen3-vl-8b", 0.9097),
        ("qwen2.5-vl-7b", 0.8471),
        ("qwen2-vl-2b", 0.76),
        ("gemma3n-e4b", 0.76),
        ("step-3.7-flash", 0.76),
        ("gemma4-e2b", 0.9975),
        ("gemma3-27b", 1),
        ("llama4-scout", 1),
    ):
        assert share(name, "H100", eager=True) / plain == pytest.approx(factor, abs=1e-3), name
        assert share(name, "H100", eager=True, text_only=True) == plain


def test_prompts_that_are_captured() -> None:
    assert [count_prompt_sizes(n) for n in (4, 2048, 4096, 8192, 16384)] == [1, 42, 50, 58, 74]


def test_a_captured_batch_is_at_most_the_running_requests() -> None:
    h100 = gpu_of("H100")
    for asked, ranks, batch in ((None, 1, 256), (None, 4, 512), (48, 8, 48), (2049, 1, 256)):
        options = EngineOptions(max_sequences=asked)
        assert largest_decoded_batch(h100, options, ranks) == batch


@pytest.mark.parametrize("name", ["gemma4-e2b", "gemma4-e4b", "gemma3n-e2b", "gemma3n-e4b"])
def test_layers_that_share_keys_and_values_have_room_of_their_own(name: str) -> None:
    """A log of Gemma 4 E4B has 79.94 GiB for 42 layers, of which 18 read another's."""
    a = model(name)
    layers = list_layer_parts(a, Convention("sglang", "bf16"))
    assert len(layers) == len(a.layers) and all(layer.parts for layer in layers)
    sharing = {
        name
        for name, mixer in a.mixers.items()
        if isinstance(mixer, Attention) and mixer.kv_from is not None
    }
    assert sharing
    for layer in list_layer_parts(a, Convention("vllm", "bf16")):
        assert bool(layer.parts) is (layer.mixer not in sharing)
