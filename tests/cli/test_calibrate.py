"""Start-up logs of engines: what is read of them, and what is said of a plan beside them."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.paths import FIXTURES
from helpers.program import Run
from hypothesis import given
from hypothesis import strategies as st

import llmarch
from llmarch.analyses.calibration import SIZES, Calibration, calibrate, parse_log
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.engines.base import Engine
from llmarch.errors import PlanError
from llmarch.sources.gpus import parse_gpus
from llmarch.views.calibration import calibration_view

GIB = 2**30
LOGS = FIXTURES / "start_logs"
VLLM, VLLM_OLD, SGLANG, LLAMA_CPP, TENSORRT = (
    (LOGS / f"{name}.txt").read_text(encoding="utf-8")
    for name in ("vllm", "vllm_0.6", "sglang", "llama_cpp", "tensorrt_llm")
)
"""Lines as the engines print them, with figures that were logged (tests/fixtures/engine_logs.json);
those that no public log states are made up in between."""


def compared(text: str, ref: str, gpus: str | None = None) -> Calibration:
    log = parse_log(text)
    options = log.options
    if gpus is not None:
        options = replace(options, gpu=parse_gpus(gpus)[1])
    return calibrate(llmarch.inspect(ref, headers=False), log, options)


def test_current_lines_of_vllm() -> None:
    log = parse_log(VLLM)
    assert (log.engine, log.version, log.model) == ("vllm", "0.19.0", "Qwen/Qwen3-8B")
    assert log.request_tokens == 40960 and log.options.context == 40960
    assert log.figures == {
        "weights": pytest.approx(15.2683 * GIB),
        "room": pytest.approx(53.54 * GIB),
        "graphs": pytest.approx(0.61 * GIB),
        "tokens": 389888,
        "concurrency": 9.52,
    }


def test_tokens_that_follow_from_the_room_are_no_fault_of_the_rule() -> None:
    calibration = compared(VLLM, "qwen3-8b", "A100")
    tokens = next(d for d in calibration.differences if d.name == "tokens")
    assert tokens.with_logged_room == pytest.approx(389888, rel=1e-3)
    assert any("follows from the room" in reason for reason in calibration.reasons)
    assert calibration.switches == "--kv-cache-memory 53.54GiB"


def test_a_rule_that_differs_is_told_with_both_versions() -> None:
    wrong = VLLM.replace("389,888", "300,000")
    calibration = compared(wrong, "qwen3-8b", "A100")
    (reason,) = [r for r in calibration.reasons if r.startswith("tokens")]
    assert "even with the logged room" in reason
    assert "0.19.0" in reason and ENGINES["vllm"].version in reason


def test_by_which_version_a_log_is_planned_is_said() -> None:
    origins = {
        text: calibration_view("Qwen3-8B", compared(text, "qwen3-8b", "A100")).origin
        for text in (VLLM, VLLM.replace("0.19.0", "99.1.0"))
    }
    assert "0.19.0; planned by the rules of that version" in origins.pop(VLLM)
    (newer,) = origins.values()
    assert f"rules read in {ENGINES['vllm'].version}" in newer


def test_the_parts_account_for_another_room() -> None:
    """Since 0.8 a batch has 2,048 tokens, not all of a prompt."""
    newer = VLLM_OLD.replace("0.6.3", "0.8.5")
    assert newer != VLLM_OLD
    calibration = compared(newer, "llama3.1-8b", "RTX3090")
    figures = {d.name: d for d in calibration.differences}
    assert set(figures) >= {"gpu", "weights", "activations", "runtime", "room", "blocks"}
    (reason,) = [r for r in calibration.reasons if r.startswith("room")]
    told = [float(x) for x in re.findall(r"([+-][\d.]+) GiB", reason)]
    assert told[0] == pytest.approx(sum(told[1:]), abs=0.03)


def test_options_that_the_log_repeats() -> None:
    log = parse_log(SGLANG)
    assert log.engine == "sglang" and log.model == "Qwen/Qwen3-235B-A22B-FP8"
    assert (log.options.tensor, log.options.utilization) == (4, 0.93)
    assert log.figures["room"] == pytest.approx(16.46 * GIB)
    assert log.options.engine_options.batched_tokens == 8192


def test_cells_of_llama_cpp_are_equal() -> None:
    calibration = compared(LLAMA_CPP, "qwen3-8b")
    cache = next(d for d in calibration.differences if d.name == "cache")
    assert cache.planned == cache.logged == 612 * 2**20
    assert calibration.log.options.kv_dtype == "q8_0"
    (reason,) = calibration.reasons
    assert "another format" in reason and "encoders" not in reason


def test_tensorrt_llm() -> None:
    log = parse_log(TENSORRT)
    assert log.engine == "trtllm" and log.version == "1.2.0"
    assert log.figures == {"tokens": 190656, "room": pytest.approx(2.18 * GIB)}


def test_of_several_ranks_the_one_that_decides_counts() -> None:
    ranks = VLLM + VLLM.replace("53.54", "52.10").replace("15.2683", "15.9")
    figures = parse_log(ranks).figures
    assert figures["room"] == pytest.approx(52.10 * GIB)
    assert figures["weights"] == pytest.approx(15.9 * GIB)


@pytest.mark.parametrize("engine", [e for e in ENGINES.values() if e.log_sign])
def test_every_pattern_is_a_figure(engine: Engine) -> None:
    names = {"version", "concurrency", "gpu", "weights", "activations", "graphs", "runtime"}
    names |= {"room", "cache", "state", "tokens", "blocks", "windows_room", "states_room"}
    for name, pattern in engine.log_patterns:
        assert name in names
        groups = re.compile(pattern).groups
        assert groups == 1 or groups % 2 == 0


@given(st.text(max_size=300), st.integers(0, 1000))
def test_any_text_is_a_log_or_an_error(noise: str, cut: int) -> None:
    for text in (noise, VLLM[:cut] + noise + VLLM[cut:]):
        try:
            assert parse_log(text).figures
        except PlanError as error:
            assert str(error)


def test_the_command(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "vllm.log"
    file.write_text(VLLM)
    command = ("calibrate", str(file), "qwen3-8b", "--gpus", "A100")
    document = run.document(*command)
    assert document["figures"][0]["unit"] == "bytes"
    for form in ("text", "markdown"):
        out, _ = run(*command, "--format", form)
        assert "389,888" in out and "0.19.0" in out and "with the logged room" in out


FAILED_STARTS = {
    "vllm": (
        "Available KV cache memory: -2.35 GiB\n"
        "ValueError: No available memory for the cache blocks. Try"
    ),
    "vllm, no message": "INFO vllm Available KV cache memory: -2.35 GiB",
    "vllm, one request": (
        "Available KV cache memory: 2.35 GiB\nValueError: To serve at least one request with the "
        "model's max seq len (40960), (5.63 GiB KV cache is needed, which is larger than the "
        "available KV cache memory (2.35 GiB). Try increasing it"
    ),
    "sglang": "sglang 0.5\nLoad weight end. mem usage=15.3 GB\nNot enough memory. Please try",
    "llama.cpp": (
        "llama_context: n_ctx = 8192\nload_tensors: CUDA0 model buffer size = 4455.34 MiB\n"
        "llama_kv_cache: failed to allocate buffer for kv cache"
    ),
}


@pytest.mark.parametrize("name", FAILED_STARTS)
def test_a_start_that_failed(name: str, tmp_path: Path, run: Run) -> None:
    """It is said first, a negative size is one, and no option repeats it."""
    file = tmp_path / "failed.log"
    file.write_text(FAILED_STARTS[name])
    command = ("calibrate", str(file), "qwen3-8b", "--gpus", "RTX4090")
    document = run.document(*command)
    assert document["reasons"][0].startswith("the engine did not start: ")
    assert bool(document["failure"]) == (name != "vllm, no message")
    assert "-2.35" not in document["command"] + document["switches"]
    out, _ = run(*command)
    assert "e+09" not in out and "the engine did not start" in out
    for figure in document["figures"]:
        assert figure["percent"] is None or figure["logged"] > 0
        if figure["logged"] < 0:
            assert "-2.35 GiB" in out


def test_a_start_that_worked_has_no_failure() -> None:
    for text in (VLLM, VLLM_OLD, SGLANG, LLAMA_CPP, TENSORRT):
        assert parse_log(text).failure == ""


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_log_that_cannot_be_read(name: str, run: Run) -> None:
    assert "cannot be read" in run("calibrate", name, "qwen3-8b", code=2)[1]


VLLM_PARTS = """\
(EngineCore pid=1) INFO [core.py:105] Initializing a V1 LLM engine (v0.19.0) with config: \
model='google/gemma-3-27b-it', max_seq_len=8192, tensor_parallel_size=1, kv_cache_dtype=auto
(APIServer pid=1) INFO [utils.py:233] non-default args: {'model': 'google/gemma-3-27b-it', \
'max_model_len': 8192, 'gpu_memory_utilization': 0.95, 'enable_prefix_caching': False}
(EngineCore pid=1) DEBUG [gpu_worker.py:284] worker init memory snapshot: torch_peak=0.0GiB, \
free_memory=78.68GiB, total_memory=79.19GiB, cuda_memory=0.51GiB
(EngineCore pid=1) INFO [gpu_model_runner.py:5955] Estimated CUDA graph memory: 1.05 GiB total
(EngineCore pid=1) DEBUG [gpu_worker.py:435] Memory profiling takes 35.21 seconds. Total non KV \
cache memory: 55.7GiB; torch peak memory increase: 3.99GiB; non-torch forward increase memory: \
0.26GiB; weights memory: 51.45GiB.
(EngineCore pid=1) INFO [gpu_worker.py:436] Available KV cache memory: 19.53 GiB
"""


def test_every_part_that_vllm_logs_is_read() -> None:
    log = parse_log(VLLM_PARTS)
    assert {name: round(size / GIB, 2) for name, size in log.figures.items()} == {
        "weights": 51.45,
        "activations": 3.99,
        "runtime": 0.26,
        "graphs": 1.05,
        "gpu": 79.19,
        "room": 19.53,
    }
    assert log.options.engine_options.version == "0.19.0"
    assert not log.options.engine_options.prefix_caching


def test_the_command_to_repeat_can_be_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It plans the same start, and has the logged room."""
    log = tmp_path / "vllm.log"
    log.write_text(VLLM_PARTS)
    document = Run(capsys, "calibrate").document(str(log), "gemma3-27b", "--gpus", "H100")
    program, command, *arguments = shlex.split(document["command"])
    assert (program, command) == ("llmarch", "memory")
    (plan,) = Run(capsys, "memory").document(*arguments)["models"]
    assert plan["engine_version"] == "0.19.0"
    assert plan["pool"]["memory_bytes"] == pytest.approx(19.53 * GIB, rel=1e-3)
    assert plan["context"] == 8192 and plan["utilization"] == 0.95


TRIAL = """[TensorRT-LLM] TensorRT-LLM version: 1.1.0rc3
[TRT-LLM] [I] max_seq_len=8224, max_num_requests=64, max_num_tokens=8192, max_batch_size=64
[TensorRT-LLM][INFO] Allocated 0.56 GiB for max tokens in paged KV cache (8224).
[TRT-LLM] [I] Memory used after loading model weights (inside torch) in profiling: 63.52 GiB
[TRT-LLM] [I] Memory dynamically allocated during inference (inside torch): 0.85 GiB
[TRT-LLM] [I] Memory used outside torch (e.g., NCCL and CUDA graphs) in profiling: 49.28 GiB
[TRT-LLM] [I] KV cache memory: 5.95 GiB, fraction is set 0.8999999, device total memory 119.70 GiB
[TensorRT-LLM][INFO] Allocated 5.95 GiB for max tokens in paged KV cache (86720).
[TRT-LLM] [I] max_seq_len=86720, max_num_requests=64, max_num_tokens=8192, max_batch_size=64
"""
TWO_CACHES = """llama_context: n_seq_max     = 4
llama_context: n_ctx         = 8192
llama_context: n_ubatch      = 2048
llama_context: kv_unified    = {unified}
llama_kv_cache_iswa: creating non-SWA KV cache, size = 8192 cells
llama_kv_cache: size =   48.00 MiB ( 8192 cells,   3 layers,  4/1 seqs)
llama_kv_cache_iswa: creating     SWA KV cache, size = 4096 cells
llama_kv_cache: size =   48.00 MiB ( 4096 cells,  12 layers,  4/1 seqs)
"""
WINDOW_POOLS = """server_args=ServerArgs(model_path='google/gemma-4-E4B-it', tp_size=1)
KV Cache is allocated. dtype: torch.bfloat16, #tokens: 798276, K size: 26.65 GB, V size: 26.65 GB
KV Cache is allocated. dtype: torch.bfloat16, #tokens: 997846, K size: 13.32 GB, V size: 13.32 GB
SWAKVPool mem usage: 79.94 GB, swa size: 798276, full size: 997846
Capture target decode CUDA graph end. elapsed=22.18 s, mem usage=1.91 GB, avail mem=14.18 GB.
"""
STATE_POOLS = """server_args=ServerArgs(model_path='a/b', tp_size=1)
Mamba Cache is allocated. max_mamba_cache_size: 38, conv_state size: 0.03GB, ssm_state size: 2.74GB
KV Cache is allocated. #tokens: 399740, K size: 1.52 GB, V size: 1.52 GB
"""


def test_the_pool_of_a_trial_does_not_count() -> None:
    log = parse_log(TRIAL)
    gib = {name: size / 2**30 for name, size in log.figures.items() if name in SIZES}
    assert gib == pytest.approx(
        {"weights": 63.52, "activations": 0.85, "runtime": 49.28, "gpu": 119.7, "room": 5.95}
    )
    assert log.figures["tokens"] == 86720 and log.options.context == 86720
    assert log.options.utilization == pytest.approx(0.9)
    flags = log.options.engine_options
    assert (flags.batched_tokens, flags.max_sequences) == (8192, 64)


def test_all_caches_of_a_context_count() -> None:
    log = parse_log(TWO_CACHES.format(unified="true"))
    assert log.figures["cache"] == 96 * 2**20
    assert (log.options.context, log.options.batch) == (8192, 1)
    assert log.options.engine_options.unified_slots == 4
    apart = parse_log(TWO_CACHES.format(unified="false")).options
    assert (apart.context, apart.batch) == (2048, 4)


def test_the_room_is_of_all_pools() -> None:
    windows = parse_log(WINDOW_POOLS).figures
    assert windows["room"] / 2**30 == pytest.approx(79.94)
    assert windows["graphs"] / 2**30 == pytest.approx(1.91)
    states = parse_log(STATE_POOLS).figures
    assert states["room"] / 2**30 == pytest.approx(2 * 1.52 + 0.03 + 2.74)
    assert set(windows) | set(states) == {"room", "graphs"}
