"""Rows as CSV (RFC 4180), a header line first."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make spreadsheets read a text as a formula."""


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of one shape as CSV: true and false as words, nothing for None."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = rows[0].keys()
    writer.writerow(names)
    for row in rows:
        cells = map(cell_text, row.values())
        writer.writerow(cells)
    return out.getvalue().removesuffix("\n")


def cell_text(value: Any) -> Any:
    """Return one value as a cell; text that a spreadsheet would compute is quoted by a `'`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return value
