"""Hold SGLang's default share of a GPU and its pools to what its sources and logs say."""

from __future__ import annotations

from fractions import Fraction
from functools import cache as memo
from typing import Any

import pytest

import llmarch
from llmarch.analyses.cache import list_layer_parts
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import engine_of
from llmarch.analyses.engines.pools import EngineOptions, GPUTraits, PoolRequest, ShareRequest
from llmarch.analyses.engines.sglang import TRACKED_TYPES
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


STATES = {
    "qwen3-next": 5,
    "qwen3.5-9b": 5,
    "qwen3.6-35b-a3b": 5,
    "kimi-linear": 5,
    "nemotron-3-nano": 5,
    "granite-4.0-h-small": 5,
    "lfm2-1.2b": 3,
}
"""Slots of states that a running request takes. A log of Qwen3.8: "max_running_requests is capped
to 4 by the mamba state cache (max_mamba_cache_size=24, 5 state slots per request)"."""


def states_of_the_source(
    room: int, state: int, ratio: int, checked: int, running: int | None, cached: bool
) -> tuple[int, int]:
    """Return slots and what is left, as _handle_max_mamba_cache computes them, in bytes."""
    running = running or 48
    if not cached and running != 48:
        slots = running
        left = room - state * (slots + 1) * checked
    elif checked:
        budget = Fraction(room * 9, 19)
        slots = int((budget - state * (1 + checked)) // (state * (1 + Fraction(checked, ratio))))
        left = room - state * (min(running, slots // ratio) + 1) * checked
    else:
        slots = int((Fraction(room * 9, 19) - state) // state)
        left = room
    return slots, left - (slots + 1) * state


@pytest.mark.parametrize("name", list(STATES))
@pytest.mark.parametrize("drafted", [0, 1, 3, 7])
@pytest.mark.parametrize("running", [None, 8, 300])
@pytest.mark.parametrize("cached", [True, False])
def test_slots_of_states_are_the_sources(
    name: str, drafted: int, running: int | None, cached: bool
) -> None:
    options = EngineOptions(
        draft_tokens=drafted, max_sequences=running, prefix_caching=None if cached else False
    )
    a = model(name)
    convention = Convention("sglang", "bf16")
    pool = ENGINE.pool(
        PoolRequest(a, convention, list_layer_parts(a, convention), options, 8192, running or 48)
    )
    state = pool.state_bytes(1, 0) // (1 + (drafted + 1 if drafted else 0))
    ratio = STATES[name] if cached else 1
    checked = drafted + 1 if drafted else 0
    for room in (20 * 2**30, 64 * 2**30 + 12_345):
        slots, left = states_of_the_source(room, state, ratio, checked, running, cached)
        cell = pool.cache_bytes(2**20) / 2**20
        held = pool.capacity([room], 1)
        assert held.tokens == max(0, int(left / cell))
        assert held.concurrency == min(held.tokens, slots / ratio)


def test_slots_of_a_request_are_of_known_types() -> None:
    """Every type that tracks states is one that is read."""
    assert {type.removesuffix("_text") for type in TRACKED_TYPES} == TRACKED_TYPES
    for name, slots in STATES.items():
        assert (model(name).model_type.removesuffix("_text") in TRACKED_TYPES) is (slots == 5)
