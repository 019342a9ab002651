"""The row of a model: the same keys for every one, and what `show` says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import safetensors, write
from helpers.facts import one_of_each_kind, reading

import llmarch
from llmarch.architecture.fingerprint import fingerprint
from llmarch.architecture.json_schema import validate
from llmarch.renderers import json as documents
from llmarch.renderers.rows import csv_head, csv_line, ndjson_line, parse_csv, parse_ndjson
from llmarch.scanning.columns import row_columns
from llmarch.scanning.duplicates import group_by_fingerprint
from llmarch.scanning.row import read_row
from llmarch.scanning.run import ScanWorkers, scan_rows

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
}
FIGURES = {
    "total_parameters": "total",
    "active_parameters": "active",
    "active_parameters_without_embedding": "active_without_embedding",
    "embedding_parameters": "embedding",
    "encoder_parameters": "vision",
    "mtp_parameters": "mtp",
    "stored_elements": "stored",
    "status": "status",
}
NAMES = [column.name for column in row_columns()]


def rows(*references: str, **options: Any) -> list[Any]:
    return llmarch.scan(references, **options)


def config(folder: Path, **keys: Any) -> str:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | keys))
    return str(folder)


@pytest.mark.sweep
@pytest.mark.parametrize("alias", one_of_each_kind())
def test_a_row_says_what_show_says(alias: str) -> None:
    row: Any = read_row(alias, lambda _: reading(alias))
    shown = documents.model_document(reading(alias))
    validate(row)
    assert list(row) == NAMES
    figures = shown["parameters"]
    for name, figure in FIGURES.items():
        assert row[name] == figures[figure]
    assert row["layers"] == len(shown["architecture"]["layers"])
    assert row["cache_bytes_per_token"] == shown["cache"]["growing_bytes_per_token"]
    assert row["fingerprint"] == fingerprint(reading(alias).architecture)
    assert row["facts"]["hidden_size"] == row["hidden_size"]
    assert json.loads(ndjson_line(row)) == json.loads(documents.json_text(row))


def test_main_facts(tmp_path: Path) -> None:
    (row,) = rows("qwen3-235b")
    assert (row["heads"], row["kv_heads"], row["head_dim"]) == (64, 4, 128)
    assert (row["experts"], row["active_experts"]) == (128, 8)
    assert (row["tied"], row["rope_theta"], row["attention"]) == (False, 1e6, ["gqa"])
    assert row["facts"]["mixers.full.rope.theta"] == 1e6
    (row,) = rows("deepseek-v3")
    assert (row["heads"], row["kv_heads"], row["head_dim"]) == (128, None, 192)
    (row,) = rows(config(tmp_path / "mamba", model_type="mamba"))
    assert (row["heads"], row["head_dim"]) == (None, None)


def test_headers_are_in_the_row(tmp_path: Path) -> None:
    folder = config(tmp_path / "m")
    embedding = safetensors({"model.embed_tokens.weight": ("BF16", (100, 64))})
    write(Path(folder), {"model.safetensors": embedding})
    (row,) = rows(folder)
    assert row["status"] == "conflict" and row["tensors"] == 1
    assert row["stored_elements"] == 6_400 and row["stored_bytes"] == 12_800
    assert "tensor-missing" in {f["rule"] for f in row["findings"]}
    (row,) = rows(folder, headers=False)
    assert row["config_only"] and row["stored_elements"] is None and row["status"] == "computed"


def test_errors_are_rows(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    found = rows(str(broken), "no such model", "qwen3-8b")
    assert [row["status"] for row in found] == ["error", "error", "computed"]
    assert [row["error_kind"] for row in found] == ["ConfigError", "UnknownReference", None]
    assert [row["exit_code"] for row in found] == [2, 2, 0]
    for row in found:
        validate(row)
        assert list(row) == NAMES


def test_a_fault_of_llmarch_is_a_row() -> None:
    def read(_: str) -> Any:
        raise ZeroDivisionError("a\x1b[31m")

    (row,) = scan_rows(["qwen3-8b"], read)
    assert row["error_kind"] == "InternalError" and row["exit_code"] == 70
    assert row["error"] == "ZeroDivisionError: a\\x1b[31m"


def test_models_that_no_family_reads(tmp_path: Path) -> None:
    known = config(tmp_path / "alone", model_type="nobody_knows")
    stored = config(tmp_path / "stored", model_type="nobody_knows")
    write(Path(stored), {"model.safetensors": safetensors({"embed.weight": ("BF16", (32, 8))})})
    alone, observed = rows(known, stored)
    assert alone["status"] == observed["status"] == "observed"
    assert alone["fingerprint"] is None
    assert observed["fingerprint"].startswith("sha256:")
    assert observed["stored_elements"] == 256 and observed["model_type"] == "nobody_knows"


def test_rows_stand_in_the_order_of_the_references(tmp_path: Path) -> None:
    folders = [config(tmp_path / str(i), num_hidden_layers=i + 1) for i in range(70)]
    folders[20:20] = ["nothing here", "qwen3-8b"]
    expected = rows(*folders)
    assert [row["reference"] for row in expected] == folders
    assert list(scan_rows(iter(folders), llmarch.inspect, workers=ScanWorkers(2, 2))) == expected


def test_csv_has_a_line_a_row(tmp_path: Path) -> None:
    found = rows("qwen3-8b", "gemma3-4b", "no\nmodel", "=1+1")
    lines = [csv_head(), *map(csv_line, found)]
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in lines)
    parsed = list(parse_csv([line.removesuffix("\n") for line in lines], "rows.csv"))
    assert [line for line, _ in parsed] == lines[1:]
    assert json.loads(parsed[0][1]["facts"]) == json.loads(ndjson_line(found[0]))["facts"]
    assert parsed[3][1]["reference"] == "'=1+1"


def test_text_that_utf8_cannot_hold() -> None:
    """The name of a file need not be text."""
    (row,) = rows("./no\udc80model")
    assert row["reference"] == "./no\udc80model" and row["status"] == "error"
    for line in (ndjson_line(row), csv_line(row)):
        line.encode()
    ((_, read),) = parse_ndjson([ndjson_line(row).strip()], "rows.ndjson")
    assert read == row


def test_duplicates_are_grouped_by_their_facts(tmp_path: Path) -> None:
    one = config(tmp_path / "one")
    same = config(tmp_path / "same", torch_dtype="float16", rope_theta=10000.0)
    other = config(tmp_path / "other", hidden_size=128)
    found = group_by_fingerprint(rows(one, other, same, same, "nothing at all"))
    assert [group["references"] for group in found["groups"]] == [[one, same]]
    assert found["compared"] == 3 and found["fingerprints"] == 2
    assert found["without_fingerprint"] == 1
    validate(dict(found))
