"""Words for mixers: kinds of attention, heads and their dims, what a mixer reads and scales."""

from __future__ import annotations

from ...views.numbers import number, plural
from ..schema import (
    Attention,
    BlockIndex,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    Mixer,
    QueryScaling,
)
from .names import name_title

Softmax = Attention | LatentAttention | CompressedAttention

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
    "rg_lru": "RG-LRU",
}
"""Names of the variants of linear attention."""

SHORT_LINEAR = {"lightning": "Lightning", "kda": "KDA", "short_conv": "short conv"}
"""Names for the recipe of layers, where they are shorter."""

WITHOUT_HEADS = ("short_conv", "mamba", "rwkv4")
"""Variants that treat each channel by itself."""

DECAY = {
    "lightning": "fixed per head",
    "gated_deltanet": "learned per head",
    "kda": "learned per channel",
    "mamba2": "learned per head",
    "mamba": "learned per channel and state",
    "rwkv4": "learned per channel",
    "rg_lru": "learned per channel",
    "mlstm": "forget gate per head",
}
"""How the state of a variant decays."""

SHARING = {
    "MHA": "multi-head attention",
    "GQA": "grouped-query attention",
    "MQA": "multi-query attention",
}
"""Names in full of how query heads share keys and values."""


def head_sharing(a: Attention) -> str:
    """Return MHA, GQA or MQA: how query heads share keys and values."""
    if a.kv_heads == a.heads:
        return "MHA"
    if a.kv_heads == 1:
        return "MQA"
    return "GQA"


def mixer_word(m: Mixer) -> str:
    """Return one mixer as the recipe of layers names it: `sliding GQA`, `MLA`, `KDA`."""
    match m:
        case Attention():
            return attention_word(m)
        case LatentAttention():
            if m.indexer:
                return "sparse MLA"
            if m.index_from:
                return "sparse MLA (shared index)"
            if m.window:
                return "sliding MLA"
            return "MLA"
        case LinearAttention():
            return SHORT_LINEAR.get(m.variant, LINEAR[m.variant])
        case CompressedAttention():
            if m.ratio == 0:
                return "sliding latent"
            if m.indexer:
                return "CSA"
            return "HCA"


def gate_word(activation: str) -> str:
    """Return the activation of an output gate in words: `silu`, `GELU (tanh)`."""
    return "GELU (tanh)" if activation == "gelu_tanh" else activation


def attention_word(m: Attention) -> str:
    """Return `sliding gated GQA`, `block-sparse GQA`, `GQA with shared KV`."""
    words: list[str] = []
    if m.window:
        words.append("sliding")
    elif m.chunk:
        words.append("chunked")
    elif m.block_index:
        words.append("block-sparse")
    if m.gate:
        words.append("gated")
    words.append(head_sharing(m))
    if m.kv_from:
        words.append("with shared KV")
    return " ".join(words)


def mixer_title(m: Mixer) -> str:
    """Return one mixer as a headline names it: `grouped-query attention`."""
    match m:
        case Attention():
            return SHARING[head_sharing(m)]
        case LatentAttention():
            if m.indexer or m.index_from:
                return "multi-head latent attention with a sparse indexer"
            return "multi-head latent attention"
        case LinearAttention():
            return LINEAR[m.variant]
        case CompressedAttention():
            return "compressed latent attention"


def mixer_class_title(m: Mixer) -> str:
    """Return the class of a mixer as a figure titles it: `Grouped-query attention`.

    What mixers of a class may differ in, such as a window or an indexer, is not in it.
    """
    match m:
        case Attention() if m.cross_tokens is not None:
            return "Cross-attention"
        case LatentAttention():
            return "Multi-head latent attention"
        case _:
            title = mixer_title(m)
            return title[:1].upper() + title[1:]


def linear_heads(m: LinearAttention) -> str:
    """Return `16 key, 64 value`.

    Mamba-2 counts groups instead of key heads, and a gated convolution has no heads.
    """
    if m.variant in WITHOUT_HEADS:
        return "none"
    values = number(m.value_heads)
    if m.variant == "mamba2":
        groups = plural(m.key_heads, "group")
        return f"{values}, in {groups}"
    if m.key_heads == m.value_heads:
        return values
    return f"{number(m.key_heads)} key, {values} value"


def linear_dims(m: LinearAttention) -> str:
    """Return `128` or `K 128, V 64`.

    Mamba-2 has heads of a width and a state size, a gated convolution has channels.
    """
    if m.variant == "mamba2":
        return f"{number(m.value_head_dim)}, state {number(m.key_head_dim)}"
    if m.variant == "mamba":
        return f"{number(m.value_head_dim)} channels, state {number(m.key_head_dim)}"
    if m.variant == "rwkv4":
        return f"{number(m.value_head_dim)} channels"
    if m.variant == "rg_lru":
        return number(m.value_head_dim)
    if m.key_head_dim == m.value_head_dim:
        return number(m.key_head_dim)
    return f"K {number(m.key_head_dim)}, V {number(m.value_head_dim)}"


def values_word(m: Attention) -> str | None:
    """Return where values come from, if not from a matrix of their own, and their norm."""
    words: list[str] = []
    if m.kv_from:
        words.append(f"keys and values of {name_title(m.kv_from)}")
    if m.values_from_keys:
        words.append("the key projection")
    if m.value_norm:
        words.append("RMSNorm without weight")
    return ", ".join(words) or None


def values_scale_word(m: Attention | LatentAttention) -> str | None:
    """Return fixed factors on values (MiMo), or on MLA's queries and latent (LongCat)."""
    if isinstance(m, Attention):
        scale = m.value_scale
        if scale in (None, 1):
            return None
        return f"values × {scale:g}"
    words: list[str] = []
    if m.q_scale is not None:
        words.append(f"q × {m.q_scale:.4g}")
    if m.kv_scale is not None:
        words.append(f"kv latent × {m.kv_scale:.4g}")
    return ", ".join(words) or None


def query_scaling_word(q: QueryScaling | None) -> str | None:
    """Return the factor of queries at a position: `1 + 0.1 ln(1 + ⌊pos / 8,192⌋)`."""
    if q is None:
        return None
    position = "pos"
    if q.shift:
        position = f"(pos + {number(q.shift)})"
    length = number(q.original_context)
    if q.smooth:
        return f"1 + {q.beta:g} ln(max(1, {position} / {length}))"
    if q.power:
        return f"(1 + {position} / {length})^{q.beta:g}"
    return f"1 + {q.beta:g} ln(1 + ⌊{position} / {length}⌋)"


def compression_word(m: CompressedAttention) -> str | None:
    """Return what a layer reads beyond its window: `1 entry per 4 tokens, the best 512 read`."""
    if not m.ratio:
        return None
    read = "all read"
    if m.indexer:
        read = f"the best {number(m.indexer.top_k)} read"
    return f"1 entry per {plural(m.ratio, 'token')}, {read}"


def heads_word(x: Indexer | BlockIndex) -> str:
    """Return the heads of an indexer: `64 heads × 128`."""
    heads = plural(x.heads, "head")
    width = number(x.head_dim)
    return f"{heads} × {width}"
