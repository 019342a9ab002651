"""Drafters beside a model: vLLM's own pools, weights on a rank, heads by their config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import safetensors, write
from helpers.paths import SPECS
from helpers.program import Run

import llmarch
from llmarch.analyses.drafting import Drafter
from llmarch.analyses.engines.pools import EngineOptions
from llmarch.analyses.parameters import count_drafter
from llmarch.analyses.planning import ModelPlanner, PlanOptions, resolve_requested_weights
from llmarch.checkpoint.reading import Reading
from llmarch.errors import PlanError

GIB = 2**30


def draft_model(ref: str) -> Drafter:
    reading = llmarch.inspect(ref, headers=False)
    return Drafter(reading.name, reading.architecture, resolve_requested_weights(reading, None))


@pytest.mark.parametrize(
    ("target", "drafter", "blocks", "tokens", "concurrency"),
    [
        ("qwen3-32b", "qwen3-0.6b", 7123, 113968, 13.9121),
        ("gemma3-27b", "gemma3-1b", 81920, 77501, 9.4607),
        ("gpt-oss-120b", "gpt-oss-20b", 43690, 349179, 42.6244),
        ("llama3.1-70b", "llama3.2-1b", 7447, 119152, 14.5449),
        ("gemma3-27b", "gemma3-4b", 65536, 63422, 7.742),
        ("olmo3-32b", "qwen3-0.6b", 13653, 109117, 13.32),
        ("mistral-small-3.1-24b", "qwen3-0.6b", 9637, 154192, 18.8223),
        ("gpt-oss-120b", "qwen3-0.6b", 36408, 194049, 23.6877),
    ],
)
def test_the_pool_is_vllms_own(
    target: str, drafter: str, blocks: int, tokens: int, concurrency: float
) -> None:
    """What vLLM 0.33.0's planner makes of 40 GiB at 8,192 tokens and as many in a batch."""
    options = PlanOptions(
        context=8192,
        engine="vllm",
        pool_bytes=40 * GIB,
        drafter=draft_model(drafter),
        engine_options=EngineOptions(batched_tokens=8192, draft_tokens=3, other_vocabulary=True),
    )
    pool = ModelPlanner(llmarch.inspect(target, headers=False)).plan(options).plan.capacity
    assert pool is not None
    assert (pool.blocks, pool.tokens) == (blocks, tokens)
    assert pool.concurrency == pytest.approx(concurrency, abs=1e-4)


@pytest.mark.parametrize("engine", ["ideal", "vllm", "sglang", "llama.cpp", "trtllm", "mlx"])
def test_a_drafter_is_added_to_a_model(engine: str) -> None:
    """In every engine: its weights, and under rules without blocks its cache to the byte."""
    target = ModelPlanner(llmarch.inspect("llama3.1-70b", headers=False))
    alone = ModelPlanner(llmarch.inspect("llama3.2-1b", headers=False))
    plain = PlanOptions(context=4096, engine=engine)
    with_drafter = PlanOptions(context=4096, engine=engine, drafter=draft_model("llama3.2-1b"))
    whole, draft = target.plan(plain).plan.one_copy, alone.plan(plain).plan.one_copy
    together = target.plan(with_drafter).plan.one_copy
    assert together.weights == whole.weights + draft.weights
    assert together.cache == whole.cache + draft.cache


def test_a_drafter_that_does_not_divide_is_refused() -> None:
    planner = ModelPlanner(llmarch.inspect("llama3.1-70b", headers=False))
    options = PlanOptions(context=4096, tensor=64, drafter=draft_model("llama3.2-1b"))
    with pytest.raises(PlanError, match="the drafter"):
        planner.plan(options)


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """An EAGLE-3 head of Llama 3.1 8B, as SafeAILab publishes them."""
    config = {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_hidden_layers": 1,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "draft_vocab_size": 32000,
        "torch_dtype": "bfloat16",
    }
    shapes = {
        "fc.weight": (4096, 12288),
        "midlayer.self_attn.q_proj.weight": (4096, 8192),
        "midlayer.self_attn.k_proj.weight": (1024, 8192),
        "midlayer.self_attn.v_proj.weight": (1024, 8192),
        "midlayer.self_attn.o_proj.weight": (4096, 4096),
        "midlayer.mlp.gate_proj.weight": (14336, 4096),
        "midlayer.mlp.up_proj.weight": (14336, 4096),
        "midlayer.mlp.down_proj.weight": (4096, 14336),
        "lm_head.weight": (32000, 4096),
    }
    tensors = {name: ("BF16", shape) for name, shape in shapes.items()}
    return write(
        tmp_path / "head",
        {"config.json": json.dumps(config).encode(), "model.safetensors": safetensors(tensors)},
    )


def memory(run: Run, *words: str) -> dict[str, Any]:
    return run.document("memory", *words)["models"][0]


def test_a_head_is_planned_by_its_tensors_and_config(head: Path, run: Run) -> None:
    words = ("llama3.1-8b", "--context", "4096")
    plain = memory(run, *words)
    drafted = memory(run, *words, "--speculative", f"eagle:{head}:5")
    stored = (head / "model.safetensors").stat().st_size
    added = drafted["one_copy"]["weights"] - plain["one_copy"]["weights"]
    assert stored * 0.99 < added <= stored
    assert drafted["one_copy"]["cache"] - plain["one_copy"]["cache"] == 4096 * 2 * 8 * 128 * 2
    assert drafted["weights"]["drafter"] == {"name": "head", "bytes_per_gpu": added, "tokens": 5}


def test_a_method_that_is_not_known(run: Run) -> None:
    for text in ("ngram:5", "draft", "draft:", "mtp:x"):
        _, err = run("memory", "qwen3-8b", "--speculative", text, code=2)
        assert "--speculative" in err


def test_a_context_beyond_the_models_own_is_data(run: Run) -> None:
    for context, beyond in (("32768", False), ("65536", True)):
        model = memory(run, "qwen3-8b", "--context", context)
        assert model["context_overflow"] is beyond


SPEC_FILES = {path.stem: path for path in SPECS.glob("*.json") if path.stem != "index"}
SILENT_TYPES = ("qwen3_next", "longcat_flash", "mimo_v2_flash")
SILENT = sorted(
    alias
    for alias, file in SPEC_FILES.items()
    if json.loads(file.read_text(encoding="utf-8"))["config"].get("model_type") in SILENT_TYPES
)
"""Bundled models whose config does not tell whether MTP modules are stored."""


@pytest.mark.parametrize("alias", SILENT)
def test_modules_that_only_tensors_tell_of(alias: str, run: Run) -> None:
    """They are planned as published checkpoints hold them, and that is said; nothing is denied."""
    reading = llmarch.inspect(alias, headers=False)
    assert isinstance(reading, Reading) and not reading.tells_of_mtp
    words = ("memory", alias, "--context", "4096", "--speculative", "mtp:2")
    supposed = reading.with_published_mtp()
    if supposed is None:
        _, err = run(*words, code=2)
        assert "does not tell of MTP modules" in err
        return
    drafted, plain = memory(run, *words[1:]), memory(run, *words[1:4])
    added = weights_of(count_drafter(supposed))
    assert drafted["one_copy"]["weights"] - plain["one_copy"]["weights"] == added > 0
    assert drafted["one_copy"]["cache"] > plain["one_copy"]["cache"]
    assert any("does not tell of MTP modules" in line for line in drafted["warnings"])
    assert not any("MTP" in line for line in plain["warnings"])


def weights_of(parameters: dict[str, int]) -> int:
    return 2 * sum(parameters.values())
