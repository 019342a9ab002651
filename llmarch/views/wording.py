"""Words for a whole architecture: recipe of layers, pattern, norm placement, headline.

Words for single blocks are in architecture/wording. Pure, like all views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import TypeVar

from ..architecture.layers import mixer_names
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Dense,
    LinearAttention,
    Mixer,
    MoE,
    Step,
)
from ..architecture.wording.feed_forward import ffn_word
from ..architecture.wording.mixers import Softmax, mixer_title, mixer_word

T = TypeVar("T", bound=Hashable)

MOST_RUNS = 4
"""Runs of equal layers that the recipe names in order; of more runs it counts the kinds."""

PLACEMENTS = {
    (True, False): "pre-norm",
    (False, True): "post-norm inside the residual",
    (True, True): "sandwich (pre and post)",
    (False, False): "no norm",
}
"""Where norms sit: (before the block, between block and addition)."""


# Mixers


def used_mixer_names(a: Architecture) -> list[str]:
    """Return the names of the mixers that layers use, in order of first use."""
    kinds = dict.fromkeys(a.layers)
    return list(dict.fromkeys(name for kind in kinds for name in mixer_names(a, kind)))


def softmax_mixers(a: Architecture) -> dict[str, Softmax]:
    """Return the mixers that layers use and that have a cache of keys and values, by name."""
    found: dict[str, Softmax] = {}
    for name in used_mixer_names(a):
        m = a.mixers[name]
        if not isinstance(m, LinearAttention):
            found[name] = m
    return found


def position_kind(a: Architecture, m: Mixer) -> str:
    """Return `RoPE`, `NoPE`, `learned`, or `none` for linear attention."""
    if isinstance(m, LinearAttention):
        return "none"
    if m.rope:
        return "RoPE"
    return "learned" if a.embedding.positions else "NoPE"


def positions(a: Architecture) -> str | None:
    """Return the positions of attention layers: `RoPE`, `27 layers RoPE, 9 NoPE`."""
    if a.embedding.positions:
        return f"learned, {a.embedding.positions:,} rows"
    counts: Counter[str] = Counter()
    for kind in a.layers:
        counts.update({position_kind(a, a.mixers[name]) for name in mixer_names(a, kind)})
    del counts["none"]
    if not counts:
        return None
    if len(counts) == 1:
        return "none (NoPE)" if "NoPE" in counts else next(iter(counts))
    (first, layers), *others = counts.most_common()
    return ", ".join([f"{layers} layers {first}", *(f"{n} {kind}" for kind, n in others)])


def nope_layers(a: Architecture) -> str | None:
    """Return `9 of 36`, where only some attention layers have no rotary positions."""
    mixers = [a.mixers[name] for kind in a.layers for name in mixer_names(a, kind)]
    rotary = [m.rope is not None for m in mixers if not isinstance(m, LinearAttention)]
    if a.embedding.positions or all(rotary):
        return None
    return f"{rotary.count(False)} of {len(a.layers)}"


# Layers


def block_word(a: Architecture, block: Mixer | FFN) -> str:
    """Return a block as the recipe names it; `(NoPE)` where other mixers have positions."""
    if isinstance(block, (Dense, MoE)):
        return ffn_word(block)
    word = mixer_word(block)
    if position_kind(a, block) != "NoPE":
        return word
    others = [m for m in a.mixers.values() if not isinstance(m, LinearAttention)]
    return f"{word} (NoPE)" if any(m.rope for m in others) else word


def kind_word(a: Architecture, kind: str) -> str:
    """Return one kind of layer: `GQA + MoE`; parallel branches are joined by `∥`."""
    words: list[str] = []
    for step in a.layer_kinds[kind].steps:
        word = " ∥ ".join(block_word(a, a.block(branch.block)) for branch in step.branches)
        words.append(word if step.skip_from is None else f"{word} (shortcut)")
    return " + ".join(words)


def kinds_with(a: Architecture, block: str) -> list[str]:
    """Return the kinds of layers that layers have and that run a block: `mixers.full`."""
    found: list[str] = []
    for kind in dict.fromkeys(a.layers):
        branches = [branch for step in a.layer_kinds[kind].steps for branch in step.branches]
        if any(branch.block == block for branch in branches):
            found.append(kind)
    return found


def recipe(a: Architecture) -> list[tuple[int, str]]:
    """Return the runs of equal layers in order, or how many there are of each kind."""
    words = [kind_word(a, kind) for kind in a.layers]
    runs = [(len(list(group)), word) for word, group in groupby(words)]
    if len(runs) <= MOST_RUNS:
        return runs
    return [(words.count(word), word) for word in dict.fromkeys(words)]


def period(items: Sequence[T]) -> int | None:
    """Return the length of the shortest pattern that items repeat, None if there is none.

    The last repetition may be cut short.
    """
    for length in range(2, len(items) // 2 + 1):
        if all(item == items[i % length] for i, item in enumerate(items)):
            return length if len(set(items)) > 1 else None
    return None


def pattern(a: Architecture) -> str | None:
    """Return how mixers alternate: `5 sliding : 1 full`; None where they do not, regularly."""
    mixers = [mixer_names(a, kind) for kind in a.layers]
    names = [first.replace("nope", "NoPE") for first, *_ in filter(None, mixers)]
    length = period(names)
    if not length:
        return None
    return " : ".join(f"{len(list(group))} {name}" for name, group in groupby(names[:length]))


def first_moe(a: Architecture) -> MoE | None:
    """Return the first mixture of experts, None where all blocks are dense."""
    return next((f for f in a.ffns.values() if isinstance(f, MoE)), None)


def headline(a: Architecture) -> str:
    """Return one line: `Sparse MoE decoder with grouped-query attention`."""
    mixers = [a.mixers[name] for name in used_mixer_names(a)]
    kind = "Sparse MoE" if first_moe(a) else "Dense"
    if len({isinstance(m, LinearAttention) for m in mixers}) > 1:
        kind += " hybrid"
    titles = dict.fromkeys(map(mixer_title, mixers))
    text = f"{kind} decoder with {' and '.join(titles)}"
    reach = partial_reach(mixers)
    if reach:
        text += f" ({reach})"
    if a.towers:
        text += f", and a {' and '.join(a.towers)} encoder"
    return text


def partial_reach(mixers: Sequence[Mixer]) -> str:
    """Return what limits the reach of attention: `sliding windows on some layers`, or nothing."""
    softmax = [m for m in mixers if isinstance(m, Attention)]
    windows = {m.window for m in softmax}
    chunks = {m.chunk for m in softmax}
    if len(windows) > 1:
        return "sliding windows on some layers"
    if windows - {None}:
        return "sliding windows"
    return "chunked on some layers" if len(chunks) > 1 else ""


def state_word(a: Architecture) -> str:
    """Return what the part of the cache that does not grow is called."""
    mixers = a.mixers.values()
    if any(isinstance(m, CompressedAttention) for m in mixers):
        return "compressor state"
    if any(isinstance(m, LinearAttention) for m in mixers):
        return "recurrent state"
    return "encoder's keys and values"


# Norms and the residual stream


def step_placement(s: Step) -> str:
    """Return where the norms of a step sit: `pre-norm`, `parallel, post-norm`."""
    before = bool(s.pre_norm or s.skip_from is not None or any(b.pre_norm for b in s.branches))
    inside = bool(s.join_norm or any(b.post_norm for b in s.branches))
    word = PLACEMENTS[before, inside]
    if s.residual == "after_norm":
        word = "post-norm (the stream continues from the norm)"
    elif s.after_norm:
        word = "post-norm"
    return f"parallel, {word}" if len(s.branches) > 1 else word


def norm_placement(a: Architecture) -> str:
    """Return where norms sit over all layers; several answers are joined by ` / `."""
    steps = [step for kind in dict.fromkeys(a.layers) for step in a.layer_kinds[kind].steps]
    return " / ".join(dict.fromkeys(map(step_placement, steps)))


def stream_factors(a: Architecture) -> list[str]:
    """Return fixed and learned factors on the residual stream, with the steps that have them.

    `blocks × 0.22` where all steps have it, else `stream × 0.707107 (attention ∥ Laurel)`.
    """
    kinds = [a.layer_kinds[k] for k in dict.fromkeys(a.layers)]
    steps_by_factors: dict[str, dict[str, None]] = {}
    for kind in kinds:
        for step in kind.steps:
            steps_by_factors.setdefault(step_factors(step), {})[step_word(a, step)] = None
    words: list[str] = []
    for factors, steps in steps_by_factors.items():
        if factors and len(steps_by_factors) == 1:
            words.append(factors)
        elif factors:
            words.append(f"{factors} ({', '.join(steps)})")
    if any(kind.learned_scale for kind in kinds):
        words.append("layers × one learned number")
    return words


def step_factors(s: Step) -> str:
    """Return `blocks × 0.22`, `stream × 3.55656`, both, or nothing for a step without factors."""
    scales = " / ".join(dict.fromkeys(f"{b.scale:g}" for b in s.branches))
    stream = f"{s.skip_scale:g}"
    words: list[str] = []
    if scales == stream != "1":
        words.append(f"blocks and stream × {stream}")
    elif scales != stream:
        if scales != "1":
            words.append(f"blocks × {scales}")
        if stream != "1":
            words.append(f"stream × {stream}")
    return ", ".join(words)


def step_word(a: Architecture, s: Step) -> str:
    """Return the blocks of a step in short: `attention ∥ Laurel`, `MoE`."""
    words: list[str] = []
    for branch in s.branches:
        block = a.block(branch.block)
        words.append(ffn_word(block) if isinstance(block, (Dense, MoE)) else "attention")
    return " ∥ ".join(words)
