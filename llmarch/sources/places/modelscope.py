"""Repositories on ModelScope: its API lists their files, which are read by ranges.

`MODELSCOPE_ENDPOINT` names another host than https://modelscope.cn.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from huggingface_hub import errors

from ...errors import UnknownReference, printable
from ..file_names import is_safe_name
from ..hub.client import RequestFailed
from .web import WebPlace

ENDPOINT = "https://modelscope.cn"
_ADDRESS = re.compile(
    r"modelscope://(?P<repo>[\w.-]+/[\w.-]+)(?P<folder>(?:/[\w. -]+)*)(?:@(?P<revision>[\w./-]+))?",
    re.ASCII,
)
MAX_FILE_LIST = 50_000_000
"""Bytes of the list of files."""


class ModelScope(WebPlace):
    """The files of one repository at one revision."""

    def __init__(self, repo_id: str, revision: str) -> None:
        super().__init__()
        self._endpoint = os.environ.get("MODELSCOPE_ENDPOINT", ENDPOINT).rstrip("/")
        self._repo_id = repo_id
        self._revision = revision
        self._root = f"{self._endpoint}/models/{repo_id}/resolve/{quote(revision)}"

    @classmethod
    def at(cls, url: str) -> tuple[ModelScope, str]:
        """Return the repository of an address, and the path in it. Raises UnknownReference."""
        match = _ADDRESS.fullmatch(url)
        if match is None or ".." in url:
            hint = "modelscope://org/name or modelscope://org/name@revision"
            raise UnknownReference(f"{printable(url)} is not the address of a model", hint)
        place = cls(match["repo"], match["revision"] or "master")
        return place, place._root + match["folder"]

    def files(self, folder: str) -> Mapping[str, int | None]:
        """Return the files below a folder, two levels deep, with their bytes."""
        return {name: size for name, size in self._all(folder).items() if name.count("/") < 2}

    def tree(self, folder: str, depth: int = 0) -> list[str]:
        """Return the names of all files below a folder."""
        return list(self._all(folder))

    def _all(self, folder: str) -> dict[str, int | None]:
        url = f"{self._endpoint}/api/v1/models/{self._repo_id}/repo/files"
        query = f"Revision={quote(self._revision, safe='')}&Recursive=True"
        try:
            answer = self._client.get(f"{url}?{query}", limit=MAX_FILE_LIST)
        except errors.HfHubHTTPError as error:
            raise OSError(0, f"HTTP {error.response.status_code}") from error
        except RequestFailed as error:
            raise OSError(0, printable(str(error))) from error
        prefix = f"{folder.removeprefix(self._root)}/".lstrip("/")
        found: dict[str, int | None] = {}
        for name, size in _listed_files(answer.data).items():
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = size
        return found


def _listed_files(data: bytes) -> dict[str, int | None]:
    """Return the files that an answer lists, with their bytes. Raises OSError for another one."""
    try:
        document: Any = json.loads(data)
        entries = cast("list[dict[str, Any]]", document["Data"]["Files"])
        files: dict[str, int | None] = {}
        for entry in entries:
            name, size = entry["Path"], entry.get("Size")
            if entry.get("Type") != "tree" and is_safe_name(name):
                files[name] = size if isinstance(size, int) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OSError(0, "the server does not answer as ModelScope does") from None
    return files
