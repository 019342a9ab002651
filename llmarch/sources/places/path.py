"""Paths in other places, with as much of `pathlib.Path` as the reader of folders needs."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

FIRST_PLACE_READ = 100_000
"""Bytes that are read of a file at first; most headers are shorter (sources/hub/shards.py)."""


class FilePlace(Protocol):
    """What holds files: an object store, a web server. Its methods raise OSError."""

    def files(self, folder: str) -> Mapping[str, int | None]:
        """Return the files below a folder, two levels deep, with their bytes if they are known."""
        ...

    def tree(self, folder: str) -> list[str]:
        """Return the names of all files below a folder."""
        ...

    def read(self, path: str, start: int, count: int) -> bytes:
        """Return the bytes [start, start + count) of a file, fewer at its end."""
        ...

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None if they are not known. Raises FileNotFoundError."""
        ...

    def shown(self, path: str) -> str:
        """Return the address of a path."""
        ...


class PlacePath:
    """A folder or file in a place."""

    def __init__(self, place: FilePlace, path: str) -> None:
        self.place = place
        self.path = path

    def __str__(self) -> str:
        return self.place.shown(self.path)

    def __truediv__(self, name: str) -> PlacePath:
        return PlacePath(self.place, f"{self.path.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return posixpath.basename(self.path.rstrip("/"))

    @property
    def stem(self) -> str:
        """Return the last part of the path without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> PlacePath:
        """Return the folder that it is in."""
        return PlacePath(self.place, posixpath.dirname(self.path.rstrip("/")))

    def absolute(self) -> PlacePath:
        """Return the path itself."""
        return self

    def resolve(self) -> PlacePath:
        """Return the path itself: there are no links."""
        return self

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def is_file(self) -> bool:
        """Return whether it is a file that can be read."""
        return self.exists()

    def exists(self) -> bool:
        """Return whether there is a file of this name. Raises OSError if that is not known."""
        try:
            self.place.size(self.path)
        except FileNotFoundError:
            return False
        return True


class PlaceFile:
    """A file in a place, opened for reading."""

    def __init__(self, path: PlacePath) -> None:
        self._place = path.place
        self._path = path.path
        self._position = 0
        self._begin = self._place.read(self._path, 0, FIRST_PLACE_READ)
        self.size = self._size()

    def _size(self) -> int:
        """Return the bytes of the file; of one that ends within the first read they are known."""
        if len(self._begin) < FIRST_PLACE_READ:
            return len(self._begin)
        size = self._place.size(self._path)
        if size is None:
            raise OSError(0, "the server does not say how large it is")
        return size

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        start = self._position
        known = self._begin[start : start + count]
        missing = min(count, self.size - start) - len(known)
        if missing > 0:
            known += self._place.read(self._path, start + len(known), missing)
        self._position += len(known)
        return known

    def seek(self, position: int) -> None:
        """Go to a byte."""
        self._position = position

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def __enter__(self) -> PlaceFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


AnyPath = Path | PlacePath
"""A folder or file, wherever it is."""
