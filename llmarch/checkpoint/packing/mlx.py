"""MLX: integers of 2 to 8 bits packed into 32-bit words along the inputs, scaled by group.

mlx nn/layers/quantized.py: `weight` U32 [.., o, i * bits / 32], `scales` and `biases`
[.., o, i / group]; embeddings and stacked experts alike. Modes mxfp4, mxfp8 and nvfp4 have U8
scales and no biases.

transformers' method `metal` (5.23.0 integrations/metal_quantization.py) has the same tensors with
`qbiases` for `biases`.

Words and scales alone do not give bits and group size (4 bits in groups of 64 look like 8 bits in
groups of 32): the config's group size decides, and without it all pairs stay possible.
"""

from __future__ import annotations

from typing import NamedTuple

from .base import REAL_DTYPES, UINT8, Decoded, Packed, PackingFormat, Shape, format_shape

_BITS = (2, 3, 4, 5, 6, 8)
_GROUP_SIZES = (64, 32, 128, 16)


class _Mode(NamedTuple):
    """Bits of a value, and the number of values that share a scale."""

    bits: int
    group_size: int


def _unpack(p: Packed) -> Decoded | None:
    if len(p.shape) < 2:
        return None

    scales = p.companions.get(".scales")
    if scales is None or len(scales) != len(p.shape):
        return _unpack_without_groups(p, scales)
    modes: list[_Mode] = []
    if scales[:-1] == p.shape[:-1]:
        modes = _possible_modes(p.shape[-1], scales[-1], p)
    if not modes:
        return _unpack_without_groups(p, scales) if p.bits else None

    *lead, groups = scales
    shapes: list[Shape] = [(*lead, groups * m.group_size) for m in modes]
    problem = ""
    biases = p.first(".biases", ".qbiases")
    if biases is not None and biases != scales:
        problem = f"biases of shape {format_shape(biases)} do not fit scales {format_shape(scales)}"

    if len(modes) > 1 and p.bits is not None and p.group_size is not None:
        problem = problem or _undeclared_mode(p, modes)
    if len(modes) > 1:
        return Decoded(
            width=0,
            shape=shapes[0],
            other_shapes=tuple(shapes[1:]),
            problem=problem,
            uncertain=True,
        )

    bits, group_size = modes[0]
    return Decoded(
        width=bits,
        shape=shapes[0],
        detail=f"{bits} bits, groups of {group_size}",
        problem=problem,
    )


def _unpack_without_groups(p: Packed, scales: Shape | None) -> Decoded:
    """Unpack by the declared bits alone: no scales are stored, or they have other dimensions."""
    *lead, words = p.shape
    bits = p.bits or 4
    problem = ""
    if scales is not None:
        problem = f"scales of shape {format_shape(scales)} do not cover {format_shape(p.shape)}"

    return Decoded(
        width=bits,
        shape=(*lead, words * 32 // bits),
        problem=problem,
        uncertain=p.bits is None,
    )


def _undeclared_mode(p: Packed, modes: list[_Mode]) -> str:
    """Return the text for words and scales of a row that allow other modes than the declared."""
    allowed = [f"{mode.bits} bits in groups of {mode.group_size}" for mode in modes]
    return (
        f"the config declares {p.bits} bits in groups of {p.group_size} for it, but words and"
        f" scales are of {' or '.join(allowed)}"
    )


def _possible_modes(words: int, groups: int, p: Packed) -> list[_Mode]:
    """Return the modes that words and groups of a row allow.

    The declared one is the only one if it is among them. Where the config has no bits, or several,
    its group size decides.
    """
    fitting = [
        _Mode(bits, size)
        for size in _GROUP_SIZES
        for bits in _BITS
        if words * 32 == groups * size * bits
    ]
    as_declared = [m for m in fitting if m == (p.bits, p.group_size)]
    if p.bits is None or p.group_size is None:
        as_declared = [m for m in fitting if m.group_size == p.group_size]
    return as_declared or fitting


FORMATS = (
    PackingFormat(
        name="metal",
        methods=frozenset({"metal"}),
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=frozenset({"U32"}),
        scales=(".qbiases",),
        extras=(".scales",),
        unpack=_unpack,
        companion_dtypes={".scales": REAL_DTYPES, ".qbiases": REAL_DTYPES},
    ),
    PackingFormat(
        name="mlx",
        methods=frozenset({"mlx"}),
        endings=(".weight",),
        suffix=".weight",
        logical_suffix=".weight",
        dtypes=frozenset({"U32"}),
        scales=(".scales",),
        extras=(".biases",),
        unpack=_unpack,
        certain=True,
        companion_dtypes={".scales": REAL_DTYPES | UINT8, ".biases": REAL_DTYPES},
    ),
)
