"""Bounds of time by the roofline: memory bandwidth and peak operations a second (Williams 2009).

A step can be no faster than its bytes through the memory, nor than its operations through the
matrix units. What comes on top (communication, launches, attention that does not reach the peak) is
left out, so times are lower bounds and tokens a second upper bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, CompressedAttention, LatentAttention, MoE
from .cache import list_layer_parts
from .cache_parts import CachePart, Convention
from .engines.base import LayerParts
from .engines.pools import REMEMBERED
from .flops import (
    count_weights_read,
    expected_distinct_experts,
    flops_per_token,
    iterate_blocks,
    prefill_flops,
)
from .memory import Planner, Request
from .sharding import Parallel
from .weight_formats import Weights

FASTER_TYPES: dict[str, tuple[str, ...]] = {
    "fp4": ("fp4", "fp8", "bf16"),
    "fp8": ("fp8", "bf16"),
    "int8": ("int8", "bf16"),
    "bf16": ("bf16",),
}
"""Types in which products of a weight type may be computed, the fastest first."""
COMPUTE_TYPES = {
    "fp8": "fp8",
    "mxfp8": "fp8",
    "int8": "int8",
    "mxfp4": "fp4",
    "nvfp4": "fp4",
    "fp4": "fp4",
}
"""The fastest type for products of a weight format; others are unpacked to 16 bits."""
FLOAT8_METHODS = ("fp8", "fbgemm_fp8", "finegrained_fp8")


@frozen
class SpeedBounds(Frozen):
    """Bounds of decoding and prefill under one request."""

    decode_tokens_per_second: float
    """Most tokens a second of one sequence."""
    decode_tokens_per_second_all: float
    """Most tokens a second of all sequences together."""
    decode_bound: str
    """What limits a decoding step: `memory` or `compute`."""
    step_bytes: int
    """Bytes that one GPU reads in a decoding step."""
    prefill_seconds: float | None
    """Least seconds for a prompt of the whole context. None: no peak is known."""
    compute_type: str | None
    """The type of the peak that is taken. None: no peak is known."""
    peak: float | None
    """Operations a second of that type."""
    bandwidth: float
    """Bytes a second of a GPU's memory."""
    experts_touched: float | None
    """Experts of a MoE layer that a step is expected to read. None: no experts."""
    experts: int | None
    """Routed experts of that layer."""

    def to_dict(self) -> dict[str, Any]:
        """Return the bounds as JSON."""
        return {
            "decode_tokens_per_second": self.decode_tokens_per_second,
            "decode_tokens_per_second_all": self.decode_tokens_per_second_all,
            "decode_bound": self.decode_bound,
            "step_bytes_per_gpu": self.step_bytes,
            "prefill_seconds": self.prefill_seconds,
            "compute_type": self.compute_type,
            "peak_flops_per_second": self.peak,
            "bandwidth_bytes_per_second": self.bandwidth,
            "experts_touched_per_layer": self.experts_touched,
            "experts_per_layer": self.experts,
        }


class Roofline:
    """The bounds of one model; what requests share is computed once."""

    def __init__(self, planner: Planner) -> None:
        """Take the model and its division over ranks from the planner of its memory."""
        a = planner.architecture
        self._planner = planner
        remember = lru_cache(REMEMBERED)
        self.flops = remember(partial(flops_per_token, a))
        """FLOPs of a token at a context."""
        self.weights_read = remember(partial(count_weights_read, a))
        """Weights that a decoding step of a batch reads, by component."""
        self._prefill = remember(partial(prefill_flops, a))
        self._parts = remember(self._list_parts)
        self._experts = remember(partial(experts_touched, a))

    def bounds(
        self,
        request: Request,
        convention: Convention,
        weights: Weights,
        bandwidth: float,
        peaks: Mapping[str, float],
    ) -> SpeedBounds:
        """Return the bounds of decoding at the context, and of a prompt as long.

        bandwidth: bytes a second of a GPU's memory.
        peaks: operations a second of a GPU by type; empty if not known.

        Weights are taken as divided evenly over the GPUs that share them; what is replicated only
        adds to the time. The cache is that of one rank, replicated heads and latents included.
        Pipeline stages follow one another for a sequence, and work at once on several. Of drafted
        tokens all are taken as accepted, and the drafter as costing nothing.
        """
        parallel = request.parallel
        weight_bytes = self._weight_bytes(request, weights)
        cached = request.sequences * self._cache_bytes(request, convention)
        step_bytes = weight_bytes + cached / parallel.pipeline
        kind, peak = fastest_type(self._planner.architecture, weights, peaks)
        tokens = 1 + request.options.draft_tokens
        memory_time = step_bytes / bandwidth
        compute_time = 0.0
        prefill = None
        if peak:
            ranks = parallel.tensor * parallel.pipeline
            operations = self.flops(request.context).total * request.sequences * tokens
            compute_time = operations / ranks / peak
            prompt = self._prefill(request.context).total / (parallel.tensor * peak)
            prefill = max(prompt, weight_bytes * parallel.pipeline / bandwidth)
        stage_time = max(memory_time, compute_time)
        bound = "memory"
        if compute_time > memory_time:
            bound = "compute"
        touched, experts = self._experts(request.batch)
        return SpeedBounds(
            decode_tokens_per_second=tokens / (stage_time * parallel.pipeline),
            decode_tokens_per_second_all=request.batch * tokens / stage_time,
            decode_bound=bound,
            step_bytes=round(step_bytes),
            prefill_seconds=prefill,
            compute_type=kind,
            peak=peak,
            bandwidth=bandwidth,
            experts_touched=touched,
            experts=experts,
        )

    def _weight_bytes(self, request: Request, weights: Weights) -> float:
        """Return the weight bytes that one GPU reads in a decoding step of its batch.

        With expert parallelism, the sequences of all groups choose among experts that all GPUs
        share.
        """
        parallel = request.parallel
        group = parallel.tensor * parallel.pipeline
        size = 0.0
        for component, n in self.weights_read(request.sequences).items():
            if component != "experts":
                size += n * weights.bits_of(component) / 8 / group
        sharing = parallel.expert_ranks * parallel.pipeline
        sequences = request.sequences * -(-sharing // group)
        experts = self.weights_read(sequences).get("experts", 0.0)
        return size + experts * weights.bits_of("experts") / 8 / sharing

    def _cache_bytes(self, request: Request, convention: Convention) -> int:
        """Return the bytes of cache that a sequence's step reads on one rank of all stages."""
        parallel = request.parallel
        share = self._planner.division(parallel).share
        tokens = -(-request.context // parallel.decode_context)
        return cache_bytes_read(share, tokens, self._parts(parallel, convention))

    def _list_parts(self, parallel: Parallel, convention: Convention) -> tuple[LayerParts, ...]:
        """Return what the layers of one rank keep, those of a drafter apart."""
        share = self._planner.division(parallel).share
        return list_layer_parts(share, convention)


def cache_bytes_read(a: Architecture, context: int, layers: Iterable[LayerParts]) -> int:
    """Return the bytes of cache and state that one sequence's step reads.

    layers: what the layers of the architecture keep.

    A sparse indexer's keys are read whole, and of the entries that it chooses from, top_k.
    """
    layers_of: Counter[str] = Counter()
    parts_of: dict[str, tuple[CachePart, ...]] = {}
    for layer in layers:
        layers_of[layer.mixer] += 1
        parts_of[layer.mixer] = layer.parts
    size = 0
    for name, parts in parts_of.items():
        mixer = a.mixers[name]
        top_k = None
        if isinstance(mixer, LatentAttention | CompressedAttention) and mixer.indexer:
            top_k = mixer.indexer.top_k
        read = sum(_part_bytes_read(part, context, top_k) for part in parts)
        size += layers_of[name] * read
    return size


def _part_bytes_read(part: CachePart, context: int, top_k: int | None) -> int:
    whole = part.bytes_at(context)
    if top_k is None or part.role != "kv":
        return whole
    if part.most_tokens is not None:
        return whole
    chosen = top_k * part.entry_bytes
    return min(whole, chosen)


def experts_touched(a: Architecture, batch: int) -> tuple[float | None, int | None]:
    """Return how many experts a step reads of the layer with most, and how many it has.

    Both are None without experts.
    """
    largest: MoE | None = None
    for block, _ in iterate_blocks(a):
        if isinstance(block, MoE) and (largest is None or block.experts > largest.experts):
            largest = block
    if largest is None:
        return None, None
    return expected_distinct_experts(largest, batch), largest.experts


def fastest_type(
    a: Architecture, weights: Weights, peaks: Mapping[str, float]
) -> tuple[str | None, float | None]:
    """Return the fastest type in which a GPU multiplies the weights, and its peak."""
    for kind in FASTER_TYPES[product_type(a, weights)]:
        if kind in peaks:
            return kind, peaks[kind]
    return None, None


def product_type(a: Architecture, weights: Weights) -> str:
    """Return the fastest type that products of the weights may be computed in.

    As stored it follows the declared quantisation: 8-bit floats and MX or NV fp4 have matrix units
    of their own; integers only if activations are quantised too.
    """
    named = COMPUTE_TYPES.get(weights.name)
    if named or weights.name != "as-stored" or a.quantization is None:
        return named or "bf16"
    declared = a.quantization
    words = f"{declared.method} {declared.format} {declared.experts}".lower()
    if "fp4" in words:
        return "fp4"
    if declared.method in FLOAT8_METHODS or "e4m3" in words or "float-quantized" in words:
        return "fp8"
    if declared.bits == 8 and declared.activations:
        if "fp8" in words:
            return "fp8"
        return "int8"
    return "bf16"
