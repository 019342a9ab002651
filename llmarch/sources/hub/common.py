"""What the modules of this package share. Imports none of them when it is imported itself.

The HTTP client is imported by the functions that send requests: a commit that is in the cache needs
neither, and importing it takes as long as answering from the cache.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants

from ..aliases import alias_of
from ..file_names import INDEX
from ..references import Reference

if TYPE_CHECKING:
    from .client import Answer, Client

MAX_LOOKUP = 50_000_000
"""Bytes of the answer that names a repository's commit and files."""
MAX_ALL_HEADERS = 100_000_000
"""Bytes of the answer with all headers of a repository."""
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(slots=True)
class FirstRequests:
    """The requests that are sent before anything else, while modules are still being imported."""

    client: Client
    executor: ThreadPoolExecutor
    lookup: Future[Answer]
    """The look-up of the revision: its commit and files."""
    all_headers: Future[Answer | None] | None
    """The answer with all headers (see `all_headers`); None if the commit is probably cached."""
    probably_cached: bool


def all_headers(client: Client, repo_id: str) -> Answer | None:
    """Return the Hub's answer with all headers of the main branch; None if it offers none.

    The Hub needs some time to build this answer. So it is requested together with the look-up,
    before it is known whether there are shards at all.
    """
    from .client import Cancelled, HfHubHTTPError, RequestFailed

    url = f"{client.api_url(repo_id, 'safetensors-metadata')}/{INDEX}"
    with suppress(HfHubHTTPError, RequestFailed, Cancelled):
        answer = client.get(url, limit=MAX_ALL_HEADERS, attempts=2)
        return answer if answer.status == 200 else None
    return None


def lookup_url(client: Client, repo_id: str, revision: str) -> str:
    """Return the address of the look-up: commit and files of a revision, with the files' hashes."""
    return client.api_url(repo_id, "revision", revision) + "?blobs=true"


def repo_id_of(reference: Reference) -> str:
    """Return the repository id of a Hub reference, which always has one."""
    assert reference.repo_id is not None
    return reference.repo_id


def hf_cache_folder(repo_id: str) -> Path:
    """Return the folder of a repository in huggingface_hub's cache."""
    name = repo_id.replace("/", "--")
    return Path(constants.HF_HUB_CACHE, f"models--{name}")


def downloaded_snapshot(repo_id: str, commit: str) -> Path | None:
    """Return the folder of a commit in huggingface_hub's cache, or None. Files may be missing."""
    snapshots = hf_cache_folder(repo_id) / "snapshots"
    folder = snapshots / commit
    return folder if folder.is_dir() else None


def with_bundled_hint(hint: str | None, repo_id: str) -> str | None:
    """Return the hint extended by the bundled spec of the same model, if there is one."""
    alias = alias_of(repo_id)
    if alias is None:
        return hint
    bundled = f"its bundled spec needs no network: llmarch show {alias}"
    return f"{hint}; {bundled}" if hint else bundled
