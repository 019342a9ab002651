"""Hold plans for versions of vLLM to what those versions do, by their sources and logs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache as memo
from typing import Any

import pytest

import llmarch
from llmarch.analyses.engines.pools import GIB, EngineOptions
from llmarch.analyses.engines.vllm import VLLM, SharedBlocks
from llmarch.analyses.engines.vllm_versions import FIRST_LOADED, read_version, version_rules
from llmarch.analyses.memory import Plan
from llmarch.analyses.planning import ModelPlanner, PlanOptions
from llmarch.config.families import MODEL_TYPES
from llmarch.sources.gpus import parse_gpus


@memo
def planner(name: str) -> ModelPlanner:
    return ModelPlanner(llmarch.load(name))


def make_plan(name: str, version: str = "", **options: Any) -> Plan:
    engine = f"vllm@{version}" if version else "vllm"
    number, gpu = parse_gpus(options.pop("gpus", "1xH100"))
    asked = PlanOptions(engine=engine, gpus=number, gpu=gpu, **options)
    return planner(name).plan(asked).plan


@pytest.mark.parametrize(
    ("rule", "before", "since"),
    [
        ("has_new_engine", "0.7.3", "0.8.0"),
        ("groups_windows", "0.9.0", "0.9.1"),
        ("sorts_logits", "0.16.0", "0.17.0"),
        ("has_graphs_inside", "0.19.1rc1", "0.20.0"),
        ("prints_capacity", "0.20.2", "0.21.0"),
        ("has_slot_blocks", "0.23.1", "0.24.0"),
        ("counts_batches", "0.25.1", "0.26.0"),
        ("caches_states", "0.27.1", "0.28.0"),
        ("has_dense_blocks", "0.27.1", "0.28.0"),
        ("has_large_batches", "0.27.1", "0.28.0"),
        ("has_small_spark", "0.32.0", "0.33.0"),
    ],
)
def test_since_when_a_rule_holds(rule: str, before: str, since: str) -> None:
    old, new = getattr(version_rules(before), rule), getattr(version_rules(since), rule)
    assert old is not new
    assert new is getattr(version_rules(""), rule) is getattr(version_rules(VLLM.version), rule)


def test_numbers_of_versions() -> None:
    assert read_version("0.19.1rc1") == (0, 19, 1)
    assert read_version("v0.8") == (0, 8, 0)
    assert read_version("") == read_version("nightly") == read_version(VLLM.version)
    assert [version_rules(v).group_ratio for v in ("0.11.0", "0.12", "0.18")] == [1, 1.25, 1.5]
    assert [version_rules(v).utilization for v in ("0.19.1", "0.20.0")] == [0.9, 0.92]
    assert [version_rules(v).latent_step for v in ("0.19.1", "0.20.0")] == [64, 128]


def test_prefixes_of_recurrent_layers_are_kept_since_0_28_unless_asked_for() -> None:
    options = {"context": 32768, "pool_bytes": 20 * GIB}
    counts: list[int | None] = []
    for version, asked in (("0.27.1", None), ("0.28.0", None), ("0.27.1", True), ("0.28.0", False)):
        engine_options = EngineOptions(prefix_caching=asked)
        plan = make_plan("qwen3-next", version, engine_options=engine_options, **options)
        assert plan.capacity is not None
        counts.append(plan.capacity.blocks_per_sequence)
    old, new, old_asked, new_refused = counts
    assert old == new_refused and new == old_asked and old != new
    dense = [make_plan("qwen3-8b", v, **options).capacity for v in ("0.28.0", "0.27.1")]
    assert dense[0] == dense[1]


def test_two_batches_are_in_flight_where_the_version_that_is_named_counts_them() -> None:
    """Without a version one batch is, as vLLM's planner is run."""
    tokens: dict[str, int] = {}
    for version in ("", "0.25.1", "0.26.0", "0.33.0"):
        options = PlanOptions(context=131072, engine=f"vllm@{version}".rstrip("@"))
        made = planner("gemma3-27b")
        plan = made.plan(replace(options, pool_bytes=20 * GIB)).plan
        pool = made.planner.pool(plan.request, plan.convention)
        assert isinstance(pool, SharedBlocks)
        tokens[version] = pool.settings.in_flight
    assert tokens == {"": 8192, "0.25.1": 8192, "0.26.0": 16384, "0.33.0": 16384}
    overlap = EngineOptions(batches_in_flight=1)
    plan = make_plan("gemma3-27b", "0.33.0", context=131072, engine_options=overlap)
    assert any("8,192 tokens in flight" in line for line in plan.assumptions)


@pytest.mark.parametrize(
    ("version", "gpu", "tokens", "sequences", "share"),
    [
        ("0.19.0", "H100", 8192, 1024, 0.9),
        ("0.33.0", "H100", 8192, 1024, 0.92),
        ("0.27.0", "MI300X", 8192, 1024, 0.92),
        ("0.28.0", "MI300X", 16384, 1024, 0.92),
        ("0.32.0", "DGX Spark", 8192, 1024, 0.92),
        ("0.33.0", "DGX Spark", 2048, 256, 0.92),
        ("0.10.2", "A100", 2048, 256, 0.9),
        ("0.6.6", "RTX 3090", 20000, 256, 0.9),
    ],
)
def test_defaults_of_versions(
    version: str, gpu: str, tokens: int, sequences: int, share: float
) -> None:
    plan = make_plan("llama3.1-8b", version, gpus=f"1x{gpu}", context=20000)
    engine, traits, options = VLLM(), plan.request.gpu, plan.request.options
    assert engine.batched_tokens(traits, options) == tokens
    assert engine.max_sequences(traits, options) == sequences
    assert plan.utilization == share


def test_windows_keep_every_token_before_0_9_1() -> None:
    old, new = (
        make_plan("gemma3-27b", version, context=131072, pool_bytes=20 * GIB)
        for version in ("0.9.0", "0.9.1")
    )
    assert [group.layers for group in old.groups] == [62] and len(new.groups) > 1
    assert old.per_gpu.cache == 131072 * 62 * 2 * 16 * 128 * 2
    assert new.per_gpu.cache < old.per_gpu.cache / 2


def test_blocks_of_deepseek_v4() -> None:
    """Logged with 0.22: 30,000 tokens need 6.66 GiB."""
    sizes: dict[str, int] = {}
    for version in ("0.22.0", "0.24.0", "0.28.0"):
        options = EngineOptions(batched_tokens=16384, batches_in_flight=1)
        plan = make_plan(
            "deepseek-v4-flash",
            version,
            gpus="2xH200",
            context=30000,
            kv_dtype="fp8",
            engine_options=options,
        )
        assert plan.capacity is not None and plan.capacity.block_bytes is not None
        sizes[version] = plan.capacity.block_bytes
        if version == "0.22.0":
            assert plan.per_gpu.cache / GIB == pytest.approx(6.66, abs=0.005)
    assert sizes == {"0.22.0": 1_051_776, "0.24.0": 1_039_680, "0.28.0": 1_002_240}


@pytest.mark.parametrize("name", ["qwen3-8b", "gemma3-27b", "qwen3-next", "gpt-oss-120b"])
def test_rooms_of_other_versions_are_those_that_they_plan(name: str) -> None:
    plan = make_plan(name, gpus="4xH100", context=8192)
    assert list(plan.version_rooms) == list(VLLM.other_versions)
    for version, room in plan.version_rooms.items():
        named = make_plan(name, version, gpus="4xH100", context=8192)
        assert named.room == room and not named.version_rooms
    given = make_plan(name, gpus="4xH100", context=8192, pool_bytes=GIB)
    assert not given.version_rooms


@pytest.mark.parametrize("gpus", ["1xL40S", "2xH100", "8xH200", "1xMI300X", "4xB200"])
def test_without_a_version_a_plan_has_the_least_room_of_all(gpus: str) -> None:
    """No version that loads the model leaves less: what fits, fits in each."""
    for name in ("qwen3-8b", "gemma3-27b", "gpt-oss-120b", "qwen3.5-27b", "deepseek-v4-flash"):
        plan = make_plan(name, gpus=gpus, context=4096)
        rooms = [*plan.version_rooms.values(), plan.room_of_version_read]
        assert plan.room == min(room for room in rooms if room is not None)
        named = make_plan(name, plan.room_version or VLLM.version, gpus=gpus, context=4096)
        assert (named.room, named.budget) == (plan.room, plan.budget)
        assert [part.size for part in named.allowance] == [part.size for part in plan.allowance]
        is_least_said = any("the least of all" in line for line in plan.assumptions)
        assert is_least_said is bool(plan.room_version)


def test_versions_that_do_not_load_a_model_are_left_out() -> None:
    rooms = {
        name: list(make_plan(name, context=4096, gpus="8xH200").version_rooms)
        for name in ("deepseek-v4-flash", "qwen3.5-27b", "gemma4-31b", "qwen3-8b")
    }
    assert rooms == {
        "deepseek-v4-flash": [],
        "qwen3.5-27b": ["0.19"],
        "gemma4-31b": ["0.19"],
        "qwen3-8b": ["0.16", "0.19"],
    }
    assert set(FIRST_LOADED) <= set(MODEL_TYPES)
    assert all((0, 16) < first <= read_version(VLLM.version) for first in FIRST_LOADED.values())


def test_what_a_version_rests_on_is_said() -> None:
    newer = make_plan("qwen3-8b", "99.1", context=8192).assumptions
    assert any("the newest version that was read" in line for line in newer)
    older = make_plan("qwen3-8b", "v0.19.1", context=8192)
    assert any("rules of memory as of 0.19.1" in line for line in older.assumptions)
    assert older.engine_version == "0.19.1"
