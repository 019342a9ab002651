"""Read whether the head of a wrapped decoder is tied, which wrapper and text part may both state.

transformers 5.23.0 obeys the wrapper (its class default where it has no flag), but for Llama 4,
where the text part's model ties itself, and for classes that take the text part's flag where their
own is off (tests/fixtures/tied_flags.json has all). Readers that build the text part by itself obey
the part.
"""

from __future__ import annotations

from typing import Literal

from ..evidence import Draft, Sourced
from ..findings import contradiction
from ..keys import ConfigKeys

TIE_KEY = "tie_word_embeddings"
FACT = "embedding.tied"

TiedBy = Literal["wrapper", "part", "either"]
"""Whose flag the class obeys."""

OBEYED: dict[TiedBy, str] = {
    "wrapper": (
        "transformers 5 obeys the former, readers that build the text part by itself the latter"
    ),
    "part": "transformers obeys the former",
    "either": "transformers ties the head if either of them says so",
}
"""Who obeys which of two flags that disagree."""


def tied_head(c: ConfigKeys, part: ConfigKeys, text: Draft, tied_by: TiedBy) -> Sourced:
    """Return whether the head of a wrapped decoder is tied.

    part, text: the wrapper's keys of the decoder, and what was read from them.
    Flags that disagree are a finding. What the class does then, and where the defaults of wrapper
    and part disagree, is noted in `c.unsettled` for the checkpoint to decide. Where the wrapper has
    no flag, that of the part counts, as it does if both are their class defaults, written out by
    transformers: that is how such models were published (Mistral Small 3.1).
    """
    outer = c.flag(TIE_KEY, default=c.defaults.get(TIE_KEY, False))
    inner: Sourced = text["embedding"]["tied"]
    if outer.value == inner.value:
        return outer if c.has(TIE_KEY) else inner
    if c.has(TIE_KEY) and part.has(TIE_KEY):
        flags = (part, c) if tied_by == "part" else (c, part)
        contradiction(flags[0], TIE_KEY, flags[1], TIE_KEY, OBEYED[tied_by])
    tied_by_class = _tied_by_class(outer, inner, tied_by)
    c.unsettled[FACT] = tied_by_class.value
    if tied_by != "wrapper":
        return tied_by_class
    if not c.has(TIE_KEY):
        return inner
    is_default = outer.value and c.defaults.get(TIE_KEY)
    if is_default and part.has(TIE_KEY) and part.defaults.get(TIE_KEY) == inner.value:
        return inner
    return outer


def _tied_by_class(outer: Sourced, inner: Sourced, tied_by: TiedBy) -> Sourced:
    """Return the flag of the wrapper or of the part that transformers obeys."""
    if tied_by == "part" or (tied_by == "either" and inner.value):
        return inner
    return outer
