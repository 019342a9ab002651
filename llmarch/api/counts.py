"""Parameters of a model and of its layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from ..analyses.parameters import Parameters, count_layer, count_parameters
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from ..views.brief import mtp_parameters
from ..views.layer_kinds import distinct_kind_words


@frozen
class ParameterCounts(Parameters):
    """Counts of elements, each by its convention (docs/conventions.md)."""

    stored: int | None
    """Elements of every tensor in the checkpoint; None if no headers were read."""


@frozen
class ModelLayer(Frozen):
    """One layer of the decoder."""

    index: int
    """Number of the layer, from 0."""
    kind: str
    """Name in `architecture.layer_kinds`."""
    words: str
    """Its blocks in words: `GQA + MoE`."""
    mixers: tuple[str, ...]
    """Names in `architecture.mixers`."""
    ffns: tuple[str, ...]
    """Names in `architecture.ffns`."""
    parameters: int
    """Parameters of the layer."""


def parameter_counts(r: Reading) -> ParameterCounts:
    """Return the parameter counts of a model, with what its headers tell."""
    counted = count_parameters(r.architecture)
    values = {f.name: getattr(counted, f.name) for f in fields(counted)}
    values["mtp"] = mtp_parameters(r, counted.mtp)
    stored = r.check.stored if r.check is not None else None
    return ParameterCounts(**values, stored=stored)


def list_layers(a: Architecture) -> list[ModelLayer]:
    """Return the layers of the decoder, from the first."""
    words = distinct_kind_words(a)
    parameters = {kind: Counter(count_layer(a, kind)).total() for kind in words}
    ffns = {kind: ffn_names(a, kind) for kind in words}
    layers: list[ModelLayer] = []
    for i, kind in enumerate(a.layers):
        layers.append(
            ModelLayer(
                index=i,
                kind=kind,
                words=words[kind],
                mixers=tuple(mixer_names(a, kind)),
                ffns=ffns[kind],
                parameters=parameters[kind],
            )
        )
    return layers


def ffn_names(a: Architecture, kind: str) -> tuple[str, ...]:
    """Return the names of the feed-forward blocks of a kind of layer, in order."""
    names: list[str] = []
    for step in a.layer_kinds[kind].steps:
        for branch in step.branches:
            group, _, name = branch.block.partition(".")
            if group == "ffns":
                names.append(name)
    return tuple(names)
