"""Lines of `show` about mixers: their heads, what they see, norms, gates and positions.

Mixers with the same heads share a heading. A detail that all mixers below a heading have stands
once; a detail that only some have stands with what these see. Pure, like all views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isqrt
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import layers_by_mixer
from ..architecture.scaling_factors import has_usual_factor
from ..architecture.schema import (
    Architecture,
    Attention,
    BlockIndex,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    Mixer,
    QKNorm,
    Rope,
    RopeScaling,
)
from ..architecture.wording.mixers import (
    DECAY,
    LINEAR,
    WITHOUT_HEADS,
    Softmax,
    compression_word,
    gate_word,
    head_sharing,
    heads_word,
    linear_dims,
    query_scaling_word,
    values_scale_word,
)
from ..architecture.wording.names import name_title
from ..architecture.wording.positions import absolute_positions, rope_scaling_word, rotary_word
from . import numbers
from .numbers import number, plural
from .wording import NOPE, nope_layers, position_kind, softmax_mixers

LINE = 64
"""Columns that short details may fill together; with the labels this fits into 80."""

BIASED = {
    (True, True): "bias on q, k, v, o",
    (True, False): "bias on q, k, v",
    (False, True): "bias on o",
    (False, False): "no bias",
}
"""Words for (qkv_bias, output_bias) of an Attention."""


def attention_lines(a: Architecture) -> list[str]:
    """Return a heading for mixers with the same heads, then what these see and have besides."""
    uses = mixer_uses(a)
    groups = group_by_heading(uses)
    everywhere = details_of_all(groups)
    lines: list[str] = []
    for heading, group in groups.items():
        own = [use.without(everywhere) for use in group]
        if len(groups) == 1:
            lines.append(heading)
            lines += group_lines(a, own, counted=False)
        else:
            layers = sum(use.layers for use in group)
            lines.append(f"{heading} · {plural(layers, 'layer')}")
            lines += group_lines(a, own, counted=True)
    hybrid = any(isinstance(use.mixer, LinearAttention) for use in uses)
    scope = "all attention layers" if hybrid else "all layers"
    return lines + [f"{line} · {scope}" for line in packed(everywhere)]


@frozen
class MixerUse(Frozen):
    """A mixer, how many layers use it, and its details."""

    mixer: Mixer
    layers: int
    details: list[str]

    def without(self, details: list[str]) -> MixerUse:
        """Return the mixer without the details that stand elsewhere."""
        own = [detail for detail in self.details if detail not in details]
        return MixerUse(self.mixer, self.layers, own)


def mixer_uses(a: Architecture) -> list[MixerUse]:
    """Return the mixers that layers use, in order of first use."""
    uses: list[MixerUse] = []
    for name, layers in layers_by_mixer(a).items():
        m = a.mixers[name]
        details = mixer_details(a, m)
        use = MixerUse(m, layers, details)
        uses.append(use)
    return uses


def group_by_heading(uses: Iterable[MixerUse]) -> dict[str, list[MixerUse]]:
    """Return mixers by their heading."""
    groups: dict[str, list[MixerUse]] = {}
    for use in uses:
        heading = mixer_heading(use.mixer)
        group = groups.setdefault(heading, [])
        group.append(use)
    return groups


def details_of_all(groups: dict[str, list[MixerUse]]) -> list[str]:
    """Return the details that all softmax mixers share, if they have several headings."""
    softmax_groups: list[list[MixerUse]] = []
    for group in groups.values():
        first = group[0]
        if not isinstance(first.mixer, LinearAttention):
            softmax_groups.append(group)
    if len(softmax_groups) < 2:
        return []
    details: list[list[str]] = []
    for group in softmax_groups:
        for use in group:
            details.append(use.details)
    return in_common(details)


def in_common(lists: Iterable[list[str]]) -> list[str]:
    """Return the details that are in every list, in the order of the first."""
    first, *others = lists
    common: list[str] = []
    for detail in first:
        if all(detail in other for other in others):
            common.append(detail)
    return common


def packed(words: Iterable[str]) -> list[str]:
    """Return lines of words joined by ` · `, as many to a line as fit into `LINE` columns."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} · {word}" if lines else ""
        if longer and len(longer) <= LINE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def group_lines(a: Architecture, group: list[MixerUse], counted: bool) -> list[str]:
    """Return the lines below a heading: common details, then what each mixer sees.

    a: the architecture.
    group: the mixers of the heading.
    counted: whether the heading counts the layers that use them.
    """
    several = len(group) > 1
    common = in_common(use.details for use in group)
    lines = packed(common)
    if not several and not is_partial_reach(group[0].mixer):
        return lines
    plain: list[str] = []
    for use in group:
        own = use.without(common)
        words = own.details
        if not isinstance(use.mixer, LinearAttention):
            reach = reach_phrase(a, use.mixer)
            if several or not counted:
                reach += f" on {plural(use.layers, 'layer')}"
            words.insert(0, reach)
        if len(words) > 1:
            lines += packed(plain)
            line = " · ".join(words)
            lines.append(line)
            plain = []
        else:
            plain += words
    return lines + packed(plain)


# What a mixer sees


def reach_word(m: Mixer) -> str:
    """Return what a query sees: `sliding window 4,096`, `chunks of 8,192`, `full`, `state`."""
    match m:
        case LinearAttention():
            return "state"
        case CompressedAttention():
            window = f"window {number(m.window)}"
            compression = compression_word(m)
            if compression:
                return f"{window} + {compression}"
            return window
        case LatentAttention():
            if m.indexer:
                return "own index"
            if m.index_from:
                return "an earlier layer's index"
            if m.window:
                return f"sliding window {number(m.window)}"
        case Attention():
            if m.cross_tokens:
                return "cross attention"
            if m.window:
                return f"sliding window {number(m.window)}"
            if m.chunk:
                return f"chunks of {number(m.chunk)}"
            if m.block_index:
                blocks = m.block_index
                return f"the best {plural(blocks.top_blocks, 'block')} of {number(blocks.block)}"
    return "full"


def reach_phrase(a: Architecture, m: Mixer) -> str:
    """Return what a query sees, and `NoPE` where other layers have rotary positions."""
    reach = reach_word(m)
    if is_nope_among_rotary(a, m):
        return f"{reach}, NoPE"
    return reach


def is_partial_reach(m: Mixer) -> bool:
    """Return whether a softmax mixer sees less than all earlier tokens by a fixed rule."""
    match m:
        case CompressedAttention():
            return True
        case Attention():
            rules = (m.window, m.chunk, m.block_index)
            return any(rules)
        case LatentAttention():
            return m.window is not None
        case _:
            return False


def is_nope_among_rotary(a: Architecture, m: Mixer) -> bool:
    """Return whether a softmax mixer has no positions although others have rotary ones."""
    return position_kind(a, m) == NOPE and has_rotary(a)


def has_rotary(a: Architecture) -> bool:
    """Return whether some layers have rotary positions."""
    mixers = softmax_mixers(a)
    ropes = [mixer.rope for mixer in mixers.values()]
    return any(ropes)


# Headings


def mixer_heading(m: Mixer) -> str:
    """Return the kind of a mixer, its heads and their dims."""
    match m:
        case Attention():
            return attention_heading(m)
        case LatentAttention():
            return latent_heading(m)
        case CompressedAttention():
            heads = f"{plural(m.heads, 'query head')} over one latent that is key and value"
            dims = f"head dim {number(m.head_dim)}, the last {number(m.rope_dim)} rotary"
            rank = number(m.q_lora_rank)
            return f"{heads}, {dims} · q rank {rank}"
        case LinearAttention():
            return linear_heading(m)


def attention_heading(m: Attention) -> str:
    """Return `GQA, 32 query : 8 KV heads, head dim 128, no bias`."""
    heads = f"{number(m.heads)} query : {plural(m.kv_heads, 'KV head')}"
    if m.heads == m.kv_heads:
        heads = plural(m.heads, "head")
    dim = f"K {number(m.head_dim)}, V {number(m.v_head_dim)}"
    if m.head_dim == m.v_head_dim:
        dim = number(m.head_dim)
    bias = BIASED[m.qkv_bias, m.output_bias]
    kind = head_sharing(m)
    return f"{kind}, {heads}, head dim {dim}, {bias}"


def latent_heading(m: LatentAttention) -> str:
    """Return `MLA, 128 heads · latent ranks q 1,536, kv 512`."""
    name = "MLA"
    if m.indexer or m.index_from:
        name = "sparse MLA"
    q_rank = "full rank"
    if m.q_lora_rank:
        q_rank = number(m.q_lora_rank)
    kv_rank = number(m.kv_lora_rank)
    return f"{name}, {plural(m.heads, 'head')} · latent ranks q {q_rank}, kv {kv_rank}"


def linear_heading(m: LinearAttention) -> str:
    """Return `Gated DeltaNet, 16 key : 32 value heads, head dim 128`."""
    name = LINEAR[m.variant]
    dims = linear_dims(m)
    if m.variant == "short_conv":
        return f"{name} of {plural(m.conv_kernel or 0, 'token')}, {dims} channels"
    if m.variant in WITHOUT_HEADS:
        return f"{name}, {dims}"
    if m.variant == "mamba2":
        groups = plural(m.key_heads, "group")
        heads = f"{plural(m.value_heads, 'head')} in {groups}"
    elif m.key_heads == m.value_heads:
        heads = plural(m.value_heads, "head")
    else:
        heads = f"{number(m.key_heads)} key : {plural(m.value_heads, 'value head')}"
    return f"{name}, {heads}, head dim {dims}"


# Details


def mixer_details(a: Architecture, m: Mixer) -> list[str]:
    """Return what a mixer has besides heads and reach, a few words each."""
    details_of = DETAILS[type(m)]
    details = details_of(a, m)
    return list(details)


LATENT_GATES = {
    "head": "per head",
    "elementwise": "per dim",
    "from_queries": "per dim, from the queries' matrix",
}
"""Words for the kinds of MLA's output gate."""


def latent_details(a: Architecture, m: LatentAttention) -> Iterator[str]:
    """Yield the dims of MLA's heads, its indexer, factors, and a bias."""
    dims = f"{number(m.qk_nope_head_dim)} + {number(m.qk_rope_head_dim)}"
    position = "shared"
    if m.rope:
        position = "rotary"
    yield f"head dims: {dims} {position} for q and k, {number(m.v_head_dim)} for v"
    if m.indexer:
        most = number(m.indexer.top_k)
        yield f"{indexer_heads(m.indexer)}, reads the best {most} tokens"
    if m.bias:
        yield "bias on q, kv, o"
    if m.gate:
        yield f"sigmoid output gate {LATENT_GATES[m.gate]}"
    if m.sinks:
        yield "one attention sink per head"
    if m.rope_norm:
        yield "RMSNorm on the rotary key"
    other_eps = {n.eps for n in a.norms.values()}
    if m.norm_eps is not None and m.norm_eps not in other_eps:
        epsilon = numbers.epsilon(m.norm_eps)
        yield f"latent norms ε {epsilon}"
    yield from score_details(m)


def compressed_details(a: Architecture, m: CompressedAttention) -> Iterator[str]:
    """Yield the output projection's groups, sinks, and the indexer's heads."""
    rank = number(m.o_lora_rank)
    yield f"output projection in {plural(m.o_groups, 'group')} of rank {rank}"
    if m.sinks:
        yield "one attention sink per query head"
    if m.indexer:
        yield indexer_heads(m.indexer)


def indexer_heads(x: Indexer) -> str:
    """Return `lightning indexer: 64 heads × 128`."""
    return f"lightning indexer: {heads_word(x)}"


def attention_details(a: Architecture, m: Attention) -> Iterator[str]:
    """Yield QK-norm, gate, sinks, caps, where values come from, and factors on scores."""
    if m.transformer:
        yield f"shared layer on the stream and the embedding, MLP {number(m.transformer.ffn.width)}"
        if m.transformer.adapter_rank:
            yield f"adapters of rank {number(m.transformer.adapter_rank)} in each layer"
    if m.relative:
        profiles = f"{number(m.relative.width)} profiles of {number(m.relative.extent)} tokens"
        yield f"learned bias by distance: {profiles}"
    if m.kv_conv:
        yield f"short conv {m.kv_conv} over keys and over values"
    if m.conv_kernels:
        widths = " and ".join(map(str, m.conv_kernels))
        yield f"convolutions of {widths} tokens over q and k; half of v from the token before"
    if m.dynamic_mask:
        yield f"dynamic mask: the best {number(m.dynamic_mask)} keys by their values"
    if m.query_experts:
        chosen = m.heads // m.kv_heads
        yield f"{chosen} of {number(m.query_experts)} query and output matrices for a token"
    if m.differential:
        yield "differential: half of the heads minus the other half"
    if m.qk_norm:
        yield qk_norm_word(m.qk_norm, has_rotary(a))
    if m.output_norm:
        yield "RMSNorm before the output projection"
    if m.gate:
        bias = " with a bias per head" if m.gate_bias else ""
        yield f"{m.gate} output gate ({m.gate_activation}){bias}"
    if m.block_index:
        yield block_index_detail(m.block_index)
    if m.sinks:
        yield "one attention sink per query head"
    if m.softcap:
        yield f"score softcap {m.softcap:g}"
    if m.clip:
        yield f"q, k, v clipped at ±{m.clip:g}"
    if m.kv_from:
        yield f"keys and values of {name_title(m.kv_from)}"
    if m.values_from_keys:
        yield "values: the key projection"
    if m.value_norm:
        yield "values: RMSNorm without weight"
    if m.sees_ahead == "vision":
        yield "tokens of one image see each other"
    elif m.sees_ahead == "prefix":
        yield "tokens of the prompt see each other"
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
    growth = query_scaling_word(m.query_scaling)
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
        yield f"{gate_word(m.gate)} output gate{order}"
    if m.bias:
        yield "bias on the projections"
    if m.norm_groups > 1 and m.output_norm:
        yield f"output norm in {m.norm_groups} groups"
    if not m.output_norm:
        yield "no norm on the output"
    if m.dt_rank:
        yield f"time steps of rank {m.dt_rank}"
    if m.inner_norm:
        yield f"{m.inner_norm} RMSNorm on time steps, B and C"
    if m.full_rank:
        yield "decay and gate of full rank"
    if m.decay_bound is not None:
        yield f"decay bounded at exp({m.decay_bound:g})"
    if m.beta_scale != 1:
        yield f"β × {m.beta_scale:g}"
    if m.gate_softcap:
        yield f"gates softcap {m.gate_softcap:g}"
    if m.input_scales:
        yield f"gate, x, B, C, dt × {', '.join(f'{scale:.4g}' for scale in m.input_scales)}"
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
    scopes = {
        "head": "per head",
        "own_head": "per head, with weights of its own",
        "projection": "over the whole projection",
    }
    kinds = {"rmsnorm": "RMSNorm", "layernorm": "LayerNorm"}
    words = [f"QK-norm: {kinds[n.norm_kind]} {scopes[n.scope]}"]
    if n.after_rope:
        words.append("after RoPE")
    elif rotary:
        words.append("before RoPE")
    if not n.weight:
        words.append("no weight")
    elif n.offset:
        words.append("weight + 1")
    if n.bias:
        words.append("bias")
    return ", ".join(words)


def block_index_detail(x: BlockIndex) -> str:
    """Return `block indexer: 4 heads × 128, the last block always read`."""
    words = f"block indexer: {heads_word(x)}"
    if x.local_blocks == 1:
        return f"{words}, the last block always read"
    if x.local_blocks:
        return f"{words}, the last {x.local_blocks} blocks always read"
    return words


def scale_word(scale: float) -> str:
    """Return the number, with `1/√168` or `1/128` where it is that of a whole number."""
    if not 1e-3 < scale < 1:
        return number(scale)
    shown = number(scale)
    square = round(scale**-2)
    nearest = square**-0.5
    if abs(nearest / scale - 1) > 1e-6:
        return shown
    root = isqrt(square)
    divisor = f"√{number(square)}"
    if root * root == square:
        divisor = number(root)
    return f"{shown} (1/{divisor})"


# Positions


def position_lines(a: Architecture) -> list[str]:
    """Return the rotary positions of each group of mixers, and the context length."""
    context = "context unknown"
    if a.context_length:
        context = f"context {number(a.context_length)}"
    table = absolute_positions(a.embedding)
    if table:
        return [f"{table} · {context}"]
    mixers = softmax_mixers(a)
    if not mixers:
        return [context]
    slopes: dict[str, None] = {}
    for mixer in mixers.values():
        if isinstance(mixer, Attention) and mixer.alibi is not None:
            slopes[f"2^−{mixer.alibi:g}"] = None
    if slopes:
        smallest = ", ".join(slopes)
        return [f"ALiBi, slopes to {smallest} · {context}"]
    if not has_rotary(a):
        return [f"NoPE: no positional encoding in attention · {context}"]
    return [*rotary_lines(a), context]


def rotary_lines(a: Architecture) -> list[str]:
    """Return the rotary positions of mixers, with the names of these where they differ."""
    names_by_rope: dict[str, list[str]] = {}
    for name, m in softmax_mixers(a).items():
        if m.rope:
            rope = rope_word(m.rope, m)
            names_by_rope.setdefault(rope, []).append(name_title(name))
    lines = list(names_by_rope)
    scope = " · every attention layer"
    if len(names_by_rope) > 1:
        scope = ""
        names = map(" and ".join, names_by_rope.values())
        lines = [f"{group}: {rope}" for group, rope in zip(names, names_by_rope, strict=True)]
    unrotated = nope_layers(a)
    if unrotated:
        scope = f" · NoPE on {unrotated} layers"
    lines[-1] += scope
    return lines


def rope_word(rope: Rope, m: Softmax) -> str:
    """Return `RoPE θ 10,000, 64 of 192 dims, interleaved, YaRN × 40 from 4,096`."""
    theta = numbers.theta(rope.theta)
    words = [f"RoPE θ {theta}"]
    words.append(rotary_word(rope, m))
    if rope.scaling:
        name = rope_scaling_word(rope.scaling)
        details = scaling_details(rope.scaling)
        words.append(name + details)
    if rope.sections:
        axes = len(rope.sections)
        pairs = ", ".join(map(str, rope.sections))
        words.append(f"{axes} axes of {pairs} pairs")
    if rope.span is not None and rope.span != rope.rotary_dim:
        words.append(f"frequencies laid out over {rope.span} dims")
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
        if name == "attention_factor" and has_usual_factor(s):
            continue
        if value is not None and value != usual:
            text = number(value)
            words.append(f"{word} {text}")
    if s.mscale != s.mscale_all_dim:  # equal ones cancel out
        words.append(f"mscale {s.mscale}, mscale_all_dim {s.mscale_all_dim}")
    if s.truncate is False:
        words.append("range not rounded")
    if not words:
        return ""
    joined = ", ".join(words)
    return f" ({joined})"
