"""The command `llmarch gpus`: the table of GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import app
from .common import Format, Output, examples, write

if TYPE_CHECKING:
    from ..views.documents import Table


@app.command(epilog=examples("llmarch gpus", "llmarch gpus --format json"))
def gpus(format: Output = Format.text) -> None:
    """List the GPUs, Macs and cloud instances that --gpus knows."""
    from ..sources.gpus import list_gpus, read_table

    rows = list_gpus()
    shared = read_table()["unified"]
    instances = read_table()["instances"]
    write(
        format,
        "table",
        lambda: gpu_rows_table(rows, shared, instances),
        lambda: gpus_document(rows, shared, instances),
    )


Rows = list[dict[str, Any]]


def gpus_document(rows: Rows, shared: Rows, instances: Rows) -> dict[str, Any]:
    """Return the JSON document: one list of GPUs, Macs with one memory each, and instances."""
    from ..architecture.documents import document_head
    from ..sources.gpus import mac_gpu

    listed: Rows = [*rows]
    for row in shared:
        for size in row["sizes_gb"]:
            gpu = mac_gpu(row, size)
            listed.append(
                {
                    "name": gpu.name,
                    "memory_bytes": gpu.memory_bytes,
                    "vendor_gb": size,
                    "source": row["source"],
                    "bandwidth_gb_s": row["bandwidth_gb_s"],
                    "dense_tflops": {},
                }
            )
    for row in instances:
        listed.append({"name": row["name"], "gpus": row["gpus"], "gpu": row["gpu"]})
    return {**document_head("gpus"), "gpus": listed}


def gpu_rows_table(rows: Rows, shared: Rows, instances: Rows) -> Table:
    """Return the table of GPUs as it is shown."""
    from ..views import numbers
    from ..views.documents import Table

    cells: list[list[str]] = []
    for row in rows:
        memory = numbers.size(row["memory_bytes"])
        speeds = [tera_text(row["dense_tflops"].get(kind)) for kind in SHOWN_PEAKS]
        what = row["what"]
        if row["name"] in what and len(what) < len(row["name"]) + 10:
            what = ""
        bandwidth = f"{row['bandwidth_gb_s']:,}"
        cells.append([row["name"], memory, bandwidth, *speeds, sourced(what, row)])
    macs = len(cells)
    for row in shared:
        sizes = " ".join(str(size) for size in row["sizes_gb"])
        bandwidth = f"{row['bandwidth_gb_s']:,}"
        named = sourced(f"{sizes} GB: name it with one", row)
        cells.append([row["name"], "", bandwidth, "", "", "", named])
    clouds = len(cells)
    for row in instances:
        cells.append([row["name"], "", "", "", "", "", f"{row['gpus']} × {row['gpu']}"])
    titles = {0: "GPUs", macs: "Macs", clouds: "Cloud instances"}
    peaks = [f"{kind} TF/s" for kind in SHOWN_PEAKS]
    return Table(["", "memory", "GB/s", *peaks, "source"], cells, titles)


def sourced(what: str, row: dict[str, Any]) -> str:
    """Return what a row is of, and the document that states its memory."""
    return "; ".join(filter(None, (what, row["source"])))


SHOWN_PEAKS = ("bf16", "fp8", "fp4")
"""Peaks that are shown as text; JSON has all."""


def tera_text(tera: float | None) -> str:
    """Return a peak in 10¹² operations a second; nothing for an unknown one."""
    if tera is None:
        return ""
    return f"{tera:,.0f}"
