"""Check what ranks hold, what fits, and how many bits weights take.

RANKS were worked out from the engines' code, never from llmarch's own output.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache as memo
from pathlib import Path

import pytest
from helpers.architectures import FLAGSHIPS, architecture, gqa, mamba2, mla, recurrent
from helpers.paths import SPECS
from hypothesis import given
from hypothesis import strategies as st

import llmarch
from llmarch.analyses.cache import compute_cache
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.memory import Plan, Request, make_plan
from llmarch.analyses.parameters import count_parameters
from llmarch.analyses.planning import resolve_requested_weights
from llmarch.analyses.sharding import (
    Parallel,
    check_tensor_degrees,
    count_rank_parameters,
    divisibility_errors,
    division_remarks,
    shard_architecture,
    stage_ranges,
)
from llmarch.analyses.weight_formats import (
    FORMAT_BITS,
    WEIGHT_FORMATS,
    Weights,
    declared_bits,
    resolve_weights,
)
from llmarch.architecture.schema import Architecture, Quantization
from llmarch.checkpoint.declared_bits import bits_as_declared
from llmarch.errors import ImpossiblePlan

SPEC_FILES = {p.stem: p for p in SPECS.glob("*.json")}
GIB = 2**30


@memo
def stored(name: str) -> Weights:
    """Return how a bundled model's config says that its weights are stored."""
    return resolve_requested_weights(llmarch.load(name), None)


@memo
def model(name: str) -> Architecture:
    return (
        llmarch.load(str(SPEC_FILES[name])).architecture if name in SPEC_FILES else FLAGSHIPS[name]
    )


# bytes of one rank: growing, all layers, fixed part
RANKS = [
    ("llama3-8b", 8, 16384, 16384, 0),
    ("llama3-8b", 16, 16384, 16384, 0),
    ("deepseek-v3", 8, 70272, 70272, 0),
    ("mimo-v2-flash", 8, 5760, 30720, 3219840),
    ("gemma4-26b", 4, 10240, 10240 + 25 * 2048, 52428800),
    ("qwen3-next", 4, 12288, 12288, 19316736),
    ("qwen3.5-397b", 8, 15360, 15360, 24007680),
    ("kimi-linear", 8, 8064, 8064, 5427200),
    ("minimax-m1", 8, 5120, 5120, 18350080),
    ("nemotron-3-nano", 8, 3072, 3072, 6135296),
    ("deepseek-v4-flash", 8, 6229, 6229 + 43 * 1024, 5636096 + 21 * (65536 + 16384) + 20 * 524288),
    ("glm-5", 8, 100152, 100152, 0),
    ("minimax-m3", 4, 30720 + 14592, 30720 + 14592, 0),
]


@pytest.mark.parametrize(("name", "n", "growing", "all_layers", "fixed"), RANKS)
def test_what_a_rank_holds(name: str, n: int, growing: int, all_layers: int, fixed: int) -> None:
    c = compute_cache(shard_architecture(model(name), Parallel(n, 1, n)))
    assert (
        c.growing_bytes_per_token,
        c.all_layers_bytes_per_token,
        c.window_bytes + c.state_bytes,
    ) == (growing, all_layers, fixed)


def test_a_rank_in_vllms_dtypes() -> None:
    c = compute_cache(
        shard_architecture(model("qwen3-next"), Parallel(4, 1, 4)),
        Convention("vllm"),
    )
    assert c.state_bytes == 9879552


def test_one_state_group_is_on_every_rank() -> None:
    """Keep 7,680 bytes of convolution, not 6,336.

    The layer is Mamba-2 of d_inner 8,192, one group, state 128, kernel 4 on 8 ranks.
    """
    a = architecture({"m": mamba2(128, 64, 1, 128)}, ["m"])
    share = shard_architecture(a, Parallel(8, 1, 8))
    (group,) = compute_cache(share).groups
    assert sum(p.largest_bytes for p in group.parts_with("conv")) == 7680
    assert "1 state group on every rank" in division_remarks(a, Parallel(8, 1, 8))


def test_token_shifts_are_on_every_rank() -> None:
    a = architecture({"m": recurrent("rwkv7", (32, 64), (32, 64), None)}, ["m"], hidden_size=2048)
    assert (
        compute_cache(shard_architecture(a, Parallel(8, 1, 8))).state_bytes
        == 2 * 2048 * 2 + 4 * 64 * 64 * 4
    )


@pytest.mark.parametrize(
    ("a", "n", "why"),
    [
        (architecture({"m": gqa(25, 25, 64)}, ["m"]), 8, "25 query heads"),
        (architecture({"m": gqa(24, 6, 64)}, ["m"]), 4, "6 KV heads"),
        (architecture({"m": mla(20)}, ["m"]), 8, "20 query heads"),
        (
            architecture({"m": recurrent("gated_deltanet", (4, 64), (32, 64))}, ["m"]),
            8,
            "4 recurrent key heads",
        ),
        (architecture({"m": mamba2(64, 64, 6, 128)}, ["m"]), 4, "6 state groups"),
        (architecture({"m": recurrent("mamba", (1, 16), (1, 4100))}, ["m"]), 8, "4,100 channels"),
    ],
)
def test_degrees_that_do_not_divide_are_named(a: Architecture, n: int, why: str) -> None:
    assert any(why in reason for reason in divisibility_errors(a, Parallel(n, 1, n)))
    assert check_tensor_degrees(a)[1] == [] and check_tensor_degrees(a)[n]
    with pytest.raises(ImpossiblePlan, match=why):
        make_plan(
            a, Request(100, parallel=Parallel(n, 1, n)), Convention(), resolve_weights(a, "bf16")
        )


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("engine", list(ENGINES))
def test_the_room_is_the_share_that_the_engine_means(engine: str, share: float) -> None:
    """Of a GPU without weights and allowance, for TensorRT-LLM of what these leave free."""
    a, weights = model("qwen3-8b"), resolve_weights(model("qwen3-8b"), "bf16")
    request = Request(8192, gpu_bytes=80 * 2**30, gpu_name="H100", utilization=share)
    plan = make_plan(a, request, Convention(engine), weights)
    assert plan.room is not None and plan.budget is not None
    taken = plan.per_gpu.weights + plan.reserved
    if engine == "trtllm":
        assert plan.room == int(share * (80 * 2**30 - taken)) > 0
    else:
        assert plan.room == int(share * 80 * 2**30) - taken
    assert plan.room == plan.budget - taken


def test_what_is_not_divided_is_named() -> None:
    assert division_remarks(model("qwen3-235b"), Parallel(8, 1, 8)) == [
        "4 KV heads: each on 2 ranks"
    ]
    assert division_remarks(model("qwen3-235b"), Parallel(4, 1, 4)) == []
    assert division_remarks(model("deepseek-v3"), Parallel(8, 1, 8)) == ["MLA latent on every rank"]
    assert "EP 6 does not divide 256 experts: some ranks hold 43" in division_remarks(
        model("deepseek-v3"), Parallel(1, 6, 6)
    )


@pytest.mark.parametrize("name", ["deepseek-v3", "deepseek-v3.2", "kimi-k2", "mistral-large-3"])
@pytest.mark.parametrize("degree", [1, 2, 4, 8])
def test_remarks_say_on_how_many_ranks_a_latent_is(name: str, degree: int) -> None:
    """The bytes of a rank, times the ranks, are as many copies as the remark says."""
    a = model(name)
    convention, weights = Convention("ideal", "bf16"), resolve_weights(a, "bf16")
    for tensor in (degree, 2 * degree):
        parallel = Parallel(tensor, 1, tensor, decode_context=degree)
        if divisibility_errors(a, parallel):
            continue
        plan = make_plan(a, Request(4096, parallel=parallel), convention, weights)
        copies = plan.per_gpu.cache * tensor // plan.one_copy.cache
        said = [remark for remark in plan.remarks if remark.startswith("MLA latent")]
        if copies == 1:
            assert not said
        elif degree == 1:
            assert [remark.endswith("on every rank") for remark in said] == [True]
        else:
            assert [remark.endswith(f"each token on {copies} ranks") for remark in said] == [True]


def test_what_tensor_parallelism_divides_of_the_weights() -> None:
    """DeepSeek-V3 over 8: everything but down-projections, norms and routers by 8."""
    a, p = model("deepseek-v3"), Parallel(8, 1, 8)
    whole, share = count_parameters(a).by_component, count_rank_parameters(a, p)
    for component in ("embedding", "head", "mlp", "experts", "shared_experts"):
        assert share[component] * 8 == whole[component]
    assert (share["router"], share["norms"]) == (whole["router"], whole["norms"])
    down = 61 * (7168 * 1536 + 1536 + 7168 * 576 + 512)
    assert (share["attention"] - down) * 8 == whole["attention"] - down


@pytest.mark.parametrize(
    ("p", "experts"),
    [
        (Parallel(8, 8, 8), 8),
        (Parallel(1, 8, 8), 8),
        (Parallel(8, 4, 8), 8),
        (Parallel(2, 16, 16), 16),
    ],
)
def test_expert_parallelism_divides_experts(p: Parallel, experts: int) -> None:
    a = model("deepseek-v3")
    assert (
        count_rank_parameters(a, p)["experts"] * experts
        == count_parameters(a).by_component["experts"]
    )


def test_degrees_must_agree_with_each_other() -> None:
    a = model("deepseek-v3")
    assert divisibility_errors(a, Parallel(8, 8, 12)) and divisibility_errors(
        a, Parallel(8, 12, 24)
    )
    assert not divisibility_errors(a, Parallel(8, 16, 16))


@pytest.mark.parametrize(
    "name",
    [
        "qwen3-235b",
        "gemma3-27b",
        "kimi-linear",
        "deepseek-v3.2",
        "minimax-m1",
        "llama4-scout",
        "gpt-oss-20b",
    ],
)
@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_rank_holds_a_share(name: str, n: int) -> None:
    """Between a whole nth and the whole, cache and weights."""
    a, p = model(name), Parallel(n, 1, n)
    if divisibility_errors(a, p):
        return
    for t in (1, 1000, 100_000):
        assert (
            compute_cache(a).bytes_at(t) / n
            <= compute_cache(shard_architecture(a, p)).bytes_at(t)
            <= compute_cache(a).bytes_at(t)
        )
    assert (
        count_parameters(a).total / n
        <= sum(count_rank_parameters(a, p).values())
        < count_parameters(a).total
    )


# --- weights ------------------------------------------------------------------------------------


def test_weight_formats() -> None:
    a = model("qwen3-235b")
    p = count_parameters(a)
    matrices = sum(p.by_component[c] for c in ("attention", "experts"))
    assert resolve_weights(a, "bf16").bytes_of(p.by_component) == 2 * p.total
    assert resolve_weights(a, "fp8").bytes_of(p.by_component) == pytest.approx(
        matrices * (1 + 4 / 16384) + 2 * (p.total - matrices), abs=8
    )
    assert resolve_weights(a, "int4").bytes_of(p.by_component) == pytest.approx(
        matrices * (4.125 / 8) + 2 * (p.total - matrices), abs=8
    )
    assert resolve_weights(a, "as-stored").bytes_of(p.by_component) == 2 * p.total


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        (
            "gpt-oss-120b",
            60.77,
        ),  # the card: a single 80 GB GPU; the repository's safetensors take 65.25 GB
        ("gpt-oss-20b", 12.82),  # 13.76 GB on the Hub
        ("deepseek-v3", 626.8),
    ],
)
def test_as_the_config_declares(name: str, gib: float) -> None:
    a, weights = model(name), stored(name)
    size = weights.bytes_of(count_parameters(a).by_component) / GIB
    assert size == pytest.approx(gib, rel=0.005)


def quantised(name: str) -> set[str]:
    """Return the components that a model's config stores in fewer than 16 bits."""
    return {component for component, bits in stored(name).bits.items() if bits < 16}


def test_exclusions() -> None:
    assert quantised("kimi-k2-thinking") == {"experts"}
    assert stored("kimi-k2-thinking").bits["experts"] == 4.5
    assert quantised("gpt-oss-20b") == {"experts"}
    assert quantised("deepseek-v3") == {"attention", "mlp", "experts", "shared_experts"}
    reading = llmarch.load("qwen3-8b")
    hostile = Quantization(method="x", bits=4.0, excluded=("re:(a+)+$", "re:(", "re:.*.*.*.*.*x"))
    bits = bits_as_declared(reading.rows, hostile, "bfloat16")
    assert bits is not None and bits["mlp"] == 4.0 and bits["attention"] < 4.01


@pytest.mark.parametrize(("version", "bits"), [("5.23.0", 16.0), ("4.51.0", 4.5)])
def test_experts_that_bitsandbytes_leaves_plain(tmp_path: Path, version: str, bits: float) -> None:
    """transformers 5 has one parameter for all experts, transformers 4 linear modules."""
    config = json.loads((SPECS / "qwen3-30b-a3b.json").read_text())["config"]
    declared = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    changed = {**config, "transformers_version": version, "quantization_config": declared}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(changed))
    found = llmarch.inspect(str(file)).declared_bits()
    assert found is not None and found["experts"] == bits
    assert found["attention"] == pytest.approx(4.5, abs=0.001)


def test_modules_with_a_format_of_their_own() -> None:
    """ModelOpt's mixed precision, by module and layer."""
    rows = llmarch.load("qwen3-8b").rows
    gate = "model.layers.{0-17}.mlp.down_proj"
    for words, bits in (("8 bits", 8.0), ("fp8", FORMAT_BITS["fp8"]), ("w4a16_nvfp4", 4.5)):
        half = Quantization(
            method="modelopt", format="mixed_precision", modules=(f"{gate}: {words}",)
        )
        mean = bits_as_declared(rows, half, "bfloat16")
        assert mean is not None and mean["mlp"] == pytest.approx(16 + (bits - 16) / 6)
        assert mean["attention"] == 16


# loaded by engines, GiB a GPU, as their logs say
LOADED = [
    ("gpt-oss-120b", Parallel(), 65.97),
    ("gpt-oss-20b", Parallel(), 13.72),
    ("qwen3-next", Parallel(2, 1, 2), 74.28),
    ("deepseek-r1", Parallel(8, 1, 8), 79.41),
    ("llama3.1-70b", Parallel(1, 1, 4, 4), 33.86),
]


@pytest.mark.parametrize(("name", "parallel", "gib"), LOADED)
def test_weights_as_loaded(name: str, parallel: Parallel, gib: float) -> None:
    """MXFP4 kernels pad 2,880 channels; a stage holds its layers and an embedding or head."""
    p = make_plan(model(name), Request(1, parallel=parallel), Convention("vllm"), stored(name))
    assert p.per_gpu.weights / GIB == pytest.approx(gib, rel=0.005)


def test_stages_hold_all_layers_once() -> None:
    for layers, stages in ((80, 4), (62, 4), (61, 8), (7, 7)):
        ranges = stage_ranges(layers, stages)
        assert [n for part in ranges for n in part] == list(range(layers))
    assert [len(r) for r in stage_ranges(62, 4)] == [15, 16, 16, 15]
    a = model("llama3.1-70b")
    counted = [count_rank_parameters(a, Parallel(1, 1, 4, 4), n) for n in range(4)]
    assert sum(sum(c.values()) for c in counted) == count_parameters(a).total + 3 * 8192


def test_mtp_modules_and_encoders_are_loaded_where_asked() -> None:
    a, weights = model("deepseek-v3"), resolve_weights(model("deepseek-v3"), "bf16")
    plain = make_plan(a, Request(100), Convention(), weights)
    drafting = make_plan(a, Request(100, speculative=True), Convention(), weights)
    mtp = count_parameters(a).mtp
    assert mtp is not None and plain.drafter_bytes == 2 * mtp
    copies = 2 * a.vocab_size * a.hidden_size
    assert drafting.one_copy.weights - plain.one_copy.weights == 2 * (mtp - copies)
    assert drafting.one_copy.cache - plain.one_copy.cache == 100 * 1152
    seeing = model("qwen3.5-35b-a3b")
    weights = resolve_weights(seeing, "bf16")
    blind = make_plan(seeing, Request(1, text_only=True), Convention("vllm"), weights)
    assert blind.per_gpu.weights / GIB == pytest.approx(64.69, rel=0.005)


@pytest.mark.parametrize("name", WEIGHT_FORMATS)
def test_every_format(name: str) -> None:
    a = model("qwen3-8b")
    weights = resolve_weights(a, name)
    size = weights.bytes_of(count_parameters(a).by_component)
    assert 0.1 * 2 * count_parameters(a).total < size <= 4 * count_parameters(a).total


@pytest.mark.parametrize(
    ("q", "bits"),
    [
        (Quantization(method="fp8", bits=8.0, block=(128, 128)), 8 + 32 / 16384),
        (Quantization(method="mxfp4", bits=4.0, format="mxfp4", group_size=32), 4.25),
        (Quantization(method="modelopt", bits=4.0, format="nvfp4", group_size=16), 4.5),
        (Quantization(method="gptq", bits=4.0, group_size=128), 4.15625),
        (Quantization(method="compressed-tensors", bits=4.0, group_size=32), 4.5),
        (Quantization(method="mlx", bits=4.0, group_size=64), 4.5),
        (Quantization(method="bitsandbytes", bits=4.0, format="nf4"), 4.5),
        (Quantization(method="quanto"), None),
    ],
)
def test_declared_bits(q: Quantization, bits: float | None) -> None:
    assert declared_bits(q) == bits


def test_what_cannot_be_known_is_an_error() -> None:
    with pytest.raises(ImpossiblePlan, match="does not say"):
        resolve_weights(replace(model("qwen3-8b"), dtype=None), "as-stored")
    with pytest.raises(ImpossiblePlan, match="quanto"):
        resolve_weights(
            replace(model("qwen3-8b"), quantization=Quantization(method="quanto")), "as-stored"
        )
    assert (
        resolve_weights(
            replace(model("qwen3-8b"), dtype=None), "as-stored", {"attention": 8.0}
        ).bits_of("attention")
        == 8
    )


# --- plans --------------------------------------------------------------------------------------


def planned(name: str, **request: object) -> Plan:
    a = model(name)
    weights = resolve_weights(a, "bf16")
    return make_plan(a, Request(**request), Convention(), weights)  # pyright: ignore


def test_a_plan() -> None:
    p = planned(
        "qwen3-235b", context=32768, batch=8, parallel=Parallel(8, 1, 8), gpu_bytes=80 * GIB
    )
    assert p.one_copy.weights == 2 * 235_093_634_560
    assert p.one_copy.cache == 8 * 32768 * 192512
    assert p.per_gpu.cache == p.one_copy.cache // 4, "4 KV heads on 8 ranks: a quarter each"
    assert p.all_gpus.total == 8 * p.per_gpu.total
    assert p.budget == int(80 * GIB * 0.9) and p.fits
    assert p.largest_batch is not None and p.largest_batch >= 8 and p.largest_context == 40960


def test_data_parallel_groups_share_the_batch() -> None:
    p = planned("deepseek-v3", context=4096, batch=20, parallel=Parallel(1, 8, 8))
    assert p.per_gpu.cache == 3 * 4096 * 70272
    assert p.largest_batch is None and p.fits is None


@given(
    st.integers(1, 64),
    st.integers(1, 131072),
    st.sampled_from([24, 48, 80, 192]),
    st.sampled_from(["llama3.1-8b", "gemma3-27b", "kimi-linear", "qwen3-30b-a3b"]),
)
def test_the_largest_that_fits_fits_and_more_does_not(
    batch: int, context: int, gib: int, name: str
) -> None:
    request = Request(context, batch, Parallel(), gib * GIB)
    a = model(name)
    held = resolve_weights(a, "bf16")
    p = make_plan(a, request, Convention(), held)
    weight, budget, c = (
        held.bytes_of(count_parameters(a).by_component),
        int(gib * GIB * 0.9),
        compute_cache(a),
    )
    assert (
        p.largest_context is not None
        and p.largest_batch is not None
        and p.context_limit is not None
    )
    if weight > budget:
        assert (p.largest_context, p.largest_batch, p.fits) == (0, 0, False)
        return
    assert weight + c.bytes_at(p.largest_context, batch) <= budget or p.largest_context == 0
    assert (
        p.largest_context == p.context_limit
        or weight + c.bytes_at(p.largest_context + 1, batch) > budget
    )
    assert (
        weight + c.bytes_at(context, p.largest_batch)
        <= budget
        < weight + c.bytes_at(context, p.largest_batch + 1)
    )
    assert p.fits == (p.largest_batch >= batch)


def test_bytes_start_at_the_weights_and_rise() -> None:
    a = model("gemma3-27b")
    weights = resolve_weights(a, "bf16")
    plans = [make_plan(a, Request(t), Convention(), weights) for t in (0, 1024, 4096, 131072)]
    totals = [p.one_copy.total for p in plans]
    assert totals[0] == 2 * count_parameters(a).total
    assert totals == sorted(totals)


def test_experts_of_another_format_take_their_own_bits() -> None:
    """DeepSeek V4 Flash: fp4 experts; its files are 148 GiB with their MTP module."""
    a, weights = model("deepseek-v4-flash"), stored("deepseek-v4-flash")
    assert weights.bits["experts"] == 4.25
    assert 8 < weights.bits["shared_experts"] < weights.bits["attention"] < 9
    gib = weights.bytes_of(count_parameters(a).by_component) / 2**30
    assert 143 < gib < 148
