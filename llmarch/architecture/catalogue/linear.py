"""Facts about linear attention: mixers with a state of fixed size instead of a growing cache."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import number
from ..schema import LinearAttention
from ..wording.mixers import linear_dims, linear_heads, mixer_word
from .attention import ATTENTION_BIAS, HEAD_DIM, MIXER, OUTPUT_GATE
from .fact import DETAIL, LEAD, ChangeRule, Fact

KINDS = (LinearAttention,)
SECTION = "Linear attention"

CONVOLUTION = ChangeRule(
    "conv-kernel-changed",
    "weights",
    "short convolution changed",
    "The convolution before linear attention has a different width or bias, or was added or "
    "removed.",
)


def head_count(m: LinearAttention) -> int | None:
    """Return the number of heads; None where keys and values have different ones, or none."""
    if m.variant == "short_conv" or m.key_heads != m.value_heads:
        return None
    return m.value_heads


def short_convolution(m: LinearAttention) -> str:
    """Return the width of the convolution, with its bias; or `none`."""
    if not m.conv_kernel:
        return "none"
    width = number(m.conv_kernel)
    return f"{width}, with bias" if m.conv_bias else width


def linear_gate(m: LinearAttention) -> str | None:
    """Return the activation of the output gate and its order: `silu, before the norm`."""
    if not m.gate:
        return None
    return f"{m.gate}, before the norm" if m.gate_first else m.gate


def norm_groups(groups: int) -> str | None:
    """Return the number of groups that the output's norm is over, None for one."""
    return number(groups) if groups > 1 else None


def projection_bias(has_bias: bool) -> str | None:
    """Return where the projections have a bias."""
    return "in and out" if has_bias else None


FACTS = (
    Fact("mixers.*{,.kind}", SECTION, "kind", MIXER, KINDS, words=None, rank=LEAD),
    Fact(
        "mixers.*.variant",
        SECTION,
        "kind",
        ChangeRule(
            "linear-attention-changed",
            "weights",
            "kind of linear attention changed",
            "The recurrence is a different one, with other tensors and another state.",
        ),
        KINDS,
        words=mixer_word,
        takes="block",
        rank=LEAD,
        equal="{}",
    ),
    Fact(
        "mixers.*.{key_heads,value_heads}",
        SECTION,
        "heads",
        ChangeRule(
            "linear-heads-changed",
            "weights",
            "number of linear-attention heads changed",
            "Projections have different shapes, and the recurrent state has a different size.",
        ),
        KINDS,
        words=linear_heads,
        takes="block",
        number=head_count,
        unit="heads",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.{key_head_dim,value_head_dim}",
        SECTION,
        "head dim",
        HEAD_DIM,
        KINDS,
        words=linear_dims,
        takes="block",
        unit="dims",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.{conv_kernel,conv_bias}",
        SECTION,
        "short conv",
        CONVOLUTION,
        KINDS,
        words=short_convolution,
        takes="block",
        number=attrgetter("conv_kernel"),
        unit="tokens",
    ),
    Fact(
        "mixers.*.gate",
        SECTION,
        "output gate",
        OUTPUT_GATE,
        KINDS,
        words=linear_gate,
        takes="block",
    ),
    Fact(
        "mixers.*.gate_first",
        SECTION,
        "output gate",
        ChangeRule(
            "gate-order-changed",
            "behaviour",
            "order of output gate and norm changed",
            "The same weights are used in a different order. The model loads and computes "
            "something else.",
        ),
        KINDS,
        words=None,
    ),
    Fact(
        "mixers.*.bias",
        SECTION,
        "bias",
        ATTENTION_BIAS,
        KINDS,
        words=projection_bias,
    ),
    Fact(
        "mixers.*.norm_groups",
        SECTION,
        "norm groups",
        ChangeRule(
            "norm-groups-changed",
            "behaviour",
            "groups of the output norm changed",
            "The same norm weights apply to other groups of channels. Tensor-parallel degrees "
            "depend on the number of groups.",
        ),
        KINDS,
        words=norm_groups,
        unit="groups",
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.state_dtype",
        SECTION,
        "state dtype",
        ChangeRule(
            "state-dtype-changed",
            "capacity",
            "dtype of the recurrent state changed",
            "The state of a sequence takes a different amount of memory, and rounds differently "
            "over long prompts.",
        ),
        KINDS,
        rank=DETAIL,
    ),
)
