"""What the bytes of weights, cache and state are computed from, as whole numbers.

A page computes with them what `memory` shows for one copy under the rules of `ideal`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..analyses.cache import shown_contexts
from ..analyses.cache_parts import CACHE_DTYPES, FIXED_ROLES, CachePart, Convention
from ..analyses.engines.pools import Pool
from ..analyses.memory import Footprint, Request
from ..analyses.planning import ModelPlanner, PlanOptions, plan_request
from ..architecture.frozen import Frozen, frozen
from ..checkpoint.reading import Reading
from ..errors import ImpossiblePlan

OWN_FORMAT = "as-stored"
PAGE_FORMATS = (
    *("bf16", "fp8", "int8", "int4", "awq", "gptq", "nf4", "mxfp4", "nvfp4"),
    *("q8_0", "q6_k", "q5_k_m", "q4_k_m"),
)
"""Weight formats that a page offers besides the model's own."""


@frozen
class CacheTerm(Frozen):
    """Parts of a cache that are alike, in a number of layers; see `CachePart`."""

    layers: int
    entry_bytes: int
    numerator: int
    """Tokens per entry are `numerator / denominator`."""
    denominator: int
    most_tokens: int | None
    law: str
    is_state: bool
    """Whether the bytes count as state."""

    def to_dict(self) -> dict[str, int | str | bool | None]:
        """Return the term as JSON."""
        return {
            "layers": self.layers,
            "entry": self.entry_bytes,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "most": self.most_tokens,
            "law": self.law,
            "state": self.is_state,
        }


@frozen
class MemoryTerms(Frozen):
    """The terms of one model."""

    context_limit: int | None
    cache_dtype: str
    """The dtype of the cache that `auto` means."""
    caches: dict[str, tuple[CacheTerm, ...]]
    """The terms of one sequence, by the dtypes in which the cache can be kept."""
    weights: dict[str, int]
    """Bytes of the weights by format."""

    def to_dict(self) -> dict[str, object]:
        """Return the terms as JSON."""
        caches = {dtype: [term.to_dict() for term in terms] for dtype, terms in self.caches.items()}
        return {
            "limit": self.context_limit,
            "auto": self.cache_dtype,
            "caches": caches,
            "weights": self.weights,
        }


@frozen
class MemoryAtContexts(Frozen):
    """What one copy with one sequence takes, by the length of the sequence in tokens."""

    footprints: dict[int, Footprint]


def memory_terms(r: Reading) -> MemoryTerms:
    """Return the terms of a model."""
    planner = ModelPlanner(r)
    request, convention = plan_request(r.architecture, PlanOptions())
    caches: dict[str, tuple[CacheTerm, ...]] = {}
    for dtype in CACHE_DTYPES:
        terms = cache_terms(planner, request, Convention(convention.engine, dtype))
        if terms is not None:
            caches[dtype] = terms
    return MemoryTerms(
        context_limit=r.architecture.context_length,
        cache_dtype=convention.dtype,
        caches=caches,
        weights=weight_sizes(planner),
    )


def cache_terms(
    planner: ModelPlanner, request: Request, convention: Convention
) -> tuple[CacheTerm, ...] | None:
    """Return the terms of a cache, None if the model's cannot be kept in the dtype."""
    try:
        pool = planner.planner.pool(request, convention)
    except ImpossiblePlan:
        return None
    return terms_of_pool(pool)


def terms_of_pool(pool: Pool) -> tuple[CacheTerm, ...]:
    """Return the parts of a pool with one stage, those together that take the same bytes."""
    layers_of: Counter[CacheTerm] = Counter()
    for part, layers in pool.stages[0].items():
        layers_of[term_of_part(part)] += layers
    return tuple(replace(term, layers=layers) for term, layers in layers_of.items())


def term_of_part(part: CachePart) -> CacheTerm:
    """Return the term of one layer's part."""
    every = part.tokens_per_entry
    return CacheTerm(
        layers=1,
        entry_bytes=part.entry_bytes,
        numerator=every.numerator,
        denominator=every.denominator,
        most_tokens=part.most_tokens,
        law=part.law,
        is_state=part.role in FIXED_ROLES,
    )


def weight_sizes(planner: ModelPlanner) -> dict[str, int]:
    """Return the bytes of a model's weights by format, its own first."""
    sizes: dict[str, int] = {}
    own = planner.plan(PlanOptions(context=1)).plan
    sizes[OWN_FORMAT] = own.one_copy.weights
    for name in PAGE_FORMATS:
        plan = planner.plan(PlanOptions(context=1, weights=name)).plan
        sizes[name] = plan.one_copy.weights
    return sizes


def memory_at_contexts(r: Reading) -> MemoryAtContexts:
    """Return what one copy of a model takes at the contexts that `show` names."""
    planner = ModelPlanner(r)
    footprints: dict[int, Footprint] = {}
    for tokens in shown_contexts(r.architecture):
        options = PlanOptions(context=tokens)
        planned = planner.plan(options)
        plan = planned.plan
        footprints[tokens] = plan.one_copy
    return MemoryAtContexts(footprints)
