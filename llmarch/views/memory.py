"""Views of `memory`: a table of bytes, labelled lines, and a plot of bytes against the context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field

from ..analyses.memory import Footprint, Plan
from ..analyses.planning import PlannedModel
from ..architecture.frozen import Frozen, frozen
from . import numbers
from .documents import Table
from .numbers import number

SYMBOLS = "●○▲△■□◆◇"
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


def memory_view(planned: Sequence[PlannedModel], gpu_name: str | None = None) -> MemoryView:
    """Return the view of one plan, or of several side by side.

    planned: plans under the same request.
    gpu_name: the GPU that was asked for, if any.
    """
    single = len(planned) == 1
    return MemoryView(
        title=" · ".join(p.name for p in planned),
        asked=request_words(planned, gpu_name),
        table=single_table(planned[0].plan) if single else models_table(planned),
        lines=plan_lines(planned[0]) if single else [],
        plot=context_plot(planned),
        notes=plan_notes(planned),
    )


def request_words(planned: Sequence[PlannedModel], gpu_name: str | None) -> str:
    """Return `context 32k · batch 8 · weights as-stored · cache bf16, ideal · 8 × H100 · TP 8`."""
    first = planned[0].plan
    request, convention = first.request, first.convention
    formats = dict.fromkeys(p.plan.weights.name for p in planned)
    words = [
        f"context {numbers.context(request.context)}",
        f"batch {number(request.batch)}",
        f"weights {' / '.join(formats)}",
        f"cache {convention.dtype}, {convention.engine}",
    ]
    if gpu_name:
        words.append(f"{request.parallel.gpus} × {gpu_name}")
    if request.parallel.gpus > 1:
        words.append(parallel_words(first))
    return " · ".join(words)


def parallel_words(p: Plan) -> str:
    """Return `TP 8`, or `TP 2 × 4 groups, EP 8`."""
    parallel = p.request.parallel
    words = f"TP {parallel.tensor}"
    if parallel.replicas > 1:
        words += f" × {parallel.replicas} groups"
    if parallel.expert > 1:
        words += f", EP {parallel.expert}"
    return words


# Tables

FOOTPRINT_ROWS: tuple[tuple[str, Callable[[Footprint], float]], ...] = (
    ("weights", lambda f: f.weights),
    ("KV cache", lambda f: f.cache),
    ("state", lambda f: f.state),
    ("together", lambda f: f.total),
)
"""The rows of a table of bytes, and the field of each."""


def footprint_rows(footprints: Sequence[Footprint]) -> list[list[str]]:
    """Return the rows of bytes, a column for each footprint; no row for a state that is 0."""
    rows: list[list[str]] = []
    for label, field_of in FOOTPRINT_ROWS:
        sizes = [field_of(f) for f in footprints]
        if label == "state" and not any(sizes):
            continue
        rows.append([label, *map(numbers.size, sizes)])
    return rows


def single_table(p: Plan) -> Table:
    """Return the bytes of an undivided copy; with several GPUs also of one and of all of them."""
    columns = {"one copy": p.one_copy}
    if p.request.parallel.gpus > 1:
        columns |= {"one GPU": p.per_gpu, f"all {p.request.parallel.gpus} GPUs": p.all_gpus}
    return Table(["", *columns], footprint_rows([*columns.values()]))


def models_table(planned: Sequence[PlannedModel]) -> Table:
    """Return a column for each model: an undivided copy, one GPU, what fits, a decoded token."""
    plans = [p.plan for p in planned]
    parts = {"One copy": footprint_rows([p.one_copy for p in plans])}
    if plans[0].request.parallel.gpus > 1:
        parts["One GPU"] = footprint_rows([p.per_gpu for p in plans])
    if plans[0].budget is not None:
        parts["What fits"] = [
            ["this", *map(fit_words, plans)],
            ["largest context", *map(largest_context_words, plans)],
            ["largest batch", *(number(p.largest_batch or 0) for p in plans)],
        ]
    parts["A decoded token"] = [
        ["compute", *(numbers.flops(p.flops.total) for p in planned)],
        ["weights read", *(numbers.size(p.reads.batched) for p in planned)],
    ]
    rows: list[list[str]] = []
    sections: dict[int, str] = {}
    for title, part in parts.items():
        sections[len(rows)] = title
        rows += part
    return Table(["", *(p.name for p in planned)], rows, sections)


# Lines


def plan_lines(p: PlannedModel) -> list[tuple[str, list[str]]]:
    """Return the labelled lines of one plan; labels without lines are left out."""
    lines = [
        ("Fits", fit_lines(p.plan)),
        ("Largest", largest_lines(p.plan)),
        ("Divided", list(p.plan.remarks)),
        ("TP degrees", degree_lines(p.plan)),
        ("A token", token_lines(p)),
        ("Weights", [p.plan.weights.source]),
        ("Cache", list(p.plan.assumptions)),
    ]
    return [(label, text) for label, text in lines if text]


def fit_words(p: Plan) -> str:
    """Return `yes, 3 GiB to spare`, or `no, 5 GiB too much`; nothing without GPUs."""
    if p.budget is None:
        return ""
    spare = p.budget - p.per_gpu.total
    if spare < 0:
        return f"no, {numbers.size(-spare)} too much"
    return f"yes, {numbers.size(spare)} to spare"


def fit_lines(p: Plan) -> list[str]:
    """Return whether one GPU's share fits, and of what; nothing without GPUs."""
    if p.budget is None or p.request.gpu_bytes is None:
        return []
    share = f"{100 * p.request.utilization:g} % of {numbers.size(p.request.gpu_bytes)}"
    used, budget = numbers.size(p.per_gpu.total), numbers.size(p.budget)
    return [f"{fit_words(p)}: {used} of the {budget} that may be used ({share})"]


def largest_lines(p: Plan) -> list[str]:
    """Return the largest context at this batch and the largest batch at this context."""
    if p.largest_context is None or p.largest_batch is None:
        return []
    if p.largest_batch == 0 and p.largest_context == 0:
        if p.budget and p.per_gpu.weights > p.budget:
            return ["nothing: the weights alone are too large"]
        return ["no context at this batch"]
    batch, context = number(p.request.batch), numbers.context(p.request.context)
    return [
        f"context {largest_context_words(p)} at batch {batch}",
        f"batch {number(p.largest_batch)} at context {context}",
    ]


def largest_context_words(p: Plan) -> str:
    """Return the largest context that fits, and whether it is all that the model has."""
    tokens = p.largest_context or 0
    if tokens and tokens == p.context_limit:
        return f"{numbers.context(tokens)} (its most)"
    return number(tokens)


def degree_lines(p: Plan) -> list[str]:
    """Return the usual degrees of tensor parallelism that divide the model, and why others do not.

    Degrees that the same dimension refuses share a line.
    """
    possible: list[str] = []
    refused: dict[str, list[str]] = {}
    for degree, reasons in p.degrees.items():
        if reasons:
            reason = reasons[0].removesuffix(f" by {degree}")
            refused.setdefault(reason, []).append(number(degree))
        else:
            possible.append(number(degree))
    lines = [f"divides by {', '.join(possible)}"]
    return lines + [f"not by {', '.join(n)}: {reason}" for reason, n in refused.items()]


KEPT_COMPONENTS = ("attention_scores", "indexer_scores", "recurrence")
"""Components of FLOPs that work on what is kept of earlier tokens."""


def token_lines(p: PlannedModel) -> list[str]:
    """Return what one decoded token computes, and the bytes of weights that it reads."""
    request = p.plan.request
    kept = numbers.flops(sum(p.flops.by_component.get(c, 0) for c in KEPT_COMPONENTS))
    context = numbers.context(request.context)
    total = numbers.flops(p.flops.total)
    reads = f"reads {numbers.size(p.reads.alone)} of weights alone"
    if request.batch > 1:
        reads += f", {numbers.size(p.reads.batched)} as one of {number(request.batch)}"
    return [f"{total} at context {context}, {kept} of it over what is kept", reads]


def plan_notes(planned: Sequence[PlannedModel]) -> list[str]:
    """Return contexts beyond a model's own, and what several plans rest on."""
    lines: list[str] = []
    for p in planned:
        limit = p.plan.context_limit
        if limit and p.plan.request.context > limit:
            lines.append(f"{p.name}: the context asked for is beyond its own of {number(limit)}")
    if len(planned) > 1:
        lines += grounds(planned)
    if planned[0].plan.budget is not None:
        others = "activations, graphs and communication buffers"
        lines.append(f"{others} must fit into the rest of each GPU")
    return lines


def grounds(planned: Sequence[PlannedModel]) -> list[str]:
    """Return what plans rest on, with the models' names where it is not the same for all."""
    names_by_text: dict[str, list[str]] = {}
    for p in planned:
        source = f"weights {p.plan.weights.source}"
        for text in (source, *p.plan.assumptions, *p.plan.remarks):
            names_by_text.setdefault(text, []).append(p.name)
    lines: list[str] = []
    for text, names in names_by_text.items():
        common = len(names) == len(planned)
        lines.append(text if common else f"{', '.join(names)}: {text}")
    return lines


# Plot


def context_plot(planned: Sequence[PlannedModel]) -> Plot | None:
    """Return bytes against the context: all of one GPU and its budget, or the cache alone.

    None where there is nothing to draw.
    """
    budget = planned[0].plan.budget
    series = [
        Series(symbol, p.name, curve_points(p, budget is not None))
        for symbol, p in zip(SYMBOLS, planned, strict=False)
        if p.curve
    ]
    marks: list[Series] = []
    if budget is not None:
        marks.append(Series("─", f"may be used: {numbers.size(budget)}", [(0, budget)]))
    longest = largest(t for s in series for t, _ in s.points)
    highest = largest(n for s in [*series, *marks] for _, n in s.points)
    if not longest or not highest:
        return None
    title = plot_title(planned[0].plan)
    return Plot(title, x_ticks(longest), y_ticks(highest), series, marks)


def curve_points(p: PlannedModel, with_weights: bool) -> list[tuple[int, int]]:
    """Return (context, bytes) of cache and state, and of one GPU's weights if asked for."""
    weights = p.plan.per_gpu.weights if with_weights else 0
    return [(context, cached + weights) for context, cached in p.curve]


def largest(values: Iterable[int]) -> int:
    """Return the largest value, or 0 where there is none."""
    return max(values, default=0)


def plot_title(p: Plan) -> str:
    """Return `cache of 8 sequences on one GPU, against the context`."""
    what = "cache" if p.budget is None else "weights and cache"
    plural = "s" if p.request.sequences > 1 else ""
    where = " on one GPU" if p.request.parallel.gpus > 1 else ""
    sequences = f"{number(p.request.sequences)} sequence{plural}"
    return f"{what} of {sequences}{where}, against the context"


def x_ticks(most: int) -> list[tuple[int, str]]:
    """Return the quarters of an axis from 0 to `most` tokens."""
    marks = dict.fromkeys(most * quarter // 4 for quarter in range(5))
    return [(tokens, numbers.context(tokens) if tokens else "0") for tokens in marks]


def y_ticks(most: int) -> list[tuple[int, str]]:
    """Return some 4 round steps in bytes, the last of them at or above `most`."""
    unit = 1
    while most >= 1024 * unit:
        unit *= 1024
    step = next(multiple for multiple in STEPS if multiple * unit * 5 >= most) * unit
    return [(n, numbers.size(n) if n else "0") for n in range(0, most + step, step)]
