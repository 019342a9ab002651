"""An architecture as a list of named facts for people: the rows that `diff`, the comparison matrix and `list` are made of.

Rows have the same section and label in every family, so that models of different kinds line up; a row that makes no sense for a model is
absent. `number` is there where a ratio means something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import Any

from ..analyses.cache import CONTEXTS, compute_cache
from ..analyses.parameters import count_parameters
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
    Rope,
    RopeScaling,
)
from . import numbers
from .numbers import number
from .wording import (
    activation_word,
    block_index_word,
    clamp_word,
    compression,
    gate_word,
    indexer_word,
    linear_dims,
    linear_heads,
    mixer_word,
    moe_of,
    multiplied,
    norm_word,
    pattern,
    placement,
    positions,
    recipe,
    residual_word,
    router_words,
    sharing,
    state_word,
    tower_word,
    values_scale_word,
    values_word,
)

Softmax = Attention | LatentAttention | CompressedAttention
SOFTMAX = (Attention, LatentAttention, CompressedAttention)


@frozen
class Row(Frozen):
    """One fact: where it belongs, its text (lines), and its number where it has one."""

    section: str
    label: str
    text: str
    number: float | None = None


def facts(a: Architecture) -> list[Row]:
    """All rows of an architecture, in reading order."""
    groups = (layers, attention, linear_attention, moe, feed_forward, norms, position, size, memory)
    return [r for group in groups for r in group(a)]


def layers(a: Architecture) -> Iterator[Row]:
    s = "Layers"
    yield Row(s, "recipe", "\n".join(f"{n} × {w}" for n, w in recipe(a)))
    yield Row(s, "layers", number(len(a.layers)), len(a.layers))
    if p := pattern(a):
        yield Row(s, "pattern", p)
    yield Row(s, "hidden size", number(a.hidden_size), a.hidden_size)
    yield Row(s, "residual", residual_word(a.residual))


def softmax(a: Architecture) -> dict[str, Softmax]:
    """Mixers with a growing or windowed cache, those that layers use, by name."""
    used = dict.fromkeys(m for k in a.layers for m in mixer_names(a, k))
    return {n: m for n, m in ((n, a.mixers[n]) for n in used) if not isinstance(m, LinearAttention)}


def merged(
    section: str, label: str, values: Iterable[tuple[str, str | None, float | None]]
) -> Iterator[Row]:
    """One row from each mixer's (name, text, number): the text alone where all agree, else each with its mixer's name."""
    rows = [(n, t, x) for n, t, x in values if t is not None]
    texts = dict.fromkeys(t for _, t, _ in rows)
    if len(texts) == 1:
        yield Row(section, label, next(iter(texts)), rows[0][2])
    elif texts:
        yield Row(section, label, "\n".join(f"{name} {t}" for name, t, _ in rows))


def attention(a: Architecture) -> Iterator[Row]:
    mixers = softmax(a)
    every = [m for m in mixers.values() if isinstance(m, Attention)]

    def row(
        label: str,
        of: Callable[[Any], Any],
        show: Callable[[Any], str] = number,
        kind: tuple[type, ...] = SOFTMAX,
    ) -> Iterator[Row]:
        values = [(n, of(m)) for n, m in mixers.items() if isinstance(m, kind)]
        numeric = all(
            isinstance(v, (int, float)) and not isinstance(v, bool)
            for _, v in values
            if v is not None
        )
        yield from merged(
            "Attention",
            label,
            ((n, None if v is None else show(v), v if numeric else None) for n, v in values),
        )

    yield from row("kind", attention_kind, str)
    yield from row("query heads", lambda m: m.heads)
    yield from row("KV heads", lambda m: m.kv_heads, kind=(Attention,))
    yield from row(
        "head dim",
        lambda m: m.head_dim if m.head_dim == m.v_head_dim else f"K {m.head_dim}, V {m.v_head_dim}",
        str,
        (Attention,),
    )
    yield from row(
        "head dim",
        lambda m: f"{m.qk_nope_head_dim} + {m.qk_rope_head_dim} rope, V {m.v_head_dim}",
        str,
        (LatentAttention,),
    )
    yield from row(
        "head dim",
        lambda m: f"{m.head_dim - m.rope_dim} + {m.rope_dim} rope, K = V",
        str,
        (CompressedAttention,),
    )
    yield from row(
        "MLA ranks",
        lambda m: (
            f"q {number(m.q_lora_rank) if m.q_lora_rank else 'full'}, kv {number(m.kv_lora_rank)}"
        ),
        str,
        (LatentAttention,),
    )
    yield from row(
        "latent ranks",
        lambda m: f"q {number(m.q_lora_rank)}, o {m.o_groups} groups × {number(m.o_lora_rank)}",
        str,
        (CompressedAttention,),
    )
    yield from row("compression", lambda m: compression(m) or "none", str, (CompressedAttention,))
    yield from row("values", values_word, str, (Attention,))
    yield from row("fixed factors", values_scale_word, str, (Attention, LatentAttention))
    yield from row("clip", lambda m: m.clip, kind=(Attention,))
    yield from row("window", lambda m: m.window, kind=(Attention, CompressedAttention))
    yield from row("chunk", lambda m: m.chunk, kind=(Attention,))
    if every or mixers:
        yield from row("QK-norm", qk_norm, str)
        yield from row("bias", bias, str)
    yield from row("output gate", gate_word, str, (Attention,))
    yield from row(
        "sinks",
        lambda m: "one per query head" if m.sinks else None,
        str,
        (Attention, CompressedAttention),
    )
    yield from row("softcap", lambda m: m.softcap, kind=(Attention,))
    yield from row("softmax scale", lambda m: m.scale, kind=(Attention, LatentAttention))
    yield from row("query scaling", query_scaling, str, (Attention, LatentAttention))
    yield from row("sparse indexer", indexer_word, str, (LatentAttention, CompressedAttention))
    yield from row("block index", block_index_word, str, (Attention,))


def attention_kind(m: Softmax) -> str:
    if isinstance(m, CompressedAttention):
        return "compressed latent"
    return (
        sharing(m) + (", block-sparse" if m.block_index else "")
        if isinstance(m, Attention)
        else mixer_word(m)
    )


def qk_norm(m: Softmax) -> str:
    if isinstance(m, CompressedAttention):
        return "on the latents, and q per head without weight"
    if isinstance(m, LatentAttention):
        return "on the latents"
    n = m.qk_norm
    if n is None:
        return "none"
    scope = "per head" if n.scope == "head" else "whole projection"
    return (
        scope
        + ("" if n.weight else ", no weight")
        + (", after RoPE" if n.after_rope else "")
        + (", weight + 1" if n.offset else "")
    )


def bias(m: Softmax) -> str:
    if isinstance(m, CompressedAttention):
        return "none"
    if isinstance(m, LatentAttention):
        return "q, kv, o" if m.bias else "none"
    return {
        (True, True): "q, k, v, o",
        (True, False): "q, k, v",
        (False, True): "o",
        (False, False): "none",
    }[m.qkv_bias, m.output_bias]


def query_scaling(m: Softmax) -> str | None:
    q = None if isinstance(m, CompressedAttention) else m.query_scaling
    return f"1 + {q.beta:g} ln(1 + ⌊pos / {number(q.original_context)}⌋)" if q else None


def linear_attention(a: Architecture) -> Iterator[Row]:
    for name in dict.fromkeys(m for k in a.layers for m in mixer_names(a, k)):
        m = a.mixers[name]
        if isinstance(m, LinearAttention):
            s = "Linear attention"
            yield Row(s, "kind", mixer_word(m))
            yield Row(
                s, "heads", linear_heads(m), m.value_heads if m.key_heads == m.value_heads else None
            )
            yield Row(s, "head dim", linear_dims(m))
            yield Row(
                s, "short conv", number(m.conv_kernel) if m.conv_kernel else "none", m.conv_kernel
            )
            if m.variant in DECAY:
                yield Row(s, "decay", DECAY[m.variant])
            if m.gate:
                yield Row(s, "output gate", m.gate + (", before the norm" if m.gate_first else ""))


DECAY = {
    "lightning": "fixed per head",
    "gated_deltanet": "learned per head",
    "kda": "learned per channel",
    "mamba2": "learned per head",
    "mamba": "learned per channel and state",
}


def moe(a: Architecture) -> Iterator[Row]:
    f = moe_of(a)
    if f is None:
        return
    s, r = "MoE", f.router
    yield Row(s, "routed experts", number(f.experts), f.experts)
    yield Row(
        s, "active experts", number(f.active) + (" at most" if f.zero_experts else ""), f.active
    )
    if hashed := sum(
        isinstance(b, MoE) and b.router.token_table is not None
        for k in a.layers
        for b in a.blocks_of(k)
    ):
        yield Row(s, "routed by token id", f"{hashed} of {len(a.layers)} layers")
    yield Row(s, "expert width", number(f.expert_width), f.expert_width)
    if f.latent_width:
        yield Row(
            s,
            "expert latent",
            f"{number(f.latent_width)} of {number(a.hidden_size)}",
            f.latent_width,
        )
    yield Row(s, "shared experts", shared(f), f.shared_experts or None)
    yield Row(s, "router", router(f))
    yield Row(
        s, "group limit", f"best {r.active_groups} of {r.groups} groups" if r.groups > 1 else "none"
    )
    yield Row(s, "routed scale", number(r.scale), r.scale)
    if f.bias:
        yield Row(s, "expert bias", "yes")
    clamps = dict.fromkeys(
        clamp_word(b) for k in a.layers for b in a.blocks_of(k) if isinstance(b, MoE)
    )
    if len(clamps) == 1 and (word := clamp_word(f)):
        yield Row(s, "activation clamp", word, f.clamp)
    elif len(clamps) > 1:
        some = [
            [
                isinstance(b, MoE) and clamp_word(b) == w for k in a.layers for b in a.blocks_of(k)
            ].count(True)
            for w in clamps
        ]
        yield Row(
            s,
            "activation clamp",
            ", ".join(f"{w} on {n} layers" for w, n in zip(clamps, some, strict=True) if w),
        )


SCORING = {
    "softmax": "softmax",
    "softmax_chosen": "softmax over the chosen",
    "sigmoid": "sigmoid",
    "sqrt_softplus": "√softplus",
}


def shared(f: MoE) -> str:
    """`1 of width 2,048`, with its gate."""
    if not f.shared_width:
        return "none"
    return (
        f"{f.shared_experts or 1} of width {number(f.shared_width // (f.shared_experts or 1))}"
        + (", sigmoid gate" if f.shared_gate else "")
    )


def router(f: MoE) -> str:
    r = f.router
    scoring = SCORING[r.scoring]
    more = [f"logits softcapped at {r.softcap:g}"] if r.softcap else []
    more += ["selection bias"] if r.selection_bias else []
    more += ["bias"] if r.bias else []
    more += ["renormalised"] if r.normalized and r.scoring != "softmax_chosen" else []
    more += ["weights the expert's input"] if r.weights == "input" else []
    return ", ".join([scoring, *more, *router_words(f)])


def feed_forward(a: Architecture) -> Iterator[Row]:
    s = "Feed-forward"
    dense = [f for f in a.ffns.values() if isinstance(f, Dense) and not (f.per_layer or f.own_skip)]
    widths = dict.fromkeys(f.width for f in dense)
    if widths:
        yield Row(
            s,
            "dense width",
            " / ".join(map(number, widths)),
            next(iter(widths)) if len(widths) == 1 else None,
        )
    if any(f.bias for f in dense):
        yield Row(s, "dense bias", "yes")
    for f in list(a.ffns.values())[:1]:
        yield Row(s, "activation", activation_word(f))


def norms(a: Architecture) -> Iterator[Row]:
    s = "Norms"
    kinds = dict.fromkeys(norm_word(n) for n in a.norms.values())
    yield Row(s, "kind", " / ".join(kinds))
    yield Row(s, "placement", placement(a))
    if scales := multiplied(a):
        yield Row(s, "scaling of the stream", ", ".join(scales))
    yield Row(
        s,
        "ε",
        " / ".join(
            dict.fromkeys(
                f"{numbers.epsilon(n.eps)}" for n in a.norms.values() if n.eps is not None
            )
        ),
    )


def position(a: Architecture) -> Iterator[Row]:
    s, mixers = "Position", softmax(a)
    ropes = {n: m.rope for n, m in mixers.items() if m.rope}
    if a.embedding.positions:
        yield Row(s, "positions", f"learned, {number(a.embedding.positions)} rows")
    elif not ropes and mixers:
        yield Row(s, "positions", "none (NoPE)")
    elif ropes:
        yield from merged(s, "positions", ((n, positions(a, m), None) for n, m in mixers.items()))
    yield from merged(s, "RoPE θ", ((n, numbers.theta(r.theta), r.theta) for n, r in ropes.items()))
    yield from merged(s, "rotary", ((n, rotary(r, mixers[n]), None) for n, r in ropes.items()))
    yield from merged(s, "scaling", ((n, scaling(r.scaling), None) for n, r in ropes.items()))
    yield from merged(s, "axes", ((n, axes(r), None) for n, r in ropes.items()))
    for label, key in (
        ("YaRN beta_fast", "beta_fast"),
        ("YaRN beta_slow", "beta_slow"),
        ("YaRN mscale_all_dim", "mscale_all_dim"),
    ):
        yield from merged(
            s,
            label,
            (
                (n, number(v), v)
                for n, r in ropes.items()
                if r.scaling and (v := getattr(r.scaling, key)) is not None
            ),
        )
    if nope := nope_layers(a):
        yield Row(s, "NoPE layers", nope)
    yield Row(
        s, "context", number(a.context_length) if a.context_length else "unknown", a.context_length
    )


def rotary(r: Rope, m: Mixer) -> str:
    match m:
        case LatentAttention():
            whole = m.qk_nope_head_dim + m.qk_rope_head_dim
        case LinearAttention():
            whole = 0
        case _:
            whole = m.head_dim
    return (
        f"all {r.rotary_dim} dims" if r.rotary_dim == whole else f"{r.rotary_dim} of {whole} dims"
    ) + (", interleaved" if r.interleaved else "")


def axes(r: Rope) -> str | None:
    """`time 11, height 11, width 10 pairs, in turns`."""
    if not r.sections:
        return None
    named = ", ".join(
        f"{n} {pairs}" for n, pairs in zip(("time", "height", "width"), r.sections, strict=False)
    )
    return f"{named} pairs" + (", in turns" if r.sections_interleaved else "")


def scaling(s: RopeScaling | None) -> str:
    """`YaRN × 40 from 4,096`."""
    if s is None:
        return "none"
    name = {
        "yarn": "YaRN",
        "llama3": "llama3",
        "linear": "linear",
        "dynamic": "dynamic NTK",
        "longrope": "LongRoPE",
    }[s.kind]
    if s.alpha:
        return f"NTK with a fixed α of {number(s.alpha)}"
    factor = f" × {s.factor:g}" if s.factor else ""
    return name + factor + (f" from {number(s.original_context)}" if s.original_context else "")


def nope_layers(a: Architecture) -> str | None:
    """`9 of 36`, where only some softmax layers have no rotary positions."""
    has = [
        m.rope is not None
        for k in a.layers
        for m in (a.mixers[n] for n in mixer_names(a, k))
        if not isinstance(m, LinearAttention)
    ]
    if a.embedding.positions or all(has) or not has:
        return None
    return f"{has.count(False)} of {len(a.layers)}"


def size(a: Architecture) -> Iterator[Row]:
    s, p = "Size", count_parameters(a)
    yield Row(s, "total", numbers.count(p.total), p.total)
    if p.active != p.total - p.vision:
        yield Row(s, "active", numbers.count(p.active), p.active)
    yield Row(s, "vocabulary", number(a.vocab_size), a.vocab_size)
    yield Row(
        s,
        "embedding",
        f"{numbers.count(p.embedding)}, {'tied' if a.embedding.tied else 'untied'}",
        p.embedding,
    )
    if a.embedding.scale:
        yield Row(s, "embedding scale", number(a.embedding.scale), a.embedding.scale)
    if e := a.embedding.per_layer:
        yield Row(
            s,
            "per-layer embedding",
            f"{number(e.width)} wide, {numbers.count(p.by_component['per_layer_embedding'])}",
            e.width,
        )
    if a.head.softcap:
        yield Row(s, "logit softcap", number(a.head.softcap), a.head.softcap)
    if a.head.scale not in (None, 1):
        yield Row(s, "logit scale", number(round(a.head.scale, 4)), a.head.scale)
    yield Row(
        s,
        "MTP modules",
        number(a.mtp.modules) if a.mtp else "none",
        a.mtp.modules if a.mtp else None,
    )
    for name, t in a.towers.items():
        yield Row(s, f"{name} encoder", tower_word(t))
    if p.vision:
        yield Row(s, "encoders", numbers.count(p.vision), p.vision)
    yield Row(s, "dtype", a.dtype or "unknown")
    if q := a.quantization:
        yield Row(s, "stored as", quantized(q.method, q.bits, q.format, q.block, q.group_size))


def quantized(
    method: str,
    bits: float | None,
    fmt: str | None,
    block: tuple[int, ...] | None,
    group: int | None,
) -> str:
    """`fp8 e4m3, blocks 128 × 128`."""
    words = [method + (f" {fmt}" if fmt and fmt != method else "")]
    words += [f"{bits:g} bits"] if bits else []
    words += (
        ["blocks " + " × ".join(map(str, block))]
        if block
        else [f"groups of {group}"]
        if group
        else []
    )
    return ", ".join(words)


def memory(a: Architecture) -> Iterator[Row]:
    """The cache of one sequence: bytes a token, what does not grow, and totals at lengths that models share, then at each one's own."""
    s, c = "Cache (bf16)", compute_cache(a)
    yield Row(
        s,
        "per token",
        numbers.size(ceil(c.growing_bytes_per_token)),
        ceil(c.growing_bytes_per_token),
    )
    yield Row(
        s,
        "until windows fill",
        numbers.size(ceil(c.all_layers_bytes_per_token)),
        ceil(c.all_layers_bytes_per_token),
    )
    if c.indexer_bytes_per_token:
        yield Row(
            s,
            "of it indexer",
            numbers.size(ceil(c.indexer_bytes_per_token)),
            ceil(c.indexer_bytes_per_token),
        )
    if c.window_bytes:
        yield Row(s, "full windows", numbers.size(c.window_bytes), c.window_bytes)
    if c.state_bytes:
        yield Row(s, state_word(a), numbers.size(c.state_bytes), c.state_bytes)
    for t in CONTEXTS:
        if a.context_length is None or t <= a.context_length:
            yield Row(s, f"at {numbers.context(t)}", numbers.size(c.bytes_at(t)), c.bytes_at(t))
    if a.context_length:
        yield Row(
            s,
            "at its most",
            f"{numbers.size(c.bytes_at(a.context_length))} ({numbers.context(a.context_length)})",
            c.bytes_at(a.context_length),
        )
