"""Figures of made-up architectures: whatever is wired how, nothing is over anything else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from helpers.facts import reading
from helpers.figures import problems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmarch.architecture.schema import (
    FFN,
    Architecture,
    Branch,
    Encoder,
    LayerKind,
    Mixer,
    Norm,
    Residual,
    Step,
)
from llmarch.layout.compose import drawing
from llmarch.views.figure import figure

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

SOURCES = (
    "gpt2",
    "deepseek-v3.2",
    "deepseek-v4-flash",
    "gemma3n-e2b",
    "gemma4-26b",
    "longcat-flash",
    "minimax-m1",
    "minimax-m3",
    "nemotron-3-nano",
    "qwen3-next",
    "kimi-linear",
    "lfm2-1.2b",
    "qwen3-vl-8b",
)
"""Models whose blocks are wired anew."""
NORMS = {"rms": Norm(kind="rmsnorm", eps=1e-6), "layer": Norm(kind="layernorm", bias=True)}


@cache
def mixers() -> dict[str, Mixer]:
    return {
        f"{alias}_{name}": replace(mixer, kv_from=None) if hasattr(mixer, "kv_from") else mixer
        for alias in SOURCES
        for name, mixer in reading(alias).architecture.mixers.items()
    }


@cache
def ffns() -> dict[str, FFN]:
    return {
        f"{alias}_{name}": ffn
        for alias in SOURCES
        for name, ffn in reading(alias).architecture.ffns.items()
    }


@cache
def towers() -> dict[str, Encoder]:
    return {
        f"{name}{i}": tower
        for i, alias in enumerate(("gemma3n-e2b", "qwen3-vl-8b"))
        for name, tower in reading(alias).architecture.towers.items()
    }


NORM = st.sampled_from([None, "rms", "layer"])
SCALE = st.sampled_from([1.0, 0.22, 3.5566])


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    blocks = [f"mixers.{name}" for name in mixers()] + [f"ffns.{name}" for name in ffns()]
    return Branch(
        block=draw(st.sampled_from(blocks)),
        pre_norm=draw(NORM),
        post_norm=draw(NORM),
        scale=draw(SCALE),
    )


@st.composite
def layer_kinds(draw: st.DrawFn) -> LayerKind:
    steps: list[Step] = []
    for i in range(draw(st.integers(1, 5))):
        many = draw(st.lists(branches(), min_size=1, max_size=3))
        earlier = [k for k in range(i) if steps[k].skip_from is None]
        skip = draw(st.sampled_from([None, None, *earlier])) if i else None
        steps.append(
            Step(
                branches=tuple(many),
                pre_norm=draw(NORM),
                join_norm=draw(NORM),
                after_norm=draw(NORM),
                skip_from=skip,
                residual=draw(st.sampled_from(["plain", "plain", "after_norm"])),
                skip_scale=draw(SCALE),
            )
        )
    return LayerKind(steps=tuple(steps), learned_scale=draw(st.booleans()))


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    base = reading(draw(st.sampled_from(SOURCES))).architecture
    kinds = draw(st.lists(layer_kinds(), min_size=1, max_size=4))
    named = {f"kind{i}": kind for i, kind in enumerate(kinds)}
    order = draw(st.lists(st.sampled_from(list(named)), min_size=len(named), max_size=12))
    residual = draw(
        st.sampled_from(
            [
                Residual(kind="plain"),
                Residual(kind="plain"),
                Residual(kind="hyper", streams=4, iterations=20, eps=1e-6),
                Residual(kind="hyper", streams=2, iterations=20, eps=1e-6),
                Residual(kind="altup", streams=4, active=0),
            ]
        )
    )
    used = {b.block for kind in kinds for step in kind.steps for b in step.branches}
    names = draw(st.lists(st.sampled_from(list(towers())), unique=True, max_size=3))
    return replace(
        base,
        mixers={name: m for name, m in mixers().items() if f"mixers.{name}" in used},
        ffns={name: f for name, f in ffns().items() if f"ffns.{name}" in used},
        norms={**base.norms, **NORMS},
        layer_kinds=named,
        layers=(*named, *order),
        residual=residual,
        mtp=None,
        towers={name: towers()[name] for name in names},
    )


SETTINGS = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def found(*architectures: Architecture, narrow: bool = False) -> list[str]:
    readings = [replace(reading("gpt2"), architecture=a) for a in architectures]
    return problems(drawing(figure(readings), narrow=narrow))


@SETTINGS
@given(architectures(), st.booleans())
def test_any_wiring_is_drawn_clearly(a: Architecture, narrow: bool) -> None:
    assert found(a, narrow=narrow) == []


@pytest.mark.slow
@settings(SETTINGS, max_examples=20)
@given(architectures(), st.sampled_from(SOURCES))
def test_any_wiring_stands_beside_a_model(a: Architecture, alias: str) -> None:
    assert found(a, reading(alias).architecture) == []
