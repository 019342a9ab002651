"""Rows of several models side by side, so that every change of `compare.diff` is in one of them.

Each model has rows of words. A change that these do not show gets a row of its own with the values
in full. So no fact is lost because its words are too short, or because it has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from functools import cache, lru_cache

from ..analyses.cache import CONTEXTS
from ..architecture.catalogue import CATALOGUE, find_fact, iterate_facts
from ..architecture.catalogue.fact import DETAIL, SECTIONS, Fact
from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import find_value
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from ..compare.alignment import Alignment, align, align_names
from ..compare.diff import OFTEN_UNSAID, changed_fact_paths, facts_written_differently
from .common_names import with_names_of
from .derived_rows import derived_rows
from .exact_values import exact_cells
from .fact_rows import fact_rows
from .rows import Key, Row, key_of
from .shown_changes import (
    ComparedModel,
    hidden_paths,
    holders_differ,
    row_text,
    words_differ,
)

Place = tuple[int, int, int]
"""What sorts rows: section, rank, order."""


@frozen
class ComparedRow(Frozen):
    """One fact of several models."""

    section: str
    label: str
    cells: list[str]
    numbers: list[float | None] = field(default_factory=list["float | None"])
    """The number of each cell whose ratio means something."""
    equal: str = ""
    """Phrase of the "equal" line."""
    rank: int = DETAIL
    """Rank within the section, as in the catalogue; DETAIL for values in full."""

    @property
    def differs(self) -> bool:
        """Return whether the models do not all have the same."""
        return len(set(self.cells)) > 1


# The models


def compared_models(readings: Sequence[Reading]) -> list[ComparedModel]:
    """Return what is compared of each model; changes are those from the first.

    What a checkpoint stores is only compared where all of them were read.
    """
    first = readings[0].architecture
    architectures = [with_names_of(first, r.architecture) for r in readings]
    towers = comparable_towers(architectures)
    contexts = compared_contexts(architectures)
    all_checked = all(r.check is not None for r in readings)
    models: list[ComparedModel] = []
    for r, a in zip(readings, architectures, strict=True):
        check = r.check if all_checked else None
        compared = replace(r, architecture=a, check=check)
        models.append(compared_model(compared, first, towers, contexts))
    return models


def compared_contexts(architectures: Sequence[Architecture]) -> list[int]:
    """Return the context lengths at which caches are compared.

    The usual ones, and the longest that all models have.
    """
    lengths = [a.context_length for a in architectures if a.context_length]
    return sorted({*CONTEXTS, min(lengths, default=CONTEXTS[0])})


def compared_model(
    r: Reading, first: Architecture, towers: Sequence[str], contexts: Sequence[int] = CONTEXTS
) -> ComparedModel:
    """Return the rows of a model and its changes.

    r: the model.
    first: the architecture that it is compared with; the model's own has no changes.
    towers: names of the encoders whose details are compared.
    contexts: the lengths at which caches are compared.
    """
    a = r.architecture
    rows: dict[Key, Row] = {}
    for row in (*derived_rows(r, contexts), *kept_fact_rows(Same(a), tuple(towers))):
        rows[row.key] = row
    if a is first:
        return ComparedModel(r, towers, rows, changed={})
    by_name, by_layer = align_names(first, a), align(first, a)
    changed = changed_paths(first, a, by_name)
    by_layers = changed
    if by_layer != by_name:
        by_layers = changed_paths(first, a, by_layer)
    written = frozenset(rows_written_differently(first, a))
    return ComparedModel(r, towers, rows, changed, frozenset(by_layers), written)


class Same:
    """An architecture as the key of what is kept of it: the same object, not an equal one."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.architecture is other.architecture

    def __hash__(self) -> int:
        return id(self.architecture)


@lru_cache(maxsize=256)
def kept_fact_rows(model: Same, towers: tuple[str, ...]) -> tuple[Row, ...]:
    """Return the rows of an architecture's facts; see `fact_rows`.

    They are kept, because a model of a gallery stands beside every other one.
    """
    return tuple(fact_rows(model.architecture, towers))


def rows_written_differently(first: Architecture, a: Architecture) -> Iterator[Key]:
    """Yield the rows of facts that one of two architectures leaves out and the other writes out.

    Only those that say the same are meant; of a part that has no effect all of its facts.
    """
    for path in facts_written_differently(first, a):
        yield key_of(path, find_fact(path, first, a))
        for part in (find_value(first, path), find_value(a, path)):
            for inner_path, _ in iterate_facts(part, path):
                yield key_of(inner_path, find_fact(inner_path, first, a))


def changed_paths(
    first: Architecture, a: Architecture, alignment: Alignment
) -> dict[Key, list[str]]:
    """Return the paths at which two architectures differ, by the row that they belong to.

    first: the architecture that the other one is compared with.
    a: the other one.
    alignment: which blocks are compared.
    """
    changed: dict[Key, list[str]] = {}
    for path in changed_fact_paths(first, a, alignment):
        fact = find_fact(path, first, a)
        key = key_of(path, fact)
        paths = changed.setdefault(key, [])
        paths.append(path)
    return changed


def comparable_towers(architectures: Sequence[Architecture]) -> list[str]:
    """Return the encoders that several models have, all of one class and kind.

    Others are compared as a whole: their details have nothing in common.
    """
    kinds: dict[str, list[tuple[type, str]]] = {}
    for a in architectures:
        for name, tower in a.towers.items():
            of_name = kinds.setdefault(name, [])
            of_name.append((type(tower), tower.kind))
    found: list[str] = []
    for name, of_name in kinds.items():
        if len(of_name) > 1 and len(set(of_name)) == 1:
            found.append(name)
    return found


# The rows


def compared_rows(models: Sequence[ComparedModel]) -> Iterator[ComparedRow]:
    """Yield the rows of all models in order; those that are equal too."""
    for key in ordered_keys(models):
        row = row_of_words(models, key)
        if row is not None:
            yield row
        hidden = hidden_paths(models, key, row is not None)
        if hidden:
            yield row_of_values(models, key, hidden)


def ordered_keys(models: Sequence[ComparedModel]) -> list[Key]:
    """Return the keys of all rows and changes by section, rank and order."""
    places: dict[Key, Place] = {}
    for model in models:
        for key, row in model.rows.items():
            section = SECTIONS.index(row.section)
            places.setdefault(key, (section, row.rank, row.order))
    for model in models:
        for key, paths in model.changed.items():
            fact = find_fact(paths[0], models[0].architecture, model.architecture)
            places.setdefault(key, place_of(fact))
    return sorted(places, key=lambda key: places[key])


def place_of(fact: Fact | None) -> Place:
    """Return the place of a row that has no words; unknown facts are last."""
    if fact is None:
        return len(SECTIONS), DETAIL, len(CATALOGUE)
    section = SECTIONS.index(fact.section)
    order = CATALOGUE.index(fact)
    return section, fact.rank, order


def row_of_words(models: Sequence[ComparedModel], key: Key) -> ComparedRow | None:
    """Return the row of words with a key; None where it says nothing about these models."""
    rows = [model.rows.get(key) for model in models]
    present = [row for row in rows if row is not None]
    if all(row.implied for row in present):
        return None
    changed = any(key in model.changed or key in model.changed_by_layers for model in models)
    if present[0].rank == DETAIL and not changed and len(present) < len(rows):
        return None
    full = holders_differ(rows)
    if not changed and says_the_same(models, key, full):
        return None
    cells = told_apart([row_text(row, full) for row in rows], rows)
    numbers = [row.number if row else None for row in rows]
    return ComparedRow(*key, cells, numbers, present[0].equal, present[0].rank)


def says_the_same(models: Sequence[ComparedModel], key: Key, full: bool) -> bool:
    """Return whether an unchanged row has words that differ where the models do not.

    One model leaves out what another writes out, or does not say it: a remark tells that.

    models: the models.
    key: the key of the row.
    full: see `row_text`.
    """
    first = models[0]
    others = [m for m in models if words_differ(first, m, key, full)]
    unsaid = key in unsaid_keys()
    return bool(others) and all(unsaid or key in m.written_differently for m in others)


@cache
def unsaid_keys() -> frozenset[Key]:
    """Return the rows of facts that configs often leave out, which is not a difference."""
    facts = [find_fact(path) for path in OFTEN_UNSAID]
    return frozenset(key_of(fact.path, fact) for fact in facts if fact is not None)


def told_apart(texts: Sequence[str], rows: Sequence[Row | None]) -> list[str]:
    """Return the cells of a row, without rounding where it hides that models differ.

    texts: the cells as they are printed otherwise.
    rows: the row of each model, None where it has none.
    """
    exact = [row.exact if row else "" for row in rows]
    cells: list[str] = []
    for text, own in zip(texts, exact, strict=True):
        alike = {other for other, same in zip(exact, texts, strict=True) if same == text}
        cells.append(own if own and len(alike) > 1 else text)
    return cells


def row_of_values(models: Sequence[ComparedModel], key: Key, paths: Sequence[str]) -> ComparedRow:
    """Return a row with the values at some paths in full."""
    architectures = [model.architecture for model in models]
    fact = find_fact(paths[0], *architectures)
    cells = exact_cells(architectures, paths, fact)
    return ComparedRow(*key, cells)
