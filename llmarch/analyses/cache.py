"""What a sequence keeps in memory while it is decoded, in bytes.

Keys and values, latents, indexer keys and recurrent state. The parts of each layer come from
`cache_layouts.py`, by the rules of an engine; here they are added up. `ideal`, the default, keeps
exactly what will be read again: all T tokens with full attention, min(T, W) in a window, a latent
once for all heads; nothing is paged, padded or replicated. docs/cache.md has the rules of all
engines.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import layers_by_mixer, used_mixers
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
)
from .cache_layouts import VLLM_IN_FLIGHT, cache_parts, compute_page_tokens, has_sliding_pool
from .cache_parts import CachePart, Convention, Role

CONTEXTS = (4096, 32768, 131072)
"""The lengths that are always shown, unless they are longer than the model's own."""
MODEL_DTYPES = ("bf16", "fp16", "fp32")
FIXED_ROLES: tuple[Role, ...] = ("conv", "state", "cross")
"""Roles of parts whose size does not depend on the number of tokens."""


@frozen
class CacheGroup(Frozen):
    """The layers that share a mixer, and what each of them keeps."""

    mixer: str
    layers: int
    parts: tuple[CachePart, ...]

    def parts_with(self, *roles: Role) -> list[CachePart]:
        """Return the parts that have one of the roles."""
        return [part for part in self.parts if part.role in roles]

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes of all layers of the group after `tokens` tokens of one sequence."""
        layer = sum(part.bytes_at(tokens) for part in self.parts)
        return self.layers * layer

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """Return the bytes of one layer as JSON; under `at`, those of all layers."""
        kept = self.parts_with("kv")
        index_keys = self.parts_with("index")
        return {
            "mixer": self.mixer,
            "layers": self.layers,
            "bytes_per_token": ceil(_bytes_per_token(kept)),
            "most_tokens": _most_tokens(kept),
            "indexer_bytes_per_token": ceil(_bytes_per_token(index_keys)),
            "window_bytes": _largest_bytes(kept),
            "state_bytes": _largest_bytes(self.parts_with(*FIXED_ROLES)),
            "parts": [part_to_dict(part) for part in self.parts],
            "at": {str(tokens): self.bytes_at(tokens) for tokens in contexts},
        }


def _bytes_per_token(parts: list[CachePart]) -> Fraction:
    return sum((part.bytes_per_token for part in parts), Fraction(0))


def _largest_bytes(parts: list[CachePart]) -> int:
    return sum(part.largest_bytes for part in parts)


def _most_tokens(parts: list[CachePart]) -> int | None:
    """Return the most tokens that the parts hold; None if one of them has no limit."""
    limits: list[int] = []
    for part in parts:
        if part.most_tokens is None:
            return None
        limits.append(part.most_tokens)
    return max(limits, default=None)


def part_to_dict(part: CachePart) -> dict[str, Any]:
    """Return one part as JSON."""
    tokens_per_entry = None
    if part.law == "grow":
        tokens_per_entry = _json_number(part.tokens_per_entry)
    page_bytes = None
    if part.page_tokens:
        page_bytes = part.page_bytes
    return {
        "role": part.role,
        "dtype": part.dtype,
        "law": part.law,
        "entry_bytes": part.entry_bytes,
        "tokens_per_entry": tokens_per_entry,
        "most_tokens": part.most_tokens,
        "page_tokens": part.page_tokens,
        "page_bytes": page_bytes,
    }


def _json_number(fraction: Fraction) -> int | float:
    if fraction.denominator == 1:
        return fraction.numerator
    return float(fraction)


@frozen
class Cache(Frozen):
    """The cache of one sequence, by groups of layers, under a convention."""

    convention: Convention
    groups: tuple[CacheGroup, ...]
    assumptions: tuple[str, ...]

    def bytes_at(self, tokens: int, batch: int = 1) -> int:
        """Return the bytes that `batch` sequences of `tokens` tokens keep."""
        sequence = sum(group.bytes_at(tokens) for group in self.groups)
        return batch * sequence

    def _per_token(self, *roles: Role) -> Fraction:
        """Return the bytes that a token adds to the parts of all layers with these roles."""
        total = Fraction(0)
        for group in self.groups:
            total += group.layers * _bytes_per_token(group.parts_with(*roles))
        return total

    def _full(self, *roles: Role) -> int:
        """Return the most bytes that the limited parts of all layers hold."""
        total = 0
        for group in self.groups:
            total += group.layers * _largest_bytes(group.parts_with(*roles))
        return total

    @property
    def growing_bytes_per_token(self) -> Fraction:
        """Return the bytes a further token adds once every window is full, with indexer keys.

        It is a fraction where an entry stands for several tokens.
        """
        total = Fraction(0)
        for group in self.groups:
            growing = [part for part in group.parts_with("kv", "index") if part.grows]
            total += group.layers * _bytes_per_token(growing)
        return total

    @property
    def all_layers_bytes_per_token(self) -> Fraction:
        """Return the bytes a token adds before a window is full, as if all attention were full."""
        return self._per_token("kv", "index")

    @property
    def indexer_bytes_per_token(self) -> Fraction:
        """Return the bytes of sparse indexers' keys that a token adds."""
        return self._per_token("index")

    @property
    def window_bytes(self) -> int:
        """Return the bytes of all windows and chunks when they are full."""
        return self._full("kv")

    @property
    def state_bytes(self) -> int:
        """Return the bytes that are the same for every length.

        These are convolution columns, recurrent and compressor state, and an encoder's keys and
        values.
        """
        return self._full(*FIXED_ROLES)

    def dtypes_of(self, role: Role) -> str:
        """Return the dtypes of the parts with a role: `bf16 / fp8`; empty without any."""
        dtypes: dict[str, None] = {}
        for group in self.groups:
            for part in group.parts_with(role):
                dtypes[part.dtype] = None
        return " / ".join(dtypes)

    @property
    def state_dtype(self) -> str | None:
        """Return the dtypes of recurrent or compressor state: `fp32, conv bf16`."""
        state, conv = self.dtypes_of("state"), self.dtypes_of("conv")
        if conv and conv != state:
            return f"{state}, conv {conv}"
        return state or None

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """Return the bytes of one sequence as JSON, with totals at some lengths.

        Numbers are whole; bytes per token are rounded up.
        """
        return {
            "engine": self.convention.engine,
            "dtype": self.convention.dtype,
            "state_dtype": self.state_dtype,
            "growing_bytes_per_token": ceil(self.growing_bytes_per_token),
            "all_layers_bytes_per_token": ceil(self.all_layers_bytes_per_token),
            "indexer_bytes_per_token": ceil(self.indexer_bytes_per_token),
            "window_bytes": self.window_bytes,
            "state_bytes": self.state_bytes,
            "groups": [group.to_dict(contexts) for group in self.groups],
            "at": {str(tokens): self.bytes_at(tokens) for tokens in contexts},
            "assumptions": list(self.assumptions),
        }


def compute_cache(a: Architecture, convention: Convention | None = None) -> Cache:
    """Return the cache of an architecture, by default under the `ideal` convention.

    Raises ValueError if a mixer cannot be stored in the dtype or the engine does not have it.
    """
    convention = convention or Convention()
    if convention.engine == "transformers" and convention.dtype not in MODEL_DTYPES:
        raise ValueError(
            "transformers keeps its cache in the model's dtype (bf16, fp16 or fp32), "
            f"not in {convention.dtype}"
        )
    layers = layers_by_mixer(a)
    groups: list[CacheGroup] = []
    for name in a.mixers:
        if layers[name]:
            parts = cache_parts(a, name, convention)
            groups.append(CacheGroup(name, layers[name], tuple(parts)))
    return Cache(convention, tuple(groups), tuple(cache_assumptions(a, convention)))


def shown_contexts(a: Architecture) -> list[int]:
    """Return the lengths that are shown: CONTEXTS below the model's own, and the model's own."""
    own = a.context_length
    if not own:
        return list(CONTEXTS)
    return [*(tokens for tokens in CONTEXTS if tokens < own), own]


# --- assumptions --------------------------------------------------------------------------------


def cache_assumptions(a: Architecture, convention: Convention) -> list[str]:
    """Return what the figures rest on besides the architecture, for this model."""
    match convention.engine:
        case "ideal":
            return _ideal_assumptions(a)
        case "vllm" if convention.reserve:
            return _vllm_assumptions(a, convention)
        case "sglang" if convention.reserve:
            return _sglang_assumptions(a)
        case "transformers":
            return _transformers_assumptions(a)
        case _:
            return []


def _ideal_assumptions(a: Architecture) -> list[str]:
    lines = ["nothing paged, padded or replicated"]
    if _has_mixer(a, LinearAttention):
        lines.append("recurrent state float32 where the model's code computes it so")
    return lines


def _vllm_assumptions(a: Architecture, convention: Convention) -> list[str]:
    lines: list[str] = []
    if _has_mixer(a, CompressedAttention):
        lines.append("pages of 256 tokens, 64 of a window, 4 or 8 of a compressor")
    elif _has_mixer(a, Attention, LatentAttention):
        lines.append(f"pages of {compute_page_tokens(a, convention)} tokens")
    if _has_windows(a):
        lines.append(
            f"windows reserved for {VLLM_IN_FLIGHT:,} tokens in flight "
            "(2 × max_num_batched_tokens 8,192)"
        )
    if _has_mixer(a, LinearAttention):
        lines.append("two states a sequence (prefix caching on)")
    return lines


def _sglang_assumptions(a: Architecture) -> list[str]:
    if not _has_windows(a):
        return []
    if not has_sliding_pool(a):
        return ["sliding layers keep every token"]
    share = "0.8"
    if _has_mixer(a, CompressedAttention):
        share = "0.1"
    return [f"windows in a pool of {share} × the tokens"]


def _transformers_assumptions(a: Architecture) -> list[str]:
    lines: list[str] = []
    if _has_windows(a):
        lines.append("windows hold W - 1 tokens between calls")
    if _has_mixer(a, LinearAttention):
        lines.append("K columns of each convolution, not K - 1")
    return lines


def _has_mixer(a: Architecture, *classes: type) -> bool:
    return any(isinstance(mixer, classes) for mixer in used_mixers(a).values())


def _has_windows(a: Architecture) -> bool:
    """Return whether a layer has a sliding window or chunks."""
    for mixer in used_mixers(a).values():
        if isinstance(mixer, CompressedAttention):
            return True
        if isinstance(mixer, Attention) and (mixer.window or mixer.chunk):
            return True
    return False
