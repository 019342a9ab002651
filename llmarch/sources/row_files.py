"""Files of rows, a line each, that grow while a scan runs and survive its being killed.

A line is written by one call and ends with its line break, so that what a kill leaves is a file of
whole lines and at most the beginning of one, which the next run removes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from ..errors import ConfigError, printable

SYNC_SECONDS = 5.0
"""How often rows are brought to the disk, so that a power failure loses no more of them."""
READ_BLOCK = 1_000_000
"""Bytes that are read at a time to find the last line break."""
Append = Callable[[str], None]
"""Appends a line to a file."""


def read_rows(path: Path) -> Iterator[str]:
    """Yield the lines of a file of rows without their line breaks; none if there is no file.

    Raises ConfigError.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise ConfigError(f"{printable(str(path))}: is not UTF-8 text") from None
    except OSError as error:
        raise _unusable(path, error) from None


def drop_unfinished_line(path: Path) -> None:
    """Remove what a killed run has written of a line. Raises ConfigError."""
    try:
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.truncate(_end_of_lines(file.fileno(), end))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from None


@contextmanager
def appending(path: Path) -> Generator[Append]:
    """Yield what appends a line, which has its line break, to a file. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise _unusable(path, error) from None
    synced = monotonic()

    def append(line: str) -> None:
        nonlocal synced
        left = memoryview(line.encode("utf-8", "surrogatepass"))
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            if monotonic() - synced > SYNC_SECONDS:
                os.fsync(descriptor)
                synced = monotonic()
        except OSError as error:
            raise _unusable(path, error) from None

    try:
        yield append
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises ConfigError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from None


def replace_rows(path: Path, lines: Iterable[str]) -> None:
    """Write a file of rows anew, whole or not at all. Each line has its line break.

    Raises ConfigError.
    """
    replaced = path.with_name(f".{path.name}.tmp")
    replaced.unlink(missing_ok=True)
    with appending(replaced) as append:
        for line in lines:
            append(line)
    os.replace(replaced, path)


def _end_of_lines(descriptor: int, end: int) -> int:
    """Return where the last whole line of a file ends.

    end: the size of the file.
    """
    while end > 0:
        start = max(0, end - READ_BLOCK)
        os.lseek(descriptor, start, os.SEEK_SET)
        block = os.read(descriptor, end - start)
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{printable(str(path))}: {error.strerror or error}")
