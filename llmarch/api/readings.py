"""Models as `llmarch.load` returns them: facts with evidence, and the numbers that follow."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..architecture.frozen import Frozen
from ..checkpoint.reading import Observation, Reading
from .shown import SelfShown

if TYPE_CHECKING:
    from ..architecture.json_brief import BriefDocument
    from ..architecture.json_show import ShowDocument
    from ..views.documents import Sheet
    from .counts import ModelLayer, ParameterCounts
    from .plans import MemoryPlan, SequenceCache

_Model = TypeVar("_Model", bound=Frozen)


class ModelReading(SelfShown, Reading):
    """A model of which all facts are known."""

    @property
    def parameters(self) -> ParameterCounts:
        """Return the parameter counts: `total`, `active`, `by_component`, ..."""
        from .counts import parameter_counts

        return parameter_counts(self)

    @property
    def facts(self) -> dict[str, Any]:
        """Return every fact by its dotted path: `{"mixers.full.heads": 32, ...}`."""
        from ..architecture.catalogue import iterate_facts

        return dict(iterate_facts(self.architecture))

    @property
    def layers(self) -> list[ModelLayer]:
        """Return the layers of the decoder, from the first."""
        from .counts import list_layers

        return list_layers(self.architecture)

    def cache(
        self,
        context: int | str | None = None,
        batch: int = 1,
        dtype: str = "auto",
        engine: str = "ideal",
    ) -> SequenceCache:
        """Return what sequences keep in memory while they are decoded (docs/cache.md).

        Args:
            context: tokens of each sequence, such as 4096 or "128k"; None: the model's own, at
                most 131,072.
            batch: number of sequences.
            dtype: of keys and values: "bf16", "fp8", ...; "auto" is the engine's own choice.
            engine: whose rules: "ideal", "transformers", "vllm", "sglang", "llama.cpp", "trtllm",
                "mlx", or "vllm@0.12" for a version.

        Raises:
            PlanError: an argument is not known, or the model cannot be stored so.
        """
        from .plans import plan_cache

        return plan_cache(self, context, batch, dtype, engine)

    def memory(
        self,
        gpus: str | None = None,
        context: int | str | None = None,
        batch: int = 1,
        dtype: str = "auto",
        engine: str = "ideal",
        *,
        weights: str | None = None,
        tensor: int | None = None,
        expert: int | None = None,
        pipeline: int | None = None,
        data: int | None = None,
        utilization: float | None = None,
    ) -> MemoryPlan:
        """Return the memory that weights, cache and state take, as `llmarch memory` plans it.

        Args:
            gpus: number and kind, such as "8xH100" or "RTX4090"; None: no GPU.
            context, batch, dtype, engine: see `cache`.
            weights: format of the weights: "bf16", "fp8", "int4", ...; None: as stored.
            tensor: degree of tensor parallelism; None: all GPUs.
            expert: degree of expert parallelism; None: 1.
            pipeline: pipeline stages; None: 1.
            data: groups of ranks with sequences of their own; None: what the GPUs leave.
            utilization: fraction of a GPU's memory that may be filled; None: the engine's own.

        Raises:
            PlanError: an argument is not known, or the model cannot be divided or stored so.
        """
        from ..analyses.planning import PlanOptions
        from .plans import plan_memory

        options = PlanOptions(
            batch=batch,
            kv_dtype=dtype,
            engine=engine,
            weights=weights,
            tensor=tensor,
            expert=expert,
            pipeline=pipeline,
            data=data,
            utilization=utilization,
        )
        return plan_memory(self, options, gpus, context)

    def to_dict(self) -> ShowDocument:
        """Return the document of `llmarch show --format json` (docs/json.md)."""
        from ..renderers.json import model_document

        document: Any = model_document(self)
        return document

    def brief(self) -> BriefDocument:
        """Return the document of `llmarch show --brief`: facts without evidence, main figures."""
        from ..views.brief import brief_document

        document: Any = brief_document(self)
        return document

    def sheet(self) -> Sheet:
        """Return the first screen of `llmarch show`."""
        from ..views.model import model_sheet

        return model_sheet(self)


class ModelObservation(SelfShown, Observation):
    """A model that no family reads: what names and shapes of its tensors tell."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts that are known by their dotted paths."""
        return dict(self.observed.facts)

    def to_dict(self) -> ShowDocument:
        """Return the document of `llmarch show --format json` (docs/json.md)."""
        from ..renderers.json import model_document

        document: Any = model_document(self)
        return document

    def brief(self) -> BriefDocument:
        """Return the document of `llmarch show --brief`: facts without evidence, main figures."""
        from ..views.brief import brief_document

        document: Any = brief_document(self)
        return document

    def sheet(self) -> Sheet:
        """Return the first screen of `llmarch show`."""
        from ..views.inferred import inferred_sheet

        return inferred_sheet(self)


def with_numbers(reading: Reading) -> ModelReading:
    """Return a reading with the methods of this module."""
    return as_class(reading, ModelReading)


def any_with_numbers(r: Reading | Observation) -> ModelReading | ModelObservation:
    """Return a reading or an observation with the methods of this module."""
    if isinstance(r, Observation):
        return as_class(r, ModelObservation)
    return with_numbers(r)


def as_class(r: Frozen, kind: type[_Model]) -> _Model:
    """Return a record as one of a subclass that has the same fields."""
    if isinstance(r, kind):
        return r
    values = {f.name: getattr(r, f.name) for f in fields(r)}
    return kind(**values)
