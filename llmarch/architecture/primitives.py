"""Parts that decoder blocks and encoders share: norms and rotary positions."""

from __future__ import annotations

from typing import Literal

from .frozen import Strict, frozen


@frozen(kw_only=True)
class Norm(Strict):
    """A normalisation of vectors: RMSNorm or LayerNorm.

    - RMSNorm: x / sqrt(mean(x²) + eps) · (offset + weight)
    - LayerNorm: (x − mean(x)) / sqrt(var(x) + eps) · (offset + weight) + bias
    """

    kind: Literal["rmsnorm", "layernorm"]
    """`rmsnorm` divides by the root mean square; `layernorm` subtracts the mean first."""
    eps: float | None = None
    """Constant ε under the square root, against division by zero. None: not known."""
    offset: int = 0
    """Constant added to the learned weight: 1 multiplies by (1 + weight), as Gemma and Qwen3-Next
    do; 0 multiplies by the weight itself. Tensor shapes are the same in both."""
    bias: bool = False
    """Whether a learned bias, as wide as the vector, is added."""
    weight: bool = True
    """Whether there is a learned weight, as wide as the vector. False: normalises only, and stores
    no tensor."""
    gate_rank: int | None = None
    """Rank of a gate on the norm's output y (A.X K2): y · sigmoid(up(silu(down(y)))), with matrices
    [gate_rank, width] and [width, gate_rank]. None: no gate."""


@frozen(kw_only=True)
class RopeScaling(Strict):
    """How rotary frequencies are changed for contexts longer than the model was first trained on.

    A field that belongs to another kind of scaling, or that has no effect, is None. What the config
    leaves out has the value that transformers takes for it.
    """

    kind: Literal["linear", "dynamic", "llama3", "yarn", "longrope"]
    """The method:

    - `linear` divides all frequencies by `factor`
    - `dynamic` (dynamic NTK) raises the base as the sequence grows beyond `original_context`, or by
      a fixed `alpha`
    - `llama3` divides low frequencies by `factor`, keeps high ones and blends between the two
    - `yarn` does so by the turns that a pair makes within `original_context`, and multiplies
      queries and keys by `attention_factor`
    - `longrope` divides each pair's frequency by a factor of its own
    """
    factor: float | None = None
    """Ratio of the extended context to the original one; low frequencies are divided by it."""
    original_context: int | None = None
    """Context length in tokens before the extension; for `dynamic` that of the config, from which
    on the base grows."""
    low_freq_factor: float | None = None
    """`llama3` only: pairs whose wavelength exceeds original_context / low_freq_factor tokens are
    divided by `factor` in full."""
    high_freq_factor: float | None = None
    """`llama3` only: pairs whose wavelength is below original_context / high_freq_factor tokens
    keep their frequency."""
    beta_fast: float | None = None
    """`yarn` only: pairs that make more than this many turns within `original_context` keep their
    frequency; 32 unless the config says otherwise."""
    beta_slow: float | None = None
    """`yarn` only: pairs that make fewer than this many turns within `original_context` are divided
    by `factor` in full; 1 unless the config says otherwise."""
    mscale: float | None = None
    """`yarn` as in DeepSeek: with g(m) = 0.1 · m · ln(factor) + 1, cosines and sines are multiplied
    by g(mscale) / g(mscale_all_dim)."""
    mscale_all_dim: float | None = None
    """`yarn` as in DeepSeek: the second m of `mscale`. The softmax scale is multiplied by
    g(mscale_all_dim)² too, which `LatentAttention.scale` includes."""
    attention_factor: float | None = None
    """Factor of cosines and sines, so of queries and keys (`yarn`, `longrope`). Unless the config
    has one it is, for `yarn`, 0.1 · ln(factor) + 1 or what follows from `mscale`, and for
    `longrope` sqrt(1 + ln(factor) / ln(original_context))."""
    alpha: float | None = None
    """`dynamic` with a fixed stretch (Hunyuan): the base is theta · alpha^(d / (d − 2)) at every
    length, d the rotary dims."""
    truncate: bool | None = None
    """`yarn` only: whether the bounds of the blended range are rounded to whole pairs, as they are
    unless the config says otherwise; gpt-oss does not round."""
    short_factor: tuple[float, ...] | None = None
    """`longrope` only: divisor of each pair's frequency (rotary_dim / 2 numbers) in sequences up to
    `original_context`."""
    long_factor: tuple[float, ...] | None = None
    """`longrope` only: divisor of each pair's frequency (rotary_dim / 2 numbers) in longer
    sequences."""


@frozen(kw_only=True)
class Rope(Strict):
    """Rotary position embedding (RoPE) of queries and keys.

    Pairs of dims are rotated by angles that grow with the position: pair j turns by
    position · theta^(−2j / rotary_dim), before scaling.
    """

    theta: float
    """Base of the frequencies. A larger base turns slower and reaches farther."""
    rotary_dim: int
    """How many dims of each head rotate: the first ones in `Attention`, the rope dims in
    `LatentAttention`, the last ones in `CompressedAttention`. The other dims carry no position."""
    interleaved: bool = False
    """How dims are paired. False: (i, i + half), the two halves; true: (2i, 2i + 1), neighbours.
    The wrong pairing makes answers nonsense without an error."""
    span: int | None = None
    """Number of dims over which pairs and frequencies are laid out when only the first rotary_dim /
    2 pairs rotate (Gemma 4's full layers). None: rotary_dim itself."""
    sections: tuple[int, ...] | None = None
    """How many pairs follow each axis of a position: time, height, width. None: positions have one
    axis. Text has the same number on all axes."""
    sections_interleaved: bool = False
    """Whether pairs are assigned to the axes in turn, instead of one block of pairs for each."""
    scaling: RopeScaling | None = None
    """Change of the frequencies for longer contexts. None: none."""
