"""Lines of `show` about mixers: their heads, what they see, norms, gates and positions.

Mixers with the same heads share a heading. A detail that all mixers below a heading have stands
once; a detail that only some have stands with what these see. Pure, like all views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import isqrt
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
from ..architecture.schema import (
    Architecture,
    Attention,
    BlockIndex,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
    QKNorm,
    Rope,
    RopeScaling,
)
from . import numbers
from .fact_rows import DECAY, Softmax, nope_layers, query_scaling, rotary, scaling, softmax
from .numbers import number
from .wording import (
    LINEAR,
    compression,
    linear_dims,
    sharing,
    values_scale_word,
)

LINE = 64
"""Columns that short details may fill together; beside the labels this fits into 80."""

BIASED = {
    (True, True): "bias on q, k, v, o",
    (True, False): "bias on q, k, v",
    (False, True): "bias on o",
    (False, False): "no bias",
}
"""Words for (qkv_bias, output_bias) of an Attention."""


def attention_lines(a: Architecture) -> list[str]:
    """Return a heading for mixers with the same heads, then what these see and have besides."""
    layers = layers_by_mixer(a)
    details = {name: mixer_details(a, a.mixers[name]) for name in layers}
    groups: dict[str, list[str]] = {}
    for name in layers:
        groups.setdefault(mixer_heading(a.mixers[name]), []).append(name)
    softmax_groups = {h: names for h, names in groups.items() if set(names) & set(softmax(a))}
    everywhere: list[str] = []
    if len(softmax_groups) > 1:
        everywhere = in_common(details[name] for name in softmax(a))
    lines: list[str] = []
    for heading, names in groups.items():
        group = [
            MixerUse(name, layers[name], [d for d in details[name] if d not in everywhere])
            for name in names
        ]
        if len(groups) > 1:
            heading += f" · {sum(use.layers for use in group)} layers"
        lines += [heading, *group_lines(a, group, counted=len(groups) > 1)]
    scope = attention_layers(a)
    return [*lines, *(f"{line} · all {scope}" for line in packed(everywhere))]


@frozen
class MixerUse(Frozen):
    """A mixer under a heading: how many layers use it, and its details."""

    name: str
    layers: int
    details: list[str]


def layers_by_mixer(a: Architecture) -> Counter[str]:
    """Return how many layers use each mixer, in order of first use."""
    return Counter(name for kind in a.layers for name in mixer_names(a, kind))


def attention_layers(a: Architecture) -> str:
    """Return `layers`, or `attention layers` where other mixers keep a state instead."""
    hybrid = any(isinstance(a.mixers[name], LinearAttention) for name in layers_by_mixer(a))
    return "attention layers" if hybrid else "layers"


def in_common(lists: Iterable[list[str]]) -> list[str]:
    """Return the details that are in every list, in the order of the first."""
    first, *others = lists
    return [detail for detail in first if all(detail in other for other in others)]


def packed(words: Iterable[str]) -> list[str]:
    """Return lines of words joined by ` · `, as many to a line as fit into `LINE` columns."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 3 <= LINE:
            lines[-1] += f" · {word}"
        else:
            lines.append(word)
    return lines


def group_lines(a: Architecture, group: list[MixerUse], counted: bool) -> list[str]:
    """Return the lines below a heading: common details, then what each mixer sees.

    a: the architecture.
    group: the mixers of the heading.
    counted: whether the heading says how many layers use them.
    """
    common = in_common(use.details for use in group)
    lines = packed(common)
    if len(group) == 1 and not is_partial_reach(a.mixers[group[0].name]):
        return lines
    plain: list[str] = []
    for use in group:
        reach = reach_phrase(a, a.mixers[use.name])
        if reach and (len(group) > 1 or not counted):
            reach += f" on {use.layers} layers"
        own = [detail for detail in use.details if detail not in common]
        if own:
            lines += packed(plain)
            lines.append(" · ".join(filter(None, [reach, *own])))
            plain = []
        elif reach:
            plain.append(reach)
    return lines + packed(plain)


# What a mixer sees


def reach_word(m: Mixer) -> str:
    """Return what a query sees: `sliding window 4,096`, `chunks of 8,192`, `full`, `state`."""
    match m:
        case LinearAttention():
            return "state"
        case CompressedAttention():
            beyond = compression(m)
            window = f"window {number(m.window)}"
            return f"{window} + {beyond}" if beyond else window
        case LatentAttention():
            if m.indexer:
                return "own index"
            return "an earlier layer's index" if m.index_from else "full"
        case Attention():
            if m.window:
                return f"sliding window {number(m.window)}"
            if m.chunk:
                return f"chunks of {number(m.chunk)}"
            if m.block_index:
                return f"the best {m.block_index.top_blocks} blocks of {m.block_index.block}"
            return "full"


def reach_phrase(a: Architecture, m: Mixer) -> str:
    """Return what a query sees, and `NoPE` where other layers have rotary positions."""
    if isinstance(m, LinearAttention):
        return ""
    reach = reach_word(m)
    return f"{reach}, NoPE" if is_nope_among_rotary(a, m) else reach


def is_partial_reach(m: Mixer) -> bool:
    """Return whether a softmax mixer sees less than all earlier tokens by a fixed rule."""
    if isinstance(m, CompressedAttention):
        return True
    return isinstance(m, Attention) and bool(m.window or m.chunk or m.block_index)


def is_nope_among_rotary(a: Architecture, m: Mixer) -> bool:
    """Return whether a softmax mixer has no positions although others have rotary ones."""
    if isinstance(m, LinearAttention) or m.rope or a.embedding.positions:
        return False
    return any(other.rope for other in softmax(a).values())


# Headings


def mixer_heading(m: Mixer) -> str:
    """Return the kind of a mixer, its heads and their dims."""
    match m:
        case Attention():
            return attention_heading(m)
        case LatentAttention():
            name = "sparse MLA" if m.indexer or m.index_from else "MLA"
            rank = number(m.q_lora_rank) if m.q_lora_rank else "full rank"
            return f"{name}, {m.heads} heads · latent ranks q {rank}, kv {number(m.kv_lora_rank)}"
        case CompressedAttention():
            heads = f"{m.heads} query heads over one latent that is key and value"
            dims = f"head dim {m.head_dim}, the last {m.rope_dim} rotary"
            return f"{heads}, {dims} · q rank {number(m.q_lora_rank)}"
        case LinearAttention():
            return linear_heading(m)


def attention_heading(m: Attention) -> str:
    """Return `GQA, 32 query : 8 KV heads, head dim 128, no bias`."""
    heads = f"{m.heads} query : {m.kv_heads} KV heads"
    if m.heads == m.kv_heads:
        heads = f"{m.heads} heads"
    dim = f"K {m.head_dim}, V {m.v_head_dim}"
    if m.head_dim == m.v_head_dim:
        dim = number(m.head_dim)
    return f"{sharing(m)}, {heads}, head dim {dim}, {BIASED[m.qkv_bias, m.output_bias]}"


def linear_heading(m: LinearAttention) -> str:
    """Return `Gated DeltaNet, 16 key : 32 value heads, head dim 128`."""
    name, dims = LINEAR[m.variant], linear_dims(m)
    if m.variant == "short_conv":
        return f"{name} of {m.conv_kernel} tokens, {dims} channels"
    if m.variant == "mamba2":
        groups = f"{m.key_heads} group{'s' if m.key_heads > 1 else ''}"
        return f"{name}, {m.value_heads} heads in {groups}, head dim {dims}"
    heads = f"{m.key_heads} key : {m.value_heads} value heads"
    if m.key_heads == m.value_heads:
        heads = f"{m.value_heads} heads"
    return f"{name}, {heads}, head dim {dims}"


# Details


def mixer_details(a: Architecture, m: Mixer) -> list[str]:
    """Return what a mixer has besides heads and reach, a few words each."""
    return list(DETAILS[type(m)](a, m))


def latent_details(a: Architecture, m: LatentAttention) -> Iterator[str]:
    """Yield the dims of MLA's heads, its indexer, factors, and a bias."""
    position = "rotary" if m.rope else "shared"
    dims = f"{m.qk_nope_head_dim} + {m.qk_rope_head_dim} {position}"
    yield f"head dims: {dims} for q and k, {m.v_head_dim} for v"
    if m.indexer:
        heads = f"{m.indexer.heads} heads × {m.indexer.head_dim}"
        yield f"lightning indexer: {heads}, reads the best {number(m.indexer.top_k)} tokens"
    if m.bias:
        yield "bias on q, kv, o"
    if m.norm_eps is not None and m.norm_eps not in {n.eps for n in a.norms.values()}:
        yield f"latent norms ε {numbers.epsilon(m.norm_eps)}"
    yield from score_details(m)


def compressed_details(a: Architecture, m: CompressedAttention) -> Iterator[str]:
    """Yield the output projection's groups, sinks, and the indexer's heads."""
    yield f"output projection in {m.o_groups} groups of rank {number(m.o_lora_rank)}"
    if m.sinks:
        yield "one attention sink per query head"
    if m.indexer:
        yield f"lightning indexer: {m.indexer.heads} heads × {m.indexer.head_dim}"


def attention_details(a: Architecture, m: Attention) -> Iterator[str]:
    """Yield QK-norm, gate, sinks, caps, where values come from, and factors on scores."""
    if m.qk_norm:
        yield qk_norm_word(m.qk_norm, rotary=any(other.rope for other in softmax(a).values()))
    if m.gate:
        yield f"{m.gate} output gate ({m.gate_activation})"
    if m.block_index:
        yield block_index_detail(m.block_index)
    if m.sinks:
        yield "one attention sink per query head"
    if m.softcap:
        yield f"score softcap {m.softcap:g}"
    if m.clip:
        yield f"q, k, v clipped at ±{m.clip:g}"
    if m.kv_from:
        yield f"keys and values of {m.kv_from}"
    if m.values_from_keys:
        yield "values: the key projection"
    if m.value_norm:
        yield "values: RMSNorm without weight"
    if m.sees_ahead:
        yield "tokens of one image see each other"
    if m.cross_tokens:
        yield f"reads up to {number(m.cross_tokens)} tokens of an encoder"
    yield from score_details(m)


def score_details(m: Attention | LatentAttention) -> Iterator[str]:
    """Yield fixed factors on values, scores and queries."""
    factors = values_scale_word(m)
    if factors:
        yield factors
    if m.scale is not None:
        yield f"softmax scale {scale_word(m.scale)}"
    if isinstance(m, Attention) and m.scale_by_depth:
        yield "scores divided by the layer's number"
    growth = query_scaling(m)
    if growth:
        yield f"queries × ({growth})"


def linear_details(a: Architecture, m: LinearAttention) -> Iterator[str]:
    """Yield decay, short convolution, output gate, biases, norm groups, and the state's dtype."""
    if m.variant in DECAY:
        yield f"decay {DECAY[m.variant]}"
    if m.conv_kernel and m.variant != "short_conv":
        yield f"short conv {m.conv_kernel}"
    if m.conv_bias:
        yield "bias on the convolution"
    if m.gate:
        order = " before the norm" if m.gate_first else ""
        yield f"{m.gate} output gate{order}"
    if m.bias:
        yield "bias on the projections"
    if m.norm_groups > 1:
        yield f"output norm in {m.norm_groups} groups"
    if m.state_dtype:
        yield f"state kept in {m.state_dtype}"


DETAILS: dict[type[Any], Callable[[Architecture, Any], Iterator[str]]] = {
    Attention: attention_details,
    LatentAttention: latent_details,
    CompressedAttention: compressed_details,
    LinearAttention: linear_details,
}
"""What yields the details of each class of mixer."""


def qk_norm_word(n: QKNorm, rotary: bool) -> str:
    """Return `QK-norm: RMSNorm per head, before RoPE, weight + 1`.

    n: the norm.
    rotary: whether the model has rotary positions, so that the order matters.
    """
    scope = "per head" if n.scope == "head" else "over the whole projection"
    words = [f"QK-norm: RMSNorm {scope}"]
    if n.after_rope:
        words.append("after RoPE")
    elif rotary:
        words.append("before RoPE")
    if not n.weight:
        words.append("no weight")
    elif n.offset:
        words.append("weight + 1")
    return ", ".join(words)


def block_index_detail(x: BlockIndex) -> str:
    """Return `block indexer: 4 heads × 128, the last block always read`."""
    words = f"block indexer: {x.heads} heads × {x.head_dim}"
    if x.local_blocks == 1:
        return f"{words}, the last block always read"
    if x.local_blocks:
        return f"{words}, the last {x.local_blocks} blocks always read"
    return words


def scale_word(scale: float) -> str:
    """Return the number, with `1/√168` or `1/128` where it is that of a whole number."""
    if not 1e-3 < scale < 1:
        return number(scale)
    square = round(scale**-2)
    if abs(square**-0.5 / scale - 1) > 1e-6:
        return number(scale)
    root = isqrt(square)
    divisor = str(root) if root * root == square else f"√{square}"
    return f"{number(scale)} (1/{divisor})"


# Positions


def position_lines(a: Architecture) -> list[str]:
    """Return the rotary positions of each group of mixers, and the context length."""
    context = "context unknown"
    if a.context_length:
        context = f"context {number(a.context_length)}"
    if a.embedding.positions:
        return [f"learned, {number(a.embedding.positions)} positions · {context}"]
    mixers = softmax(a)
    described: dict[str, list[str]] = {}
    for name, m in mixers.items():
        if m.rope:
            described.setdefault(rope_word(m.rope, m), []).append(name)
    if not described:
        if not mixers:
            return [context]
        return [f"NoPE: no positional encoding in attention · {context}"]
    lines = [f"{' and '.join(names)}: {text}" for text, names in described.items()]
    if len(described) == 1:
        lines = list(described)
    without = nope_layers(a)
    if without:
        lines[-1] += f" · NoPE on {without} layers"
    elif len(described) == 1:
        lines[-1] += " · every attention layer"
    return [*lines, context]


def rope_word(rope: Rope, m: Softmax) -> str:
    """Return `RoPE θ 10,000, 64 of 192 dims, interleaved, YaRN × 40 from 4,096`."""
    words = [f"RoPE θ {numbers.theta(rope.theta)}", rotary(rope, m)]
    if rope.scaling:
        words.append(scaling(rope.scaling) + scaling_details(rope.scaling))
    if rope.sections:
        words.append(f"{len(rope.sections)} axes")
    return ", ".join(words)


SCALING_PARAMETERS: tuple[tuple[str, str, float | None], ...] = (
    ("beta_fast", "β fast", 32),
    ("beta_slow", "β slow", 1),
    ("attention_factor", "attention factor", None),
    ("low_freq_factor", "low frequency factor", 1),
    ("high_freq_factor", "high frequency factor", 4),
)
"""Fields of a scaling, their words, and the values that YaRN's and Llama 3.1's authors chose,
which are not worth a word."""


def scaling_details(s: RopeScaling) -> str:
    """Return ` (β fast 1)`: the parameters of a scaling that are not the usual ones, or nothing."""
    words: list[str] = []
    for name, word, usual in SCALING_PARAMETERS:
        value = getattr(s, name)
        if value is not None and value != usual:
            words.append(f"{word} {number(value)}")
    if s.mscale != s.mscale_all_dim:  # equal ones cancel out
        words.append(f"mscale {s.mscale}, mscale_all_dim {s.mscale_all_dim}")
    if s.truncate is False:
        words.append("range not rounded")
    return f" ({', '.join(words)})" if words else ""
