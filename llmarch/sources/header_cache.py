"""What was read from the Hub, kept by commit: config, files and the folded tensor table, a few hundred KB for 140,000 tensors.

A commit never changes, so an entry is never stale. Entries are written aside and renamed, so that concurrent or interrupted runs
leave whole files; what cannot be read (damaged, another format) counts as absent. Beside them lies the commit that each branch had
last, for offline use. The folder is LLMARCH_CACHE, else `llmarch` in the user's cache folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..architecture.frozen import Frozen, frozen

if TYPE_CHECKING:
    from .raw import RawModel, TensorGroup, TensorTable

FORMAT = "v1"
MAX_ENTRY = 500_000_000
"""Bytes of an unpacked entry (Kimi K2 has 2 MB)."""


@frozen
class Info(Frozen):
    """The cache on disk: its folder, the number of commits in it, and their bytes."""

    path: Path
    entries: int
    bytes: int


def folder() -> Path:
    """Where the cache is; a `~` that is nobody's home stays as it is, as with huggingface_hub."""
    if own := os.environ.get("LLMARCH_CACHE"):
        return Path(os.path.expanduser(own))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base), "llmarch")


def info() -> Info:
    """What is in the cache."""
    files = list(_entries())
    return Info(folder(), len(files), sum(f.stat().st_size for f in files))


def clear() -> Info:
    """Delete the cache (only what llmarch wrote there); returns what was in it."""
    before = info()
    for path in folder().glob("v[0-9]*"):
        shutil.rmtree(path, ignore_errors=True)
    return before


def load(
    endpoint: str, repo_id: str, commit: str, *, reference: str, revision: str | None
) -> RawModel | None:
    """The RawModel of a commit, or None if it is not in the cache (or damaged)."""
    try:
        data = _path(endpoint, repo_id, f"{commit}.json.z").read_bytes()
        model = _unpack(data, [endpoint, repo_id, commit])
    except (OSError, ValueError, KeyError, TypeError, IndexError, zlib.error):
        return None
    model.reference, model.revision, model.commit = reference, revision, commit
    return model


def store(endpoint: str, repo_id: str, model: RawModel) -> None:
    """Keep a complete reading under the id it was asked for. A cache that cannot be written is no error."""
    if model.partial or model.commit is None:
        return
    _write(
        _path(endpoint, repo_id, f"{model.commit}.json.z"),
        _pack(model, [endpoint, repo_id, model.commit]),
    )


def last_commit(endpoint: str, repo_id: str, revision: str) -> str | None:
    """The commit that a branch or tag had when it was looked up last."""
    try:
        commit = _path(endpoint, repo_id, "refs", quote(revision, safe="")).read_text()
    except (OSError, ValueError):
        return None
    return commit if len(commit) == 40 and commit.isalnum() else None


def remember_commit(endpoint: str, repo_id: str, revision: str, commit: str) -> None:
    """Note which commit a branch or tag is at."""
    if last_commit(endpoint, repo_id, revision) != commit:
        _write(_path(endpoint, repo_id, "refs", quote(revision, safe="")), commit.encode())


def _path(endpoint: str, repo_id: str, *names: str) -> Path:
    host = quote(endpoint.partition("//")[2] or endpoint, safe="")
    return folder().joinpath(FORMAT, host, repo_id.replace("/", "--"), *names)


def _entries() -> Iterator[Path]:
    return (f for f in folder().glob("v[0-9]*/*/*/*.z") if f.is_file())


def _write(path: Path, data: bytes) -> None:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            try:
                file.write(data)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                file.close()
                os.unlink(file.name)
                raise


def _pack(model: RawModel, key: list[str]) -> bytes:
    """Two parts, compressed together: a line of JSON, then the numbers of all tensor names as 32-bit columns."""
    groups = (
        None
        if model.tensors is None
        else [[g.pattern, g.dtype, g.shape, len(g.indices), _width(g)] for g in model.tensors]
    )
    head: dict[str, Any] = {
        "key": key,
        "name": model.name,
        "repo_id": model.repo_id,
        "config": model.config,
        "config_file": model.config_file,
        "files": model.files,
        "header_bytes": model.header_bytes,
        "findings": [asdict(f) for f in model.findings],
        "groups": groups,
    }
    numbers = array("I")
    for group in model.tensors or ():
        for column in zip(*group.indices, strict=True):
            numbers.extend(column)
    if sys.byteorder == "big":
        numbers.byteswap()
    return zlib.compress(json.dumps(head).encode() + b"\n" + numbers.tobytes(), 6)


def _unpack(data: bytes, key: list[str]) -> RawModel:
    """The inverse of `_pack`, without reference and revision. Raises one of the errors that `load` takes for a damaged entry."""
    from ..architecture.schema import Finding
    from .raw import RawModel

    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, MAX_ENTRY)
    if not unpacker.eof:
        raise ValueError("cut off")
    line, _, tail = content.partition(b"\n")
    head = json.loads(line)
    if head["key"] != key:
        raise ValueError("of another commit")
    numbers = array("I", tail)
    if sys.byteorder == "big":
        numbers.byteswap()
    return RawModel(
        reference="",
        kind="hub",
        name=head["name"],
        repo_id=head["repo_id"],
        config=head["config"],
        config_file=head["config_file"],
        files=tuple(head["files"]),
        header_bytes=head["header_bytes"],
        findings=[Finding(**f) for f in head["findings"]],
        tensors=None if head["groups"] is None else _table(head["groups"], numbers),
    )


def _table(groups: Iterable[list[Any]], numbers: array[int]) -> TensorTable:
    from .raw import TensorGroup, TensorTable

    table = TensorTable()
    at = 0
    for pattern, dtype, shape, count, width in groups:
        columns = [numbers[at + i * count : at + (i + 1) * count] for i in range(width)]
        at += count * width
        indices: list[tuple[int, ...]] = list(zip(*columns, strict=True)) if width else [()] * count
        if len(indices) != count:
            raise ValueError("cut off")
        table.add_group(
            TensorGroup(pattern, dtype, None if shape is None else tuple(shape), indices)
        )
    if at != len(numbers):
        raise ValueError("too long")
    return table


def _width(group: TensorGroup) -> int:
    return len(group.indices[0]) if group.indices else 0
