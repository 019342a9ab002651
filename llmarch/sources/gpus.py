"""GPUs by name, from the table that comes with llmarch.

8xH100, H100, 4 x rtx 4090    GPUs of the table
2x24GB, 8 x 141 GiB           GPUs of any size
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..errors import UnknownReference, printable

TABLE = Path(__file__).parent.parent / "data" / "gpus.json"
MAX_GPUS = 100_000
_COUNT_AND_NAME = re.compile(r"(?:(\d{1,20})\s*[x×*]\s*)?(.+)", re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*(gb|gib)", re.IGNORECASE)
_UNITS = {"gb": ("GB", 10**9), "gib": ("GiB", 2**30)}
_VENDORS = ("nvidia ", "amd ", "instinct ", "geforce ", "tesla ")


@frozen
class GPU(Frozen):
    """One kind of GPU."""

    name: str
    memory_bytes: int
    """What its driver shows, or the vendor's figure."""
    source: str
    """The document that states the memory."""


@cache
def gpu_table() -> dict[str, GPU]:
    """Return every GPU of the table by its normalized name and aliases."""
    document = json.loads(TABLE.read_bytes())
    rows: list[dict[str, Any]] = document["gpus"]
    table: dict[str, GPU] = {}
    for row in rows:
        gpu = GPU(row["name"], row["memory_bytes"], row["source"])
        table[_normalize(gpu.name)] = gpu
        for alias in row["aliases"]:
            table[_normalize(alias)] = gpu
    return table


def list_gpus() -> list[dict[str, Any]]:
    """Return the rows of the table, as JSON."""
    document = json.loads(TABLE.read_bytes())
    return document["gpus"]


def parse_gpus(text: str) -> tuple[int, GPU]:
    """Return how many GPUs of which kind `text` names.

    Raises UnknownReference, with the nearest names for an unknown one.
    """
    count, name = 1, text.strip()
    match = _COUNT_AND_NAME.fullmatch(name)
    if match is not None:
        count, name = int(match[1] or 1), match[2].strip()
    if not 0 < count <= MAX_GPUS:
        raise UnknownReference(
            f"{printable(text)}: {count:,} GPUs are not possible",
            f"give a count from 1 to {MAX_GPUS:,}",
        )
    size = _SIZE.fullmatch(name)
    if size is not None:
        unit, factor = _UNITS[size[2].lower()]
        return count, GPU(f"{size[1]} {unit}", int(float(size[1]) * factor), "as given")
    gpu = gpu_table().get(_normalize(name))
    if gpu is None:
        raise UnknownReference(f"no GPU is called {printable(name)!r}", _suggestion(name))
    return count, gpu


def _suggestion(name: str) -> str:
    """Return the hint for an unknown name: the nearest ones, or all if none is near."""
    table = gpu_table()
    label = "Near"
    names = get_close_matches(_normalize(name), table, 3, 0.5)
    if not names:
        label = "Known"
        names = list(table)
    found = dict.fromkeys(table[n].name for n in names)
    return f"{label}: {', '.join(found)}; or a size, as in 8x80GB."


def _normalize(name: str) -> str:
    """Return the name in lower case without vendor, spaces, hyphens and underscores."""
    name = name.lower()
    for vendor in _VENDORS:
        name = name.removeprefix(vendor)
    return re.sub(r"[\s_-]+", "", name)
