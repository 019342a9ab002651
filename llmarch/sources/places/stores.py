"""Object stores and all that fsspec knows: `s3://`, `gs://`, `az://`, `memory://`, `zip://…::…`.

Credentials, endpoints and retries are those of the library of each store (s3fs, gcsfs, adlfs): its
environment variables, its files, and fsspec's own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from ...errors import MissingExtra, printable

_Result = TypeVar("_Result")

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "adl": "az",
}
"""Schemes, and the extra of llmarch with what reads them."""
LONGEST_REASON = 500


class FileStore:
    """A file system of fsspec."""

    def __init__(self, system: Any, url: str, root: str) -> None:
        """Begin with a file system.

        url: the address that it was made from.
        root: the path of this address in it.
        """
        self._system = system
        head, separator, rest = url.partition("::")
        self._url = head.rstrip("/")
        self._archive = separator + rest
        """Where the file system is within another one: `zip://model::s3://bucket/a.zip`."""
        self._root = root.rstrip("/")
        self._sizes: dict[str, int | None] = {}

    @classmethod
    def at(cls, url: str) -> tuple[FileStore, str]:
        """Return the file system of an address, and the path in it.

        Raises ValueError for an unknown scheme, MissingExtra, or OSError.
        """
        scheme, _, _ = url.partition("://")
        try:
            system, path = import_module("fsspec.core").url_to_fs(url)
        except ImportError:
            raise MissingExtra(f"{scheme}://", EXTRAS.get(scheme, "places")) from None
        path = str(path).rstrip("/")
        return cls(system, url, path), path

    def files(self, folder: str) -> Mapping[str, int | None]:
        """Return the files below a folder, two levels deep, with their bytes."""
        found = self._call(lambda: self._find(folder, maxdepth=2))
        self._sizes |= {f"{folder}/{name}": size for name, size in found.items()}
        return found

    def tree(self, folder: str) -> list[str]:
        """Return the names of all files below a folder."""
        return list(self._call(lambda: self._find(folder)))

    def _find(self, folder: str, **options: Any) -> dict[str, int | None]:
        self._system.invalidate_cache()
        entries: dict[str, dict[str, Any]] = self._system.find(folder, detail=True, **options)
        if not entries and not self._system.exists(folder):
            raise FileNotFoundError(0, "no such folder")
        prefix = f"{folder.lstrip('/')}/"
        found: dict[str, int | None] = {}
        for path, entry in entries.items():
            name = path.lstrip("/").removeprefix(prefix)
            if name and not name.endswith("/"):
                found[name] = entry.get("size")
        return found

    def read(self, path: str, start: int, count: int) -> bytes:
        """Return a range of a file."""
        size = self._sizes.get(path)
        if size is not None and start >= size:
            return b""
        return self._call(
            lambda: bytes(self._system.cat_file(path, start=start, end=start + count))
        )

    def size(self, path: str) -> int | None:
        """Return the bytes of a file."""
        if path not in self._sizes:
            self._sizes[path] = self._call(lambda: self._system.info(path)).get("size")
        return self._sizes[path]

    def shown(self, path: str) -> str:
        """Return the address of a path."""
        if path.startswith(self._root):
            return self._url + path.removeprefix(self._root) + self._archive
        parent, _, _ = self._root.rpartition("/")
        folder, _, _ = self._url.rpartition("/")
        return folder + path.removeprefix(parent) + self._archive

    def _call(self, work: Callable[[], _Result]) -> _Result:
        """Return what a call of the library returns. Raises OSError for all that it raises."""
        try:
            return work()
        except FileNotFoundError as error:
            raise FileNotFoundError(0, "no such file or folder") from error
        except OSError as error:
            raise OSError(error.errno or 0, _reason(error)) from error
        except Exception as error:  # each library has its own: no credentials, no network, refused
            raise OSError(0, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Return what went wrong, in the words of the library."""
    text = getattr(error, "strerror", None) or str(error)
    return printable(f"{type(error).__name__}: {text}", LONGEST_REASON)
