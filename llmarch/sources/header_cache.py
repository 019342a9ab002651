"""Cache what was read from the Hub, by commit: config, file names and the folded tensor table.

An entry has a few hundred KB at most, for 140,000 tensors. A commit never changes, so an entry is
never stale. Entries are written to a temporary file and renamed, so that concurrent or interrupted
runs leave whole files. An entry that cannot be read (damaged, another format) counts as absent.

Beside the entries is the commit that each branch had last, for offline use. The folder is
LLMARCH_CACHE, else `llmarch` in the user's cache folder.
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
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..architecture.frozen import Frozen, frozen
from .atomic import replace_file

if TYPE_CHECKING:
    from .raw import RawModel, TensorGroup, TensorTable

FORMAT = "v1"
"""Version of the entries; a folder of its own."""
MAX_ENTRY = 500_000_000
"""Bytes of an unpacked entry (Kimi K2 has 2 MB)."""
_BRANCHES = "refs"
"""Folder with the last commit of each branch."""


@frozen
class CacheUsage(Frozen):
    """The cache on disk."""

    path: Path
    """Its folder."""
    entries: int
    """Number of cached commits."""
    bytes: int


def cache_folder() -> Path:
    """Return the folder of the cache.

    A `~` that is nobody's home stays as it is, as with huggingface_hub.
    """
    if own := os.environ.get("LLMARCH_CACHE"):
        return Path(os.path.expanduser(own))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base), "llmarch")


def usage() -> CacheUsage:
    """Return how much is in the cache."""
    folder = cache_folder()
    sizes = [file.stat().st_size for file in _entry_files()]
    return CacheUsage(folder, len(sizes), sum(sizes))


def delete_all() -> CacheUsage:
    """Delete the cache, but only what llmarch wrote there. Return what was in it."""
    before = usage()
    for path in cache_folder().glob("v[0-9]*"):
        shutil.rmtree(path, ignore_errors=True)
    return before


def load_model(
    endpoint: str, repo_id: str, commit: str, *, reference: str, revision: str | None
) -> RawModel | None:
    """Return the model of a commit; None if it is not in the cache, or damaged.

    endpoint, repo_id, commit: the key under which it was stored.
    reference, revision: of the model that is returned, for they are not stored.
    """
    try:
        data = _path(endpoint, repo_id, _entry_name(commit)).read_bytes()
        model = _unpack(data, [endpoint, repo_id, commit])
    except (OSError, ValueError, KeyError, TypeError, IndexError, zlib.error):
        return None
    model.reference = reference
    model.revision = revision
    model.commit = commit
    return model


def store_model(endpoint: str, repo_id: str, model: RawModel) -> None:
    """Store a model under the id it was requested with, unless it is partial.

    A cache that cannot be written is not an error.
    """
    if model.partial or model.commit is None:
        return
    path = _path(endpoint, repo_id, _entry_name(model.commit))
    entry = _pack(model, [endpoint, repo_id, model.commit])
    _write(path, entry)


def last_commit(endpoint: str, repo_id: str, revision: str) -> str | None:
    """Return the commit that a branch or tag had when it was looked up last, if it ever was."""
    try:
        commit = _branch_path(endpoint, repo_id, revision).read_text()
    except (OSError, ValueError):
        return None
    return commit if len(commit) == 40 and commit.isalnum() else None


def remember_commit(endpoint: str, repo_id: str, revision: str, commit: str) -> None:
    """Store the commit that a branch or tag has now."""
    if last_commit(endpoint, repo_id, revision) == commit:
        return
    path = _branch_path(endpoint, repo_id, revision)
    _write(path, commit.encode())


def _branch_path(endpoint: str, repo_id: str, revision: str) -> Path:
    name = quote(revision, safe="")
    return _path(endpoint, repo_id, _BRANCHES, name)


def _path(endpoint: str, repo_id: str, *names: str) -> Path:
    _, _, host = endpoint.partition("//")
    host = quote(host or endpoint, safe="")
    repo = repo_id.replace("/", "--")
    return cache_folder().joinpath(FORMAT, host, repo, *names)


def _entry_name(commit: str) -> str:
    return f"{commit}.json.z"


def _entry_files() -> Iterator[Path]:
    for file in cache_folder().glob("v[0-9]*/*/*/*.z"):
        if file.is_file():
            yield file


def _write(path: Path, data: bytes) -> None:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)


# The format of an entry


def _pack(model: RawModel, key: list[str]) -> bytes:
    """Return the entry: a line of JSON, then the numbers in all tensor names, compressed together.

    The numbers are unsigned 32-bit integers, little-endian, in columns: for each group the first
    number of all its tensors, then the second, and so on.
    """
    groups: list[list[Any]] | None = None
    numbers = array("I")
    if model.tensors is not None:
        groups = []
        for group in model.tensors:
            count, width = len(group.indices), _width(group)
            groups.append([group.pattern, group.dtype, group.shape, count, width])
            for column in zip(*group.indices, strict=True):
                numbers.extend(column)
    head = {
        "key": key,
        "name": model.name,
        "repo_id": model.repo_id,
        "config": model.config,
        "config_file": model.config_file,
        "files": model.files,
        "header_bytes": model.header_bytes,
        "findings": [asdict(finding) for finding in model.findings],
        "groups": groups,
    }
    if sys.byteorder == "big":
        numbers.byteswap()
    return zlib.compress(json.dumps(head).encode() + b"\n" + numbers.tobytes(), 6)


def _unpack(data: bytes, key: list[str]) -> RawModel:
    """Return the model of an entry, without reference and revision: the inverse of `_pack`.

    Raises one of the errors that `load_model` takes for a damaged entry.
    """
    from ..architecture.schema import Finding
    from .raw import RawModel

    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, MAX_ENTRY)
    if not unpacker.eof:
        raise ValueError("truncated")
    line, _, tail = content.partition(b"\n")
    head = json.loads(line)
    if head["key"] != key:
        raise ValueError("of another commit")
    numbers = array("I", tail)
    if sys.byteorder == "big":
        numbers.byteswap()
    groups = head["groups"]
    return RawModel(
        reference="",
        kind="hub",
        name=head["name"],
        repo_id=head["repo_id"],
        config=head["config"],
        config_file=head["config_file"],
        files=tuple(head["files"]),
        header_bytes=head["header_bytes"],
        findings=[Finding(**finding) for finding in head["findings"]],
        tensors=_unpack_table(groups, numbers) if groups is not None else None,
    )


def _unpack_table(groups: Iterable[list[Any]], numbers: array[int]) -> TensorTable:
    """Return the tensor table of an entry. Raises ValueError if groups and numbers do not fit."""
    from .raw import TensorGroup, TensorTable

    table = TensorTable()
    start = 0
    for pattern, dtype, shape, count, width in groups:
        stop = start + count * width
        columns = [numbers[first : first + count] for first in range(start, stop, count or 1)]
        indices: list[tuple[int, ...]] = list(zip(*columns, strict=True)) if width else [()] * count
        if len(indices) != count:
            raise ValueError("too few numbers")
        sizes = tuple(shape) if shape is not None else None
        table.add_group(TensorGroup(pattern, dtype, sizes, indices))
        start = stop
    if start != len(numbers):
        raise ValueError("too many numbers")
    return table


def _width(group: TensorGroup) -> int:
    """Return how many numbers the names of the group have."""
    if not group.indices:
        return 0
    return len(group.indices[0])
