"""Rows that are computed from a whole architecture: the recipe of layers, sizes, the cache.

They are sums over facts, so the catalogue does not have them. A fact whose entry has no words of
its own is in the row of its section and label, here or in the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from ..analyses.cache import CONTEXTS, compute_cache
from ..analyses.parameters import count_parameters
from ..architecture.catalogue.fact import LEAD, MAIN
from ..architecture.schema import Architecture, LinearAttention, MoE
from ..architecture.wording.mixers import DECAY
from ..checkpoint.reading import Reading
from . import numbers
from .numbers import number
from .rows import Key, Row
from .wording import (
    norm_placements,
    pattern,
    positions,
    recipe,
    state_word,
    stream_factors,
    used_mixer_names,
)

CACHE = "Cache (bf16)"

MOST: Key = (CACHE, "at its most")
"""The row of the cache at each model's own context length."""

DERIVED: dict[Key, tuple[int, str]] = {
    ("Layers", "recipe"): (LEAD, ""),
    ("Layers", "layers"): (LEAD, "{} layers"),
    ("Layers", "pattern"): (LEAD, ""),
    ("Linear attention", "decay"): (MAIN, ""),
    ("MoE", "routed by token id"): (MAIN, ""),
    ("Norms", "placement"): (LEAD, "{}"),
    ("Norms", "scaling of the stream"): (MAIN, ""),
    ("Position", "positions"): (LEAD, "{}"),
    ("Size", "total"): (LEAD, ""),
    ("Size", "active"): (LEAD, ""),
    ("Size", "embedding"): (MAIN, ""),
    ("Size", "per-layer embedding"): (MAIN, ""),
    ("Size", "MTP modules"): (MAIN, ""),
    ("Encoders", "encoders"): (LEAD, ""),
    (CACHE, "per token"): (LEAD, "cache {} per token"),
    (CACHE, "until windows fill"): (LEAD, ""),
    (CACHE, "of it indexer"): (LEAD, ""),
    (CACHE, "full windows"): (LEAD, ""),
    (CACHE, "compressor state"): (LEAD, ""),
    (CACHE, "recurrent state"): (LEAD, ""),
    (CACHE, "encoder's keys and values"): (LEAD, ""),
    **{(CACHE, f"at {numbers.context(tokens)}"): (MAIN, "") for tokens in CONTEXTS},
    MOST: (MAIN, ""),
}
"""All derived rows in order, each with its rank and its phrase of the "equal" line."""


def derived_rows(r: Reading, contexts: Sequence[int] = CONTEXTS) -> Iterator[Row]:
    """Yield the derived rows of a model, with its cache at some context lengths."""
    a = r.architecture
    yield from recipe_rows(a)
    yield from placement_rows(a)
    yield from position_kind_rows(a)
    yield from block_rows(a)
    yield from size_rows(a)
    yield from prediction_rows(r)
    yield from cache_rows(a, contexts)


def find_derived_row(r: Reading, key: Key) -> Row | None:
    """Return the derived row with a key, None where the model has none.

    Only the rows that are made together with it are computed.
    """
    a = r.architecture
    section, label = key
    match section:
        case "Layers":
            rows = recipe_rows(a)
        case "Norms":
            rows = placement_rows(a)
        case "Position":
            rows = position_kind_rows(a)
        case "MoE" | "Linear attention":
            rows = block_rows(a)
        case "Size" if label == "MTP modules":
            rows = prediction_rows(r)
        case "Size" | "Encoders":
            rows = size_rows(a)
        case _:
            rows = cache_rows(a)
    found = (row for row in rows if row.label == label)
    return next(found, None)


def derived_row(
    section: str, label: str, text: str, number: float | None = None, exact: str = ""
) -> Row:
    """Return a row with the rank and phrase that DERIVED has for its section and label.

    section: the section of the row.
    label: its label.
    text: the words of the row.
    number: the number whose ratio to another model's is shown.
    exact: the words without rounding.
    """
    key = section, label
    if key not in DERIVED:
        key = MOST  # a context length of the models that are compared
    rank, equal = DERIVED[key]
    before_catalogue = list(DERIVED).index(key) - len(DERIVED)
    return Row(
        section,
        label,
        text,
        number,
        exact=exact,
        rank=rank,
        order=before_catalogue,
        equal=equal,
    )


def recipe_rows(a: Architecture) -> Iterator[Row]:
    """Yield the recipe of the layers, their number and pattern."""
    runs = "\n".join(f"{n} × {word}" for n, word in recipe(a))
    yield derived_row("Layers", "recipe", runs)
    layers = len(a.layers)
    yield derived_row("Layers", "layers", number(layers), layers)
    alternation = pattern(a)
    if alternation:
        yield derived_row("Layers", "pattern", alternation)


def placement_rows(a: Architecture) -> Iterator[Row]:
    """Yield where the norms around blocks sit, and the factors on the stream."""
    placements = norm_placements(a)
    yield derived_row("Norms", "placement", placements)
    factors = ", ".join(stream_factors(a))
    if factors:
        yield derived_row("Norms", "scaling of the stream", factors)


def position_kind_rows(a: Architecture) -> Iterator[Row]:
    """Yield the kinds of positions and how many layers have each."""
    kinds = positions(a)
    if kinds:
        yield derived_row("Position", "positions", kinds)


def block_rows(a: Architecture) -> Iterator[Row]:
    """Yield how the state of linear attention decays, and how many layers route by token id."""
    decays: dict[str, None] = {}
    for name in used_mixer_names(a):
        m = a.mixers[name]
        if isinstance(m, LinearAttention) and m.variant in DECAY:
            decays[DECAY[m.variant]] = None
    if decays:
        yield derived_row("Linear attention", "decay", " / ".join(decays))
    tables: list[int] = []
    for kind in a.layers:
        tables += token_tables(a, kind)
    if tables:
        size = number(tables[0])
        text = f"{len(tables)} of {len(a.layers)} layers, table of {size} ids"
        yield derived_row("MoE", "routed by token id", text)


def token_tables(a: Architecture, kind: str) -> Iterator[int]:
    """Yield the sizes of the tables by which a kind of layer chooses experts."""
    for block in a.blocks_of(kind):
        if not isinstance(block, MoE):
            continue
        table = block.router.token_table
        if table is not None:
            yield table


def size_rows(a: Architecture) -> Iterator[Row]:
    """Yield parameter counts: total, active, embeddings, encoders."""
    p = count_parameters(a)
    yield count_row("Size", "total", p.total)
    if p.active != p.total - p.vision:
        yield count_row("Size", "active", p.active)
    tying = "untied"
    if a.embedding.tied:
        tying = "tied"
    yield count_row("Size", "embedding", p.embedding, f"{{}}, {tying}")
    per_layer = a.embedding.per_layer
    if per_layer:
        width = number(per_layer.width)
        parameters = p.by_component["per_layer_embedding"]
        yield count_row("Size", "per-layer embedding", parameters, f"{width} wide, {{}}")
    if p.vision:
        yield count_row("Encoders", "encoders", p.vision)


def count_row(section: str, label: str, parameters: int, words: str = "{}") -> Row:
    """Return a row with a number of parameters.

    section: the section of the row.
    label: its label.
    parameters: the number.
    words: the words around it.
    """
    rounded = numbers.count(parameters)
    digits = number(parameters)
    text = words.format(rounded)
    exact = words.format(digits)
    return derived_row(section, label, text, parameters, exact)


def prediction_rows(r: Reading) -> Iterator[Row]:
    """Yield the number of MTP modules, and whether the checkpoint stores them."""
    mtp = r.architecture.mtp
    if mtp is None:
        yield derived_row("Size", "MTP modules", "none")
        return
    text = number(mtp.modules)
    if r.check and not r.check.mtp:
        text += " announced, none stored"
    elif mtp.layer_kind is None:
        text += " announced, layout unknown"
    yield derived_row("Size", "MTP modules", text, mtp.modules)


def cache_rows(a: Architecture, contexts: Sequence[int] = CONTEXTS) -> Iterator[Row]:
    """Yield the cache of one sequence.

    Bytes a token, what does not grow, and totals at some context lengths and at the model's own.
    """
    cache = compute_cache(a)
    growing = ceil(cache.growing_bytes_per_token)
    filling = ceil(cache.all_layers_bytes_per_token)
    yield size_row("per token", growing)
    until_full = size_row("until windows fill", filling)
    yield replace(until_full, implied=filling == growing)
    parts = {
        "of it indexer": ceil(cache.indexer_bytes_per_token),
        "full windows": cache.window_bytes,
        state_word(a): cache.state_bytes,
    }
    for label, size in parts.items():
        if size:
            yield size_row(label, size)
    most = a.context_length
    for tokens in contexts:
        if most is None or tokens <= most:
            length = numbers.context(tokens)
            row = size_row(f"at {length}", cache.bytes_at(tokens))
            yield replace(row, order=tokens - numbers.MOST_TOKENS)
    if most:
        size = cache.bytes_at(most)
        length = numbers.context(most)
        text = f"{numbers.size(size)} ({length})"
        exact = f"{number(size)} B ({number(most)})"
        yield derived_row(CACHE, "at its most", text, exact=exact)


def size_row(label: str, size: int) -> Row:
    """Return a row of the cache with a number of bytes."""
    text = numbers.size(size)
    digits = number(size)
    exact = f"{digits} B"
    return derived_row(CACHE, label, text, size, exact)
