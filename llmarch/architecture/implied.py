"""What facts left at None stand for: factors of 1, the usual softmax scale, no RoPE scaling.

A config that writes such a value out says the same as one that leaves it out. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isclose, sqrt
from struct import pack
from typing import Any, cast

from .encoders import Tower
from .feed_forward import Dense, MoE
from .mixers import Attention, LatentAttention, LinearAttention, QueryScaling
from .primitives import Rope, RopeScaling
from .scaling_factors import usual_factor
from .schema import Embedding, Head, PerLayerEmbedding

PRECISION = 1e-12
"""Relative difference up to which floats are equal: roundings of one formula in another order."""
SINGLE_PRECISION = 1e-6
"""A bound of the relative difference of floats that are one 32-bit float."""

SIGMOID_ACTIVATIONS = ("silu", "swish")
"""Activations x · sigmoid(alpha · x) with an alpha of 1."""

SCALED_INPUTS = 5
"""Parts of the input of Mamba-2 that have a factor each: gate, x, B, C and dt."""

DIVIDING_SCALINGS = ("linear", "llama3", "yarn")
"""Kinds of RoPE scaling that divide frequencies by `factor`."""

UNSET = (None, ())
"""Values of a fact that is not written out."""


def factor_of_one(owner: object) -> float:
    """Return 1: the factor of what has none."""
    return 1.0


def usual_scale(m: Attention | LatentAttention) -> float:
    """Return the factor of query · key that follows from the dims of a head."""
    if isinstance(m, Attention):
        return 1 / sqrt(m.head_dim)
    return 1 / sqrt(m.qk_nope_head_dim + m.qk_rope_head_dim)


def usual_alpha(f: Dense | MoE) -> float | None:
    """Return the steepness of an activation by its name, None where it has none."""
    if f.activation in SIGMOID_ACTIVATIONS:
        return 1.0
    return None


def of_yarn(value: float | bool) -> Callable[[RopeScaling], float | bool | None]:
    """Return what finds the value of a field that YaRN has where its config leaves it out."""

    def find(scaling: RopeScaling) -> float | bool | None:
        return value if scaling.kind == "yarn" else None

    return find


IMPLIED: Mapping[tuple[type, str], Callable[[Any], Any]] = {
    (Attention, "scale"): usual_scale,
    (LatentAttention, "scale"): usual_scale,
    (Attention, "value_scale"): factor_of_one,
    (LatentAttention, "q_scale"): factor_of_one,
    (LatentAttention, "kv_scale"): factor_of_one,
    (LinearAttention, "input_scales"): lambda m: (1.0,) * SCALED_INPUTS,
    (LinearAttention, "output_bias"): lambda m: m.bias,
    (Embedding, "scale"): factor_of_one,
    (PerLayerEmbedding, "scale"): factor_of_one,
    (Head, "scale"): factor_of_one,
    (Dense, "alpha"): usual_alpha,
    (MoE, "alpha"): usual_alpha,
    (Dense, "sparsity"): lambda f: 0.0,
    (RopeScaling, "attention_factor"): usual_factor,
    (RopeScaling, "beta_fast"): of_yarn(32.0),
    (RopeScaling, "beta_slow"): of_yarn(1.0),
    (RopeScaling, "truncate"): of_yarn(True),
    (Rope, "span"): lambda rope: rope.rotary_dim,
    (Tower, "kv_heads"): lambda tower: tower.heads,
    (MoE, "shared_gated"): lambda moe: moe.gated,
    (Tower, "output_bias"): lambda tower: tower.attention_bias,
    (Tower, "features"): lambda tower: (tower.layers,),
}
"""What an unset fact stands for, by the class and the field. Facts that are not here stand for
nothing else: there is no such part, or it is not known."""


def implied_value(owner: object, name: str) -> Any:
    """Return the value that a field stands for where it is unset; None where for nothing."""
    find = IMPLIED.get((type(owner), name))
    if find is None:
        return None
    return find(owner)


def effective_value(owner: object, name: str) -> Any:
    """Return the value of a field; where it is unset the one that it stands for."""
    value = getattr(owner, name)
    if is_unset(value):
        return implied_value(owner, name)
    return value


def have_same_effect(old: Any, new: Any, name: str) -> bool:
    """Return whether a field says the same in two objects of one class.

    It does where it is unset in both, even if what it stands for follows from facts that differ.

    old, new: the objects.
    name: the name of the field.
    """
    if is_unset(getattr(old, name)) and is_unset(getattr(new, name)):
        return True
    return same(effective_value(old, name), effective_value(new, name))


def is_unset(value: Any) -> bool:
    """Return whether a value is that of a fact left out, or a part that has no effect."""
    return value in UNSET or is_without_effect(value)


def is_without_effect(value: Any) -> bool:
    """Return whether a value is a scaling that changes nothing: of RoPE by 1, of queries by 0."""
    if isinstance(value, QueryScaling):
        return value.beta == 0
    if not isinstance(value, RopeScaling) or value.attention_factor not in (None, 1):
        return False
    if value.kind == "longrope":
        factors = (*(value.short_factor or ()), *(value.long_factor or ()))
        return all(factor == 1 for factor in factors)
    return value.kind in DIVIDING_SCALINGS and value.factor == 1


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal; of floats see `same_floats`."""
    if isinstance(a, float) and isinstance(b, float):
        return same_floats(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        olds, news = cast("tuple[Any, ...]", a), cast("tuple[Any, ...]", b)
        if olds and isinstance(olds[0], float):
            return len(olds) == len(news) and all(map(same, olds, news))
    return a == b


def same_floats(a: float, b: float) -> bool:
    """Return whether two floats are equal, or were written from one 32-bit float.

    Some configs were written from 32-bit floats: 9.999999974752427e-07 for 1e-06. Whole numbers are
    written exactly: bases of 10,000,000 and 10,000,001 are two.
    """
    if isclose(a, b, rel_tol=PRECISION):
        return True
    are_whole = a.is_integer() and b.is_integer()
    if are_whole or not isclose(a, b, rel_tol=SINGLE_PRECISION):
        return False
    return pack("f", a) == pack("f", b)
