"""Plans for what a user asks of `memory`: one for each model.

A plan has what its compute costs, and how its bytes grow with the context.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from ..errors import ImpossiblePlan, PlanError, did_you_mean, similar_names
from .cache_parts import CACHE_DTYPES, DTYPE_WORDS, Convention
from .drafting import Drafter
from .engines import ENGINES, find_engine
from .engines.base import Engine
from .engines.pools import EngineOptions, GPUTraits
from .flops import Flops
from .memory import Plan, Planner, Request, Reserve
from .roofline import Roofline, SpeedBounds
from .sharding import Parallel
from .weight_formats import (
    QUANTISED_COMPONENTS,
    WEIGHT_FORMATS,
    Weights,
    canonical_format,
    cast_float32,
    resolve_weights,
)

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU

_Name = TypeVar("_Name", bound=str)
USUAL_CONTEXT = 131072
"""The longest context that is taken by default."""
SHORT_CONTEXT = 4096
"""The context that is taken if no model has a limit."""
CURVE_POINTS = 96
SUPPOSED_MTP = (
    "the config does not tell of MTP modules: planned with those of published checkpoints"
)
"""What a reader must know of a plan with MTP modules that nothing but tensors can show."""
VERSION = re.compile(r"v?\d+\.\d+")
"""How the version of an engine begins."""
ONE_OF_EACH: dict[str, int] = dict.fromkeys((*QUANTISED_COMPONENTS, "embedding", "head"), 10**6)
"""Parameters by which the bits of two formats are compared."""
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
    kv_dtype: str = "auto"
    """The dtype of keys and values, or `keys/values`; `auto` is the engine's own choice."""
    weights: str | None = None
    """The weight format; None: as stored."""
    gpus: int | None = None
    gpu: GPU | None = None
    tensor: int | None = None
    """None: all GPUs in one tensor-parallel group."""
    expert: int | None = None
    engine: str = "ideal"
    """The engine's name, with `@` and a version if that is not the one that was read."""
    utilization: float | None = None
    """The share of a GPU that may be filled; None: the engine's own default."""
    pipeline: int | None = None
    data: int | None = None
    """Groups of ranks with sequences of their own; None: what the GPUs leave."""
    decode_context: int | None = None
    engine_options: EngineOptions = EngineOptions()
    reserve: Reserve = Reserve()
    pool_bytes: int | None = None
    """Bytes of the cache's pool on a GPU; None: what is left."""
    speculative: bool = False
    """Whether the model's own MTP modules run."""
    text_only: bool = False
    """Whether encoders are left out."""
    drafter: Drafter | None = None
    """Another model, or a head, that drafts tokens."""
    cpu_expert_layers: int = 0
    """Layers, from the first on, whose routed experts stay in the memory of the CPU."""

    def make_parallel(self) -> Parallel:
        """Return how the models are divided over the GPUs.

        Raises PlanError if the degrees make another number of GPUs than was asked for.
        """
        engine = parse_engine(self.engine)
        pipeline = self.pipeline or 1
        groups = self.data or 1
        tensor = self.tensor
        if engine.divides_by_layers and tensor is None and self.pipeline is None:
            tensor, pipeline = 1, max(1, (self.gpus or 1) // groups)
        if tensor is None:
            tensor = max(1, (self.gpus or 1) // (pipeline * groups))
        expert = self.expert or 1
        degrees = tensor * pipeline * groups
        gpus = self.gpus or max(degrees, expert)
        if self.data is not None and gpus != degrees:
            raise PlanError(
                f"TP {tensor} × PP {pipeline} × DP {groups} are {degrees} GPUs, not {gpus}",
                "Leave one of --tp, --pp, --dp and the number of --gpus out.",
            )
        return Parallel(
            tensor=tensor,
            expert=expert,
            gpus=gpus,
            pipeline=pipeline,
            decode_context=self.decode_context or 1,
            experts_across_groups=engine.divides_experts_across_groups,
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
    """(context, bytes) of one GPU's cache and state; empty unless asked for."""
    speed: SpeedBounds | None = None
    """Bounds of time; None without a GPU whose bandwidth is known."""
    contradicted: bool = False
    """Whether the checkpoint contradicts the config that the plan is made from."""

    @property
    def fits(self) -> bool | None:
        """Return whether the batch fits; None without a GPU, or beside a contradiction."""
        if self.contradicted:
            return None
        return self.plan.fits

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        curve = [
            {"context": tokens, "context_tokens": tokens, "cache_bytes": size}
            for tokens, size in self.curve
        ]
        return self.plan.to_dict() | {
            "name": self.name,
            "flops_per_token": {
                "total": self.flops.total,
                "total_flops": self.flops.total,
                "by_component": self.flops.by_component,
                "flops_by_component": self.flops.by_component,
            },
            "weight_bytes_read_per_token": {
                "batch_1": self.reads.alone,
                "batch_1_bytes": self.reads.alone,
                "batch": self.reads.batched,
                "batch_bytes": self.reads.batched,
            },
            "curve": curve,
            "speed": self.speed.to_dict() if self.speed is not None else None,
            "fits": self.fits,
        }


def plan_models(
    readings: Sequence[Reading], options: PlanOptions, curve: bool = True
) -> list[PlannedModel]:
    """Return a plan for each model, all for the same context.

    curve: whether plans have the growth of the cache with the context.

    Raises PlanError if an option is not known, or if a model cannot be divided or stored as asked.
    """
    limits = [reading.architecture.context_length for reading in readings]
    context = options.context
    if not context:
        context = shared_context(limits)
        options = replace(options, context=context)
    longest = None
    if curve:
        longest = _longest_context(context, limits)
    return [ModelPlanner(reading).plan(options, longest) for reading in readings]


def check_words(options: PlanOptions) -> None:
    """Raise PlanError for a name of an engine, cache dtype or weight format that is not known."""
    parse_engine(options.engine)
    for name in options.kv_dtype.split("/", 1):
        parse_cache_dtype(name)
    if options.weights is not None:
        name = canonical_format(options.weights)
        parse_choice("weight format", name, WEIGHT_FORMATS)


def shared_context(limits: list[int | None]) -> int:
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


class ModelPlanner:
    """Make the plans of one model as read; what requests share is computed once."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.planner = Planner(reading.architecture)
        self.roofline = Roofline(self.planner)
        self._drafting: tuple[Planner, Roofline] | None = None
        """Those of the model with MTP modules that its config does not tell of."""
        self.weights = cache(partial(resolve_requested_weights, reading))
        """The weights in a format, by its name (None: as stored), as an engine loads them."""

    def plan(self, options: PlanOptions, longest: int | None = None) -> PlannedModel:
        """Return the plan of the model.

        longest: the context at which the curve ends; None: no curve.

        Raises PlanError if an option is not known, or if the model cannot be divided or stored as
        asked.
        """
        a, name = self.reading.architecture, self.reading.name
        planner, roofline = self._planners(options)
        request, convention = plan_request(a, options)
        try:
            weights = self.weights(options.weights, parse_engine(options.engine))
            plan = planner.plan(request, convention, weights)
        except ImpossiblePlan as error:
            raise PlanError(f"{name}: {error}") from error
        warnings = list(plan.warnings)
        if planner is not self.planner:
            warnings.append(SUPPOSED_MTP)
        if options.weights is None or canonical_format(options.weights) == "as-stored":
            stored = self.weights(None, None)
            warnings += conversion_warnings(parse_engine(options.engine), stored, weights)
        plan = replace(plan, warnings=tuple(warnings))
        curve: list[tuple[int, int]] = []
        if longest is not None:
            curve = _cache_curve(planner, request, convention, longest)
        speed = None
        if (
            not plan.has_work_on_cpu
            and options.gpu is not None
            and options.gpu.bandwidth is not None
        ):
            bandwidth, peaks = options.gpu.bandwidth, options.gpu.peaks
            speed = roofline.bounds(request, convention, weights, bandwidth, peaks)
        return PlannedModel(
            name=name,
            architecture=a,
            plan=plan,
            flops=self.roofline.flops(request.context),
            reads=WeightReads(
                alone=self.weight_bytes_per_token(weights, 1),
                batched=self.weight_bytes_per_token(weights, options.batch),
            ),
            curve=curve,
            speed=speed,
            contradicted=self.reading.status == "conflict",
        )

    def _planners(self, options: PlanOptions) -> tuple[Planner, Roofline]:
        """Return what plans a request: with MTP modules, if they run and the config is silent.

        Raises PlanError if their layout is not known.
        """
        a = planned_architecture(self.reading, options)
        if a is self.reading.architecture:
            return self.planner, self.roofline
        if self._drafting is None:
            planner = Planner(a)
            self._drafting = planner, Roofline(planner)
        return self._drafting

    def weight_bytes_per_token(self, weights: Weights, batch: int) -> int:
        """Return the weight bytes that a decoding step reads, one sequence's share."""
        size = 0.0
        for component, n in self.roofline.weights_read(batch).items():
            size += n * weights.bits_of(component) / 8
        return round(size / batch)


def planned_architecture(reading: Reading, options: PlanOptions) -> Architecture:
    """Return the architecture that a request is planned for.

    With MTP modules as checkpoints of its family are published with, if they shall run and the
    config does not tell whether they are stored (Qwen3-Next).

    Raises PlanError if that is so and their layout is not known.
    """
    if not options.speculative or reading.tells_of_mtp:
        return reading.architecture
    a = reading.with_published_mtp()
    if a is None:
        raise PlanError(
            f"{reading.name}: its config does not tell of MTP modules; their layout is not known",
            "Name a repository or a folder whose tensor headers can be read.",
        )
    return a


def plan_request(a: Architecture, options: PlanOptions) -> tuple[Request, Convention]:
    """Return what a plan of a model is made for, and by whose rules.

    Raises PlanError if an option is not known.
    """
    engine = parse_engine(options.engine)
    check_weight_format(engine, options.weights)
    _, _, version = options.engine.partition("@")
    engine_options = options.engine_options
    if version:
        engine_options = replace(engine_options, version=version.removeprefix("v"))
    context = options.context or 1
    engine_options = engine.resolve_options(a, engine_options, context)
    gpu_bytes = None
    if options.gpu:
        gpu_bytes = options.gpu.memory_bytes
    gpu_name = ""
    if options.gpu:
        gpu_name = options.gpu.name
    request = Request(
        context=context,
        batch=options.batch,
        parallel=options.make_parallel(),
        gpu_bytes=gpu_bytes,
        utilization=options.utilization,
        gpu_name=gpu_name,
        options=engine_options,
        reserve=options.reserve,
        pool_bytes=options.pool_bytes,
        speculative=options.speculative,
        text_only=options.text_only,
        cpu_expert_layers=options.cpu_expert_layers,
        drafter=options.drafter,
    )
    convention = resolve_convention(a, engine, request.gpu, options)
    return request, convention


def _cache_curve(
    planner: Planner, request: Request, convention: Convention, longest: int
) -> list[tuple[int, int]]:
    """Return (context, bytes) of one GPU's cache and state, from 0 to the longest context."""
    pool = planner.pool(request, convention)
    contexts = {round(longest * i / CURVE_POINTS) for i in range(CURVE_POINTS + 1)}
    curve: list[tuple[int, int]] = []
    for tokens in sorted(contexts):
        size = 0
        if tokens:
            size = pool.bytes_at(tokens, request.sequences)
        curve.append((tokens, size))
    return curve


def parse_engine(text: str) -> Engine:
    """Return the engine of a name in any case, without a version after `@`.

    Raises PlanError for an unknown name or a version that is not possible.
    """
    name, separator, version = text.partition("@")
    engine = find_engine(name)
    if engine is None:
        raise PlanError(f"no engine is called {name!r}", f"Known: {', '.join(ENGINES)}.")
    if separator and not engine.has_version_rules:
        raise PlanError(f"the rules of {engine.name} are known of {engine.version} alone")
    if separator and not VERSION.match(version):
        raise PlanError(f"{version!r} is not a version", f"Such as {engine.name}@{engine.version}.")
    return engine


def parse_cache_dtype(name: str) -> str:
    """Return our name of a cache dtype, or `auto`. Raises PlanError that lists them."""
    lowered = name.lower()
    known = DTYPE_WORDS.get(lowered, lowered)
    if known == "auto":
        return known
    return parse_choice("cache dtype", known, ("auto", *CACHE_DTYPES))


def check_weight_format(engine: Engine, name: str | None) -> None:
    """Raise PlanError for a format of weights that the engine does not load."""
    if name is None or not engine.weight_formats:
        return
    known = canonical_format(name)
    if known in WEIGHT_FORMATS and known not in engine.weight_formats:
        formats = ", ".join(engine.weight_formats)
        raise PlanError(f"{engine.name} loads no weights in {known}", f"It has {formats}.")


def resolve_convention(
    a: Architecture, engine: Engine, gpu: GPUTraits, options: PlanOptions
) -> Convention:
    """Return by whose rules, and in which dtypes, a cache is counted.

    Raises PlanError for a dtype that is not known, and for values in another dtype than keys where
    the engine has one for both.
    """
    keys, slash, values = options.kv_dtype.partition("/")
    if slash and not engine.splits_cache_dtype:
        raise PlanError(f"{engine.name} keeps keys and values in one dtype")
    dtype = ""
    if keys.lower() == "auto":
        dtype = engine.auto_cache_dtype(a, gpu)
    dtype = dtype or resolve_cache_dtype(a, engine, keys, options.weights)
    other = ""
    if slash:
        other = resolve_cache_dtype(a, engine, values, options.weights)
    if other == dtype:
        other = ""
    return Convention(engine.name, dtype, other)


def resolve_cache_dtype(
    a: Architecture, engine: Engine, name: str, weights: str | None = None
) -> str:
    """Return the dtype of a model's cache.

    `auto` is what the checkpoint declares where the engine follows it, else the dtype that the
    model runs in: 32 bits if its weights are asked for in 32, else its own 16.
    """
    known = parse_cache_dtype(name)
    if known != "auto":
        return known
    if a.quantization is not None and engine.follows_checkpoint:
        declared = (a.quantization.cache_dtype or "").lower()
        declared = DTYPE_WORDS.get(declared, declared)
        if declared in CACHE_DTYPES:
            return declared
    if engine.default_cache_dtype:
        return engine.default_cache_dtype
    if weights is not None and canonical_format(weights) == "fp32":
        return "fp32"
    if a.dtype == "float16":
        return "fp16"
    return "bf16"


def conversion_warnings(engine: Engine, stored: Weights, loaded: Weights) -> list[str]:
    """Return that an engine has stored weights in more bits, as a sentence; empty if it has not."""
    if loaded == stored or loaded.bytes_of(ONE_OF_EACH) <= stored.bytes_of(ONE_OF_EACH):
        return []
    smaller = ", ".join(engine.smaller_formats)
    return [f"{loaded.source}: --weights names a smaller format that it has ({smaller})"]


def resolve_requested_weights(
    reading: Reading, name: str | None, engine: Engine | None = None
) -> Weights:
    """Return the weight format asked for.

    By default weights are as stored, or 16 bits if the config does not say how.

    engine: the engine that loads them, which may cast 32 bits to 16, or write them anew.

    Raises PlanError for an unknown format, or a checkpoint that the engine does not read.
    """
    a = reading.architecture
    stored_bits, words = stored_format(reading)
    known = "as-stored"
    if name is not None:
        known = parse_choice("weight format", canonical_format(name), WEIGHT_FORMATS)
    if known != "as-stored":
        return resolve_weights(a, known, stored_bits, words)
    try:
        weights = resolve_weights(a, known, stored_bits, words)
    except ImpossiblePlan as error:
        if name is not None:
            raise
        weights = resolve_weights(a, "bf16")
        weights = replace(weights, source=f"{weights.source}, for {error}")
    if engine is None:
        return weights
    if engine.casts_float32:
        weights = cast_float32(weights)
    if a.quantization is None:
        return weights
    try:
        return engine.convert_weights(a.quantization, weights)
    except ImpossiblePlan as error:
        hint = f"--weights plans a file in a format that it has: {engine.smaller_formats[-1]}"
        raise PlanError(f"{reading.name}: {error}", hint) from error


def stored_format(reading: Reading) -> tuple[dict[str, float] | None, str]:
    """Return the bits a weight by component as stored, and who says so; None if nobody does.

    The headers if these were read, else what the config declares module by module.
    """
    check = reading.check
    if check is not None and not check.names_only and check.bits_by_component:
        return check.bits_by_component, HEADER_WORDS.get(reading.status, BITS_BY_HEADERS)
    bits = reading.declared_bits()
    if bits is None:
        return None, ""
    quantised: list[str] = []
    for name in QUANTISED_COMPONENTS:
        if bits.get(name, 16) < 16:
            component = name.replace("_", " ")
            quantised.append(f"{bits[name]:.4g} in {component}")
    words = ", ".join(quantised) or "16 everywhere"
    return bits, f"bits: {words}, as the config declares"


def parse_choice(noun: str, value: str, known: tuple[_Name, ...]) -> _Name:
    """Return `value` as one of the known names. Raises PlanError that lists them."""
    for name in known:
        if name == value:
            return name
    names = ", ".join(known)
    similar = similar_names(value.lower(), known, 2)
    near = did_you_mean(similar)
    hint = f"{near} Known: {names}.".lstrip()
    raise PlanError(f"no {noun} is called {value!r}", hint)
