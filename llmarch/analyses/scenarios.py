"""Plans of models under many requests: contexts, batches, formats and GPUs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from ..architecture.frozen import Frozen, frozen
from ..errors import PlanError
from .memory import Plan
from .planning import ModelPlanner, PlannedModel, PlanOptions, check_words, shared_context

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU


@frozen
class Choices(Frozen):
    """The values that scenarios combine, each in every combination with the others."""

    contexts: tuple[int | None, ...] = (None,)
    """Tokens of a sequence; None: the longest that all models have."""
    batches: tuple[int, ...] = (1,)
    kv_dtypes: tuple[str, ...] = ("auto",)
    weights: tuple[str | None, ...] = (None,)
    gpus: tuple[tuple[int | None, GPU | None], ...] = ((None, None),)
    """Number and kind; None for both without GPUs."""

    @property
    def count(self) -> int:
        """Return the number of combinations."""
        return (
            len(self.contexts)
            * len(self.batches)
            * len(self.kv_dtypes)
            * len(self.weights)
            * len(self.gpus)
        )

    def combine(self, options: PlanOptions) -> Iterator[PlanOptions]:
        """Yield options with each combination, the contexts changing fastest."""
        outer = product(self.gpus, self.weights, self.kv_dtypes, self.batches, self.contexts)
        for (number, gpu), weights, kv_dtype, batch, context in outer:
            yield replace(
                options,
                context=context,
                batch=batch,
                kv_dtype=kv_dtype,
                weights=weights,
                gpus=number,
                gpu=gpu,
            )


@frozen
class Scenario(Frozen):
    """One model under one request: its plan, or why there is none."""

    name: str
    """The model."""
    options: PlanOptions
    planned: PlannedModel | None
    number: int
    """Which of the models that were named it is, counted from 0."""
    reason: str = ""
    """Why it cannot be planned; empty if it is."""
    status: str = "unverified"
    """How far the model's config is checked against its checkpoint."""

    def to_row(self) -> dict[str, Any]:
        """Return the scenario as one flat row, with the unit in every name."""
        options, planned = self.options, self.planned
        gpu_name = None
        if options.gpu is not None:
            gpu_name = options.gpu.name
        row: dict[str, Any] = {
            "model": self.name,
            "engine": options.engine,
            "context_tokens": options.context,
            "batch_sequences": options.batch,
            "gpu": gpu_name,
            "gpus": options.gpus,
            "weights_format": options.weights or "as-stored",
            "cache_dtype": options.kv_dtype,
            "not_possible": self.reason or None,
        }
        status = {"status": self.status}
        if planned is None:
            return row | dict.fromkeys(PLANNED_COLUMNS) | status
        row["weights_format"] = planned.plan.weights.name
        row["cache_dtype"] = planned.plan.convention.words
        return row | planned_columns(planned) | status


PLANNED_COLUMNS = (
    "tensor_parallel",
    "weights_bytes_per_gpu",
    "cache_bytes_per_gpu",
    "state_bytes_per_gpu",
    "engine_bytes_per_gpu",
    "total_bytes_per_gpu",
    "budget_bytes_per_gpu",
    "room_bytes_per_gpu",
    "least_room_bytes_per_gpu_of_versions",
    "fits",
    "largest_context_tokens",
    "largest_batch_sequences",
    "pool_tokens",
    "concurrency_sequences",
    "flops_per_token",
    "decode_tokens_per_second_at_most",
    "decode_tokens_per_second_all_at_most",
    "prefill_seconds_at_least",
    "context_limit_tokens",
    "context_overflow",
    "warnings",
    "remarks",
)
"""Columns of a row that a plan fills, in their order."""
SENTENCES = "; "
"""What stands between the warnings of a row."""


def planned_columns(planned: PlannedModel) -> dict[str, Any]:
    """Return the columns of a plan by name; None where nothing is known."""
    plan, speed = planned.plan, planned.speed
    pool: list[Any] = [None, None]
    if plan.capacity is not None:
        pool = [plan.capacity.tokens, plan.capacity.concurrency]
    figures: list[Any] = [
        plan.request.parallel.tensor,
        plan.per_gpu.weights,
        plan.per_gpu.cache,
        plan.per_gpu.state,
        plan.reserved,
        plan.per_gpu.total + plan.reserved,
        plan.budget,
        plan.room,
        least_room(plan),
        planned.fits,
        plan.largest_context,
        plan.largest_batch,
        *pool,
        planned.flops.total,
    ]
    times: list[Any] = [None, None, None]
    if speed is not None:
        times = [
            speed.decode_tokens_per_second,
            speed.decode_tokens_per_second_all,
            speed.prefill_seconds,
        ]
    sentences: list[Any] = [
        plan.context_limit,
        plan.beyond_context,
        SENTENCES.join(plan.warnings),
        SENTENCES.join(plan.remarks),
    ]
    return dict(zip(PLANNED_COLUMNS, [*figures, *times, *sentences], strict=True))


def least_room(plan: Plan) -> int | None:
    """Return the least room of a plan and of other versions of its engine; None without a GPU."""
    if plan.room is None:
        return None
    return min(plan.room, *plan.version_rooms.values(), plan.room)


def plan_scenarios(
    readings: Sequence[Reading], requests: Iterable[PlanOptions], curve: bool = False
) -> Iterator[Scenario]:
    """Yield the plan of each model under each request, model by model.

    What requests of one model share is computed once. A request that is not possible gives its
    reason.

    curve: whether plans have the growth of the cache up to the context.

    Raises PlanError for a name of an engine, dtype or format that is not known.
    """
    limits = [reading.architecture.context_length for reading in readings]
    usual = shared_context(limits)
    resolved = [replace(options, context=options.context or usual) for options in requests]
    for options in resolved:
        check_words(options)
    for number, reading in enumerate(readings):
        planner = ModelPlanner(reading)
        for options in resolved:
            try:
                longest = None
                if curve:
                    longest = options.context
                planned = planner.plan(options, longest)
            except PlanError as error:
                reason = str(error).removeprefix(f"{reading.name}: ")
                yield Scenario(reading.name, options, None, number, reason, reading.status)
                continue
            yield Scenario(reading.name, options, planned, number, status=reading.status)
