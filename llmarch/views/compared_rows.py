"""Rows of several models side by side, so that every change of `compare.diff` is in one of them.

Each model has rows of words. A change that these do not show gets a row of its own with the values
in full. So no fact is lost because its words are too short, or because it has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from ..architecture.catalogue import CATALOGUE, expand_path, find_fact
from ..architecture.catalogue.fact import DETAIL, SECTIONS, Fact
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from ..compare.diff import diff
from .derived_rows import derived_rows
from .documents import ABSENT
from .exact_values import exact_cells
from .fact_rows import fact_rows
from .rows import Key, Row
from .wording import kind_word, kinds_with

RECIPE: Key = ("Layers", "recipe")

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

    @property
    def differs(self) -> bool:
        """Return whether the models do not all have the same."""
        return len(set(self.cells)) > 1


@frozen
class ComparedModel(Frozen):
    """One model: its rows, and the facts that are different in the first model."""

    architecture: Architecture
    rows: dict[Key, Row]
    changed: dict[Key, list[str]]
    """Paths of the changes, by the row that their facts belong to."""


def compared_models(readings: Sequence[Reading]) -> list[ComparedModel]:
    """Return what is compared of each model; changes are those from the first."""
    first = readings[0].architecture
    towers = comparable_towers([r.architecture for r in readings])
    return [compared_model(r, first, towers) for r in readings]


def compared_model(r: Reading, first: Architecture, towers: Sequence[str]) -> ComparedModel:
    """Return the rows of a model and its changes.

    r: the model.
    first: the architecture that it is compared with.
    towers: names of the encoders whose details are compared.
    """
    a = r.architecture
    rows = [*derived_rows(r), *fact_rows(a, towers)]
    changed: dict[Key, list[str]] = {}
    for change in diff(first, a):
        key = key_of(change.path, find_fact(change.path, first, a))
        changed.setdefault(key, []).append(change.path)
    return ComparedModel(a, {row.key: row for row in rows}, changed)


def comparable_towers(architectures: Sequence[Architecture]) -> list[str]:
    """Return the encoders of the first model that all have of one class and kind.

    Others are compared as a whole: their details have nothing in common.
    """
    first, *others = architectures
    kinds = {name: (type(tower), tower.kind) for name, tower in first.towers.items()}
    for a in others:
        own = {name: (type(tower), tower.kind) for name, tower in a.towers.items()}
        kinds = {name: kind for name, kind in kinds.items() if own.get(name) == kind}
    return list(kinds)


def key_of(path: str, fact: Fact | None) -> Key:
    """Return the row that a path belongs to; encoders have their name in the label."""
    if fact is None:
        return SECTIONS[-1], path
    if fact.group == "towers":
        return fact.section, f"{path.split('.')[1]} {fact.label}"
    return fact.section, fact.label


def compared_rows(models: Sequence[ComparedModel]) -> Iterator[ComparedRow]:
    """Yield the rows of all models in order; those that are equal too."""
    for key in ordered_keys(models):
        row = row_of_words(models, key)
        if row is not None:
            yield row
        hidden = hidden_paths(models, key, row)
        if hidden:
            yield row_of_values(models, key, hidden)


def ordered_keys(models: Sequence[ComparedModel]) -> list[Key]:
    """Return the keys of all rows and changes by section, rank and order."""
    places: dict[Key, Place] = {}
    for model in models:
        for key, row in model.rows.items():
            places.setdefault(key, (SECTIONS.index(row.section), row.rank, row.order))
    for model in models:
        for key, paths in model.changed.items():
            fact = find_fact(paths[0], models[0].architecture, model.architecture)
            if fact is None:
                places.setdefault(key, (len(SECTIONS), DETAIL, 0))
            else:
                place = SECTIONS.index(fact.section), fact.rank, CATALOGUE.index(fact)
                places.setdefault(key, place)
    return sorted(places, key=places.__getitem__)


def row_of_words(models: Sequence[ComparedModel], key: Key) -> ComparedRow | None:
    """Return the row of words with a key; None where it says nothing about these models."""
    rows = [model.rows.get(key) for model in models]
    present = [row for row in rows if row is not None]
    if all(row.implied for row in present):
        return None
    changed = any(key in model.changed for model in models)
    if present[0].rank == DETAIL and not changed and len(present) < len(rows):
        return None
    nobody: frozenset[str] = frozenset()
    same_holders = len({row.holders if row else nobody for row in rows}) == 1
    cells = [ABSENT if row is None else cell(row, full=not same_holders) for row in rows]
    numbers = [row.number if row else None for row in rows]
    return ComparedRow(*key, cells, numbers, present[0].equal)


def row_of_values(models: Sequence[ComparedModel], key: Key, paths: Sequence[str]) -> ComparedRow:
    """Return a row with the values at some paths in full."""
    architectures = [model.architecture for model in models]
    fact = find_fact(paths[0], *architectures)
    covers_one = fact is not None and paths == expand_path(fact.path)
    return ComparedRow(*key, exact_cells(architectures, paths, with_places=not covers_one))


def cell(row: Row, full: bool) -> str:
    """Return the text of a row.

    full: whether to name the blocks without the fact, as not the same blocks of all models have it.
    """
    return row.full_text if full and row.full_text else row.text


def hidden_paths(models: Sequence[ComparedModel], key: Key, row: ComparedRow | None) -> list[str]:
    """Return the changed paths of a row that its words do not show for every model."""
    hidden: dict[str, None] = {}
    for i, model in enumerate(models):
        for path in model.changed.get(key, ()):
            shown = row is not None and row.cells[0] != row.cells[i]
            in_words = shown and in_words_of_block(models[0], model, key, path)
            if not in_words and not in_recipe(models[0], model, path):
                hidden[path] = None
    return list(hidden)


def in_words_of_block(old: ComparedModel, new: ComparedModel, key: Key, path: str) -> bool:
    """Return whether the block of a changed path has other words in the row."""
    name = path.split(".")[1] if "." in path else ""
    return words_of(old.rows.get(key), name) != words_of(new.rows.get(key), name)


def words_of(row: Row | None, name: str) -> str | None:
    """Return the words of a block in a row; the whole text of a row that is derived."""
    if row is None:
        return None
    if not row.by_block:
        return row.text
    return row.by_block.get(name, row.by_block.get(""))


def in_recipe(old: ComparedModel, new: ComparedModel, path: str) -> bool:
    """Return whether a block or its wiring changed so that the recipe of layers shows it."""
    if old.rows[RECIPE].text == new.rows[RECIPE].text:
        return False
    group, _, rest = path.partition(".")
    name, _, field = rest.partition(".")
    if group == "layer_kinds":
        wiring = not field or field.startswith("steps")
        return wiring and kind_words(old, [name]) != kind_words(new, [name])
    if group not in ("mixers", "ffns") or field:
        return False
    users = [kinds_with(model.architecture, f"{group}.{name}") for model in (old, new)]
    return kind_words(old, users[0]) != kind_words(new, users[1])


def kind_words(model: ComparedModel, kinds: Sequence[str]) -> set[str]:
    """Return the words of the kinds of layers that layers have."""
    a = model.architecture
    return {kind_word(a, kind) for kind in kinds if kind in a.layers}
