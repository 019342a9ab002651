"""Plans for what a user asks of `memory`: one for each model.

A plan has what its compute costs, and how its bytes grow with the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from ..errors import PlanError
from .cache import compute_cache
from .cache_parts import CACHE_DTYPES, ENGINES, Convention, Engine
from .flops import Flops, count_weights_read, flops_per_token
from .memory import (
    UTILIZATION,
    WEIGHT_FORMATS,
    Plan,
    Request,
    WeightFormat,
    Weights,
    make_plan,
    resolve_weights,
)
from .sharding import Parallel, shard_architecture

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU

_Name = TypeVar("_Name", bound=str)
USUAL_CONTEXT = 131072
"""The longest context that is taken by default."""
SHORT_CONTEXT = 4096
"""The context that is taken if no model has a limit."""
CURVE_POINTS = 96
BITS_BY_HEADERS = "bits a weight by the headers, parameters by the config"
HEADER_WORDS = {
    "verified": "as the headers say",
    "conflict": f"{BITS_BY_HEADERS}, which the headers contradict",
    "partial": f"{BITS_BY_HEADERS}: not all headers could be read or compared",
}
"""What the bits of `as-stored` rest on, by the status of the reading."""


@frozen
class PlanOptions(Frozen):
    """What a user asks for; None leaves it to the models and GPUs."""

    context: int | None = None
    """None: the longest that all models have."""
    batch: int = 1
    kv_dtype: str = "bf16"
    weights: str | None = None
    """The weight format; None: as stored."""
    gpus: int | None = None
    gpu: GPU | None = None
    tensor: int | None = None
    """None: all GPUs in one tensor-parallel group."""
    expert: int | None = None
    engine: str = "ideal"
    utilization: float = UTILIZATION

    def make_parallel(self) -> Parallel:
        """Return how the models are divided over the GPUs."""
        tensor = self.tensor or self.gpus or 1
        expert = self.expert or 1
        return Parallel(
            tensor=tensor,
            expert=expert,
            gpus=self.gpus or max(tensor, expert),
        )


class WeightReads(NamedTuple):
    """Weight bytes that a decoded token reads: alone, and its share of the batch asked for."""

    alone: int
    batched: int


@frozen
class PlannedModel(Frozen):
    """One model's plan, with what a token costs."""

    name: str
    architecture: Architecture
    plan: Plan
    flops: Flops
    """FLOPs of a token at the context."""
    reads: WeightReads
    curve: list[tuple[int, int]]
    """(context, bytes) of one GPU's cache and state."""

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        curve = [{"context": tokens, "cache_bytes": size} for tokens, size in self.curve]
        return self.plan.to_dict() | {
            "name": self.name,
            "flops_per_token": {"total": self.flops.total, "by_component": self.flops.by_component},
            "weight_bytes_read_per_token": {
                "batch_1": self.reads.alone,
                "batch": self.reads.batched,
            },
            "curve": curve,
        }


def plan_models(readings: Sequence[Reading], options: PlanOptions) -> list[PlannedModel]:
    """Return a plan for each model, all for the same context.

    Raises PlanError if an option is not known, or if a model cannot be divided or stored as asked.
    """
    engine: Engine = parse_choice("engine", options.engine, ENGINES)
    parse_choice("cache dtype", options.kv_dtype, CACHE_DTYPES)
    limits = [reading.architecture.context_length for reading in readings]
    context = options.context
    if not context:
        context = _shared_context(limits)
        options = replace(options, context=context)
    longest = _longest_context(context, limits)
    return [plan_model(reading, options, engine, longest) for reading in readings]


def _shared_context(limits: list[int | None]) -> int:
    """Return the longest usual context that all models with a limit have."""
    known = [limit for limit in limits if limit]
    if not known:
        return SHORT_CONTEXT
    return min(USUAL_CONTEXT, *known)


def _longest_context(context: int, limits: list[int | None]) -> int:
    """Return where curves end: at the longest model's limit, up to a usual or the asked context."""
    most = max(context, USUAL_CONTEXT)
    longest = max(context, 1)
    for limit in limits:
        if limit:
            longest = max(longest, min(limit, most))
    return longest


def plan_model(
    reading: Reading, options: PlanOptions, engine: Engine, longest: int
) -> PlannedModel:
    """Return the plan of one model. Raises PlanError as `plan_models` does.

    longest: the context at which the curve ends.
    """
    a = reading.architecture
    gpu_bytes = None
    if options.gpu:
        gpu_bytes = options.gpu.memory_bytes
    request = Request(
        context=options.context or 1,
        batch=options.batch,
        parallel=options.make_parallel(),
        gpu_bytes=gpu_bytes,
        utilization=options.utilization,
    )
    convention = Convention(engine, options.kv_dtype)
    try:
        weights = resolve_requested_weights(reading, options.weights)
        plan = make_plan(a, request, convention, weights)
    except ValueError as error:
        raise PlanError(f"{reading.name}: {error}") from error
    return PlannedModel(
        name=reading.name,
        architecture=a,
        plan=plan,
        flops=flops_per_token(a, request.context),
        reads=WeightReads(
            alone=weight_bytes_per_token(a, weights, 1),
            batched=weight_bytes_per_token(a, weights, options.batch),
        ),
        curve=_cache_curve(a, request, convention, longest),
    )


def _cache_curve(
    a: Architecture, request: Request, convention: Convention, longest: int
) -> list[tuple[int, int]]:
    """Return (context, bytes) of one GPU's cache and state, from 0 to the longest context."""
    rank_cache = compute_cache(shard_architecture(a, request.parallel), convention)
    contexts = {round(longest * i / CURVE_POINTS) for i in range(CURVE_POINTS + 1)}
    curve: list[tuple[int, int]] = []
    for tokens in sorted(contexts):
        size = rank_cache.bytes_at(tokens, request.sequences)
        curve.append((tokens, size))
    return curve


def resolve_requested_weights(reading: Reading, name: str | None) -> Weights:
    """Return the weight format asked for.

    By default weights are as stored, or 16 bits if the config does not say how.
    """
    a, check = reading.architecture, reading.check
    header_words = HEADER_WORDS.get(reading.status, BITS_BY_HEADERS)
    header_bits = None
    if check is not None and not check.names_only:
        header_bits = check.bits_by_component
    if name is not None:
        weight_format: WeightFormat = parse_choice("weight format", name, WEIGHT_FORMATS)
        return resolve_weights(a, weight_format, header_bits, header_words)
    try:
        return resolve_weights(a, "as-stored", header_bits, header_words)
    except ValueError as error:
        weights = resolve_weights(a, "bf16")
        return replace(weights, source=f"{weights.source}, for {error}")


def weight_bytes_per_token(a: Architecture, weights: Weights, batch: int) -> int:
    """Return the weight bytes that a decoding step reads, one sequence's share."""
    size = 0.0
    for component, n in count_weights_read(a, batch).items():
        size += n * weights.bits_of(component) / 8
    return round(size / batch)


def parse_choice(noun: str, value: str, known: tuple[_Name, ...]) -> _Name:
    """Return `value` as one of the known names. Raises PlanError that lists them."""
    for name in known:
        if name == value:
            return name
    raise PlanError(f"no {noun} is called {value!r}", f"Known: {', '.join(known)}.")
