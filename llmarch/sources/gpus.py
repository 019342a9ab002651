"""GPUs by name, from the table that comes with llmarch.

8xH100, H100, 4 x rtx 4090    GPUs of the table
2xH100+2xA100                 GPUs of several kinds
p5.48xlarge, a3-highgpu-8g    instance types of clouds
H100 MIG 1g.10gb              an instance of a GPU that is divided (MIG)
M4 Max 128GB                  Macs, whose GPU shares the memory
2x24GB, 8 x 141 GiB           GPUs of any size
CPU 64GB                      memory of a CPU
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..errors import UnknownReference, printable

TABLE = Path(__file__).parent.parent / "data" / "gpus.json"
MAX_GPUS = 100_000
_COUNT_AND_NAME = re.compile(r"(?:(\d{1,20})\s*[x×*]\s*)?(.+)", re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*(gb|gib|mib)", re.IGNORECASE)
_NAME_AND_SIZE = re.compile(r"(.+?)[\s_-]*(\d{1,20})\s*(?:gb|gib)", re.IGNORECASE)
_UNITS = {"gb": ("GB", 10**9), "gib": ("GiB", 2**30), "mib": ("MiB", 2**20)}
_VENDORS = ("nvidia ", "amd ", "instinct ", "geforce ", "tesla ", "apple ")
_INSTANCE = re.compile(
    r"(.*?)[\s_-]*\bMIG[\s_-]+(?:\d+c\.)?(\d)g\.(\d{1,3})gb(?:\+me|\+gfx|-me)*", re.IGNORECASE
)
"""How nvidia-smi and torch name an instance: `NVIDIA H100 80GB HBM3 MIG 1g.10gb`."""
_BETWEEN_KINDS = re.compile(r"\+(?!(?:me|gfx)\b)", re.IGNORECASE)
"""What stands between kinds of GPUs; `1g.10gb+me` is one."""
MEMORY_SLICES = 8
"""Slices of memory that a GPU is divided into for its instances."""
COMPUTE_SLICES = {"A30": 4, "RTX PRO 6000": 4, "RTX PRO 5000": 4}
"""Slices of the multiprocessors; 7 of others."""
INSTANCE_NOTE = (
    "an instance has its slices of the GPU's memory less some 0.5 GiB, as nvidia-smi mig -lgip "
    "shows; ranks on several instances cannot reach each other's memory"
)
SAGEMAKER = "ml."
"""How instance types of EC2 begin in Amazon SageMaker."""
CPU = "CPU"
SMALL_MAC_GIB = 32
"""The largest memory in GiB of a Mac whose GPU may take two thirds of it; of a larger one it may
take three quarters (Metal's recommendedMaxWorkingSetSize as llama.cpp logs it: 10,923 MiB of 16
GiB, 21,845 of 32, 73,728 of 96; later systems allow more, 107.5 GiB of 128)."""
MAC_NOTE = (
    "of a Mac's memory the GPU may take two thirds up to 32 GiB, else three quarters; "
    "where iogpu.wired_limit_mb says another figure, give it as a size: --gpus 112GiB"
)


@frozen
class GPU(Frozen):
    """One kind of GPU."""

    name: str
    memory_bytes: int
    """What its driver shows, or the size that was given."""
    source: str
    """The document that states the memory."""
    bandwidth: float | None = None
    """Bytes a second that its memory delivers at most. None: not known."""
    peaks: dict[str, float] = field(default_factory=dict[str, float])
    """Peak operations a second of the matrix units by type (`bf16`, `fp8`, `int8`, `fp4`), without
    sparsity. Empty: not known."""
    note: str = ""
    """What a reader must know of the figures, as a sentence."""


@cache
def read_table() -> dict[str, Any]:
    """Return the file of GPUs: `gpus`, `unified` (Macs), `instances` (of clouds)."""
    return json.loads(TABLE.read_bytes())


@cache
def gpu_table() -> dict[str, GPU]:
    """Return every GPU of the table by its normalized name and aliases."""
    table: dict[str, GPU] = {}
    for row in list_gpus():
        peaks = {kind: tera * 1e12 for kind, tera in row["dense_tflops"].items()}
        gpu = GPU(
            row["name"],
            row["memory_bytes"],
            row["source"],
            bandwidth=row["bandwidth_gb_s"] * 1e9,
            peaks=peaks,
        )
        table[_normalize(gpu.name)] = gpu
        for alias in row["aliases"]:
            table[_normalize(alias)] = gpu
    return table


def list_gpus() -> list[dict[str, Any]]:
    """Return the rows of the table, as JSON."""
    return read_table()["gpus"]


def parse_gpus(text: str) -> tuple[int, GPU]:
    """Return how many GPUs of which kind `text` names.

    Several kinds joined by `+` are planned as the one with the least memory, bandwidth and peak: a
    tensor-parallel group waits for its slowest rank, and its cache is as long as the smallest.

    Raises UnknownReference, with the nearest names for an unknown one.
    """
    parts = [_parse_kind(part) for part in _BETWEEN_KINDS.split(text)]
    total = sum(count for count, _ in parts)
    _check_count(text, total)
    kinds = list(dict.fromkeys(gpu.name for _, gpu in parts))
    if len(kinds) == 1:
        return total, parts[0][1]
    return total, _slowest([gpu for _, gpu in parts], f"({' + '.join(kinds)})")


def _check_count(text: str, count: int) -> None:
    """Raise UnknownReference for a number of GPUs that no machine has."""
    if not 0 < count <= MAX_GPUS:
        raise UnknownReference(
            f"{printable(text)}: {count:,} GPUs are not possible",
            f"give a count from 1 to {MAX_GPUS:,}",
        )


def _parse_kind(text: str) -> tuple[int, GPU]:
    """Return how many GPUs of one kind `text` names."""
    count, name = 1, text.strip()
    match = _COUNT_AND_NAME.fullmatch(name)
    if match is not None:
        count, name = int(match[1] or 1), match[2].strip()
    _check_count(text, count)
    size = _SIZE.fullmatch(name)
    if size is not None:
        unit, factor = _UNITS[size[2].lower()]
        if not float(size[1]):
            raise UnknownReference(f"{printable(name)}: a GPU has memory", "such as 2x24GB")
        return count, GPU(f"{size[1]} {unit}", int(float(size[1]) * factor), "as given")
    gpu = gpu_table().get(_normalize(name)) or _find_instance(name) or _find_shared_memory(name)
    if gpu is not None:
        return count, gpu
    wanted = _normalize(name.removeprefix(SAGEMAKER))
    for instance in read_table()["instances"]:
        if _normalize(instance["name"]) == wanted:
            number = count * instance["gpus"]
            return number, gpu_table()[_normalize(instance["gpu"])]
    raise UnknownReference(f"no GPU is called {printable(name)!r}", _suggestion(name))


def _slowest(gpus: Sequence[GPU], name: str) -> GPU:
    """Return a GPU that is as small and as slow as the least of several kinds."""
    least = min(gpus, key=lambda gpu: gpu.memory_bytes)
    bandwidths = [gpu.bandwidth for gpu in gpus if gpu.bandwidth is not None]
    bandwidth = None
    if len(bandwidths) == len(gpus):
        bandwidth = min(bandwidths)
    peaks: dict[str, float] = {}
    for kind in least.peaks:
        if all(kind in gpu.peaks for gpu in gpus):
            peaks[kind] = min(gpu.peaks[kind] for gpu in gpus)
    note = f"each GPU is planned as the least of them: the memory of {least.name}, the lowest speed"
    return GPU(name, least.memory_bytes, least.source, bandwidth, peaks, note)


def _find_instance(name: str) -> GPU | None:
    """Return an instance of a GPU that is divided (MIG), or None for another name.

    Its slices are those that the GB of its profile stand for. nvidia-smi shows 9.5 GiB of 1g.10gb,
    19.5 of 2g.20gb, 39.25 of 3g.40gb and 79 of 7g.80gb on an A100, 9.75 to 79.25 on an H100.

    Raises UnknownReference for an instance of no known GPU, or one that the GPU cannot have.
    """
    match = _INSTANCE.fullmatch(name)
    if match is None:
        return None
    kind, compute, gb = match[1], int(match[2]), int(match[3])
    row = _row_named(kind)
    if row is None:
        raise UnknownReference(
            f"{printable(name)}: the GPU that the instance is of is not known",
            "name it too: 'H100 MIG 1g.10gb', or give the size: 9.75GiB",
        )
    slices = round(MEMORY_SLICES * gb / row["vendor_gb"])
    parts = COMPUTE_SLICES.get(row["name"], 7)
    if not 0 < slices <= MEMORY_SLICES or not 0 < compute <= parts:
        raise UnknownReference(
            f"{printable(name)}: {row['name']} has no instance of that size",
            f"it has {parts} slices, and {MEMORY_SLICES} of its {row['vendor_gb']} GB",
        )
    share = slices / MEMORY_SLICES
    lost = (MEMORY_SLICES + slices) * 2**30 // (2 * MEMORY_SLICES)
    peaks = {kind: tera * 1e12 * compute / parts for kind, tera in row["dense_tflops"].items()}
    return GPU(
        f"{row['name']} MIG {compute}g.{gb}gb",
        int(row["memory_bytes"] * share) - lost,
        row["source"],
        bandwidth=row["bandwidth_gb_s"] * 1e9 * share,
        peaks=peaks,
        note=INSTANCE_NOTE,
    )


def _row_named(name: str) -> dict[str, Any] | None:
    """Return the row of the table that a name is of, or None."""
    gpu = gpu_table().get(_normalize(name))
    for row in list_gpus():
        if gpu is not None and row["name"] == gpu.name:
            return row
    return None


def _find_shared_memory(name: str) -> GPU | None:
    """Return a Mac or a CPU with the memory that its name says, or None for another name.

    Raises UnknownReference for a Mac without its size, or with one that was not sold.
    """
    match = _NAME_AND_SIZE.fullmatch(name)
    kind, size = name, 0
    if match is not None:
        kind, size = match[1], int(match[2])
    if _normalize(kind) == _normalize(CPU) and size:
        return GPU(f"{CPU} {size} GiB", size * 2**30, "as given")
    for row in read_table()["unified"]:
        if _normalize(row["name"]) != _normalize(kind):
            continue
        sizes = row["sizes_gb"]
        if size not in sizes:
            known = ", ".join(f"{each}GB" for each in sizes)
            example = f"{row['name'].removeprefix('Apple ')} {sizes[-1]}GB"
            raise UnknownReference(
                f"{printable(name)}: the memory of the Mac is not known",
                f"name it with one of {known}: {example!r}",
            )
        return mac_gpu(row, size)
    return None


def mac_gpu(row: dict[str, Any], gb: int) -> GPU:
    """Return the GPU of a Mac of the table with one of its sizes of memory."""
    return GPU(
        f"{row['name']} {gb} GB",
        mac_working_set(gb),
        row["source"],
        bandwidth=row["bandwidth_gb_s"] * 1e9,
        note=MAC_NOTE,
    )


def mac_working_set(gib: int) -> int:
    """Return the bytes that the GPU of a Mac with so many GiB may take by default."""
    if gib <= SMALL_MAC_GIB:
        return gib * 2**30 * 2 // 3
    return gib * 2**30 * 3 // 4


def _suggestion(name: str) -> str:
    """Return the hint for an unknown name: the nearest ones, or all if none is near."""
    shown = {key: gpu.name for key, gpu in gpu_table().items()}
    for row in (*read_table()["unified"], *read_table()["instances"]):
        shown[_normalize(row["name"])] = row["name"]
    label = "Near"
    names = get_close_matches(_normalize(name), shown, 3, 0.5)
    if not names:
        label = "Known"
        names = list(gpu_table())
    found = dict.fromkeys(shown[n] for n in names)
    return f"{label}: {', '.join(found)}; or a size, as in 8x80GB."


def _normalize(name: str) -> str:
    """Return the name in lower case without vendor, spaces, hyphens and underscores."""
    lower = name.lower()
    name = re.sub(r"[\s_-]+", " ", lower)
    for vendor in _VENDORS:
        name = name.removeprefix(vendor)
    return name.replace(" ", "")
