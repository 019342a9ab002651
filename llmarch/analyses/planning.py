"""From what a user asks of `memory` to plans: one for each model, with what its compute costs and how its bytes grow with the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from ..errors import PlanError
from .cache import cache
from .cache_layouts import DTYPES, ENGINES, Convention, Engine
from .flops import Flops, per_token, weights_read
from .memory import UTILIZATION, WEIGHT_FORMATS, Plan, Request, WeightFormat, Weights, plan, weights
from .sharding import Parallel, shard

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU

T = TypeVar("T", bound=str)
USUAL_MOST = 131072
POINTS = 96


@frozen
class Options(Frozen):
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

    def parallel(self) -> Parallel:
        tensor = self.tensor or self.gpus or 1
        expert = self.expert or 1
        return Parallel(tensor, expert, self.gpus or max(tensor, expert))


@frozen
class Planned(Frozen):
    """One model's plan; `flops` of a token at the context; `reads`: weight bytes that a decoded token reads at batch 1 and at the batch
    asked for, each sequence's share; `curve`: (context, bytes) of one GPU's cache and state."""

    name: str
    architecture: Architecture
    plan: Plan
    flops: Flops
    reads: tuple[int, int]
    curve: list[tuple[int, int]]

    def document(self) -> dict[str, Any]:
        return self.plan.document() | {
            "name": self.name,
            "flops_per_token": {"total": self.flops.total, "by_component": self.flops.by_component},
            "weight_bytes_read_per_token": {"batch_1": self.reads[0], "batch": self.reads[1]},
            "curve": [{"context": t, "cache_bytes": n} for t, n in self.curve],
        }


def plans(readings: Sequence[Reading], options: Options) -> list[Planned]:
    """Raises PlanError where a model can't be held as asked."""
    engine: Engine = one_of("engine", options.engine, ENGINES)
    one_of("cache dtype", options.kv_dtype, DTYPES)
    limits = [r.architecture.context_length for r in readings]
    shared = min([USUAL_MOST, *(n for n in limits if n)]) if any(limits) else 4096
    context = options.context or shared
    longest = max(context, *(min(n or 0, max(context, USUAL_MOST)) for n in limits), 1)
    return [planned(r, replace(options, context=context), engine, longest) for r in readings]


def planned(r: Reading, options: Options, engine: Engine, longest: int) -> Planned:
    a = r.architecture
    request = Request(
        context=options.context or 1,
        batch=options.batch,
        parallel=options.parallel(),
        gpu_bytes=options.gpu.memory_bytes if options.gpu else None,
        utilization=options.utilization,
    )
    convention = Convention(engine, options.kv_dtype)
    try:
        held = held_as(r, options.weights)
        made = plan(a, request, convention, held)
    except ValueError as error:
        raise PlanError(f"{r.name}: {error}") from error
    share = cache(shard(a, request.parallel), convention)
    contexts = sorted({round(longest * i / POINTS) for i in range(POINTS + 1)})
    return Planned(
        name=r.name,
        architecture=a,
        plan=made,
        flops=per_token(a, request.context),
        reads=(read_per_token(a, held, 1), read_per_token(a, held, options.batch)),
        curve=[(t, share.at(t, request.sequences)) for t in contexts],
    )


def held_as(r: Reading, name: str | None) -> Weights:
    """The weight format asked for; by default as stored, or 16 bits a weight where the config does not say."""
    read = r.check.bits_by_component if r.check is not None and not r.check.names_only else None
    if name is not None:
        form: WeightFormat = one_of("weight format", name, WEIGHT_FORMATS)
        return weights(r.architecture, form, read)
    try:
        return weights(r.architecture, "as-stored", read)
    except ValueError as error:
        held = weights(r.architecture, "bf16")
        return replace(held, source=f"{held.source}, for {error}")


def read_per_token(a: Architecture, held: Weights, batch: int) -> int:
    """Weight bytes that a step reads, a sequence's share."""
    return round(sum(n * held.of(c) / 8 for c, n in weights_read(a, batch).items()) / batch)


def one_of(what: str, value: str, known: tuple[T, ...]) -> T:
    """`value` as one of the names known. Raises PlanError with all of them."""
    for name in known:
        if name == value:
            return name
    raise PlanError(f"no {what} is called {value!r}", f"Known: {', '.join(known)}.")
