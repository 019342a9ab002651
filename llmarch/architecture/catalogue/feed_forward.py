"""Facts about feed-forward blocks: widths, activations, biases, what dense blocks have besides."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import plural
from ..schema import Dense, MoE
from ..wording.feed_forward import activation_word, clamp_word
from .fact import BLOCK_FACTOR, DETAIL, INNER_NORM, LEAD, ChangeRule, Fact
from .model import PER_LAYER_EMBEDDING

_BOTH = (Dense, MoE)
_SECTION = "Feed-forward"

_ACTIVATION = ChangeRule(
    "activation-changed",
    "behaviour",
    "activation changed",
    "Feed-forward blocks compute something else with the same weights.",
)
_ACTIVATION_CLAMP = ChangeRule(
    "activation-clamp-changed",
    "behaviour",
    "clamp of activations changed",
    "Large activations are cut at a different bound or place, or are no longer cut.",
)
_MLP_BIAS = ChangeRule(
    "mlp-bias-changed",
    "weights",
    "bias of feed-forward blocks added or removed",
    "The matrices of a feed-forward block have bias tensors in one of the two models only.",
)
_MLP_GATE = ChangeRule(
    "mlp-gate-changed",
    "weights",
    "gate of the feed-forward block added or removed",
    "The block has a gate matrix in one of the two models only.",
)


def _clamp(f: Dense | MoE) -> str | None:
    """Return the bound of activations, and its place where it is behind the activation."""
    text = clamp_word(f)
    if text and f.clamp_after:
        return f"{text}, after the activation"
    return text


def _sparsity(share: float | None) -> str | None:
    """Return the share of the gate's values that are set to zero, None for none."""
    if not share:
        return None
    return sparsity_words(share)


def sparsity_words(share: float) -> str:
    """Return `95 % of the gate set to 0`."""
    percent = 100 * share
    return f"{percent:g} % of the gate set to 0"


def _factor(value: float) -> str | None:
    """Return a constant factor, None for 1."""
    if value == 1:
        return None
    return f"{value:g}"


def _stored_numbers(count: int) -> str | None:
    """Return how many numbers an activation has in each layer, None for none."""
    if not count:
        return None
    return f"{plural(count, 'number')} a layer"


FACTS = (
    Fact(
        "ffns.*{,.kind}",
        _SECTION,
        "block",
        ChangeRule(
            "ffn-changed",
            "weights",
            "feed-forward block changed",
            "A feed-forward block was added, removed or replaced: a dense one by a mixture of "
            "experts, or the reverse.",
        ),
        words=None,
    ),
    Fact(
        "ffns.*.width",
        _SECTION,
        "dense width",
        ChangeRule(
            "mlp-width-changed",
            "weights",
            "feed-forward width changed",
            "The matrices of the feed-forward block have different shapes.",
        ),
        (Dense,),
        rank=LEAD,
        box="width {width:,}",
    ),
    Fact(
        "ffns.*.bias",
        _SECTION,
        "dense bias",
        _MLP_BIAS,
        (Dense,),
    ),
    Fact("ffns.*.bias", "MoE", "expert bias", _MLP_BIAS, (MoE,)),
    Fact(
        "ffns.*.learned_scale",
        _SECTION,
        "learned scale",
        ChangeRule(
            "mlp-scale-changed",
            "weights",
            "learned scale of the feed-forward block changed",
            "The learned number that multiplies the output of the block was added or removed.",
        ),
        (Dense,),
        rank=DETAIL,
    ),
    Fact("ffns.*.output_bias", "MoE", "bias of the sum", _MLP_BIAS, (MoE,)),
    Fact("ffns.*.shared_gated", "MoE", "shared experts gated", _MLP_GATE, (MoE,), rank=DETAIL),
    Fact("ffns.*.shared_bias", "MoE", "shared expert bias", _MLP_BIAS, (MoE,)),
    Fact(
        "ffns.*.{activation,alpha,up_offset}",
        _SECTION,
        "activation",
        _ACTIVATION,
        _BOTH,
        words=activation_word,
        takes="block",
        equal="{}",
    ),
    Fact(
        "ffns.*.gated",
        _SECTION,
        "activation",
        _MLP_GATE,
        _BOTH,
        words=None,
    ),
    Fact(
        "ffns.*.{clamp,clamp_after}",
        _SECTION,
        "activation clamp",
        _ACTIVATION_CLAMP,
        _BOTH,
        words=_clamp,
        takes="block",
        number=attrgetter("clamp"),
    ),
    Fact(
        "ffns.*.shared_clamp",
        _SECTION,
        "activation clamp",
        ChangeRule(
            "shared-clamp-changed",
            "behaviour",
            "clamp of the shared experts changed",
            "Large activations of the shared experts are cut at a different bound, or are no "
            "longer cut.",
        ),
        (MoE,),
        words=None,
    ),
    Fact("ffns.*.gate_scale", _SECTION, "gate factor", BLOCK_FACTOR, (Dense,), words=_factor),
    Fact("ffns.*.inner_norm", _SECTION, "inner norm", INNER_NORM, (Dense,)),
    Fact(
        "ffns.*.activation_numbers",
        _SECTION,
        "activation parameters",
        ChangeRule(
            "activation-parameters-changed",
            "weights",
            "stored numbers of the activation changed",
            "The activation has more or fewer numbers of its own in each layer.",
        ),
        (Dense,),
        words=_stored_numbers,
        rank=DETAIL,
    ),
    Fact(
        "ffns.*.channel_mix",
        _SECTION,
        "channel mix",
        ChangeRule(
            "channel-mix-changed",
            "weights",
            "RWKV's channel mix added or removed",
            "The block mixes its input with the token before and gates its output in one of the "
            "two models only, with tensors of its own and a state.",
        ),
        (Dense,),
    ),
    Fact(
        "ffns.*.sparsity",
        _SECTION,
        "activation sparsity",
        ChangeRule(
            "sparsity-changed",
            "behaviour",
            "activation sparsity changed",
            "More or fewer of the gate's values are set to zero.",
        ),
        (Dense,),
        words=_sparsity,
    ),
    Fact(
        "ffns.*.own_skip",
        _SECTION,
        "own skip",
        ChangeRule(
            "own-skip-changed",
            "behaviour",
            "skip connection of a feed-forward block added or removed",
            "A block adds its input to its output in one of the two models only. The same weights "
            "give a different sum.",
        ),
        (Dense,),
        rank=DETAIL,
    ),
    Fact(
        "ffns.*.per_layer",
        _SECTION,
        "per-layer input",
        PER_LAYER_EMBEDDING,
        (Dense,),
        rank=DETAIL,
    ),
)
