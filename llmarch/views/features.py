"""Features of architectures by date: which model was first with each, and how many have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import used_mixers
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    Dense,
    LinearAttention,
    Mixer,
    MoE,
)
from ..checkpoint.reading import Reading
from .bundled import attention_kinds
from .wording import norm_placements

UNKNOWN_DATE = "9999"
"""Sorts models without a date behind all others."""
MANY_EXPERTS = 128
LONG_CONTEXT = 2**20


class Feature(NamedTuple):
    """One feature, and how it is told whether an architecture has it."""

    title: str
    is_in: Callable[[Architecture], bool]


@frozen
class DatedFeature(Frozen):
    """A feature with the models that have it, among those that are looked at."""

    title: str
    first: tuple[int, ...]
    """Numbers of the models that may be the first with it, as far as dates are known."""
    date: str
    """When these were released, the year if the months differ; empty if it is not known."""
    models: tuple[int, ...]
    """Numbers of all models with it."""
    years: tuple[int, ...]
    """How many of each year's models have it, in the order of `FeatureTable.years`."""


@frozen
class FeatureTable(Frozen):
    """Features by the date of the first model with each."""

    years: tuple[str, ...]
    totals: tuple[int, ...]
    """Models of each year."""
    features: tuple[DatedFeature, ...]


def has(test: Callable[[Architecture], object]) -> Callable[[Architecture], bool]:
    """Return what tells whether an architecture passes a test."""
    return lambda a: bool(test(a))


def has_kind(kind: str) -> Callable[[Architecture], bool]:
    """Return what tells whether layers have a kind of attention, as `list --attention` takes it."""
    return lambda a: kind in attention_kinds(a)


def has_mixer(test: Callable[[Mixer], object]) -> Callable[[Architecture], bool]:
    """Return what tells whether a mixer that layers use passes a test."""
    return lambda a: any(test(mixer) for mixer in used_mixers(a).values())


def has_ffn(test: Callable[[FFN], object]) -> Callable[[Architecture], bool]:
    """Return what tells whether a feed-forward block that layers use passes a test."""
    return lambda a: any(test(ffn) for ffn in used_ffns(a))


def used_ffns(a: Architecture) -> list[FFN]:
    """Return the feed-forward blocks that layers use."""
    found: list[FFN] = []
    for kind in dict.fromkeys(a.layers):
        found += [block for block in a.blocks_of(kind) if isinstance(block, (Dense, MoE))]
    return found


def has_moe(test: Callable[[MoE], object]) -> Callable[[Architecture], bool]:
    """Return what tells whether a mixture of experts that layers use passes a test."""
    return has_ffn(lambda ffn: isinstance(ffn, MoE) and test(ffn))


def has_norms(words: str) -> Callable[[Architecture], bool]:
    """Return what tells whether norms sit in a place, by its words."""
    return lambda a: words in norm_placements(a)


def has_norm_kind(kind: str) -> Callable[[Architecture], bool]:
    """Return what tells whether the final norm is of a kind."""
    return lambda a: a.final_norm is not None and a.norms[a.final_norm].kind == kind


def is_hybrid(a: Architecture) -> bool:
    """Return whether an architecture has linear attention beside attention with a cache."""
    linear = {isinstance(mixer, LinearAttention) for mixer in used_mixers(a).values()}
    return len(linear) > 1


FEATURES = (
    Feature("learned absolute positions", has(lambda a: a.embedding.positions is not None)),
    Feature("RoPE", has_mixer(lambda m: getattr(m, "rope", None))),
    Feature("RoPE scaled by YaRN", has_mixer(lambda m: kind_of_scaling(m) == "yarn")),
    Feature("layers without positions (NoPE)", has_kind("nope")),
    Feature("multi-head attention", has_kind("mha")),
    Feature("multi-query attention", has_kind("mqa")),
    Feature("grouped-query attention", has_kind("gqa")),
    Feature("multi-head latent attention (MLA)", has_kind("mla")),
    Feature("sliding windows", has_kind("sliding")),
    Feature("chunked attention", has_kind("chunked")),
    Feature("sparse attention with an indexer", has_kind("sparse")),
    Feature("compressed attention", has_kind("compressed")),
    Feature("QK-norm", has_mixer(lambda m: isinstance(m, Attention) and m.qk_norm)),
    Feature("attention sinks", has_mixer(lambda m: getattr(m, "sinks", False))),
    Feature("gated attention", has_mixer(lambda m: isinstance(m, Attention) and m.gate)),
    Feature("linear attention beside attention", is_hybrid),
    Feature("Mamba-2", has_kind("mamba2")),
    Feature("gated DeltaNet", has_kind("gated_deltanet")),
    Feature("Kimi Delta Attention", has_kind("kda")),
    Feature("lightning attention", has_kind("lightning")),
    Feature("mixture of experts", has_moe(lambda moe: moe.experts)),
    Feature("shared experts", has_moe(lambda moe: moe.shared_experts)),
    Feature(f"{MANY_EXPERTS} experts or more", has_moe(lambda moe: moe.experts >= MANY_EXPERTS)),
    Feature("sigmoid router", has_moe(lambda moe: moe.router.scoring == "sigmoid")),
    Feature("router bias for balance", has_moe(lambda moe: moe.router.selection_bias)),
    Feature("experts in a latent space", has_moe(lambda moe: moe.latent_width)),
    Feature("gated feed-forward (SwiGLU, GeGLU)", has_ffn(lambda ffn: ffn.gated)),
    Feature("LayerNorm", has_norm_kind("layernorm")),
    Feature("RMSNorm", has_norm_kind("rmsnorm")),
    Feature("sandwich norms", has_norms("sandwich")),
    Feature("post-norm", has_norms("post-norm")),
    Feature("tied embedding", has(lambda a: a.embedding.tied)),
    Feature("per-layer embeddings", has(lambda a: a.embedding.per_layer is not None)),
    Feature("multi-token prediction", has(lambda a: a.mtp is not None)),
    Feature("hyper-connections", has(lambda a: a.residual.kind == "hyper")),
    Feature("encoder of images or sounds", has(lambda a: bool(a.towers))),
    Feature("context of a million tokens", has(lambda a: (a.context_length or 0) >= LONG_CONTEXT)),
)
"""Features in the order of their subjects."""


def kind_of_scaling(mixer: Mixer) -> str | None:
    """Return the kind of a mixer's RoPE scaling; None without one."""
    rope = getattr(mixer, "rope", None)
    if rope is None or rope.scaling is None:
        return None
    return rope.scaling.kind


def release_order(released: str | None) -> str:
    """Return what sorts models by date: `2025` stands behind the months of 2025."""
    if not released:
        return UNKNOWN_DATE
    return released if len(released) > 4 else f"{released}-99"


def feature_table(readings: Sequence[Reading]) -> FeatureTable:
    """Return the features that models have, by the date of the first with each.

    A date may be a year alone: then the model may be older than one of a month of that year, and
    both may be the first.
    """
    dates = [r.raw.released or "" for r in readings]
    years = sorted({date[:4] for date in dates if date})
    found: list[DatedFeature] = []
    for feature in FEATURES:
        having = [i for i, r in enumerate(readings) if feature.is_in(r.architecture)]
        if having:
            found.append(dated_feature(feature.title, having, dates, years))
    found.sort(key=lambda feature: feature.date or UNKNOWN_DATE)
    totals = [sum(date[:4] == year for date in dates) for year in years]
    return FeatureTable(tuple(years), tuple(totals), tuple(found))


def dated_feature(
    title: str, having: Sequence[int], dates: Sequence[str], years: Sequence[str]
) -> DatedFeature:
    """Return a feature with its first models.

    title: its name.
    having: numbers of the models that have it.
    dates: the date of each model, empty if it is not known.
    years: the years that are counted.
    """
    first = possible_first(having, dates)
    known = {dates[i] for i in first}
    date = known.pop() if len(known) == 1 else dates[first[0]][:4]
    counts = [sum(dates[i][:4] == year for i in having) for year in years]
    return DatedFeature(title, tuple(first), date, tuple(having), tuple(counts))


def possible_first(having: Sequence[int], dates: Sequence[str]) -> list[int]:
    """Return the models that may be the oldest: no other one is older for certain."""
    sure = min(release_order(dates[i]) for i in having)
    return [i for i in having if (dates[i] or UNKNOWN_DATE) <= sure]
