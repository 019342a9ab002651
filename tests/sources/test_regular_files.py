"""Pipes and devices are refused wherever a path is read, and no file is read beyond its limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checkpoints import model, write
from helpers.program import Run

import llmarch
from llmarch.errors import ConfigError, HeaderError, LlmarchError, ReadError
from llmarch.sources import header_cache, project
from llmarch.sources.local import read_header
from llmarch.sources.regular_files import NotRegularError, read_regular
from llmarch.sources.safetensors import budget
from llmarch.sources.strict_json import MAX_VALUES, parse_object

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


KINDS = {"a named pipe": pipe, "a device": device}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["config.json", INDEX, SHARD, "hf_quant_config.json", "quantize_config.json"]
)
def test_a_file_of_a_folder(tmp_path: Path, kind: str, name: str) -> None:
    folder = write(tmp_path, model(3))
    KINDS[kind](folder / name)
    with pytest.raises(ReadError, match=f"{name}: is {kind}, not a file"):
        llmarch.load(str(folder))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["config.json", "params.json", "x.json", "x.safetensors"])
def test_a_file_that_is_named(tmp_path: Path, kind: str, name: str) -> None:
    KINDS[kind](tmp_path / name)
    with pytest.raises(LlmarchError, match=f"is {kind}, not a file"):
        llmarch.inspect(str(tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_and_the_cache(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.lock"
    KINDS[kind](path)
    with pytest.raises(ConfigError, match=f"is {kind}, not a file"):
        project.read_lock("x.lock")
    for words in (["check", "--lock", "x.lock"], ["check", "qwen3-8b", "--against", "x.lock"]):
        assert f"is {kind}" in run(*words, code=2)[1]
    KINDS[kind](tmp_path / "llmarch.toml")
    assert project.read_settings(tmp_path) == ({}, "")
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "cache"))
    entry = tmp_path / "cache/v1/hub.example/a--b" / f"{'c' * 40}.json.z"
    entry.parent.mkdir(parents=True)
    KINDS[kind](entry)
    assert header_cache.load_reading("https://hub.example", "a/b", "c" * 40) is None


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert read_regular(file, 100) == b"x" * 100
    assert read_regular(file, 10) == b"x" * 11
    with pytest.raises(NotRegularError):
        read_regular(tmp_path, 10)


@pytest.mark.parametrize("part", [b"[],", b"0,", b'"ab",', b"{},"])
def test_a_json_file_has_a_limit_of_values(part: bytes) -> None:
    data = b'{"a":[' + part * MAX_VALUES + b"0]}"
    with pytest.raises(ConfigError, match="values, limit 1,000,000"):
        parse_object(data, file="index.json", limit=len(data))


BUDGETS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "bytes": lambda patch: patch.setattr(budget, "MAX_ALL_BYTES", 2_000),
    "tensors": lambda patch: patch.setattr(budget, "MAX_ALL_TENSORS", 30),
}


@pytest.mark.parametrize("limit", BUDGETS)
def test_all_headers_together_have_a_limit(
    tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, model(3))
    BUDGETS[limit](monkeypatch)
    with pytest.raises(
        HeaderError, match=f"checkpoint .* more than [0-9,]+ ?{'bytes' * (limit == 'bytes')}"
    ):
        llmarch.load(str(folder))
    assert read_header(folder / SHARD, SHARD).names, "each of them is within the limit"
