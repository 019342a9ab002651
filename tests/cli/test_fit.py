"""The command `fit`: layouts, command lines, exit codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest
from helpers.program import Run

from llmarch import load
from llmarch.analyses.advice import divisors, possible_layouts
from llmarch.analyses.cache_parts import CACHE_DTYPES
from llmarch.analyses.engines import ENGINES
from llmarch.analyses.engines.base import Engine
from llmarch.analyses.launch_lines import _abbreviated, _is_harmless, read_launch_line
from llmarch.analyses.launch_options import read_tokens
from llmarch.analyses.planning import PlanOptions
from llmarch.analyses.weight_formats import WEIGHT_FORMATS
from llmarch.errors import PlanError


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys, "fit", columns=120)


def test_the_fewest_gpus(run: Run) -> None:
    """Fewer do not fit, whatever the layout."""
    found = run.document("llama3.1-70b", "--gpus", "H100", "--context", "32k")
    gpus = found["plan"]["parallel"]["gpus"]
    assert found["fits"] and gpus == found["plan"]["parallel"]["pipeline"] == 3
    assert found["without_stages"]["parallel"]["gpus"] == 4
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
    assert bool(line) == (engine in ("vllm", "sglang", "llama.cpp", "trtllm"))
    if engine in ("vllm", "sglang", "trtllm"):
        read = read_launch_line(line)
        options = read.options
        assert (
            read.model and not read.notes and options.engine == engine and options.context == 16384
        )
        parallel, wanted = options.make_parallel(), found["plan"]["parallel"]
        assert (parallel.gpus, parallel.tensor) == (wanted["gpus"], wanted["tensor"])
        assert (parallel.pipeline, parallel.replicas) == (wanted["pipeline"], wanted["replicas"])
        assert parallel.decode_context == wanted["decode_context"]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "llama.cpp"])
@pytest.mark.parametrize(("gpus", "machines"), [(8, 1), (16, 2), (32, 4)])
def test_several_machines_are_in_the_line(run: Run, engine: str, gpus: int, machines: int) -> None:
    """Each machine starts the same command, with variables; what starts is the layout found."""
    found = run.document("qwen3-235b", "--gpus", f"{gpus}xH200", "--engine", engine)
    line, notes = found["launch"], " ".join(found["notes"])
    several = machines > 1 and engine != "llama.cpp"
    assert (f"--nnodes {machines} --node-rank $NODE_RANK" in line) == several
    assert ("$MASTER_ADDR" in line) == several == (f"for {machines} machines" in notes)
    read = read_launch_line(line)
    assert not read.unread
    if engine != "llama.cpp":
        assert read.options.make_parallel().gpus == gpus


@pytest.mark.parametrize(
    ("ref", "weights", "file", "warned"),
    [
        ("deepseek-v3", None, "DeepSeek-V3-BF16.gguf", True),
        ("deepseek-v3", "q8_0", "DeepSeek-V3-Q8_0.gguf", False),
        ("gpt-oss-20b", None, "gpt-oss-20b-MXFP4.gguf", False),
        ("qwen3-8b", None, "Qwen3-8B-BF16.gguf", False),
        ("phi-2", None, "phi-2-F32.gguf", False),
    ],
)
def test_a_gguf_file_of_a_model_as_stored(
    run: Run, ref: str, weights: str | None, file: str, warned: bool
) -> None:
    """Its name says what it holds, and a stored format that no file has is warned of."""
    args = [ref, "--gpus", "H200", "--engine", "llama.cpp", "--context", "2k"]
    if weights:
        args += ["--weights", weights]
    found = run.document(*args)
    assert f" {file} " in found["launch"]
    said = [line for line in found["plan"]["warnings"] if "converter writes it" in line]
    assert bool(said) == warned


@pytest.mark.parametrize("method", ["fp8_per_tensor", "fp8_per_block", "fp8_per_channel"])
def test_online_methods_of_vllm(run: Run, method: str) -> None:
    """vLLM 0.33.0 refuses plain `fp8` of 16 bits; fit asks for what it has."""
    line = f"vllm serve qwen3-8b --quantization {method} --max-model-len 8192"
    read = run.document("--from", line, "--gpus", "H100")["plan"]
    assert read["weights"]["format"] == "fp8"
    asked = run.document("qwen3-8b", "--weights", "fp8", "--gpus", "H100")
    assert "--quantization fp8_per_block" in asked["launch"]
    none = run.document("qwen3-8b", "--weights", "nf4", "--gpus", "H100")["notes"]
    assert any("0.33.0 loads no nf4" in note for note in none)


def test_text(run: Run) -> None:
    out, _ = run("qwen3-8b", "--gpus", "L40S")
    for text in ("1 × L40S are the fewest", "vllm serve Qwen/Qwen3-8B", "KV cache memory"):
        assert text in out


@pytest.mark.sweep
@pytest.mark.parametrize("gpus", ["2xH200", "RTX 4090", "8xH200"])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "llama.cpp"])
def test_commands_are_not_broken(
    engine: str, gpus: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command is one line at any width, so that it can be copied; also with layers on the CPU."""
    args = ("qwen3-235b", "--gpus", gpus, "--context", "8k", "--engine", engine)
    launch = run.document(*args)["launch"]
    for columns in (20, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        out, _ = run(*args, columns=columns)
        shown = [line for line in out.splitlines() if launch in line]
        says_launch = "Launch" in out or "others on the CPU" in " ".join(out.split())
        assert bool(shown) == says_launch


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
    ("VLLM_X=1 python -m vllm.entrypoints.openai.api_server --model a/b -pp 2", "vllm", None, 1),
    (
        "cd /srv && nohup vllm serve --enable-expert-parallel a/b -tp 4 > log 2>&1 &",
        "vllm",
        None,
        4,
    ),
    ("vllm serve --enforce-eager --port 80 a/b --kv-cache-dtype 'fp8_e4m3'", "vllm", None, 1),
    ("docker run -p 8000:8000 -v m:/m vllm/vllm-openai:v0.11 --model a/b -tp=2", "vllm", None, 2),
    (
        "sudo docker run --gpus all ghcr.io/ggml-org/llama.cpp:server-cuda -m x.gguf -c 4096 -np 1",
        "llama.cpp",
        4096,
        1,
    ),
    ("sglang serve --model-path a/b --tp-size 8 --attn-dp-size 4", "sglang", None, 2),
    (
        "python -m sglang.launch_server --model a/b --tp 8 --dp 8 --enable-dp-attention",
        "sglang",
        None,
        1,
    ),
    ("llama-server -hf org/x-GGUF:Q4_K_M -ngl 99 -c 8192 -np 1 --no-mmap", "llama.cpp", 8192, 1),
]


@pytest.mark.parametrize(("line", "engine", "context", "tensor"), LINES)
def test_command_lines(line: str, engine: str, context: int | None, tensor: int) -> None:
    read = read_launch_line(line)
    options = read.options
    assert read.model and (options.engine, options.context, options.tensor) == (
        engine,
        context,
        tensor,
    )


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
    if "names" not in said and "is named" not in said:
        assert said in run.document(*args, code=2)["not_possible"]


def test_layouts_divide() -> None:
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    for layout in possible_layouts(load("deepseek-v3").architecture, 16, ENGINES["vllm"]):
        assert layout.tensor * layout.pipeline * layout.replicas == 16
    assert read_tokens("25.6k") == 25600 and read_tokens("1M") == 2**20
    assert shlex.split(shlex.join(["a b"])) == ["a b"]


UNLIKELY = [
    ("vllm serve x -tp 0", "--tensor-parallel-size/-tp: 0 is not possible"),
    ("vllm serve x --max-model-len -5", "--max-model-len: -5"),
    ("vllm serve x --gpu-memory-utilization 95", "--gpu-memory-utilization"),
    ("vllm serve x --max-num-seqs 1e400", "--max-num-seqs"),
    ("vllm serve x -sc nonsense", "--speculative-config/-sc"),
    ("vllm serve $MODEL", "by a variable: $MODEL"),
    ("python -m sglang.launch_server --model x --context-length 32k", "--context-length: '32k'"),
    ("sglang serve --model x --tp 8 --attn-dp-size 3", "3 does not divide"),
    ("llama-server -m x.gguf -ngl -7", "-ngl/--gpu-layers"),
    ("llama-server -m x.gguf -np 0", "-np/--parallel: 0"),
]


@pytest.mark.parametrize(("line", "said"), UNLIKELY)
def test_errors_name_the_option(line: str, said: str) -> None:
    with pytest.raises(PlanError, match=re.escape(said)):
        read_launch_line(line)


MEANINGS: list[tuple[str, Callable[[PlanOptions], object]]] = [
    ("vllm serve x -ep -tp 2 -dp 4", lambda o: (o.expert, o.data, o.gpus) == (8, 4, 8)),
    ("vllm serve x --enforce-eager", lambda o: o.reserve.graphs == 0),
    ("vllm serve x --kv-cache-memory-bytes 20G", lambda o: o.pool_bytes == 20 * 2**30),
    ("vllm serve x --language-model-only", lambda o: o.text_only),
    ('vllm serve x --limit-mm-per-prompt \'{"image": 0, "video": 0}\'', lambda o: o.text_only),
    ("vllm serve x --limit-mm-per-prompt '{\"image\": 4}'", lambda o: not o.text_only),
    (
        'vllm serve x -sc \'{"method": "mtp", "num_speculative_tokens": 2}\'',
        lambda o: o.speculative and o.engine_options.draft_tokens == 2,
    ),
    ("vllm serve x --dtype float32", lambda o: o.weights == "fp32"),
    ("vllm serve x --max-num-seqs 1k", lambda o: o.engine_options.max_sequences == 1000),
    (
        "llama-server -m x.gguf --spec-type draft-mtp,ngram-mod -np 1",
        lambda o: (o.speculative, o.engine_options.draft_tokens) == (True, 3),
    ),
    (
        "llama-server -m x.gguf --spec-type draft-mtp --spec-draft-n-max 6",
        lambda o: o.engine_options.draft_tokens == 6,
    ),
    (
        "llama-server -m x.gguf --spec-type ngram-mod",
        lambda o: not o.speculative,
    ),
    ("sglang serve --model x --tp 4 --dp 2", lambda o: (o.tensor, o.data, o.gpus) == (4, 2, 8)),
    (
        "sglang serve --model x --tp 8 --dp 2 --enable-dp-attention",
        lambda o: (o.tensor, o.data, o.expert, o.gpus) == (4, 2, 8, 8),
    ),
    (
        "llama-server -m a-Q5_K_M.gguf -c 0",
        lambda o: o.weights == "q5_k_m" and o.context is None and o.text_only,
    ),
    (
        "llama-server -m a.gguf -c 4096 -ngl all",
        lambda o: o.engine_options.gpu_layers is None and o.engine_options.unified_slots == 4,
    ),
    ("llama-server -m a.gguf -np 4 -c 4096 -kvu", lambda o: (o.batch, o.context) == (1, 4096)),
    ("llama-server -m a.gguf -ot exps=CPU", lambda o: o.cpu_expert_layers > 1000),
    ("llama-server -m a.gguf --mmproj b.gguf -ncmoe 3", lambda o: o.cpu_expert_layers == 3),
    ("llama-server -m a.gguf --swa-full", lambda o: o.engine_options.full_windows),
    ("llama-server -m a.gguf -ts 3,1", lambda o: o.engine_options.split == (3, 1)),
    ("llama-server -m a.gguf -ts 3/1/0.5", lambda o: o.engine_options.split == (3, 1, 0.5)),
    ("llama-server -m a.gguf -sm none", lambda o: o.engine_options.split == (1,)),
    ("llama-server -m a.gguf -nkvo -c 9", lambda o: o.engine_options.cache_on_cpu),
    ("llama-server -m a.gguf -ctk q8_0", lambda o: o.kv_dtype == "q8_0/auto"),
    ("llama-server -m a.gguf -ctv q8_0", lambda o: o.kv_dtype == "auto/q8_0"),
    ("llama-server -m a.gguf -ctk q8_0 -ctv q8_0", lambda o: o.kv_dtype == "q8_0"),
    ("vllm serve a/b --cpu-offload-gb 1.5", lambda o: o.engine_options.offload_bytes == 3 * 2**29),
    ("vllm serve a/b --num-gpu-blocks-override 512", lambda o: o.engine_options.blocks == 512),
    (
        "trtllm-serve serve a/b --tp_size 4 --ep_size 4 --max_batch_size 64 --max_seq_len 8192 "
        "--free_gpu_memory_fraction 0.8 --kv_cache_dtype fp8",
        lambda o: (
            (o.engine, o.tensor, o.expert, o.context) == ("trtllm", 4, 4, 8192)
            and (o.utilization, o.kv_dtype, o.engine_options.max_sequences) == (0.8, "fp8", 64)
        ),
    ),
    (
        "vllm serve a/b --speculative-model c/d --num-speculative-tokens 5",
        lambda o: o.engine_options.draft_tokens == 5 and not o.speculative,
    ),
    (
        "vllm serve a/b --speculative-model '[ngram]' --num-speculative-tokens 5",
        lambda o: o.engine_options.draft_tokens == 5 and not o.speculative,
    ),
    (
        'vllm serve a/b --speculative-config \'{"model": "c/d", "use_heterogeneous_vocab": true}\'',
        lambda o: o.engine_options.other_vocabulary,
    ),
    ("vllm serve a/b -O.cudagraph_mode=NONE", lambda o: o.reserve.graphs == 0),
    (
        'vllm serve a/b --compilation-config \'{"cudagraph_mode": "NONE"}\'',
        lambda o: o.reserve.graphs == 0,
    ),
    (
        'vllm serve a/b -O3 --compilation-config \'{"cudagraph_mode": "PIECEWISE"}\'',
        lambda o: o.reserve.graphs is None,
    ),
    (
        "vllm serve a/b --max-cudagraph-capture-size 64",
        lambda o: o.engine_options.graph_batch == 64,
    ),
    (
        "sglang serve --model a/b --speculative-algo EAGLE --speculative-num-draft 4",
        lambda o: o.speculative and o.engine_options.draft_tokens == 3,
    ),
    (
        "sglang serve --model a/b --max-total-tokens 65536 --cuda-graph-max-bs 32",
        lambda o: (o.engine_options.pool_tokens, o.engine_options.graph_batch) == (65536, 32),
    ),
    ("vllm serve a/b --dtype float32", lambda o: o.weights == "fp32"),
    (
        "vllm serve a/b --speculative-config.method mtp "
        "--speculative-config.num_speculative_tokens 3",
        lambda o: o.speculative and o.engine_options.draft_tokens == 3,
    ),
]


@pytest.mark.parametrize(("line", "holds"), MEANINGS, ids=[line for line, _ in MEANINGS])
def test_what_lines_mean(line: str, holds: Callable[[PlanOptions], object]) -> None:
    assert holds(read_launch_line(line).options)


YARN = '{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}'
EXTENSIONS = {
    f"vllm serve qwen3-8b --rope-scaling '{YARN}'": 131072,
    f"vllm serve qwen3-8b --hf-overrides '{{\"rope_parameters\": {YARN}}}'": 131072,
    f'vllm serve qwen3-8b --hf-overrides \'{{"text_config": {{"rope_scaling": {YARN}}}}}\'': (
        131072
    ),
    "vllm serve qwen3-8b --hf-overrides '{\"max_position_embeddings\": 65536}'": 65536,
    "vllm serve qwen3-8b --hf-overrides '{\"rope_theta\": 1e7}'": 40960,
    f"sglang serve --model qwen3-8b --json-model-override-args '{{\"rope_scaling\": {YARN}}}'": (
        131072
    ),
    "llama-server -m qwen3-8b --rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 32768": 131072,
    "llama-server -m qwen3-8b --rope-freq-scale 0.25": 163840,
    "llama-server -m qwen3-8b": 40960,
}
"""Lines, and the model's own context that each makes."""


@pytest.mark.parametrize(("line", "own"), EXTENSIONS.items(), ids=list(EXTENSIONS))
def test_a_line_may_extend_the_context(run: Run, line: str, own: int) -> None:
    """Without a context it is planned for all of it; beyond it is refused."""
    found = run.document("--from", line, "--gpus", "8xH200")
    assert found["plan"]["context"] == found["plan"]["context_limit"] == own
    assert not found["plan"]["context_overflow"]
    said = [note for note in found["notes"] if "own context" in note]
    assert bool(said) is (own != 40960)
    _, err = run("--from", line, "--gpus", "8xH200", "--context", str(own + 1), code=2)
    assert f"its own context is {own:,}" in err


def test_keys_of_overrides_that_are_not_read_are_named() -> None:
    line = 'vllm serve a/b --hf-overrides \'{"num_hidden_layers": 2, "rope_scaling": {}}\''
    (note,) = read_launch_line(line).notes
    assert note == "not considered: num_hidden_layers of --hf-overrides"


@pytest.mark.parametrize("engine", [e for e in ENGINES.values() if e.launch_abbreviates])
def test_the_beginning_of_a_flag_is_the_flag(engine: Engine) -> None:
    """As argparse has it: if no other flag of another option begins so."""
    flags = [flag for flag in engine.launch_flags if flag.startswith("--") and len(flag) > 9]
    read = 0
    for flag in flags:
        beginning = flag[:-1]
        same = {o for full, o in engine.launch_flags.items() if full.startswith(beginning)}
        if beginning in engine.launch_flags or _is_harmless(beginning, engine):
            continue
        unique = same.pop() if len(same) == 1 else None
        assert _abbreviated(beginning, engine) == unique
        read += unique is not None
    assert read > 20
    assert _abbreviated("--max", engine) is None
    assert _abbreviated("--never-heard", engine) is None


@pytest.mark.parametrize("engine", ["vllm", "sglang", "llama.cpp"])
def test_a_drafter_of_another_vocabulary(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    """vLLM and SGLang refuse it; llama.cpp translates."""
    run = Run(capsys, "memory", "llama3.1-8b", "--engine", engine, "--context", "8k")
    code = 2
    if engine == "llama.cpp":
        code = 0
    _, err = run("--speculative", "draft:qwen3-0.6b:3", code=code)
    assert ("takes no draft model of another vocabulary" in err) is bool(code)
    run("--speculative", "draft:llama3.2-1b:3")


@pytest.mark.parametrize("flag", ["-md", "--model-draft", "--spec-draft-model", "-hfd"])
@pytest.mark.parametrize("cache", ["f16", "q8_0"])
def test_llama_cpps_draft_model_is_planned(run: Run, flag: str, cache: str) -> None:
    """Its cells stay in 16 bits, whatever the model's are (common/speculative.cpp)."""
    line = f"llama-server -m qwen3-8b -np 1 -ngl 99 -c 8192 -ctk {cache} -ctv {cache}"
    plain = run.document("--gpus", "H100", "--from", line)["plan"]["one_copy"]
    line += f" {flag} qwen3-0.6b --draft-max 8"
    found = run.document("--gpus", "H100", "--from", line)
    assert not any("not considered" in note for note in found["notes"])
    assert found["plan"]["weights"]["drafter"]["tokens"] == 8
    drafted = found["plan"]["one_copy"]
    assert drafted["cache"] - plain["cache"] == 8192 * 28 * 8 * 128 * 2 * 2
    assert drafted["weights"] - plain["weights"] == 2 * 596_049_920


def test_a_draft_models_file_that_is_not_here(run: Run) -> None:
    line = "llama-server -m qwen3-8b -np 1 -ngl 99 -c 8192 -md /nowhere/x-Q8_0.gguf"
    found = run.document("--gpus", "H100", "--from", line)
    assert any("/nowhere/x-Q8_0.gguf is not here" in note for note in found["notes"])
    own = "llama-server -m qwen3.6-27b -np 1 -ngl 99 -c 8192 --spec-type draft-mtp -md mtp.gguf"
    found = run.document("--gpus", "H100", "--from", own)
    assert found["plan"]["weights"]["mtp_loaded"] is True


@pytest.mark.parametrize("name", ["cpu-moe-draft", "spec-draft-cpu-moe", "spec-draft-ngl"])
def test_what_places_a_draft_model_is_not_harmless(name: str) -> None:
    assert not _is_harmless(f"--{name}", ENGINES["llama.cpp"])


def test_options_that_are_not_read_are_named(run: Run) -> None:
    line = "vllm serve qwen3-8b --port 80 --mamba-block-size 8 --cpu-offload-gb 4 -tp 2"
    found = run.document("--from", line, "--gpus", "H100")
    assert found["notes"] == ["not considered: --mamba-block-size"]
    assert found["plan"]["offload_bytes_per_gpu"] == 4 * 2**30
    assert found["plan"]["adapters"] == 0
    out, err = run("--from", line, "--gpus", "H100")
    assert "--mamba-block-size" in out + err
    found = run.document("--from", f"{line} --enable-lora --max-loras 2", "--gpus", "H100")
    assert found["plan"]["adapters"] == 2


MEMORY_FLAGS = {
    "vllm": (
        "num-gpu-blocks-override cpu-offload-gb enable-lora max-loras kv-cache-dtype-skip-layers "
        "mamba-cache-dtype mamba-block-size compilation-config cudagraph-capture-sizes "
        "quantization hf-overrides kv-offloading-size prefill-context-parallel-size "
        "disable-sliding-window max-num-seqs rope-parameters ubatch-size offload-group-size "
        "mm-encoder-tp-mode"
    ),
    "sglang": (
        "max-total-tokens mamba-full-memory-ratio max-mamba-cache-size cpu-offload-gb "
        "moe-dense-tp-size enable-hierarchical-cache cuda-graph-max-bs-decode "
        "disable-hybrid-swa-memory lora-paths"
    ),
    "llama.cpp": "split-mode tensor-split no-kv-offload n-cpu-moe model-draft lora rpc device",
}
"""Flags that change memory: names by engine."""


@pytest.mark.parametrize("name", list(MEMORY_FLAGS))
def test_no_flag_that_changes_memory_is_dropped(name: str) -> None:
    """It is read, or named as not considered."""
    engine = ENGINES[name]
    dropped = [
        flag
        for flag in MEMORY_FLAGS[name].split()
        if f"--{flag}" not in engine.launch_flags and _is_harmless(f"--{flag}", engine)
    ]
    assert not dropped


LOADED_FORMATS = [
    (engine, format)
    for engine in ("vllm", "sglang", "llama.cpp")
    for format in WEIGHT_FORMATS
    if not ENGINES[engine].weight_formats or format in ENGINES[engine].weight_formats
]


@pytest.mark.parametrize(("engine", "format"), LOADED_FORMATS)
def test_a_launch_line_loads_what_was_planned(run: Run, engine: str, format: str) -> None:
    """Read back it has the same weights, or it names a stand-in and says so."""
    wanted = ("qwen3-8b", "--gpus", "1xH100", "--context", "4k")
    found = run.document(*wanted, "--engine", engine, "--weights", format)
    launch = found["launch"]
    if any("stands for" in note for note in found["notes"]):
        assert f"Qwen3-8B-{format.upper()}" in launch
        return
    again = run.document(*wanted, "--from", launch)
    assert again["plan"]["per_gpu"]["weights"] == found["plan"]["per_gpu"]["weights"]
    assert again["plan"]["cache_dtype"] == found["plan"]["cache_dtype"]


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_cache_dtype_is_refused_or_stands_in_the_line(run: Run, engine: str) -> None:
    for ref in ("qwen3-8b", "deepseek-v3.2"):
        for dtype in CACHE_DTYPES:
            args = (ref, "--gpus", "8xB300", "--context", "4k", "--kv-dtype", dtype)
            known = ENGINES[engine].cache_dtypes
            if known and dtype not in known:
                _, err = run(*args, "--engine", engine, code=2)
                assert f"{engine} keeps no cache in {dtype}" in err
                continue
            if f" {dtype} " in LATENT_LAYOUTS.get(ref, ""):
                continue
            document = run.document(*args, "--engine", engine)
            own = dtype in ("fp16", "fp32")  # no words for these: with the dtype of the model
            assert "dtype auto" not in document["launch"] or own, document["launch"]


LATENT_LAYOUTS = {
    "qwen3-8b": " fp8_ds_mla nvfp4_ds_mla ",
    "deepseek-v3.2": " nvfp4 fp8_per_token_head int8_per_token_head int4_per_token_head ",
}
"""Layouts that the attention of a model does not have."""


def test_llama_cpp_has_one_pipeline_over_all_gpus(run: Run) -> None:
    for ref in ("qwen3-235b", "qwen3-8b"):
        for gpus in ("2xH100", "6xH100"):
            found = run.document(ref, "--gpus", gpus, "--engine", "llama.cpp", "--weights", "q8_0")
            for layout in found["layouts"]:
                parallel = layout["parallel"]
                assert parallel["pipeline"] == parallel["gpus"] == int(gpus[0])
                assert parallel["expert"] == parallel["replicas"] == 1
    found = run.document("qwen3-0.6b", "--gpus", "CPU 64GB", "--engine", "llama.cpp")
    assert "-ngl 0" in found["launch"]


def test_a_line_is_planned_as_it_stands(run: Run) -> None:
    """Its own layout, however unusual, and as many GPUs as it takes."""
    for flags, wanted in (
        ("-tp 16", {"tensor": 16, "gpus": 16}),
        ("-tp 8 -dcp 2", {"decode_context": 2}),
        ("-tp 2 -dp 4", {"replicas": 4, "expert": 1}),
    ):
        line = f"vllm serve deepseek-v3 {flags} --max-model-len 8k"
        parallel = run.document("--from", line, "--gpus", "H200")["plan"]["parallel"]
        assert {name: parallel[name] for name in wanted} == wanted
    line = "vllm serve qwen3-8b -tp 4"
    _, err = run("--from", line, "--gpus", "2xL40S", code=2)
    assert "needs 4 GPUs, --gpus names 2" in err
    _, err = run("--from", "vllm serve qwen3-8b -tp 3", "--gpus", "L40S", code=2)
    assert "32 query heads are not divisible by 3" in err
    _, err = run("--from", line, "--engine", "sglang", code=2)
    assert "is of vllm" in err
    longer = run.document("--from", line, "--gpus", "L40S", "--batch", "8", "--context", "2k")
    assert (longer["plan"]["batch"], longer["plan"]["context"]) == (8, 2048)
    auto = run.document("--from", "vllm serve llama3.1-8b --max-model-len auto", "--gpus", "L4")
    assert auto["fits"] and auto["plan"]["context"] == auto["plan"]["largest_context"] > 1000


def test_the_whole_context_without_one(run: Run) -> None:
    """Engines take the model's own context where the line says none."""
    found = run.document("--from", "vllm serve qwen3-next", "--gpus", "H200")
    assert found["plan"]["context"] == found["plan"]["context_limit"] == 262144


def test_what_a_converter_makes_of_a_quantised_checkpoint(run: Run) -> None:
    """llama.cpp has FP8 and packed integers in 16 bits, MXFP4 as it is."""
    found = run.document("deepseek-v3", "--gpus", "6xB300", "--engine", "llama.cpp")
    assert found["plan"]["one_copy"]["weights"] > 2 * 671e9 * 0.99
    assert "DeepSeek-V3-BF16.gguf" in found["launch"]
    found = run.document("gpt-oss-20b", "--gpus", "1xL40S", "--engine", "llama.cpp")
    assert found["plan"]["one_copy"]["weights"] < 15e9
    assert "gpt-oss-20b-MXFP4.gguf" in found["launch"]


def test_what_starts_no_server_is_told(run: Run) -> None:
    for command in ("bench serve", "chat", "collect-env"):
        _, err = run("--from", f"vllm {command} --model qwen3-8b", "--gpus", "H100", code=2)
        assert "starts no server" in err
