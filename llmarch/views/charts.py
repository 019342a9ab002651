"""Charts: lines against the context and stacked bars, as data without a form.

`memory_charts` are of plans, `parameter_charts` of architectures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..analyses.memory import Plan
from ..analyses.parameters import count_parameters
from ..analyses.planning import PlannedModel
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from . import numbers
from .memory import Plot, context_plot, request_words

MOST_SEGMENTS = 6
"""Segments of a bar that are named; the smallest are counted as other."""
OTHER_COMPONENTS = "other"
COMPONENT_WORDS = {"mlp": "dense"}
"""Components that the layers call otherwise."""


@frozen
class Segment(Frozen):
    """A part of a bar."""

    name: str
    size: float
    text: str
    """The size in words."""


@frozen
class Bar(Frozen):
    """One bar of segments."""

    name: str
    segments: tuple[Segment, ...]
    text: str
    """The whole in words."""


@frozen
class BarChart(Frozen):
    """Bars of one scale."""

    title: str
    bars: tuple[Bar, ...]
    limit: Segment | None = None
    """A size that all bars are held against: the memory that may be used."""


@frozen
class ChartSheet(Frozen):
    """Charts below a title."""

    title: str
    subtitle: str
    bars: tuple[BarChart, ...]
    plot: Plot | None = None

    @property
    def summary(self) -> str:
        """Return what the bars say, for those who do not see them."""
        sentences: list[str] = []
        for chart in self.bars:
            for bar in chart.bars:
                parts = ", ".join(f"{s.name} {s.text}" for s in bar.segments)
                sentences.append(f"{chart.title}, {bar.name}: {bar.text} ({parts}).")
        return " ".join(sentences)


def memory_charts(planned: Sequence[PlannedModel], gpu_name: str | None = None) -> ChartSheet:
    """Return the charts of plans: memory of a GPU, parameters, the cache against the context.

    planned: plans under the same request.
    gpu_name: the GPU that was asked for, if any.
    """
    architectures = [(p.name, p.architecture) for p in planned]
    return ChartSheet(
        title=" · ".join(p.name for p in planned),
        subtitle=request_words(planned, gpu_name),
        bars=(memory_bars(planned), parameter_bars(architectures)),
        plot=context_plot(planned),
    )


def memory_bars(planned: Sequence[PlannedModel]) -> BarChart:
    """Return weights, cache and state of one GPU, or of one copy without GPUs."""
    first = planned[0].plan
    title = "memory of one copy"
    limit = None
    if first.budget is not None:
        title = "memory of one GPU"
        text = numbers.size(first.budget)
        name = f"may be used: {text}"
        limit = Segment(name, first.budget, text)
    bars: list[Bar] = []
    for p in planned:
        bar = memory_bar(p.name, p.plan)
        bars.append(bar)
    return BarChart(title, tuple(bars), limit)


def memory_bar(name: str, plan: Plan) -> Bar:
    """Return what a plan takes of one GPU, or of one copy without GPUs."""
    footprint = plan.one_copy if plan.budget is None else plan.per_gpu
    parts = {"weights": footprint.weights, "KV cache": footprint.cache, "state": footprint.state}
    if plan.budget is not None:
        parts["engine"] = plan.reserved
    segments = [Segment(n, size, numbers.size(size)) for n, size in parts.items() if size]
    whole = sum(segment.size for segment in segments)
    return Bar(name, tuple(segments), numbers.size(whole))


def parameter_charts(architectures: Mapping[str, Architecture]) -> ChartSheet:
    """Return the parameters of models by component."""
    title = " · ".join(architectures)
    bars = parameter_bars(list(architectures.items()))
    return ChartSheet(title, "", (bars,))


def parameter_bars(architectures: Sequence[tuple[str, Architecture]]) -> BarChart:
    """Return the parameters of models by component, the same components in the same order.

    architectures: the name of each model and its architecture; names may be alike.
    """
    counts = [(name, count_parameters(a).by_component) for name, a in architectures]
    sums: dict[str, int] = {}
    for _, components in counts:
        for component, n in components.items():
            sums[component] = sums.get(component, 0) + n
    ordered = sorted(sums, key=lambda component: -sums[component])
    named = ordered
    if len(ordered) > MOST_SEGMENTS:
        named = ordered[: MOST_SEGMENTS - 1]
    rest = ", ".join(map(component_words, ordered[len(named) :]))
    other = f"{OTHER_COMPONENTS} ({rest})"
    bars = [parameter_bar(name, components, named, other) for name, components in counts]
    return BarChart("parameters by component", tuple(bars))


def component_words(component: str) -> str:
    """Return the name of a component of a count in the words of the layers."""
    usual = component.replace("_", " ")
    return COMPONENT_WORDS.get(component, usual)


def parameter_bar(
    name: str, components: Mapping[str, int], named: Sequence[str], other: str
) -> Bar:
    """Return the parameters of one model.

    name: the model.
    components: its parameters by component.
    named: the components with a segment of their own.
    other: the name of the segment of all others.
    """
    segments: list[Segment] = []
    for component in named:
        n = components.get(component, 0)
        if n:
            segments.append(Segment(component_words(component), n, numbers.count(n)))
    rest = sum(n for component, n in components.items() if component not in named)
    if rest:
        segments.append(Segment(other, rest, numbers.count(rest)))
    whole = sum(components.values())
    return Bar(name, tuple(segments), numbers.count(whole))
