"""Parameter counts from the facts of an Architecture alone: no names, no template, no family code.

`total` is the main model: tied weights once, towers and router-bias tables included; MTP modules, quantisation scales and
non-persistent buffers excluded. `active` counts, of the text model, only the experts that serve a token; `active_without_embedding`
leaves out the input embedding too. DESIGN.md says why these must equal the sum over the template and the headers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from ..schema import FFN, Architecture, Attention, Dense, LatentAttention, LinearAttention, Mixer, MoE, Norm, Tower


@dataclass(frozen=True, slots=True)
class Parameters:
    """Counts of elements; `mtp` None: modules are announced, but their layout is not known."""

    total: int
    active: int
    active_without_embedding: int
    embedding: int
    head: int
    vision: int
    mtp: int | None
    by_component: dict[str, int]


def count(a: Architecture) -> Parameters:
    by: Counter[str] = Counter()
    active_experts = 0
    h = a.hidden_size
    embedding = a.vocab_size * h
    by["embedding"] = embedding + (a.embedding.positions or 0) * h
    by["head"] = (0 if a.embedding.tied else embedding) + a.vocab_size * a.head.bias
    for norm in (a.final_norm, a.embedding.norm):
        by["norms"] += norm_count(a.norms[norm], h) if norm else 0
    for kind, times in Counter(a.layers).items():
        for component, n in kind_count(a, kind).items():
            by[component] += n * times
        for block in a.blocks_of(kind):
            if isinstance(block, MoE):
                active_experts += times * expert_count(block, h) * block.active
    for o in a.other.values():
        by["other"] += prod(o.shape) * o.count
    vision = sum(tower_count(t) for t in a.towers.values())
    by["vision"] = vision
    total = sum(by.values())
    active = total - vision - by["experts"] + active_experts
    by += Counter()
    return Parameters(total, active, active - embedding, embedding, by["head"], vision, mtp_count(a), dict(by))


def kind_count(a: Architecture, kind: str) -> Counter[str]:
    """One layer of a kind, by component."""
    by: Counter[str] = Counter()
    h = a.hidden_size
    for s in a.layer_kinds[kind].steps:
        names = [s.pre_norm, s.join_norm, s.after_norm]
        for b in s.branches:
            names += [b.pre_norm, b.post_norm]
            by.update(block_count(a.block(b.block), h))
        by["norms"] += sum(norm_count(a.norms[n], h) for n in names if n)
    return by


def norm_count(n: Norm, width: int) -> int:
    return width * (n.weight + n.bias)


def block_count(b: Mixer | FFN, h: int) -> dict[str, int]:
    match b:
        case Attention():
            return {"attention": attention_count(b, h)}
        case LatentAttention():
            return {"attention": latent_count(b, h)}
        case LinearAttention():
            return {"attention": linear_attention_count(b, h)}
        case Dense():
            return {"mlp": dense_count(b, h)}
        case MoE():
            router = h * b.experts + b.experts * (b.router.bias + b.router.selection_bias)
            shared = (3 if b.gated else 2) * h * b.shared_width + (h if b.shared_gate else 0)
            return {"experts": b.experts * expert_count(b, h), "router": router, "shared_experts": shared}


def attention_count(a: Attention, h: int) -> int:
    q, k, v = a.heads * a.head_dim, a.kv_heads * a.head_dim, a.kv_heads * a.v_head_dim
    gate = {"elementwise": a.heads * a.head_dim, "head": a.heads, None: 0}[a.gate]
    n = h * (q + gate + k + v) + a.heads * a.v_head_dim * h
    n += (q + gate + k + v) * a.qkv_bias + h * a.output_bias + a.heads * a.sinks
    if a.qk_norm and a.qk_norm.weight:
        n += 2 * a.head_dim if a.qk_norm.scope == "head" else q + k
    return n


def latent_count(a: LatentAttention, h: int) -> int:
    qk, r = a.qk_nope_head_dim + a.qk_rope_head_dim, a.q_lora_rank
    n = h * a.heads * qk if r is None else h * r + r + r * a.heads * qk + a.bias * r
    n += h * (a.kv_lora_rank + a.qk_rope_head_dim) + a.kv_lora_rank + a.kv_lora_rank * a.heads * (a.qk_nope_head_dim + a.v_head_dim)
    n += a.heads * a.v_head_dim * h + a.bias * (a.kv_lora_rank + a.qk_rope_head_dim + h)
    if x := a.indexer:
        n += (r or h) * x.heads * x.head_dim + h * x.head_dim + 2 * x.head_dim + h * x.heads
    return n


def linear_attention_count(a: LinearAttention, h: int) -> int:
    k, v = a.key_heads * a.key_head_dim, a.value_heads * a.value_head_dim
    conv = (2 * k + v) * (a.conv_kernel or 0)
    if a.variant == "lightning":  # qkv, norm over the whole width, output gate, out
        return h * (2 * k + v) + v + h * v + v * h
    if a.variant == "gated_deltanet":  # q, k, v, z; beta and decay per value head; A_log, dt_bias; norm per head
        return h * (2 * k + 2 * v) + h * 2 * a.value_heads + conv + 2 * a.value_heads + a.value_head_dim + v * h
    # kda: q, k, v; low-rank decay and gate (rank = head dim); dt_bias per channel, A_log and beta per head; norm per head
    low = 2 * (h * a.value_head_dim + a.value_head_dim * v)
    return h * (2 * k + v) + conv + low + v + a.value_heads + h * a.value_heads + a.value_head_dim + v * h


def dense_count(f: Dense, h: int) -> int:
    return (3 if f.gated else 2) * h * f.width + (f.width * (2 if f.gated else 1) + h) * f.bias


def expert_count(f: MoE, h: int) -> int:
    """One routed expert."""
    return dense_count(Dense(width=f.expert_width, activation=f.activation, gated=f.gated, bias=f.bias), h)


def mtp_count(a: Architecture) -> int | None:
    """All MTP modules: a layer each, the projection [h, 2h], norms, and copies of embedding and head where they have them."""
    m = a.mtp
    if m is None or m.modules == 0:
        return 0
    if m.layer_kind is None:
        return None
    h = a.hidden_size
    copies = (m.own_embedding + m.own_head) * a.vocab_size * h
    return m.modules * (sum(kind_count(a, m.layer_kind).values()) + 2 * h * h + m.norms * h + copies)


def tower_count(t: Tower) -> int:
    """The encoder with its projector."""
    w, inner = t.hidden_size, t.heads * t.head_dim
    layer = 4 * w * inner + (3 * inner + w) * t.attention_bias + dense_count(t.ffn, w) + t.layer_norms * norm_count(t.norm, w)
    pooling = w + 4 * w * w + 4 * w + norm_count(t.norm, w) + dense_count(t.ffn, w)
    matrices = [t.patch_embedding, *t.projector]
    return (
        t.layers * layer
        + t.outer_norms * norm_count(t.norm, w)
        + sum(m.inputs * m.outputs + m.outputs * m.bias for m in matrices)
        + t.positions * w
        + w * t.class_token
        + pooling * t.pooling_head
        + sum(t.projector_norms)
    )
