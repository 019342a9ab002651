"""Facts about linear attention: mixers with a state of fixed size instead of a growing cache."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import number
from ..schema import LinearAttention
from ..wording.mixers import WITHOUT_HEADS, gate_word, linear_dims, linear_heads, mixer_word
from .attention import ATTENTION_BIAS, HEAD_DIM, MIXER, OUTPUT_GATE
from .fact import BLOCK_FACTOR, DETAIL, INNER_NORM, LEAD, ChangeRule, Fact, not_in_panel

_KINDS = (LinearAttention,)
_SECTION = "Linear attention"

_CONVOLUTION = ChangeRule(
    "conv-kernel-changed",
    "weights",
    "short convolution changed",
    "The convolution before linear attention has a different width or bias, or was added or "
    "removed.",
)


def _head_count(m: LinearAttention) -> int | None:
    """Return the number of heads; None where keys and values have different ones, or none."""
    if m.variant in WITHOUT_HEADS or m.key_heads != m.value_heads:
        return None
    return m.value_heads


def _state_size(m: LinearAttention) -> str | None:
    """Return the size of the state of a head: `state 128 × 128`."""
    if m.variant in WITHOUT_HEADS:
        return None
    return f"state {m.key_head_dim} × {m.value_head_dim}"


def _short_convolution(m: LinearAttention) -> str:
    """Return the width of the convolution, with its bias; or `none`."""
    if not m.conv_kernel:
        return "none"
    width = number(m.conv_kernel)
    if m.conv_bias:
        return f"{width}, with bias"
    return width


def _linear_gate(m: LinearAttention) -> str | None:
    """Return the activation of the output gate and its order: `silu, before the norm`."""
    if not m.gate:
        return None
    if m.gate_first:
        return f"{gate_word(m.gate)}, before the norm"
    return gate_word(m.gate)


def _inner_norms(m: LinearAttention) -> str | None:
    """Return the norms within Mamba, and that its output's norm is missing."""
    words: list[str] = []
    if m.inner_norm:
        words.append(f"time steps, B and C ({m.inner_norm})")
    if not m.output_norm:
        words.append("none on the output")
    return ", ".join(words) or None


def _factor(value: float) -> str | None:
    """Return a constant factor, None for 1."""
    if value == 1:
        return None
    return f"× {value:g}"


def _norm_groups(groups: int) -> str | None:
    """Return the number of groups that the output's norm is over, None for one."""
    if groups == 1:
        return None
    return number(groups)


def _projection_bias(m: LinearAttention) -> str | None:
    """Return where the projections have a bias: `in`, `out`, `in and out`, or None."""
    out = m.bias if m.output_bias is None else m.output_bias
    return " and ".join(word for word, has in (("in", m.bias), ("out", out)) if has) or None


FACTS = (
    Fact("mixers.*{,.kind}", _SECTION, "kind", MIXER, _KINDS, words=None, rank=LEAD),
    Fact(
        "mixers.*.variant",
        _SECTION,
        "kind",
        ChangeRule(
            "linear-attention-changed",
            "weights",
            "kind of linear attention changed",
            "The recurrence is a different one, with other tensors and another state.",
        ),
        _KINDS,
        words=mixer_word,
        takes="block",
        rank=LEAD,
        equal="{}",
        panel=not_in_panel,
    ),
    Fact(
        "mixers.*.{key_heads,value_heads}",
        _SECTION,
        "heads",
        ChangeRule(
            "linear-heads-changed",
            "weights",
            "number of linear-attention heads changed",
            "Projections have different shapes, and the recurrent state has a different size.",
        ),
        _KINDS,
        words=linear_heads,
        takes="block",
        number=_head_count,
        unit="heads",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.{key_head_dim,value_head_dim}",
        _SECTION,
        "head dim",
        HEAD_DIM,
        _KINDS,
        words=linear_dims,
        takes="block",
        unit="dims",
        rank=LEAD,
        box=_state_size,
    ),
    Fact(
        "mixers.*.{conv_kernel,conv_bias}",
        _SECTION,
        "short conv",
        _CONVOLUTION,
        _KINDS,
        words=_short_convolution,
        takes="block",
        number=attrgetter("conv_kernel"),
        unit="tokens",
    ),
    Fact(
        "mixers.*.gate",
        _SECTION,
        "output gate",
        OUTPUT_GATE,
        _KINDS,
        words=_linear_gate,
        takes="block",
    ),
    Fact(
        "mixers.*.gate_first",
        _SECTION,
        "output gate",
        ChangeRule(
            "gate-order-changed",
            "behaviour",
            "order of output gate and norm changed",
            "The same weights are used in a different order. The model loads and computes "
            "something else.",
        ),
        _KINDS,
        words=None,
    ),
    Fact(
        "mixers.*.{bias,output_bias}",
        _SECTION,
        "bias",
        ATTENTION_BIAS,
        _KINDS,
        words=_projection_bias,
        takes="block",
    ),
    Fact(
        "mixers.*.norm_groups",
        _SECTION,
        "norm groups",
        ChangeRule(
            "norm-groups-changed",
            "behaviour",
            "groups of the output norm changed",
            "The same norm weights apply to other groups of channels. Tensor-parallel degrees "
            "depend on the number of groups.",
        ),
        _KINDS,
        words=_norm_groups,
        unit="groups",
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.{inner_norm,output_norm}",
        _SECTION,
        "inner norms",
        INNER_NORM,
        _KINDS,
        words=_inner_norms,
        takes="block",
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.dt_rank",
        _SECTION,
        "time step rank",
        ChangeRule(
            "time-step-rank-changed",
            "weights",
            "rank of the time steps changed",
            "The matrices that give each channel its time step have different shapes.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.full_rank",
        _SECTION,
        "full-rank gates",
        ChangeRule(
            "gate-rank-changed",
            "weights",
            "rank of decay and output gate changed",
            "Decay and output gate come from one matrix each in one of the two models, and from "
            "two narrow ones in the other.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.decay_bound",
        _SECTION,
        "bound of the decay",
        ChangeRule(
            "decay-bound-changed",
            "behaviour",
            "bound of the decay changed",
            "The same weights give another decay. The model loads and computes something else.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact("mixers.*.beta_scale", _SECTION, "β", BLOCK_FACTOR, _KINDS, words=_factor, rank=DETAIL),
    Fact(
        "mixers.*.input_scales",
        _SECTION,
        "input factors",
        BLOCK_FACTOR,
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.gate_softcap",
        _SECTION,
        "gate softcap",
        ChangeRule(
            "gate-softcap-changed",
            "behaviour",
            "softcap of the gates changed",
            "Large values of the input and forget gates are cut at a different bound, or are no "
            "longer cut.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.state_dtype",
        _SECTION,
        "state dtype",
        ChangeRule(
            "state-dtype-changed",
            "capacity",
            "dtype of the recurrent state changed",
            "The state of a sequence takes a different amount of memory, and rounds differently "
            "over long prompts.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
)
