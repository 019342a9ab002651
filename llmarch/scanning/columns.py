"""The columns of a scan: their order, types and meanings, for CSV and Parquet.

They are the keys of `ScanRowDocument`. What has parts of its own is a JSON text in CSV.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from ..architecture.json_scan import ScanRowDocument

ColumnType = Literal["text", "integer", "number", "truth", "texts", "records", "json"]


class RowColumn(NamedTuple):
    """A column of a scan."""

    name: str
    type: ColumnType
    """`texts` is a list of texts, `records` one of objects with texts, `json` an object."""
    fields: tuple[str, ...] = ()
    """The keys of the objects of a column of records."""


@cache
def row_columns() -> tuple[RowColumn, ...]:
    """Return the columns in their order."""
    return tuple(_columns_of(ScanRowDocument))


def _columns_of(document: type[Any]) -> Iterator[RowColumn]:
    for name, hint in get_type_hints(document).items():
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if get_origin(hint) is list:
            (item,) = kinds
            if is_typeddict(item):
                yield RowColumn(name, "records", tuple(get_type_hints(item)))
            else:
                yield RowColumn(name, "texts")
        elif get_origin(hint) is dict:
            yield RowColumn(name, "json")
        elif get_origin(hint) is Literal:
            yield RowColumn(name, "text")
        else:
            plain = kinds[0] if kinds else hint
            yield RowColumn(name, _PLAIN[plain])


_PLAIN: dict[Any, ColumnType] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "truth",
}
