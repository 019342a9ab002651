"""The gallery of models as data: cards with what they are found by, and pairs side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from ..analyses.cache import compute_cache
from ..analyses.parameters import count_parameters
from ..architecture.frozen import Frozen, frozen
from ..checkpoint.reading import Observation, Reading
from . import numbers
from .bundled import attention_kinds
from .comparison import compare_any
from .conflict import conflict_lines
from .features import release_order
from .headings import column_names
from .observed_comparison import words_of_layers
from .wording import PLACEMENTS, first_moe, headline, norm_placements, recipe

SIZE_CLASSES = (("up to 4 B", 4), ("4 to 15 B", 15), ("15 to 70 B", 70), ("70 to 300 B", 300))
"""Classes of sizes: words, and the parameters in billions below which a model is in it."""
LARGEST = "above 300 B"
OBSERVED = "observed from its tensors"
PAIR_COLUMNS = 5
"""Section, label, both values, ratio; of observed models there is no ratio."""
COMPARED_CONTEXT = 32768
"""Tokens at which the caches of models are compared."""
Shown = TypeVar("Shown", Reading, Reading | Observation)
_NOT_IN_FILES = re.compile(r"[^a-z0-9.-]+")


@frozen
class GalleryCard(Frozen):
    """One model as the gallery shows, filters and sorts it."""

    id: str
    """Name of its files: `qwen3-8b`."""
    name: str
    reference: str
    maker: str
    """Its organisation on the Hub; empty if it is not known."""
    released: str
    headline: str
    recipe: tuple[str, ...]
    size: str
    """Parameters in words."""
    total: int
    active: int
    context: int
    cache: int
    """Bytes of the cache of one sequence of `COMPARED_CONTEXT` tokens."""
    attention: tuple[str, ...]
    experts: str
    """`MoE` or `dense`."""
    norms: tuple[str, ...]
    size_class: str
    contradicted: bool = False
    """Whether the checkpoint contradicts the config."""

    @property
    def year(self) -> str:
        """Return the year of its release; empty if it is not known."""
        return self.released[:4]


@frozen
class ComparedPair(Frozen):
    """How the second of two models differs from the first, as `diff` says it."""

    headline: str
    rows: tuple[tuple[str, ...], ...]
    """Section, label, both values and their ratio."""
    equal: tuple[str, ...]
    hidden: int
    notes: tuple[str, ...]


def by_release(readings: Sequence[Shown]) -> list[Shown]:
    """Return models from the oldest on; those of one date by their names."""
    return sorted(readings, key=lambda r: (release_order(r.raw.released), r.name.lower()))


def gallery_cards(readings: Sequence[Reading | Observation]) -> list[GalleryCard]:
    """Return the card of each model, in the same order."""
    names = column_names(readings)
    references = [r.raw.reference for r in readings]
    ids = file_ids(references)
    cards: list[GalleryCard] = []
    for r, name, id in zip(readings, names, ids, strict=True):
        if isinstance(r, Reading):
            card = card_of(r, name, id)
        else:
            card = observed_card(r, name, id)
        cards.append(card)
    return cards


def observed_card(o: Observation, name: str, id: str) -> GalleryCard:
    """Return the card of a model that no family reads: what its tensors prove; see `card_of`."""
    seen = o.observed
    size = "size unknown"
    if seen.total is not None:
        size = numbers.count(seen.total)
    counts = Counter(words_of_layers(o))
    maker, _, _ = (o.raw.repo_id or "").rpartition("/")
    return GalleryCard(
        id=id,
        name=name,
        reference=o.raw.reference,
        maker=maker,
        released=o.raw.released or "",
        headline=OBSERVED,
        recipe=(OBSERVED, *(f"{n} × {words}" for words, n in counts.items())),
        size=size,
        total=seen.total or 0,
        active=seen.total or 0,
        context=0,
        cache=0,
        attention=(),
        experts="",
        norms=(),
        size_class=size_class(seen.total) if seen.total is not None else "",
    )


def file_ids(references: Sequence[str]) -> list[str]:
    """Return a name for the files of each model, no two alike, safe in paths and addresses."""
    found: dict[str, None] = {}
    for reference in references:
        lower = reference.lower()
        plain = _NOT_IN_FILES.sub("-", lower)
        name = plain.strip(".-") or "model"
        id, number = name, 1
        while id in found:
            number += 1
            id = f"{name}-{number}"
        found[id] = None
    return list(found)


def card_of(r: Reading, name: str, id: str) -> GalleryCard:
    """Return the card of a model.

    name: what tells it from the others.
    id: the name of its files.
    """
    a = r.architecture
    parameters = count_parameters(a)
    is_moe = first_moe(a) is not None
    size = numbers.count(parameters.total)
    if is_moe:
        size = f"{size} · {numbers.count(parameters.active)} active"
    maker, _, _ = (r.raw.repo_id or "").rpartition("/")
    return GalleryCard(
        id=id,
        name=name,
        reference=r.raw.reference,
        maker=maker,
        released=r.raw.released or "",
        headline=headline(a),
        recipe=tuple(f"{n} × {word}" for n, word in recipe(a)),
        size=size,
        total=parameters.total,
        active=parameters.active,
        context=a.context_length or 0,
        cache=compute_cache(a).bytes_at(COMPARED_CONTEXT),
        attention=tuple(sorted(attention_kinds(a))),
        experts="MoE" if is_moe else "dense",
        norms=norm_classes(norm_placements(a)),
        size_class=size_class(parameters.total),
        contradicted=bool(conflict_lines(r)),
    )


def norm_classes(words: str) -> tuple[str, ...]:
    """Return where norms sit in classes that models share, of the words for all layers."""
    classes = [*PLACEMENTS.values(), "post-norm"]
    found: dict[str, None] = {}
    for word in words.split(" / "):
        last = word.removeprefix("parallel, ")
        fitting = [name for name in classes if last.startswith(name)]
        found[max(fitting, key=len, default=last)] = None
    return tuple(found)


def size_class(total: int) -> str:
    """Return the class of a number of parameters."""
    for words, billions in SIZE_CLASSES:
        if total < billions * 10**9:
            return words
    return LARGEST


# Pairs


def pair_of_models(first: Reading | Observation, second: Reading | Observation) -> ComparedPair:
    """Return the differences of two models: those of `diff`."""
    compared = compare_any([first, second])
    table = compared.table
    rows: list[tuple[str, ...]] = []
    section = ""
    for i, cells in enumerate(table.rows):
        section = table.sections.get(i, section)
        filled = (section, *cells, "")
        row = filled[:PAIR_COLUMNS]
        rows.append(row)
    return ComparedPair(
        headline=compared.summary or compared.verdict,
        rows=tuple(rows),
        equal=tuple(compared.equal),
        hidden=compared.hidden,
        notes=(*compared.conflicts, *compared.notes),
    )


def pairs_document(id: str, pairs: dict[str, ComparedPair]) -> dict[str, Any]:
    """Return the pairs of one model with later ones as JSON, each text once.

    id: the name of the model's files.
    pairs: by the names of the others' files.
    """
    texts: dict[str, int] = {}

    def index_of(text: str) -> int:
        return texts.setdefault(text, len(texts))

    found: dict[str, Any] = {}
    for other, pair in pairs.items():
        found[other] = {
            "headline": index_of(pair.headline),
            "rows": [[index_of(cell) for cell in row] for row in pair.rows],
            "equal": [index_of(text) for text in pair.equal],
            "hidden": pair.hidden,
            "notes": [index_of(text) for text in pair.notes],
        }
    return {"id": id, "texts": list(texts), "pairs": found}
