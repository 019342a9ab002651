"""Queries about the layers of an architecture that several rooms ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from .schema import Architecture, LayerKind, Mixer, MoE


def run_lengths(layers: Iterable[str]) -> list[list[Any]]:
    """Return the layers as runs: [[3, "full_dense"], [58, "full_moe"]]."""
    runs: list[list[Any]] = []
    for kind, group in groupby(layers):
        count = len(list(group))
        runs.append([count, kind])
    return runs


def has_experts(a: Architecture) -> bool:
    """Return whether a feed-forward block is a mixture of experts."""
    return any(isinstance(block, MoE) for block in a.ffns.values())


def mixer_names(a: Architecture, kind: str) -> list[str]:
    """Return the names of the mixers that a kind of layer uses, in the order of its wiring."""
    names: list[str] = []
    for step in a.layer_kinds[kind].steps:
        for branch in step.branches:
            group, _, name = branch.block.partition(".")
            if group == "mixers":
                names.append(name)
    return names


def layers_by_mixer(a: Architecture) -> Counter[str]:
    """Return how many layers use each mixer, by name, in the order of their first use."""
    counts: Counter[str] = Counter()
    kinds = Counter(a.layers)
    for kind, layers in kinds.items():
        for name in mixer_names(a, kind):
            counts[name] += layers
    return counts


def runs_by_mixer(a: Architecture) -> Counter[str]:
    """Return how often layers run each mixer for a token, by name.

    That is the number of layers, unless some run several times.
    """
    counts: Counter[str] = Counter()
    for kind, layers in Counter(a.layers).items():
        for name in mixer_names(a, kind):
            counts[name] += layers * a.layer_kinds[kind].runs
    return counts


def used_mixers(a: Architecture) -> dict[str, Mixer]:
    """Return the mixers that layers use by name, in the order of their first use."""
    return {name: a.mixers[name] for name in layers_by_mixer(a)}


def norm_places(kind: LayerKind) -> list[str | None]:
    """Return the norm at each place of a kind of layer by its name in `norms`, None for no norm."""
    places: list[str | None] = []
    for step in kind.steps:
        around = [step.pre_norm, step.join_norm, step.after_norm]
        places += around
        for branch in step.branches:
            places.append(branch.pre_norm)
            places.append(branch.post_norm)
    return places


def is_whole(a: Architecture) -> bool:
    """Return whether every kind of layer and every block that layers name is there."""
    for kind in set(a.layers):
        if kind not in a.layer_kinds:
            return False
    for kind in a.layer_kinds.values():
        for step in kind.steps:
            for branch in step.branches:
                group, _, name = branch.block.partition(".")
                if name not in getattr(a, group):
                    return False
    return True
