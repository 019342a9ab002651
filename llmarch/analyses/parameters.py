"""Parameter counts from the facts of an Architecture alone: no names, no template, no family code.

`total` is the main model: tied weights once, towers and router-bias tables included; MTP modules, quantisation scales and non-persistent
buffers excluded. `active` counts, of the text model, only the experts that serve a token; `active_without_embedding` leaves out the input
embedding too, `active_without_embedding_and_head` also the head (a tied matrix once). DESIGN.md says why these must equal the sum over
the template and the headers.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Conformer,
    ConvBlock,
    ConvTower,
    Dense,
    LatentAttention,
    Linear,
    LinearAttention,
    Mixer,
    MoE,
    Norm,
    Residual,
    Tower,
)


@frozen
class Parameters(Frozen):
    """Counts of elements; `vision`: all encoders; `mtp` None: modules are announced, but their layout is not known."""

    total: int
    active: int
    active_without_embedding: int
    active_without_embedding_and_head: int
    embedding: int
    head: int
    vision: int
    mtp: int | None
    by_component: dict[str, int]
    active_by_component: dict[str, int]


def count_parameters(a: Architecture) -> Parameters:
    by: Counter[str] = Counter()
    active_experts = 0
    h = a.hidden_size
    embedding = a.vocab_size * h
    by["embedding"] = embedding + (a.embedding.positions or 0) * h
    by["head"] = (0 if a.embedding.tied else embedding) + a.vocab_size * a.head.bias
    for norm in (a.final_norm, a.embedding.norm):
        by["norms"] += count_norm(a.norms[norm], h) if norm else 0
    for kind, times in Counter(a.layers).items():
        for component, n in count_layer(a, kind).items():
            by[component] += n * times
        for block in a.blocks_of(kind):
            if isinstance(block, MoE):
                active_experts += times * count_expert(block, h) * block.active
    if p := a.embedding.per_layer:
        wide = len(a.layers) * p.width
        by["per_layer_embedding"] = p.vocab_size * wide
        by["per_layer_projection"] = wide * h + p.width
    if a.residual.kind == "hyper":
        by["residual"] += count_hyper_head(a.residual, h)
    if a.residual.kind == "altup":
        by["residual"] += 2 * (a.residual.streams - 1) * h * h
    for o in a.other.values():
        by["other"] += prod(o.shape) * o.count
    for name, t in a.towers.items():
        by[name] = count_encoder(t)
    encoders = sum(by[name] for name in a.towers)
    serving = Counter(
        {c: n for c, n in by.items() if c not in a.towers} | {"experts": active_experts}
    )
    active = sum(serving.values())
    return Parameters(
        total=sum(by.values()),
        active=active,
        active_without_embedding=active - embedding,
        active_without_embedding_and_head=active - embedding - by["head"],
        embedding=embedding,
        head=by["head"],
        vision=encoders,
        mtp=count_mtp(a),
        by_component=dict(+by),
        active_by_component=dict(+serving),
    )


def count_layer(a: Architecture, kind: str) -> Counter[str]:
    """One layer of a kind, by component."""
    by: Counter[str] = Counter()
    h = a.hidden_size
    for s in a.layer_kinds[kind].steps:
        names = [s.pre_norm, s.join_norm, s.after_norm]
        for b in s.branches:
            names += [b.pre_norm, b.post_norm]
            by.update(count_block(a.block(b.block), h))
        by["norms"] += sum(count_norm(a.norms[n], h) for n in names if n)
        by["residual"] += count_hyper_connection(a.residual, h)
    by["residual"] += count_altup_layer(a.residual, h)
    by["layer_scales"] += a.layer_kinds[kind].learned_scale
    return by


def count_hyper_connection(r: Residual, h: int) -> int:
    """The hyper-connection of one step: a matrix with bias, and three scales."""
    return (2 + r.streams) * r.streams * (r.streams * h + 1) + 3 if r.kind == "hyper" else 0


def count_altup_layer(r: Residual, h: int) -> int:
    """The updates of one layer: coefficients of prediction and correction, their router with a norm, and a scale."""
    n = r.streams
    return n**3 + n**2 + n * h + 2 * h if r.kind == "altup" else 0


def count_hyper_head(r: Residual, h: int) -> int:
    """What makes one stream of several at the end: a matrix with bias, and a scale."""
    return r.streams * (r.streams * h + 1) + 1


def count_norm(n: Norm, width: int) -> int:
    return width * (n.weight + n.bias)


def count_block(b: Mixer | FFN, h: int) -> dict[str, int]:
    match b:
        case Attention():
            return {"attention": count_attention(b, h)}
        case LatentAttention():
            return {"attention": count_latent_attention(b, h)}
        case LinearAttention():
            return {"attention": count_linear_attention(b, h)}
        case CompressedAttention():
            return {"attention": count_compressed_attention(b, h)}
        case Dense():
            return {"mlp": count_dense(b, h)}
        case MoE():
            r = b.router
            choices = b.experts + b.zero_experts
            router = (
                h * choices
                + choices * (r.bias + r.selection_bias + r.expert_scale)
                + h * r.input_scale
            )
            router += (r.token_table or 0) * b.active
            shared = (3 if b.gated else 2) * h * b.shared_width + (h if b.shared_gate else 0)
            latent = 2 * h * (b.latent_width or 0)
            return {
                "experts": b.experts * count_expert(b, h),
                "router": router,
                "shared_experts": shared,
                "latent_projections": latent,
            }


def count_attention(a: Attention, h: int) -> int:
    own = 0 if a.kv_from else a.kv_heads
    q, k, v = a.heads * a.head_dim, own * a.head_dim, own * a.v_head_dim * (not a.values_from_keys)
    gate = {"elementwise": a.heads * a.head_dim, "head": a.heads, None: 0}[a.gate]
    n = h * (q + gate + k + v) + a.heads * a.v_head_dim * h
    n += (q + gate + k + v) * a.qkv_bias + h * a.output_bias + a.heads * a.sinks
    if a.qk_norm and a.qk_norm.weight:
        n += (1 if a.kv_from else 2) * a.head_dim if a.qk_norm.scope == "head" else q + k
    if x := a.block_index:
        n += h * (x.heads + 1) * x.head_dim + 2 * x.head_dim
    return n


def count_latent_attention(a: LatentAttention, h: int) -> int:
    qk, r = a.qk_nope_head_dim + a.qk_rope_head_dim, a.q_lora_rank
    n = h * a.heads * qk if r is None else h * r + r + r * a.heads * qk + a.bias * r
    n += (
        h * (a.kv_lora_rank + a.qk_rope_head_dim)
        + a.kv_lora_rank
        + a.kv_lora_rank * a.heads * (a.qk_nope_head_dim + a.v_head_dim)
    )
    n += a.heads * a.v_head_dim * h + a.bias * (a.kv_lora_rank + a.qk_rope_head_dim + h)
    if x := a.indexer:
        n += (r or h) * x.heads * x.head_dim + h * x.head_dim + 2 * x.head_dim + h * x.heads
    return n


def count_compressed_attention(a: CompressedAttention, h: int) -> int:
    r, groups = a.q_lora_rank, a.o_groups * a.o_lora_rank
    n = h * r + r + r * a.heads * a.head_dim + h * a.head_dim + a.head_dim + a.heads * a.sinks
    n += groups * (a.heads * a.head_dim // a.o_groups) + h * groups
    if a.ratio:
        n += count_compressor(a, a.head_dim, h)
    if x := a.indexer:
        n += r * x.heads * x.head_dim + h * x.heads + count_compressor(a, x.head_dim, h)
    return n


def count_compressor(a: CompressedAttention, width: int, h: int) -> int:
    """Values, weights, a bias for each token's place, and a norm."""
    return a.series * width * (2 * h + a.ratio) + width


def count_linear_attention(a: LinearAttention, h: int) -> int:
    k, v = a.key_heads * a.key_head_dim, a.value_heads * a.value_head_dim
    conv = (2 * k + v) * ((a.conv_kernel or 0) + a.conv_bias)
    if (
        a.variant == "mamba2"
    ):  # gate, x, B, C and dt in one; A_log, D, dt_bias per head; norm over all, out
        return (
            h * (2 * v + 2 * k + a.value_heads)
            + conv
            + 3 * a.value_heads
            + v
            + v * h
            + (2 * v + 2 * k + a.value_heads + h) * a.bias
        )
    if a.variant == "short_conv":  # B, C, x; the convolution of one, out
        return 3 * h * v + v * ((a.conv_kernel or 0) + a.conv_bias) + v * h + (3 * v + h) * a.bias
    if a.variant == "lightning":  # qkv, norm over the whole width, output gate, out
        return h * (2 * k + v) + v + h * v + v * h
    if (
        a.variant == "gated_deltanet"
    ):  # q, k, v, z; beta and decay per value head; A_log, dt_bias; norm per head
        return (
            h * (2 * k + 2 * v)
            + h * 2 * a.value_heads
            + conv
            + 2 * a.value_heads
            + a.value_head_dim
            + v * h
        )
    # kda: q, k, v; low-rank decay and gate (rank = head dim); dt_bias per channel, A_log and beta per head; norm per head
    low = 2 * (h * a.value_head_dim + a.value_head_dim * v)
    return (
        h * (2 * k + v)
        + conv
        + low
        + v
        + a.value_heads
        + h * a.value_heads
        + a.value_head_dim
        + v * h
    )


def count_dense(f: Dense, h: int) -> int:
    return (3 if f.gated else 2) * h * f.width + (f.width * (2 if f.gated else 1) + h) * f.bias


def count_expert(f: MoE, h: int) -> int:
    """One routed expert."""
    return count_dense(
        Dense(width=f.expert_width, activation=f.activation, gated=f.gated, bias=f.bias),
        f.latent_width or h,
    )


def count_mtp(a: Architecture) -> int | None:
    """All MTP modules: a layer each, the projection [h, 2h], norms, and copies of embedding and head where they have them."""
    m = a.mtp
    if m is None or m.modules == 0:
        return 0
    if m.layer_kind is None:
        return None
    h = a.hidden_size
    copies = (m.own_embedding + m.own_head) * a.vocab_size * h
    if a.residual.kind == "hyper":
        copies += count_hyper_head(a.residual, h)
    return m.modules * (
        sum(count_layer(a, m.layer_kind).values()) + 2 * h * h + m.norms * h + copies
    )


def count_encoder(t: Tower | Conformer | ConvTower) -> int:
    match t:
        case Tower():
            return count_tower(t)
        case Conformer():
            return count_conformer(t)
        case ConvTower():
            return count_conv_tower(t)


def count_tower(t: Tower) -> int:
    """The encoder with its projector."""
    w, q, kv = t.hidden_size, t.heads * t.head_dim, (t.kv_heads or t.heads) * t.head_dim
    linears = 4 + (3 if t.ffn.gated else 2)
    layer = (
        2 * w * (q + kv)
        + (q + 2 * kv + w) * t.attention_bias
        + count_dense(t.ffn, w)
        + t.layer_norms * count_norm(t.norm, w)
    )
    layer += 2 * t.head_dim * t.qk_norm + 4 * linears * t.clipped + 2 * w * t.layer_scales
    pooling = w + 4 * w * w + 4 * w + count_norm(t.norm, w) + count_dense(t.ffn, w)
    projector = sum(map(count_matrix, t.projector))
    stacked = projector + 2 * t.projector[0].inputs if t.deepstack else 0
    return (
        t.layers * layer
        + t.outer_norms * count_norm(t.norm, w)
        + count_matrix(t.patch_embedding)
        + projector
        + len(t.deepstack) * stacked
        + t.positions * t.position_axes * w
        + w * t.class_token
        + pooling * t.pooling_head
        + sum(t.projector_norms) * (2 if t.projector_norm_bias else 1)
        + 2 * w * t.standardized
    )


def count_conformer(t: Conformer) -> int:
    """The audio encoder with its projector."""
    w, first, second = t.hidden_size, *t.subsampling
    convolutions = 9 * first + first + 9 * first * second + second
    ffns = 2 * (2 * w * t.width + 2 * count_norm(t.norm, w))
    attention = 5 * w * w + w // t.heads + 2 * count_norm(t.norm, w)
    conv = 3 * w * w + t.conv_kernel * w + 2 * count_norm(t.norm, w)
    layer = ffns + attention + conv + count_norm(t.norm, w) + 4 * (2 * 2 + 4 + 2) * t.clipped
    matrices = [t.subsampled, *t.projector, *([t.output] if t.output else [])]
    return (
        convolutions
        + t.layers * layer
        + sum(map(count_matrix, matrices))
        + count_encoder_vocabulary(t)
    )


def count_encoder_vocabulary(t: Conformer | ConvTower) -> int:
    """An embedding of the encoder's own tokens, a norm for its rows and one for the features."""
    return (t.vocabulary + 2) * t.projector[0].inputs if t.vocabulary else 0


def count_conv_tower(t: ConvTower) -> int:
    """The encoder with its projector."""
    taken = sum(stage[-1].outputs for stage in t.stages[-2:])
    fusion = taken * t.fusion_width + t.fusion_width + t.fusion_width * t.outputs + 2 * t.outputs
    blocks = sum(count_conv_block(b) for stage in t.stages for b in stage)
    return (
        27 * t.stem
        + 2 * t.stem
        + blocks
        + fusion
        + sum(map(count_matrix, t.projector))
        + count_encoder_vocabulary(t)
    )


def count_conv_block(b: ConvBlock) -> int:
    if b.kind == "edge":
        return b.kernel**2 * b.inputs * b.width + b.width + b.width * b.outputs + b.outputs
    if b.kind == "inverted":
        depthwise = (b.kernel**2 + 1) * b.inputs * (b.kernel > 0) + (
            b.mid_kernel**2 + 1
        ) * b.width * (b.mid_kernel > 0)
        return depthwise + b.inputs * b.width + b.width + b.width * b.outputs + 2 * b.outputs
    keys = b.key_width * b.inputs + (b.kernel**2 + 1) * b.inputs * (b.kernel > 0)
    return b.inputs + b.inputs * b.width + 2 * keys + b.width * b.outputs + b.outputs


def count_matrix(m: Linear) -> int:
    return m.inputs * m.outputs + m.outputs * m.bias
