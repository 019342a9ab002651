"""Views of `memory`: a table of bytes, labelled lines, and a plot of bytes against the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from ..analyses.memory import Footprint, Plan
from ..analyses.planning import PlannedModel
from ..architecture.frozen import Frozen, frozen
from . import numbers
from .documents import Command, Table
from .numbers import number, plural

if TYPE_CHECKING:
    from ..analyses.advice import Advice
    from ..analyses.roofline import SpeedBounds

SERIES_SYMBOLS = "●○▲△■□◆◇"
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""What the vertical axis may count in, as multiples of a binary unit."""


@frozen
class Series(Frozen):
    """One line of a plot: its symbol, its name, and its points by rising x."""

    symbol: str
    name: str
    points: list[tuple[int, int]]


@frozen
class Plot(Frozen):
    """Lines over a plane from 0 to the last tick of each axis."""

    title: str
    x_ticks: list[tuple[int, str]]
    y_ticks: list[tuple[int, str]]
    series: list[Series]
    marks: list[Series] = field(default_factory=list["Series"])
    """Horizontal lines, each with its symbol and name."""


@frozen
class MemoryView(Frozen):
    """One model or several: what was asked for, the table of bytes, lines, a plot, and notes."""

    title: str
    asked: str
    table: Table
    lines: list[tuple[str, list[str]]]
    plot: Plot | None
    notes: list[str]
    warnings: list[str] = field(default_factory=list[str])
    """What a reader must know before the figures."""


def memory_view(
    planned: Sequence[PlannedModel],
    gpu_name: str | None = None,
    warnings: Sequence[str] = (),
) -> MemoryView:
    """Return the view of one plan, or of several side by side.

    planned: plans under the same request.
    gpu_name: the GPU that was asked for, if any.
    warnings: what a reader must know before the figures.
    """
    table = models_table(planned)
    lines: list[tuple[str, list[str]]] = []
    if len(planned) == 1:
        table = single_table(planned[0].plan)
        lines = plan_lines(planned[0])
    return MemoryView(
        title=" · ".join(p.name for p in planned),
        asked=request_words(planned, gpu_name),
        table=table,
        lines=lines,
        plot=context_plot(planned),
        notes=plan_notes(planned),
        warnings=[*warnings],
    )


def fit_view(advice: Advice, gpu_name: str, warnings: Sequence[str] = ()) -> MemoryView:
    """Return the view of a layout in which a model fits, with the command that starts it.

    gpu_name: the kind of GPU that was asked for.
    warnings: what a reader must know before the figures.
    """
    planned = advice.planned
    view = memory_view([planned], gpu_name, warnings)
    gpus = planned.plan.request.parallel.gpus
    smallest = f"on {gpus} × {gpu_name}: {parallel_words(planned.plan)}"
    if advice.searched:
        smallest = f"{gpus} × {gpu_name} are the fewest: {parallel_words(planned.plan)}"
    if not planned.plan.fits:
        smallest = f"not on {gpus} × {gpu_name}"
    if advice.contradicted:
        smallest = f"not known; by the config alone: {smallest}"
    formats = ", ".join(advice.formats)
    label = "Layout"
    if advice.searched:
        label = "Smallest"
    lines: list[tuple[str, list[str]]] = [(label, [smallest])]
    if advice.without_stages is not None:
        one_stage = advice.without_stages
        words = f"{one_stage.request.parallel.gpus} × {gpu_name}: {parallel_words(one_stage)}"
        lines.append(("One stage", [words]))
    if formats:
        lines.append(("Instead", [f"with --weights {formats} it would fit"]))
    if advice.gpu_layers is not None:
        number_of = f"{advice.gpu_layers.gpus} × {gpu_name}"
        words = f"-ngl {advice.gpu_layers.layers} keeps as many layers as fit on {number_of}"
        lines.append(("On the CPU", [f"{words}, the others on the CPU:", Command(advice.launch)]))
    others = [
        f"{parallel_words(plan)}: {number(plan.largest_batch or 0)} sequences"
        for plan in advice.layouts
    ]
    if len(others) > 1:
        lines.append(("Layouts", others))
    if advice.launch and advice.fits:
        lines.append(("Launch", [Command(advice.launch)]))
    shown = [(label, text) for label, text in view.lines if label in FIT_LABELS]
    return replace(view, lines=[*lines, *shown], plot=None)


CONFIG_FITS = "By the config"
"""The label of whether a model fits, where its checkpoint contradicts the config."""
FIT_LABELS = (
    "Fits",
    CONFIG_FITS,
    "Engine",
    "Pool",
    "Largest",
    "Divided",
    "Speed",
    "Weights",
    "Cache",
)
"""Labelled lines of a plan that `fit` shows as well."""


def request_words(planned: Sequence[PlannedModel], gpu_name: str | None) -> str:
    """Return `context 32k · batch 8 · weights as-stored · cache bf16, ideal · 8 × H100 · TP 8`."""
    first = planned[0].plan
    request, convention = first.request, first.convention
    gpus = request.parallel.gpus
    context = numbers.context(request.context)
    batch = number(request.batch)
    formats = " / ".join(dict.fromkeys(p.plan.weights.name for p in planned))
    words = [
        f"context {context}",
        f"batch {batch}",
        f"weights {formats}",
        f"cache {convention.words}, {convention.engine}",
    ]
    if gpu_name:
        words.append(f"{gpus} × {gpu_name}")
    if gpus > 1:
        words.append(parallel_words(first))
    return " · ".join(words)


def parallel_words(p: Plan) -> str:
    """Return `TP 8`, or `TP 2 × PP 2 × 4 groups, EP 8, DCP 2`."""
    parallel = p.request.parallel
    words = f"TP {parallel.tensor}"
    if parallel.pipeline > 1:
        words += f" × PP {parallel.pipeline}"
    if parallel.replicas > 1:
        words += f" × {parallel.replicas} groups"
    if parallel.expert > 1:
        words += f", EP {parallel.expert}"
    if parallel.decode_context > 1:
        words += f", DCP {parallel.decode_context}"
    return words


# Tables

STATE = "state"
FOOTPRINT_ROWS: tuple[tuple[str, Callable[[Footprint], float]], ...] = (
    ("weights", lambda f: f.weights),
    ("KV cache", lambda f: f.cache),
    (STATE, lambda f: f.state),
    ("together", lambda f: f.total),
)
"""The rows of a table of bytes, and the field of each."""


def footprint_rows(footprints: Sequence[Footprint]) -> list[list[str]]:
    """Return the rows of bytes, a column for each footprint; no row for a state that is 0."""
    rows: list[list[str]] = []
    for label, field_of in FOOTPRINT_ROWS:
        sizes = [field_of(f) for f in footprints]
        has_size = any(sizes)
        if label == STATE and not has_size:
            continue
        cells = map(numbers.size, sizes)
        row = [label, *cells]
        rows.append(row)
    return rows


def single_table(p: Plan) -> Table:
    """Return the bytes of an undivided copy, of one GPU where it holds less, and of all GPUs."""
    gpus = p.request.parallel.gpus
    columns = {"one copy": p.one_copy}
    offloads = p.cpu_bytes and (p.has_work_on_cpu or p.budget is not None)
    if gpus > 1 or offloads:
        columns["one GPU"] = p.per_gpu
    if gpus > 1:
        columns[f"all {gpus} GPUs"] = p.all_gpus
    rows = footprint_rows(list(columns.values()))
    return Table(["", *columns], rows)


def models_table(planned: Sequence[PlannedModel]) -> Table:
    """Return a column for each model: an undivided copy, one GPU, what fits, a decoded token."""
    plans = [p.plan for p in planned]
    first = plans[0]
    parts = {"One copy": footprint_rows([p.one_copy for p in plans])}
    if first.request.parallel.gpus > 1:
        parts["One GPU"] = footprint_rows([p.per_gpu for p in plans])
    if first.budget is not None:
        batches = [p.largest_batch or 0 for p in plans]
        parts["What fits"] = [
            ["this", *map(planned_fit_words, planned)],
            ["largest context", *map(largest_context_words, plans)],
            ["largest batch", *map(number, batches)],
        ]
    compute = [p.flops.total for p in planned]
    weights_read = [p.reads.batched for p in planned]
    parts["A decoded token"] = [
        ["compute", *map(numbers.flops, compute)],
        ["weights read", *map(numbers.size, weights_read)],
    ]
    if all(p.speed for p in planned):
        parts["Bounds of speed"] = speed_rows(planned)
    rows: list[list[str]] = []
    sections: dict[int, str] = {}
    for title, part in parts.items():
        sections[len(rows)] = title
        rows += part
    names = [p.name for p in planned]
    return Table(["", *names], rows, sections)


def speed_rows(planned: Sequence[PlannedModel]) -> list[list[str]]:
    """Return the rows of bounds of time, a column for each model."""
    bounds = [p.speed for p in planned if p.speed is not None]
    one = [numbers.three_digits(b.decode_tokens_per_second) for b in bounds]
    every = [numbers.three_digits(b.decode_tokens_per_second_all) for b in bounds]
    rows = [["tokens/s a sequence, at most", *one], ["tokens/s in all, at most", *every]]
    if all(b.prefill_seconds is not None for b in bounds):
        least = [numbers.duration(b.prefill_seconds or 0) for b in bounds]
        rows.append(["a prompt, at least", *least])
    return rows


# Lines


def plan_lines(p: PlannedModel) -> list[tuple[str, list[str]]]:
    """Return the labelled lines of one plan; labels without lines are left out."""
    plan = p.plan
    verdict = "Fits"
    if p.contradicted:
        verdict = CONFIG_FITS
    lines = [
        (verdict, fit_lines(plan)),
        ("Engine", allowance_lines(plan)),
        ("Pool", pool_lines(plan)),
        ("Largest", largest_lines(plan)),
        ("Divided", list(plan.remarks)),
        ("TP degrees", degree_lines(plan)),
        ("A token", token_lines(p)),
        ("Speed", speed_lines(p)),
        ("Weights", loading_lines(plan)),
        ("Cache", list(plan.assumptions)),
    ]
    return [(label, text) for label, text in lines if text]


def planned_fit_words(p: PlannedModel) -> str:
    """Return whether a plan fits, by the config alone where its checkpoint contradicts it."""
    words = fit_words(p.plan)
    if p.contradicted and words:
        return f"{CONFIG_FITS.lower()}: {words}"
    return words


def fit_words(p: Plan) -> str:
    """Return `yes, 3 GiB to spare`, or `no, 5 GiB too much`; nothing without GPUs."""
    if p.fits is None:
        return ""
    if p.room is None or p.budget is None:
        return "yes" if p.fits else "no"
    needed = p.per_gpu.cache + p.per_gpu.state
    spare = p.room - needed
    size = numbers.size(abs(spare))
    if p.fits:
        return f"yes, {size} to spare"
    if spare < 0:
        return f"no, {size} too much"
    return "no, the last block is held back"


def fit_lines(p: Plan) -> list[str]:
    """Return whether one GPU's share fits, and of what; nothing without GPUs."""
    if p.budget is None or p.request.gpu_bytes is None:
        return []
    verdict = fit_words(p)
    used = numbers.size(p.per_gpu.total + p.reserved)
    budget = numbers.size(p.budget)
    percent = 100 * p.utilization
    whole = numbers.size(p.request.gpu_bytes)
    share = f"{percent:g} % of {whole}"
    if p.shares_the_rest:
        share = f"for the cache {percent:g} % of what is left of {whole}"
    return [f"{verdict}: {used} of the {budget} that may be used ({share})"]


def allowance_lines(p: Plan) -> list[str]:
    """Return what the engine keeps beside weights and cache, a part a line."""
    if p.request.gpu_bytes is None:
        return []
    lines: list[str] = []
    for part in p.allowance:
        outside = ""
        if not part.inside:
            outside = ", outside the share"
        lines.append(f"{part.name} {numbers.size(part.size)} ({part.source}{outside})")
    return lines


def pool_lines(p: Plan) -> list[str]:
    """Return what the engine prints of its pool: memory, tokens, concurrency at the context."""
    if p.capacity is None or p.room is None:
        return []
    if p.room <= 0:
        return ["no memory is left for the cache", *version_lines(p)]
    size = numbers.size(p.room)
    tokens, context = number(p.capacity.tokens), number(p.request.context)
    if p.any_context_fits and not p.capacity.blocks:
        sequences = plural(int(p.capacity.concurrency), "sequence")
        return [f"KV cache memory {size}: {sequences} of {context} tokens"]
    concurrency = f"{p.capacity.concurrency:,.2f}"
    lines = [f"KV cache memory {size}: {tokens} tokens"]
    lines.append(f"maximum concurrency for {context} tokens per request: {concurrency}x")
    lines += version_lines(p)
    if p.capacity.blocks is not None and p.capacity.block_bytes is not None:
        blocks, block = number(p.capacity.blocks), numbers.size(p.capacity.block_bytes)
        lines.append(f"{blocks} blocks of {block}")
    return lines


def version_lines(p: Plan) -> list[str]:
    """Return the memory for the cache that each version of the engine leaves; nothing without."""
    if not p.version_rooms:
        return []
    words = [f"{room_words(room)} up to {version}" for version, room in p.version_rooms.items()]
    words.append(f"{room_words(p.room_of_version_read or 0)} with {p.engine_version}")
    return [f"KV cache memory by version: {', '.join(words)}"]


def room_words(room: int) -> str:
    """Return the memory for a cache in words."""
    if room <= 0:
        return "none"
    return numbers.size(room)


def largest_lines(p: Plan) -> list[str]:
    """Return the largest context at this batch and the largest batch at this context."""
    if p.largest_context is None or p.largest_batch is None:
        return []
    if p.largest_batch == 0 and p.largest_context == 0:
        has_no_room = p.room is not None and p.room <= 0
        if has_no_room and not p.reserved:
            return ["nothing: the weights alone are too large"]
        return ["no context at this batch"]
    batch = number(p.request.batch)
    context = numbers.context(p.request.context)
    largest_batch = number(p.largest_batch)
    longest = f"context {largest_context_words(p)} at batch {batch}"
    if p.any_context_fits:
        longest = f"any context at batch {batch}: the cache stops growing"
    return [longest, f"batch {largest_batch} at context {context}"]


def largest_context_words(p: Plan) -> str:
    """Return the largest context that fits, and whether it is all that the model has."""
    if p.any_context_fits:
        return "any"
    tokens = p.largest_context or 0
    if tokens and tokens == p.context_limit:
        context = numbers.context(tokens)
        return f"{context} (its most)"
    return number(tokens)


def degree_lines(p: Plan) -> list[str]:
    """Return the usual degrees of tensor parallelism that divide the model, and why others do not.

    Degrees that the same dimension refuses share a line.
    """
    possible: list[str] = []
    refused: dict[str, list[str]] = {}
    for degree, reasons in p.degrees.items():
        shown = number(degree)
        if not reasons:
            possible.append(shown)
            continue
        suffix = f" by {degree}"
        reason = reasons[0].removesuffix(suffix)
        same = refused.setdefault(reason, [])
        same.append(shown)
    usual = ", ".join(possible)
    lines = [f"divides by {usual}"]
    for reason, degrees in refused.items():
        others = ", ".join(degrees)
        line = f"not by {others}: {reason}"
        lines.append(line)
    return lines


def loading_lines(p: Plan) -> list[str]:
    """Return how weights are held, and what of the checkpoint is not loaded."""
    lines = [p.weights.source]
    if p.drafter_bytes and not p.request.speculative:
        size = numbers.size(p.drafter_bytes)
        lines.append(f"MTP modules ({size}) are not loaded: --speculative mtp")
    drafter = p.request.drafter
    if drafter is not None:
        size = numbers.size(drafter.rank_bytes(p.request.parallel))
        drafted = plural(p.request.options.draft_tokens, "token")
        lines.append(f"{drafter.name} ({size} a GPU) drafts {drafted} a step")
    if p.cpu_bytes:
        lines.append(cpu_words(p))
    if p.request.text_only:
        lines.append("encoders are not loaded")
    return lines


def cpu_words(p: Plan) -> str:
    """Return what stays in the memory of the CPU, as `embedding, layers 1-12 (8 GiB) stay …`."""
    words: list[str] = []
    if p.request.options.offload_bytes:
        offloaded = numbers.size(p.request.options.offload_bytes)
        words.append(f"up to {offloaded} of the layers of each GPU")
    if not p.placement.embedding_stages:
        words.append("embedding")
    on_cpu = [n for n in range(p.layers) if not p.placement.holds(n)]
    if on_cpu:
        words.append(f"layers 1-{len(on_cpu)}")
    experts = min(p.request.cpu_expert_layers, p.layers)
    if experts > len(on_cpu):
        words.append(f"experts up to layer {experts}")
    if p.placement.head_stage is None:
        words.append("output")
    size = numbers.size(p.cpu_bytes)
    sentence = f"{', '.join(words)} ({size}) stay in the memory of the CPU"
    if p.cpu_cache_bytes:
        cached = numbers.size(p.cpu_cache_bytes)
        sentence += f", with {cached} of cache"
    return sentence


CACHE_COMPONENTS = ("attention_scores", "indexer_scores", "recurrence")
"""Components of FLOPs that work on the cache and the state."""


def token_lines(p: PlannedModel) -> list[str]:
    """Return what one decoded token computes, and the bytes of weights that it reads."""
    request, flops = p.plan.request, p.flops
    context = numbers.context(request.context)
    total = numbers.flops(flops.total)
    over_cache = sum(flops.by_component.get(name, 0) for name in CACHE_COMPONENTS)
    cached = numbers.flops(over_cache)
    alone = numbers.size(p.reads.alone)
    reads = f"reads {alone} of weights alone"
    if request.batch > 1:
        batch = number(request.batch)
        batched = numbers.size(p.reads.batched)
        reads += f", {batched} as one of {batch}"
    return [f"{total} at context {context}, {cached} of it over the cache", reads]


def speed_lines(p: PlannedModel) -> list[str]:
    """Return the bounds of decoding and of a prompt, and what they rest on; nothing without."""
    speed = p.speed
    if speed is None:
        return []
    request = p.plan.request
    context = numbers.context(request.context)
    bandwidth = f"{speed.bandwidth / 1e9:,.0f} GB/s"
    one = numbers.three_digits(speed.decode_tokens_per_second)
    decode = f"at most {one} tokens/s a sequence"
    if request.batch > 1:
        every = numbers.three_digits(speed.decode_tokens_per_second_all)
        decode += f", {every} in all"
    read = numbers.size(speed.step_bytes)
    reason = f"a GPU reads {read} a step at {bandwidth}"
    if speed.decode_bound == "compute":
        reason = f"operations, at {peak_words(speed)}"
    lines = [f"{decode} ({reason})"]
    if speed.prefill_seconds is not None:
        least = numbers.duration(speed.prefill_seconds)
        lines.append(f"a prompt of {context} takes at least {least} (at {peak_words(speed)})")
    else:
        lines.append("a prompt: not known, no peak of operations is stated for this GPU")
    if speed.experts_touched is not None and request.batch > 1:
        touched = numbers.three_digits(speed.experts_touched)
        lines.append(f"a step reads some {touched} of {speed.experts} experts a layer, if even")
    lines.append("bounds of the roofline: communication, launches and idle units come on top")
    return lines


def peak_words(speed: SpeedBounds) -> str:
    """Return `1,979 TFLOP/s of fp8 a GPU`."""
    peak = speed.peak or 0
    tera = peak / 1e12
    return f"{tera:,.0f} TFLOP/s of {speed.compute_type} a GPU"


def plan_notes(planned: Sequence[PlannedModel]) -> list[str]:
    """Return contexts beyond a model's own, and what several plans rest on."""
    several = len(planned) > 1
    names_by_warning: dict[str, list[str]] = {}
    for p in planned:
        for warning in p.plan.warnings:
            names = names_by_warning.setdefault(warning, [])
            names.append(p.name)
    lines: list[str] = []
    for warning, names in names_by_warning.items():
        if several and len(names) == len(planned):
            lines.append(warning)
        else:
            some = ", ".join(names)
            lines.append(f"{some}: {warning}")
    if several:
        lines += grounds(planned)
    return lines


def grounds(planned: Sequence[PlannedModel]) -> list[str]:
    """Return what plans rest on, with the models' names where it is not the same for all."""
    names_by_text: dict[str, list[str]] = {}
    for p in planned:
        plan = p.plan
        source = f"weights {plan.weights.source}"
        texts = (source, *plan.assumptions, *plan.remarks)
        for text in texts:
            names = names_by_text.setdefault(text, [])
            names.append(p.name)
    count = len(planned)
    lines: list[str] = []
    for text, names in names_by_text.items():
        is_common = len(names) == count
        if is_common:
            lines.append(text)
        else:
            some = ", ".join(names)
            lines.append(f"{some}: {text}")
    return lines


# Plot


def context_plot(planned: Sequence[PlannedModel]) -> Plot | None:
    """Return bytes against the context: all of one GPU and its budget, or the cache alone.

    None where there is nothing to draw.
    """
    plan = planned[0].plan
    series: list[Series] = []
    for symbol, p in zip(SERIES_SYMBOLS, planned, strict=False):
        if p.curve:
            series.append(Series(symbol, p.name, curve_points(p)))
    marks: list[Series] = []
    if plan.budget is not None:
        size = numbers.size(plan.budget)
        marks.append(Series("─", f"may be used: {size}", [(0, plan.budget)]))
    points = [point for line in [*series, *marks] for point in line.points]
    longest = max((context for context, _ in points), default=0)
    highest = max((size for _, size in points), default=0)
    if not longest or not highest:
        return None
    title = plot_title(plan)
    return Plot(title, x_ticks(longest), y_ticks(highest), series, marks)


def curve_points(p: PlannedModel) -> list[tuple[int, int]]:
    """Return (context, bytes) of cache and state, with GPUs also of one GPU's weights."""
    if p.plan.budget is None:
        return p.curve
    weights = p.plan.per_gpu.weights + p.plan.reserved
    return [(context, cached + weights) for context, cached in p.curve]


def plot_title(p: Plan) -> str:
    """Return `cache of 8 sequences on one GPU, against the context`."""
    sequences = plural(p.request.sequences, "sequence")
    title = f"weights and cache of {sequences}"
    if p.budget is None:
        title = f"cache of {sequences}"
    if p.request.parallel.gpus > 1:
        title += " on one GPU"
    return f"{title}, against the context"


def x_ticks(most: int) -> list[tuple[int, str]]:
    """Return the quarters of an axis from 0 to `most` tokens."""
    ticks = {0: "0"}
    for quarter in range(1, 5):
        tokens = most * quarter // 4
        if tokens not in ticks:
            ticks[tokens] = numbers.context(tokens)
    return list(ticks.items())


def y_ticks(most: int) -> list[tuple[int, str]]:
    """Return some 4 round steps in bytes, the last of them at or above `most`."""
    unit = 1
    while most >= 1024 * unit:
        unit *= 1024
    multiple = next(n for n in STEPS if n * unit * 5 >= most)
    step = multiple * unit
    ticks = [(0, "0")]
    for size in range(step, most + step, step):
        ticks.append((size, numbers.size(size)))
    return ticks
