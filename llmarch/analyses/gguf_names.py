"""The format of weights that the name of a GGUF file says, or the file type that llama.cpp logs."""

from __future__ import annotations

import re
from typing import NamedTuple

from .weight_formats import WEIGHT_FORMATS, canonical_format

FORMAT_IN_NAME = re.compile(
    r"(?:^|[-_.:/])((?:UD-)?(?:(?:I?Q|TQ)\d_\w+|BF16|F16|F32|FP16|FP32|MXFP4(?:_MOE)?|NVFP4))"
    r"(?![^\W_])",
    re.IGNORECASE,
)
"""The format in the name of a GGUF file, or in the tag of a repository: `Q4_K_M`."""
DYNAMIC = "ud-"
"""How the names begin of files whose types are chosen matrix by matrix (Unsloth)."""
FILE_TYPE_ALIASES = {
    "q3_k": "q3_k_m",
    "q4_k": "q4_k_m",
    "q5_k": "q5_k_m",
    "q8_k": "q8_0",
    "mxfp4": "mxfp4_moe",
}
"""File types that llama-quantize takes for others (tools/quantize/quantize.cpp)."""
LOGGED_TYPES = {"all f32": "fp32", "mxfp4 moe": "mxfp4_moe", "iq3_s mix": "iq3_m"}
"""File types that llama.cpp logs in words of their own (src/llama-model-loader.cpp
llama_ftype_name); others are `Q4_K - Medium` or `IQ4_XS - 4.25 bpw`."""


class NamedFormat(NamedTuple):
    """A format of weights that a name says."""

    format: str | None
    """None: none that is known."""
    note: str = ""
    """What a reader must know; empty: the name says the format exactly."""


def format_of_name(name: str) -> NamedFormat:
    """Return the format that the name of a GGUF file or the tag of a repository says."""
    match = FORMAT_IN_NAME.search(name)
    if match is None:
        return NamedFormat(None)
    said = match[1].lower()
    exact = said.removeprefix(DYNAMIC)
    base = re.sub(r"_(?:xxl|xl|l|m|s|xs)$", "", exact)
    for known in (exact, base + "_m", base):
        known = FILE_TYPE_ALIASES.get(known, canonical_format(known))
        if known not in WEIGHT_FORMATS:
            continue
        is_exact = known in (canonical_format(said), FILE_TYPE_ALIASES.get(said))
        if is_exact:
            return NamedFormat(known)
        return NamedFormat(known, f"{match[1]} is planned as {known}: its own mix is another")
    return NamedFormat(None, f"{match[1]} is not a known format: planned as stored")


def format_of_file_type(words: str) -> str | None:
    """Return the format of a file type that llama.cpp logs; None for one that is not known."""
    lowered = words.lower()
    stated = lowered.removeprefix("(guessed) ").strip()
    name, _, rest = stated.partition(" - ")
    canonical = canonical_format(name)
    known = LOGGED_TYPES.get(name, canonical)
    sized = f"{name}_{rest[:1]}"
    if rest in ("small", "medium", "large") and sized in WEIGHT_FORMATS:
        return sized
    if known in WEIGHT_FORMATS:
        return known
    return None
