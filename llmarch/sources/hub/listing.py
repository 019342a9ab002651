"""List repositories of models on the Hub: those of an author, or with a text in their names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from huggingface_hub import constants, errors

from ...errors import NotCached, ReadError, printable
from ..cache_entries import REPO_ID
from .client import Client, RequestFailed
from .history import next_query

PAGE = 1_000
"""Repositories that one answer lists; the Hub sends no more."""
MAX_LIST = 50_000_000
"""Bytes of one answer."""


def list_repositories(
    authors: Iterable[str], searches: Iterable[str], *, task: str | None, most: int | None
) -> list[str]:
    """Return references of repositories of models, the most downloaded ones first, each once.

    authors: users and organisations.
    searches: texts in the names of repositories; with authors, only of theirs.
    task: the task that they have on the Hub, such as `text-generation`; None is any.
    most: how many of each author and text at most.

    Raises ReadError.
    """
    if constants.is_offline_mode():
        raise NotCached("offline, so the Hub cannot be asked for its models", "name them")
    client = Client()
    found: dict[str, None] = {}
    for author in list(authors) or [None]:
        for search in list(searches) or [None]:
            query = {"author": author, "search": search, "pipeline_tag": task}
            asked = {name: value for name, value in query.items() if value is not None}
            for number, repo_id in enumerate(_repositories(client, asked)):
                if number == most:
                    break
                found[repo_id] = None
    return [_reference_of(repo_id, client.endpoint) for repo_id in found]


def _reference_of(repo_id: str, endpoint: str) -> str:
    """Return a reference that means a repository, whatever folders and aliases there are."""
    if "/" not in repo_id:
        return f"{endpoint}/{repo_id}"
    return f"hf://{repo_id}" if Path(repo_id).is_dir() else repo_id


def _repositories(client: Client, query: dict[str, str]) -> Iterator[str]:
    """Yield the ids that the Hub lists, page by page."""
    asked = {**query, "sort": "downloads", "direction": "-1", "limit": str(PAGE)}
    while asked:
        url = f"{client.endpoint}/api/models?{urlencode(asked)}"
        try:
            answer = client.get(url, limit=MAX_LIST)
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            raise ReadError(f"the list of models: HTTP {status}", "is HF_TOKEN right?") from None
        except RequestFailed as error:
            reason = printable(str(error))
            message = f"{client.endpoint}: the list of models could not be read: {reason}"
            raise ReadError(message, "try again later") from None
        ids = _ids_of(answer.data)
        yield from ids
        asked = next_query(answer.headers.get("link")) if ids else {}


def _ids_of(data: bytes) -> list[str]:
    """Return the ids of one page; what is not the id of a repository is left out.

    Raises ReadError.
    """
    try:
        page = json.loads(data)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, list):
        raise ReadError("the list of models is not one", "is HF_ENDPOINT right?")
    ids: list[str] = []
    for item in cast("list[Any]", page):
        match item:
            case {"id": str(found)} if re.fullmatch(REPO_ID, found):
                ids.append(found)
            case _:
                pass
    return ids
