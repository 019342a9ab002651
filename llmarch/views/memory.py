"""Plans of `memory` as a neutral document: a table of bytes, labelled lines, and a plot of bytes against the context. Renderers draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from ..analyses.memory import Footprint, Plan
from ..analyses.planning import PlannedModel
from ..architecture.frozen import Frozen, frozen
from . import numbers
from .documents import Table
from .numbers import number

SYMBOLS = "●○▲△■□◆◇"
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Of a unit, what the vertical axis may count in."""


@frozen
class Series(Frozen):
    """One line of a plot: its symbol, what it is, and its points, by rising x."""

    symbol: str
    name: str
    points: list[tuple[int, int]]


@frozen
class Plot(Frozen):
    """Lines over a plane from 0 to the last tick of each axis; `marks` are horizontal lines, each with its symbol and name."""

    title: str
    x_ticks: list[tuple[int, str]]
    y_ticks: list[tuple[int, str]]
    series: list[Series]
    marks: list[Series] = field(default_factory=list["Series"])


@frozen
class MemoryView(Frozen):
    """One model or several: a title with what was asked for, the table of bytes, labelled lines, a plot, and notes below."""

    title: str
    asked: str
    table: Table
    lines: list[tuple[str, list[str]]]
    plot: Plot | None
    notes: list[str]


def view(planned: Sequence[PlannedModel], gpu_name: str | None = None) -> MemoryView:
    """What a reader sees of one plan, or of several side by side."""
    first = planned[0].plan
    single = len(planned) == 1
    return MemoryView(
        title=" · ".join(p.name for p in planned),
        asked=asked(first, gpu_name, [p.plan.weights.name for p in planned]),
        table=copies_table(planned[0].plan) if single else models_table(planned),
        lines=model_lines(planned[0]) if single else [],
        plot=plot(planned),
        notes=notes(planned),
    )


def asked(p: Plan, gpu_name: str | None, formats: list[str]) -> str:
    r = p.request
    words = [
        f"context {numbers.context(r.context)}",
        f"batch {number(r.batch)}",
        f"weights {' / '.join(dict.fromkeys(formats))}",
    ]
    words.append(f"cache {p.convention.dtype}, {p.convention.engine}")
    if gpu_name:
        words.append(f"{r.parallel.gpus} × {gpu_name}")
    if r.parallel.gpus > 1:
        words.append(division(p))
    return " · ".join(words)


def division(p: Plan) -> str:
    """`TP 8`, `TP 2 × 4 groups, EP 8`."""
    q = p.request.parallel
    words = f"TP {q.tensor}" + (f" × {q.replicas} groups" if q.replicas > 1 else "")
    return words + (f", EP {q.expert}" if q.expert > 1 else "")


# --- tables -------------------------------------------------------------------------------------------------------

ROWS = (("weights", "weights"), ("KV cache", "cache"), ("state", "state"), ("together", "total"))


def copies_table(p: Plan) -> Table:
    """One model: an undivided copy, one GPU, and all of them; without several GPUs the first alone."""
    columns: list[tuple[str, Footprint]] = [("one copy", p.one_copy)]
    if p.request.parallel.gpus > 1:
        columns += [("one GPU", p.per_gpu), (f"all {p.request.parallel.gpus} GPUs", p.all_gpus)]
    rows = [
        [label, *(numbers.size(getattr(f, name)) for _, f in columns)]
        for label, name in ROWS
        if name != "state" or p.one_copy.state
    ]
    return Table(["", *(title for title, _ in columns)], rows)


def models_table(planned: Sequence[PlannedModel]) -> Table:
    """Several models, a column each: an undivided copy, then one GPU of the deployment and what fits."""
    plans = [p.plan for p in planned]
    states = any(p.one_copy.state for p in plans)
    rows = [
        [label, *(numbers.size(getattr(p.one_copy, name)) for p in plans)]
        for label, name in ROWS
        if name != "state" or states
    ]
    sections = {0: "One copy"}
    if plans[0].request.parallel.gpus > 1:
        sections[len(rows)] = "One GPU"
        rows += [
            [label, *(numbers.size(getattr(p.per_gpu, name)) for p in plans)]
            for label, name in ROWS
            if name != "state" or states
        ]
    if plans[0].budget is not None:
        sections[len(rows)] = "What fits"
        rows.append(["this", *(fits(p) for p in plans)])
        rows.append(["largest context", *(context_word(p) for p in plans)])
        rows.append(["largest batch", *(number(p.largest_batch or 0) for p in plans)])
    sections[len(rows)] = "A decoded token"
    rows.append(["compute", *(f"{numbers.flops(p.flops.total)}" for p in planned)])
    rows.append(["weights read", *(numbers.size(p.reads[1]) for p in planned)])
    return Table(["", *(p.name for p in planned)], rows, sections)


# --- lines --------------------------------------------------------------------------------------------------------


def model_lines(p: PlannedModel) -> list[tuple[str, list[str]]]:
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


def fits(p: Plan) -> str:
    if p.budget is None:
        return ""
    spare = p.budget - p.per_gpu.total
    return (
        f"yes, {numbers.size(spare)} to spare"
        if spare >= 0
        else f"no, {numbers.size(-spare)} too much"
    )


def fit_lines(p: Plan) -> list[str]:
    if p.budget is None or p.request.gpu_bytes is None:
        return []
    share = f"{100 * p.request.utilization:g} % of {numbers.size(p.request.gpu_bytes)}"
    return [
        f"{fits(p)}: {numbers.size(p.per_gpu.total)} of the {numbers.size(p.budget)} that may be used ({share})"
    ]


def largest_lines(p: Plan) -> list[str]:
    if p.largest_context is None or p.largest_batch is None:
        return []
    if p.largest_batch == 0 and p.largest_context == 0:
        return [
            "nothing: the weights alone are too large"
            if p.budget and p.per_gpu.weights > p.budget
            else "no context at this batch"
        ]
    batch, context = number(p.request.batch), numbers.context(p.request.context)
    return [
        f"context {context_word(p)} at batch {batch}",
        f"batch {number(p.largest_batch)} at context {context}",
    ]


def context_word(p: Plan) -> str:
    n = p.largest_context or 0
    return f"{numbers.context(n)} (its most)" if n and n == p.context_limit else number(n)


def degree_lines(p: Plan) -> list[str]:
    """Which usual degrees of tensor parallelism the model divides by, and what refuses the others."""
    can = [number(n) for n, why in p.degrees.items() if not why]
    refused: dict[str, list[str]] = {}
    for n, why in p.degrees.items():
        if why:
            refused.setdefault(why[0].removesuffix(f" by {n}"), []).append(number(n))
    return [
        f"divides by {', '.join(can)}",
        *(f"not by {', '.join(ns)}: {why}" for why, ns in refused.items()),
    ]


def token_lines(p: PlannedModel) -> list[str]:
    """What one decoded token computes and reads."""
    by, r = p.flops.by_component, p.plan.request
    scores = sum(by.get(c, 0) for c in ("attention_scores", "indexer_scores", "recurrence"))
    compute = f"{numbers.flops(p.flops.total)} at context {numbers.context(r.context)}, {numbers.flops(scores)} of it over what is kept"
    read = f"reads {numbers.size(p.reads[0])} of weights alone" + (
        f", {numbers.size(p.reads[1])} as one of {number(r.batch)}" if r.batch > 1 else ""
    )
    return [compute, read]


def notes(planned: Sequence[PlannedModel]) -> list[str]:
    """What was asked beyond a model's reach; with several models also what each rests on, once where it is the same for all."""
    out: list[str] = []
    for p in planned:
        limit = p.plan.context_limit
        if limit and p.plan.request.context > limit:
            out.append(f"{p.name}: the context asked for is beyond its own of {number(limit)}")
    if len(planned) > 1:
        said: dict[str, list[str]] = {}
        for p in planned:
            for text in (f"weights {p.plan.weights.source}", *p.plan.assumptions, *p.plan.remarks):
                said.setdefault(text, []).append(p.name)
        out += [
            text if len(names) == len(planned) else f"{', '.join(names)}: {text}"
            for text, names in said.items()
        ]
    if planned[0].plan.budget is not None:
        out.append(
            "activations, graphs and communication buffers must fit into the rest of each GPU"
        )
    return out


# --- plot ---------------------------------------------------------------------------------------------------------


def plot(planned: Sequence[PlannedModel]) -> Plot | None:
    """With GPUs, all bytes of one of them and what may be used; else the cache alone."""
    budget = planned[0].plan.budget
    base = [p.plan.per_gpu.weights if budget is not None else 0 for p in planned]
    series = [
        Series(symbol, p.name, [(t, n + weight) for t, n in p.curve])
        for symbol, p, weight in zip(SYMBOLS, planned, base, strict=False)
        if p.curve
    ]
    marks = (
        []
        if budget is None
        else [Series("─", f"may be used: {numbers.size(budget)}", [(0, budget)])]
    )
    most_y = max([n for s in [*series, *marks] for _, n in s.points], default=0)
    most_x = max((t for s in series for t, _ in s.points), default=0)
    if not most_x or not most_y:
        return None
    many = planned[0].plan.request.parallel.gpus > 1
    where = " on one GPU" if many else ""
    sequences = planned[0].plan.request.sequences
    what = "weights and cache" if budget is not None else "cache"
    title = f"{what} of {number(sequences)} sequence{'s' if sequences > 1 else ''}{where}, against the context"
    return Plot(title, x_ticks(most_x), y_ticks(most_y), series, marks)


def x_ticks(most: int) -> list[tuple[int, str]]:
    marks = dict.fromkeys(most * i // 4 for i in range(5))
    return [(t, numbers.context(t) if t else "0") for t in marks]


def y_ticks(most: int) -> list[tuple[int, str]]:
    """Some 4 round steps, the last at or above `most`."""
    unit = 1
    while most >= 1024 * unit:
        unit *= 1024
    step = next(s for s in (*STEPS, 1024) if s * unit * 5 >= most) * unit
    return [(n, numbers.size(n) if n else "0") for n in range(0, most + step, step)]
