"""Find a layout in which a model fits.

The search goes over tensor, pipeline, data, expert and decode context parallelism, from the fewest
GPUs on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import has_experts, used_mixers
from ..architecture.schema import Architecture, LatentAttention, MoE
from ..errors import ImpossiblePlan, PlanError
from .cache_parts import SHORT_DTYPES
from .engines import ENGINES
from .engines.base import Engine
from .engines.pools import find_most
from .launch_lines import MACHINE_GPUS, launch_line, machine_notes
from .memory import Plan, Planner
from .planning import (
    PlannedModel,
    PlanOptions,
    parse_engine,
    plan_models,
    plan_request,
    planned_architecture,
    resolve_requested_weights,
    shared_context,
)
from .sharding import Parallel, divisibility_errors
from .weight_formats import QUANTISED_COMPONENTS, canonical_format, resolve_weights

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading

GPU_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 40, 48, 56, 64)
"""Numbers of GPUs that are tried, where the user names none: within a machine each, then whole
machines."""
GGUF_EXPERTS = {"mxfp4": "mxfp4", "fp4": "mxfp4", "nvfp4": "nvfp4"}
"""The formats of experts that GGUF files keep, by those of checkpoints."""
MOST_LAYOUTS = 6
"""Layouts that are shown."""


class GPULayers(NamedTuple):
    """Layers on so many GPUs, as llama.cpp's `-ngl` counts them."""

    layers: int
    gpus: int


@frozen
class Advice(Frozen):
    """A layout in which a model fits, or what stands in the way."""

    planned: PlannedModel
    """The plan of the best layout; of the one that comes nearest if none fits."""
    layouts: tuple[Plan, ...]
    """Plans of the layouts that fit the same number of GPUs, the best first."""
    formats: tuple[str, ...]
    """Smaller formats of weights that would fit, if this one does not."""
    launch: str
    """The command that starts the server, with layers on the CPU if all do not fit; empty if the
    engine has none."""
    gpu_layers: GPULayers | None = None
    """The most layers that fit on GPUs with the others on the CPU; None if all fit, none do, or the
    engine keeps no layers on the CPU."""
    searched: bool = True
    """Whether the number of GPUs was searched, and is not one that was asked for."""
    without_stages: Plan | None = None
    """The plan with the fewest GPUs that has one stage, where the best layout has several; None if
    there is none with up to twice as many, or a number of GPUs was asked for."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the command line that was read, as sentences."""
    contradicted: bool = False
    """Whether the checkpoint contradicts the config that the plan is made from."""

    @property
    def fits(self) -> bool | None:
        """Return whether the batch fits; None if the checkpoint contradicts its config."""
        if self.contradicted:
            return None
        return bool(self.plan.fits)

    @property
    def plan(self) -> Plan:
        """Return the plan of the best layout."""
        return self.planned.plan

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as JSON, without the plan."""
        return {
            "fits": self.fits,
            "gpus_searched": self.searched,
            "launch": self.launch,
            "notes": list(self.notes),
            "formats_that_fit": list(self.formats),
            "gpu_layers_that_fit": self.gpu_layers.layers if self.gpu_layers else None,
            "gpu_layers_gpus": self.gpu_layers.gpus if self.gpu_layers else None,
            "layouts": [layout_to_dict(plan) for plan in self.layouts],
            "without_stages": layout_to_dict(self.without_stages) if self.without_stages else None,
        }


def layout_to_dict(plan: Plan) -> dict[str, Any]:
    """Return a layout and what fits in it as JSON."""
    return {
        "parallel": plan.to_dict()["parallel"],
        "largest_batch": plan.largest_batch,
        "largest_batch_sequences": plan.largest_batch,
        "largest_context": plan.largest_context,
        "largest_context_tokens": plan.largest_context,
        "room_bytes": plan.room,
    }


class LayoutSearch:
    """Plan the layouts of one model over numbers of GPUs."""

    def __init__(self, reading: Reading, options: PlanOptions) -> None:
        a = planned_architecture(reading, options)
        self._options = options
        self._engine = parse_engine(options.engine)
        self.planner = Planner(a)
        self.weight_format = options.weights
        """The format of the weights that was asked for."""
        self._weights = resolve_requested_weights(reading, options.weights, self._engine)
        self._request, self._convention = plan_request(a, replace(options, gpus=None))
        self.reasons: list[str] = []
        """Why layouts are not possible."""

    def plans_over(self, counts: Sequence[int]) -> tuple[list[Plan], list[Plan]]:
        """Return the plans over the fewest GPUs that divide the model, and those of the best count.

        That is the first count over which a layout fits; if none does, the last that divides.
        """
        fewest: list[Plan] = []
        best: list[Plan] = []
        for gpus in counts:
            best = self.plans(gpus) or best
            fewest = fewest or best
            if best and best[0].fits:
                break
        return fewest, best

    def plans(self, gpus: int) -> list[Plan]:
        """Return the plans of the layouts over a number of GPUs, the best first."""
        a = self.planner.architecture
        plans: list[Plan] = []
        for parallel in layouts_to_try(a, gpus, self._engine, self._options):
            asked = replace(self._request, parallel=parallel)
            try:
                plans.append(self.planner.plan(asked, self._convention, self._weights))
            except ImpossiblePlan as error:
                self.reasons.append(str(error))
        return sorted(plans, key=_preference)

    def fewest_without_stages(self, more_than: int) -> Plan | None:
        """Return the best plan with one stage that fits on more GPUs, up to twice as many."""
        for gpus in range(more_than + 1, 2 * more_than + 1):
            for plan in self.plans(gpus):
                if plan.fits and plan.request.parallel.pipeline == 1:
                    return plan
        return None

    def smaller_formats(self, plan: Plan) -> list[str]:
        """Return the formats of weights in which a plan that does not fit would."""
        formats: list[str] = []
        for name in self._engine.smaller_formats:
            smaller = resolve_weights(self.planner.architecture, name)
            planned = self.planner.plan(plan.request, plan.convention, smaller)
            if planned.fits:
                formats.append(name)
        return formats


def advise(reading: Reading, options: PlanOptions, counts: Sequence[int] = ()) -> Advice:
    """Return the layout with the fewest GPUs in which a model fits.

    counts: numbers of GPUs to try; none: those of `options`, else the usual ones.

    Raises PlanError if an option is not known, without a kind of GPU, or if no layout divides the
    model.
    """
    if options.gpu is None:
        raise PlanError("no kind of GPU is named", "Name one: --gpus H100, or 8xH100.")
    if not options.context:
        options = replace(options, context=shared_context([reading.architecture.context_length]))
    search = LayoutSearch(reading, options)
    tried = counts or GPU_COUNTS
    fewest, best = search.plans_over(tried)
    if not best:
        raise PlanError(f"{reading.name}: {_no_layout(search.reasons, tried)}")
    first = best[0]
    loaded = checkpoint_to_load(reading, options)
    model = loaded.name
    options = replace(options, weights=loaded.weight_format or None)
    launch = launch_line(model, first, options)
    formats: list[str] = []
    layers_that_fit = without_stages = None
    if not first.fits:
        formats = search.smaller_formats(first)
        if options.engine_options.gpu_layers is None:
            layers_that_fit = most_gpu_layers(search.planner, fewest[0])
    elif first.request.parallel.pipeline > 1 and not counts:
        without_stages = search.fewest_without_stages(first.request.parallel.gpus)
    if layers_that_fit is not None:
        on_cpu = replace(options.engine_options, gpu_layers=layers_that_fit.layers)
        launch = launch_line(model, fewest[0], replace(options, engine_options=on_cpu))
    fitting = [plan for plan in best if plan.fits]
    asked = replace(options, weights=search.weight_format)
    (planned,) = plan_models([reading], _options_of_layout(asked, first.request.parallel))
    return Advice(
        planned,
        tuple(fitting[:MOST_LAYOUTS]),
        tuple(formats),
        launch,
        gpu_layers=layers_that_fit,
        searched=not counts,
        without_stages=without_stages,
        notes=(*loaded.notes, *machine_notes(first)),
        contradicted=reading.status == "conflict",
    )


class LoadedCheckpoint(NamedTuple):
    """The checkpoint that a server loads for a format of weights."""

    name: str
    weight_format: str = ""
    """The format that its command line asks for; empty: what the checkpoint has."""
    notes: tuple[str, ...] = ()


def checkpoint_to_load(reading: Reading, options: PlanOptions) -> LoadedCheckpoint:
    """Return the checkpoint whose weights have the format asked for.

    The model's own if it is stored so or if the engine makes the format as it loads; else a
    placeholder, with a note.
    """
    name, engine = model_name(reading), parse_engine(options.engine)
    format = canonical_format(options.weights or "as-stored")
    if format == "as-stored" and engine.weight_formats:
        return LoadedCheckpoint(name, file_format(reading, engine))
    if format == "as-stored" or engine.weight_formats:
        return LoadedCheckpoint(name, format.replace("as-stored", ""))
    if is_stored_as(reading, format):
        return LoadedCheckpoint(name)
    if format in engine.online_formats and reading.architecture.quantization is None:
        return LoadedCheckpoint(name, format)
    placeholder = f"{name.rstrip('/').rsplit('/', 1)[-1]}-{format.upper()}"
    note = (
        f"{engine.name} does not make {format} of this checkpoint as it loads it: {placeholder} "
        "stands for a checkpoint in that format"
    )
    if format in engine.formats_not_loaded:
        note = f"{engine.name} {engine.version} loads no {format}: {placeholder} stands for nothing"
    return LoadedCheckpoint(placeholder, notes=(note,))


def file_format(reading: Reading, engine: Engine) -> str:
    """Return the format of the file of its own that an engine loads a model from."""
    weights = resolve_requested_weights(reading, None, engine)
    stored = SHORT_DTYPES.get(reading.architecture.dtype or "", "")
    if weights.experts:
        return GGUF_EXPERTS[weights.experts]
    if weights.name == "as-stored":
        return stored
    return weights.name


def is_stored_as(reading: Reading, format: str) -> bool:
    """Return whether a checkpoint stores its weights in a format, by the bits of a weight."""
    a = reading.architecture
    stored = resolve_requested_weights(reading, None)
    asked = resolve_weights(a, format)
    if format in ("bf16", "fp16") and a.quantization is None:
        return SHORT_DTYPES.get(a.dtype or "") == format
    components = [*QUANTISED_COMPONENTS, "embedding"]
    return all(abs(stored.bits_of(c) - asked.bits_of(c)) < 0.1 for c in components)


def model_name(reading: Reading) -> str:
    """Return what a command line calls a model: its repository, else its reference."""
    raw = reading.raw
    if raw.repo_id:
        return raw.repo_id
    return str(raw.reference)


def most_gpu_layers(planner: Planner, plan: Plan) -> GPULayers | None:
    """Return the most layers that fit on the GPUs of a plan, with the others on the CPU.

    More layers take more bytes. None if not even the output fits, or if the
    engine keeps no layers on the CPU.
    """
    if not ENGINES[plan.convention.engine].keeps_layers_on_cpu:
        return None

    def fits(layers: int) -> bool:
        options = replace(plan.request.options, gpu_layers=layers)
        request = replace(plan.request, options=options)
        return bool(planner.plan(request, plan.convention, plan.weights).fits)

    if not fits(1):
        return None
    fitting = find_most(fits, 1, plan.placement.stages[-1].stop + 1)
    return GPULayers(fitting, plan.request.parallel.gpus)


def _options_of_layout(options: PlanOptions, parallel: Parallel) -> PlanOptions:
    """Return the options with the degrees of a layout."""
    return replace(
        options,
        gpus=parallel.gpus,
        tensor=parallel.tensor,
        expert=parallel.expert,
        pipeline=parallel.pipeline,
        data=parallel.replicas,
        decode_context=parallel.decode_context,
    )


def _no_layout(reasons: Sequence[str], tried: Sequence[int]) -> str:
    """Return why no layout is possible: the reason of the only one, or the most usual."""
    words = f"no layout divides it over {tried[-1]} GPUs"
    if not reasons:
        return words
    distinct = dict.fromkeys(reasons)
    if len(distinct) == 1:
        return reasons[0]
    count_of = list(reasons).count
    usual = max(distinct, key=count_of)
    return f"{words}: {usual}"


def layouts_to_try(
    a: Architecture, gpus: int, engine: Engine, options: PlanOptions
) -> Iterator[Parallel]:
    """Yield the layouts over GPUs that have the degrees asked for; the one that has all of them."""
    tensor = options.tensor
    if tensor is not None and options.expert is not None:
        pipeline = options.pipeline or gpus // tensor
        stated = replace(options, gpus=gpus, pipeline=pipeline)
        yield stated.make_parallel()
        return
    for parallel in possible_layouts(a, gpus, engine):
        if _is_asked_for(parallel, options):
            yield parallel


def _is_asked_for(parallel: Parallel, options: PlanOptions) -> bool:
    """Return whether a layout has the degrees that were asked for."""
    asked = (
        (options.tensor, parallel.tensor),
        (options.pipeline, parallel.pipeline),
        (options.data, parallel.replicas),
        (options.expert, parallel.expert),
        (options.decode_context, parallel.decode_context),
    )
    others = [degree for degree, own in asked if degree not in (None, own)]
    return not others


def _preference(plan: Plan) -> tuple[bool, bool, int, int, int, int]:
    """Return what the best layout has least of.

    It fits, has one stage, holds most sequences, and is simple.
    """
    parallel = plan.request.parallel
    return (
        not plan.fits,
        parallel.pipeline > 1,
        -(plan.largest_batch or 0),
        parallel.decode_context,
        parallel.replicas,
        parallel.expert,
    )


def possible_layouts(a: Architecture, gpus: int, engine: Engine) -> Iterator[Parallel]:
    """Yield the layouts that divide a model over GPUs."""
    is_sparse = has_experts(a)
    has_latents = any(isinstance(m, LatentAttention) for m in used_mixers(a).values())
    for pipeline in divisors(gpus):
        if pipeline > 1 and not engine.has_stages:
            continue
        if not engine.has_ranks and pipeline != gpus:
            continue
        for tensor in divisors(gpus // pipeline):
            if tensor > MACHINE_GPUS:
                continue
            if tensor * pipeline < gpus and not engine.has_groups:
                continue
            experts = [1]
            if is_sparse and gpus > pipeline and divides_experts(a, gpus // pipeline):
                experts.append(gpus // pipeline)
            contexts = [1]
            if has_latents and tensor > 1 and engine.has_decode_context:
                contexts.append(tensor)
            for expert in experts:
                for decode_context in contexts:
                    parallel = Parallel(
                        tensor,
                        expert,
                        gpus,
                        pipeline,
                        decode_context,
                        engine.divides_experts_across_groups,
                    )
                    if not divisibility_errors(a, parallel):
                        yield parallel


def divides_experts(a: Architecture, ranks: int) -> bool:
    """Return whether ranks hold equal numbers of routed experts."""
    return not any(isinstance(ffn, MoE) and ffn.experts % ranks for ffn in a.ffns.values())


def divisors(n: int) -> list[int]:
    """Return the divisors of a number, from 1 on."""
    return [d for d in range(1, n + 1) if n % d == 0]
