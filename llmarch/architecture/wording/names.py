"""Names of blocks, kinds of layers and fields as people write them."""

from __future__ import annotations

ACRONYMS = {
    "nope": "NoPE",
    "moe": "MoE",
    "csa": "CSA",
    "hca": "HCA",
    "mla": "MLA",
    "kda": "KDA",
    "mtp": "MTP",
    "ffn": "FFN",
    "kv": "KV",
    "qk": "QK",
    "rope": "RoPE",
    "eps": "ε",
    "dim": "dims",
}
"""Parts of names that are not written as they are."""

COUNTED_PARTS = {
    "steps": "step",
    "branches": "branch",
    "stages": "stage",
    "projector": "matrix",
}
"""Fields that hold lists of parts, and what one of them is called."""

GROUP_WORDS = {
    "mixers": "mixers",
    "ffns": "feed-forward blocks",
    "norms": "norms",
    "layer_kinds": "kinds of layers",
    "towers": "encoders",
    "other": "tensors",
}
"""What the blocks of a group are called."""

ENDINGS = {1: "st", 2: "nd", 3: "rd"}
"""Endings of ordinal numbers by their last digit; others have `th`."""


def name_title(name: str) -> str:
    """Return the name of a block or a field as people write it: `nope` -> `NoPE`."""
    words: list[str] = []
    for part in name.split("_"):
        word = ACRONYMS.get(part, part)
        words.append(word)
    return " ".join(words)


def fields_title(path: str) -> str:
    """Return a path of fields in words: `steps.1.skip_scale` -> `2nd step skip scale`."""
    words: list[str] = []
    kind = ""
    for part in path.split("."):
        if part.isdecimal() and kind:
            number = ordinal(int(part) + 1)
            words[-1] = f"{number} {kind}"
        elif part.isdecimal():
            number = ordinal(int(part) + 1)
            words.append(f"{number} block")
        elif part:
            words.append(name_title(part))
        kind = COUNTED_PARTS.get(part, "")
    return " ".join(words)


def ordinal(n: int) -> str:
    """Return `1st`, `2nd`, `11th`."""
    ending = "th"
    is_teen = n % 100 in (11, 12, 13)
    if not is_teen:
        ending = ENDINGS.get(n % 10, ending)
    return f"{n}{ending}"
