"""Words for a whole architecture: recipe of layers, pattern, norm placement, headline.

Words for single blocks are in architecture/wording. Pure, like all views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

from ..architecture.layers import mixer_names
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
    Step,
)
from ..architecture.wording.feed_forward import ffn_word
from ..architecture.wording.mixers import Softmax, mixer_title, mixer_word
from ..architecture.wording.names import name_title
from ..architecture.wording.positions import absolute_kind
from .numbers import plural

T = TypeVar("T", bound=Hashable)

NOPE = "NoPE"
"""Positions of softmax attention that has none."""
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
    names: dict[str, None] = {}
    kinds = dict.fromkeys(a.layers)
    for kind in kinds:
        used = mixer_names(a, kind)
        names |= dict.fromkeys(used)
    return list(names)


def softmax_mixers(a: Architecture) -> dict[str, Softmax]:
    """Return the mixers that layers use and that have a cache of keys and values, by name."""
    found: dict[str, Softmax] = {}
    for name in used_mixer_names(a):
        m = a.mixers[name]
        if not isinstance(m, LinearAttention):
            found[name] = m
    return found


def position_kind(a: Architecture, m: Mixer) -> str:
    """Return `RoPE`, `ALiBi`, `NoPE`, `learned`, `sinusoidal`, or `none` for linear layers."""
    if isinstance(m, LinearAttention):
        return "none"
    if m.rope:
        return "RoPE"
    if isinstance(m, Attention) and m.alibi is not None:
        return "ALiBi"
    return absolute_kind(a.embedding) or NOPE


def positions(a: Architecture) -> str | None:
    """Return the positions of attention layers: `RoPE`, `27 layers RoPE, 9 NoPE`.

    With a table of learned positions also where there are rotary ones beside it.
    """
    table = ""
    if a.embedding.positions:
        table = f"learned, {a.embedding.positions:,} rows"
    elif a.embedding.sinusoidal:
        table = "sinusoidal"
    counts = layers_by_position(a)
    del counts["learned"], counts["sinusoidal"]
    if not counts:
        return table or None
    (first, layers), *others = counts.most_common()
    words = [first]
    are_all = layers == len(a.layers)
    if others or (table and not are_all):
        words = [f"{plural(layers, 'layer')} {first}"]
    words += [f"{count} {kind}" for kind, count in others]
    if table:
        words.insert(0, table)
    elif words == [NOPE]:
        return "none (NoPE)"
    return ", ".join(words)


def layers_by_position(a: Architecture) -> Counter[str]:
    """Return how many layers have each kind of positions; linear attention has none."""
    counts: Counter[str] = Counter()
    for kind, layers in Counter(a.layers).items():
        mixers = [a.mixers[name] for name in mixer_names(a, kind)]
        for position in {position_kind(a, m) for m in mixers}:
            counts[position] += layers
    del counts["none"]
    return counts


def nope_layers(a: Architecture) -> str | None:
    """Return `9 of 36`, where only some attention layers have no rotary positions."""
    counts = layers_by_position(a)
    if not counts[NOPE]:
        return None
    return f"{counts[NOPE]} of {len(a.layers)}"


# Layers


def block_word(a: Architecture, block: Mixer | FFN) -> str:
    """Return a block as the recipe names it; `(NoPE)` where other mixers have positions."""
    if isinstance(block, (Dense, MoE)):
        return ffn_word(block)
    word = mixer_word(block)
    others = [m for m in a.mixers.values() if not isinstance(m, LinearAttention)]
    if position_kind(a, block) == NOPE and any(m.rope for m in others):
        return f"{word} (NoPE)"
    return word


def kind_word(a: Architecture, kind: str) -> str:
    """Return one kind of layer: `GQA + MoE`; parallel branches are joined by `∥`."""
    words: list[str] = []
    for step in a.layer_kinds[kind].steps:
        blocks = [a.block(branch.block) for branch in step.branches]
        word = " ∥ ".join(block_word(a, block) for block in blocks)
        if step.skip_from is not None:
            word += " (shortcut)"
        words.append(word)
    return " + ".join(words)


def kinds_with(a: Architecture, block: str) -> list[str]:
    """Return the kinds of layers that layers have and that run a block: `mixers.full`."""
    found: list[str] = []
    kinds = dict.fromkeys(a.layers)
    for kind in kinds:
        layer_kind = a.layer_kinds[kind]
        blocks: set[str] = set()
        for step in layer_kind.steps:
            for branch in step.branches:
                blocks.add(branch.block)
        if block in blocks:
            found.append(kind)
    return found


def recipe(a: Architecture) -> list[tuple[int, str]]:
    """Return the runs of layers of one recipe in order, or how many layers each recipe has."""
    by_kind = {kind: kind_word(a, kind) for kind in dict.fromkeys(a.layers)}
    return layer_runs([by_kind[kind] for kind in a.layers])


def layer_runs(words: Sequence[str]) -> list[tuple[int, str]]:
    """Return the runs of equal layers in order, or how many there are of each kind.

    words: the kind of each layer in words.
    """
    runs: list[tuple[int, str]] = []
    for word, group in groupby(words):
        length = len(list(group))
        runs.append((length, word))
    if len(runs) <= MOST_RUNS:
        return runs
    return [(words.count(word), word) for word in dict.fromkeys(words)]


def period(items: Sequence[T]) -> int | None:
    """Return the length of the shortest pattern that items repeat, None if there is none.

    The last repetition may be cut short.
    """
    whole = list(items)
    count = len(whole)
    if len(set(whole)) < 2:
        return None
    for length in range(2, count // 2 + 1):
        repeated = [whole[i % length] for i in range(count)]
        if repeated == whole:
            return length
    return None


def pattern(a: Architecture) -> str | None:
    """Return how mixers alternate: `5 sliding : 1 full`; None where they do not, regularly.

    A last group that is another one is named: `3 linear : 1 full, the last group 2 : 1`.
    """
    names: list[str] = []
    for kind in a.layers:
        first = mixer_names(a, kind)[:1]
        names += first
    length = period(names)
    if length is None:
        return uneven_pattern(names)
    group = names[:length]
    whole = len(names) // length * length
    rest = names[whole:]
    words = mixer_group_words(group)
    if rest:
        last = mixer_group_words(rest)
        words = f"{words}, the last group {last}"
    return words


def uneven_pattern(names: Sequence[str]) -> str | None:
    """Return a pattern whose last group has the same mixers in other numbers; None without one.

    names: the mixer of each layer.
    """
    runs = [(name, len(list(group))) for name, group in groupby(names)]
    if len(set(names)) < 2:
        return None
    starts = [i for i, (name, _) in enumerate(runs) if name == runs[0][0]]
    groups = [runs[i:j] for i, j in pairwise([*starts, len(runs)])]
    *equal, last = groups
    if len(equal) < 2 or any(group != equal[0] for group in equal):
        return None
    if [name for name, _ in last] != [name for name, _ in equal[0]]:
        return None
    group = " : ".join(f"{count} {name_title(name)}" for name, count in equal[0])
    numbers = " : ".join(str(count) for _, count in last)
    return f"{group}, the last group {numbers}"


def mixer_group_words(names: Sequence[str]) -> str:
    """Return the mixers of some layers in order: `5 sliding : 1 full`."""
    runs: list[str] = []
    for name, group in groupby(names):
        layers = list(group)
        count = len(layers)
        title = name_title(name)
        runs.append(f"{count} {title}")
    return " : ".join(runs)


def first_moe(a: Architecture) -> MoE | None:
    """Return the first mixture of experts, None where all blocks are dense."""
    for ffn in a.ffns.values():
        if isinstance(ffn, MoE):
            return ffn
    return None


def headline(a: Architecture) -> str:
    """Return one line: `Sparse MoE decoder with grouped-query attention`."""
    mixers = [a.mixers[name] for name in used_mixer_names(a)]
    titles = " and ".join(dict.fromkeys(mixer_title(m) for m in mixers))
    kind = "Dense"
    if first_moe(a):
        kind = "Sparse MoE"
    linear = {isinstance(m, LinearAttention) for m in mixers}
    if len(linear) > 1:
        kind += " hybrid"
    text = f"{kind} decoder with {titles}"
    reach = partial_reach(mixers)
    if reach:
        text += f" ({reach})"
    if a.towers:
        towers = " and ".join(a.towers)
        text += f", and a {towers} encoder"
    return text


def partial_reach(mixers: Sequence[Mixer]) -> str:
    """Return what limits the reach of attention: `sliding windows on some layers`, or nothing."""
    softmax = [m for m in mixers if isinstance(m, Attention)]
    latent = [m for m in mixers if isinstance(m, LatentAttention)]
    windows = {m.window for m in (*softmax, *latent)}
    chunks = {m.chunk for m in softmax}
    if len(windows) > 1:
        return "sliding windows on some layers"
    if windows - {None}:
        return "sliding windows"
    if len(chunks) > 1:
        return "chunked on some layers"
    return ""


def state_word(a: Architecture) -> str:
    """Return what the part of the cache that does not grow is called."""
    mixers = a.mixers.values()
    is_compressed = any(isinstance(m, CompressedAttention) for m in mixers)
    if is_compressed:
        return "compressor state"
    is_recurrent = any(isinstance(m, LinearAttention) for m in mixers)
    if is_recurrent:
        return "recurrent state"
    if any(isinstance(m, Attention) and (m.conv_kernels or m.kv_conv) for m in mixers):
        return "last tokens of the convolutions"
    return "encoder's keys and values"


# Norms and the residual stream


def step_placement(s: Step) -> str:
    """Return where the norms of a step sit: `pre-norm`, `parallel, post-norm`."""
    pre_norms = [s.pre_norm]
    inner_norms = [s.join_norm]
    for branch in s.branches:
        pre_norms.append(branch.pre_norm)
        inner_norms.append(branch.post_norm)
    before = any(pre_norms) or s.skip_from is not None
    inside = any(inner_norms)
    word = PLACEMENTS[before, inside]
    if s.residual == "after_norm":
        word = "post-norm (the stream continues from the norm)"
    elif s.after_norm:
        word = "post-norm"
    if len(s.branches) > 1:
        return f"parallel, {word}"
    return word


def norm_placements(a: Architecture) -> str:
    """Return where norms sit over all layers; several answers are joined by ` / `."""
    words: dict[str, None] = {}
    for kind in dict.fromkeys(a.layers):
        steps = a.layer_kinds[kind].steps
        words |= dict.fromkeys(step_placement(step) for step in steps)
    return " / ".join(words)


def stream_factors(a: Architecture) -> list[str]:
    """Return fixed and learned factors on the residual stream, with the steps that have them.

    `blocks × 0.22` where all steps have it, else `stream × 0.707107 (attention ∥ Laurel)`.
    """
    kinds = [a.layer_kinds[kind] for kind in dict.fromkeys(a.layers)]
    steps_by_factors: dict[str, dict[str, None]] = {}
    for kind in kinds:
        for step in kind.steps:
            steps = steps_by_factors.setdefault(step_factors(step), {})
            steps[step_word(a, step)] = None
    words: list[str] = []
    for factors, steps in steps_by_factors.items():
        if factors and len(steps_by_factors) == 1:
            words.append(factors)
        elif factors:
            places = ", ".join(steps)
            words.append(f"{factors} ({places})")
    scaled = [a.layer_kinds[kind].learned_scale for kind in a.layers]
    layers = "layers"
    if not all(scaled):
        layers = f"{sum(scaled)} of {len(scaled)} layers"
    if any(scaled):
        words.append(f"{layers} × one learned number")
    if a.residual.depth_scaled:
        words.append("blocks and stream by depth")
    return words


def step_factors(s: Step) -> str:
    """Return `blocks × 0.22`, `stream × 3.55656`, both, or nothing for a step without factors."""
    scales = dict.fromkeys(f"{branch.scale:g}" for branch in s.branches)
    blocks = " / ".join(scales)
    stream = f"{s.skip_scale:g}"
    inputs = " / ".join(dict.fromkeys(f"{branch.input_scale:g}" for branch in s.branches))
    if s.affine:
        return "blocks and stream × learned vectors"
    if s.learned_skip:
        return "stream × a learned vector"
    if any(branch.learned_gate for branch in s.branches):
        return "blocks × tanh of a learned number"
    if blocks == stream == inputs == "1":
        return ""
    if blocks == stream and inputs == "1":
        return f"blocks and stream × {stream}"
    words: list[str] = []
    if inputs != "1":
        words.append(f"inputs × {inputs}")
    if blocks != "1":
        words.append(f"blocks × {blocks}")
    if stream != "1":
        words.append(f"stream × {stream}")
    return ", ".join(words)


def step_word(a: Architecture, s: Step) -> str:
    """Return the blocks of a step in short: `attention ∥ Laurel`, `MoE`."""
    words: list[str] = []
    for branch in s.branches:
        block = a.block(branch.block)
        word = "attention"
        if isinstance(block, (Dense, MoE)):
            word = ffn_word(block)
        words.append(word)
    return " ∥ ".join(words)
