"""The cache of headers: whole entries or none, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from llmarch.errors import LlmarchError
from llmarch.sources import header_cache as cache
from llmarch.sources.cache_entries import has_contents, unpack_entry
from llmarch.sources.identity import content_id
from llmarch.sources.index import ShardIndex
from llmarch.sources.raw import DtypeShape
from llmarch.sources.repo_files import choose_weights
from llmarch.sources.repo_reading import RepoReading, raw_model
from llmarch.sources.safetensors import Header
from llmarch.sources.weight_sets import decide_sets, merge_sets

ENDPOINT, REPO, COMMIT = "https://hub.example", "acme/model", "c" * 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


NAMES = [
    "embed",
    *(f"layers.{i}.experts.{j}.w" for i in range(9) for j in range(7)),
    "layers.x.3",
]
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
CONFIG = b'{"model_type": "llama", "b": 1, "a": [1.5, null, Infinity]}'
FILES = ("config.json", *SHARDS, "model.safetensors.index.json", "tokenizer.json", "\u00fc.txt")


def checkpoint(rival: bool = False, copy: tuple[int, ...] = (3, 4)) -> RepoReading:
    """What was read of two shards, whose index is wrong in every way that loads.

    copy: the shape of a tensor in the second file that the first one has as (3, 4).
    """
    files = tuple(sorted([*FILES, "model.safetensors"])) if rival else FILES
    kinds: list[DtypeShape] = [("BF16", (3, 4)) for _ in NAMES]
    first = Header(SHARDS[0], 500, 24 * 40, NAMES[:40], kinds[:40], {"format": "pt"})
    second = Header(SHARDS[1], 700, 24 * 28, [*NAMES[40:], *NAMES[:2], "twice"], [])
    second.kinds = [*kinds[:26], ("BF16", copy), ("F32", (3, 2))]
    second.metadata = first.metadata
    listed = dict.fromkeys(NAMES[:41], SHARDS[0]) | dict.fromkeys(NAMES[41:], SHARDS[1])
    index = ShardIndex("model.safetensors.index.json", listed | {"gone": SHARDS[1]}, {})
    index.metadata["total_size"] = 7
    headers = {SHARDS[0]: first, SHARDS[1]: second}
    if rival:
        headers["model.safetensors"] = Header("model.safetensors", 900, 24, ["scalar"], kinds[:1])
    weights = choose_weights(files)
    merged = merge_sets(
        weights, decide_sets(weights, index.summary, files), headers, files, index=index
    )
    beside = "sha256:" + "b" * 64 + " size:9"
    ids = {"config.json": content_id(CONFIG).partition(" ")[0], "tokenizer.json": beside}
    return RepoReading(
        requested_id=REPO, repo_id=REPO, commit=COMMIT, files=files, file_ids=ids,
        texts={"config.json": CONFIG}, index=index.summary, merged=merged,
    )  # fmt: skip


def changed(**changes: Any) -> RepoReading:
    return replace(checkpoint(), **changes)


def load(commit: str = COMMIT, repo: str = REPO, endpoint: str = ENDPOINT) -> RepoReading | None:
    return cache.load_reading(endpoint, repo, commit)


def facts(reading: RepoReading) -> list[Any]:
    model = raw_model(reading, reference="r", revision="main")
    tables = [model.tensors, model.rival.tensors if model.rival is not None else None]
    groups = [[(g.pattern, g.dtype, g.shape, g.indices) for g in t or ()] for t in tables]
    rival = model.rival and (model.rival.words, model.rival.findings)
    model.tensors = model.rival = None
    return [groups, rival, [t.writer for t in tables if t is not None], model]


def same(a: RepoReading, b: RepoReading) -> bool:
    return facts(a) == facts(b)


@pytest.mark.parametrize("rival", [False, True])
def test_what_is_stored_is_loaded(rival: bool) -> None:
    reading = checkpoint(rival, copy=(4, 3))
    rules = {finding.rule for finding in facts(reading)[-1].findings}
    if not rival:
        assert {"index-tensor-missing", "index-wrong-shard", "index-tensor-unlisted"} <= rules
        assert {"tensor-in-two-shards", "index-total-size"} <= rules
    cache.store_reading(ENDPOINT, reading)
    found = load()
    assert found is not None
    assert same(found, reading)


def test_a_model_without_tensors() -> None:
    files = ("README.md", "config.json")
    reading = changed(merged=None, index=None, files=files, file_ids={})
    cache.store_reading(ENDPOINT, reading)
    found = load()
    assert found is not None
    assert found.merged is None


def test_other_keys_are_other_entries() -> None:
    cache.store_reading(ENDPOINT, checkpoint())
    assert load("d" * 40) is None
    assert load(repo="acme/other") is None
    assert load(endpoint="https://other.example") is None


def test_partial_readings_are_not_kept(home: Path) -> None:
    reading = checkpoint()
    assert reading.merged is not None
    reading.merged.partial = True
    cache.store_reading(ENDPOINT, reading)
    assert load() is None
    assert not home.exists()


def entry(home: Path) -> Path:
    (path,) = home.rglob("*.z")
    return path


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "flipped", "text", "other", "numbers", "folder"]
)
def test_a_damaged_entry_is_none(home: Path, damage: str) -> None:
    cache.store_reading(ENDPOINT, checkpoint())
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
        cache.store_reading(ENDPOINT, checkpoint())
        assert load() is not None


def test_an_interrupted_write_leaves_the_old_entry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store_reading(ENDPOINT, checkpoint())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.store_reading(ENDPOINT, changed(files=("a", *FILES)))
    found = load()
    assert found is not None
    assert found.files == FILES
    assert list(home.rglob("*.tmp")) == []


def test_a_killed_writer_does_no_harm(home: Path) -> None:
    cache.store_reading(ENDPOINT, checkpoint())
    leftover = entry(home).parent / ".killed.tmp"
    leftover.write_bytes(b"half")
    assert load() is not None
    assert cache.usage().entries == 1


def test_writers_and_readers_at_once() -> None:
    def work(number: int) -> bool:
        cache.store_reading(ENDPOINT, changed(files=(f"0{number}", *FILES)))
        found = load()
        return found is not None and same(found, changed(files=found.files))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    path = [str(Path(__file__).parent), *sys.path]
    each = (
        't.cache.store_reading(t.ENDPOINT, t.changed(files=(f"0{i}", *t.FILES))); assert t.load()'
    )
    imports = f"import sys; sys.path[:0] = {path!r}\nimport test_header_cache as t"
    code = f"{imports}\nfor i in range(40): {each}"
    processes = [subprocess.Popen([sys.executable, "-c", code], env=os.environ) for _ in range(3)]
    assert [p.wait() for p in processes] == [0, 0, 0]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_no_error(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    cache.store_reading(ENDPOINT, checkpoint())
    assert load() is None


def test_a_file_in_place_of_the_folder_is_no_error(home: Path) -> None:
    home.write_text("in the way")
    cache.store_reading(ENDPOINT, checkpoint())
    cache.remember_commit(ENDPOINT, REPO, "main", COMMIT, REPO)
    assert load() is None
    assert cache.last_commit(ENDPOINT, REPO, "main") is None
    assert cache.usage().entries == 0


def test_branches() -> None:
    branch = (ENDPOINT, REPO, "refs/pr/1")
    assert cache.last_commit(*branch) is None
    cache.remember_commit(*branch, COMMIT, REPO)
    assert cache.last_commit(*branch) == cache.SeenCommit(COMMIT, REPO)
    cache.remember_commit(*branch, "d" * 40, "acme/renamed")
    assert cache.last_commit(*branch) == cache.SeenCommit("d" * 40, "acme/renamed")


@pytest.mark.parametrize("text", ["", "x", "d" * 41, "d" * 40 + " ../x", "d" * 40 + " a b", "\0"])
def test_a_damaged_branch_is_none(home: Path, text: str) -> None:
    cache.remember_commit(ENDPOINT, REPO, "main", COMMIT, REPO)
    (path,) = home.rglob("main")
    path.write_text(text)
    assert cache.last_commit(ENDPOINT, REPO, "main") is None


def test_info_and_clear(home: Path) -> None:
    assert cache.usage() == cache.CacheUsage(home, 0, 0)
    for commit in ("a" * 40, "b" * 40):
        cache.store_reading(ENDPOINT, changed(commit=commit))
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


# Entries that are well-formed, with content that no reading leaves


def rewrite(home: Path, change: Callable[[dict[str, Any]], object], tail: bytes = b"") -> None:
    """Write the entry with another content."""
    path = entry(home)
    line, _, numbers = zlib.decompress(path.read_bytes()).partition(b"\n")
    head = json.loads(line)
    change(head)
    path.write_bytes(zlib.compress(json.dumps(head).encode() + b"\n" + numbers + tail))


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


WRONG: list[Any] = [
    -1, 1.5, True, [], [[]], {}, {"a": 1}, None, 10**30, 2**62, float("nan"), nested(900),
    "", "\x1b[31mred", "\x00x", "../x", "../../etc/passwd", "/etc/passwd", "a{}b{}c", "x\ud800",
    "params.json", "evil/../other", ["../x"], ["\x1b[2J"], [3], [1] * 2000, [""] * 300_000,
    {"config.json": "{}"}, {"config.json": "[]"}, {"../x": "sha256:" + "0" * 64},
    [{"rule": "tensor-shape", "path": "x", "message": "\x1b[2Jhi", "severity": "weights"}],
]  # fmt: skip
HARMLESS: dict[tuple[Any, ...], list[Any]] = {
    ("file_ids",): [{}],
    ("index", "total_size"): WRONG,
    ("weights", "writer"): ["", "../x", "../../etc/passwd", "/etc/passwd", "a{}b{}c",
        "params.json", "evil/../other"],
    ("weights", "disagreements"): [{}],
}  # fmt: skip
"""Values that another reading may leave. `total_size` may be anything; messages escape it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a document; of a long list its first three items."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in cast("dict[Any, Any]", value).items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(cast("list[Any]", value)[:3]):
            yield from places(inner, (*path, key))


def test_no_field_of_an_entry_holds_what_no_reading_leaves(home: Path) -> None:
    cache.store_reading(ENDPOINT, checkpoint())
    original = entry(home).read_bytes()
    line, _, numbers = zlib.decompress(original).partition(b"\n")
    true = facts(checkpoint())
    for path in places(json.loads(line)):
        for value in (*WRONG, "delete", "add"):
            head = json.loads(line)
            around = head
            for key in path[:-1]:
                around = around[key]
            if value == "delete":
                del around[path[-1]]
            elif value != "add":
                around[path[-1]] = value
            elif isinstance(around, dict):
                around["another"] = 1
            else:
                around.append(around[0])
            data = json.dumps(head).encode() + b"\n" + numbers
            try:
                found = unpack_entry(zlib.compress(data, 1), ENDPOINT, REPO, COMMIT)
            except (ValueError, LookupError, TypeError, LlmarchError, RecursionError):
                continue
            if is_harmless(path, value):
                continue
            assert facts(found) == true, (path, value)


def is_harmless(path: tuple[Any, ...], value: Any) -> bool:
    """Return whether a value is one that a reading of another model may leave."""
    if value == "delete" and path[0] in ("files", "file_ids") and len(path) > 1:
        return True
    if value in ("delete", "add") and path[:2] == ("weights", "disagreements"):
        return True
    is_group = path[:2] == ("weights", "groups") and path[3:] == (0,)
    is_name = is_group or (path[2:3] == ("not_stored",) and path[4:] == (0,))
    if is_name and value in ("a{}b{}c", "params.json"):
        return True
    return any(value is other or value == other for other in HARMLESS.get(path, ()))


def test_more_numbers_than_tensors_are_none(home: Path) -> None:
    cache.store_reading(ENDPOINT, checkpoint())
    rewrite(home, lambda head: None)
    assert load() is not None
    rewrite(home, lambda head: None, tail=b"0000")
    assert load() is None


@pytest.mark.parametrize("place", [0, 1])
def test_a_name_twice_is_none(home: Path, place: int) -> None:
    cache.store_reading(ENDPOINT, checkpoint())

    def change(head: dict[str, Any]) -> None:
        group = head["weights"]["groups"][place]
        head["weights"]["groups"].append([group[0], "F32", [3, 2], *group[3:]])

    rewrite(home, change, tail=b"\0" * (4 * 126 * place))
    assert load() is None


def test_a_document_of_another_content_is_none_and_said_to_be_another(home: Path) -> None:
    assert has_contents({"config.json": CONFIG}, checkpoint().file_ids)
    assert not has_contents({"config.json": CONFIG + b" "}, checkpoint().file_ids)
    assert not has_contents({"config.json": CONFIG}, {"config.json": "size:3"})
    assert has_contents({"config.json": CONFIG}, {})
