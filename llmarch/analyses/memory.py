"""What a model takes on one GPU or several, and what fits: weights, cache and state, in bytes.

Activations, CUDA graphs and communication buffers are not modelled: they live in the share of a GPU that `utilization` leaves free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from math import prod
from typing import Any, Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.regexes import bounded
from ..architecture.schema import Architecture, Quantization
from .cache import Cache, compute_cache
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
"""The share of a GPU's memory that weights and cache may take; the engines' own defaults are near (vllm 0.33.0: gpu_memory_utilization
0.92)."""
LONGEST_CONTEXT = 2**31

WeightFormat = Literal["bf16", "fp8", "int4", "as-stored"]
WEIGHT_FORMATS: tuple[WeightFormat, ...] = ("bf16", "fp8", "int4", "as-stored")
QUANTISED_COMPONENTS = ("attention", "mlp", "experts", "shared_experts", "latent_projections")
"""Components that quantised checkpoints quantise; embedding, head, norms, routers and encoders usually stay at 16 bits."""
QUANTISED_BITS = {"fp8": 8 + 32 / (128 * 128), "int4": 4 + 16 / 128}
"""Bits a weight: fp8 with a float32 scale per 128 x 128 (DeepSeek-V3's layout), int4 with a 16-bit scale per group of 128 (AWQ, GPTQ
symmetric)."""
DTYPE_BITS = {"bfloat16": 16, "float16": 16, "float32": 32, "float8_e4m3fn": 8}
TYPICAL_MODULES = {
    "attention": "model.layers.5.self_attn.o_proj",
    "mlp": "model.layers.5.mlp.gate_proj",
    "experts": "model.layers.5.mlp.experts.0.gate_proj",
    "shared_experts": "model.layers.5.mlp.shared_experts.gate_proj",
    "latent_projections": "model.layers.5.mixer.fc1_latent_proj",
}
"""The module that stands for a component when a config's list of what it left unquantised is read."""


@frozen
class Weights(Frozen):
    """How weights are held: bits a weight by component (others: `rest`), and where that is known from."""

    name: str
    bits: dict[str, float]
    other_bits: float
    source: str

    def bits_of(self, component: str) -> float:
        return self.bits.get(component, self.other_bits)

    def bytes_of(self, parameters: Mapping[str, int]) -> int:
        return parameter_bytes(dict(parameters), self.bits_of)


def resolve_weights(
    a: Architecture, name: WeightFormat, read: Mapping[str, float] | None = None
) -> Weights:
    """A weight format for an architecture; `read`: bits a weight by component as the checkpoint's headers say. Raises ValueError where
    how it is stored can't be known from its config."""
    if name == "bf16":
        return Weights(name, {}, 16, "16 bits a weight")
    if name in QUANTISED_BITS:
        return Weights(
            name,
            dict.fromkeys(QUANTISED_COMPONENTS, QUANTISED_BITS[name]),
            16,
            f"{QUANTISED_BITS[name]:.3f} bits in layers' matrices, 16 elsewhere",
        )
    if read:
        return Weights(name, dict(read), DTYPE_BITS.get(a.dtype or "", 16), "as the headers say")
    rest = DTYPE_BITS.get(a.dtype or "")
    if a.quantization is None:
        if rest is None:
            raise ValueError("the config does not say how its weights are stored")
        return Weights(name, {}, rest, f"{a.dtype}, as the config says")
    bits = declared_bits(a.quantization)
    if bits is None:
        raise ValueError(f"how many bits {a.quantization.method} takes is not in the config")
    kept = [
        c
        for c in QUANTISED_COMPONENTS
        if c in count_parameters(a).by_component and not is_excluded(a.quantization, c)
    ]
    words = ", ".join(kept).replace("_", " ") or "nothing"
    return Weights(
        name,
        dict.fromkeys(kept, bits),
        rest or 16,
        f"{bits:.4g} bits in {words}, as the config declares",
    )


def declared_bits(q: Quantization) -> float | None:
    """Bits a weight with its share of scales: one of 32 bits a block (fp8), of 8 a group (mxfp4, nvfp4), of 16 a group, with a zero point
    as wide as a weight (gptq, awq) or of 16 bits (mlx); per-channel and per-tensor scales are nothing much. bitsandbytes: 32 bits per 64
    (nf4)."""
    if q.bits is None:
        return None
    form = f"{q.method} {q.format or ''}"
    if "fp4" in form or q.method == "mxfp4":
        return q.bits + 8 / (q.group_size or 16)
    if q.method == "bitsandbytes":
        return q.bits + (32 / 64 if q.bits == 4 else 0)
    if q.block:
        return q.bits + 32 / prod(q.block)
    if q.group_size:
        zero = {"gptq": q.bits, "awq": q.bits, "mlx": 16}.get(q.method, 0)
        return q.bits + (16 + zero) / q.group_size
    return q.bits


def is_excluded(q: Quantization, component: str) -> bool:
    """Whether the config's list leaves a component unquantised: `re:` patterns, globs, names of modules or of those above them."""
    name = TYPICAL_MODULES[component]
    for pattern in q.excluded:
        if pattern.startswith("re:"):
            if (regex := bounded(pattern[3:])) is not None and regex.match(name):
                return True
        elif pattern in name.split(".") or any(
            fnmatchcase(name, p) for p in (pattern, pattern + ".*")
        ):
            return True
    return False


# --- plans --------------------------------------------------------------------------------------------------------


@frozen
class Footprint(Frozen):
    """Bytes of weights, of what grows with the context or is a window, and of state."""

    weights: int
    cache: int
    state: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.state

    def times(self, n: int) -> Footprint:
        return Footprint(self.weights * n, self.cache * n, self.state * n)

    def to_dict(self) -> dict[str, int]:
        return {
            "weights": self.weights,
            "cache": self.cache,
            "state": self.state,
            "total": self.total,
        }


@frozen
class Request(Frozen):
    """What is asked for. `gpu_bytes` None: no GPU is named, and nothing can be said of fitting."""

    context: int
    batch: int = 1
    parallel: Parallel = field(default_factory=Parallel)
    gpu_bytes: int | None = None
    utilization: float = UTILIZATION

    @property
    def sequences(self) -> int:
        """Of the batch, those that one group of ranks serves (the fullest)."""
        return -(-self.batch // self.parallel.replicas)


@frozen
class Plan(Frozen):
    """A model under a request. `one`: a single undivided copy with the whole batch; `rank`: the fullest GPU; `everything`: all GPUs.

    `largest_context` at the batch asked for, `largest_batch` at the context asked for, 0 where not even one token or sequence fits, None
    without a GPU; `context_limit`: the model's own, which largest_context never exceeds.
    """

    request: Request
    convention: Convention
    weights: Weights
    one_copy: Footprint
    per_gpu: Footprint
    largest_context: int | None
    largest_batch: int | None
    context_limit: int | None
    remarks: tuple[str, ...]
    assumptions: tuple[str, ...]
    degrees: dict[int, list[str]]

    @property
    def all_gpus(self) -> Footprint:
        return self.per_gpu.times(self.request.parallel.gpus)

    @property
    def budget(self) -> int | None:
        """Bytes of a GPU that may be filled."""
        r = self.request
        return None if r.gpu_bytes is None else int(r.gpu_bytes * r.utilization)

    @property
    def fits(self) -> bool | None:
        return None if self.budget is None else self.per_gpu.total <= self.budget

    def to_dict(self) -> dict[str, Any]:
        """As JSON, bytes as whole numbers."""
        r, p = self.request, self.request.parallel
        return {
            "context": r.context,
            "batch": r.batch,
            "engine": self.convention.engine,
            "cache_dtype": self.convention.dtype,
            "weights": {
                "format": self.weights.name,
                "source": self.weights.source,
                "bits": self.weights.bits,
                "other_bits": self.weights.other_bits,
            },
            "parallel": {
                "gpus": p.gpus,
                "tensor": p.tensor,
                "expert": p.expert,
                "replicas": p.replicas,
            },
            "one_copy": self.one_copy.to_dict(),
            "per_gpu": self.per_gpu.to_dict(),
            "all_gpus": self.all_gpus.to_dict(),
            "gpu_bytes": r.gpu_bytes,
            "utilization": r.utilization,
            "budget_bytes": self.budget,
            "fits": self.fits,
            "largest_context": self.largest_context,
            "largest_batch": self.largest_batch,
            "context_limit": self.context_limit,
            "remarks": list(self.remarks),
            "assumptions": list(self.assumptions),
            "tensor_degrees": {str(n): why for n, why in self.degrees.items()},
        }


def make_plan(a: Architecture, request: Request, convention: Convention, held: Weights) -> Plan:
    """Raises ValueError where the parallel degrees do not divide the architecture, or the dtype does not suit it."""
    p = request.parallel
    if why := divisibility_errors(a, p):
        raise ValueError("; ".join(why))
    whole, share = compute_cache(a, convention), compute_cache(shard_architecture(a, p), convention)
    weight = held.bytes_of(count_rank_parameters(a, p))
    budget = None if request.gpu_bytes is None else int(request.gpu_bytes * request.utilization)
    return Plan(
        request=request,
        convention=convention,
        weights=held,
        one_copy=compute_footprint(
            held.bytes_of(count_parameters(a).by_component), whole, request.context, request.batch
        ),
        per_gpu=compute_footprint(weight, share, request.context, request.sequences),
        largest_context=None
        if budget is None
        else find_largest_context(
            share, budget - weight, request.sequences, a.context_length or LONGEST_CONTEXT
        ),
        largest_batch=None
        if budget is None
        else find_largest_batch(share, budget - weight, request.context) * p.replicas,
        context_limit=a.context_length,
        remarks=tuple(division_remarks(a, p)),
        assumptions=whole.assumptions,
        degrees=check_tensor_degrees(a),
    )


def compute_footprint(weight: int, c: Cache, tokens: int, batch: int) -> Footprint:
    state = batch * sum(
        g.layers * p.bytes_at(tokens)
        for g in c.groups
        for p in g.parts_with("conv", "state", "cross")
    )
    return Footprint(weight, c.bytes_at(tokens, batch) - state, state)


def find_largest_context(c: Cache, room: int, batch: int, limit: int) -> int:
    """The most tokens of each of `batch` sequences that fit into `room` bytes, up to `limit`; by halving, as bytes never fall with
    tokens."""
    if c.bytes_at(limit, batch) <= room:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if c.bytes_at(middle, batch) <= room else (low, middle)
    return low


def find_largest_batch(c: Cache, room: int, tokens: int) -> int:
    """How many sequences of `tokens` tokens fit into `room` bytes."""
    return max(0, room) // c.bytes_at(tokens) if c.bytes_at(tokens) else 0


def memory_curve(
    a: Architecture, request: Request, convention: Convention, held: Weights, contexts: list[int]
) -> list[tuple[int, int]]:
    """Bytes of one undivided copy with its cache at some lengths."""
    c, weight = compute_cache(a, convention), held.bytes_of(count_parameters(a).by_component)
    return [(t, weight + c.bytes_at(t, request.batch)) for t in contexts]
