"""MLX: integers of 2 to 8 bits packed into 32-bit words along the inputs, with a scale and a bias for each group.

mlx nn/layers/quantized.py: `weight` U32 [.., o, i * bits / 32], `scales` and `biases` [.., o, i / group]; embeddings and stacked experts
alike. Modes mxfp4, mxfp8 and nvfp4 have U8 scales and no biases. Words and scales alone leave bits and group open (4 bits in groups of
64 look like 8 bits in groups of 32): the config's group size decides, and without one every reading is offered.
"""

from __future__ import annotations

from .base import Format, Packed, Plain, Shape, listed

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (64, 32, 128, 16)


def unpack(p: Packed) -> Plain | None:
    scales = p.beside.get(".scales")
    if len(p.shape) < 2:
        return None
    *lead, words = p.shape
    if scales is None or len(scales) != len(p.shape):
        bits = p.bits or 4
        wrong = (
            f"its scales are {listed(scales)}, for {listed(p.shape)}" if scales is not None else ""
        )
        return Plain(bits, (*lead, words * 32 // bits), wrong=wrong, open=p.bits is None)
    if list(scales[:-1]) != lead:
        return None
    found = readings(words, scales[-1], p.group)
    if not found:
        return None
    (bits, group), *more = found
    others: tuple[Shape, ...] = tuple((*lead, scales[-1] * g) for _, g in more)
    how = f"{bits} bits, groups of {group}" if not others else ""
    biases = p.beside.get(".biases", scales)
    wrong = (
        f"its biases are {listed(biases)}, its scales {listed(scales)}" if biases != scales else ""
    )
    return Plain(
        bits if not others else 0,
        (*lead, scales[-1] * group),
        others,
        how=how,
        wrong=wrong,
        open=bool(others),
    )


def readings(words: int, scales: int, declared: int | None) -> list[tuple[int, int]]:
    """(bits, group size) that words and scales allow; the declared group size alone, where it fits."""
    fitting = [(bits, g) for g in GROUPS for bits in BITS if words * 32 == scales * g * bits]
    said = [x for x in fitting if x[1] == declared]
    return said or fitting


MLX = Format(
    name="mlx",
    methods=frozenset({"mlx"}),
    values=(".weight",),
    stem=".weight",
    logical=".weight",
    dtypes=frozenset({"U32"}),
    scales=(".scales",),
    beside=(".biases",),
    unpack=unpack,
    sure=True,
)

FORMATS = (MLX,)
