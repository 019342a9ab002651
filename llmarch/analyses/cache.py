"""What a sequence keeps in memory while it is decoded: keys and values, latents, indexer keys and recurrent state, in bytes.

Each layer's parts come from `layouts.py`, by the rules of an engine; here they are added up. `ideal`, the default, keeps exactly what will
be read again: all T tokens with full attention, min(T, W) in a window, a latent once for all heads; nothing is paged, padded or
replicated. docs/cache.md has the rules of all engines.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
)
from .cache_layouts import (
    SGLANG_POOLS,
    VLLM_IN_FLIGHT,
    CachePart,
    Convention,
    Role,
    cache_parts,
    compute_page_tokens,
)

CONTEXTS = (4096, 32768, 131072)
"""The lengths that are always shown, as far as the model goes."""


@frozen
class CacheGroup(Frozen):
    """The layers that share a mixer, and what each of them keeps."""

    mixer: str
    layers: int
    parts: tuple[CachePart, ...]

    def parts_with(self, *roles: Role) -> list[CachePart]:
        return [p for p in self.parts if p.role in roles]

    def bytes_at(self, tokens: int) -> int:
        """Bytes of all its layers after `tokens` tokens of one sequence."""
        return self.layers * sum(p.bytes_at(tokens) for p in self.parts)

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """Bytes of one layer; `at`: of all of them."""
        kept = self.parts_with("kv")
        limits = [p.most_tokens for p in kept if p.most_tokens is not None]
        return {
            "mixer": self.mixer,
            "layers": self.layers,
            "bytes_per_token": ceil(sum(p.bytes_per_token for p in kept)),
            "most_tokens": max(limits) if limits and len(limits) == len(kept) else None,
            "indexer_bytes_per_token": ceil(
                sum(p.bytes_per_token for p in self.parts_with("index"))
            ),
            "window_bytes": sum(p.largest_bytes for p in kept),
            "state_bytes": sum(p.largest_bytes for p in self.parts_with("conv", "state", "cross")),
            "parts": [part_to_dict(p) for p in self.parts],
            "at": {str(t): self.bytes_at(t) for t in contexts},
        }


def part_to_dict(p: CachePart) -> dict[str, Any]:
    every = (
        p.tokens_per_entry.numerator
        if p.tokens_per_entry.denominator == 1
        else float(p.tokens_per_entry)
    )
    return {
        "role": p.role,
        "dtype": p.dtype,
        "law": p.law,
        "entry_bytes": p.entry_bytes,
        "tokens_per_entry": every if p.law == "grow" else None,
        "most_tokens": p.most_tokens,
        "page_tokens": p.page_tokens,
        "page_bytes": p.page_bytes if p.page_tokens else None,
    }


@frozen
class Cache(Frozen):
    """The cache of one sequence, by layer group, under a convention."""

    convention: Convention
    groups: tuple[CacheGroup, ...]
    assumptions: tuple[str, ...]

    def bytes_at(self, tokens: int, batch: int = 1) -> int:
        """Bytes that `batch` sequences of `tokens` tokens keep."""
        return batch * sum(g.bytes_at(tokens) for g in self.groups)

    def _rate(self, *roles: Role, growing: bool = False) -> Fraction:
        return sum(
            (
                g.layers * p.bytes_per_token
                for g in self.groups
                for p in g.parts_with(*roles)
                if p.grows or not growing
            ),
            Fraction(0),
        )

    def _full(self, *roles: Role) -> int:
        return sum(g.layers * p.largest_bytes for g in self.groups for p in g.parts_with(*roles))

    @property
    def growing_bytes_per_token(self) -> Fraction:
        """Bytes a further token adds once every window is full, indexer keys included; a fraction if entries stand for several tokens."""
        return self._rate("kv", "index", growing=True)

    @property
    def all_layers_bytes_per_token(self) -> Fraction:
        """Bytes a token adds while no window is full: as if every attention layer were full."""
        return self._rate("kv", "index")

    @property
    def indexer_bytes_per_token(self) -> Fraction:
        """Bytes of sparse indexers' keys that a token adds."""
        return self._rate("index")

    @property
    def window_bytes(self) -> int:
        """Bytes of all windows and chunks when they are full."""
        return self._full("kv")

    @property
    def state_bytes(self) -> int:
        """Bytes of convolution columns, recurrent and compressor state, and an encoder's keys and values: the same for every length."""
        return self._full("conv", "state", "cross")

    def dtypes_of(self, role: Role) -> str:
        """In what parts of a role are kept."""
        return " / ".join(dict.fromkeys(p.dtype for g in self.groups for p in g.parts_with(role)))

    @property
    def state_dtype(self) -> str | None:
        """`fp32, conv bf16`: in what recurrent or compressor state is kept."""
        state, conv = self.dtypes_of("state"), self.dtypes_of("conv")
        return (f"{state}, conv {conv}" if conv and conv != state else state) or conv or None

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """As JSON: bytes of one sequence, whole numbers (rates rounded up), with totals at some lengths."""
        return {
            "engine": self.convention.engine,
            "dtype": self.convention.dtype,
            "state_dtype": self.state_dtype,
            "growing_bytes_per_token": ceil(self.growing_bytes_per_token),
            "all_layers_bytes_per_token": ceil(self.all_layers_bytes_per_token),
            "indexer_bytes_per_token": ceil(self.indexer_bytes_per_token),
            "window_bytes": self.window_bytes,
            "state_bytes": self.state_bytes,
            "groups": [g.to_dict(contexts) for g in self.groups],
            "at": {str(t): self.bytes_at(t) for t in contexts},
            "assumptions": list(self.assumptions),
        }


def compute_cache(a: Architecture, convention: Convention | None = None) -> Cache:
    """The cache of an architecture. Raises ValueError where a mixer can't be stored in the dtype or the engine does not have it."""
    c = convention or Convention()
    if c.engine == "transformers" and c.dtype not in ("bf16", "fp16", "fp32"):
        raise ValueError(
            f"transformers keeps its cache in the model's dtype (bf16, fp16 or fp32), not in {c.dtype}"
        )
    layers = Counter(m for k in a.layers for m in mixer_names(a, k))
    groups = tuple(
        CacheGroup(n, layers[n], tuple(cache_parts(a, n, c))) for n in a.mixers if layers[n]
    )
    return Cache(c, groups, tuple(cache_assumptions(a, c)))


def shown_contexts(a: Architecture) -> list[int]:
    """The lengths that are shown: 4k, 32k, 128k and the model's own, no longer than that."""
    most = a.context_length
    return [t for t in CONTEXTS if most is None or t < most] + ([most] if most else [])


def cache_assumptions(a: Architecture, c: Convention) -> list[str]:
    """What the figures rest on beside the architecture, for this model."""
    used = [a.mixers[n] for n in dict.fromkeys(m for k in a.layers for m in mixer_names(a, k))]
    compressed = any(isinstance(m, CompressedAttention) for m in used)
    windows = compressed or any(isinstance(m, Attention) and (m.window or m.chunk) for m in used)
    states = any(isinstance(m, LinearAttention) for m in used)
    softmax = compressed or any(isinstance(m, (Attention, LatentAttention)) for m in used)
    out: list[str] = []
    match c.engine:
        case "ideal":
            out += ["nothing paged, padded or replicated"]
            out += (
                ["recurrent state float32 where the model's code computes it so"] if states else []
            )
        case "vllm" if c.reserve:
            pages = (
                "256 tokens, 64 of a window, 4 or 8 of a compressor"
                if compressed
                else f"{compute_page_tokens(a, c)} tokens"
            )
            out += [f"pages of {pages}"] if softmax else []
            out += (
                [
                    f"windows reserved for {VLLM_IN_FLIGHT:,} tokens in flight (2 × max_num_batched_tokens 8,192)"
                ]
                if windows
                else []
            )
            out += ["two states a sequence (prefix caching on)"] if states else []
        case "sglang" if c.reserve:
            pools = a.model_type.removesuffix("_text") in SGLANG_POOLS
            share = "0.1" if compressed else "0.8"
            out += (
                [
                    f"windows in a pool of {share} × the tokens"
                    if pools
                    else "sliding layers keep every token"
                ]
                if windows
                else []
            )
        case "transformers":
            out += ["windows hold W - 1 tokens between calls"] if windows else []
            out += ["K columns of each convolution, not K - 1"] if states else []
        case _:
            pass
    return out
