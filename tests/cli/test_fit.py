"""The command `fit`: layouts, command lines, exit codes."""

from __future__ import annotations

import shlex

import pytest
from helpers.program import Run

from llmarch import load
from llmarch.analyses.advice import divisors, possible_layouts
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.launch_lines import read_launch_line, read_tokens
from llmarch.errors import PlanError


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys, "fit", columns=120)


def test_the_fewest_gpus(run: Run) -> None:
    """Fewer do not fit, whatever the layout."""
    found = run.document("llama3.1-70b", "--gpus", "H100", "--context", "32k")
    gpus = found["plan"]["parallel"]["gpus"]
    assert found["fits"] and gpus == 4
    half = run.document("llama3.1-70b", "--gpus", "2xH100", "--context", "32k", "--check", code=5)
    assert not half["fits"] and half["formats_that_fit"] == ["fp8", "nvfp4", "int4"]
    assert half["layouts"] == []


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("ref", ["qwen3-30b-a3b", "deepseek-v3", "gemma3-27b", "qwen3-next"])
def test_every_engine(run: Run, engine: str, ref: str) -> None:
    """The command that is shown, read again, gives the layout and the same verdict."""
    found = run.document(
        ref, "--gpus", "H200", "--context", "16k", "--batch", "4", "--engine", engine
    )
    assert found["fits"] and found["plan"]["fits"]
    line = found["launch"]
    assert bool(line) == (engine in ("vllm", "sglang", "llama.cpp"))
    if engine in ("vllm", "sglang"):
        model, options = read_launch_line(line)
        assert model and options.engine == engine and options.context == 16384
        parallel, wanted = options.make_parallel(), found["plan"]["parallel"]
        assert (parallel.gpus, parallel.tensor) == (wanted["gpus"], wanted["tensor"])
        assert (parallel.pipeline, parallel.replicas) == (wanted["pipeline"], wanted["replicas"])
        assert parallel.decode_context == wanted["decode_context"]


def test_text(run: Run) -> None:
    out, _ = run("qwen3-8b", "--gpus", "L40S")
    for text in ("1 × L40S are the fewest", "vllm serve Qwen/Qwen3-8B", "KV cache memory"):
        assert text in out


LINES = [
    ("vllm serve Qwen/Qwen3-8B -tp 2 --max-model-len 32k", "vllm", 32000, 2),
    ("vllm serve Qwen/Qwen3-8B --tensor_parallel_size=4 --max-model-len=32K", "vllm", 32768, 4),
    (
        "python3 -m sglang.launch_server --model-path a/b --tp 8 --context-length 8192",
        "sglang",
        8192,
        8,
    ),
    ("./llama-server -m x.gguf -c 32768 -np 4 -ctk q8_0", "llama.cpp", 8192, 1),
    ("VLLM_X=1 python -m vllm.entrypoints.openai.api_server --model a/b -pp 2", None, None, 1),
]


@pytest.mark.parametrize(("line", "engine", "context", "tensor"), LINES)
def test_command_lines(line: str, engine: str | None, context: int | None, tensor: int) -> None:
    if engine is None:
        with pytest.raises(PlanError, match="no engine"):
            read_launch_line(line)
        return
    model, options = read_launch_line(line)
    assert model and (options.engine, options.context, options.tensor) == (engine, context, tensor)


def test_a_command_line_is_judged(run: Run) -> None:
    line = "vllm serve llama3.1-70b -tp 2 --max-model-len 32768"
    found = run.document("--from", line, "--gpus", "H100", "--check", code=5)
    assert found["plan"]["parallel"]["tensor"] == 2 and not found["fits"]
    assert run.document("--from", line, "--gpus", "H200", "--check")["fits"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["llama3-8b", "--context", "1M"], "its own context is 8,192"),
        (["--gpus", "H100"], "no model is named"),
        (["qwen3-8b", "--engine", "tgi"], "no engine is called"),
        (["--from", "docker run x"], "no engine is known"),
        (["--from", "vllm serve"], "names no model"),
        (["--from", "vllm serve 'x"], "cannot be read"),
        (["--from", "vllm serve x -tp many"], "is not a number"),
        (["gpt2-xl", "--gpus", "3xH100", "--engine", "ideal", "--context", "1k"], None),
    ],
)
def test_errors(run: Run, args: list[str], said: str | None) -> None:
    if said is None:
        assert run.document(*args)["plan"]["parallel"]["replicas"] == 3
        return
    out, err = run(*args, code=2)
    assert said in err and not out


def test_layouts_divide() -> None:
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    for layout in possible_layouts(load("deepseek-v3").architecture, 16, ENGINES["vllm"]):
        assert layout.tensor * layout.pipeline * layout.replicas == 16
    assert read_tokens("25.6k") == 25600 and read_tokens("1M") == 2**20
    assert shlex.split(shlex.join(["a b"])) == ["a b"]
