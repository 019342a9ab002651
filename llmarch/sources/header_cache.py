"""Cache what was read from the Hub, by commit: config, file names and the folded tensor table.

An entry has a few hundred KB at most, for 140,000 tensors. A commit never changes, so an entry is
never stale. Entries are written to a temporary file and renamed, so that concurrent or interrupted
runs leave whole files. An entry counts as absent if it is damaged, of another format, or holds what
no reading leaves: names, sizes or files that do not fit each other, a config whose content the Hub
identifies in another way. What follows from what was read (the effective config, the findings) is
not kept, but derived again (`repo_reading`).

Beside the entries is the commit that each branch had last, for offline use, and by a hash of the
files that are read a commit that has them: where a commit changed nothing but the model card, none
of the others is read again. The folder is LLMARCH_CACHE, else `llmarch` in the user's cache folder.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..architecture.frozen import Frozen, frozen
from ..errors import LlmarchError
from .atomic import replace_file
from .cache_entries import MAX_ENTRY, REPO_ID, pack_entry, unpack_entry
from .regular_files import read_regular

if TYPE_CHECKING:
    from .repo_reading import RepoReading


FORMAT = "v1"
"""Version of the entries; a folder of its own."""
_BRANCHES = "refs"
"""Folder with the last commit of each branch."""
_CONTENTS = "contents"
"""Folder with the last commit of each content (`store_reading`)."""


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


def load_reading(endpoint: str, repo_id: str, commit: str) -> RepoReading | None:
    """Return what was read of a commit; None if it is not in the cache, or damaged.

    endpoint, repo_id, commit: the key under which it was stored. The id is that of the Hub.
    """
    try:
        data = read_regular(_path(endpoint, repo_id, _entry_name(commit)), MAX_ENTRY)
        return unpack_entry(data, endpoint, repo_id, commit)
    except (OSError, ValueError, LookupError, TypeError, RecursionError, MemoryError, zlib.error):
        return None
    except LlmarchError:  # documents that are none
        return None


def store_reading(endpoint: str, reading: RepoReading, content: str = "") -> None:
    """Store a reading under the id that the repository has now.

    content: a hash of the names and contents of all files that are read; empty: not known.

    Not stored is a partial one, and one of an index with a finding of its own (a key stated twice),
    which is rare. A cache that cannot be written is not an error.
    """
    if (
        reading.has_pickles
        or reading.is_partial
        or (reading.index is not None and reading.index.findings)
    ):
        return
    repo_id, commit = reading.repo_id, reading.commit
    _write(_path(endpoint, repo_id, _entry_name(commit)), pack_entry(reading, endpoint))
    if content:
        _write(_path(endpoint, repo_id, _CONTENTS, content), commit.encode())


@frozen
class SeenCommit(Frozen):
    """What a look-up of a branch, tag or commit told."""

    commit: str
    repo_id: str
    """The id of the repository then: it may have been renamed."""


def last_commit(endpoint: str, repo_id: str, revision: str) -> SeenCommit | None:
    """Return what a branch, tag or commit was when it was looked up last, if it ever was."""
    text = _read_line(_branch_path(endpoint, repo_id, revision))
    commit, _, other_id = text.partition(" ")
    if not _is_commit(commit) or (other_id and re.fullmatch(REPO_ID, other_id) is None):
        return None
    return SeenCommit(commit, other_id or repo_id)


def remember_commit(
    endpoint: str, repo_id: str, revision: str, commit: str, present_id: str
) -> None:
    """Store the commit that a branch, tag or commit has now.

    repo_id: as the user gave it.
    present_id: the id of the repository, as the Hub has it.
    """
    seen = SeenCommit(commit, present_id)
    if last_commit(endpoint, repo_id, revision) == seen:
        return
    text = commit if present_id == repo_id else f"{commit} {present_id}"
    _write(_branch_path(endpoint, repo_id, revision), text.encode())


def commit_with_content(endpoint: str, repo_id: str, content: str) -> str | None:
    """Return a commit that was read and has this content, if there is one.

    content: a hash of the names and contents of all files that are read.
    """
    commit = _read_line(_path(endpoint, repo_id, _CONTENTS, content))
    return commit if _is_commit(commit) else None


def _read_line(path: Path) -> str:
    """Return the text of a short file of the cache; empty if there is none, or it is damaged."""
    try:
        return read_regular(path, 300).decode()
    except (OSError, ValueError):
        return ""


def _is_commit(text: str) -> bool:
    return len(text) == 40 and text.isalnum()


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
