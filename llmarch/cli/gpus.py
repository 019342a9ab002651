"""The command `llmarch gpus`: the table of GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import app
from .common import Format, Output, examples, write

if TYPE_CHECKING:
    from ..views.documents import Table


@app.command(epilog=examples("llmarch gpus", "llmarch gpus --format json"))
def gpus(format: Output = Format.text) -> None:
    """List the GPUs that --gpus knows, with their memory and its source."""
    from ..sources.gpus import list_gpus

    rows = list_gpus()
    write(format, "table", lambda: gpu_rows_table(rows), lambda: rows)


def gpu_rows_table(rows: list[dict[str, Any]]) -> Table:
    """Return the table of GPUs as it is shown."""
    from ..views import numbers
    from ..views.documents import Table

    cells: list[list[str]] = []
    for row in rows:
        seen = "vendor's GB as 10⁹ bytes"
        if row["seen_by"]:
            seen = "as the driver shows it"
        cells.append([row["name"], numbers.size(row["memory_bytes"]), seen, row["what"]])
    return Table(["GPU", "memory", "", ""], cells)
