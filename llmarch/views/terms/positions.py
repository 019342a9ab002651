"""Terms about positions."""

from __future__ import annotations

from ...architecture.schema import Attention, CompressedAttention, LinearAttention, Mixer
from .term import Term, has, has_field, has_kind, has_mixer, has_scaling

LONG_CONTEXT = 2**20
"""Tokens from which a context is long: which models are named for `context`."""


def is_partly_rotary(m: Mixer) -> bool:
    """Return whether only some dims of each head rotate; MLA has separate ones for it."""
    if not isinstance(m, (Attention, CompressedAttention)):
        return False
    rope = m.rope
    if rope is None:
        return False
    return rope.rotary_dim < m.head_dim


def has_axes(m: Mixer) -> bool:
    """Return whether the rotary pairs of a mixer are shared out over axes."""
    return not isinstance(m, LinearAttention) and m.rope is not None and bool(m.rope.sections)


TERMS = (
    Term(
        "learned positions",
        "A learned vector for each position is added to the embedding of the token.",
        ("learned absolute positions", "absolute positions", "wpe"),
        "x_0 = embedding[token] + positions[p]",
        "The simplest way. A model has no vector for a position beyond those that it has learned.",
        "Convolutional Sequence to Sequence Learning, arXiv:1705.03122; GPT-2 (2019)",
        ("embedding.positions",),
        has(lambda a: a.embedding.positions is not None),
        "learned absolute positions",
    ),
    Term(
        "RoPE",
        "Rotary positions: pairs of dims of queries and keys are turned by angles that are "
        "proportional to the position, so that their product depends on the distance.",
        ("rotary position embedding", "rotary", "RoPE θ", "theta", "position", "positions"),
        "angle of pair i at position p: p · θ^(−2i / rotary_dim)",
        "Relative positions without parameters, which stretch to longer contexts (a larger θ, "
        "YaRN).",
        "RoFormer, arXiv:2104.09864",
        ("mixers.*.rope.theta", "mixers.*.rope.rotary_dim"),
        has_field("rope"),
        "RoPE",
    ),
    Term(
        "partial rotary",
        "Only some dims of each head rotate; the others carry no position.",
        ("rotary dims", "partial RoPE"),
        "rotary_dim < head_dim",
        "A few dims suffice for positions; the others compare content over any distance.",
        "GPT-J (2021); GPT-NeoX-20B, arXiv:2204.06745",
        ("mixers.*.rope.rotary_dim",),
        has_mixer(is_partly_rotary),
    ),
    Term(
        "YaRN",
        "RoPE for longer contexts: slow pairs turn `factor` times slower, fast ones stay, those "
        "between are blended, and scores get a factor.",
        ("RoPE scaling", "scaling", "beta_fast", "beta_slow", "mscale", "β fast"),
        "attention_factor = 0.1 · ln(factor) + 1 on queries and keys",
        "A model learns a context several times its first one from little further training.",
        "YaRN, arXiv:2309.00071",
        ("mixers.*.rope.scaling.factor",),
        has_scaling("yarn"),
        "RoPE scaled by YaRN",
    ),
    Term(
        "Llama 3 scaling",
        "RoPE for longer contexts by wavelength: long waves turn `factor` times slower, short ones "
        "stay, between two bounds they are blended.",
        ("llama3",),
        "bounds: original_context / low_freq_factor and / high_freq_factor",
        "As YaRN, without a factor on the scores.",
        "code of Llama 3.1 (Meta AI, 2024)",
        ("mixers.*.rope.scaling.kind",),
        has_scaling("llama3"),
    ),
    Term(
        "linear scaling",
        "All angles of RoPE are divided by a factor.",
        ("position interpolation", "PI"),
        "angle = p / factor · θ^(−2i / rotary_dim)",
        "An early way to a longer context; near positions get harder to tell apart.",
        "Extending Context Window via Positional Interpolation, arXiv:2306.15595",
        ("mixers.*.rope.scaling.factor",),
        has_scaling("linear"),
    ),
    Term(
        "dynamic NTK scaling",
        "The base of RoPE grows with the length of the sequence once it is beyond the original "
        "context.",
        ("dynamic NTK", "NTK-aware scaling", "dynamic"),
        "θ' = θ · (factor · length / original − (factor − 1))^(d / (d − 2))",
        "Sequences of the original length are read as before.",
        "NTK-aware scaled RoPE (2023), in YaRN, arXiv:2309.00071",
        ("mixers.*.rope.scaling.kind",),
        has_scaling("dynamic"),
    ),
    Term(
        "LongRoPE",
        "Each pair of dims has a factor of its own that was found by a search, one set for short "
        "and one for long sequences.",
        ("long_factor", "short_factor"),
        "angle of pair i = p / factor_i · θ^(−2i / rotary_dim)",
        "It reaches two million tokens and keeps quality on short contexts.",
        "LongRoPE, arXiv:2402.13753",
        ("mixers.*.rope.scaling.kind",),
        has_scaling("longrope"),
    ),
    Term(
        "multimodal RoPE (M-RoPE)",
        "The rotary pairs are shared out over axes: time, height and width of an image or video.",
        ("mrope", "M-RoPE", "axes", "axes of RoPE"),
        "sections: how many pairs each axis has",
        "Tokens of a picture have positions in two dimensions; text has the same on all axes.",
        "Qwen2-VL, arXiv:2409.12191",
        ("mixers.*.rope.sections",),
        has_mixer(has_axes),
    ),
    Term(
        "NoPE",
        "Attention without positional encoding: queries and keys are compared by content, and the "
        "order shows only in which tokens are seen at all.",
        ("no positional encoding", "no positions", "iRoPE"),
        "score = q · k / √head_dim, whatever the distance",
        "In small models it generalised better to lengths beyond training than RoPE or ALiBi. Most "
        "models that have such layers use RoPE in the others (iRoPE), or a recurrent mixer.",
        "The Impact of Positional Encoding on Length Generalization, arXiv:2305.19466",
        ("mixers.*.rope",),
        has_kind("nope"),
        "layers without positions (NoPE)",
    ),
    Term(
        "ALiBi",
        "Scores lose an amount that is proportional to the distance, with a slope for each head.",
        ("attention with linear biases",),
        "score = q · k / √head_dim − slope · distance",
        "It needs no embedding and goes on beyond the context of training.",
        "Train Short, Test Long, arXiv:2108.12409",
        ("mixers.*.alibi",),
        has_mixer(lambda m: getattr(m, "alibi", None) is not None),
    ),
    Term(
        "context",
        "The longest sequence in tokens that the config allows. With scaled RoPE it is what the "
        "scaling was made for; a k is 1,024 tokens here.",
        ("context length", "max_position_embeddings", "context window"),
        why="Engines refuse or cut what is longer, and plan the cache for it.",
        described="docs/cache.md",
        facts=("context_length",),
        is_in=has(lambda a: (a.context_length or 0) >= LONG_CONTEXT),
        feature="context of a million tokens",
    ),
)
