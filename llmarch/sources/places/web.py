"""Folders and files of web servers, read by ranges. No token of the Hub is sent to them.

A folder is what the server lists as links (nginx, Apache, `python -m http.server`). Of a server
that lists nothing, the usual names are asked for, and the files that an index names are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import quote, unquote, urljoin, urlsplit

from huggingface_hub import errors

from ...errors import printable
from ..file_names import (
    ADAPTER,
    CONFIG,
    INDEX,
    PARAMS,
    PIPELINE,
    QUANTIZATION,
    QUANTIZE,
    SINGLE,
    is_safe_name,
)
from ..hub.client import Client, RequestFailed, request_headers
from ..index import MAX_INDEX
from ..request_budget import RequestBudget
from .path import FIRST_PLACE_READ

USUAL_NAMES = (
    CONFIG,
    PARAMS,
    ADAPTER,
    PIPELINE,
    QUANTIZATION,
    *QUANTIZE,
    SINGLE,
    INDEX,
    "adapter_model.safetensors",
    "consolidated.safetensors",
    "consolidated.safetensors.index.json",
)
"""Names of files that a folder is asked for where the server does not list it."""
MAX_LINKS = 5_000_000
"""Bytes of a page with links."""
PROBES = 8
DEEPEST = 8
"""Levels of folders that are searched for models."""


class WebPlace:
    """The files of web servers."""

    def __init__(self) -> None:
        headers = {name: text for name, text in request_headers().items() if name == "user-agent"}
        self._client = Client(endpoint="", headers=headers, budget=RequestBudget())
        self._begins: dict[str, bytes] = {}
        """First bytes of files that were asked for, until they are read."""
        self._sizes: dict[str, int | None] = {}

    def files(self, folder: str) -> Mapping[str, int | None]:
        """Return the files of a folder as far as the server tells. Their bytes are not known."""
        names = [name for name in self._links(folder) if not name.endswith("/")]
        if not any(map(_is_model_file, names)):
            names = self._usual_files(folder)
        return dict.fromkeys(names)

    def tree(self, folder: str, depth: int = 0) -> list[str]:
        """Return the names of all files below a folder, as far as the server lists them."""
        found: list[str] = []
        for name in self._links(folder):
            if not name.endswith("/"):
                found.append(name)
            elif depth < DEEPEST:
                inner = self.tree(f"{folder}/{name.rstrip('/')}", depth + 1)
                found += [name + file for file in inner]
        return found

    def read(self, path: str, start: int, count: int) -> bytes:
        """Return a range of a file."""
        begin = self._begins.pop(path, None) if start == 0 and count == FIRST_PLACE_READ else None
        return self._range(path, start, count) if begin is None else begin

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, which is asked for unless it was before."""
        if path not in self._sizes:
            self._begins[path] = self._range(path, 0, FIRST_PLACE_READ)
        return self._sizes[path]

    def shown(self, path: str) -> str:
        """Return the address of a path."""
        return path

    def _range(self, path: str, start: int, count: int) -> bytes:
        try:
            answer = self._client.get(_quoted(path), limit=count, start=start, ranged=True)
        except errors.HfHubHTTPError as error:
            raise _as_os_error(error) from error
        except RequestFailed as error:
            raise OSError(0, printable(str(error))) from error
        if answer.total is not None or start == 0:
            self._sizes[path] = answer.total
        return answer.data

    def _usual_files(self, folder: str) -> list[str]:
        """Return the usual names that are there, and the files that an index names."""
        paths = [f"{folder}/{name}" for name in USUAL_NAMES]
        with ThreadPoolExecutor(PROBES) as executor:
            found = list(executor.map(self._has, paths))
        names = [name for name, has in zip(USUAL_NAMES, found, strict=True) if has]
        for name in list(names):
            if name.endswith(".index.json"):
                names += self._files_of_index(f"{folder}/{name}")
        return names

    def _has(self, path: str) -> bool:
        try:
            self.size(path)
        except FileNotFoundError:
            return False
        return True

    def _files_of_index(self, path: str) -> list[str]:
        with suppress(ValueError, RecursionError, OSError):
            index: Any = json.loads(self._range(path, 0, MAX_INDEX))
            files = cast("dict[str, Any]", index["weight_map"]).values()
            named = {file for file in files if isinstance(file, str) and is_safe_name(file)}
            return sorted(named)
        return []

    def _links(self, folder: str) -> list[str]:
        """Return the names that a page of a folder links to; folders end in a slash."""
        address = f"{folder}/"
        try:
            answer = self._client.get(_quoted(address), limit=MAX_LINKS)
        except (errors.HfHubHTTPError, RequestFailed):
            return []
        page = _Links()
        with suppress(AssertionError):  # what is no HTML
            page.feed(answer.data.decode(errors="replace"))
        return list(dict.fromkeys(_names_below(address, page.found)))


class _Links(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the target of a link."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _names_below(address: str, links: Iterable[str]) -> Iterable[str]:
    """Yield the names of links that lead to what is directly in a folder."""
    for link in links:
        with suppress(ValueError):
            target = urlsplit(urljoin(address, link))
            base = urlsplit(address)
            if target.netloc != base.netloc or target.query:
                continue
            path = unquote(target.path)
            name = path.removeprefix(unquote(base.path))
            is_below = name != path and "/" not in name.rstrip("/")
            if is_below and is_safe_name(name) and not name.startswith("."):
                yield name


def _is_model_file(name: str) -> bool:
    return name in USUAL_NAMES or name.endswith((".safetensors", ".gguf", ".index.json"))


def _quoted(url: str) -> str:
    """Return an address with blanks and other signs escaped; what is escaped already stays so."""
    return quote(url, safe=":/?#[]@!$&'()*+,;=%~")


def _as_os_error(error: errors.HfHubHTTPError) -> OSError:
    status = error.response.status_code
    if status in (404, 410):
        return FileNotFoundError(0, f"HTTP {status}")
    return OSError(0, f"HTTP {status}")
