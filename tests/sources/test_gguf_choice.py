"""Which GGUF files make one model, and which model a tag picks, locally and on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import Sparse
from helpers.gguf_files import headers_of, write_header
from helpers.loopback import Hub

import llmarch
from llmarch.errors import HeaderError, NotAModel, ReadError, UnknownReference
from llmarch.sources.gguf.choice import gguf_sets, only_set, set_of, tagged_set
from llmarch.sources.references import parse_reference

MANY = [
    "README.md",
    "Model-BF16/Model-BF16-00001-of-00002.gguf",
    "Model-BF16/Model-BF16-00002-of-00002.gguf",
    "Model-IQ4_XS.gguf",
    "Model-Q4_K_M.gguf",
    "Model-Q4_K_S.gguf",
    "Model-Q4_0.gguf",
    "Model-UD-Q4_K_XL.gguf",
    "Model-Q8_0.gguf",
    "mmproj-F16.gguf",
    "imatrix.gguf",
]


def test_files_of_one_model_are_one_set() -> None:
    sets = gguf_sets(MANY)
    assert [found.tag for found in sets] == [
        "BF16",
        "IQ4_XS",
        "Q4_0",
        "Q4_K_M",
        "Q4_K_S",
        "Q8_0",
        "UD-Q4_K_XL",
    ]
    assert sets[0].files == tuple(MANY[1:3])
    assert not sets[0].missing
    part = set_of("x-00002-of-00003.gguf", ["x-00002-of-00003.gguf", "x-00003-of-00003.gguf"])
    assert part.missing == ("x-00001-of-00003.gguf",)


@pytest.mark.parametrize(
    ("tag", "file"),
    [
        ("Q4_K_M", "Model-Q4_K_M.gguf"),
        ("q4_k_m", "Model-Q4_K_M.gguf"),
        ("q8_0", "Model-Q8_0.gguf"),
        ("Q4_K_XL", "Model-UD-Q4_K_XL.gguf"),
        ("UD-Q4_K_XL", "Model-UD-Q4_K_XL.gguf"),
        ("bf16", "Model-BF16/Model-BF16-00001-of-00002.gguf"),
        ("Model-Q4_0.gguf", "Model-Q4_0.gguf"),
        ("Model-BF16/Model-BF16-00002-of-00002.gguf", "Model-BF16/Model-BF16-00001-of-00002.gguf"),
    ],
)
def test_a_tag_picks_one(tag: str, file: str) -> None:
    assert tagged_set(MANY, tag, "org/x").files[0] == file


@pytest.mark.parametrize("tag", ["Q4_K", "Q5_0", "mmproj-F16", "Model"])
def test_a_tag_that_picks_none_lists_them(tag: str) -> None:
    with pytest.raises(UnknownReference) as error:
        tagged_set(MANY, tag, "org/x")
    assert tag in error.value.message
    assert "Q4_K_M" in str(error.value.hint)


def test_several_models_are_listed() -> None:
    with pytest.raises(NotAModel, match=r"7 GGUF models: BF16, IQ4_XS, .*UD-Q4_K_XL") as error:
        only_set(MANY, "org/x")
    assert error.value.hint == "name one: llmarch show org/x:BF16"
    assert only_set(["a.txt"], "x") is None
    with pytest.raises(UnknownReference, match="no GGUF files"):
        tagged_set(["a.txt"], "Q8_0", "org/x")


def test_references_with_a_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = parse_reference("org/name-GGUF:Q4_K_M")
    assert (found.kind, found.repo_id, found.tag) == ("hub", "org/name-GGUF", "Q4_K_M")
    found = parse_reference("org/name@v1:Q4_K_M")
    assert (found.repo_id, found.revision, found.tag) == ("org/name", "v1", "Q4_K_M")
    (tmp_path / "x").mkdir()
    found = parse_reference("./x:Q4_K_M")
    assert (found.kind, found.path, found.tag) == ("folder", Path("x"), "Q4_K_M")
    (tmp_path / "y:z.gguf").write_bytes(b"GGUF")
    assert parse_reference("./y:z.gguf").kind == "gguf"


def tensors_of(kind: str) -> list[tuple[str, tuple[int, ...], str]]:
    header = next(headers_of("qwen3"))
    return [(n, s, kind if len(s) > 1 else "F32") for n, s, _ in header.tensors]


def split_files(folder: Path, parts: int = 3) -> list[Path]:
    """Write a model in parts, as llama-gguf-split does: the first has the metadata."""
    keys = next(headers_of("qwen3")).keys
    tensors = tensors_of("Q8_0")
    size = len(tensors) // parts + 1
    paths: list[Path] = []
    for number in range(parts):
        own = tensors[number * size : (number + 1) * size]
        path = folder / f"Tiny-Q8_0-{number + 1:05}-of-{parts:05}.gguf"
        part_keys = keys if number == 0 else {k: keys[k] for k in ("general.architecture",)}
        paths.append(write_header(path, part_keys, own, file_type=7 if number == 0 else None))
    return paths


def test_parts_are_one_model(tmp_path: Path) -> None:
    paths = split_files(tmp_path)
    for reference in (tmp_path, *paths):
        reading = llmarch.load(str(reference))
        assert reading.status == "verified"
        assert reading.name == "Tiny-Q8_0"
        assert reading.check is not None
        assert reading.check.bits_per_weight == pytest.approx(8.5, abs=0.01)
    paths[1].unlink()
    reading = llmarch.load(str(tmp_path))
    assert reading.status == "partial"
    assert [f.path for f in reading.findings if f.rule == "shard-missing"] == [paths[1].name]


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    keys = next(headers_of("qwen3")).keys
    for number in (1, 2):
        write_header(tmp_path / f"x-0000{number}-of-00002.gguf", keys, tensors_of("Q8_0"))
    with pytest.raises(HeaderError, match="another file has it too"):
        llmarch.load(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("general.type", "adapter", "a LoRA adapter"),
        ("general.type", "mmproj", "a projector"),
        ("general.type", "imatrix", "an importance matrix"),
        ("general.architecture", "clip", "a projector"),
        ("general.architecture", "bert", "a text encoder"),
        ("general.architecture", "t5", "an encoder-decoder"),
    ],
)
def test_other_kinds_of_files_are_told(tmp_path: Path, key: str, value: str, words: str) -> None:
    keys = {**next(headers_of("qwen3")).keys, key: ["STRING", "", value]}
    path = write_header(tmp_path / "x.gguf", keys, tensors_of("F16"))
    with pytest.raises(NotAModel, match=words):
        llmarch.load(str(path))


# The Hub


def stored(path: Path) -> Sparse:
    """Return a file as the stand-in serves it: its header, and zeros."""
    reading = llmarch.load(str(path)).raw
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(reading.header_bytes)
    return Sparse(head, size)


def repository(tmp_path: Path) -> dict[str, Any]:
    header = next(headers_of("qwen3"))
    files: dict[str, Any] = {"README.md": b"#"}
    for tag, kind, number in (("Q4_K_M", "Q4_K", 15), ("Q8_0", "Q8_0", 7)):
        path = tmp_path / f"Tiny-{tag}.gguf"
        tensors = tensors_of(kind)
        write_header(path, header.keys, tensors, tokens=60_000, file_type=number)
        files[path.name] = stored(path)
    return files


def test_a_repository_is_read_by_ranges(hub: Hub, tmp_path: Path) -> None:
    files = repository(tmp_path)
    commit = hub.add("acme/Tiny-GGUF", files)
    hub.reset()
    reading = llmarch.load("acme/Tiny-GGUF:Q4_K_M")
    assert reading.status == "verified"
    assert (reading.raw.repo_id, reading.raw.commit) == ("acme/Tiny-GGUF", commit)
    assert reading.name == "Tiny-Q4_K_M"
    assert not hub.asked("Q8_0")
    assert hub.bytes < 6_000_000
    local = llmarch.load(str(tmp_path / "Tiny-Q4_K_M.gguf"))
    assert reading.architecture == local.architecture
    with pytest.raises(NotAModel, match="2 GGUF models: Q4_K_M, Q8_0"):
        llmarch.load("acme/Tiny-GGUF")
    with pytest.raises(UnknownReference, match="no GGUF model Q2_K"):
        llmarch.load("acme/Tiny-GGUF:Q2_K")


def test_the_only_model_of_a_repository_needs_no_tag(hub: Hub, tmp_path: Path) -> None:
    files = repository(tmp_path)
    del files["Tiny-Q8_0.gguf"]
    hub.add("acme/One-GGUF", files)
    assert llmarch.load("acme/One-GGUF").status == "verified"


def test_a_file_that_cannot_be_read_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.add("acme/Tiny-GGUF", repository(tmp_path))
    hub.broken["Q4_K_M"] = 404
    with pytest.raises(ReadError, match="Q4_K_M"):
        llmarch.load("acme/Tiny-GGUF:Q4_K_M")
