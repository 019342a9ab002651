"""Rows of a scan as a Parquet file, which needs the extra `llmarch[parquet]`.

The schema is that of `scanning/columns.py`: the same columns and types for every scan, so that
files of several scans are one table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigError, MissingExtra, printable
from ..scanning.columns import RowColumn, row_columns
from .json import json_line
from .rows import storable_text

ROWS_IN_GROUP = 2_000
"""Rows that are in memory at once, and in one row group of the file: some 12 MB."""


def pyarrow_module(name: str) -> Any:
    """Return a module of pyarrow, which has no types. Raises MissingExtra without it."""
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra("Parquet", "parquet") from None


def check_parquet() -> None:
    """Raise MissingExtra if Parquet files cannot be written."""
    pyarrow_module("pyarrow.parquet")


def parquet_schema() -> Any:
    """Return the `pyarrow.Schema` of a scan."""
    pa = pyarrow_module("pyarrow")
    fields: list[Any] = []
    for column in row_columns():
        kind = _arrow_type(pa, column)
        field = pa.field(column.name, kind)
        fields.append(field)
    return pa.schema(fields)


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows to a file, whole or not at all. Raises ConfigError."""
    parquet = pyarrow_module("pyarrow.parquet")
    schema = parquet_schema()
    replaced = path.with_name(f".{path.name}.tmp")
    try:
        with parquet.ParquetWriter(replaced, schema, compression="zstd") as writer:
            for table in _tables(rows, schema):
                writer.write_table(table)
        os.replace(replaced, path)
    except OSError as error:
        shown = printable(str(path))
        reason = error.strerror or error
        raise ConfigError(f"{shown}: {reason}") from None


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that a scan has written. Raises ConfigError for another one."""
    parquet = pyarrow_module("pyarrow.parquet")
    invalid = pyarrow_module("pyarrow").ArrowInvalid
    hint = "name another file, or give --overwrite to scan anew"
    problem = ConfigError(f"{printable(str(path))} is not a Parquet file of a scan", hint)
    try:
        file = parquet.ParquetFile(path)
    except (OSError, invalid):
        raise problem from None
    with file:
        if not file.schema_arrow.equals(parquet_schema()):
            raise problem
        for batch in file.iter_batches(ROWS_IN_GROUP):
            for row in batch.to_pylist():
                yield _from_arrow(row)


def _tables(rows: Iterable[Mapping[str, Any]], schema: Any) -> Iterator[Any]:
    table_class = pyarrow_module("pyarrow").Table
    left = iter(rows)
    while True:
        group = list(islice(left, ROWS_IN_GROUP))
        if not group:
            return
        yield table_class.from_pylist(list(map(_to_arrow, group)), schema)


def _to_arrow(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with objects as JSON texts."""
    values: dict[str, Any] = {}
    for column in row_columns():
        value = row[column.name]
        if column.type == "json":
            stored = json_line(value)
        else:
            stored = _storable(value)
        values[column.name] = stored
    return values


def _storable(value: Any) -> Any:
    """Return a value whose texts can be stored."""
    match value:
        case str():
            return storable_text(value)
        case list():
            return [_storable(item) for item in cast("list[Any]", value)]
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {name: _storable(item) for name, item in items}
        case _:
            return value


def _from_arrow(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as a scan makes it."""
    for column in row_columns():
        name = column.name
        if column.type == "json":
            row[name] = json.loads(row[name])
    return row


def _arrow_type(pa: Any, column: RowColumn) -> Any:
    match column.type:
        case "text" | "json":
            return pa.string()
        case "integer":
            return pa.int64()
        case "number":
            return pa.float64()
        case "truth":
            return pa.bool_()
        case "texts":
            return pa.list_(pa.string())
        case "records":
            return pa.list_(pa.struct([pa.field(name, pa.string()) for name in column.fields]))
