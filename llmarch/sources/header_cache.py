"""Cache what was read from the Hub, by commit: config, file names and the folded tensor table.

An entry has a few hundred KB at most, for 140,000 tensors. A commit never changes, so an entry is
never stale. Entries are written to a temporary file and renamed, so that concurrent or interrupted
runs leave whole files. An entry counts as absent if it is damaged, of another format, or holds what
no reading leaves (a wrong type or total, a size that is negative or huge).

Beside the entries is the commit that each branch had last, for offline use, and by a hash of the
files that are read a commit that has them: where a commit changed nothing but the model card, none
of the others is read again. The folder is LLMARCH_CACHE, else `llmarch` in the user's cache folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import quote

from ..architecture.frozen import Frozen, frozen
from .atomic import replace_file
from .file_names import is_beside_file
from .regular_files import read_regular

if TYPE_CHECKING:
    from ..architecture.schema import Finding
    from .raw import RawModel, TensorGroup, TensorTable


FORMAT = "v1"
"""Version of the entries; a folder of its own."""
MAX_ENTRY = 100_000_000
"""Bytes of an unpacked entry (Kimi K2 has 2 MB)."""
MAX_ENTRY_VALUES = 2_000_000
"""Values in its JSON, by its commas and brackets."""
MAX_ENTRY_TENSORS = 1_000_000
"""Tensors of an entry; no more are read of a checkpoint."""
LARGEST_SIZE = 2**63
"""Limit of each size in a shape, and of counts of bytes."""
_BRANCHES = "refs"
"""Folder with the last commit of each branch."""
_CONTENTS = "contents"
"""Folder with the last commit of each content (`store_model`)."""


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
        data = read_regular(_path(endpoint, repo_id, _entry_name(commit)), MAX_ENTRY)
        model = _unpack(data, [endpoint, repo_id, commit])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, MemoryError, zlib.error):
        return None
    model.reference = reference
    model.revision = revision
    model.commit = commit
    return model


def store_model(endpoint: str, repo_id: str, model: RawModel, content: str = "") -> None:
    """Store a model under the id it was requested with, unless it is partial.

    content: a hash of the names and contents of all files that are read; empty: not known.

    A cache that cannot be written is not an error.
    """
    is_partial = model.partial or (model.rival is not None and model.rival.partial)
    if is_partial or model.commit is None:
        return
    path = _path(endpoint, repo_id, _entry_name(model.commit))
    entry = _pack(model, [endpoint, repo_id, model.commit])
    _write(path, entry)
    if content:
        _write(_path(endpoint, repo_id, _CONTENTS, content), model.commit.encode())


def last_commit(endpoint: str, repo_id: str, revision: str) -> str | None:
    """Return the commit that a branch or tag had when it was looked up last, if it ever was."""
    return _read_commit(_branch_path(endpoint, repo_id, revision))


def remember_commit(endpoint: str, repo_id: str, revision: str, commit: str) -> None:
    """Store the commit that a branch or tag has now."""
    if last_commit(endpoint, repo_id, revision) == commit:
        return
    path = _branch_path(endpoint, repo_id, revision)
    _write(path, commit.encode())


def commit_with_content(endpoint: str, repo_id: str, content: str) -> str | None:
    """Return a commit that was read and has this content, if there is one.

    content: a hash of the names and contents of all files that are read.
    """
    return _read_commit(_path(endpoint, repo_id, _CONTENTS, content))


def _read_commit(path: Path) -> str | None:
    """Return the commit that a file of the cache names; None if there is none, or it is damaged."""
    try:
        commit = read_regular(path, 100).decode()
    except (OSError, ValueError):
        return None
    return commit if len(commit) == 40 and commit.isalnum() else None


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
    numbers = array("I")
    groups = _pack_table(model.tensors, numbers) if model.tensors is not None else None
    rival: dict[str, Any] | None = None
    if model.rival is not None:
        rival = {
            "words": model.rival.words,
            "findings": [asdict(finding) for finding in model.rival.findings],
            "groups": _pack_table(model.rival.tensors, numbers),
            "writer": model.rival.tensors.writer,
        }
    head = {
        "key": key,
        "name": model.name,
        "repo_id": model.repo_id,
        "config": model.config,
        "config_file": model.config_file,
        "quantization_file": model.quantization_file,
        "files": model.files,
        "file_ids": {n: ids for n, ids in model.file_ids.items() if is_beside_file(n)},
        "header_bytes": model.header_bytes,
        "findings": [asdict(finding) for finding in model.findings],
        "groups": groups,
        "writer": model.tensors.writer if model.tensors is not None else "",
        "rival": rival,
    }
    if sys.byteorder == "big":
        numbers.byteswap()
    return zlib.compress(json.dumps(head).encode() + b"\n" + numbers.tobytes(), 6)


def _pack_table(table: TensorTable, numbers: array[int]) -> list[list[Any]]:
    """Return the groups of a table, and append their numbers to `numbers`."""
    groups: list[list[Any]] = []
    for group in table:
        count, width = len(group.indices), _width(group)
        groups.append([group.pattern, group.dtype, group.shape, count, width])
        for column in zip(*group.indices, strict=True):
            numbers.extend(column)
    return groups


def _unpack(data: bytes, key: list[str]) -> RawModel:
    """Return the model of an entry, without reference and revision: the inverse of `_pack`.

    Raises one of the errors that `load_model` takes for a damaged entry.
    """
    from .raw import RawModel, RivalWeights

    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, MAX_ENTRY)
    if not unpacker.eof:
        raise ValueError("truncated")
    line, _, tail = content.partition(b"\n")
    if sum(map(line.count, (b",", b"[", b"{"))) > MAX_ENTRY_VALUES:
        raise ValueError("too many values")
    head = _object(json.loads(line))
    if head["key"] != key:
        raise ValueError("of another commit")
    numbers = array("I", tail)
    if sys.byteorder == "big":
        numbers.byteswap()
    tables = _TableReader(numbers)
    tensors = rival = None
    if head["groups"] is not None:
        tensors = tables.read(head["groups"])
        tensors.writer = _text(head["writer"])
    if head["rival"] is not None:
        other = _object(head["rival"])
        rival_tensors = tables.read(other["groups"])
        rival_tensors.writer = _text(other["writer"])
        rival = RivalWeights(
            words=_text(other["words"]),
            tensors=rival_tensors,
            partial=False,
            findings=_unpack_findings(other["findings"]),
        )
    tables.end()
    config, repo_id = head["config"], head["repo_id"]
    return RawModel(
        reference="",
        kind="hub",
        name=_text(head["name"]),
        repo_id=_text(repo_id) if repo_id is not None else None,
        config=_object(config) if config is not None else None,
        config_file=_text(head["config_file"]),
        quantization_file=_text(head["quantization_file"]),
        files=tuple(_text(file) for file in _list(head["files"])),
        file_ids={
            _text(name): _text(ids) for name, ids in _object(head.get("file_ids", {})).items()
        },
        header_bytes=_size(head["header_bytes"]),
        findings=_unpack_findings(head["findings"]),
        tensors=tensors,
        rival=rival,
    )


def _text(value: Any) -> str:
    """Return a string of an entry. Raises TypeError if it is none."""
    if type(value) is not str:
        raise TypeError("a string is needed")
    return value


def _list(value: Any) -> list[Any]:
    """Return a list of an entry. Raises TypeError if it is none."""
    if type(value) is not list:
        raise TypeError("a list is needed")
    return cast("list[Any]", value)


def _object(value: Any) -> dict[str, Any]:
    """Return an object of an entry. Raises TypeError if it is none."""
    if type(value) is not dict:
        raise TypeError("an object is needed")
    return cast("dict[str, Any]", value)


def _size(value: Any) -> int:
    """Return a count or size of an entry. Raises TypeError or ValueError if it is none."""
    if type(value) is not int:
        raise TypeError("a whole number is needed")
    if not 0 <= value < LARGEST_SIZE:
        raise ValueError("a size out of range")
    return value


def _unpack_findings(documents: Any) -> list[Finding]:
    """Return the findings of an entry. Raises TypeError or ValueError if they are none."""
    from ..architecture.schema import Finding, Severity

    findings: list[Finding] = []
    for document in _list(documents):
        finding = Finding(**_object(document))
        for text in (finding.rule, finding.path, finding.message):
            _text(text)
        if finding.severity not in get_args(Severity):
            raise ValueError("no severity")
        json.dumps([finding.old, finding.new], allow_nan=False)
        findings.append(finding)
    return findings


class _TableReader:
    """Reads the tensor tables of an entry, whose numbers follow each other."""

    def __init__(self, numbers: array[int]) -> None:
        self._numbers = numbers
        self._start = 0
        self._tensors = 0

    def read(self, groups: Any) -> TensorTable:
        """Return the next table.

        Raises TypeError or ValueError if the groups hold what no header does, or do not fit the
        numbers.
        """
        from .raw import DTYPE_BITS, TensorGroup, TensorTable

        table = TensorTable()
        for group in _list(groups):
            pattern, dtype, shape, count, width = _list(group)
            if shape is not None:
                shape = tuple(map(_size, _list(shape)))
                if _text(dtype) not in DTYPE_BITS or prod(shape) >= LARGEST_SIZE:
                    raise ValueError("a dtype or shape that no tensor has")
            elif dtype != "":
                raise ValueError("a dtype without a shape")
            if _size(width) not in (0, _text(pattern).count("{}")):
                raise ValueError("numbers that the pattern has no place for")
            indices = self._indices(_size(count), width)
            table.add_group(TensorGroup(pattern, dtype, shape, indices))
        if len([*table]) != len(groups):
            raise ValueError("a group that is there twice")
        return table

    def _indices(self, count: int, width: int) -> list[tuple[int, ...]]:
        """Return the numbers of the next tensors, `width` of each."""
        self._tensors += count
        if self._tensors > MAX_ENTRY_TENSORS or count == 0:
            raise ValueError(f"{count} tensors")
        if width == 0:
            return [()] * count
        stop = self._start + count * width
        firsts = range(self._start, stop, count)
        columns = [self._numbers[first : first + count] for first in firsts]
        self._start = stop
        indices: list[tuple[int, ...]] = list(zip(*columns, strict=True))
        if len(indices) != count:
            raise ValueError("too few numbers")
        return indices

    def end(self) -> None:
        """Raise ValueError if there are more numbers."""
        if self._start != len(self._numbers):
            raise ValueError("too many numbers")


def _width(group: TensorGroup) -> int:
    """Return how many numbers the names of the group have."""
    if not group.indices:
        return 0
    return len(group.indices[0])
