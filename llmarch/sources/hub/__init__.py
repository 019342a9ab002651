"""Read repositories on the Hub: the caches first, then the first requests.

The rest of the reading is in `resolve` and `fetch`. They, and all that they need, are imported
while the first requests are under way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from huggingface_hub import constants

from ...errors import NotCached, ReadError
from .. import header_cache
from ..cache_entries import has_contents
from ..file_names import is_unread_file
from ..references import Reference
from ..regular_files import read_regular
from ..repo_reading import RepoReading, raw_model
from .common import (
    COMMIT,
    MAX_LOOKUP,
    FirstRequests,
    all_headers,
    downloaded_snapshot,
    hf_cache_folder,
    lookup_url,
    repo_id_of,
    with_bundled_hint,
)
from .limits import CONNECTIONS

if TYPE_CHECKING:
    from ..gguf import GgufSet
    from ..progress import Progress
    from ..raw import RawModel
    from .resolve import PinnedRepo

_CONFIG_FINDINGS = (
    "key-stated-twice",
    "quantization-beside-config",
    "quantization-files-differ",
    "repo-moved",
)
"""Rules of findings that depend neither on headers nor on the index."""


def open(
    reference: Reference,
    *,
    offline: bool = False,
    headers: bool = True,
    progress: Progress | None = None,
    refresh: bool = False,
    meanwhile: Callable[[], object] | None = None,
    adapters: bool = False,
) -> RawModel:
    """Read a repository.

    A shard that cannot be read makes the result `partial`. For everything else, raises ReadError
    (what failed and what to do), or NotAModel (what the repository is instead).

    offline: read from the caches alone, as with HF_HUB_OFFLINE.
    headers: False reads the config alone.
    progress: called while headers are read.
    refresh: read from the network even if the commit is cached.
    meanwhile: called at most once, while the first requests are under way.
    adapters: also read an adapter.
    """
    offline = offline or constants.is_offline_mode()
    model = None if refresh else _from_header_cache(reference, offline, adapters)
    if model is None and offline:
        model = _from_hf_cache(reference, headers, adapters)
    if model is None:
        requests = _send_first_requests(reference, headers, refresh)
        try:
            model = _read(reference, requests, headers, progress, refresh, meanwhile, adapters)
        finally:
            requests.client.stop.set()
            requests.executor.shutdown(wait=False, cancel_futures=True)
    if not headers:
        _drop_headers(model, adapters)
    return model


def _read(
    reference: Reference,
    requests: FirstRequests,
    headers: bool,
    progress: Progress | None,
    refresh: bool,
    meanwhile: Callable[[], object] | None,
    adapters: bool,
) -> RawModel:
    """Return the cached model of the commit that the look-up names, else read it."""
    from .resolve import Resolver

    if not requests.probably_cached:
        from . import fetch as _  # noqa: F401  (imported here, where the network is waited for)
    if meanwhile is not None:
        meanwhile()
    client = requests.client
    repo_id = repo_id_of(reference)
    revision = reference.revision
    resolver = Resolver(reference, client)
    pinned = resolver.pin(lambda: client.wait_for(requests.lookup))
    revisions = [revision or "main"]
    if pinned.repo_id != repo_id:
        revisions.append(pinned.commit)  # names the repository without a look-up
    for known in revisions:
        header_cache.remember_commit(client.endpoint, repo_id, known, pinned.commit, pinned.repo_id)
    chosen = _chosen_gguf(reference, pinned)
    if chosen is not None:
        from .gguf_files import read_gguf_files

        return read_gguf_files(resolver, pinned, chosen, requests.executor)
    is_cacheable = not reference.folder
    if is_cacheable and not refresh:
        cached = header_cache.load_reading(client.endpoint, pinned.repo_id, pinned.commit)
        model = _described(cached, reference, pinned, adapters)
        if model is not None:
            return model
    from .fetch import Download

    content = content_digest(pinned) if is_cacheable and not refresh else ""
    with _turn_of(content):
        client.note_answer(monotonic())  # waiting for another thread does not count as silence
        reading = _commit_with_content(client.endpoint, pinned, content)
        model = _described(reading, reference, pinned, adapters)
        if reading is None or model is None:
            download = Download(resolver, requests, headers, progress, adapters=adapters)
            reading = download.read(pinned)
            model = raw_model(
                reading, reference=reference.text, revision=revision, adapters=adapters
            )
        if headers and is_cacheable:
            header_cache.store_reading(client.endpoint, reading, content)
    return model


def _chosen_gguf(reference: Reference, pinned: PinnedRepo) -> GgufSet | None:
    """Return the GGUF model that is meant, None where the repository has another.

    Raises UnknownReference for a tag that picks none, and NotAModel with the list of several.
    """
    from ..gguf import only_set, tagged_set
    from ..repo_files import is_gguf_alone

    name = f"{repo_id_of(reference)}/{reference.folder}".rstrip("/")
    if reference.tag is not None:
        return tagged_set(pinned.files, reference.tag, name)
    if is_gguf_alone(pinned.files):
        return only_set(pinned.files, name)
    return None


def _described(
    reading: RepoReading | None, reference: Reference, pinned: PinnedRepo, adapters: bool
) -> RawModel | None:
    """Return the model of a cached reading, if it is of the repository that the look-up describes.

    Return None if there is none, or its names or documents are not those of the commit.
    """
    if reading is None or reading.files != tuple(pinned.files):
        return None
    if not has_contents(reading.texts, pinned.file_ids):
        return None
    reading.file_ids = pinned.file_ids
    reading.requested_id = repo_id_of(reference)
    reading.any_kind = reference.any_kind
    return raw_model(
        reading, reference=reference.text, revision=reference.revision, adapters=adapters
    )


def content_digest(pinned: PinnedRepo) -> str:
    """Return a hash of all that a commit has to read: names, and what identifies their content.

    Empty if the Hub does not say what identifies it.
    """
    read = {
        name: pinned.file_ids.get(name, "") for name in pinned.files if not is_unread_file(name)
    }
    if not all(read.values()):
        return ""
    return sha256(json.dumps([pinned.repo_id, read], sort_keys=True).encode()).hexdigest()


_turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
"""What holds back who would read the same content at the same time, by its hash."""
_turns_lock = Lock()


def _turn_of(content: str) -> Lock | nullcontext[None]:
    """Return what is held while a content is read, so that other threads take it from the cache."""
    if not content:
        return nullcontext()
    with _turns_lock:
        return _turns.setdefault(content, Lock())


def _commit_with_content(endpoint: str, pinned: PinnedRepo, content: str) -> RepoReading | None:
    """Return what was read of a commit that differs only in files that are not read, if any was."""
    repo_id = pinned.repo_id
    if not content:
        return None
    commit = header_cache.commit_with_content(endpoint, repo_id, content)
    if commit is None:
        return None
    reading = header_cache.load_reading(endpoint, repo_id, commit)
    if reading is not None:
        reading.commit = pinned.commit
        reading.files = tuple(pinned.files)
        reading.file_ids = pinned.file_ids
    return reading


def _drop_headers(model: RawModel, adapters: bool) -> None:
    """Remove the tensors, and the findings that come from headers or the index."""
    from ..repo_files import weights_to_read

    model.tensors = model.rival = None
    model.partial = False
    model.header_bytes = 0
    weights = weights_to_read(model.files, adapters=adapters)
    kept = [f for f in model.findings if f.rule in _CONFIG_FINDINGS]
    kept = [f for f in kept if f.path.partition(": ")[0] != weights.index_file]
    model.findings = [*kept, *weights.other_weights]


def _send_first_requests(reference: Reference, headers: bool, refresh: bool) -> FirstRequests:
    """Start the look-up and, unless the commit is probably cached, the request of all headers."""
    try:
        from .client import Client, get_session

        client = Client()
        get_session()
    except Exception as error:  # five kinds: a proxy, a certificate file, the endpoint, a token
        raise ReadError(
            f"cannot connect to {constants.ENDPOINT} with these settings: {error}",
            "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE, HF_ENDPOINT and HF_TOKEN",
        ) from None
    repo_id = repo_id_of(reference)
    revision = reference.revision or "main"
    last_commit = header_cache.last_commit(client.endpoint, repo_id, revision)
    cached = last_commit is not None and not refresh
    downloaded = hf_cache_folder(repo_id).is_dir()
    executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="llmarch")
    every_header = None
    at_root = not reference.folder
    if headers and revision == "main" and at_root and not cached and not downloaded:
        every_header = executor.submit(all_headers, client, repo_id)
    url = lookup_url(client, repo_id, revision)
    lookup = executor.submit(client.get, url, limit=MAX_LOOKUP)
    return FirstRequests(client, executor, lookup, every_header, cached)


# Caches


def _from_header_cache(reference: Reference, offline: bool, adapters: bool) -> RawModel | None:
    """Read from llmarch's cache if the commit is known without a request, else return None.

    It is known if the revision is a full hash, or offline as the commit of the last look-up.
    """
    if reference.tag is not None or reference.folder:  # not cached by llmarch
        return None
    repo_id = repo_id_of(reference)
    revision = reference.revision
    pinned = revision if revision is not None and COMMIT.fullmatch(revision) else None
    if pinned is None and not offline:
        return None
    seen = header_cache.last_commit(constants.ENDPOINT, repo_id, revision or "main")
    if seen is None and pinned is not None:
        seen = header_cache.SeenCommit(pinned, repo_id)
    if seen is None or (pinned is not None and seen.commit != pinned):
        return None
    reading = header_cache.load_reading(constants.ENDPOINT, seen.repo_id, seen.commit)
    if reading is None:
        return None
    reading.requested_id = repo_id
    reading.any_kind = reference.any_kind
    return raw_model(reading, reference=reference.text, revision=revision, adapters=adapters)


def hf_cached_commit(reference: Reference) -> str:
    """Return the commit that a revision was at when huggingface_hub downloaded it.

    Without a download, return the revision as it is.
    """
    revision = reference.revision or "main"
    commit = revision
    if not COMMIT.fullmatch(commit):
        folder = hf_cache_folder(repo_id_of(reference))
        with suppress(OSError):
            content = read_regular(folder / "refs" / revision, 100)
            commit = content.decode(errors="replace").strip()
    return commit


def _from_hf_cache(reference: Reference, headers: bool, adapters: bool) -> RawModel:
    """Read what huggingface_hub has downloaded. Raises NotCached if that is nothing."""
    from ...architecture.schema import Finding
    from .. import local

    repo_id = repo_id_of(reference)
    commit = hf_cached_commit(reference)
    folder = downloaded_snapshot(repo_id, commit) if COMMIT.fullmatch(commit) else None
    if folder is None:
        shown = f"{repo_id}@{reference.revision}" if reference.revision else repo_id
        hint = "run it once without --offline and HF_HUB_OFFLINE"
        raise NotCached(f"offline, and {shown} is not cached", with_bundled_hint(hint, repo_id))
    model = local.open_folder(
        folder / reference.folder,
        reference.text,
        headers=headers,
        tag=reference.tag,
        any_kind=reference.any_kind,
        adapters=adapters,
    )
    model.kind = "hub"
    model.name = repo_id.rpartition("/")[2]
    model.repo_id = repo_id
    model.revision = reference.revision
    model.commit = commit
    if model.tensors is None:
        message = "offline: the config was downloaded before, but no safetensors files"
        finding = Finding(rule="headers-not-cached", path=model.config_file, message=message)
        model.findings.append(finding)
    return model
