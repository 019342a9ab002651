"""What a user may type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmarch.errors import NotAModel, UnknownReference
from llmarch.sources.references import Reference, parse_reference

pytestmark = pytest.mark.covered

COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("qwen3-235b", "qwen3-235b"),
        ("QWEN3-235B", "qwen3-235b"),
        ("qwen3_235b", "qwen3-235b"),
        ("qwen 3 235 b", "qwen3-235b"),
        ("Qwen3-235B-A22B", "qwen3-235b"),
        ("Qwen3-235B-A22B-Instruct", "qwen3-235b"),
        ("qwen-qwen3-235b", "qwen3-235b"),
        ("DeepSeek_V3", "deepseek-v3"),
        ("deepseek-v3.1", "deepseek-v3.1"),
        ("deepseek-v3-base", "deepseek-v3"),
        ("gpt-2", "gpt2"),
        ("gpt2-xl", "gpt2-xl"),
        ("gpt-oss-20b", "gpt-oss-20b"),
        ("meta-llama-3-8b", "llama3-8b"),
        ("llama3-8b-instruct", "llama3-8b"),
        ("Llama-3.2-1B", "llama3.2-1b"),
        ("llama-3.2-1b-instruct", "llama3.2-1b"),
        ("google-gemma-3-27b-it", "gemma3-27b"),
        ("gemma2-9b", "gemma2-9b"),
        ("kimi-k2", "kimi-k2"),
        ("kimi-k2-thinking", "kimi-k2-thinking"),
        ("kimi-linear", "kimi-linear"),
        ("qwen3-next", "qwen3-next"),
        ("mixtral", "mixtral-8x7b"),
        ("smollm3", "smollm3-3b"),
        ("mistral-small-3.1", "mistral-small-3.1"),
        ("mistral-large-3", "mistral-large-3"),
        ("llama4-maverick", "llama4-maverick"),
        ("olmo2-7b", "olmo2-7b"),
        ("olmo-2-1124-7b", "olmo2-7b"),
    ],
)  # fmt: skip
def test_aliases(text: str, alias: str) -> None:
    assert parse_reference(text) == Reference(text, "spec", alias=alias)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("gpt-oss", "could be gpt-oss-120b or gpt-oss-20b", "one of these"),
        ("qwen3", "could be qwen3-0.6b, ", "one of these"),
        ("llama4", "llama4-maverick or llama4-scout", "one of these"),
        ("qwen3-236b", "not a bundled model", "qwen3-235b"),
        ("depseek-v3", "not a bundled model", "deepseek-v3"),
        ("xyzzy", "not a bundled model", "llmarch list"),
        ("mistral-small-3", "not a bundled model", "mistral-small-3.1"),
        ("", "does not name a model", "llmarch list"),
        ("   ", "does not name a model", "llmarch list"),
        ("a\x1b[31m", "does not name a model", "llmarch list"),
        ("qwen3-8b@main", "qwen3-8b is a bundled model, which has no revisions",
         "Qwen/Qwen3-8B@main"),
        ("=", "not a bundled model", ""),
        ("it", "not a bundled model", ""),
        ("a/b/c/", "neither an existing path", "org/name"),
        ("a/b//c", "neither an existing path", "org/name"),
        ("a/b/../c", "neither an existing path", "org/name"),
        ("hf://spaces/a/b", "not the address of a model", ""),
        ("a/b@", "neither an existing path", "org/name"),
        ("a/..", "existing path|not a valid name", ""),
        ("a--b/c", "not a valid name of a repository", ""),
        ("a/b.git", "not a valid name of a repository", ""),
        ("a/b@../x", "not a valid revision", "branch"),
        ("a/b@x//y", "not a valid revision", "branch"),
        ("./nothing", "no such file or folder", ""),
        ("nothing.json", "no such file or folder", ""),
        ("~nobody-here/x", "nobody|no such file", ""),
        ("https://huggingface.co/datasets/a/b", "address of a dataset", ""),
        ("https://huggingface.co/", "does not name a repository", ""),
        ("hf://datasets/a/b", "not the address of a model", ""),
    ],
)  # fmt: skip
def test_what_names_nothing(text: str, message: str, hint: str) -> None:
    with pytest.raises(UnknownReference, match=message) as error:
        parse_reference(text)
    assert hint in (error.value.hint or "")
    assert error.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-235B-A22B", None),
        ("Qwen/Qwen3-8B@main", "Qwen/Qwen3-8B", "main"),
        ("Qwen/Qwen3-8B@v1.0", "Qwen/Qwen3-8B", "v1.0"),
        ("Qwen/Qwen3-8B@refs/pr/7", "Qwen/Qwen3-8B", "refs/pr/7"),
        (f"Qwen/Qwen3-8B@{COMMIT}", "Qwen/Qwen3-8B", COMMIT),
        ("_o/x_y.z-1", "_o/x_y.z-1", None),
        ("https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("http://www.huggingface.co/Qwen/Qwen3-8B/", "Qwen/Qwen3-8B", None),
        ("hf.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("huggingface.co/Qwen/Qwen3-8B?x=1#readme", "Qwen/Qwen3-8B", None),
        ("https://huggingface.co/models/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B", "main"),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/refs%2Fpr%2F7", "Qwen/Qwen3-8B", "refs/pr/7"),
        ("https://huggingface.co/Qwen/Qwen3-8B/blob/v2/config.json", "Qwen/Qwen3-8B", "v2"),
        (f"https://huggingface.co/Qwen/Qwen3-8B/resolve/{COMMIT}/model.safetensors?download=true",
         "Qwen/Qwen3-8B", COMMIT),
        ("https://huggingface.co/Qwen/Qwen3-8B/discussions/3", "Qwen/Qwen3-8B", None),
        ("https://huggingface.co/gpt2", "gpt2", None),
        ("hf://Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("hf://models/Qwen/Qwen3-8B@v1", "Qwen/Qwen3-8B", "v1"),
    ],
)  # fmt: skip
def test_hub(text: str, repo: str, revision: str | None) -> None:
    assert parse_reference(text) == Reference(text, "hub", repo_id=repo, revision=revision)


@pytest.mark.parametrize(
    ("text", "folder", "revision", "tag"),
    [
        ("org/name/sub", "sub", None, None),
        ("org/name/a/b.1@v1", "a/b.1", "v1", None),
        ("org/name/sub@refs/pr/7", "sub", "refs/pr/7", None),
        ("org/name/sub:Q4_K_M", "sub", None, "Q4_K_M"),
        ("hf://org/name/text_encoder", "text_encoder", None, None),
        ("https://huggingface.co/org/name/tree/main/a/b", "a/b", "main", None),
        ("https://huggingface.co/org/name/tree/refs/pr/7/sub", "sub", "refs/pr/7", None),
        ("https://huggingface.co/org/name/blob/main/sub/config.json", "sub", "main", None),
    ],
)
def test_folders_of_repositories(
    text: str, folder: str, revision: str | None, tag: str | None
) -> None:
    expected = Reference(text, "hub", repo_id="org/name", revision=revision, folder=folder, tag=tag)
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "kind", "url", "tag"),
    [
        ("https://example.com/a/b", "folder", "https://example.com/a/b", None),
        ("http://127.0.0.1:8080", "folder", "http://127.0.0.1:8080", None),
        ("s3://b/m/model.safetensors", "safetensors", "s3://b/m/model.safetensors", None),
        ("s3://b/m/config.json", "config", "s3://b/m/config.json", None),
        ("s3://b/m/model.safetensors.index.json", "folder", "s3://b/m/", None),
        ("gs://b/m.gguf", "gguf", "gs://b/m.gguf", None),
        ("az://b/m:Q4_K_M", "folder", "az://b/m", "Q4_K_M"),
        ("s3://b:Q4_K_M", "folder", "s3://b", "Q4_K_M"),
        ("zip://m/config.json::s3://b/a.zip", "config", "zip://m/config.json::s3://b/a.zip", None),
        ("modelscope://org/name@v1", "folder", "modelscope://org/name@v1", None),
    ],
)
def test_other_places(text: str, kind: Any, url: str, tag: str | None) -> None:
    assert parse_reference(text) == Reference(text, kind, url=url, tag=tag)


def test_the_host_of_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example:8080/hub/")
    for text in (
        "http://mirror.example:8080/hub/a/b/tree/v1",
        "mirror.example:8080/hub/a/b/tree/v1",
    ):
        assert parse_reference(text) == Reference(text, "hub", repo_id="a/b", revision="v1")


def test_paths(elsewhere: Path) -> None:
    folder = elsewhere / "model"
    folder.mkdir()
    for name in (
        "config.json",
        "params.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "other.txt",
    ):
        (folder / name).write_text("{}")
    assert parse_reference("./model").kind == "folder"
    assert parse_reference(str(folder)).kind == "folder"
    assert parse_reference(".").path == Path(".")
    assert parse_reference("model/config.json") == Reference(
        "model/config.json", "config", path=Path("model/config.json")
    )
    assert parse_reference("./model/params.json").kind == "config"
    assert parse_reference("model/model.safetensors").kind == "safetensors"
    assert parse_reference("model/model.safetensors.index.json") == Reference(
        "model/model.safetensors.index.json", "folder", path=Path("model")
    )
    with pytest.raises(UnknownReference, match="neither a folder nor"):
        parse_reference("./model/other.txt")
    with pytest.raises(UnknownReference) as error:
        parse_reference("model/confg.json")
    assert error.value.hint == "there is config.json"
    (folder / "x.gguf").write_text("")
    assert parse_reference("model/x.gguf").kind == "gguf"
    (folder / "sha256-0").write_bytes(b"GGUF....")
    assert parse_reference("./model/sha256-0").kind == "gguf"
    (folder / "x.bin").write_text("")
    with pytest.raises(NotAModel, match="a pickle"):
        parse_reference("model/x.bin")


def test_home(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(elsewhere))
    (elsewhere / "config.json").write_text("{}")
    assert parse_reference("~/config.json").path == elsewhere / "config.json"
    assert parse_reference("~").path == elsewhere


def test_an_existing_path_is_no_folder_of_a_repository(elsewhere: Path) -> None:
    (elsewhere / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(UnknownReference, match="neither an existing path"):
        parse_reference("a/b/c")
    (elsewhere / "a" / "b" / "c" / "config.json").write_text("{}")
    assert parse_reference("a/b/c").kind == "folder"


def test_folders_without_a_dot(elsewhere: Path) -> None:
    """In this order: an exact alias, a folder with a model, the Hub, the search for aliases."""
    for name in ("qwen3-8b", "qwen3-8b-instruct", "acme/model", "empty", "acme/empty"):
        (elsewhere / name).mkdir(parents=True)
        if "empty" not in name:
            (elsewhere / name / "config.json").write_text("{}")
    assert parse_reference("qwen3-8b").kind == "spec"
    assert parse_reference("./qwen3-8b").kind == "folder"
    assert parse_reference("qwen3-8b-instruct").kind == "folder"
    assert parse_reference("acme/model").kind == "folder"
    assert parse_reference("https://huggingface.co/acme/model").kind == "hub"
    assert parse_reference("acme/model@main").kind == "hub"
    assert parse_reference("acme/empty").kind == "hub"
    with pytest.raises(UnknownReference):
        parse_reference("empty")


def test_importing_it_is_cheap() -> None:
    heavy = {"pydantic", "huggingface_hub", "rich", "typer", "httpx2", "difflib"}
    loaded = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, llmarch.sources.references; print(sorted({loaded} & {heavy}))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
