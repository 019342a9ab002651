"""Repositories on the Hub: what is known without asking, and the first requests.

Reading proper is `repository`; it, and all that it needs, is imported while the first requests are under way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants

from ...errors import ReadError
from .. import header_cache as cache
from ..references import Reference, alias_of

if TYPE_CHECKING:
    from .. import Progress
    from ..raw import RawModel
    from .client import Answer, Client

CONNECTIONS = 32
"""Shards fetched at once. Measured on DeepSeek-V3's 161 (benchmarks/README.md): 8 take 2.9 s in all, 16 1.8 s, 32 1.4 s, 64 1.2 s. No more,
for huggingface_hub's session keeps 20 idle connections: beyond that each request would pay for a new one."""
INDEX = "model.safetensors.index.json"
MAX_LOOKUP = 50_000_000
MAX_ALL_HEADERS = 100_000_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIG_FINDINGS = ("repo-moved", "other-weights")


def open(
    reference: Reference,
    *,
    offline: bool = False,
    headers: bool = True,
    progress: Progress | None = None,
    refresh: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> RawModel:
    """Read a repository. `offline` (or HF_HUB_OFFLINE): from the caches alone; `headers` False: the config alone.

    A shard that cannot be read makes the result `partial`; for everything else ReadError says what failed and what to do, and
    NotAModel what the repository is instead.
    """
    offline = offline or constants.is_offline_mode()
    model = None if refresh else _known(reference, offline)
    if model is None and offline:
        model = _downloaded(reference, headers)
    if model is None:
        begun = _begin(reference, headers, refresh)
        try:
            model = _read(reference, begun, headers, progress, refresh, meanwhile)
        finally:
            begun.client.stop.set()
            begun.executor.shutdown(wait=False, cancel_futures=True)
    return model if headers else _config_only(model)


def _read(
    reference: Reference,
    begun: Begun,
    headers: bool,
    progress: Progress | None,
    refresh: bool,
    meanwhile: Callable[[], object] | None,
) -> RawModel:
    """The cached reading of the commit that the look-up names, or a new one."""
    from .resolve import Inquiry

    if not begun.likely_known:
        from . import fetch as _  # noqa: F401  (imports go where there is a wait)
    if meanwhile is not None:
        meanwhile()
    inquiry, endpoint, repo_id = (
        Inquiry(reference, begun.client),
        begun.client.endpoint,
        repo_id_of(reference),
    )
    pinned = inquiry.pin(lambda: begun.client.wait_for(begun.lookup))
    cache.remember_commit(endpoint, repo_id, reference.revision or "main", pinned.commit)
    known = (
        None
        if refresh
        else cache.load(
            endpoint, repo_id, pinned.commit, reference=reference.text, revision=reference.revision
        )
    )
    if known is not None:
        return known
    from .fetch import Download

    model = Download(inquiry, begun, headers, progress).read(pinned)
    if headers:
        cache.store(endpoint, repo_id, model)
    return model


def _config_only(model: RawModel) -> RawModel:
    """The same without what its headers told."""
    model.tensors, model.partial, model.header_bytes = None, False, 0
    model.findings = [f for f in model.findings if f.rule in _CONFIG_FINDINGS]
    return model


# The first requests


@dataclass(slots=True)
class Begun:
    """What is under way: the look-up of the revision and, unless the commit is probably in the cache, the answer with all headers."""

    client: Client
    executor: ThreadPoolExecutor
    lookup: Future[Answer]
    all_headers: Future[Answer | None] | None
    likely_known: bool


def _begin(reference: Reference, headers: bool, refresh: bool) -> Begun:
    try:
        from .client import Client, get_session

        client, repo_id, revision = Client(), repo_id_of(reference), reference.revision or "main"
        get_session()
    except (
        Exception
    ) as error:  # of five kinds, for a proxy, a certificate file, the endpoint or a token
        hint = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE, HF_ENDPOINT and HF_TOKEN"
        raise ReadError(
            f"cannot connect to {constants.ENDPOINT} with these settings: {error}", hint
        ) from None
    known = not refresh and cache.last_commit(client.endpoint, repo_id, revision) is not None
    executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="llmarch")
    wanted = headers and revision == "main" and not known and not hf_folder(repo_id).is_dir()
    at_once = executor.submit(all_headers, client, repo_id) if wanted else None
    lookup = executor.submit(
        client.get, client.api(repo_id, "revision", revision), limit=MAX_LOOKUP
    )
    return Begun(client, executor, lookup, at_once, known)


def all_headers(hub: Client, repo_id: str) -> Answer | None:
    """The Hub's answer with all headers of the main branch; None if it offers none. It takes the Hub a while to put it together, so it
    is asked for at the same time as the look-up, before it is known whether there are shards at all."""
    from .client import HfHubHTTPError, Stopped, Unreadable

    with suppress(HfHubHTTPError, Unreadable, Stopped):
        answer = hub.get(
            f"{hub.api(repo_id, 'safetensors-metadata')}/{INDEX}",
            limit=MAX_ALL_HEADERS,
            attempts=2,
        )
        return answer if answer.status == 200 else None
    return None


# Caches


def _known(reference: Reference, offline: bool) -> RawModel | None:
    """From our cache, if the commit is known without asking: by its full hash, or offline as that of the last look-up."""
    repo_id, revision = repo_id_of(reference), reference.revision
    commit = revision if revision and _COMMIT.fullmatch(revision) else None
    if commit is None and offline:
        commit = cache.last_commit(constants.ENDPOINT, repo_id, revision or "main")
    if commit is None:
        return None
    return cache.load(
        constants.ENDPOINT, repo_id, commit, reference=reference.text, revision=revision
    )


def _downloaded(reference: Reference, headers: bool) -> RawModel:
    """Offline: what huggingface_hub has downloaded of the repository."""
    from ...architecture.schema import Finding
    from .. import local

    repo_id, revision = repo_id_of(reference), reference.revision or "main"
    commit = revision if _COMMIT.fullmatch(revision) else None
    if commit is None:
        with suppress(OSError):
            commit = (hf_folder(repo_id) / "refs" / revision).read_text().strip()
    folder = snapshot(repo_id, commit) if commit and _COMMIT.fullmatch(commit) else None
    if folder is None:
        at = f"{repo_id}@{reference.revision}" if reference.revision else repo_id
        raise ReadError(
            f"offline, and {at} is in no cache",
            or_bundled("run it once without --offline and HF_HUB_OFFLINE", repo_id),
        )
    model = local.open_folder(folder, reference.text, headers=headers)
    model.kind, model.repo_id, model.revision, model.commit = (
        "hub",
        repo_id,
        reference.revision,
        commit,
    )
    model.name = repo_id.rpartition("/")[2]
    if model.tensors is None:
        message = "offline: the config was downloaded before, but no safetensors files"
        model.findings.append(
            Finding(rule="headers-not-cached", path=model.config_file, message=message)
        )
    return model


def hf_folder(repo_id: str) -> Path:
    """The folder of a repository in huggingface_hub's cache."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"


def snapshot(repo_id: str, commit: str) -> Path | None:
    """The folder of a commit in huggingface_hub's cache, if there is one (it may lack files)."""
    folder = hf_folder(repo_id) / "snapshots" / commit
    return folder if folder.is_dir() else None


def repo_id_of(reference: Reference) -> str:
    assert reference.repo_id is not None
    return reference.repo_id


def or_bundled(hint: str | None, repo_id: str) -> str | None:
    """The hint, and the bundled spec of the same model if there is one."""
    alias = alias_of(repo_id)
    bundled = f"its bundled spec needs no network: llmarch show {alias}" if alias else None
    return "; ".join(filter(None, (hint, bundled))) or None
