"""Hold the pools of vLLM against what its own planner said (tests/oracle/vllm_pools.py)."""

from __future__ import annotations

import gzip
import json
from functools import cache as memo
from typing import Any

import pytest
from helpers.paths import SPECS

import llmarch
from llmarch.analyses.cache_parts import Convention
from llmarch.analyses.engines.pools import EngineOptions
from llmarch.analyses.engines.vllm import SharedBlocks
from llmarch.analyses.engines.vllm_pools import (
    LayerSpec,
    PoolSettings,
    blocks_of_layer,
    group_layers,
    least_padding,
)
from llmarch.analyses.memory import Planner, Request
from llmarch.analyses.sharding import Parallel
from llmarch.analyses.weight_formats import resolve_weights
from llmarch.architecture.layers import used_mixers
from llmarch.errors import ImpossiblePlan

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

FIXTURE = SPECS.parent / "tests" / "fixtures" / "vllm_pools.json.gz"
ROWS: list[dict[str, Any]] = json.loads(gzip.decompress(FIXTURE.read_bytes()))["rows"]
MODELS = list(dict.fromkeys(row["model"] for row in ROWS))
GIB = 2**30


@memo
def planner(name: str) -> Planner:
    return Planner(llmarch.load(name).architecture)


def make_request(row: dict[str, Any]) -> Request:
    options = EngineOptions(
        batched_tokens=row["batched"],
        prefix_caching=row["prefix"],
        block_size=row["block"],
        draft_tokens=row["draft"],
    )
    return Request(
        context=row["context"],
        parallel=Parallel(row["tp"], 1, row["tp"], 1, row["dcp"]),
        options=options,
        pool_bytes=row["bytes"],
        speculative=row["draft"] > 0,
    )


def test_there_are_rows_of_every_kind() -> None:
    assert len(ROWS) > 2800 and len(MODELS) > 55
    assert {row["dcp"] for row in ROWS} >= {1, 2, 4, 8}
    assert {row["draft"] for row in ROWS} >= {0, 1, 2, 3}
    fitting = sum(row["answer"].get("fits", False) for row in ROWS)
    assert fitting > 1500 and fitting < len(ROWS)


def test_there_are_rows_of_every_model_with_several_kinds_of_cache() -> None:
    """vLLM 0.33.0 has no RecurrentGemma (model_executor/models/registry.py)."""
    mixed = {
        path.stem
        for path in SPECS.glob("*.json")
        if path.stem != "index" and len(used_mixers(planner(path.stem).architecture)) > 1
    }
    assert mixed - set(MODELS) == {"recurrentgemma-2b"}


@pytest.mark.parametrize("name", MODELS)
def test_equal_to_vllms_planner_in_every_row(name: str) -> None:
    made = planner(name)
    weights = resolve_weights(made.architecture, "bf16")
    for row in ROWS:
        if row["model"] != name:
            continue
        answer = row["answer"]
        request = make_request(row)
        plan = made.plan(request, Convention("vllm", row["kv"]), weights)
        capacity = plan.capacity
        assert capacity is not None
        assert plan.fits == answer["fits"], row
        if not answer["fits"]:
            continue
        assert capacity.blocks == answer["blocks"], row
        assert capacity.block_bytes == answer["block_bytes"], row
        assert capacity.tokens == answer["tokens"], row
        assert capacity.concurrency == answer["concurrency"], row
        assert sorted(group.layers for group in plan.groups) == answer["groups"], row


# name, flags, bytes of the pool, context, concurrency as logged
LOGGED = [
    ("qwen3.5-35b-a3b", {"prefix_caching": False}, 15.58, 8192, 70.27),
    ("qwen3-next", {"prefix_caching": False, "tp": 2}, 44.59, 262144, 14.77),
    ("qwen3-next", {"prefix_caching": False, "tp": 2, "kv": "fp8"}, 17.58, 32768, 84.29),
    ("nemotron-3-nano", {"prefix_caching": False}, 34.32, 262144, 22.01),
    ("qwen3.5-122b-a10b", {"kv": "fp8"}, 21.43, 131072, 11.79),
]


@pytest.mark.parametrize(("name", "flags", "gib", "context", "logged"), LOGGED)
def test_what_engines_logged(
    name: str, flags: dict[str, Any], gib: float, context: int, logged: float
) -> None:
    row = {
        "batched": 8192,
        "prefix": flags.get("prefix_caching", True),
        "block": None,
        "draft": 0,
        "tp": flags.get("tp", 1),
        "dcp": 1,
        "context": context,
        "bytes": int(gib * GIB),
    }
    made = planner(name)
    convention = Convention("vllm", flags.get("kv", "bf16"))
    pool = made.pool(make_request(row), convention)
    assert pool.capacity([row["bytes"]], context).concurrency == pytest.approx(logged, rel=2e-3)


# --- rules --------------------------------------------------------------------------------------

FULL = LayerSpec("full", 16, 65536, form=("full",))
SLIDING = LayerSpec("sliding", 16, 65536, reach=1024, form=("sliding",))


def test_groups_are_as_large_as_the_smallest_kind_unless_that_is_near_the_largest() -> None:
    sizes = [len(g.layers) for g in group_layers([FULL] * 10 + [SLIDING] * 52)]
    assert sorted(sizes) == [8, 8, 9, 9, 9, 9, 10]
    sizes = [len(g.layers) for g in group_layers([FULL] * 13 + [SLIDING] * 12)]
    assert sorted(sizes) == [12, 13]


def test_pages_are_made_equal() -> None:
    """A smaller page takes more tokens if that divides, else it is padded; latents are refused."""
    half = LayerSpec("full", 16, 32768, form=("half",))
    odd = LayerSpec("sliding", 16, 50000, reach=64, form=("odd",))
    groups = group_layers([FULL, half, SLIDING])
    assert {(g.specs[0].form, g.specs[0].block, g.specs[0].page) for g in groups} == {
        (("full",), 16, 65536),
        (("half",), 32, 65536),
        (("sliding",), 16, 65536),
    }
    assert group_layers([FULL, odd])[1].specs[0].page == 65536
    latent = LayerSpec("mla", 64, 64 * 1152)
    state = LayerSpec("state", 64, 10**6)
    with pytest.raises(ImpossiblePlan, match="divides no block"):
        group_layers([latent, state])


def test_latents_beside_windows_are_stored_in_full() -> None:
    latent = LayerSpec("mla", 64, 64 * 1152)
    window = LayerSpec("sliding", 64, 64 * 2000, reach=128)
    (group,) = group_layers([latent, latent, window])
    assert [spec.kind for spec in group.specs] == ["mla", "mla", "full"]


def test_windows_are_refused_under_decode_context_parallelism() -> None:
    with pytest.raises(ImpossiblePlan, match="sliding"):
        blocks_of_layer(SLIDING, 1000, PoolSettings(in_flight=8192, decode_context=2))


def test_the_group_size_with_least_padding() -> None:
    assert least_padding([43, 21, 20], 21) == 22
    assert least_padding([10, 20], 1) == 10


def test_pipeline_stages_hold_their_layers_of_each_group() -> None:
    """Stages share the number of blocks: that of the stage with least."""
    made = planner("gemma3-27b")
    options = EngineOptions(batched_tokens=256)
    request = Request(131072, parallel=Parallel(1, 1, 4, 4), pool_bytes=10 * GIB, options=options)
    pool = made.pool(request, Convention("vllm"))
    assert isinstance(pool, SharedBlocks)
    assert pool.settings.in_flight == 4 * 256  # a batch in each stage
    whole = made.pool(Request(131072, pool_bytes=10 * GIB, options=options), Convention("vllm"))
    rooms = [10 * GIB] * 4
    assert (
        pool.capacity(rooms, 131072).concurrency > 3 * whole.capacity(rooms[:1], 131072).concurrency
    )
    assert pool.block_count([10 * GIB, 10 * GIB, GIB, 10 * GIB]) <= pool.block_count(rooms) // 9
