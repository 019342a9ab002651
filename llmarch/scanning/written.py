"""What a file of rows has already: which models need not be read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import __version__
from ..errors import INTERNAL, ConfigError, ReadError, printable
from .row import PARTLY_READ

NOT_REACHED = ReadError.exit_code
"""The exit code of a model that could not be read, and perhaps can be later."""
RETRIED = (NOT_REACHED, PARTLY_READ, INTERNAL)
"""Exit codes of rows that `--retry` reads again: another time may give another answer."""
RowLine = tuple[str, "WrittenRow"]
"""A line of a file of rows, and what it says."""


class WrittenRow(NamedTuple):
    """What is needed of a row that was written before."""

    reference: str
    version: str
    """Version of llmarch that wrote it."""
    config_only: bool
    exit_code: int


class ScanCounts:
    """How the rows of a scan ended."""

    def __init__(self) -> None:
        self._codes: Counter[int] = Counter()

    def add(self, exit_code: int) -> None:
        """Count one row."""
        self._codes[exit_code] += 1

    @property
    def models(self) -> int:
        """Return the number of rows."""
        return self._codes.total()

    @property
    def partial(self) -> int:
        """Return the models that were read only in part."""
        return self._codes[PARTLY_READ]

    @property
    def errors(self) -> int:
        """Return the models that were not read."""
        return self.models - self._codes[0] - self.partial

    @property
    def exit_code(self) -> int:
        """Return the exit code of the whole scan: 0 if all that could be known is known.

        That something is not a model, or one that llmarch refuses, is known. What a model is that
        could not be read, or only in part, is not.
        """
        for code in (INTERNAL, NOT_REACHED, PARTLY_READ):
            if self._codes[code]:
                return code
        return 0


def row_essentials(row: Mapping[str, Any]) -> WrittenRow:
    """Return what is needed of a row, as it is in JSON or as text in CSV.

    Raises KeyError or ValueError for what is not a row.
    """
    config_only = str(row["config_only"]).lower() == "true"
    exit_code = int(row["exit_code"])
    return WrittenRow(row["reference"], row["llmarch_version"], config_only, exit_code)


def check_same_scan(row: WrittenRow, file: str, *, headers: bool) -> None:
    """Raise ConfigError if a row was written by another version or with other options.

    file: the file that it is in.
    """
    shown = printable(file)
    hint = "name another file, or give --overwrite to scan anew"
    if row.version != __version__:
        written = printable(row.version)
        message = f"{shown} was written by llmarch {written}, this is {__version__}"
        raise ConfigError(message, hint)
    if row.config_only == headers:
        how = "with" if row.config_only else "without"
        raise ConfigError(f"{shown} was written {how} --config-only", hint)


def kept_lines(rows: Iterable[RowLine]) -> Iterator[str]:
    """Yield the lines of rows that `--retry` does not read again."""
    for line, row in rows:
        if row.exit_code not in RETRIED:
            yield line


def remaining_references(references: Iterable[str], written: Iterable[str]) -> list[str]:
    """Return the references that have no row yet, each once, in their order."""
    done = set(written)
    return [text for text in dict.fromkeys(references) if text not in done]
