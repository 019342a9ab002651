"""Logs of engines: files, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import UnknownReference, printable
from .regular_files import read_regular

MAX_LOG_BYTES = 256 * 2**20
"""Most bytes of a log that are read; a start is at its beginning."""


def read_log(name: str) -> str:
    """Return the text of a log file, or of standard input for `-`.

    Bytes that are not UTF-8 are replaced.

    Raises UnknownReference for a file that cannot be read.
    """
    if name == "-":
        return sys.stdin.buffer.read(MAX_LOG_BYTES).decode(errors="replace")
    try:
        return read_regular(Path(name), MAX_LOG_BYTES).decode(errors="replace")
    except OSError as error:
        raise UnknownReference(
            f"the log {printable(name)!r} cannot be read: {error.strerror or error}",
            "Give the file, or - for standard input.",
        ) from error
