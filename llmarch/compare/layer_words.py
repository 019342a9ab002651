"""Say which layers of two models are of another kind. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

from ..tensors.folding import span

Run = tuple[int, str]
"""How many layers follow each other that are of one kind, and the kind."""

SHORT_RUNS = 60
"""Characters of the runs of one model's layers that are told as they are."""
LONGEST_RUNS = 120
"""Characters of the runs of two models with as many layers as both have."""
MOST_MOVES = 4
"""Kinds of changes of single layers that are told; of more, their number."""


def are_runs(value: Any) -> TypeGuard[list[Run]]:
    """Return whether a value of a change is the runs of all layers."""
    match value:
        case [[int(), str()], *_]:
            return True
        case _:
            return False


def changed_layers_text(old: Sequence[Run], new: Sequence[Run]) -> str:
    """Return what changed in the layers: `layers 7, 16: full → linear`, or the runs of both.

    Layers count from 0, as in the names of tensors. Long runs of models of different depths are
    told by how many layers of each kind there are.
    """
    before = all_layers(old)
    after = all_layers(new)
    texts = runs_text(old), runs_text(new)
    longest = max(map(len, texts))
    if longest > SHORT_RUNS and len(before) == len(after):
        return moved_layers(before, after)
    if longest > LONGEST_RUNS:
        texts = kinds_text(before), kinds_text(after)
    return " → ".join(texts)


def all_layers(runs: Iterable[Run]) -> list[str]:
    """Return the kind of each layer."""
    layers: list[str] = []
    for count, kind in runs:
        layers += [kind] * count
    return layers


def moved_layers(before: Sequence[str], after: Sequence[str]) -> str:
    """Return which layers are of another kind: `layer 7: full → linear; layers 0-3: …`."""
    numbers: dict[tuple[str, str], list[int]] = {}
    pairs = zip(before, after, strict=True)
    for number, pair in enumerate(pairs):
        if pair[0] != pair[1]:
            same = numbers.setdefault(pair, [])
            same.append(number)
    words: list[str] = []
    moves = list(numbers.items())
    for (was, becomes), layers in moves[:MOST_MOVES]:
        noun = "layer" if len(layers) == 1 else "layers"
        words.append(f"{noun} {span(layers)}: {was} → {becomes}")
    others = sum(len(layers) for _, layers in moves[MOST_MOVES:])
    if others:
        words.append(f"and {others} other layers")
    return "; ".join(words)


def kinds_text(layers: Sequence[str]) -> str:
    """Return how many layers there are of each kind: `88 layers: 40 × linear, 48 × moe`."""
    counts = Counter(layers)
    kinds = [f"{count} × {kind}" for kind, count in counts.items()]
    return f"{len(layers)} layers: {', '.join(kinds)}"


def runs_text(runs: Sequence[Run]) -> str:
    """Return `2 × dense, 26 × moe`; runs that repeat once: `21 × (1 × sliding, 1 × full)`."""
    for length in range(2, len(runs) // 2 + 1):
        times = 1
        first = list(runs[:length])
        while list(runs[times * length : (times + 1) * length]) == first:
            times += 1
        if times > 2:
            words = [f"{times} × ({runs_text(first)})"]
            rest = runs[times * length :]
            if rest:
                words.append(runs_text(rest))
            return ", ".join(words)
    return ", ".join(f"{n} × {kind}" for n, kind in runs)
