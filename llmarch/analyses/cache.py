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
from .cache_layouts import SGLANG_POOLS, VLLM_IN_FLIGHT, Convention, Part, Role, page_tokens, parts

CONTEXTS = (4096, 32768, 131072)
"""The lengths that are always shown, as far as the model goes."""


@frozen
class Group(Frozen):
    """The layers that share a mixer, and what each of them keeps."""

    mixer: str
    layers: int
    parts: tuple[Part, ...]

    def of(self, *roles: Role) -> list[Part]:
        return [p for p in self.parts if p.role in roles]

    def at(self, tokens: int) -> int:
        """Bytes of all its layers after `tokens` tokens of one sequence."""
        return self.layers * sum(p.at(tokens) for p in self.parts)

    def document(self, contexts: list[int]) -> dict[str, Any]:
        """Bytes of one layer; `at`: of all of them."""
        kept = self.of("kv")
        limits = [p.most for p in kept if p.most is not None]
        return {
            "mixer": self.mixer,
            "layers": self.layers,
            "bytes_per_token": ceil(sum(p.rate for p in kept)),
            "most_tokens": max(limits) if limits and len(limits) == len(kept) else None,
            "indexer_bytes_per_token": ceil(sum(p.rate for p in self.of("index"))),
            "window_bytes": sum(p.full for p in kept),
            "state_bytes": sum(p.full for p in self.of("conv", "state", "cross")),
            "parts": [part_document(p) for p in self.parts],
            "at": {str(t): self.at(t) for t in contexts},
        }


def part_document(p: Part) -> dict[str, Any]:
    every = p.every.numerator if p.every.denominator == 1 else float(p.every)
    return {
        "role": p.role,
        "dtype": p.dtype,
        "law": p.law,
        "entry_bytes": p.entry,
        "tokens_per_entry": every if p.law == "grow" else None,
        "most_tokens": p.most,
        "page_tokens": p.page,
        "page_bytes": p.page_bytes if p.page else None,
    }


@frozen
class Cache(Frozen):
    """The cache of one sequence, by layer group, under a convention."""

    convention: Convention
    groups: tuple[Group, ...]
    assumptions: tuple[str, ...]

    def at(self, tokens: int, batch: int = 1) -> int:
        """Bytes that `batch` sequences of `tokens` tokens keep."""
        return batch * sum(g.at(tokens) for g in self.groups)

    def _rate(self, *roles: Role, growing: bool = False) -> Fraction:
        return sum(
            (
                g.layers * p.rate
                for g in self.groups
                for p in g.of(*roles)
                if p.grows or not growing
            ),
            Fraction(0),
        )

    def _full(self, *roles: Role) -> int:
        return sum(g.layers * p.full for g in self.groups for p in g.of(*roles))

    @property
    def growing(self) -> Fraction:
        """Bytes a further token adds once every window is full, indexer keys included; a fraction if entries stand for several tokens."""
        return self._rate("kv", "index", growing=True)

    @property
    def all_layers(self) -> Fraction:
        """Bytes a token adds while no window is full: as if every attention layer were full."""
        return self._rate("kv", "index")

    @property
    def indexer(self) -> Fraction:
        """Bytes of sparse indexers' keys that a token adds."""
        return self._rate("index")

    @property
    def windows(self) -> int:
        """Bytes of all windows and chunks when they are full."""
        return self._full("kv")

    @property
    def state(self) -> int:
        """Bytes of convolution columns, recurrent and compressor state, and an encoder's keys and values: the same for every length."""
        return self._full("conv", "state", "cross")

    def dtypes(self, role: Role) -> str:
        """In what parts of a role are kept."""
        return " / ".join(dict.fromkeys(p.dtype for g in self.groups for p in g.of(role)))

    @property
    def state_dtype(self) -> str | None:
        """`fp32, conv bf16`: in what recurrent or compressor state is kept."""
        state, conv = self.dtypes("state"), self.dtypes("conv")
        return (f"{state}, conv {conv}" if conv and conv != state else state) or conv or None

    def document(self, contexts: list[int]) -> dict[str, Any]:
        """As JSON: bytes of one sequence, whole numbers (rates rounded up), with totals at some lengths."""
        return {
            "engine": self.convention.engine,
            "dtype": self.convention.dtype,
            "state_dtype": self.state_dtype,
            "growing_bytes_per_token": ceil(self.growing),
            "all_layers_bytes_per_token": ceil(self.all_layers),
            "indexer_bytes_per_token": ceil(self.indexer),
            "window_bytes": self.windows,
            "state_bytes": self.state,
            "groups": [g.document(contexts) for g in self.groups],
            "at": {str(t): self.at(t) for t in contexts},
            "assumptions": list(self.assumptions),
        }


def cache(a: Architecture, convention: Convention | None = None) -> Cache:
    """The cache of an architecture. Raises ValueError where a mixer can't be stored in the dtype or the engine does not have it."""
    c = convention or Convention()
    if c.engine == "transformers" and c.dtype not in ("bf16", "fp16", "fp32"):
        raise ValueError(
            f"transformers keeps its cache in the model's dtype (bf16, fp16 or fp32), not in {c.dtype}"
        )
    layers = Counter(m for k in a.layers for m in mixer_names(a, k))
    groups = tuple(Group(n, layers[n], tuple(parts(a, n, c))) for n in a.mixers if layers[n])
    return Cache(c, groups, tuple(assumptions(a, c)))


def contexts(a: Architecture) -> list[int]:
    """The lengths that are shown: 4k, 32k, 128k and the model's own, no longer than that."""
    most = a.context_length
    return [t for t in CONTEXTS if most is None or t < most] + ([most] if most else [])


def assumptions(a: Architecture, c: Convention) -> list[str]:
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
                else f"{page_tokens(a, c)} tokens"
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
