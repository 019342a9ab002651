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
from ..architecture.layers import mixer_names, runs_by_mixer, used_mixers
from ..architecture.schema import Architecture
from .cache_layouts import cache_parts, mixer_cache_parts
from .cache_parts import FIXED_ROLES, CachePart, Convention, Role
from .engines import engine_of
from .engines.base import LayerParts

CONTEXTS = (4096, 32768, 131072)
"""The lengths that are always shown, unless they are longer than the model's own."""


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
        layer = 0
        for part in self.parts:
            layer += part.bytes_at(tokens)
        return self.layers * layer

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """Return the bytes of one layer as JSON; under `at`, those of all layers."""
        kept = self.parts_with("kv")
        sizes = {str(tokens): self.bytes_at(tokens) for tokens in contexts}
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
            "at": sizes,
            "bytes_at": sizes,
        }


def _bytes_per_token(parts: list[CachePart]) -> Fraction:
    total = Fraction(0)
    for part in parts:
        total += part.bytes_per_token
    return total


def _largest_bytes(parts: list[CachePart]) -> int:
    sizes = [part.largest_bytes for part in parts]
    return sum(sizes)


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
    return {
        "role": part.role,
        "dtype": part.dtype,
        "law": part.law,
        "entry_bytes": part.entry_bytes,
        "tokens_per_entry": tokens_per_entry,
        "most_tokens": part.most_tokens,
        "page_tokens": None,
        "page_bytes": None,
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
        sequence = 0
        for group in self.groups:
            sequence += group.bytes_at(tokens)
        return batch * sequence

    def _per_token(self, *roles: Role) -> Fraction:
        """Return the bytes that a token adds to the parts of all layers with these roles."""
        total = Fraction(0)
        for group in self.groups:
            parts = group.parts_with(*roles)
            total += group.layers * _bytes_per_token(parts)
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
            entries = group.parts_with("kv", "index")
            growing = [part for part in entries if part.grows]
            of_layer = _bytes_per_token(growing)
            total += group.layers * of_layer
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
        if state and conv and conv != state:
            return f"{state}, conv {conv}"
        return state or conv or None

    def to_dict(self, contexts: list[int]) -> dict[str, Any]:
        """Return the bytes of one sequence as JSON, with totals at some lengths.

        Numbers are whole; bytes per token are rounded up.
        """
        sizes = {str(tokens): self.bytes_at(tokens) for tokens in contexts}
        return {
            "engine": self.convention.engine,
            "dtype": self.convention.words,
            "state_dtype": self.state_dtype,
            "growing_bytes_per_token": ceil(self.growing_bytes_per_token),
            "all_layers_bytes_per_token": ceil(self.all_layers_bytes_per_token),
            "indexer_bytes_per_token": ceil(self.indexer_bytes_per_token),
            "window_bytes": self.window_bytes,
            "state_bytes": self.state_bytes,
            "groups": [group.to_dict(contexts) for group in self.groups],
            "at": sizes,
            "bytes_at": sizes,
            "assumptions": list(self.assumptions),
        }


def compute_cache(a: Architecture, convention: Convention | None = None) -> Cache:
    """Return the cache of an architecture, by default under the `ideal` convention.

    Raises ImpossiblePlan if a mixer cannot be stored in the dtype or the engine does not have it.
    """
    convention = convention or Convention()
    engine = engine_of(convention.engine)
    engine.check_dtype(convention.dtype)
    engine.check_dtype(convention.values_dtype)
    layers = runs_by_mixer(a)
    groups: list[CacheGroup] = []
    for name in a.mixers:
        if layers[name]:
            parts = cache_parts(a, name, convention)
            groups.append(CacheGroup(name, layers[name], tuple(parts)))
    mixers = list(used_mixers(a).values())
    assumptions = engine.layout_assumptions(a, mixers)
    return Cache(convention, tuple(groups), tuple(assumptions))


def list_layer_parts(
    a: Architecture, convention: Convention, drafted_layers: int = 0
) -> tuple[LayerParts, ...]:
    """Return what each layer of an architecture keeps, in the order of the layers.

    drafted_layers: layers of the model's own MTP modules that run as well, at the end.

    Raises ImpossiblePlan if a mixer cannot be stored in the dtype.
    """
    engine = engine_of(convention.engine)
    engine.check_dtype(convention.dtype)
    engine.check_dtype(convention.values_dtype)
    parts_of: dict[str, tuple[CachePart, ...]] = {}
    kinds = [kind for kind in a.layers for _ in range(a.layer_kinds[kind].runs)]
    if drafted_layers and a.mtp is not None and a.mtp.layer_kind is not None:
        kinds += [a.mtp.layer_kind] * drafted_layers
    layers: list[LayerParts] = []
    for index, kind in enumerate(kinds):
        for name in mixer_names(a, kind):
            if name not in parts_of:
                parts_of[name] = tuple(mixer_cache_parts(a, a.mixers[name], convention))
            if parts_of[name]:
                layers.append(LayerParts(name, index, parts_of[name]))
    return tuple(layers)


def shown_contexts(a: Architecture) -> list[int]:
    """Return the lengths that are shown: CONTEXTS below the model's own, and the model's own."""
    own = a.context_length
    if not own:
        return list(CONTEXTS)
    shorter = [tokens for tokens in CONTEXTS if tokens < own]
    return [*shorter, own]
