"""What one sequence keeps in memory while decoding: key/value cache and recurrent state, in bytes, for an ideal engine.

`ideal` stores exactly what attention will read again: full attention T tokens, a sliding window min(T, W), a chunk at most C, MLA its
latent and rotary key once for all heads, the sparse indexer one FP8 key of head_dim bytes with a 4-byte scale per 128, linear attention
its state (conv: kernel - 1 columns in the cache dtype; Gated DeltaNet and KDA states in float32, Lightning in the cache dtype).
Nothing is paged, padded or replicated. Sinks are weights, not tokens: 0 bytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from ..schema import Architecture, Attention, LatentAttention, LinearAttention, Mixer
from ..words import block_word, mixer_of

BYTES = {"bf16": 2, "fp16": 2, "fp8": 1, "fp32": 4}


@dataclass(frozen=True, slots=True)
class Group:
    """The layers that share one mixer: bytes per token of one layer, the most tokens it keeps (None: all), its fixed state."""

    mixer: str
    kind: str
    layers: int
    bytes_per_token: int
    most_tokens: int | None
    indexer_bytes_per_token: int
    state_bytes: int

    def at(self, tokens: int) -> int:
        """Bytes of all its layers after `tokens` tokens."""
        kept = tokens if self.most_tokens is None else min(tokens, self.most_tokens)
        return self.layers * (kept * self.bytes_per_token + tokens * self.indexer_bytes_per_token + self.state_bytes)


@dataclass(frozen=True, slots=True)
class Cache:
    """Bytes for one sequence. `growing`: per further token once every window is full; `all_layers`: per token as if no layer had a window."""

    engine: str
    dtype: str
    state_dtype: str | None
    growing_bytes_per_token: int
    all_layers_bytes_per_token: int
    indexer_bytes_per_token: int
    window_bytes: int
    state_bytes: int
    groups: tuple[Group, ...]

    def at(self, tokens: int) -> int:
        return sum(g.at(tokens) for g in self.groups)

    def document(self, contexts: list[int]) -> dict[str, Any]:
        """The figures as JSON shows them, with totals at some context lengths."""
        return asdict(self) | {"at": {str(t): self.at(t) for t in contexts}}


def cache(a: Architecture, dtype: str = "bf16") -> Cache:
    e = BYTES[dtype]
    layers = Counter(m for k in a.layers for m in mixer_of(a, k))
    groups = tuple(group(a, name, layers[name], e) for name in a.mixers if layers[name])
    indexer = sum(g.layers * g.indexer_bytes_per_token for g in groups)
    return Cache(
        engine="ideal",
        dtype=dtype,
        state_dtype=state_dtype(a, dtype),
        growing_bytes_per_token=indexer + sum(g.layers * g.bytes_per_token for g in groups if g.most_tokens is None),
        all_layers_bytes_per_token=indexer + sum(g.layers * g.bytes_per_token for g in groups),
        indexer_bytes_per_token=indexer,
        window_bytes=sum(g.layers * g.bytes_per_token * g.most_tokens for g in groups if g.most_tokens is not None),
        state_bytes=sum(g.layers * g.state_bytes for g in groups),
        groups=groups,
    )


def contexts(a: Architecture) -> list[int]:
    """The context lengths that are shown: 4k, 32k, 128k and the model's own, no longer than that."""
    most = a.context_length
    usual = [t for t in (4096, 32768, 131072) if most is None or t < most]
    return usual + ([most] if most else [])


def group(a: Architecture, name: str, layers: int, e: int) -> Group:
    m = a.mixers[name]
    most = (m.window or m.chunk) if isinstance(m, Attention) else None
    index = m.indexer.head_dim + 4 * m.indexer.head_dim // 128 if isinstance(m, LatentAttention) and m.indexer else 0
    return Group(name, block_word(a, m), layers, per_token(m, e), most, index, state(m, e))


def per_token(m: Mixer, e: int) -> int:
    match m:
        case Attention():
            return m.kv_heads * (m.head_dim + m.v_head_dim) * e
        case LatentAttention():
            return (m.kv_lora_rank + m.qk_rope_head_dim) * e
        case LinearAttention():
            return 0


def state(m: Mixer, e: int) -> int:
    if not isinstance(m, LinearAttention):
        return 0
    k, v = m.key_heads * m.key_head_dim, m.value_heads * m.value_head_dim
    conv = ((m.conv_kernel or 1) - 1) * (2 * k + v) * e
    return conv + m.value_heads * m.key_head_dim * m.value_head_dim * (e if m.variant == "lightning" else 4)


def state_dtype(a: Architecture, dtype: str) -> str | None:
    variants = {m.variant for m in a.mixers.values() if isinstance(m, LinearAttention)}
    return None if not variants else dtype if variants == {"lightning"} else f"fp32, conv {dtype}"
