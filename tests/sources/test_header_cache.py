"""The cache of headers: whole entries or none, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmarch.architecture.schema import Finding
from llmarch.sources import header_cache as cache
from llmarch.sources.raw import RawModel, RivalWeights, TensorTable

ENDPOINT, REPO, COMMIT = "https://hub.example", "acme/model", "c" * 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def model(**changes: Any) -> RawModel:
    names = [
        "embed",
        *(f"layers.{i}.experts.{j}.w" for i in range(9) for j in range(7)),
        "layers.x.3",
        "scalar",
    ]
    fields: dict[str, Any] = {
        "reference": "r", "kind": "hub", "name": "model", "config": {"b": 1, "a": [1.5, None,
        float("inf")]}, "config_file": "config.json",
        "repo_id": REPO, "commit": COMMIT, "files": ("config.json", "ü.txt"), "header_bytes": 123,
        "findings": [Finding(rule="x", path="p", message="m", old=1, new=[2])],
        "tensors": TensorTable.from_tensors((n, "BF16", () if n == "scalar" else (3,
        4)) for n in names),
    }  # fmt: skip
    return RawModel(**fields | changes)


def load(commit: str = COMMIT, repo: str = REPO, endpoint: str = ENDPOINT) -> RawModel | None:
    return cache.load_model(endpoint, repo, commit, reference="again", revision="main")


def same(a: RawModel, b: RawModel) -> bool:
    tables = [[(g.pattern, g.dtype, g.shape, g.indices) for g in m.tensors or ()] for m in (a, b)]
    rest = [
        (
            m.kind,
            m.name,
            m.config,
            m.config_file,
            m.repo_id,
            m.commit,
            m.files,
            m.header_bytes,
            m.findings,
            m.partial,
        )
        for m in (a, b)
    ]
    return tables[0] == tables[1] and rest[0] == rest[1]


def test_what_is_stored_is_loaded() -> None:
    cache.store_model(ENDPOINT, REPO, model())
    found = load()
    assert found is not None
    assert same(found, model())
    assert (found.reference, found.revision) == ("again", "main")


def test_a_model_without_tensors() -> None:
    cache.store_model(ENDPOINT, REPO, model(tensors=None))
    found = load()
    assert found is not None
    assert found.tensors is None


def test_other_keys_are_other_entries() -> None:
    cache.store_model(ENDPOINT, REPO, model())
    assert load("d" * 40) is None
    assert load(repo="acme/other") is None
    assert load(endpoint="https://other.example") is None


def test_partial_readings_are_not_kept(home: Path) -> None:
    cache.store_model(ENDPOINT, REPO, model(partial=True))
    assert load() is None
    assert not home.exists()


def entry(home: Path) -> Path:
    (path,) = home.rglob("*.z")
    return path


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "flipped", "text", "other", "numbers", "folder"]
)
def test_a_damaged_entry_is_none(home: Path, damage: str) -> None:
    cache.store_model(ENDPOINT, REPO, model())
    path = entry(home)
    data = path.read_bytes()
    content = zlib.decompress(data)
    path.unlink()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flipped":
            path.write_bytes(data[:40] + bytes([data[40] ^ 255]) + data[41:])
        case "text":
            path.write_bytes(b"not an entry")
        case "other":
            path.write_bytes(zlib.compress(b'{"key": ["a"]}\n'))
        case "numbers":
            path.write_bytes(zlib.compress(content[:-8]))
        case _:
            path.mkdir()
    assert load() is None
    if damage != "folder":
        cache.store_model(ENDPOINT, REPO, model())
        assert load() is not None


def test_an_interrupted_write_leaves_the_old_entry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store_model(ENDPOINT, REPO, model())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.store_model(ENDPOINT, REPO, model(header_bytes=9))
    found = load()
    assert found is not None
    assert found.header_bytes == 123
    assert list(home.rglob("*.tmp")) == []


def test_a_killed_writer_does_no_harm(home: Path) -> None:
    cache.store_model(ENDPOINT, REPO, model())
    leftover = entry(home).parent / ".killed.tmp"
    leftover.write_bytes(b"half")
    assert load() is not None
    assert cache.usage().entries == 1


def test_writers_and_readers_at_once() -> None:
    def work(number: int) -> bool:
        cache.store_model(ENDPOINT, REPO, model(header_bytes=number))
        found = load()
        return found is not None and same(found, model(header_bytes=found.header_bytes))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    path = [str(Path(__file__).parent), *sys.path]
    each = "t.cache.store_model(t.ENDPOINT, t.REPO, t.model(header_bytes=i)); assert t.load()"
    imports = f"import sys; sys.path[:0] = {path!r}\nimport test_header_cache as t"
    code = f"{imports}\nfor i in range(40): {each}"
    processes = [subprocess.Popen([sys.executable, "-c", code], env=os.environ) for _ in range(3)]
    assert [p.wait() for p in processes] == [0, 0, 0]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_no_error(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    cache.store_model(ENDPOINT, REPO, model())
    assert load() is None


def test_a_file_in_place_of_the_folder_is_no_error(home: Path) -> None:
    home.write_text("in the way")
    cache.store_model(ENDPOINT, REPO, model())
    cache.remember_commit(ENDPOINT, REPO, "main", COMMIT)
    assert load() is None
    assert cache.last_commit(ENDPOINT, REPO, "main") is None
    assert cache.usage().entries == 0


def test_branches() -> None:
    assert cache.last_commit(ENDPOINT, REPO, "refs/pr/1") is None
    cache.remember_commit(ENDPOINT, REPO, "refs/pr/1", COMMIT)
    assert cache.last_commit(ENDPOINT, REPO, "refs/pr/1") == COMMIT
    cache.remember_commit(ENDPOINT, REPO, "refs/pr/1", "d" * 40)
    assert cache.last_commit(ENDPOINT, REPO, "refs/pr/1") == "d" * 40


def test_info_and_clear(home: Path) -> None:
    assert cache.usage() == cache.CacheUsage(home, 0, 0)
    for commit in ("a" * 40, "b" * 40):
        cache.store_model(ENDPOINT, REPO, model(commit=commit))
    (home / "mine.txt").write_text("not llmarch's")
    before = cache.usage()
    assert before.entries == 2
    assert before.bytes == sum(p.stat().st_size for p in home.rglob("*.z"))
    assert cache.delete_all() == before
    assert cache.usage().entries == 0
    assert [p.name for p in home.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("platform", "env", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/llmarch"),
        ("linux", {}, "/home/me/.cache/llmarch"),
        ("darwin", {}, "/home/me/Library/Caches/llmarch"),
        ("linux", {"LLMARCH_CACHE": "~/mine", "XDG_CACHE_HOME": "/x"}, "/home/me/mine"),
        ("linux", {"LLMARCH_CACHE": "~nobody-here/x"}, "~nobody-here/x"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, platform: str, env: dict[str, str], folder: str
) -> None:
    for name in ("LLMARCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(cache.sys, "platform", platform)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder() == Path(folder)


def rewrite(home: Path, change: Callable[[dict[str, Any]], object], tail: bytes = b"") -> None:
    """Write an entry that is well-formed, with another content."""
    path = entry(home)
    line, _, numbers = zlib.decompress(path.read_bytes()).partition(b"\n")
    head = json.loads(line)
    change(head)
    path.write_bytes(zlib.compress(json.dumps(head).encode() + b"\n" + numbers + tail))


def setting(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda head: head.update({key: value})


def group(place: int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(head: dict[str, Any]) -> None:
        head["groups"][1][place] = value

    return change


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


WRONG: list[Any] = [3, -1, 1.5, True, "x", [], [[]], {}, {"a": 1}, None, 10**30]
OTHER_TYPES = [
    setting(key, value)
    for key, kinds in {
        "config": (dict, type(None)),
        "name": (str,),
        "repo_id": (str, type(None)),
        "config_file": (str,),
        "quantization_file": (str,),
        "files": (list,),
        "header_bytes": (),
        "findings": (list,),
        "groups": (list, type(None)),
        "rival": (type(None),),
    }.items()
    for value in WRONG
    if type(value) not in kinds and (key, value) != ("header_bytes", 3)
]
HOSTILE: list[Callable[[dict[str, Any]], object]] = [
    *OTHER_TYPES,
    *(
        group(place, value)
        for place in range(5)
        for value in WRONG
        if (place, value) not in ((2, None), (2, []))
    ),
    setting("config", nested(900)),
    setting("files", [3]),
    setting("findings", [{"rule": 1, "path": "", "message": ""}]),
    setting("findings", [{"rule": "a", "path": "b", "message": "c", "severity": "none"}]),
    setting("findings", [{"rule": "a", "path": "b", "message": "c", "new": float("nan")}]),
    setting("findings", [{"rule": "a", "path": "b", "message": "c", "twist": 1}]),
    setting("rival", {"words": "w", "findings": [], "groups": [["x", "BF16", [1], 3, 1]]}),
    setting("files", [""] * 3_000_000),
    setting("groups", [["x", "BF16", [1], 10**10, 0]]),
    group(2, [2**62, 4]),
    group(2, [-3, -4]),
    group(3, 62),
    group(4, 3),
    lambda head: head["groups"].append(head["groups"][0]),
    lambda head: head.pop("groups"),
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_well_formed_entry_with_hostile_content_is_none(
    home: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    cache.store_model(ENDPOINT, REPO, model())
    rewrite(home, lambda head: None)
    assert load() is not None
    rewrite(home, change)
    assert load() is None


def test_more_numbers_than_tensors_are_none(home: Path) -> None:
    cache.store_model(ENDPOINT, REPO, model())
    rewrite(home, lambda head: None, tail=b"0000")
    assert load() is None


def test_a_second_set_of_weights_is_kept() -> None:
    table = TensorTable.from_tensors((f"layers.{i}.w", "F16", (5,)) for i in range(3))
    finding = Finding(rule="x", path="p", message="m")
    stored = model(rival=RivalWeights("the other", table, False, [finding]), quantization_file="q")
    cache.store_model(ENDPOINT, REPO, stored)
    found = load()
    assert found is not None and found.rival is not None and same(found, stored)
    assert (found.rival.words, found.rival.findings) == ("the other", [finding])
    assert [(g.pattern, g.dtype, g.shape, g.indices) for g in found.rival.tensors] == [
        ("layers.{}.w", "F16", (5,), [(0,), (1,), (2,)])
    ]
    assert found.quantization_file == "q"
