"""Values of facts in full: for `show --all`, and for what no row of words in `diff` shows."""

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
    LayerKind,
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
from .wording import kind_word

LONG = 8
"""Items of a list beyond which only those that differ are shown."""
MOST_ITEMS = 6
"""Items that are shown of what differs."""
MOST_PLACES = 2
"""Places with the same values that are named; more are counted."""


# Values


def exact_text(value: Any) -> str:
    """Return a value in full; whole blocks in a word."""
    match value:
        case None | ():
            return "none"
        case True:
            return "yes"
        case False:
            return "no"
        case int():
            return f"{value:,}"
        case float():
            return float_text(value)
        case tuple():
            return items_text(cast("tuple[Any, ...]", value))
        case str():
            return value
        case _:
            return part_text(value)


def float_text(value: float) -> str:
    """Return a float with all its digits; a whole number without a point."""
    if value.is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return repr(value)


def items_text(items: tuple[Any, ...]) -> str:
    """Return the items of a list, a long one with repetitions as runs: `3 × full, 1 × linear`."""
    texts = [exact_text(item) for item in items]
    if len(items) <= LONG or len(set(items)) == len(items):
        return ", ".join(texts)
    runs: list[str] = []
    for text, group in groupby(texts):
        length = len(list(group))
        runs.append(f"{length} × {text}")
    return ", ".join(runs)


def part_text(part: Any) -> str:
    """Return a block in a word, another part by the fields that are not at their default."""
    match part:
        case Attention() | LatentAttention() | CompressedAttention() | LinearAttention():
            return mixer_word(part)
        case Dense() | MoE():
            return ffn_word(part)
        case Norm():
            return norm_word(part)
        case Tower() | Conformer() | ConvTower():
            return tower_word(part)
        case _:
            return fields_text(part)


def fields_text(part: Any) -> str:
    """Return the fields of a part that are not at their default: `theta 10,000, rotary_dim 64`."""
    words: list[str] = []
    for field in fields(part):
        value = getattr(part, field.name)
        if value != default_of(field):
            words.append(f"{field.name} {exact_text(value)}")
    return ", ".join(words) or "defaults"


# Values of several models


def differing_texts(values: Sequence[Any]) -> list[str]:
    """Return each model's value in full; of long lists only what the models do not share."""
    lists = [cast("tuple[Any, ...]", value) for value in values if isinstance(value, tuple)]
    if len(lists) == len(values) and any(len(items) > LONG for items in lists):
        if len({len(items) for items in lists}) == 1:
            texts = items_by_place(lists)
        else:
            texts = items_not_shared(lists)
        if len(set(texts)) > 1:
            return texts
    return [exact_text(value) for value in values]


def items_by_place(lists: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the items of lists of one length where they differ: `[3] 1.2, [7] 4`."""
    places: list[int] = []
    for place, items in enumerate(zip(*lists, strict=True)):
        if len(set(items)) > 1:
            places.append(place)
    texts: list[str] = []
    for items in lists:
        words = [f"[{place}] {exact_text(items[place])}" for place in places]
        texts.append(shortened(words))
    return texts


def items_not_shared(lists: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the items of each list that are not in all lists."""
    shared = set(lists[0]).intersection(*lists[1:])
    texts: list[str] = []
    for items in lists:
        words = [exact_text(item) for item in items if item not in shared]
        texts.append(shortened(words) or ABSENT)
    return texts


def shortened(texts: Sequence[str]) -> str:
    """Return the first texts, and how many more there are."""
    shown = ", ".join(texts[:MOST_ITEMS])
    more = len(texts) - MOST_ITEMS
    if more > 0:
        return f"{shown} and {more} more"
    return shown


# Cells of a row


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
        for leaf in differing_paths([find_value(a, path) for a in architectures], path):
            texts = texts_at(architectures, leaf)
            places.setdefault(tuple(texts), []).append(leaf)
    if not with_places and len(places) == 1:
        return list(next(iter(places)))
    columns: list[list[str]] = [[] for _ in architectures]
    for texts, found in places.items():
        place = place_text(found)
        for column, text in zip(columns, texts, strict=True):
            column.append(f"{place} {text}")
    return ["\n".join(column) for column in columns]


def differing_paths(values: Sequence[Any], path: str) -> Iterator[str]:
    """Yield the paths below a path at which parts of the same form differ."""
    first = values[0]
    parts: dict[str, list[Any]] = {}
    if is_dataclass(first) and all(type(value) is type(first) for value in values):
        for field in fields(first):
            parts[field.name] = [getattr(value, field.name) for value in values]
    elif all(map(holds_records, values)) and len(set(map(len, values))) == 1:
        for i, items in enumerate(zip(*values, strict=True)):
            parts[str(i)] = list(items)
    if not parts:
        yield path
    for name, items in parts.items():
        if any(item != items[0] for item in items):
            yield from differing_paths(items, f"{path}.{name}")


def texts_at(architectures: Sequence[Architecture], path: str) -> list[str]:
    """Return each model's value at a path in full.

    A kind of layer is in the words of the recipe, and has a number of norms at a path of its own.
    """
    group, _, rest = path.partition(".")
    name, _, field = rest.partition(".")
    if group == "layer_kinds" and field in ("", "norms"):
        return [layer_kind_text(a, name, field) for a in architectures]
    return differing_texts([find_value(a, path) for a in architectures])


def layer_kind_text(a: Architecture, name: str, field: str) -> str:
    """Return a kind of layer in words, or how many norms it has."""
    kind: LayerKind | None = a.layer_kinds.get(name)
    if kind is None:
        return exact_text(None)
    if field == "norms":
        return exact_text(norms_of(kind))
    return kind_word(a, name)


def place_text(paths: Sequence[str]) -> str:
    """Return where values are: paths below their group, or how many there are."""
    if len(paths) > MOST_PLACES:
        return f"{len(paths)} places:"
    short: list[str] = []
    for path in paths:
        group, _, below = path.partition(".")
        short.append(below if group in NAMED else path)
    return ", ".join(short)
