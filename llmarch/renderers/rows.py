"""Rows of a scan as lines of text, one a row: NDJSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ..errors import ConfigError, printable
from ..scanning.columns import row_columns
from .csv import cell_text
from .json import json_line


def ndjson_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of JSON, its newline included."""
    return f"{json_line(row)}\n"


def csv_head() -> str:
    """Return the line with the names of the columns."""
    columns = row_columns()
    names = [column.name for column in columns]
    return _csv_line(names)


def csv_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of CSV; lists and objects are JSON, line breaks are escaped."""
    cells: list[Any] = []
    for column in row_columns():
        value = row[column.name]
        if column.type == "texts":
            value = " ".join(value)
        elif column.type in ("records", "json"):
            value = json_line(value)
        if isinstance(value, str):
            value = one_line_text(storable_text(value))
        cells.append(cell_text(value))
    return _csv_line(cells)


def storable_text(text: str) -> str:
    """Return text that UTF-8 can hold: half a character, which JSON allows, is escaped."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def one_line_text(text: str) -> str:
    """Return text without line breaks, which would end the row of a file that is cut anywhere."""
    without_returns = text.replace("\r", "\\r")
    return without_returns.replace("\n", "\\n")


def _csv_line(cells: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


# Reading rows that were written before


def parse_ndjson(lines: Iterable[str], file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line of NDJSON with its line break, and its row. Raises ConfigError.

    file: its name, for the error.
    """
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise not_a_row(file, number)
        yield f"{line}\n", cast("dict[str, Any]", row)


def parse_csv(lines: Iterable[str], file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line of CSV with its line break, and its row; not the first one, the head.

    Raises ConfigError, also for a head with other columns.

    file: its name, for the error.
    """
    names = [column.name for column in row_columns()]
    for number, line in enumerate(lines, 1):
        (cells,) = csv.reader([line])
        if number == 1 and cells == names:
            continue
        if number == 1 or len(cells) != len(names):
            raise not_a_row(file, number)
        yield f"{line}\n", dict(zip(names, cells, strict=True))


def not_a_row(file: str, number: int) -> ConfigError:
    """Return the error for a line that no scan of this version has written."""
    return ConfigError(
        f"{printable(file)}: line {number} is not a row of a scan",
        "name another file, or give --overwrite to scan anew",
    )
