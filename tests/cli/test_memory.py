"""The command `memory` as a user runs it, the GPU table, and the plot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.program import Run
from hypothesis import given
from hypothesis import strategies as st

from llmarch.analyses.engines import ENGINES
from llmarch.errors import UnknownReference
from llmarch.renderers import plot
from llmarch.sources.gpus import TABLE, gpu_table, list_gpus, mac_working_set, parse_gpus
from llmarch.views import numbers
from llmarch.views.memory import Plot, Series, y_ticks

pytestmark = pytest.mark.covered


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys, "memory", columns=100)


def test_one_model_on_gpus(run: Run) -> None:
    out, _ = run("qwen3-235b", "--context", "32k", "--batch", "8", "--gpus", "8xH100")
    for text in (
        "8 × H100",
        "TP 8",
        "438 GiB",
        "one GPU",
        "yes, ",
        "4 KV heads: each on 2 ranks",
        "divides by 1, 2, 4, 8",
        "may be used",
        "as one of 8",
    ):
        assert text in out
    assert max(map(len, out.splitlines())) <= 100 and "\x1b" not in out


def test_several_models_in_a_narrow_terminal(run: Run) -> None:
    out, _ = run(
        "llama3.1-8b", "gemma3-27b", "qwen3-next", "kimi-linear", "--context", "128k", columns=80
    )
    assert max(map(len, out.splitlines())) <= 80
    for symbol in "●○▲△":
        assert symbol in out


def test_markdown(run: Run) -> None:
    out, _ = run("llama3.1-8b", "--gpus", "RTX4090", "--format", "markdown")
    assert out.startswith("## Meta") and "```text" in out and "| weights |" in out
    assert "no, " in out and "15 GiB" in out


def test_json_keeps_the_contract(run: Run) -> None:
    document = run.document(
        "deepseek-v3.2",
        "gemma3-27b",
        "--gpus",
        "8xH200",
        "--tp",
        "2",
        "--ep",
        "4",
        "--batch",
        "16",
        "--engine",
        "vllm",
        "--kv-dtype",
        "bf16",
    )
    assert document["gpu"]["name"] == "H200" and document["gpu"]["source"]
    v32, gemma = document["models"]
    assert v32["parallel"] == {
        "gpus": 8,
        "tensor": 2,
        "expert": 4,
        "replicas": 4,
        "pipeline": 1,
        "decode_context": 1,
    }
    for m in (v32, gemma):
        for part in ("one_copy", "per_gpu", "all_gpus"):
            f = m[part]
            assert f["total"] == f["weights"] + f["cache"] + f["state"]
        assert m["all_gpus"]["total"] == 8 * m["per_gpu"]["total"]
        assert m["flops_per_token"]["total"] == sum(m["flops_per_token"]["by_component"].values())
        assert (
            m["weight_bytes_read_per_token"]["batch"] < m["weight_bytes_read_per_token"]["batch_1"]
        )
    assert v32["curve"] == []


def test_two_models_of_one_name_have_figures_of_their_own(run: Run, tmp_path: Path) -> None:
    """Models are told apart by their order and a name that only one has, in every format."""
    config = json.loads((ROOT / "specs/qwen3-0.6b.json").read_text())["config"]
    refs: list[str] = []
    for folder, layers in (("one", 28), ("two", 14)):
        path = tmp_path / folder / "bot"
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
        refs.append(str(path))
    several = ("--batch", "1,2")
    document = json.loads(run(*refs, *several, "--format", "json")[0])
    names = [row["model"] for row in document["scenarios"]]
    assert len(set(names)) == 2 and names[0] == names[1] and names[2] == names[3]
    assert [m["name"] for m in document["models"]] == names
    flops = [m["flops_per_token"]["total"] for m in document["models"]]
    assert flops[0] == flops[1] > flops[2] == flops[3]
    sources = [m["source"]["reference"] for m in document["models"]]
    assert sources == [refs[0], refs[0], refs[1], refs[1]]
    plain = json.loads(run(*refs, "--format", "json")[0])["models"]
    assert [m["name"] for m in plain] == [names[0], names[2]]
    table = "".join(run(*refs, *several)[0].split())
    assert all("".join(name.split()) in table for name in names)
    assert all(name in run(*refs, *several, "--format", "csv")[0] for name in names)


def test_without_gpus_nothing_is_said_of_fitting(run: Run) -> None:
    m = run.json("kimi-linear", "--tp", "8")["models"][0]
    assert (m["fits"], m["largest_batch"], m["gpu_bytes"]) == (None, None, None)
    assert m["parallel"]["gpus"] == 8
    assert m["per_gpu"]["state"] == 5427200
    assert m["context"] == 131072


def test_the_default_context_is_what_models_share(run: Run) -> None:
    assert [m["context"] for m in run.json("qwen3-235b", "llama3-8b")["models"]] == [8192, 8192]
    out, _ = run("llama3-8b", "--context", "1M")
    assert "beyond the model's own of 8,192" in out


def test_what_the_text_warns_of_is_in_the_json(run: Run) -> None:
    args = ("llama3-8b", "--context", "1M", "--gpus", "H100")
    warnings = run.json(*args)["models"][0]["warnings"]
    assert len(warnings) == 2 and "8,192" in warnings[0] and "must fit" in warnings[1]
    text = " ".join(run(*args)[0].split())
    assert all(warning in text for warning in warnings)


def test_flags_of_engines(run: Run) -> None:
    """What engines call their flags, and what changes with them."""
    plain = run.json(
        "qwen3.5-35b-a3b",
        "--engine",
        "vllm",
        "--kv-cache-memory",
        "15.58GiB",
        "--context",
        "8192",
        "--no-prefix-caching",
    )["models"][0]
    assert round(plain["pool"]["concurrency"], 2) == 70.27
    assert plain["pool"]["memory_bytes"] == int(15.58 * 2**30) == plain["room_bytes"]
    drafting = run.json(
        "qwen3.5-35b-a3b",
        "--engine",
        "vllm",
        "--kv-cache-memory",
        "15.58GiB",
        "--context",
        "8192",
        "--no-prefix-caching",
        "--speculative",
        "mtp:2",
    )
    assert drafting["models"][0]["pool"]["concurrency"] < plain["pool"]["concurrency"]
    assert drafting["models"][0]["weights"]["mtp_loaded"] is True
    staged = run.json(
        "llama3.1-70b",
        "--pp",
        "4",
        "--gpus",
        "4xH100",
        "--engine",
        "vllm",
        "--graphs",
        "0",
        "--activations",
        "1GiB",
    )["models"][0]
    assert staged["parallel"]["pipeline"] == 4 and staged["parallel"]["tensor"] == 1
    given = {p["name"]: p["bytes"] for p in staged["allowance"] if p["given"]}
    assert given == {"graphs": 0, "activations": 2**30}
    out, err = run("qwen3-8b", "--speculative", "eagle", code=2)
    assert "is not known" in err and not out


def test_unsaid_dtypes_are_held_at_16_bits(run: Run) -> None:
    held = run.json("gpt2-xl")["models"][0]["weights"]
    assert held["format"] == "bf16" and "does not say" in held["source"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["gpt2-xl", "--tp", "8"], "25 query heads are not divisible by 8"),
        (["qwen3-235b", "--gpus", "8xH1000"], "no GPU is called 'H1000'"),
        (["qwen3-235b", "--gpus", "0xH100"], "0 GPUs"),
        (["qwen3-235b", "--context", "lots"], "is not a number of tokens"),
        (["qwen3-235b", "--context", "0"], "is not a number of tokens"),
        (["qwen3-235b", "--context", "1e999k"], "is not a number of tokens"),
        (["qwen3-235b", "--kv-dtype", "fp7"], "no cache dtype is called 'fp7'"),
        (["qwen3-235b", "--kv-dtype", "fp8_ds_mla"], "is a layout of MLA"),
        (["qwen3-235b", "--weights", "fp3"], "no weight format is called 'fp3'"),
        (["qwen3-235b", "--engine", "tgi"], "no engine is called 'tgi'"),
        (["qwen3-235b", "--graphs", "many"], "is not a size"),
        (["qwen3-235b", "--engine", "llama.cpp", "--kv-dtype", "fp8"], "llama.cpp keeps no cache"),
        (["gemma3-27b", "--tp", "8", "--dcp", "2"], "DCP 2 does not divide windows"),
        (["llama3.1-8b", "--tp", "2", "--pp", "2", "--dp", "4", "--gpus", "8xH100"], "16 GPUs"),
        (["qwen3-235b", "--engine", "transformers", "--kv-dtype", "fp8"], "keeps no cache in fp8"),
        (["gpt2-xl", "--weights", "as-stored"], "does not say"),
        (["deepseek-v3", "--gpus", "8xH200", "--tp", "3"], "not a multiple"),
        (["no-such-model"], "no-such-model"),
    ],
)
def test_errors_are_one_message(run: Run, args: list[str], said: str) -> None:
    out, err = run(*args, code=2)
    assert out == "" and said in err


@pytest.mark.parametrize(
    "args",
    [
        ["deepseek-v3", "--gpus", "8xH100", "--tp", "3"],
        ["qwen3-8b", "--gpus", "4xH100", "--tp", "8", "--dcp", "2"],
        ["qwen3-8b", "--engine", "llama.cpp", "--kv-dtype", "fp8"],
        ["qwen3-8b", "--engine", "vllm", "--speculative", "mtp"],
        ["qwen3-8b", "--engine", "vlm"],
        ["qwen3-8b", "--weights", "int3.5"],
        ["qwen3-8b", "--dp", "3", "--gpus", "8xH100"],
    ],
)
def test_a_refusal_is_in_the_json(args: list[str], run: Run) -> None:
    document = run.document(*args, code=2)
    _, err = run(*args, code=2)
    assert set(document) == {"schema_version", "document", "not_possible", "hint"}
    assert document["not_possible"][:60] in err and document["hint"][:60] in err


def test_a_context_beyond_the_models_own_is_in_every_row(run: Run) -> None:
    args = ("qwen3-8b", "qwen3-235b", "--engine", "vllm", "--context", "8k,1M", "--gpus", "8xH200")
    document = run.document(*args)
    for row in document["scenarios"]:
        beyond = row["context_tokens"] > row["context_limit_tokens"]
        assert row["context_overflow"] is beyond and bool(row["warnings"]) is beyond
        assert ("KV heads: each on 2 ranks" in row["remarks"]) == (row["model"] != "Qwen3-8B")
    lines = run(*args, "-f", "csv")[0].splitlines()
    assert sum("true,the context" in line or 'true,"the context' in line for line in lines) == 2
    assert " ".join(run(*args)[0].split()).count("beyond its own") == 2


@pytest.mark.parametrize("engine", list(ENGINES))
def test_every_engine(run: Run, engine: str) -> None:
    """Every engine plans every kind of model, and says what it keeps and what its pool holds."""
    for ref in ("gemma3-27b", "qwen3-next", "deepseek-v3.2", "llama3.1-8b"):
        options = ["--engine", engine.upper(), "--gpus", "8xH200"]
        if engine == "llama.cpp":
            options += ["--weights", "q8_0"]
        document = run.document(ref, *options)
        m = document["models"][0]
        assert m["engine"] == engine
        assert m["allowance_bytes"] == sum(p["bytes"] for p in m["allowance"] if p["inside_share"])
        assert m["room_bytes"] == (
            m["budget_bytes"] - m["per_gpu"]["weights"] - m["allowance_bytes"]
        )
        assert m["pool"]["tokens"] > 0 and m["pool"]["concurrency"] > 0


# GPUs


@pytest.mark.parametrize("engine", ("ideal", "vllm", "sglang", "llama.cpp"))
def test_a_cache_that_stops_growing_has_no_longest_context(run: Run, engine: str) -> None:
    """The config states no limit; the longest context that was tried is no figure of the model."""
    args = ("recurrentgemma-2b", "--gpus", "H100", "--engine", engine)
    out, _ = run(*args)
    assert "2,147,483,648" not in out
    model = run.document(*args)["models"][0]
    assert ("any context at batch 1" in out) == model["any_context_fits"]
    assert model["any_context_fits"] == (engine != "sglang"), "SGLang keeps one slot a token"
    row, _ = run(*args, "--batch", "1,2")
    assert "2,147,483,648" not in row
    model = run.document("trinity-large", "--gpus", "16xB300", "--batch", "1")["models"][0]
    assert model["context_limit"] is None and not model["any_context_fits"]


def test_the_gpu_table_names_its_sources() -> None:
    rows = json.loads(TABLE.read_text())["gpus"]
    assert len({r["name"] for r in rows}) == len(rows) >= 25
    for r in rows:
        assert r["source"] and r["memory_bytes"] <= 1.01 * r["vendor_gb"] * 2**30, r
        assert r["memory_bytes"] > 0.93 * r["vendor_gb"] * 10**9, r
        peaks = r["dense_tflops"]
        assert 190 <= r["bandwidth_gb_s"] < 10_000 and r["speed_source"], r
        assert set(peaks) <= {"bf16", "fp8", "int8", "fp4"}, r
        rising = [peaks[kind] for kind in ("bf16", "fp8", "fp4") if kind in peaks]
        assert rising == sorted(rising), r


def test_peaks_are_half_of_what_is_quoted_with_sparsity() -> None:
    """Where a datasheet's figure is quoted, it is of the smallest float type."""
    quoted = 0
    for row in list_gpus():
        figure = re.search(r"NVIDIA's ([\d.]+) (?:TFLOPS|AI TOPS)", row["speed_source"])
        if figure is not None:
            peaks = row["dense_tflops"]
            smallest = peaks.get("fp4") or peaks.get("fp8") or peaks["bf16"]
            assert 2 * smallest == pytest.approx(float(figure[1]), rel=2e-3), row["name"]
            quoted += 1
    assert quoted >= 17


def test_every_instance_and_mac_is_a_gpu() -> None:
    document = json.loads(TABLE.read_text())
    for row in document["instances"]:
        number, gpu = parse_gpus(row["name"])
        assert (number, gpu.name) == (row["gpus"], row["gpu"])
    for row in document["unified"]:
        sizes = [parse_gpus(f"{row['name']} {gb}GB")[1].memory_bytes for gb in row["sizes_gb"]]
        assert sizes == sorted(sizes) and all(
            gb * 0.6 < size / 2**30 < gb * 0.8
            for gb, size in zip(row["sizes_gb"], sizes, strict=True)
        )
        with pytest.raises(UnknownReference, match="memory of the Mac"):
            parse_gpus(row["name"])


@pytest.mark.parametrize(
    ("gib", "logged"), [(16, 10922.67), (32, 21845.34), (64, 49152.0), (96, 73728.0)]
)
def test_a_mac_gives_its_gpu_what_llama_cpp_logs(gib: int, logged: float) -> None:
    assert mac_working_set(gib) / 2**20 == pytest.approx(logged, abs=0.7)


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("8xH100", 8, "H100"),
        ("h100-80GB", 1, "H100"),
        ("4 x rtx 4090", 4, "RTX 4090"),
        ("8×b200", 8, "B200"),
        ("A100 40GB", 1, "A100 40GB"),
        ("2x24GB", 2, "24 GB"),
        ("NVIDIA H100 80GB HBM3", 1, "H100"),
        ("NVIDIA A100-SXM4-40GB", 1, "A100 40GB"),
        ("NVIDIA GeForce RTX 3090", 1, "RTX 3090"),
        ("4 x Tesla T4", 4, "T4"),
        ("Tesla V100-SXM2-16GB", 1, "V100 16GB"),
        ("NVIDIA H20", 1, "H20"),
        ("NVIDIA L20", 1, "L20"),
        ("NVIDIA A800-SXM4-80GB", 1, "A800"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 1, "RTX 4070 Ti SUPER"),
        ("NVIDIA H100 PCIe", 1, "H100 PCIe"),
        ("p5.48xlarge", 8, "H100"),
        ("ml.g7e.12xlarge", 2, "RTX PRO 6000"),
        ("BM.GPU.H100.8", 8, "H100"),
        ("BM.GPU4.8", 8, "A100 40GB"),
        ("2xp5en.48xlarge", 16, "H200"),
        ("Standard_ND96isr_MI300X_v5", 8, "MI300X"),
        ("M4 Max 128GB", 1, "Apple M4 Max 128 GB"),
        ("apple-m2-ultra-192gb", 1, "Apple M2 Ultra 192 GB"),
        ("CPU 64GB", 1, "CPU 64 GiB"),
        ("4xH100+4xH100", 8, "H100"),
        ("2xH100+2xA100", 4, "(H100 + A100)"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 1, "RTX 4090 Laptop"),
        ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", 1, "RTX 3080 Ti Laptop"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 1, "A100 MIG 1g.10gb"),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 1, "H100 MIG 3g.40gb"),
        ("NVIDIA A100-PCIE-40GB MIG 1g.5gb", 1, "A100 40GB MIG 1g.5gb"),
        ("A30 MIG 2g.12gb", 1, "A30 MIG 2g.12gb"),
        ("2xH100 MIG 1g.10gb+me", 2, "H100 MIG 1g.10gb"),
    ],
)
def test_gpus_by_name(text: str, number: int, name: str) -> None:
    n, gpu = parse_gpus(text)
    assert (n, gpu.name) == (number, name)


@pytest.mark.parametrize(
    ("name", "gib", "slices"),
    [
        ("A100 MIG 1g.10gb", 9.5, 1),
        ("A100 MIG 1g.20gb", 19.5, 2),
        ("A100 MIG 3g.40gb", 39.25, 4),
        ("A100 MIG 7g.80gb", 79.0, 8),
        ("H100 MIG 1g.10gb", 9.75, 1),
        ("H100 MIG 2g.20gb", 19.62, 2),
        ("H100 MIG 4g.40gb", 39.5, 4),
        ("H100 MIG 7g.80gb", 79.25, 8),
        ("A100 40GB MIG 1g.5gb", 4.75, 1),
    ],
)
def test_an_instance_has_its_slices(name: str, gib: float, slices: int) -> None:
    """Of memory as much as nvidia-smi mig -lgip shows, at most 0.7 GiB less."""
    _, gpu = parse_gpus(name)
    _, whole = parse_gpus(name.partition(" MIG ")[0])
    assert gib - 0.7 < gpu.memory_bytes / 2**30 <= gib
    assert gpu.bandwidth == (whole.bandwidth or 0) * slices / 8
    assert "slices" in gpu.note and all(gpu.peaks[k] <= whole.peaks[k] for k in whole.peaks)


@pytest.mark.parametrize("name", ["MIG 1g.10gb", "H100 MIG 8g.80gb", "H100 MIG 1g.200gb"])
def test_instances_that_no_gpu_has(name: str) -> None:
    with pytest.raises(UnknownReference, match="MIG"):
        parse_gpus(name)


def test_cards_of_one_size_give_one_answer(run: Run) -> None:
    """Graphics cards of one memory have it but for some MiB, and so hold the same models."""
    sizes: dict[int, set[int]] = {}
    for row in list_gpus():
        if row["name"].startswith(("RTX", "RX", "Radeon")):
            sizes.setdefault(row["vendor_gb"], set()).add(row["memory_bytes"])
    assert len(sizes) >= 9
    for bytes_of_cards in sizes.values():
        assert max(bytes_of_cards) < 1.01 * min(bytes_of_cards)
    options = ("qwen3-8b", "--engine", "vllm")
    older, newer = (
        run.document(*options, "--gpus", name)["models"][0] for name in ("RTX3090", "RTX4090")
    )
    assert older["largest_context"] == newer["largest_context"]
    assert older["pool"] == newer["pool"]


def test_memory_is_what_a_driver_showed() -> None:
    """Each figure stands in the words that name where it was seen, or is a sum of such figures."""
    for row in list_gpus():
        words = row["seen_by"].replace(",", "")
        mib, gib = row["memory_bytes"] / 2**20, row["memory_bytes"] / 2**30
        parts = (f"{mib:.0f}", f"{gib:g}", f"{gib:.2f}", str(row["memory_bytes"]))
        halves = (f"{gib / 2:.2f}", str(row["memory_bytes"] // 2), str(row["memory_bytes"] // 8))
        assert any(part in words for part in (*parts, *halves)) or "16 MiB less" in words, row


def test_the_table_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    gpus = Run(capsys, "gpus")
    for options in ([], ["--format", "json"], ["--format", "markdown"]):
        out, _ = gpus(*options)
        assert all(gpu.name in out for gpu in gpu_table().values())


def test_sizes_of_ones_own() -> None:
    assert parse_gpus("2x24GB")[1].memory_bytes == 24 * 10**9
    assert parse_gpus("24GiB")[1].memory_bytes == 24 * 2**30


@given(st.text(max_size=20))
def test_any_text_is_a_gpu_or_an_error(text: str) -> None:
    try:
        number, gpu = parse_gpus(text)
        assert number > 0 and gpu.memory_bytes >= 0
    except UnknownReference as error:
        assert error.hint


def test_every_alias_is_found() -> None:
    assert all(parse_gpus(name)[1] == gpu for name, gpu in gpu_table().items())


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("4096", 4096),
        ("128k", 131072),
        ("1M", 1048576),
        ("131,072", 131072),
        ("0.5k", 512),
        ("32K", 32768),
    ],
)
def test_tokens(text: str, n: int) -> None:
    assert numbers.tokens(text) == n


# plot


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**15)), min_size=1, max_size=20),
    st.integers(20, 200),
)
def test_a_plot_keeps_to_its_width(points: list[tuple[int, int]], width: int) -> None:
    points = sorted(dict(points).items())
    most = max(1, *(y for _, y in points))
    p = Plot("t", [(0, "0"), (points[-1][0], "end")], y_ticks(most), [Series("●", "m", points)])
    drawn = plot.plot_lines(p, width)
    assert all(len(line) <= max(width, 30) for line in drawn)
    assert len(drawn) == plot.HEIGHT + 4


@given(st.integers(1, 10**16))
def test_ticks_are_round_and_cover(most: int) -> None:
    ticks = y_ticks(most)
    assert 2 <= len(ticks) <= 7 and ticks[-1][0] >= most and ticks[-2][0] < most


def test_the_table_is_shipped_in_the_package() -> None:
    assert TABLE.is_relative_to(Path(parse_gpus.__code__.co_filename).parent.parent)


# Scenarios


def test_lists_make_a_row_each(run: Run) -> None:
    options = ("--context", "8k,32k", "--batch", "1,4", "--gpus", "1xH100,1xH200")
    document = run.document("qwen3-8b", *options)
    assert len(document["scenarios"]) == len(document["models"]) == 8
    asked = {(s["context_tokens"], s["batch_sequences"], s["gpu"]) for s in document["scenarios"]}
    assert len(asked) == 8
    out, _ = run("qwen3-8b", *options, "--format", "csv")
    text = out.splitlines()
    assert len(text) == 9 and text[0].startswith("model,engine,context_tokens")


def test_one_context_may_have_commas(run: Run) -> None:
    document = run.json("qwen3-8b", "--context", "131,072")
    assert document["models"][0]["context"] == 131072 and not document["scenarios"]


def test_the_curve_is_there_where_it_is_asked_for(run: Run) -> None:
    assert run.json("qwen3-8b")["models"][0]["curve"] == []
    assert len(run.json("qwen3-8b", "--curve")["models"][0]["curve"]) == 97
    document = run.json("qwen3-8b", "--curve", "--context", "4k,8k")
    assert [m["curve"][-1]["context"] for m in document["models"]] == [4096, 8192]


def test_mixed_kinds_have_the_least_room_of_any(run: Run) -> None:
    """vLLM's defaults are those of its first GPU, which may be of either kind."""
    options = ("qwen3-8b", "--engine", "vllm", "--context", "8k", "--tp", "4", "--gpus")
    kinds = ("H100", "A100", "L40S", "RTX 4090", "H200", "B200", "RTX PRO 6000")
    rooms = {k: run.document(*options, f"4x{k}")["models"][0]["room_bytes"] for k in kinds}
    for one in kinds:
        for other in kinds:
            mixed = run.document(*options, f"2x{one}+2x{other}")["models"][0]["room_bytes"]
            assert mixed <= min(rooms[one], rooms[other]), (one, other)
