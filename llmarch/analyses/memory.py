"""What a model takes on one GPU or several, and what fits: weights, cache and state, in bytes.

Activations, CUDA graphs and communication buffers are not modelled: they live in the share of a GPU
that `utilization` leaves free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from math import prod
from typing import Any, Literal

from ..architecture.dtypes import CONFIG_DTYPE_BITS
from ..architecture.frozen import Frozen, frozen
from ..architecture.quantization import compile_pattern
from ..architecture.schema import Architecture, Quantization
from .cache import FIXED_ROLES, Cache, compute_cache
from .cache_parts import Convention
from .parameters import count_parameters
from .sharding import (
    Parallel,
    check_tensor_degrees,
    count_rank_parameters,
    divisibility_errors,
    division_remarks,
    parameter_bytes,
    shard_architecture,
)

UTILIZATION = 0.9
"""The share of a GPU's memory that weights and cache may take; the engines' own defaults are near
(vllm 0.33.0: gpu_memory_utilization 0.92)."""
LONGEST_CONTEXT = 2**31
"""The longest context that is tried for a model without a limit."""

WeightFormat = Literal["bf16", "fp8", "int4", "as-stored"]
WEIGHT_FORMATS: tuple[WeightFormat, ...] = ("bf16", "fp8", "int4", "as-stored")
QUANTISED_COMPONENTS = ("attention", "mlp", "experts", "shared_experts", "latent_projections")
"""Components that quantised checkpoints quantise; embedding, head, norms, routers and encoders
usually stay at 16 bits."""
QUANTISED_BITS = {"fp8": 8 + 32 / (128 * 128), "int4": 4 + 16 / 128}
"""Bits a weight: fp8 with a float32 scale per 128 x 128 (DeepSeek-V3's layout), int4 with a 16-bit
scale per group of 128 (AWQ, GPTQ symmetric)."""
FOUR_BIT_EXPERTS = {"fp4": 4 + 8 / 32, "mxfp4": 4 + 8 / 32, "nvfp4": 4 + 8 / 16}
"""Bits a weight of routed experts that are stored in another format than other modules, with their
share of the scales: DeepSeek V4's `fp4` has one of 8 bits for each 32 weights."""
TYPICAL_MODULES = {
    "attention": "model.layers.5.self_attn.o_proj",
    "mlp": "model.layers.5.mlp.gate_proj",
    "experts": "model.layers.5.mlp.experts.0.gate_proj",
    "shared_experts": "model.layers.5.mlp.shared_experts.gate_proj",
    "latent_projections": "model.layers.5.mixer.fc1_latent_proj",
}
"""The module that represents a component when a config lists what it left unquantised."""


# --- weights ------------------------------------------------------------------------------------


@frozen
class Weights(Frozen):
    """How many bits a weight takes."""

    name: str
    """The weight format."""
    bits: dict[str, float]
    """Bits a weight by component."""
    other_bits: float
    """Bits a weight of the other components."""
    source: str
    """From where the bits are known."""

    def bits_of(self, component: str) -> float:
        """Return the bits a weight of a component."""
        return self.bits.get(component, self.other_bits)

    def bytes_of(self, parameters: Mapping[str, int]) -> int:
        """Return the bytes of parameters by component."""
        return parameter_bytes(parameters, self.bits_of)


def resolve_weights(
    a: Architecture,
    name: WeightFormat,
    header_bits: Mapping[str, float] | None = None,
    header_words: str = "as the headers say",
) -> Weights:
    """Return a weight format for an architecture.

    header_bits: bits a weight by component according to the checkpoint's headers, if these were
        read.
    header_words: what the headers say, as the source of the format.

    Raises ValueError if the config does not say how the weights are stored.
    """
    if name == "bf16":
        return Weights(name, {}, 16, "16 bits a weight")
    if name in QUANTISED_BITS:
        bits = QUANTISED_BITS[name]
        source = f"{bits:.3f} bits in layers' matrices, 16 elsewhere"
        return Weights(name, dict.fromkeys(QUANTISED_COMPONENTS, bits), 16, source)
    if header_bits:
        other_bits = CONFIG_DTYPE_BITS.get(a.dtype or "", 16)
        return Weights(name, dict(header_bits), other_bits, header_words)
    return _configured_weights(a, name)


def _configured_weights(a: Architecture, name: WeightFormat) -> Weights:
    """Return how the config says that weights are stored. Raises ValueError if it does not."""
    dtype_bits = CONFIG_DTYPE_BITS.get(a.dtype or "")
    quantization = a.quantization
    if quantization is None:
        if dtype_bits is None:
            raise ValueError("the config does not say how its weights are stored")
        return Weights(name, {}, dtype_bits, f"{a.dtype}, as the config says")
    bits = declared_bits(quantization)
    if bits is None:
        raise ValueError(f"how many bits {quantization.method} takes is not in the config")
    stored = count_parameters(a).by_component
    quantised = [
        component
        for component in QUANTISED_COMPONENTS
        if component in stored and not is_excluded(quantization, component)
    ]
    bits_by_component = dict.fromkeys(quantised, bits)
    words = ", ".join(quantised).replace("_", " ") or "nothing"
    source = f"{bits:.4g} bits in {words}"
    expert_bits = FOUR_BIT_EXPERTS.get(quantization.experts or "")
    if expert_bits is not None and "experts" in stored:
        bits_by_component["experts"] = expert_bits
        others = ", ".join(c for c in quantised if c != "experts").replace("_", " ")
        source = f"{expert_bits:.4g} bits in experts, {bits:.4g} in {others or 'nothing else'}"
    return Weights(name, bits_by_component, dtype_bits or 16, f"{source}, as the config declares")


def declared_bits(quantization: Quantization) -> float | None:
    """Return the bits a weight takes with its share of scales; None if the config has no bits.

    fp8: a scale of 32 bits a block.
    mxfp4, nvfp4: a scale of 8 bits a group.
    bitsandbytes nf4: 32 bits per 64 weights.
    Others: a scale of 16 bits a group, and a zero point as wide as a weight (gptq, awq) or of 16
        bits (mlx).

    Scales per channel or per tensor are left out: they are almost nothing.
    """
    bits = quantization.bits
    if bits is None:
        return None
    method = quantization.method
    if "fp4" in f"{method} {quantization.format or ''}":
        return bits + 8 / (quantization.group_size or 16)
    if method == "bitsandbytes":
        if bits == 4:
            return bits + 32 / 64
        return bits
    if quantization.block:
        return bits + 32 / prod(quantization.block)
    if quantization.group_size:
        zero_points = {"gptq": bits, "awq": bits, "mlx": 16}
        return bits + (16 + zero_points.get(method, 0)) / quantization.group_size
    return bits


def is_excluded(quantization: Quantization, component: str) -> bool:
    """Return whether the config's list leaves a component unquantised.

    The list has `re:` patterns, globs, and names of modules or of those above them.
    """
    module = TYPICAL_MODULES[component]
    return any(_matches_module(pattern, module) for pattern in quantization.excluded)


def _matches_module(pattern: str, module: str) -> bool:
    if pattern.startswith("re:"):
        regex = compile_pattern(pattern.removeprefix("re:"))
        return regex is not None and regex.match(module) is not None
    if pattern in module.split("."):
        return True
    return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")


# --- plans --------------------------------------------------------------------------------------


@frozen
class Footprint(Frozen):
    """Bytes of weights, of what grows with the context or is a window, and of state."""

    weights: int
    cache: int
    state: int

    @property
    def total(self) -> int:
        """Return the bytes of all three."""
        return self.weights + self.cache + self.state

    def times(self, n: int) -> Footprint:
        """Return the bytes of `n` of these."""
        return Footprint(
            weights=self.weights * n,
            cache=self.cache * n,
            state=self.state * n,
        )

    def to_dict(self) -> dict[str, int]:
        """Return the bytes as JSON."""
        return {
            "weights": self.weights,
            "cache": self.cache,
            "state": self.state,
            "total": self.total,
        }


@frozen
class Request(Frozen):
    """What a plan is made for."""

    context: int
    batch: int = 1
    parallel: Parallel = field(default_factory=Parallel)
    gpu_bytes: int | None = None
    """Memory of one GPU; None if no GPU is named, and then nothing fits or does not fit."""
    utilization: float = UTILIZATION
    """The share of `gpu_bytes` that may be filled."""

    @property
    def sequences(self) -> int:
        """Return how many of the batch's sequences the fullest group of ranks serves."""
        groups = self.parallel.replicas
        return -(-self.batch // groups)

    @property
    def budget(self) -> int | None:
        """Return the bytes of a GPU that may be filled."""
        if self.gpu_bytes is None:
            return None
        return int(self.gpu_bytes * self.utilization)


@frozen
class Plan(Frozen):
    """What a model takes under a request."""

    request: Request
    convention: Convention
    weights: Weights
    one_copy: Footprint
    """A single undivided copy with the whole batch."""
    per_gpu: Footprint
    """The fullest GPU."""
    largest_context: int | None
    """The longest context that fits at the batch asked for, at most `context_limit`; 0 if not even
    one token fits, None without a GPU."""
    largest_batch: int | None
    """The largest batch that fits at the context asked for; None without a GPU."""
    context_limit: int | None
    """The model's own context length."""
    remarks: tuple[str, ...]
    assumptions: tuple[str, ...]
    degrees: dict[int, list[str]]
    """For each usual degree of tensor parallelism, why it is not possible; empty if it is."""

    @property
    def all_gpus(self) -> Footprint:
        """Return the bytes of all GPUs together."""
        return self.per_gpu.times(self.request.parallel.gpus)

    @property
    def budget(self) -> int | None:
        """Return the bytes of a GPU that may be filled."""
        return self.request.budget

    @property
    def fits(self) -> bool | None:
        """Return whether the fullest GPU is within its budget; None without a GPU."""
        if self.budget is None:
            return None
        return self.per_gpu.total <= self.budget

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON, bytes as whole numbers."""
        request, parallel, weights = self.request, self.request.parallel, self.weights
        return {
            "context": request.context,
            "batch": request.batch,
            "engine": self.convention.engine,
            "cache_dtype": self.convention.dtype,
            "weights": {
                "format": weights.name,
                "source": weights.source,
                "bits": weights.bits,
                "other_bits": weights.other_bits,
            },
            "parallel": {
                "gpus": parallel.gpus,
                "tensor": parallel.tensor,
                "expert": parallel.expert,
                "replicas": parallel.replicas,
            },
            "one_copy": self.one_copy.to_dict(),
            "per_gpu": self.per_gpu.to_dict(),
            "all_gpus": self.all_gpus.to_dict(),
            "gpu_bytes": request.gpu_bytes,
            "utilization": request.utilization,
            "budget_bytes": self.budget,
            "fits": self.fits,
            "largest_context": self.largest_context,
            "largest_batch": self.largest_batch,
            "context_limit": self.context_limit,
            "remarks": list(self.remarks),
            "assumptions": list(self.assumptions),
            "tensor_degrees": {str(degree): why for degree, why in self.degrees.items()},
        }


def make_plan(a: Architecture, request: Request, convention: Convention, weights: Weights) -> Plan:
    """Return the plan of a model.

    Raises ValueError if the parallel degrees do not divide the architecture, or if the cache cannot
    be kept in the convention's dtype.
    """
    parallel = request.parallel
    errors = divisibility_errors(a, parallel)
    if errors:
        raise ValueError("; ".join(errors))
    cache = compute_cache(a, convention)
    rank_cache = compute_cache(shard_architecture(a, parallel), convention)
    weight_bytes = weights.bytes_of(count_parameters(a).by_component)
    rank_weight_bytes = weights.bytes_of(count_rank_parameters(a, parallel))
    largest_context = largest_batch = None
    if request.budget is not None:
        room = request.budget - rank_weight_bytes
        limit = a.context_length or LONGEST_CONTEXT
        largest_context = find_largest_context(rank_cache, room, request.sequences, limit)
        rank_batch = find_largest_batch(rank_cache, room, request.context)
        largest_batch = rank_batch * parallel.replicas
    return Plan(
        request=request,
        convention=convention,
        weights=weights,
        one_copy=compute_footprint(weight_bytes, cache, request.context, request.batch),
        per_gpu=compute_footprint(
            rank_weight_bytes, rank_cache, request.context, request.sequences
        ),
        largest_context=largest_context,
        largest_batch=largest_batch,
        context_limit=a.context_length,
        remarks=tuple(division_remarks(a, parallel)),
        assumptions=cache.assumptions,
        degrees=check_tensor_degrees(a),
    )


def compute_footprint(weight_bytes: int, cache: Cache, tokens: int, batch: int) -> Footprint:
    """Return the bytes of weights, and of the cache of `batch` sequences of `tokens` tokens."""
    state = 0
    for group in cache.groups:
        for part in group.parts_with(*FIXED_ROLES):
            state += batch * group.layers * part.bytes_at(tokens)
    growing = cache.bytes_at(tokens, batch) - state
    return Footprint(weight_bytes, growing, state)


def find_largest_context(cache: Cache, room: int, batch: int, limit: int) -> int:
    """Return the most tokens of each of `batch` sequences that fit into `room` bytes.

    It is at most `limit`, and found by halving, as bytes never fall with tokens.
    """
    if cache.bytes_at(limit, batch) <= room:
        return limit
    fits, too_long = 0, limit
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if cache.bytes_at(middle, batch) <= room:
            fits = middle
        else:
            too_long = middle
    return fits


def find_largest_batch(cache: Cache, room: int, tokens: int) -> int:
    """Return how many sequences of `tokens` tokens fit into `room` bytes."""
    sequence = cache.bytes_at(tokens)
    if sequence == 0:
        return 0
    return max(0, room) // sequence
