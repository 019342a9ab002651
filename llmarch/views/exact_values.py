"""Values of facts in full, for what no row of words shows: `show --all`, and the rest of `diff`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import groupby
from typing import Any, cast

from ..architecture.catalogue import NAMED, find_value, holds_records
from ..architecture.fingerprint import default_of
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Conformer,
    ConvTower,
    Dense,
    LatentAttention,
    LinearAttention,
    MoE,
    Norm,
    Tower,
)
from ..architecture.wording.feed_forward import ffn_word
from ..architecture.wording.mixers import mixer_word
from ..architecture.wording.model import norm_word, tower_word
from ..compare.diff import norms_of
from .documents import ABSENT

LONG = 8
"""Items of a list beyond which only those that differ are shown."""
MOST_ITEMS = 6
"""Items that are shown of what differs."""
MOST_PLACES = 2
"""Places with the same values that are named; more are counted."""


def value_text(value: Any) -> str:
    """Return a value in full; whole blocks in a word."""
    match value:
        case None | ():
            return "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value!r}"
        case tuple():
            return items_text(cast("tuple[Any, ...]", value))
        case Attention() | LatentAttention() | CompressedAttention() | LinearAttention():
            return mixer_word(value)
        case Dense() | MoE():
            return ffn_word(value)
        case Norm():
            return norm_word(value)
        case Tower() | Conformer() | ConvTower():
            return tower_word(value)
        case _:
            return record_text(value) if is_dataclass(value) else str(value)


def items_text(items: tuple[Any, ...]) -> str:
    """Return the items of a list, a long one with repetitions as runs: `3 × full, 1 × linear`."""
    texts = list(map(value_text, items))
    if len(items) <= LONG or len(set(items)) == len(items):
        return ", ".join(texts)
    return ", ".join(f"{len(list(group))} × {text}" for text, group in groupby(texts))


def record_text(record: Any) -> str:
    """Return the fields of a part that are not at their default: `theta 10,000, rotary_dim 64`."""
    values = [(f, getattr(record, f.name)) for f in fields(record)]
    words = [f"{f.name} {value_text(value)}" for f, value in values if value != default_of(f)]
    return ", ".join(words) or "defaults"


def differing_texts(values: Sequence[Any]) -> list[str]:
    """Return each model's value in full; of long lists only what the models do not share."""
    lists = [cast("tuple[Any, ...]", value) for value in values if isinstance(value, tuple)]
    if len(lists) == len(values) and any(len(items) > LONG for items in lists):
        same_length = len(set(map(len, lists))) == 1
        texts = items_by_place(lists) if same_length else items_not_shared(lists)
        if len(set(texts)) > 1:
            return texts
    return [value_text(value) for value in values]


def items_by_place(lists: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the items of lists of one length where they differ: `[3] 1.2, [7] 4`."""
    places = [i for i, items in enumerate(zip(*lists, strict=True)) if len(set(items)) > 1]
    return [shortened([f"[{i}] {value_text(items[i])}" for i in places]) for items in lists]


def items_not_shared(lists: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the items of each list that are not in all lists."""
    shared = set(lists[0]).intersection(*lists[1:])
    own = [[value_text(item) for item in items if item not in shared] for items in lists]
    return [shortened(texts) or ABSENT for texts in own]


def shortened(texts: Sequence[str]) -> str:
    """Return the first texts, and how many more there are."""
    shown = ", ".join(texts[:MOST_ITEMS])
    more = len(texts) - MOST_ITEMS
    return f"{shown} and {more} more" if more > 0 else shown


def exact_cells(
    architectures: Sequence[Architecture], paths: Sequence[str], with_places: bool
) -> list[str]:
    """Return a cell for each model that has the values at some paths in full.

    Paths with the same values share a line, which names them if they are few: `full.gate yes`.

    architectures: the models.
    paths: the paths of facts that no row of words tells apart.
    with_places: whether to name the paths; without, there is only one.
    """
    places: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        for leaf in differing_paths([fact_value(a, path) for a in architectures], path):
            texts = differing_texts([fact_value(a, leaf) for a in architectures])
            places.setdefault(tuple(texts), []).append(leaf)
    if not with_places and len(places) == 1:
        return [text for texts in places for text in texts]
    lines = [[f"{place_text(found)} {text}" for text in texts] for texts, found in places.items()]
    return ["\n".join(column) for column in zip(*lines, strict=True)]


def differing_paths(values: Sequence[Any], path: str) -> Iterator[str]:
    """Yield the paths below a path at which parts of the same form differ."""
    first = values[0]
    if is_dataclass(first) and all(type(value) is type(first) for value in values):
        parts = [(f.name, [getattr(value, f.name) for value in values]) for f in fields(first)]
    elif all(map(holds_records, values)) and len(set(map(len, values))) == 1:
        parts = [(str(i), list(items)) for i, items in enumerate(zip(*values, strict=True))]
    else:
        yield path
        return
    for name, items in parts:
        if any(item != items[0] for item in items):
            yield from differing_paths(items, f"{path}.{name}")


def fact_value(a: Architecture, path: str) -> Any:
    """Return the value at a path; the number of norms for the path of a kind of layer's norms."""
    parts = path.split(".")
    if parts[0] == "layer_kinds" and parts[2:] == ["norms"]:
        kind = a.layer_kinds.get(parts[1])
        return kind and norms_of(kind)
    return find_value(a, path)


def is_named(path: str) -> bool:
    """Return whether a path is that of a block with a name, or below one."""
    return path.partition(".")[0] in NAMED


def place_text(paths: Sequence[str]) -> str:
    """Return where values are: paths below their group, or how many there are."""
    if len(paths) > MOST_PLACES:
        return f"{len(paths)} places:"
    return ", ".join(path.partition(".")[2] if is_named(path) else path for path in paths)
