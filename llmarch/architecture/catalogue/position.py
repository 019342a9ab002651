"""Facts about positions: rotary ones, how they are stretched, and the context length."""

from __future__ import annotations

from ...views.numbers import number, theta
from ..schema import CompressedAttention, RopeScaling
from ..wording.mixers import Softmax
from ..wording.positions import rope_scaling_word, rotary_word
from .attention import SOFTMAX
from .fact import DETAIL, LEAD, ChangeRule, Fact, plain_or_unknown

SECTION = "Position"
ROPE = "mixers.*.rope"

ROTARY_DIMS = ChangeRule(
    "rotary-dims-changed",
    "behaviour",
    "number of rotary dims changed",
    "More or fewer dims of each head carry positions. The model loads, and its answers are wrong.",
)
ROPE_SCALING = ChangeRule(
    "rope-scaling-changed",
    "behaviour",
    "RoPE scaling changed",
    "Positions beyond the trained context are stretched differently. Frequencies differ, for some "
    "kinds (llama3, YaRN, linear) also in short prompts. Long prompts suffer most.",
)
AXES = ("time", "height", "width")
PARAMETERS = (
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
)
"""Numbers of a scaling that its words leave out."""


def rotary_dims(m: Softmax) -> str | None:
    """Return how many dims of a head rotate: `64 of 192 dims, interleaved`."""
    return rotary_word(m.rope, m) if m.rope else None


def axes(m: Softmax) -> str | None:
    """Return the pairs of each axis: `time 11, height 11, width 10 pairs, in turns`."""
    rope = m.rope
    if rope is None or not rope.sections:
        return None
    named = zip(AXES, rope.sections, strict=False)
    pairs = ", ".join(f"{name} {count}" for name, count in named)
    return f"{pairs} pairs, in turns" if rope.sections_interleaved else f"{pairs} pairs"


def scaling_parameters(s: RopeScaling) -> str | None:
    """Return the further parameters of a scaling: `beta_fast 32, beta_slow 1, mscale 1`."""
    values = [(name, getattr(s, name)) for name in PARAMETERS]
    words = [f"{name} {number(value)}" for name, value in values if value is not None]
    if s.truncate is not None:
        words.append("range rounded" if s.truncate else "range not rounded")
    return ", ".join(words) or None


def scaling_factors(s: RopeScaling) -> str | None:
    """Return how LongRoPE's factors of frequencies run: `short 1 to 3, long 1 to 64`."""
    if s.short_factor is None or s.long_factor is None:
        return None
    ends = [
        f"{name} {number(factors[0])} to {number(factors[-1])}"
        for name, factors in (("short", s.short_factor), ("long", s.long_factor))
        if factors
    ]
    return ", ".join(ends) or None


FACTS = (
    Fact(
        ROPE,
        SECTION,
        "positions",
        ChangeRule(
            "rope-changed",
            "behaviour",
            "rotary positions added or removed",
            "Layers see positions in one of the two models only. The model loads, and its answers "
            "are wrong.",
        ),
        SOFTMAX,
        words=None,
        rank=LEAD,
    ),
    Fact(
        f"{ROPE}.theta",
        SECTION,
        "RoPE θ",
        ChangeRule(
            "rope-theta-changed",
            "behaviour",
            "RoPE base changed",
            "Rotary angles differ at every position. The model loads and answers differently, "
            "from subtly in short prompts to nonsense in long ones. Cached prefixes of the old "
            "model are useless.",
        ),
        SOFTMAX,
        words=theta,
        rank=LEAD,
    ),
    Fact(
        f"{ROPE}.rotary_dim",
        SECTION,
        "rotary",
        ROTARY_DIMS,
        SOFTMAX,
        words=rotary_dims,
        takes="block",
        unit="dims",
    ),
    Fact(
        "mixers.*.rope_dim",
        "Attention",
        "head dim",
        ROTARY_DIMS,
        (CompressedAttention,),
        words=None,
        unit="dims",
    ),
    Fact(
        f"{ROPE}.interleaved",
        SECTION,
        "rotary",
        ChangeRule(
            "rope-pairing-changed",
            "behaviour",
            "pairing of rotary dims changed",
            "Neighbouring dims rotate together instead of halves, or the reverse. Without "
            "permuted weights the answers are nonsense.",
        ),
        SOFTMAX,
        words=None,
    ),
    Fact(
        f"{ROPE}.span",
        SECTION,
        "rotary span",
        ChangeRule(
            "rope-span-changed",
            "behaviour",
            "width over which rotary pairs are laid out changed",
            "Frequencies differ, and other dims are paired.",
        ),
        SOFTMAX,
        unit="dims",
        rank=DETAIL,
    ),
    Fact(
        f"{ROPE}.scaling{{,.kind,.factor,.original_context,.alpha}}",
        SECTION,
        "scaling",
        ROPE_SCALING,
        SOFTMAX,
        words=rope_scaling_word,
    ),
    Fact(
        f"{ROPE}.{{sections,sections_interleaved}}",
        SECTION,
        "axes",
        ChangeRule(
            "rope-axes-changed",
            "behaviour",
            "axes of rotary positions changed",
            "Pairs follow time, height and width in other shares. Images and videos are seen at "
            "other places, text mostly as before.",
        ),
        SOFTMAX,
        words=axes,
        takes="block",
    ),
    Fact(
        f"{ROPE}.scaling.{{{','.join(PARAMETERS)},truncate}}",
        SECTION,
        "scaling parameters",
        ROPE_SCALING,
        SOFTMAX,
        words=scaling_parameters,
        takes="owner",
        rank=DETAIL,
    ),
    Fact(
        f"{ROPE}.scaling.{{short_factor,long_factor}}",
        SECTION,
        "scaling factors",
        ROPE_SCALING,
        SOFTMAX,
        words=scaling_factors,
        takes="owner",
        rank=DETAIL,
    ),
    Fact(
        "context_length",
        SECTION,
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
