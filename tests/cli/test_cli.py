"""The commands as a user runs them: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.program import Run

from llmarch.architecture.json_schema import json_schema
from llmarch.sources.aliases import bundled_models


@pytest.mark.parametrize("alias", sorted(bundled_models()))
def test_show_json_keeps_the_contract(run: Run, alias: str) -> None:
    """Totals equal the published ones, active figures their convention, MTP its own.

    The document fits the schema.
    """
    document = run.document("show", alias)
    p = document["parameters"]
    published = {f["figure"]: f["value"] for f in document["source"]["published"]}
    assert p["total"] == published["total"]
    if "active" in published:
        assert 0 <= p["active"] - published["active"] <= p["by_component"].get("router", 0) / 10, (
            "more than the routers' tables"
        )
    if "mtp" in published and p["mtp"]:
        assert p["mtp"] == published["mtp"]
    assert sum(p["by_component"].values()) == p["total"]
    assert document["unread_keys"] == []
    assert p["status"] == "computed"
    for t, size in document["cache"]["at"].items():
        c = document["cache"]
        assert size <= int(t) * c["all_layers_bytes_per_token"] + c["state_bytes"]


@pytest.mark.parametrize(
    "alias", ["qwen3-235b", "deepseek-v3", "gemma3-27b", "gpt2", "kimi-linear", "mistral-large-3"]
)
def test_show_text_and_markdown(run: Run, alias: str) -> None:
    narrow, _ = run("show", alias, "--layers", "--tensors", columns=80)
    wide, _ = run("show", alias, columns=200)
    assert max(map(len, narrow.splitlines())) <= 80
    assert max(map(len, wide.splitlines())) <= 200
    assert "\x1b" not in narrow + wide
    markdown, _ = run("show", alias, "--format", "markdown")
    assert markdown.startswith("## ")


def test_the_same_input_gives_the_same_bytes(run: Run) -> None:
    assert run("show", "deepseek-v3", "-f", "json") == run("show", "deepseek-v3", "-f", "json")
    assert run("diff", "deepseek-v3", "kimi-k2") == run("diff", "deepseek-v3", "kimi-k2")


def test_show_says_what_a_reader_asks(run: Run) -> None:
    out, _ = run("show", "qwen3-235b")
    for text in (
        "235.09 B total",
        "22.19 B active (9.4 %)",
        "94 × GQA + MoE",
        "64 query : 4 KV heads",
        "QK-norm",
        "θ 1e6",
        "188 KiB per token",
        "7.34 GiB",
    ):
        assert text in out
    out, _ = run("show", "deepseek-v3")
    assert "3 × MLA + dense, 58 × MLA + MoE" in out
    out, _ = run("show", "deepseek-v3", "--tensors")
    assert "model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight" in out


def test_the_readme_shows_what_the_program_prints(run: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.partition("$ llmarch show qwen3-235b\n")[2].partition("```")[0]
    assert run("show", "qwen3-235b", columns=100)[0].strip() == block.strip()


def test_an_unknown_model_is_observed(run: Run, tmp_path: Path) -> None:
    """A model without a family but with headers is shown, and compared as far as they show it.

    What headers leave open stands with its reason.
    """
    import gzip

    fixture = json.loads(
        gzip.decompress(
            (ROOT / "tests/fixtures/headers/qwen3-30b-a3b-reduced.json.gz").read_bytes()
        )
    )
    sizes = {"BF16": 2, "F32": 4}
    head: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in fixture["tensors"].items():
        size = sizes[dtype]
        for n in shape:
            size *= n
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    (tmp_path / "config.json").write_text('{"model_type": "mystery"}')
    out, _ = run("show", str(tmp_path))
    assert "observed" in out and "experts 16" in out and "rotary positions have no tensors" in out
    document = run.document("show", str(tmp_path))
    assert document["parameters"]["status"] == "observed"
    assert document["parameters"]["total"] == fixture["params"]
    assert document["architecture"]["ffns"]["moe"]["active"] is None
    out, _ = run("diff", str(tmp_path), "qwen3-8b")
    assert "mystery" in out and "14 facts could not be" in out.replace("\n", " ")
    run("show", str(tmp_path), "--layers", "--tensors", columns=80)


def test_the_cache_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "none"))
    assert run.json("cache", "info")["entries"] == 0
    assert "removed 0 entries" in run("cache", "clear")[0]


def test_reconstructed_configs_say_so(run: Run) -> None:
    assert "reconstructed" in run("show", "kimi-k2-thinking")[0]
    assert run.json("show", "kimi-k2-thinking")["source"]["provenance"]["state"] == "reconstructed"


def test_explain(run: Run) -> None:
    out, _ = run("show", "qwen3-235b", "--explain", "mixers.full.kv_heads")
    assert "config key num_key_value_heads" in out and "Number of key/value heads" in out
    eps = run.json("show", "qwen3-235b", "--explain", "norms")["norms.rms.eps"]
    assert "square root" in eps.pop("meaning")
    assert eps == {
        "value": 1e-6,
        "kind": "config",
        "ref": "rms_norm_eps",
        "confirmed_by": [],
        "certainty": "",
        "findings": [],
        "remarks": [],
    }
    _, err = run("show", "qwen3-235b", "--explain", "mixers.full.kvheads", code=2)
    assert "mixers.full.kv_heads" in err


def test_diff_text_shows_what_differs_first(run: Run) -> None:
    out, _ = run("diff", "deepseek-v3", "kimi-k2", columns=80)
    differs, _, equal = out.partition("\n  equal ")
    for text in (
        "3 × MLA + dense",
        "1 × MLA + dense",
        "÷ 2",
        "× 1.5",
        "best 4 of 8 groups",
        "163,840",
    ):
        assert text in differs
    assert "61 layers" in equal and "hidden 7,168" in equal and "--all" in equal
    assert "expert width" not in differs
    assert "expert width" in run("diff", "deepseek-v3", "kimi-k2", "--all")[0]


def test_diff_json(run: Run) -> None:
    document = run.document("diff", "deepseek-v3", "kimi-k2")
    changes = {
        c["path"]: (c["old"], c["new"], c["rule"], c["severity"]) for c in document["changes"]
    }
    assert changes["mixers.full.heads"] == (128, 64, "heads-changed", "weights")
    assert changes["ffns.moe.experts"] == (256, 384, "expert-count-changed", "weights")
    assert changes["ffns.moe.router.groups"][:2] == (8, 1)
    assert changes["layers"][:2] == (
        [[3, "full_dense"], [58, "full_moe"]],
        [[1, "full_dense"], [60, "full_moe"]],
    )
    assert changes["vocab_size"][:2] == (129_280, 163_840)
    assert changes["mixers.full.rope.theta"][2:] == ("rope-theta-changed", "behaviour")


def test_exit_codes(run: Run) -> None:
    run("diff", "deepseek-v3", "kimi-k2", "--exit-code", code=1)
    run("diff", "deepseek-v3", "deepseek-r1", "--exit-code")
    run("diff", "qwen3-8b", "qwen3-8b", "--exit-code")
    out, _ = run("diff", "qwen3-8b", "qwen3-8b")
    assert "the architectures are the same" in out
    for args in (
        ["show"],
        ["show", "qwen3-8b", "--nonsense"],
        ["diff", "qwen3-8b"],
        ["show", "no-such-model"],
        ["list", "--attention", "x"],
    ):
        out, err = run(*args, code=2)
        assert out == "" and err


def test_matrix(run: Run) -> None:
    out, _ = run("diff", "llama3-8b", "olmo2-7b", "gemma2-9b", columns=120)
    assert all(name in out for name in ("Meta-Llama-3-8B-Instruct", "OLMo-2-1124-7B", "gemma-2-9b"))
    document = run.json("diff", "llama3-8b", "olmo2-7b", "gemma2-9b")
    assert len(document["comparisons"]) == 2


def test_list(run: Run) -> None:
    every = {m["alias"] for m in run.json("list")["models"]}
    mla = {m["alias"] for m in run.json("list", "--attention", "mla")["models"]}
    assert {"deepseek-v3", "kimi-k2", "kimi-linear", "mistral-large-3"} <= mla < every
    assert not {m["alias"] for m in run.json("list", "--moe")["models"]} & {
        m["alias"] for m in run.json("list", "--dense")["models"]
    }
    shown = run("list", "deepseek", columns=80)[0]
    assert "deepseek-v3" in shown and max(map(len, shown.splitlines())) <= 80


def test_schema_is_a_json_schema(run: Run) -> None:
    out, _ = run("schema")
    assert json.loads(out) == json_schema()
    assert {"ShowDocument", "DiffDocument", "Architecture", "Attention", "Evidence"} <= set(
        json_schema()["$defs"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1"),
        ("[]", "object"),
        ("{}", "model_type is missing"),
        ('{"model_type": 3}', "model_type"),
        ('{"model_type": "no_such_type"}', "no_such_type"),
        ('{"model_type": "qwen3"}', "is missing"),
        ('{"model_type": "qwen3", "num_hidden_layers": "32"}', "a string"),
        ('{"model_type": "qwen3", "num_hidden_layers": 1000000000}', "num_hidden_layers"),
        ('{"model_type": "qwen3", "num_hidden_layers": true}', "num_hidden_layers"),
        (
            '{"model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 3,'
            ' "num_key_value_heads": 2, "head_dim": 4}',
            "multiple",
        ),
        ('{"model_type": "\\u001b[31mred"}', "\\x1b"),
    ],
)
def test_bad_configs_get_one_clear_message(
    run: Run, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    out, err = run("show", str(file), code=2)
    assert out == "" and message in err and "config.json" in err
    assert err.startswith("error: ") and len(err.splitlines()) <= 3
    assert "\x1b" not in err


def test_strings_of_a_repository_are_cleaned(run: Run, tmp_path: Path) -> None:
    config = json.loads((ROOT / "specs" / "qwen3-8b.json").read_text())["config"]
    config |= {"torch_dtype": "\x1b[31mred\x07", "evil\x1b]0;title\x07 | key <b>": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for args in ([], ["-f", "markdown"]):
        out, _ = run("show", str(tmp_path / "config.json"), *args)
        assert "\x1b" not in out and "\x07" not in out
    assert "<b>" not in run("show", str(tmp_path / "config.json"), "-f", "markdown")[0]


def program(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmarch", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        cwd=ROOT,
        check=False,
    )


def test_aliases_complete() -> None:
    done = program(
        _LLMARCH_COMPLETE="complete_bash", COMP_WORDS="llmarch show qwen3-2", COMP_CWORD="2"
    )
    assert "qwen3-235b" in done.stdout.split()


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[" not in program("show", "qwen3-8b", NO_COLOR="1").stdout
    assert "\x1b[" not in program("show", "qwen3-8b").stdout


def shell(command: str) -> subprocess.CompletedProcess[str]:
    line = command.replace("llmarch", f"{sys.executable} -m llmarch")
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.mark.parametrize(
    "command",
    ["llmarch show deepseek-v3 --layers --tensors | head -1", "llmarch show qwen3-8b | true"],
)
def test_a_closed_pipe_is_no_error(command: str) -> None:
    assert shell(command).stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "command", ["show qwen3-8b", "show deepseek-v3 --format json", "list", "--version"]
)
def test_a_full_disk_is_one_message(command: str) -> None:
    done = shell(f"llmarch {command} >/dev/full")
    assert (done.returncode, done.stderr) == (2, "error: [Errno 28] No space left on device\n")
    assert shell(f"llmarch {command} >/dev/full 2>/dev/full").returncode == 2
    assert shell("llmarch show nix 2>/dev/full").returncode == 2


HEAVY = ("pydantic", "huggingface_hub", "httpx", "asyncio", "numpy", "hashlib")


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (
            ["show", "qwen3-235b"],
            [
                "llmarch.architecture.catalogue",
                "llmarch.compare",
                "llmarch.checkpoint.variants",
                "llmarch.config.quantization",
            ],
        ),
        (
            ["diff", "deepseek-v3", "kimi-k2"],
            [
                "llmarch.checkpoint.inference",
                "llmarch.checkpoint.names",
                "llmarch.checkpoint.packing",
                "llmarch.compare.gate",
                "llmarch.compare.policy",
            ],
        ),
    ],
    ids=["show", "diff"],
)
def test_start_up_imports_nothing_heavy(command: list[str], ours: list[str]) -> None:
    """Published configs need no pydantic, no HTTP client, and nothing that reads tensors."""
    heavy = (*HEAVY, *ours)
    lines = (
        f"import sys; from llmarch.cli import main; sys.argv = ['llmarch', *{command}]",
        "try: main()",
        "except SystemExit: pass",
        f"print([m for m in {heavy} if m in sys.modules])",
    )
    code = "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
