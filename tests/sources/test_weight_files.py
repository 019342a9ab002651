"""Which files count: held against transformers, the same from a folder, the Hub and the cache."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from helpers import models, paths
from helpers.checkpoints import Sparse, safetensors, write
from helpers.loopback import Files, Hub, serve

import llmarch
from llmarch.checkpoint.reading import Reading

pytestmark = pytest.mark.covered

ORACLE: dict[str, Any] = json.loads(
    gzip.decompress((paths.FIXTURES / "weight_files.json.gz").read_bytes())
)
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in ORACLE["rows"]}
DTYPES = {"new": "BF16", "old": "F32"}
"""What tells the sets apart here; the oracle tells them apart by their values."""
REPO = "acme/model"
INDEX = "model.safetensors.index.json"


def files_of(row: dict[str, Any]) -> Files:
    files: dict[str, bytes | Sparse] = {"config.json": json.dumps(ORACLE["config"]).encode()}
    for name, text in row["texts"].items():
        files[name] = text.encode()
    for name, content in row["files"].items():
        dtype = DTYPES[content["value"]]
        shapes = {tensor: tuple(ORACLE["shapes"][tensor]) for tensor in content["tensors"]}
        is_read = name.endswith(".safetensors")
        tensors = {tensor: (dtype, shape) for tensor, shape in shapes.items()}
        files[name] = safetensors(tensors) if is_read else b""
    return files


def values(reading: Reading) -> list[str]:
    """Return the sets that the tensors are of."""
    dtypes = {group.dtype for group in reading.raw.tensors or ()}
    return sorted(value for value, dtype in DTYPES.items() if dtype in dtypes)


def rules(reading: Reading) -> set[str]:
    return {finding.rule for finding in reading.findings}


@pytest.mark.parametrize("name", ROWS)
def test_transformers_agrees(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    reading = llmarch.load(str(write(tmp_path / "model", files_of(row))))
    if "error" in row:  # other engines may load it, which is said
        is_reported = "weights-by-reader" in rules(reading)
        assert reading.status == "verified" if is_reported else "partial"
        return
    is_whole = row["missing"] == 0
    if values(reading) != row["loads"]:
        assert name == "pickle beside shards without index"
        assert "weights-by-reader" in rules(reading)
    else:
        assert (reading.status == "verified") == is_whole, reading.findings
    if not is_whole:
        assert reading.status == "conflict"


@pytest.mark.parametrize("name", [name for name in ROWS if "beside shards" in name])
def test_where_readers_differ_it_is_told(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    reading = llmarch.load(str(write(tmp_path / "model", files_of(row))))
    both = {"model.safetensors", "model.safetensors.index.json"} <= {*row["files"], *row["texts"]}
    assert (reading.raw.rival is not None) == both
    if both:
        (finding,) = [f for f in reading.findings if f.rule == "weights-by-reader"]
        assert "transformers reads model.safetensors" in finding.message
        assert "vLLM the 2 files" in finding.message
    assert "tensor-in-two-shards" not in rules(reading)


def test_both_sets_are_compared_with_the_config(tmp_path: Path) -> None:
    row = ROWS["one file beside shards"]
    damaged = json.loads(json.dumps(row))
    second = damaged["files"]["model-00002-of-00002.safetensors"]
    del second["tensors"][2]
    reading = llmarch.load(str(write(tmp_path / "model", files_of(damaged))))
    assert reading.status == "conflict"
    found = [f for f in reading.findings if f.severity != "info"]
    assert {f.rule for f in found} == {"tensor-missing"}
    for finding in found:
        assert "in the 2 files that model.safetensors.index.json lists" in finding.message


def with_index(row: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Files:
    """Return the files of a row whose index lists other things."""
    files = files_of(ROWS[row])
    document = json.loads(cast("bytes", files[INDEX]))
    document["weight_map"] = change(document["weight_map"])
    return {**files, INDEX: json.dumps(document).encode()}


def test_an_index_that_lists_nothing_finds_no_weights(tmp_path: Path) -> None:
    shards = with_index("shards", lambda _: {})
    reading = llmarch.load(str(write(tmp_path / "shards", shards)))
    assert reading.status == "conflict"
    assert {"shard-missing", "tensor-missing"} <= rules(reading)
    beside = with_index("one file beside shards", lambda _: {})
    reading = llmarch.load(str(write(tmp_path / "beside", beside)))
    assert reading.status == "verified"
    (finding,) = [f for f in reading.findings if f.rule == "weights-by-reader"]
    assert "vLLM goes by model.safetensors.index.json, which lists no file" in finding.message


def test_paths_in_an_index_may_begin_with_the_folder(tmp_path: Path) -> None:
    files = with_index("shards", lambda m: {n: f"./{f}" for n, f in m.items()})
    reading = llmarch.load(str(write(tmp_path / "model", files)))
    assert reading.status == "verified"
    assert rules(reading) - {"newer-spelling"} == {"weights-by-reader"}


def test_what_only_the_index_lists_counts_where_it_may_be_needed(tmp_path: Path) -> None:
    def more(listed: dict[str, Any]) -> dict[str, Any]:
        return listed | {"model.layers.9.twist": min(listed.values())}

    files = with_index("shards", more)
    reading = llmarch.load(str(write(tmp_path / "model", files)))
    assert reading.status == "verified"
    assert [f.severity for f in reading.findings if f.rule == "index-tensor-missing"] == ["info"]
    config = json.loads(cast("bytes", files["config.json"])) | {"model_type": "twisted"}
    files = {**files, "config.json": json.dumps(config).encode()}
    observed = llmarch.inspect(str(write(tmp_path / "observed", files)))
    found = [f.severity for f in observed.findings if f.rule == "index-tensor-missing"]
    assert found == ["weights"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    with serve() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "cache"))
        yield server


def facts(reading: Reading) -> tuple[Any, ...]:
    raw = reading.raw
    tables = [raw.tensors, raw.rival.tensors if raw.rival else None]
    groups = [
        sorted((g.pattern, g.dtype, g.shape, sorted(g.indices)) for g in table or ())
        for table in tables
    ]
    return reading.status, sorted(map(str, reading.findings)), groups, raw.partial


@pytest.mark.parametrize("one_request", [False, True])
@pytest.mark.parametrize("file", ["quantize_config.json", "quant_config.json"])
def test_a_declaration_beside_the_config(
    hub: Hub, tmp_path: Path, file: str, one_request: bool
) -> None:
    content = dict(models.files("qwen3-0.6b-reduced-gptq", shards=2))
    config = json.loads(content["config.json"])  # pyright: ignore[reportArgumentType]
    content[file] = json.dumps(config.pop("quantization_config")).encode()
    content["config.json"] = json.dumps(config).encode()
    hub.add(REPO, content)
    hub.one_request = one_request
    local = llmarch.load(str(write(tmp_path / "model", content)))
    assert local.status == "verified" and "quantization-beside-config" in rules(local)
    for _ in ("remote", "cached"):
        reading = llmarch.load(REPO)
        assert facts(reading) == facts(local)
        assert reading.architecture == local.architecture
        assert reading.evidence == local.evidence


@pytest.mark.parametrize("one_request", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_every_source_gives_the_same_answer(
    hub: Hub, tmp_path: Path, name: str, one_request: bool
) -> None:
    files = files_of(ROWS[name])
    hub.add(REPO, files)
    hub.one_request = one_request
    local = llmarch.load(str(write(tmp_path / "model", files)))
    remote = llmarch.load(REPO)
    cached = llmarch.load(REPO)
    assert facts(remote) == facts(local)
    assert facts(cached) == facts(remote)
