"""Words for rotary positions and how they are stretched."""

from __future__ import annotations

from ...views.numbers import number
from ..schema import Embedding, LatentAttention, LinearAttention, Mixer, Rope, RopeScaling

SCALING = {
    "yarn": "YaRN",
    "llama3": "llama3",
    "linear": "linear",
    "dynamic": "dynamic NTK",
    "longrope": "LongRoPE",
}
"""Names of the kinds of scaling."""


def absolute_kind(e: Embedding) -> str | None:
    """Return what kind of absolute positions is added to the embedding, None for none."""
    if e.positions:
        return "learned"
    if e.sinusoidal:
        return "sinusoidal"
    return None


def absolute_positions(e: Embedding) -> str | None:
    """Return the positions that are added to the embedding: `learned, 2,048 positions`, or None."""
    if e.positions:
        return f"learned, {number(e.positions - e.position_offset)} positions"
    return absolute_kind(e)


def rotary_word(r: Rope, m: Mixer) -> str:
    """Return `all 128 dims`, or `64 of 192 dims, interleaved`.

    r: the rotary positions.
    m: the mixer that has them, for the dims of its heads.
    """
    if isinstance(m, LatentAttention):
        head_dim = m.qk_nope_head_dim + m.qk_rope_head_dim
    elif isinstance(m, LinearAttention):
        head_dim = m.key_head_dim
    else:
        head_dim = m.head_dim
    dims = f"{number(r.rotary_dim)} of {number(head_dim)} dims"
    if r.rotary_dim == head_dim:
        dims = f"all {number(head_dim)} dims"
    if r.interleaved:
        return f"{dims}, interleaved"
    return dims


def rope_scaling_word(s: RopeScaling | None) -> str:
    """Return `YaRN × 40 from 4,096`, or `none`."""
    if s is None:
        return "none"
    if s.alpha:
        return f"NTK with a fixed α of {number(s.alpha)}"
    text = SCALING[s.kind]
    if s.factor:
        text += f" × {s.factor:g}"
    if s.original_context:
        text += f" from {number(s.original_context)}"
    return text
