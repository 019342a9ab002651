"""Read whether the head of a wrapped decoder is tied, which wrapper and text part may both state.

transformers 5.23.0 obeys the wrapper (its class default where it has no flag), but for Llama 4,
where the text part's model ties itself, and MiniMax-M3, where either flag ties
(tests/fixtures/tied_flags.json). Readers that build the text part by itself obey the part.
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

BY_WRAPPER = (
    "transformers 5 obeys the former, readers that build the text part by itself the latter"
)
BY_PART = "transformers obeys the former"
BY_EITHER = "transformers ties the head if either of them says so"


def tied_head(c: ConfigKeys, part: ConfigKeys, text: Draft, tied_by: TiedBy) -> Sourced:
    """Return whether the head of a wrapped decoder is tied.

    part, text: the wrapper's keys of the decoder, and what was read from them.
    Flags that disagree are a finding. What the class does then, and where the defaults of wrapper
    and part disagree, is noted in `c.unsettled` for the checkpoint to decide. If both flags are
    their class defaults, written out by transformers, the one of the part counts, as it does if
    there is none; that is how such models were published (Mistral Small 3.1).
    """
    outer = c.flag(TIE_KEY, default=None)
    inner: Sourced = text["embedding"]["tied"]
    if not c.has(TIE_KEY):
        default = c.defaults.get(TIE_KEY, inner.value)
        if tied_by == "wrapper" and default != inner.value:
            c.unsettled[FACT] = default
        return inner
    if not part.has(TIE_KEY):
        if tied_by == "part":
            return inner
        return outer
    if outer.value == inner.value:
        return outer
    if tied_by == "part":
        contradiction(part, TIE_KEY, c, TIE_KEY, BY_PART)
        c.unsettled[FACT] = inner.value
        return inner
    if tied_by == "either":
        contradiction(c, TIE_KEY, part, TIE_KEY, BY_EITHER)
        c.unsettled[FACT] = True
        if outer.value:
            return outer
        return inner
    contradiction(c, TIE_KEY, part, TIE_KEY, BY_WRAPPER)
    c.unsettled[FACT] = outer.value
    both_defaults = (
        c.defaults.get(TIE_KEY) == outer.value and part.defaults.get(TIE_KEY) == inner.value
    )
    if both_defaults and outer.value:
        return inner
    return outer
