"""Values of facts in full: for `show --all`, and for what no row of words in `diff` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import groupby
from typing import Any, cast

from ..architecture.catalogue import NAMED, expand_path, holds_records
from ..architecture.catalogue.fact import Fact
from ..architecture.fingerprint import default_of, is_reference
from ..architecture.paths import find_value, last_part
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Conformer,
    ConvTower,
    Dense,
    FeatureEmbedding,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MoE,
    Norm,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from ..architecture.wording.feed_forward import ffn_word
from ..architecture.wording.mixers import mixer_word
from ..architecture.wording.model import norm_word, tower_word
from ..architecture.wording.names import GROUP_WORDS, fields_title, name_title
from ..compare.diff import norms_of
from .documents import ABSENT
from .fact_rows import row_sources
from .numbers import plural
from .wording import kind_word

LONG = 8
"""Items of a list beyond which only those that differ are shown."""
MOST_ITEMS = 6
"""Items that are shown of what differs."""
MOST_PLACES = 3
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
        whole = int(value)
        return f"{whole:,}"
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
        case FeatureEmbedding() | SpeechTower() | SpeechConformer():
            return tower_word(part)
        case _:
            return fields_text(part)


def fields_text(part: Any) -> str:
    """Return the fields of a part that are not at their default: `theta 10,000, rotary_dim 64`."""
    words: list[str] = []
    for field in fields(part):
        value = getattr(part, field.name)
        default = default_of(field)
        if value != default:
            shown = exact_text(value)
            words.append(f"{field.name} {shown}")
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
    architectures: Sequence[Architecture], paths: Sequence[str], fact: Fact | None
) -> list[str]:
    """Return a cell for each model that has the values at some paths in full.

    Paths with the same values share a line, which names them if they are few: `full, sliding: yes`.

    architectures: the models.
    paths: the paths of facts that no row of words tells apart.
    fact: the entry of the row, which need not be named again.
    """
    places: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        for leaf in differing_paths([find_value(a, path) for a in architectures], path):
            texts = texts_at(architectures, leaf)
            places.setdefault(tuple(texts), []).append(leaf)
    columns: list[list[str]] = [[] for _ in architectures]
    for texts, found in places.items():
        place = place_text(found, fact)
        for column, text in zip(columns, texts, strict=True):
            column.append(f"{place}: {text}" if place else text)
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
    texts = differing_texts([find_value(a, path) for a in architectures])
    last = last_part(path)
    if is_reference(last) or group in ("layers", "layer_kinds"):
        return [reference_title(text) for text in texts]
    return texts


def reference_title(text: str) -> str:
    """Return the names of blocks or kinds of layers as people write them: `ffns.dense_wide`."""
    for group in NAMED:
        text = text.replace(f"{group}.", "")
    names = text.split(" ")
    words = map(name_title, names)
    return " ".join(words)


def layer_kind_text(a: Architecture, name: str, field: str) -> str:
    """Return a kind of layer in words, or how many norms it has."""
    kind: LayerKind | None = a.layer_kinds.get(name)
    if kind is None:
        return exact_text(None)
    if field == "norms":
        return plural(norms_of(kind), "norm")
    return kind_word(a, name)


def place_text(paths: Sequence[str], fact: Fact | None) -> str:
    """Return where values are: `full, sliding`, `MoE router groups`, `5 kinds of layers`.

    paths: the paths that have the same values.
    fact: the entry of the row; its field is not named where it has only one.
    """
    names_by_field: dict[str, list[str]] = {}
    for path in paths:
        name, field = name_and_field(path)
        if fact is not None and is_only_field(fact, path):
            field = ""
        names = names_by_field.setdefault(field, [])
        names.append(name)
    places: list[str] = []
    for field, names in names_by_field.items():
        titles = ", ".join(filter(None, names))
        if len(names) > MOST_PLACES:
            titles = f"{len(names)} {GROUP_WORDS[paths[0].partition('.')[0]]}"
        places.append(f"{titles} {field}".strip())
    return ", ".join(places)


def name_and_field(path: str) -> tuple[str, str]:
    """Return the block of a path and what is below it in words: `MoE`, `router groups`."""
    group, _, inner_path = path.partition(".")
    name = ""
    if group in NAMED:
        name, _, inner_path = inner_path.partition(".")
    if group == "layer_kinds" and inner_path == "norms":
        inner_path = ""
    if not inner_path and not name:
        inner_path = group
    title = name_title(name)
    return title, fields_title(inner_path)


def is_only_field(fact: Fact, path: str) -> bool:
    """Return whether the label of a row says which field is at a path.

    It does where the entry has one field, and the row no words that are about others too.
    """
    has_words = (fact.section, fact.label) in row_sources()
    if has_words and fact.words is None:
        return False
    endings = set(map(last_part, expand_path(fact.path)))
    return endings == {last_part(path)}
