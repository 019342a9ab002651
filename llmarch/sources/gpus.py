"""GPUs by name, from the table that comes with llmarch: `8xH100`, `H100`, `4 x rtx 4090`, or a size of one's own, `2x24GB`."""

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
MOST = 100_000
_UNITS = {"gb": 10**9, "gib": 2**30}


@frozen
class GPU(Frozen):
    """One kind of GPU: the bytes that its driver shows, or the vendor's figure, and the document that states it."""

    name: str
    memory_bytes: int
    source: str


@cache
def gpus() -> dict[str, GPU]:
    """Every GPU of the table by its name and aliases, folded."""
    rows: list[dict[str, Any]] = json.loads(TABLE.read_bytes())["gpus"]
    found: dict[str, GPU] = {}
    for row in rows:
        gpu = GPU(row["name"], row["memory_bytes"], row["source"])
        found.update({folded(name): gpu for name in (row["name"], *row["aliases"])})
    return found


def find(text: str) -> tuple[int, GPU]:
    """How many of which. Raises UnknownReference with the nearest names."""
    match = re.fullmatch(r"(?:(\d+)\s*[x×*]\s*)?(.+)", text.strip(), re.IGNORECASE)
    number, name = (int(match[1] or 1), match[2]) if match else (1, text)
    if not 0 < number <= MOST:
        raise UnknownReference(
            f"{printable(text)}: {number:,} GPUs", f"1 to {MOST:,} can be asked for."
        )
    if size := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(gi?b)", name.strip(), re.IGNORECASE):
        n = int(float(size[1]) * _UNITS[size[2].lower()])
        return number, GPU(
            f"{size[1]} {size[2].replace('g', 'G').replace('b', 'B')}", n, "as given"
        )
    gpu = gpus().get(folded(name))
    if gpu is None:
        names = dict.fromkeys(g.name for g in gpus().values())
        near = get_close_matches(folded(name), list(gpus()), 3, 0.5)
        shown = dict.fromkeys(gpus()[n].name for n in near) or names
        raise UnknownReference(
            f"no GPU is called {printable(name)!r}",
            f"{'Near' if near else 'Known'}: {', '.join(shown)}; or a size, as in 8x80GB.",
        )
    return number, gpu


def folded(name: str) -> str:
    return re.sub(
        r"[\s_-]+",
        "",
        name.lower()
        .removeprefix("nvidia ")
        .removeprefix("amd ")
        .removeprefix("instinct ")
        .removeprefix("geforce "),
    )
