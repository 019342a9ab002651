"""From what a user asks of `memory` to plans: one for each model, with what its compute costs and how its bytes grow with the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

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
CURVE_POINTS = 96


@frozen
class PlanOptions(Frozen):
    """What is asked for; None where the models or the GPUs decide: their shared context, as stored, all GPUs in one tensor-parallel
    group."""

    context: int | None = None
    batch: int = 1
    kv_dtype: str = "bf16"
    weights: str | None = None
    gpus: int | None = None
    gpu: GPU | None = None
    tensor: int | None = None
    expert: int | None = None
    engine: str = "ideal"
    utilization: float = UTILIZATION

    def make_parallel(self) -> Parallel:
        tensor = self.tensor or self.gpus or 1
        expert = self.expert or 1
        return Parallel(tensor, expert, self.gpus or max(tensor, expert))


@frozen
class PlannedModel(Frozen):
    """One model's plan; `flops` of a token at the context; `reads`: weight bytes that a decoded token reads at batch 1 and at the batch
    asked for, each sequence's share; `curve`: (context, bytes) of one GPU's cache and state."""

    name: str
    architecture: Architecture
    plan: Plan
    flops: Flops
    reads: tuple[int, int]
    curve: list[tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        return self.plan.to_dict() | {
            "name": self.name,
            "flops_per_token": {"total": self.flops.total, "by_component": self.flops.by_component},
            "weight_bytes_read_per_token": {"batch_1": self.reads[0], "batch": self.reads[1]},
            "curve": [{"context": t, "cache_bytes": n} for t, n in self.curve],
        }


def plan_models(readings: Sequence[Reading], options: PlanOptions) -> list[PlannedModel]:
    """Raises PlanError where a model can't be held as asked."""
    engine: Engine = parse_choice("engine", options.engine, ENGINES)
    parse_choice("cache dtype", options.kv_dtype, CACHE_DTYPES)
    limits = [r.architecture.context_length for r in readings]
    shared = min([USUAL_CONTEXT, *(n for n in limits if n)]) if any(limits) else 4096
    context = options.context or shared
    longest = max(context, *(min(n or 0, max(context, USUAL_CONTEXT)) for n in limits), 1)
    return [plan_model(r, replace(options, context=context), engine, longest) for r in readings]


def plan_model(r: Reading, options: PlanOptions, engine: Engine, longest: int) -> PlannedModel:
    a = r.architecture
    request = Request(
        context=options.context or 1,
        batch=options.batch,
        parallel=options.make_parallel(),
        gpu_bytes=options.gpu.memory_bytes if options.gpu else None,
        utilization=options.utilization,
    )
    convention = Convention(engine, options.kv_dtype)
    try:
        held = choose_weights(r, options.weights)
        made = make_plan(a, request, convention, held)
    except ValueError as error:
        raise PlanError(f"{r.name}: {error}") from error
    share = compute_cache(shard_architecture(a, request.parallel), convention)
    contexts = sorted({round(longest * i / CURVE_POINTS) for i in range(CURVE_POINTS + 1)})
    return PlannedModel(
        name=r.name,
        architecture=a,
        plan=made,
        flops=flops_per_token(a, request.context),
        reads=(weight_bytes_per_token(a, held, 1), weight_bytes_per_token(a, held, options.batch)),
        curve=[(t, share.bytes_at(t, request.sequences)) for t in contexts],
    )


def choose_weights(r: Reading, name: str | None) -> Weights:
    """The weight format asked for; by default as stored, or 16 bits a weight where the config does not say."""
    read = r.check.bits_by_component if r.check is not None and not r.check.names_only else None
    if name is not None:
        form: WeightFormat = parse_choice("weight format", name, WEIGHT_FORMATS)
        return resolve_weights(r.architecture, form, read)
    try:
        return resolve_weights(r.architecture, "as-stored", read)
    except ValueError as error:
        held = resolve_weights(r.architecture, "bf16")
        return replace(held, source=f"{held.source}, for {error}")


def weight_bytes_per_token(a: Architecture, held: Weights, batch: int) -> int:
    """Weight bytes that a step reads, a sequence's share."""
    return round(
        sum(n * held.bits_of(c) / 8 for c, n in count_weights_read(a, batch).items()) / batch
    )


def parse_choice(what: str, value: str, known: tuple[_Name, ...]) -> _Name:
    """`value` as one of the names known. Raises PlanError with all of them."""
    for name in known:
        if name == value:
            return name
    raise PlanError(f"no {what} is called {value!r}", f"Known: {', '.join(known)}.")
