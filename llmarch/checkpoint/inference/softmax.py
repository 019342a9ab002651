"""Recognise softmax attention with its own queries, keys and values, or without some of them.

The sizes of the projections give only products, heads * head dim. One head's width follows from a
QK-norm, from attention sinks, or from a config whose heads fit the shapes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from .recognised import ConfigHeads, ModuleTensors, Recognised

OUTPUT_PROJECTIONS = (
    "o_proj.weight",
    "out_proj.weight",
    "dense.weight",
    "c_proj.weight",
    "wo.weight",
    "proj.weight",
)
NO_ROPE_TENSORS = "rotary positions have no tensors"
NO_WINDOW_TENSORS = "a sliding window has no tensors"

_Q_NORMS = ("q_norm.weight", "q_layernorm.weight")
_K_NORMS = ("k_norm.weight", "k_layernorm.weight")
_HEAD_FACTS = ("heads", "kv_heads", "head_dim", "v_head_dim")
_PARTIAL = re.compile(
    r"(?:q_proj|k_proj|o_proj|out_proj|dense|wo|g_proj|gate_proj)\.(?:weight|bias)"
    r"|[qk]_(?:layer)?norm\.weight"
    r"|sinks"
)
"""Names in a module without values of its own."""


class _Widths(NamedTuple):
    """Outputs of the projections q, k and v, and inputs of the projection o."""

    q: int | None
    k: int | None
    v: int | None
    o: int | None


class _HeadDim(NamedTuple):
    """The width of one head, and what it follows from."""

    size: int
    tensors: tuple[str, ...]
    ref: str
    config_keys: str = ""


def recognise_attention(tensors: ModuleTensors) -> Recognised | None:
    """Recognise softmax attention with queries, keys and values, stored apart or fused."""
    output = tensors.first(*OUTPUT_PROJECTIONS)
    is_split = tensors.has("q_proj.weight", "k_proj.weight", "v_proj.weight")
    if not output or not (is_split or tensors.has("qkv_proj.weight")):
        return None

    found = Recognised("mixers", "attention", "attention")
    if is_split:
        _prove_heads(tensors, found, output, _split_widths(tensors, output))
        _prove_bias(tensors, found, ("q_proj", "k_proj", "v_proj"))
    else:
        _prove_heads(tensors, found, output, _fused_widths(tensors, output))
        _prove_fused_bias(tensors, found)

    _prove_output_bias_and_sinks(tensors, found, output)
    if not tensors.first(*_Q_NORMS):
        found.leave_open(
            "qk_norm",
            reason="no weight of a QK-norm is stored; a QK-norm without weights has no tensors",
        )

    found.leave_open("rope", reason=NO_ROPE_TENSORS)
    found.leave_open("window", reason=NO_WINDOW_TENSORS)
    return found


def recognise_partial_attention(tensors: ModuleTensors) -> Recognised | None:
    """Recognise attention that has no values, or no keys and values, of its own."""
    output = tensors.first(*OUTPUT_PROJECTIONS)
    if not output or not tensors.has("q_proj.weight"):
        return None
    if not all(_PARTIAL.fullmatch(name) for name in tensors.shapes):
        return None

    found = Recognised("mixers", "attention", "attention")
    has_keys = tensors.has("k_proj.weight")
    if has_keys:
        found.leave_open(
            "values_from_keys",
            reason="no value projection is stored: values may be the keys, or another layer's",
        )
    else:
        found.leave_open(
            "kv_from",
            reason="no key and value projections are stored: they may be another layer's",
        )

    _prove_heads_by_norm(tensors, found, output)
    found.leave_open(*_HEAD_FACTS, reason="without a value projection the shapes do not settle it")
    _prove_bias(tensors, found, ("q_proj", "k_proj") if has_keys else ("q_proj",))
    _prove_output_bias_and_sinks(tensors, found, output)
    found.leave_open("rope", reason=NO_ROPE_TENSORS)
    found.leave_open("window", reason=NO_WINDOW_TENSORS)
    return found


# --- projections ---


def _split_widths(tensors: ModuleTensors, output: str) -> _Widths:
    return _Widths(
        q=tensors.outputs("q_proj.weight"),
        k=tensors.outputs("k_proj.weight"),
        v=tensors.outputs("v_proj.weight"),
        o=tensors.inputs(output),
    )


def _fused_widths(tensors: ModuleTensors, output: str) -> _Widths:
    """Return widths within a fused matrix: queries as wide as the output's input, k and v alike."""
    fused = tensors.outputs("qkv_proj.weight")
    queries = tensors.inputs(output)
    keys = None
    if fused is not None and queries is not None:
        rest = fused - queries
        if rest > 0 and rest % 2 == 0:
            keys = rest // 2

    return _Widths(q=queries, k=keys, v=keys, o=queries)


def _prove_bias(tensors: ModuleTensors, found: Recognised, projections: tuple[str, ...]) -> None:
    """Prove `qkv_bias` where all projections have one or none has (Whisper: only q and v)."""
    weights = [f"{name}.weight" for name in projections]
    biases = [f"{name}.bias" for name in projections]
    stored = [name for name in biases if tensors.has(name)]
    if not stored:
        found.prove("qkv_bias", False, *weights)
    elif stored == biases:
        found.prove("qkv_bias", True, *biases)
    else:
        found.leave_open("qkv_bias", reason=f"only {' and '.join(stored)} is stored")


def _prove_fused_bias(tensors: ModuleTensors, found: Recognised) -> None:
    split_bias = tensors.first("q_proj.bias", "k_proj.bias", "v_proj.bias")
    if tensors.has("qkv_proj.bias"):
        found.prove("qkv_bias", True, "qkv_proj.bias")
    elif split_bias:
        found.leave_open("qkv_bias", reason=f"{split_bias} is stored beside a fused matrix")
    else:
        found.prove("qkv_bias", False, "qkv_proj.weight")


def _prove_output_bias_and_sinks(tensors: ModuleTensors, found: Recognised, output: str) -> None:
    bias = output.removesuffix("weight") + "bias"
    found.prove_presence(tensors, "output_bias", bias, neighbour=output)
    found.prove_presence(tensors, "sinks", "sinks", neighbour=output)


# --- heads ---


def _prove_heads(tensors: ModuleTensors, found: Recognised, output: str, widths: _Widths) -> None:
    """Prove heads, KV heads and head dims.

    o = heads * v_head_dim, k = kv_heads * head_dim, v = kv_heads * v_head_dim, and q = heads *
    head_dim, or twice that if it holds a gate.
    """
    head_dim = _find_head_dim(tensors, found, output, widths)
    k, o = widths.k, widths.o
    if head_dim is None or k is None or o is None or not _fits(widths, head_dim.size):
        found.leave_open(*_HEAD_FACTS, reason=_open_reason(widths, head_dim))
        return

    size, source, ref, config_keys = head_dim
    prove = partial(found.prove, config_keys=config_keys)
    key_matrix = tensors.first("k_proj.weight", "qkv_proj.weight")
    prove("heads", o // size, output, *source, ref=ref)
    prove("kv_heads", k // size, key_matrix, *source, ref=ref)
    dim_tensors = source or (output,)
    prove("head_dim", size, *dim_tensors, ref=ref)
    prove("v_head_dim", size, *dim_tensors, ref="k and v are equally wide")
    if widths.q == 2 * o and "q_norm.weight" in source:
        found.prove(
            "gate",
            "elementwise",
            "q_proj.weight",
            ref="q_proj is twice as wide as the input of the output projection",
        )


def _fits(widths: _Widths, head_dim: int) -> bool:
    """Return whether queries, keys and values are whole heads, in whole groups of queries."""
    _, k, v, o = widths
    if k is None or o is None or v != k:
        return False
    if o % head_dim or k % head_dim:
        return False
    if k == 0:
        return o == 0
    return o % k == 0


def _open_reason(widths: _Widths, head_dim: _HeadDim | None) -> str:
    if head_dim is not None and head_dim.tensors:
        return f"{head_dim.tensors[0]} does not settle the head dims"
    reason = "only the product of heads and head dim is stored"
    if widths.o is not None and widths.k is not None:
        reason += f" ({widths.o:,} for queries, {widths.k:,} for keys)"
    return reason


def _find_head_dim(
    tensors: ModuleTensors, found: Recognised, output: str, widths: _Widths
) -> _HeadDim | None:
    """Return the width of one head by a QK-norm, the number of sinks, or a config that fits."""
    for q_norm, k_norm in zip(_Q_NORMS, _K_NORMS, strict=True):
        by_norm = _head_dim_by_norm(tensors, found, widths, (q_norm, k_norm))
        if by_norm is not None:
            return by_norm

    _, k, v, o = widths
    if o is None or k is None:
        return None

    sinks = tensors.size("sinks", 0)
    if sinks and o and v == k and o % sinks == 0:
        return _HeadDim(o // sinks, ("sinks",), "one sink for each query head")

    config = tensors.heads
    if config is None or config.head_dim <= 0:
        return None
    if (o, k) != (config.heads * config.head_dim, config.kv_heads * config.head_dim):
        return None

    ref = f"{output} has {o:,} inputs, which the heads of the config fit"
    return _HeadDim(config.head_dim, (), ref, config.keys)


def _head_dim_by_norm(
    tensors: ModuleTensors, found: Recognised, widths: _Widths, norms: tuple[str, str]
) -> _HeadDim | None:
    """Return the width of one head if a QK-norm gives it; prove the scope of the norm.

    A norm has a row for each head, one row as wide as a head, or one as wide as the projection.
    """
    q_shape = tensors.shapes.get(norms[0])
    k_shape = tensors.shapes.get(norms[1])
    q, k, _, o = widths
    if q_shape is None or k_shape is None or o is None or k is None:
        return None

    if len(q_shape) == len(k_shape) == 2:
        size = q_shape[1]
        products = (q_shape[0] * size, k_shape[0] * size)
        if size > 0 and k_shape[1] == size and products == (o, k):
            found.leave_open("qk_norm.scope", reason="every head has weights of its own")
            return _HeadDim(size, norms, "the QK-norm has a row for each head")

    if len(q_shape) == 1 and q_shape == k_shape:
        size = q_shape[0]
        if 0 < size < o and k % size == 0 and o % size == 0:
            found.prove("qk_norm.scope", "head", *norms)
            return _HeadDim(size, norms, "the QK-norm is one head wide")

    # One KV head is as wide as the projection of keys: several heads by the config rule it out.
    is_projection = q is not None and q_shape == (q,) and k_shape == (k,)
    if is_projection and (q != k or _has_several_heads(tensors.heads, o)):
        found.prove("qk_norm.scope", "projection", *norms)
    else:
        reason = f"{norms[0]} may be as wide as a head or as the projection"
        found.leave_open("qk_norm.scope", reason=reason)

    return None


def _has_several_heads(config: ConfigHeads | None, width: int) -> bool:
    if config is None or config.heads <= 1:
        return False
    width_of_heads = config.heads * config.head_dim
    return width_of_heads == width


def _prove_heads_by_norm(tensors: ModuleTensors, found: Recognised, output: str) -> None:
    """Prove heads without a value projection, by a QK-norm that is narrower than the queries.

    Queries as wide as the input of the output projection hold no gate.
    """
    q_norm = tensors.first(*_Q_NORMS)
    k_norm = tensors.first(*_K_NORMS)
    shape = tensors.shapes.get(q_norm)
    q, k = tensors.outputs("q_proj.weight"), tensors.outputs("k_proj.weight")
    if shape is None or len(shape) != 1 or q is None or q != tensors.inputs(output):
        return

    size = shape[0]
    if not 0 < size < q or q % size:
        return

    found.prove("qk_norm.scope", "head", q_norm)
    found.prove("head_dim", size, q_norm, ref="the QK-norm is one head wide")
    found.prove("heads", q // size, "q_proj.weight", q_norm)
    if k is not None and k % size == 0 and tensors.shapes.get(k_norm) == shape:
        found.prove("kv_heads", k // size, "k_proj.weight", k_norm)
