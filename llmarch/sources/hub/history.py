"""The commits of a repository, newest first, and its model card."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

from huggingface_hub import constants, errors

from ...architecture.frozen import Frozen, frozen
from ...errors import ReadError
from ..file_names import CARD, MAX_CARD
from ..references import Reference
from ..regular_files import read_regular
from .client import Answer, Client, RequestFailed
from .common import COMMIT, MAX_LOOKUP, downloaded_snapshot
from .resolve import Resolver

MAX_PAGE = 20_000_000
"""Bytes of one page of commits."""
LONGEST_TITLE = 200


@frozen
class Commit(Frozen):
    """One commit of a repository."""

    id: str
    """Its hash, 40 hexadecimal digits."""
    day: str
    """`2026-01-31`; empty if the Hub does not say."""
    title: str


def list_commits(reference: Reference, most: int, until: str | None = None) -> list[Commit]:
    """Return the commits that lead to the revision of a reference, newest first.

    most: how many at most.
    until: the hash of a commit at which the list ends; it is the last one.

    Raises ReadError.
    """
    client = Client()
    resolver = Resolver(reference, client)
    address = client.api_url(resolver.repo_id, "commits", reference.revision or "main")
    commits: list[Commit] = []
    query = {"limit": "100"}
    while query:
        answer = _get(resolver, f"{address}?{urlencode(query)}", "the list of commits", MAX_PAGE)
        page = _parse_page(answer.data)
        for commit in page:
            commits.append(commit)
            if commit.id == until or len(commits) == most:
                return commits
        query = next_query(answer.headers.get("link")) if page else {}
    return commits


def find_commit(reference: Reference) -> str:
    """Return the commit that the revision of a reference is at. Raises ReadError."""
    resolver = Resolver(reference, Client())
    return _pin(resolver)


def read_card(reference: Reference, *, offline: bool) -> str:
    """Return the text of a repository's model card; empty if it has none. Raises ReadError.

    offline: read only what huggingface_hub has downloaded.
    """
    if offline or constants.is_offline_mode():
        return _downloaded_card(reference)
    client = Client()
    resolver = Resolver(reference, client)
    url = client.file_url(resolver.repo_id, _pin(resolver), CARD)
    try:
        answer = _get(resolver, url, CARD, MAX_CARD, missing=True)
    except errors.RemoteEntryNotFoundError:
        return ""
    return answer.data.decode(errors="replace")


def _pin(resolver: Resolver) -> str:
    client = resolver.client
    url = client.api_url(resolver.repo_id, "revision", resolver.reference.revision or "main")
    return resolver.pin(lambda: client.get(url, limit=MAX_LOOKUP)).commit


def _downloaded_card(reference: Reference) -> str:
    """Return the card in huggingface_hub's cache. Raises ReadError."""
    from . import hf_cached_commit

    commit = hf_cached_commit(reference)
    folder = downloaded_snapshot(str(reference.repo_id), commit)
    if folder is not None:
        with suppress(OSError):
            return read_regular(folder / CARD, MAX_CARD).decode(errors="replace")
    raise ReadError(
        f"offline, and the model card of {reference.repo_id} is not cached",
        "name the base model: --against org/name",
    )


def _get(resolver: Resolver, url: str, name: str, limit: int, *, missing: bool = False) -> Answer:
    """Return an answer of the Hub. Raises ReadError.

    missing: whether RemoteEntryNotFoundError is raised as it is.
    """
    try:
        return resolver.client.get(url, limit=limit)
    except errors.RemoteEntryNotFoundError as error:
        if missing:
            raise
        raise resolver.explain_refusal(name, error) from None
    except errors.HfHubHTTPError as error:
        raise resolver.explain_refusal(name, error) from None
    except RequestFailed as error:
        raise resolver.explain_failure(name, str(error)) from None


def _parse_page(data: bytes) -> list[Commit]:
    """Return the commits of one page; what is not a commit is left out. Raises ReadError."""
    try:
        page = json.loads(data)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, list):
        raise ReadError("the list of commits is not one", "is HF_ENDPOINT right?")
    commits: list[Commit] = []
    for item in cast("list[Any]", page):
        match item:
            case {"id": str(found)} if COMMIT.fullmatch(found):
                row = cast("dict[str, Any]", item)
                title = str(row.get("title") or "")[:LONGEST_TITLE]
                commits.append(Commit(found, str(row.get("date") or "")[:10], title))
            case _:
                pass
    return commits


def next_query(link: str | None) -> dict[str, str]:
    """Return the query of the next page by the header `Link`; nothing on the last one.

    Only its query is used, so that no other host is asked.
    """
    for part in (link or "").split(","):
        address, _, relation = part.partition(";")
        if 'rel="next"' in relation:
            query = parse_qs(urlsplit(address.strip().strip("<>")).query)
            return {key: values[-1] for key, values in query.items()}
    return {}
