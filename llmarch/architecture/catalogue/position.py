"""Facts about positions: rotary ones, how they are stretched, and the context length."""

from __future__ import annotations

from ...views.numbers import number, theta
from ..schema import CompressedAttention, LinearAttention, Mixer, Rope, RopeScaling
from ..wording.positions import rope_scaling_word, rotary_word
from .attention import SOFTMAX
from .fact import DETAIL, LEAD, ChangeRule, Fact, plain_or_unknown

_SECTION = "Position"
ROTATED = (*SOFTMAX, LinearAttention)
"""Mixers that may have rotary positions."""
_ROPE = "mixers.*.rope"

_ROTARY_DIMS = ChangeRule(
    "rotary-dims-changed",
    "behaviour",
    "number of rotary dims changed",
    "More or fewer dims of each head carry positions. The model loads, and its answers are wrong.",
)
_ROPE_SCALING = ChangeRule(
    "rope-scaling-changed",
    "behaviour",
    "RoPE scaling changed",
    "Positions beyond the trained context are stretched differently. Frequencies differ, for some "
    "kinds (llama3, YaRN, linear) also in short prompts. Long prompts suffer most.",
)
_AXES = ("time", "height", "width")
_PARAMETERS = (
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
)
"""Numbers of a scaling that its words leave out."""


def _rotary_dims(m: Mixer) -> str | None:
    """Return how many dims of a head rotate: `64 of 192 dims, interleaved`."""
    if m.rope is None:
        return None
    return rotary_word(m.rope, m)


def _partial_rotary(m: Mixer) -> str | None:
    """Return `_rotary_dims` where not all dims rotate, or neighbours rotate together."""
    words = _rotary_dims(m)
    if words is None or (words.startswith("all ") and words.endswith(" dims")):
        return None
    return words


def _axes(rope: Rope) -> str | None:
    """Return the pairs of each axis: `time 11, height 11, width 10 pairs, in turns`."""
    if not rope.sections:
        return None
    words: list[str] = []
    for axis, pairs in zip(_AXES, rope.sections, strict=False):
        words.append(f"{axis} {pairs}")
    text = ", ".join(words)
    if rope.sections_interleaved:
        return f"{text} pairs, in turns"
    return f"{text} pairs"


def _scaling_parameters(s: RopeScaling) -> str | None:
    """Return the further parameters of a scaling: `beta_fast 32, beta_slow 1, mscale 1`."""
    words: list[str] = []
    for name in _PARAMETERS:
        value = getattr(s, name)
        if value is not None:
            words.append(f"{name} {number(value)}")
    if s.truncate is True:
        words.append("range rounded")
    elif s.truncate is False:
        words.append("range not rounded")
    return ", ".join(words) or None


def _scaling_factors(s: RopeScaling) -> str | None:
    """Return how LongRoPE's factors of frequencies run: `short 1 to 3, long 1 to 64`."""
    if not s.short_factor or not s.long_factor:
        return None
    short = _ends(s.short_factor)
    long = _ends(s.long_factor)
    return f"short {short}, long {long}"


def _ends(factors: tuple[float, ...]) -> str:
    """Return the first and the last factor: `1 to 64`."""
    first = number(factors[0])
    last = number(factors[-1])
    return f"{first} to {last}"


FACTS = (
    Fact(
        _ROPE,
        _SECTION,
        "positions",
        ChangeRule(
            "rope-changed",
            "behaviour",
            "rotary positions added or removed",
            "Layers see positions in one of the two models only. The model loads, and its answers "
            "are wrong.",
        ),
        ROTATED,
        words=None,
        rank=LEAD,
    ),
    Fact(
        f"{_ROPE}.theta",
        _SECTION,
        "RoPE θ",
        ChangeRule(
            "rope-theta-changed",
            "behaviour",
            "RoPE base changed",
            "Rotary angles differ at every position. The model loads and answers differently, "
            "from subtly in short prompts to nonsense in long ones. Cached prefixes of the old "
            "model are useless.",
        ),
        ROTATED,
        words=theta,
        rank=LEAD,
    ),
    Fact(
        f"{_ROPE}.rotary_dim",
        _SECTION,
        "rotary",
        _ROTARY_DIMS,
        ROTATED,
        words=_rotary_dims,
        takes="block",
        unit="dims",
        panel=_partial_rotary,
    ),
    Fact(
        "mixers.*.rope_dim",
        "Attention",
        "head dim",
        _ROTARY_DIMS,
        (CompressedAttention,),
        words=None,
        unit="dims",
    ),
    Fact(
        f"{_ROPE}.interleaved",
        _SECTION,
        "rotary",
        ChangeRule(
            "rope-pairing-changed",
            "behaviour",
            "pairing of rotary dims changed",
            "Neighbouring dims rotate together instead of halves, or the reverse. Without "
            "permuted weights the answers are nonsense.",
        ),
        ROTATED,
        words=None,
    ),
    Fact(
        f"{_ROPE}.span",
        _SECTION,
        "rotary span",
        ChangeRule(
            "rope-span-changed",
            "behaviour",
            "width over which rotary pairs are laid out changed",
            "Frequencies differ, and other dims are paired.",
        ),
        ROTATED,
        unit="dims",
        rank=DETAIL,
    ),
    Fact(
        f"{_ROPE}.scaling{{,.kind,.factor,.original_context,.alpha}}",
        _SECTION,
        "scaling",
        _ROPE_SCALING,
        ROTATED,
        words=rope_scaling_word,
    ),
    Fact(
        f"{_ROPE}.{{sections,sections_interleaved}}",
        _SECTION,
        "axes",
        ChangeRule(
            "rope-axes-changed",
            "behaviour",
            "axes of rotary positions changed",
            "Pairs follow time, height and width in other shares. Images and videos are seen at "
            "other places, text mostly as before.",
        ),
        ROTATED,
        words=_axes,
        takes="owner",
    ),
    Fact(
        f"{_ROPE}.scaling.{{{','.join(_PARAMETERS)},truncate}}",
        _SECTION,
        "scaling parameters",
        _ROPE_SCALING,
        ROTATED,
        words=_scaling_parameters,
        takes="owner",
        rank=DETAIL,
    ),
    Fact(
        f"{_ROPE}.scaling.{{short_factor,long_factor}}",
        _SECTION,
        "scaling factors",
        _ROPE_SCALING,
        ROTATED,
        words=_scaling_factors,
        takes="owner",
        rank=DETAIL,
    ),
    Fact(
        "context_length",
        _SECTION,
        "context",
        ChangeRule(
            "context-changed",
            "capacity",
            "context length changed",
            "Servers size the cache and cut prompts by it. A longer context takes more memory by "
            "default; a shorter one refuses prompts that were accepted before.",
        ),
        words=plain_or_unknown,
        unit="tokens",
    ),
)
