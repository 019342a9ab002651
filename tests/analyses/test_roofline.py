"""Bounds of time: bytes by hand, every bundled model, and what options do to them."""

from __future__ import annotations

import math

import pytest

import llmarch
from llmarch.analyses.cache import list_layer_parts
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.flops import flops_per_token, prefill_flops
from llmarch.analyses.planning import PlannedModel, PlanOptions, plan_models
from llmarch.analyses.roofline import cache_bytes_read, product_type
from llmarch.analyses.weight_formats import resolve_weights
from llmarch.sources.aliases import bundled_models
from llmarch.sources.gpus import GPU, parse_gpus


def plan(ref: str, gpus: str, **options: object) -> PlannedModel:
    number, gpu = parse_gpus(gpus)
    chosen = PlanOptions(gpus=number, gpu=gpu, **options)  # type: ignore[arg-type]
    return plan_models([llmarch.inspect(ref, headers=False)], chosen)[0]


def test_a_dense_model_by_hand() -> None:
    """Llama 3.1 8B in 16 bits: all weights but the embedding, and 128 KiB a token of cache."""
    planned = plan("llama3.1-8b", "1xH100", context=8192)
    speed = planned.speed
    assert speed is not None
    weights = (8_030_261_248 - 128_256 * 4096 + 4096) * 2
    cache = 8192 * 32 * 2 * 8 * 128 * 2
    assert speed.step_bytes == weights + cache
    assert speed.decode_bound == "memory"
    assert speed.decode_tokens_per_second == pytest.approx(3350e9 / (weights + cache))
    assert speed.prefill_seconds == pytest.approx(
        prefill_flops(planned.architecture, 8192).total / 989.4e12
    )
    assert speed.experts is None and speed.experts_touched is None


@pytest.mark.parametrize("ref", sorted(bundled_models()))
def test_every_model_has_bounds_that_hold(ref: str) -> None:
    """More bandwidth, more peak or a smaller batch is never slower; a batch shares its weights."""
    context = min(llmarch.inspect(ref, headers=False).architecture.context_length or 4096, 4096)
    one, many = (plan(ref, "1xH200", context=context, batch=batch) for batch in (1, 64))
    slower = plan(ref, "1xH20", context=context)
    assert one.speed is not None and many.speed is not None and slower.speed is not None
    assert one.speed.decode_tokens_per_second >= many.speed.decode_tokens_per_second
    alone, batched = (p.speed.decode_tokens_per_second_all for p in (one, many) if p.speed)
    assert alone <= batched * 1.0001 <= 64 * alone * 1.001
    assert slower.speed.decode_tokens_per_second <= one.speed.decode_tokens_per_second
    assert math.isfinite(one.speed.prefill_seconds or math.inf)
    flops = flops_per_token(one.architecture, context).total
    assert one.speed.decode_tokens_per_second <= (one.speed.peak or 0) / flops * 1.0001
    if one.speed.experts is not None:
        assert 1 <= (one.speed.experts_touched or 0) <= (many.speed.experts_touched or 0)
        assert (many.speed.experts_touched or 0) <= one.speed.experts


def test_a_sparse_indexer_reads_its_choice_and_all_its_keys() -> None:
    a = llmarch.inspect("deepseek-v3.2", headers=False).architecture
    dense = llmarch.inspect("deepseek-v3", headers=False).architecture
    convention = Convention()
    short, long = (cache_bytes_read(a, n, list_layer_parts(a, convention)) for n in (2048, 131072))
    latents = 61 * 2048 * 576 * 2
    keys = 61 * (128 + 4)  # fp8, and a float32 scale
    assert short == latents + 2048 * keys
    assert long == latents + 131072 * keys
    assert (
        cache_bytes_read(dense, 131072, list_layer_parts(dense, convention))
        == 61 * 131072 * 576 * 2
    )


def test_latents_are_read_by_every_rank_and_divided_by_decode_context() -> None:
    whole, divided = (
        plan("deepseek-v3", "8xH200", engine="vllm", context=131072, decode_context=n)
        for n in (1, 8)
    )
    assert whole.speed is not None and divided.speed is not None
    saved = whole.speed.step_bytes - divided.speed.step_bytes
    assert saved == pytest.approx(61 * 131072 * 576 * 2 * 7 / 8, rel=1e-3)


def test_stages_follow_one_another_for_one_sequence() -> None:
    rows, stages = (
        plan("llama3.1-70b", "4xH200", context=8192, tensor=t, pipeline=p)
        for t, p in ((4, 1), (1, 4))
    )
    assert rows.speed is not None and stages.speed is not None
    ratio = rows.speed.decode_tokens_per_second / stages.speed.decode_tokens_per_second
    assert ratio == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("ref", "format", "expected"),
    [
        ("qwen3-8b", "bf16", "bf16"),
        ("qwen3-8b", "fp8", "fp8"),
        ("qwen3-8b", "int8", "int8"),
        ("qwen3-8b", "awq", "bf16"),
        ("qwen3-8b", "q4_k_m", "bf16"),
        ("qwen3-8b", "nvfp4", "fp4"),
        ("deepseek-v3", "as-stored", "fp8"),
        ("gpt-oss-120b", "as-stored", "fp4"),
        ("deepseek-v4-flash", "as-stored", "fp4"),
    ],
)
def test_products_are_computed_in_the_fastest_type(ref: str, format: str, expected: str) -> None:
    a = llmarch.inspect(ref, headers=False).architecture
    weights = resolve_weights(a, format, {"experts": 4.25, "attention": 8.0}, "test")
    assert product_type(a, weights) == expected


def test_nothing_is_said_without_a_known_bandwidth() -> None:
    planned = plan("qwen3-8b", "2x24GB", context=4096)
    assert planned.speed is None and planned.to_dict()["speed"] is None


def test_a_gpu_without_a_stated_peak_has_no_bound_of_a_prompt() -> None:
    planned = plan("qwen3-8b", "M4 Max 128GB", context=4096)
    assert planned.speed is not None
    assert planned.speed.prefill_seconds is None and planned.speed.decode_bound == "memory"


def test_several_kinds_are_planned_as_the_least_of_them() -> None:
    number, gpu = parse_gpus("2xH100+2xA100")
    kinds: list[GPU] = [parse_gpus(name)[1] for name in ("H100", "A100")]
    assert number == 4 and gpu.note
    assert gpu.memory_bytes == min(kind.memory_bytes for kind in kinds)
    assert gpu.bandwidth == 2039e9
    assert gpu.peaks == {"bf16": 312e12, "int8": 624e12}
