"""An architecture as a list of named facts for people: the rows that `diff`, the comparison matrix and `list` are made of.

Rows have the same section and label in every family, so that models of different kinds line up; a row that makes no sense for a model is
absent. `number` is there where a ratio means something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import units
from .analyses.cache import cache, contexts
from .analyses.parameters import count
from .schema import Architecture, Attention, Dense, LatentAttention, LinearAttention, Mixer, MoE, Rope, RopeScaling
from .units import number
from .words import activation_word, mixer_of, mixer_word, moe_of, norm_word, pattern, placement, positions, recipe, sharing


@dataclass(frozen=True, slots=True)
class Row:
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


def softmax(a: Architecture) -> dict[str, Attention | LatentAttention]:
    """Mixers with a growing or windowed cache, those that layers use, by name."""
    used = dict.fromkeys(m for k in a.layers for m in mixer_of(a, k))
    return {n: m for n, m in ((n, a.mixers[n]) for n in used) if isinstance(m, (Attention, LatentAttention))}


def merged(section: str, label: str, values: Iterable[tuple[str, str | None, float | None]]) -> Iterator[Row]:
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
        label: str, of: Callable[[Any], Any], show: Callable[[Any], str] = number, kind: tuple[type, ...] = (Attention, LatentAttention)
    ) -> Iterator[Row]:
        values = [(n, of(m)) for n, m in mixers.items() if isinstance(m, kind)]
        numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for _, v in values if v is not None)
        yield from merged("Attention", label, ((n, None if v is None else show(v), v if numeric else None) for n, v in values))

    yield from row("kind", lambda m: mixer_word(m) if isinstance(m, LatentAttention) else sharing(m), str)
    yield from row("query heads", lambda m: m.heads)
    yield from row("KV heads", lambda m: m.kv_heads, kind=(Attention,))
    yield from row(
        "head dim", lambda m: m.head_dim if m.head_dim == m.v_head_dim else f"K {m.head_dim}, V {m.v_head_dim}", str, (Attention,)
    )
    yield from row("head dim", lambda m: f"{m.qk_nope_head_dim} + {m.qk_rope_head_dim} rope, V {m.v_head_dim}", str, (LatentAttention,))
    yield from row(
        "MLA ranks",
        lambda m: f"q {number(m.q_lora_rank) if m.q_lora_rank else 'full'}, kv {number(m.kv_lora_rank)}",
        str,
        (LatentAttention,),
    )
    yield from row("window", lambda m: m.window, kind=(Attention,))
    yield from row("chunk", lambda m: m.chunk, kind=(Attention,))
    if every or mixers:
        yield from row("QK-norm", qk_norm, str)
        yield from row("bias", bias, str)
    yield from row("output gate", lambda m: f"sigmoid, {m.gate}" if m.gate else None, str, (Attention,))
    yield from row("sinks", lambda m: "one per query head" if m.sinks else None, str, (Attention,))
    yield from row("softcap", lambda m: m.softcap, kind=(Attention,))
    yield from row("softmax scale", lambda m: m.scale)
    yield from row("query scaling", lambda m: query_scaling(m), str)
    yield from row(
        "sparse indexer",
        lambda m: f"{m.indexer.heads} heads × {m.indexer.head_dim}, top {number(m.indexer.top_k)}" if m.indexer else None,
        str,
        (LatentAttention,),
    )


def qk_norm(m: Attention | LatentAttention) -> str:
    if isinstance(m, LatentAttention):
        return "on the latents"
    n = m.qk_norm
    if n is None:
        return "none"
    scope = "per head" if n.scope == "head" else "whole projection"
    return scope + ("" if n.weight else ", no weight") + (", after RoPE" if n.after_rope else "") + (", weight + 1" if n.offset else "")


def bias(m: Attention | LatentAttention) -> str:
    if isinstance(m, LatentAttention):
        return "q, kv, o" if m.bias else "none"
    return {(True, True): "q, k, v, o", (True, False): "q, k, v", (False, True): "o", (False, False): "none"}[m.qkv_bias, m.output_bias]


def query_scaling(m: Attention | LatentAttention) -> str | None:
    q = m.query_scaling
    return f"1 + {q.beta:g} ln(1 + ⌊pos / {number(q.original_context)}⌋)" if q else None


def linear_attention(a: Architecture) -> Iterator[Row]:
    for name in dict.fromkeys(m for k in a.layers for m in mixer_of(a, k)):
        m = a.mixers[name]
        if isinstance(m, LinearAttention):
            s = "Linear attention"
            yield Row(s, "kind", mixer_word(m))
            same = m.key_heads == m.value_heads
            yield Row(
                s, "heads", number(m.value_heads) if same else f"{m.key_heads} key, {m.value_heads} value", m.value_heads if same else None
            )
            dims = m.key_head_dim == m.value_head_dim
            yield Row(s, "head dim", number(m.key_head_dim) if dims else f"K {m.key_head_dim}, V {m.value_head_dim}")
            yield Row(s, "short conv", number(m.conv_kernel) if m.conv_kernel else "none", m.conv_kernel)
            yield Row(
                s, "decay", {"lightning": "fixed per head", "gated_deltanet": "learned per head", "kda": "learned per channel"}[m.variant]
            )
            if m.gate:
                yield Row(s, "output gate", m.gate)


def moe(a: Architecture) -> Iterator[Row]:
    f = moe_of(a)
    if f is None:
        return
    s, r = "MoE", f.router
    yield Row(s, "routed experts", number(f.experts), f.experts)
    yield Row(s, "active experts", number(f.active), f.active)
    yield Row(s, "expert width", number(f.expert_width), f.expert_width)
    yield Row(s, "shared experts", shared(f), f.shared_experts or None)
    yield Row(s, "router", router(f))
    yield Row(s, "group limit", f"best {r.active_groups} of {r.groups} groups" if r.groups > 1 else "none")
    yield Row(s, "routed scale", number(r.scale), r.scale)
    if f.bias:
        yield Row(s, "expert bias", "yes")
    if f.clamp:
        yield Row(s, "activation clamp", number(f.clamp), f.clamp)


def shared(f: MoE) -> str:
    """`1 of width 2,048`, with its gate."""
    if not f.shared_width:
        return "none"
    return f"{f.shared_experts or 1} of width {number(f.shared_width // (f.shared_experts or 1))}" + (
        ", sigmoid gate" if f.shared_gate else ""
    )


def router(f: MoE) -> str:
    r = f.router
    scoring = {"softmax": "softmax", "softmax_chosen": "softmax over the chosen", "sigmoid": "sigmoid"}[r.scoring]
    more = ["selection bias"] if r.selection_bias else []
    more += ["bias"] if r.bias else []
    more += ["renormalised"] if r.normalized and r.scoring != "softmax_chosen" else []
    more += ["weights the expert's input"] if r.weights == "input" else []
    return ", ".join([scoring, *more])


def feed_forward(a: Architecture) -> Iterator[Row]:
    s = "Feed-forward"
    dense = [f for f in a.ffns.values() if isinstance(f, Dense)]
    for f in dense[:1]:
        yield Row(s, "dense width", number(f.width), f.width)
        if f.bias:
            yield Row(s, "dense bias", "yes")
    for f in list(a.ffns.values())[:1]:
        yield Row(s, "activation", activation_word(f))


def norms(a: Architecture) -> Iterator[Row]:
    s = "Norms"
    kinds = dict.fromkeys(norm_word(n) for n in a.norms.values())
    yield Row(s, "kind", " / ".join(kinds))
    yield Row(s, "placement", placement(a))
    yield Row(s, "ε", " / ".join(dict.fromkeys(f"{units.epsilon(n.eps)}" for n in a.norms.values() if n.eps is not None)))


def position(a: Architecture) -> Iterator[Row]:
    s, mixers = "Position", softmax(a)
    ropes = {n: m.rope for n, m in mixers.items() if m.rope}
    if a.embedding.positions:
        yield Row(s, "positions", f"learned, {number(a.embedding.positions)} rows")
    elif not ropes and mixers:
        yield Row(s, "positions", "none (NoPE)")
    elif ropes:
        yield from merged(s, "positions", ((n, positions(a, m), None) for n, m in mixers.items()))
    yield from merged(s, "RoPE θ", ((n, units.theta(r.theta), r.theta) for n, r in ropes.items()))
    yield from merged(s, "rotary", ((n, rotary(r, mixers[n]), None) for n, r in ropes.items()))
    yield from merged(s, "scaling", ((n, scaling(r.scaling), None) for n, r in ropes.items()))
    for label, key in (("YaRN beta_fast", "beta_fast"), ("YaRN beta_slow", "beta_slow"), ("YaRN mscale_all_dim", "mscale_all_dim")):
        yield from merged(
            s, label, ((n, number(v), v) for n, r in ropes.items() if r.scaling and (v := getattr(r.scaling, key)) is not None)
        )
    if nope := nope_layers(a):
        yield Row(s, "NoPE layers", nope)
    yield Row(s, "context", number(a.context_length) if a.context_length else "unknown", a.context_length)


def rotary(r: Rope, m: Mixer) -> str:
    whole = m.head_dim if isinstance(m, Attention) else m.qk_nope_head_dim + m.qk_rope_head_dim if isinstance(m, LatentAttention) else 0
    return (f"all {r.rotary_dim} dims" if r.rotary_dim == whole else f"{r.rotary_dim} of {whole} dims") + (
        ", interleaved" if r.interleaved else ""
    )


def scaling(s: RopeScaling | None) -> str:
    """`YaRN × 40 from 4,096`."""
    if s is None:
        return "none"
    name = {"yarn": "YaRN", "llama3": "llama3", "linear": "linear", "dynamic": "dynamic NTK", "longrope": "LongRoPE"}[s.kind]
    factor = f" × {s.factor:g}" if s.factor else ""
    return name + factor + (f" from {number(s.original_context)}" if s.original_context else "")


def nope_layers(a: Architecture) -> str | None:
    """`9 of 36`, where only some softmax layers have no rotary positions."""
    has = [m.rope is not None for k in a.layers for m in (a.mixers[n] for n in mixer_of(a, k)) if not isinstance(m, LinearAttention)]
    if a.embedding.positions or all(has) or not has:
        return None
    return f"{has.count(False)} of {len(a.layers)}"


def size(a: Architecture) -> Iterator[Row]:
    s, p = "Size", count(a)
    yield Row(s, "total", units.count(p.total), p.total)
    if p.active != p.total - p.vision:
        yield Row(s, "active", units.count(p.active), p.active)
    yield Row(s, "vocabulary", number(a.vocab_size), a.vocab_size)
    yield Row(s, "embedding", f"{units.count(p.embedding)}, {'tied' if a.embedding.tied else 'untied'}", p.embedding)
    if a.embedding.scale:
        yield Row(s, "embedding scale", number(a.embedding.scale), a.embedding.scale)
    if a.head.softcap:
        yield Row(s, "logit softcap", number(a.head.softcap), a.head.softcap)
    yield Row(s, "MTP modules", number(a.mtp.modules) if a.mtp else "none", a.mtp.modules if a.mtp else None)
    for name, t in a.towers.items():
        yield Row(s, f"{name} encoder", f"{t.kind}, {t.layers} layers × {number(t.hidden_size)}")
    if p.vision:
        yield Row(s, "encoders", units.count(p.vision), p.vision)
    yield Row(s, "dtype", a.dtype or "unknown")
    if q := a.quantization:
        yield Row(s, "stored as", quantized(q.method, q.bits, q.format, q.block, q.group_size))


def quantized(method: str, bits: float | None, fmt: str | None, block: tuple[int, ...] | None, group: int | None) -> str:
    """`fp8 e4m3, blocks 128 × 128`."""
    words = [method + (f" {fmt}" if fmt and fmt != method else "")]
    words += [f"{bits:g} bits"] if bits else []
    words += ["blocks " + " × ".join(map(str, block))] if block else [f"groups of {group}"] if group else []
    return ", ".join(words)


def memory(a: Architecture) -> Iterator[Row]:
    s, c = "Cache (bf16)", cache(a)
    yield Row(s, "per token", units.size(c.growing_bytes_per_token), c.growing_bytes_per_token)
    if c.window_bytes:
        yield Row(s, "full windows", units.size(c.window_bytes), c.window_bytes)
    if c.state_bytes:
        yield Row(s, "recurrent state", units.size(c.state_bytes), c.state_bytes)
    for t in contexts(a):
        if t in (4096, 32768, 131072):
            yield Row(s, f"at {units.context(t)}", units.size(c.at(t)), c.at(t))
