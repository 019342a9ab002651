"""The field's words for what an Architecture holds: kinds of attention, layer recipes, norm placement. Pure and derived."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import TypeVar

from ..architecture.layers import mixer_names
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Conformer,
    ConvTower,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
    Norm,
    Residual,
    Step,
    Tower,
)

LINEAR = {
    "lightning": "Lightning attention",
    "gated_deltanet": "Gated DeltaNet",
    "kda": "Kimi Delta Attention",
    "mamba2": "Mamba-2",
    "mamba": "Mamba",
    "short_conv": "gated short convolution",
    "rwkv4": "RWKV-4",
    "rwkv7": "RWKV-7",
    "mlstm": "mLSTM",
}
ACTIVATIONS = {
    "silu": "SwiGLU",
    "gelu_tanh": "GeGLU (tanh)",
    "gelu": "GeGLU",
    "relu2": "squared ReLU",
}
PLAIN_ACTIVATIONS = {
    "gelu_tanh": "GELU (tanh)",
    "gelu": "GELU",
    "silu": "SiLU",
    "relu": "ReLU",
    "relu2": "squared ReLU",
}
T = TypeVar("T", bound=Hashable)


def sharing(a: Attention) -> str:
    """MHA, GQA or MQA."""
    return "MHA" if a.kv_heads == a.heads else "MQA" if a.kv_heads == 1 else "GQA"


def mixer_word(m: Mixer) -> str:
    """One mixer in a layer recipe: `sliding GQA`, `MLA`, `Gated DeltaNet`."""
    match m:
        case Attention():
            reach = (
                "sliding "
                if m.window
                else "chunked "
                if m.chunk
                else "block-sparse "
                if m.block_index
                else ""
            )
            return (
                reach
                + ("gated " if m.gate else "")
                + sharing(m)
                + (" with shared KV" if m.kv_from else "")
            )
        case LatentAttention():
            return (
                "sparse MLA"
                if m.indexer
                else "sparse MLA (shared index)"
                if m.index_from
                else "MLA"
            )
        case LinearAttention():
            return {"lightning": "Lightning", "kda": "KDA", "short_conv": "short conv"}.get(
                m.variant, LINEAR[m.variant]
            )
        case CompressedAttention():
            return "sliding latent" if m.ratio == 0 else "CSA" if m.indexer else "HCA"


def mixer_title(m: Mixer) -> str:
    """One mixer in a headline."""
    match m:
        case Attention():
            return {
                "MHA": "multi-head attention",
                "GQA": "grouped-query attention",
                "MQA": "multi-query attention",
            }[sharing(m)]
        case LatentAttention():
            return "multi-head latent attention" + (
                " with a sparse indexer" if m.indexer or m.index_from else ""
            )
        case LinearAttention():
            return LINEAR[m.variant]
        case CompressedAttention():
            return "compressed latent attention"


def linear_heads(m: LinearAttention) -> str:
    """`16 key, 64 value`; Mamba-2 counts groups instead of key heads, and a gated convolution has no heads."""
    if m.variant == "short_conv":
        return "none"
    if m.variant == "mamba2":
        return f"{m.value_heads}, in {m.key_heads} group{'s' if m.key_heads > 1 else ''}"
    return (
        str(m.value_heads)
        if m.key_heads == m.value_heads
        else f"{m.key_heads} key, {m.value_heads} value"
    )


def linear_dims(m: LinearAttention) -> str:
    """`128`, `K 128, V 64`; Mamba-2 has heads of a width and a state size, a gated convolution its channels."""
    if m.variant == "mamba2":
        return f"{m.value_head_dim}, state {m.key_head_dim}"
    return (
        f"{m.key_head_dim:,}"
        if m.key_head_dim == m.value_head_dim
        else f"K {m.key_head_dim}, V {m.value_head_dim}"
    )


def values_word(m: Attention) -> str | None:
    """Where values come from if not from a matrix of their own, and how they are normed."""
    source = (
        f"keys and values of {m.kv_from}"
        if m.kv_from
        else "the key projection"
        if m.values_from_keys
        else None
    )
    return (
        ", ".join(w for w in (source, "RMSNorm without weight" if m.value_norm else None) if w)
        or None
    )


def multiplied(a: Architecture) -> list[str]:
    """Return fixed and learned factors on the residual stream, with the steps that have them.

    `blocks × 0.22` where all steps have it, else `stream × 0.707107 (attention ∥ Laurel)`.
    """
    kinds = [a.layer_kinds[k] for k in dict.fromkeys(a.layers)]
    steps_by_factors: dict[str, dict[str, None]] = {}
    for kind in kinds:
        for step in kind.steps:
            steps_by_factors.setdefault(step_factors(step), {})[step_word(a, step)] = None
    words: list[str] = []
    for factors, steps in steps_by_factors.items():
        if factors and len(steps_by_factors) == 1:
            words.append(factors)
        elif factors:
            words.append(f"{factors} ({', '.join(steps)})")
    if any(kind.learned_scale for kind in kinds):
        words.append("layers × one learned number")
    return words


def step_factors(s: Step) -> str:
    """Return `blocks × 0.22`, `stream × 3.55656`, both, or nothing for a step without factors."""
    scales = " / ".join(dict.fromkeys(f"{b.scale:g}" for b in s.branches))
    stream = f"{s.skip_scale:g}"
    if scales == stream:
        return "" if stream == "1" else f"blocks and stream × {stream}"
    words = [f"blocks × {scales}" if scales != "1" else "", f"stream × {stream}"]
    return ", ".join(word for word in words if word and word != "stream × 1")


def step_word(a: Architecture, s: Step) -> str:
    """Return the blocks of a step in short: `attention ∥ Laurel`, `MoE`."""
    blocks = [a.block(b.block) for b in s.branches]
    return " ∥ ".join(ffn_word(b) if isinstance(b, (Dense, MoE)) else "attention" for b in blocks)


def router_words(f: MoE) -> list[str]:
    """What a router has besides its scores: a table instead of them, experts that do nothing, a norm of its own, learned scales."""
    r = f.router
    table = f"a table of {r.token_table or 0:,} token ids names the experts"
    busy = f.active * f.experts / (f.experts + f.zero_experts)
    zero = f"{f.zero_experts:,} zero experts more, which return their input: on average {busy:.3g} of the chosen {f.active} compute"
    own = "reads the stream through a norm of its own" + (
        " and a learned scale" if r.input_scale else ""
    )
    words = (
        (table, r.token_table),
        (zero, f.zero_experts),
        (own, r.own_norm),
        ("a learned scale per expert", r.expert_scale),
    )
    return [w for w, there in words if there]


def ffn_word(f: FFN) -> str:
    if isinstance(f, MoE):
        return "hash-routed MoE" if f.router.token_table else "MoE"
    return "per-layer input" if f.per_layer else "Laurel" if f.own_skip else "dense"


def compression(m: CompressedAttention) -> str | None:
    """What a layer reads beyond its window."""
    if not m.ratio:
        return None
    return f"1 entry per {m.ratio} tokens, " + (
        f"the best {m.indexer.top_k:,} read" if m.indexer else "all read"
    )


def positions(a: Architecture, m: Mixer) -> str:
    """`RoPE`, `NoPE`, `learned`, or `none` for linear attention."""
    if isinstance(m, LinearAttention):
        return "none"
    return "RoPE" if m.rope else "learned" if a.embedding.positions else "NoPE"


def block_word(a: Architecture, block: Mixer | FFN) -> str:
    if isinstance(block, (Dense, MoE)):
        return ffn_word(block)
    word = mixer_word(block)
    others = [m for m in a.mixers.values() if not isinstance(m, LinearAttention)]
    if positions(a, block) == "NoPE" and any(m.rope for m in others):
        word += " (NoPE)"
    return word


def kind_word(a: Architecture, kind: str) -> str:
    """One kind of layer: `GQA + MoE`; parallel branches are joined by `∥`."""
    return " + ".join(
        " ∥ ".join(block_word(a, a.block(b.block)) for b in s.branches)
        + (" (shortcut)" if s.skip_from is not None else "")
        for s in a.layer_kinds[kind].steps
    )


def recipe(a: Architecture) -> list[tuple[int, str]]:
    """The layers summed up: their runs in order when they are few, else how many of each kind."""
    words = [kind_word(a, k) for k in a.layers]
    runs = [(len(list(g)), w) for w, g in groupby(words)]
    if len(runs) <= 4:
        return runs
    return [(words.count(w), w) for w in dict.fromkeys(words)]


def period(items: Sequence[T]) -> int | None:
    """The length of the shortest pattern that `items` repeats (the last repetition may be cut short); None if there is none."""
    for p in range(2, len(items) // 2 + 1):
        if all(items[i] == items[i % p] for i in range(len(items))):
            return p if len(set(items)) > 1 else None
    return None


def pattern(a: Architecture) -> str | None:
    """How mixers alternate, as in `5 sliding : 1 full`; None for one mixer or no regular pattern."""
    names = [mixer_names(a, k)[0].replace("nope", "NoPE") for k in a.layers if mixer_names(a, k)]
    p = period(names)
    if not p:
        return None
    return " : ".join(f"{len(list(g))} {name}" for name, g in groupby(names[:p]))


def step_placement(s: Step) -> str:
    """pre, post, post inside the residual, sandwich or none; parallel where a step has several branches."""
    before = bool(s.pre_norm or s.skip_from is not None or any(b.pre_norm for b in s.branches))
    inside = bool(s.join_norm or any(b.post_norm for b in s.branches))
    if s.residual == "after_norm":
        word = "post-norm (the stream continues from the norm)"
    elif s.after_norm:
        word = "post-norm"
    else:
        word = {
            (1, 0): "pre-norm",
            (0, 1): "post-norm inside the residual",
            (1, 1): "sandwich (pre and post)",
            (0, 0): "no norm",
        }[before, inside]
    return ("parallel, " if len(s.branches) > 1 else "") + word


def placement(a: Architecture) -> str:
    """Where norms sit, over all layers; several answers are joined by ` / `."""
    words = dict.fromkeys(
        step_placement(s) for k in dict.fromkeys(a.layers) for s in a.layer_kinds[k].steps
    )
    return " / ".join(words)


def norm_word(n: Norm) -> str:
    name = "RMSNorm" if n.kind == "rmsnorm" else "LayerNorm"
    return (
        name
        + (" with bias" if n.bias else "")
        + (", weight + 1" if n.offset else "")
        + ("" if n.weight else " without weight")
    )


def values_scale_word(m: Attention | LatentAttention) -> str | None:
    """Fixed factors on values (MiMo), or on MLA's queries and latent (LongCat)."""
    if isinstance(m, Attention):
        return f"values × {m.value_scale:g}" if m.value_scale not in (None, 1) else None
    factors = [("q", m.q_scale), ("kv latent", m.kv_scale)]
    return ", ".join(f"{name} × {x:.4g}" for name, x in factors if x is not None) or None


def gate_word(m: Attention) -> str | None:
    """`sigmoid, head`."""
    return f"{m.gate_activation}, {m.gate}" if m.gate else None


def indexer_word(m: LatentAttention | CompressedAttention) -> str | None:
    """`64 heads × 128, top 2,048`, or `none of its own`."""
    if m.indexer:
        return f"{m.indexer.heads} heads × {m.indexer.head_dim}, top {m.indexer.top_k:,}"
    return "none of its own" if isinstance(m, LatentAttention) and m.index_from else None


def block_index_word(m: Attention) -> str | None:
    if (x := m.block_index) is None:
        return None
    local = f", the last {x.local_blocks} among them" if x.local_blocks else ""
    return f"{x.heads} heads × {x.head_dim}, best {x.top_blocks} blocks of {x.block}{local}"


def clamp_word(f: FFN) -> str | None:
    """`7`, `7 (shared 16)`."""
    if isinstance(f, Dense) or f.shared_clamp in (None, f.clamp):
        return f"{f.clamp:g}" if f.clamp else None
    return f"{f.clamp:g} (shared {f.shared_clamp:g})" if f.clamp else f"shared {f.shared_clamp:g}"


def residual_word(r: Residual) -> str:
    how = {"hyper": "under hyper-connections", "altup": "updated in turns (AltUp)"}
    return f"{r.streams} streams {how[r.kind]}" if r.kind in how else "one stream"


def tower_word(t: Tower | Conformer | ConvTower) -> str:
    """`siglip, 27 layers × 1,152`."""
    if isinstance(t, ConvTower):
        return f"{t.kind}, {sum(map(len, t.stages))} convolutional blocks to {t.outputs:,}"
    return f"{t.kind}, {t.layers} layers × {t.hidden_size:,}"


def activation_word(f: FFN) -> str:
    if not f.gated:
        return PLAIN_ACTIVATIONS.get(f.activation, f.activation)
    gpt_oss = f", α {f.alpha:g}, up + {f.up_offset}" if f.alpha else ""
    return ACTIVATIONS.get(f.activation, f"gated {f.activation}") + gpt_oss


def state_word(a: Architecture) -> str:
    """What the fixed part of the cache is called."""
    if any(isinstance(m, CompressedAttention) for m in a.mixers.values()):
        return "compressor state"
    return (
        "recurrent state"
        if any(isinstance(m, LinearAttention) for m in a.mixers.values())
        else "encoder's keys and values"
    )


def moe_of(a: Architecture) -> MoE | None:
    """The (first) mixture of experts."""
    return next((f for f in a.ffns.values() if isinstance(f, MoE)), None)


def headline(a: Architecture) -> str:
    """One line: `Sparse MoE decoder with grouped-query attention`."""
    kinds = [m for k in a.layers for m in map(a.mixers.__getitem__, mixer_names(a, k))]
    unique = dict.fromkeys(mixer_title(m) for m in kinds)
    windows = {m.window for m in kinds if isinstance(m, Attention)}
    chunks = {m.chunk for m in kinds if isinstance(m, Attention)}
    reach = (
        " (sliding windows on some layers)"
        if len(windows) > 1
        else " (sliding windows)"
        if windows - {None}
        else ""
    )
    reach = reach or (" (chunked on some layers)" if len(chunks) > 1 else "")
    sparse = "Sparse MoE" if moe_of(a) else "Dense"
    towers = {"vision": "vision", "audio": "audio"}
    seen = [towers.get(t, t) for t in a.towers]
    kind = f"{sparse} {'hybrid ' if len({isinstance(m, LinearAttention) for m in kinds}) > 1 else ''}decoder"
    return f"{kind} with {' and '.join(unique)}{reach}" + (
        f", and a {' and '.join(seen)} encoder" if seen else ""
    )
