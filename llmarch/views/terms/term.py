"""What a term of the glossary is, and how it is told whether an architecture has the thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...architecture.layers import used_mixers
from ...architecture.schema import (
    FFN,
    Architecture,
    Attention,
    Dense,
    LinearAttention,
    Mixer,
    MoE,
)
from ..bundled import attention_kinds
from ..wording import norm_placements

Test = Callable[[Architecture], bool]
"""Returns whether an architecture has something."""


class Term(NamedTuple):
    """A word that people meet in `show`, `diff` or a paper."""

    name: str
    meaning: str
    """What it is, in one to three sentences."""
    also: tuple[str, ...] = ()
    """Other words for it, and lines of `show` that it explains."""
    formula: str = ""
    why: str = ""
    """Why models have it."""
    described: str = ""
    """Where it was described first, or best."""
    facts: tuple[str, ...] = ()
    """Paths of the facts that say it, with `*` for names."""
    is_in: Test | None = None
    """Tells which models have it; None for what all have, or none."""
    feature: str = ""
    """Its title on the gallery's timeline; empty: it is not there."""


def has(test: Callable[[Architecture], object]) -> Test:
    """Return what tells whether an architecture passes a test."""
    return lambda a: bool(test(a))


def has_kind(kind: str) -> Test:
    """Return what tells whether layers have a kind of attention, as `list --attention` takes it."""
    return lambda a: kind in attention_kinds(a)


def has_mixer(test: Callable[[Mixer], object]) -> Test:
    """Return what tells whether a mixer that layers use passes a test."""
    return lambda a: any(test(mixer) for mixer in used_mixers(a).values())


def has_attention(test: Callable[[Attention], object]) -> Test:
    """Return what tells whether MHA, GQA or MQA that layers use passes a test."""
    return has_mixer(lambda mixer: isinstance(mixer, Attention) and test(mixer))


def has_field(name: str) -> Test:
    """Return what tells whether a mixer that layers use has a fact that is set."""
    return has_mixer(lambda mixer: getattr(mixer, name, None))


def has_scaling(kind: str) -> Test:
    """Return what tells whether RoPE of a mixer is scaled in a way."""
    return has_mixer(lambda mixer: kind_of_scaling(mixer) == kind)


def kind_of_scaling(mixer: Mixer) -> str | None:
    """Return the kind of a mixer's RoPE scaling; None without one."""
    rope = getattr(mixer, "rope", None)
    if rope is None or rope.scaling is None:
        return None
    return rope.scaling.kind


def has_ffn(test: Callable[[FFN], object]) -> Test:
    """Return what tells whether a feed-forward block that layers use passes a test."""
    return lambda a: any(test(ffn) for ffn in used_ffns(a))


def used_ffns(a: Architecture) -> list[FFN]:
    """Return the feed-forward blocks that layers use."""
    found: list[FFN] = []
    for kind in dict.fromkeys(a.layers):
        found += [block for block in a.blocks_of(kind) if isinstance(block, (Dense, MoE))]
    return found


def has_moe(test: Callable[[MoE], object]) -> Test:
    """Return what tells whether a mixture of experts that layers use passes a test."""
    return has_ffn(lambda ffn: isinstance(ffn, MoE) and test(ffn))


def has_norms(words: str) -> Test:
    """Return what tells whether norms sit in a place, by its words."""
    return lambda a: words in norm_placements(a)


def has_norm_kind(kind: str) -> Test:
    """Return what tells whether the final norm is of a kind."""
    return lambda a: a.final_norm is not None and a.norms[a.final_norm].kind == kind


def has_parallel_step(a: Architecture) -> bool:
    """Return whether a step of a layer has several branches."""
    kinds = [a.layer_kinds[kind] for kind in dict.fromkeys(a.layers)]
    return any(len(step.branches) > 1 for kind in kinds for step in kind.steps)


def has_branch_scale(a: Architecture) -> bool:
    """Return whether what a block adds to the stream has a fixed factor."""
    kinds = [a.layer_kinds[kind] for kind in dict.fromkeys(a.layers)]
    steps = [step for kind in kinds for step in kind.steps]
    return any(branch.scale != 1 for step in steps for branch in step.branches)


def is_hybrid(a: Architecture) -> bool:
    """Return whether an architecture has linear attention beside attention with a cache."""
    kinds: set[bool] = set()
    for mixer in used_mixers(a).values():
        is_linear = isinstance(mixer, LinearAttention)
        kinds.add(is_linear)
    return len(kinds) > 1


def has_one_block(a: Architecture) -> bool:
    """Return whether every layer is one block."""
    return all(len(a.blocks_of(kind)) == 1 for kind in dict.fromkeys(a.layers))


def layers_with_experts(a: Architecture) -> list[bool]:
    """Return of each layer with a feed-forward block whether it has experts."""
    found: list[bool] = []
    for kind in a.layers:
        ffns = [block for block in a.blocks_of(kind) if isinstance(block, (Dense, MoE))]
        if ffns:
            found.append(any(isinstance(ffn, MoE) for ffn in ffns))
    return found


def has_dense_prefix(a: Architecture) -> bool:
    """Return whether the first layers are dense and all later ones have experts."""
    experts = layers_with_experts(a)
    if True not in experts:
        return False
    first = experts.index(True)
    rest = experts[first:]
    return first > 0 and all(rest)


def has_interleaved_experts(a: Architecture) -> bool:
    """Return whether dense layers follow layers with experts."""
    experts = layers_with_experts(a)
    if True not in experts:
        return False
    first = experts.index(True)
    rest = experts[first:]
    return not all(rest)
