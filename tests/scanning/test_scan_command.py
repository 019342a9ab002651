"""`llmarch scan` and `llmarch duplicates` as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Hub
from helpers.program import Run

import llmarch
from llmarch.renderers.parquet import parquet_schema, read_parquet
from llmarch.renderers.rows import ndjson_line

MODELS = 40
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 100,
}
FILES = {"config.json": json.dumps(CONFIG | {"num_hidden_layers": 2}).encode()}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A tree of models, some of which cannot be read."""
    root = tmp_path / "models"
    for i in range(MODELS):
        folder = root / f"group{i % 3}" / f"m{i:03}"
        folder.mkdir(parents=True)
        keys = CONFIG | {"num_hidden_layers": i % 7 + 1}
        (folder / "config.json").write_text("{" if i % 11 == 5 else json.dumps(keys))
    return root


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_folder_is_searched_and_rows_go_to_standard_output(run: Run, models: Path) -> None:
    out, err = run("scan", str(models))
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == MODELS and err == ""
    folders = sorted(path.parent for path in models.rglob("config.json"))
    assert [row["reference"] for row in rows] == list(map(str, folders))
    assert "".join(map(ndjson_line, llmarch.scan(map(str, folders)))) == out


def test_json_is_a_document_or_a_list_of_them(run: Run) -> None:
    assert run.json("scan", "qwen3-8b") == llmarch.scan("qwen3-8b")[0]
    names = ["qwen3-8b", "gemma3-4b"]
    assert run.json("scan", *names) == json.loads(json.dumps(llmarch.scan(names)))


def test_references_come_from_everywhere_once(
    run: Run, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "refs.txt"
    listed.write_text(f"# models\nqwen3-8b  # small\n\n{models}/group0/m000\ngemma3-4b\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("llama3-8b\nqwen3-8b\n"))
    out, _ = run("scan", "qwen3-8b", "-", "-r", str(listed))
    found = [json.loads(line)["reference"] for line in out.splitlines()]
    assert found == ["qwen3-8b", "llama3-8b", f"{models}/group0/m000", "gemma3-4b"]


@pytest.mark.parametrize("suffix", ["ndjson", "csv", "parquet"])
def test_a_scan_goes_on_where_it_ended(run: Run, models: Path, tmp_path: Path, suffix: str) -> None:
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    _, err = run("scan", str(models), "-o", str(whole))
    assert err == f"{whole}: 40 models, 4 errors\n"
    run("scan", str(models / "group0"), "-o", str(part))
    _, err = run("scan", str(models), "-o", str(part))
    assert err == f"{part}: 40 models, 14 read before, 4 errors\n"
    assert part.read_bytes() == whole.read_bytes()
    run("scan", str(models), "-o", str(part))
    assert part.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "models",
        f"part.{suffix}",
        f"whole.{suffix}",
    ]


@pytest.mark.parametrize("suffix", ["ndjson", "csv"])
@pytest.mark.parametrize("missing", [1, 100, 9_000, 30_000, 10**9])
def test_what_a_kill_leaves_is_completed(
    run: Run, models: Path, tmp_path: Path, suffix: str, missing: int
) -> None:
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    run("scan", str(models), "-o", str(whole))
    data = whole.read_bytes()
    part.write_bytes(data[: max(0, len(data) - missing)])
    run("scan", str(models), "-o", str(part))
    assert part.read_bytes() == data


def test_parquet_has_every_row_and_one_schema(run: Run, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    run("scan", str(models), "qwen3-8b", "deepseek-v3", "-o", str(path))
    folders = sorted(str(path.parent) for path in models.rglob("config.json"))
    expected = list(llmarch.scan([*folders, "qwen3-8b", "deepseek-v3"]))
    as_read = [json.loads(ndjson_line(row)) for row in expected]
    assert list(read_parquet(path)) == as_read
    assert parquet_schema().field("total_parameters").type == "int64"
    assert str(parquet_schema().field("findings").type).startswith("list<")


def test_what_could_not_be_read_is_read_again(run: Run, hub: Hub, tmp_path: Path) -> None:
    hub.add("acme/good", FILES)
    hub.add("acme/later", FILES)
    hub.gated.add("acme/later")
    path = tmp_path / "rows.csv"
    command = ("scan", "acme/good", "acme/later", "acme/none", "-o", str(path))
    run(*command, code=3)
    hub.gated.clear()
    run(*command, code=3)
    assert [row["exit_code"] for row in csv.DictReader(lines(path))] == ["0", "3", "3"]
    run(*command, "--retry", code=3)
    rows = list(csv.DictReader(lines(path)))
    assert [(row["reference"], row["exit_code"]) for row in rows] == [
        ("acme/good", "0"),
        ("acme/later", "0"),
        ("acme/none", "3"),
    ]


def test_all_models_share_one_rate(run: Run, hub: Hub) -> None:
    names = [f"acme/m{i}" for i in range(8)]
    for name in names:
        hub.add(name, FILES)
    started = time.monotonic()
    run("scan", *names, "--config-only", "--rate", "40")
    seconds = time.monotonic() - started
    assert len(hub.requests) >= 2 * len(names)
    assert seconds > (len(hub.requests) - 1) / 40
    times = sorted(request.at for request in hub.requests)
    assert times[-1] - times[0] > (len(times) - 1) / 40 - 0.05
    assert "not a finite number" in run("scan", "qwen3-8b", "--rate", "nan", code=2)[1]


def test_where_one_is_asked_to_wait_all_wait(homes: Path) -> None:
    from llmarch.sources.hub import client as http
    from llmarch.sources.request_budget import one_budget

    with one_budget(None), pytest.MonkeyPatch.context() as patch:
        patch.setattr(http.Client, "_sleep", lambda self, seconds: None)
        first, second = http.Client(), http.Client()
        for _ in range(http.ALL_WAIT):
            first._wait_before_retry(1, 10.0)
        assert second.seconds_paused() > 9
        assert first.budget.patience > 600
    assert http.Client().seconds_paused() == 0


def test_the_hub_lists_models(run: Run, hub: Hub) -> None:
    for name in ("acme/a-1", "acme/b-1", "acme/c-2", "other/d-1"):
        hub.add(name, FILES)

    def found(*options: str) -> list[str]:
        out, _ = run("scan", *options, "--config-only")
        return [json.loads(line)["repo_id"] for line in out.splitlines()]

    assert found("--author", "acme") == ["acme/a-1", "acme/b-1", "acme/c-2"]
    assert found("--author", "acme", "--limit", "2") == ["acme/a-1", "acme/b-1"]
    assert found("--search", "-1") == ["acme/a-1", "acme/b-1", "other/d-1"]
    assert found("--author", "acme", "--search", "1") == ["acme/a-1", "acme/b-1"]
    assert found("--author", "acme", "--author", "other") == [*list(hub.repos)]


def test_usage_errors(run: Run, models: Path, tmp_path: Path, monkeypatch: Any) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    written = tmp_path / "rows.ndjson"
    for words, message in (
        ((), "no model is named"),
        ((str(empty),), "no model was found"),
        (("-r", str(empty / "x")), "no such file"),
        (("qwen3-8b", "-o", "rows.txt"), "does not end in"),
        (("qwen3-8b", "-f", "parquet"), "Parquet is written to a file"),
        (("qwen3-8b", "-o", str(empty / "x" / "rows.csv")), "no such folder"),
        (("qwen3-8b", "--limit", "3"), "--limit"),
        (("qwen3-8b", "-f", "json", "-o", "rows.csv"), "grows line by line"),
    ):
        assert message in run("scan", *words, code=2)[1]
    run("scan", "qwen3-8b", "-o", str(written))
    before = written.read_bytes()
    assert (
        "without --config-only"
        in run("scan", "qwen3-8b", "--config-only", "-o", str(written), code=2)[1]
    )
    assert written.read_bytes() == before
    run("scan", "qwen3-8b", "--config-only", "-o", str(written), "--overwrite")
    assert len(lines(written)) == 1 and written.read_bytes() != before
    for text in ("{}\n", "[]\n", "null\n"):
        written.write_text(text)
        assert "is not a row" in run("scan", "qwen3-8b", "-o", str(written), code=2)[1]
    written.write_bytes(before.replace(b'"0.1.0"', b'"0.0.9"'))
    assert "was written by llmarch 0.0.9" in run("scan", "qwen3-8b", "-o", str(written), code=2)[1]
    for name in ("rows.csv", "rows.parquet"):
        (tmp_path / name).write_text("a,b\n1,2\n")
        assert "of a scan" in run("scan", "qwen3-8b", "-o", str(tmp_path / name), code=2)[1]


def test_without_pyarrow(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    _, err = run("scan", "qwen3-8b", "-o", str(tmp_path / "rows.parquet"), code=2)
    assert "llmarch[parquet]" in err


def test_duplicates(run: Run, models: Path, tmp_path: Path) -> None:
    expected = run.json("duplicates", str(models))
    assert expected["compared"] == MODELS - 4 and expected["fingerprints"] == 7
    assert {len(group["references"]) for group in expected["groups"]} <= {4, 5, 6}
    for suffix in ("ndjson", "csv", "parquet"):
        path = tmp_path / f"rows.{suffix}"
        run("scan", str(models), "-o", str(path))
        assert run.json("duplicates", str(path)) == expected
    out, _ = run("duplicates", str(models))
    assert out.splitlines()[-1] == (
        "36 models, 7 architectures, 7 of them of several models; 4 could not be compared"
    )
    assert "none of them of several models" in run("duplicates", "qwen3-8b", "gemma3-4b")[0]


@pytest.mark.slow
def test_a_scan_that_is_killed_is_completed(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "models"
    for i in range(120):
        (root / f"m{i:03}").mkdir(parents=True)
        keys = CONFIG | {"num_hidden_layers": i % 7 + 1}
        (root / f"m{i:03}" / "config.json").write_text(json.dumps(keys))
    whole, killed = tmp_path / "whole.ndjson", tmp_path / "killed.ndjson"
    run("scan", str(root), "-o", str(whole))
    command = [sys.executable, "-m", "llmarch", "scan", str(root), "-o", str(killed)]
    seed = random.Random(1)
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        before = killed.stat().st_size if killed.exists() else 0
        more = seed.randrange(1, 60_000)
        while process.poll() is None and (
            not killed.exists() or killed.stat().st_size < before + more
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    run("scan", str(root), "-o", str(killed))
    assert killed.read_bytes() == whole.read_bytes()
