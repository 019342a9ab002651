"""Facts about norms. Their places are in the wiring (layers.py)."""

from __future__ import annotations

from ...views.numbers import epsilon
from ..schema import Attention, CompressedAttention, LatentAttention
from ..wording.model import norm_word
from .fact import DETAIL, LEAD, ChangeRule, Fact, no_number

_NORM_EPS = ChangeRule(
    "norm-eps-changed",
    "behaviour",
    "norm epsilon changed",
    "Small activations are normalised differently. Answers drift, mostly little.",
)
_NORM_OFFSET = ChangeRule(
    "norm-offset-changed",
    "behaviour",
    "offset of norm weights changed",
    "Norms multiply by w instead of 1 + w, or the reverse. The model loads, and its answers are "
    "nonsense.",
)


def eps(value: float | None) -> str | None:
    """Return `1e-6`, or None."""
    if value is None:
        return None
    return epsilon(value)


FACTS = (
    Fact(
        "norms.*{,.kind,.bias,.weight,.gate_rank}",
        "Norms",
        "kind",
        ChangeRule(
            "norm-changed",
            "weights",
            "norm changed",
            "A norm was added, removed or replaced by another kind or by one with other tensors. "
            "RMSNorm and LayerNorm without bias have the same tensors: then the model loads and "
            "computes something else.",
        ),
        words=norm_word,
        takes="block",
        rank=LEAD,
        equal="{}",
    ),
    Fact("norms.*.offset", "Norms", "kind", _NORM_OFFSET, words=None, rank=LEAD),
    Fact("norms.*.eps", "Norms", "ε", _NORM_EPS, words=eps, number=no_number),
    Fact(
        "mixers.*.norm_eps",
        "Norms",
        "latent ε",
        _NORM_EPS,
        (LatentAttention, CompressedAttention),
        words=eps,
        number=no_number,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.block_index.norm_offset",
        "Attention",
        "block index",
        _NORM_OFFSET,
        (Attention,),
        words=None,
    ),
)
