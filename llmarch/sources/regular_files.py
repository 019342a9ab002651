"""Read files that others wrote: regular ones only, and no more of them than a limit.

A named pipe would be waited for, a device read for ever; both are refused before they are opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Protocol

from .places.path import AnyPath, PlaceFile, PlacePath

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class NotRegularError(OSError):
    """A path that leads to something else than a file."""


class ReadableFile(Protocol):
    """A file that is open for reading, wherever it is."""

    def read(self, count: int, /) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        ...

    def seek(self, position: int, /) -> object:
        """Go to a byte."""
        ...


@contextmanager
def open_anywhere(path: AnyPath) -> Generator[tuple[ReadableFile, int]]:
    """Yield a regular file of this machine, or one of another place, and its bytes.

    Raises OSError.
    """
    if isinstance(path, PlacePath):
        remote = PlaceFile(path)
        yield remote, remote.size
        return
    with open_regular(path) as file:
        yield file, os.fstat(file.fileno()).st_size


def open_regular(path: Path) -> FileIO:
    """Open a file for reading. Raises OSError, for anything but a regular file NotRegularError."""
    _check_kind(os.stat(path).st_mode)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = FileIO(os.open(path, flags))
    try:
        _check_kind(os.fstat(file.fileno()).st_mode)  # it may be another one by now
    except BaseException:
        file.close()
        raise
    return file


def read_anywhere(path: AnyPath, limit: int) -> bytes:
    """Return the content of a file as `read_regular` does, wherever it is. Raises OSError."""
    if isinstance(path, PlacePath):
        return path.place.read(path.path, 0, limit + 1)
    return read_regular(path, limit)


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of a regular file, at most one byte more than `limit`.

    Raises OSError as `open_regular` does. Whoever parses the content refuses it beyond the limit.
    """
    parts: list[bytes] = []
    left = limit + 1
    with open_regular(path) as file:
        while left > 0:
            part = file.read(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def _check_kind(mode: int) -> None:
    """Raise NotRegularError unless this is the mode of a regular file."""
    if stat.S_ISREG(mode):
        return
    kind = "something else"
    for is_kind, words in _KINDS:
        if is_kind(mode):
            kind = words
            break
    message = f"is {kind}, not a file"
    raise NotRegularError(0, message)
