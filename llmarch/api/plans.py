"""Figures of memory: what sequences keep, and plans for GPUs."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from ..analyses.planning import PlannedModel, PlanOptions, plan_models
from ..analyses.scenarios import Scenario
from ..architecture.frozen import Frozen, frozen
from ..errors import PlanError, printable
from ..views import numbers
from ..views.documents import Sheet
from .shown import SelfShown, record_table

if TYPE_CHECKING:
    from ..architecture.json_memory import PlanDocument
    from ..checkpoint.reading import Reading


@frozen
class SequenceCache(SelfShown, Frozen):
    """What sequences keep in memory while they are decoded."""

    model: str
    """Name of the model."""
    context_tokens: int
    """Tokens of each sequence."""
    batch_sequences: int
    """Number of sequences."""
    engine: str
    """Whose rules count."""
    dtype: str
    """Dtype or layout of keys and values."""
    bytes: int
    """Bytes of all sequences: cache and state."""
    cache_bytes: int
    """Bytes of keys, values and latents: what grows or is a window."""
    state_bytes: int
    """Bytes that do not depend on the context."""
    growing_bytes_per_token: int
    """Bytes that a token adds to one sequence once every window is full; rounded up."""
    assumptions: tuple[str, ...]
    """What else the figures rest on, as sentences."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a flat record."""
        return asdict(self)

    def sheet(self) -> Sheet:
        """Return the figures as a sheet."""
        grows = f"{numbers.size(self.growing_bytes_per_token)} a token"
        lines = [
            ("Bytes", [f"{numbers.size(self.bytes)} ({numbers.number(self.bytes)} B)"]),
            ("Of it state", [numbers.size(self.state_bytes)]),
            ("Grows by", [f"{grows} and sequence ({self.dtype}, {self.engine})"]),
        ]
        asked = f"cache of {numbers.plural(self.batch_sequences, 'sequence')} of "
        headline = f"{asked}{numbers.number(self.context_tokens)} tokens"
        return Sheet(self.model, "", headline, lines, list(self.assumptions))


@frozen
class MemoryPlan(SelfShown, Frozen):
    """What a model takes on GPUs under one request."""

    reading: Reading
    planned: PlannedModel
    """The whole plan."""
    scenario: Scenario

    @property
    def fits(self) -> bool | None:
        """Return whether the batch fits; None without a GPU, or beside a contradiction."""
        return self.planned.fits

    @property
    def weights_bytes_per_gpu(self) -> int:
        """Return the bytes of weights on the fullest GPU."""
        return self.planned.plan.per_gpu.weights

    @property
    def cache_bytes_per_gpu(self) -> int:
        """Return the bytes of keys, values and latents on the fullest GPU."""
        return self.planned.plan.per_gpu.cache

    @property
    def state_bytes_per_gpu(self) -> int:
        """Return the bytes on the fullest GPU that do not depend on the context."""
        return self.planned.plan.per_gpu.state

    @property
    def room_bytes_per_gpu(self) -> int | None:
        """Return the bytes left for the cache on the fullest GPU; None without a GPU."""
        return self.planned.plan.room

    @property
    def largest_context_tokens(self) -> int | None:
        """Return the largest context that fits at this batch; None without a GPU."""
        return self.planned.plan.largest_context

    @property
    def largest_batch_sequences(self) -> int | None:
        """Return the largest batch that fits at this context; None without a GPU."""
        return self.planned.plan.largest_batch

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a reader must know, as sentences."""
        from ..views.remarks import reading_warnings

        return (*reading_warnings([self.reading]), *self.planned.plan.warnings)

    def row(self) -> dict[str, Any]:
        """Return the figures as a flat record, a row for `pandas.DataFrame`."""
        from ..views.scenarios import scenario_row

        return scenario_row(self.scenario, self.reading)

    def to_dict(self) -> PlanDocument:
        """Return the plan as a model of `llmarch memory --format json` (docs/json.md)."""
        from ..renderers.json import planned_model

        document: Any = planned_model(self.reading, self.planned)
        return document

    def sheet(self) -> Sheet:
        """Return the figures as a sheet."""
        from ..views.memory import plan_lines, request_words

        options = self.scenario.options
        gpu = options.gpu.name if options.gpu is not None else None
        headline = request_words([self.planned], gpu)
        lines = plan_lines(self.planned)
        figures = record_table(self.row())
        warnings = list(self.warnings)
        return Sheet(self.planned.name, "", headline, lines, warnings, [figures])


def plan_cache(
    reading: Reading, context: int | str | None, batch: int, dtype: str, engine: str
) -> SequenceCache:
    """Return what sequences of a model keep. Raises PlanError.

    context: tokens as a number or a text; None: the model's own.
    batch: number of sequences.
    dtype, engine: as `llmarch memory` takes them.
    """
    from ..analyses.cache import compute_cache

    options = PlanOptions(batch=batch, kv_dtype=dtype, engine=engine)
    plan = plan_memory(reading, options, None, context).planned.plan
    cache = compute_cache(reading.architecture, plan.convention)
    kept = plan.one_copy
    return SequenceCache(
        model=reading.name,
        context_tokens=plan.request.context,
        batch_sequences=batch,
        engine=engine,
        dtype=plan.convention.words,
        bytes=kept.cache + kept.state,
        cache_bytes=kept.cache,
        state_bytes=kept.state,
        growing_bytes_per_token=ceil(cache.growing_bytes_per_token),
        assumptions=cache.assumptions,
    )


def plan_memory(
    reading: Reading, options: PlanOptions, gpus: str | None, context: int | str | None
) -> MemoryPlan:
    """Return the plan of a model. Raises PlanError.

    options: all but GPUs and context.
    gpus: number and kind of GPUs.
    context: tokens as a number or a text; None: the model's own.
    """
    from ..sources.gpus import parse_gpus

    check_batch(options.batch)
    options = replace(options, context=context_tokens(context))
    if gpus is not None:
        number, gpu = parse_gpus(gpus)
        options = replace(options, gpus=number, gpu=gpu)
    (planned,) = plan_models([reading], options, curve=False)
    options = replace(options, context=planned.plan.request.context)
    scenario = Scenario(reading.name, options, planned, 0, status=reading.status)
    return MemoryPlan(reading, planned, scenario)


def check_batch(batch: int) -> None:
    """Raise PlanError for less than one sequence."""
    if batch < 1:
        raise PlanError(f"a batch of {batch} has no sequence")


def context_tokens(context: int | str | None) -> int | None:
    """Return a number of tokens. Raises PlanError for a text that is none, and for none at all."""
    tokens = context
    if isinstance(context, str):
        try:
            tokens = numbers.tokens(context)
        except (ValueError, OverflowError) as error:
            message = f"{printable(context)} is not a number of tokens"
            raise PlanError(message, "such as 4096, '128k' or '1M'") from error
    if isinstance(tokens, int) and tokens < 1:
        raise PlanError(f"a context of {tokens} has no token")
    return tokens if isinstance(tokens, int) else None
