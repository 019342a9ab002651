"""Which changes the rows of words show: those without which a row has other words.

Several facts may share a row, and a row may show one of two changes and hide the other. So each
change is taken back on its own, with all others kept: the row shows it if its words then differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace

from ..architecture.catalogue import block_name, find_fact
from ..architecture.fingerprint import default_of
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import is_whole
from ..architecture.paths import find_value, replace_value
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from .derived_rows import DERIVED, find_derived_row
from .documents import ABSENT
from .fact_rows import find_fact_row
from .rows import Key, Row
from .wording import kind_word, kinds_with

RECIPE: Key = ("Layers", "recipe")
NORM_COUNT = ".norms"
"""End of the path of how many norms a kind of layer has, which follows from their places."""


@frozen
class ComparedModel(Frozen):
    """One model: its rows, and the facts that are different in the first model."""

    reading: Reading
    towers: Sequence[str]
    """Names of the encoders whose details are compared."""
    rows: dict[Key, Row]
    changed: dict[Key, list[str]]
    """Paths of the changes, by the row that their facts belong to; blocks of one name compared."""
    changed_by_layers: frozenset[Key] = frozenset()
    """Rows of the changes where blocks are compared that the same layers use, as rules do."""
    written_differently: frozenset[Key] = frozenset()
    """Rows of facts that say the same in the first model, with other words."""

    @property
    def architecture(self) -> Architecture:
        """Return the architecture of the model."""
        return self.reading.architecture


def hidden_paths(models: Sequence[ComparedModel], key: Key, has_words: bool) -> list[str]:
    """Return the changed paths of a row that its words do not show for every model.

    models: the models; changes are those from the first.
    key: the key of the row.
    has_words: whether the row of words is printed.
    """
    first = models[0]
    full = holders_differ([model.rows.get(key) for model in models])
    hidden: dict[str, None] = {}
    for model in models[1:]:
        shown = has_words and words_differ(first, model, key, full)
        for path in model.changed.get(key, ()):
            in_row = shown and row_shows(first, model, key, path, full)
            if in_row or recipe_shows(first, model, path):
                continue
            if not names_removed_norm(first, model, path):
                hidden[path] = None
    return list(hidden)


def holders_differ(rows: Sequence[Row | None]) -> bool:
    """Return whether not the same blocks of all models have the fact."""
    distinct: set[frozenset[str] | None] = set()
    for row in rows:
        holders: frozenset[str] | None = frozenset()
        if row is not None:
            holders = row.holders
        distinct.add(holders)
    return len(distinct) > 1


def row_text(row: Row | None, full: bool) -> str:
    """Return the cell of a row.

    row: the row of a model, None where it has none.
    full: whether to name the blocks that do not have the fact.
    """
    if row is None:
        return ABSENT
    if full and row.full_text:
        return row.full_text
    return row.text


def words_differ(first: ComparedModel, model: ComparedModel, key: Key, full: bool) -> bool:
    """Return whether two models have other words in a row; see `row_text`."""
    return row_text(first.rows.get(key), full) != row_text(model.rows.get(key), full)


def row_shows(first: ComparedModel, model: ComparedModel, key: Key, path: str, full: bool) -> bool:
    """Return whether a row has other words without the change of one path.

    Where a block has `none` of something, this says too that the facts which belong to it have
    their defaults: no limit by groups has no number of active groups.

    first: the model that has the old value.
    model: the model with the change.
    key: the key of the row.
    path: the changed path.
    full: see `row_text`.
    """
    if path.startswith("layer_kinds.") and path.endswith(NORM_COUNT):
        return True
    if tells(model, first, key, path, full):
        return True
    row = model.rows.get(key)
    has_none = row is None or row.words_of(block_name(path)) in (None, "none")
    if not has_none or not is_default(model.architecture, path):
        return False
    return tells(first, model, key, path, full)


def tells(model: ComparedModel, other: ComparedModel, key: Key, path: str, full: bool) -> bool:
    """Return whether a model's row has other words with another model's value at a path.

    model: the model whose words these are.
    other: the model that has the other value.
    key: the key of the row.
    path: the path of the fact.
    full: see `row_text`.
    """
    value = find_value(other.architecture, path)
    reverted = replace_value(model.architecture, path, value)
    if not is_whole(reverted):
        return path == "layers"  # kinds of layers that the other model does not have
    row = row_without(model, reverted, key, path)
    return row_text(row, full) != row_text(model.rows.get(key), full)


def names_removed_norm(first: ComparedModel, model: ComparedModel, path: str) -> bool:
    """Return whether a place has another norm because the model does not have the old one.

    That the old norm is not there, and the new one is, has rows of its own.
    """
    old, new = find_value(first.architecture, path), find_value(model.architecture, path)
    norms = model.architecture.norms
    was_norm = isinstance(old, str) and old in first.architecture.norms
    return path.endswith("_norm") and was_norm and old not in norms and new in norms


def is_default(a: Architecture, path: str) -> bool:
    """Return whether a fact has the default of its field."""
    owner_path, _, name = path.rpartition(".")
    owner = find_value(a, owner_path)
    if not is_dataclass(owner):
        return False
    value = getattr(owner, name)
    defaults = [default_of(field) for field in fields(owner) if field.name == name]
    return value in defaults


def row_without(model: ComparedModel, reverted: Architecture, key: Key, path: str) -> Row | None:
    """Return the row of words that a model has without a change.

    model: the model with the change.
    reverted: its architecture without it.
    key: the key of the row.
    path: the changed path.
    """
    if key in DERIVED:
        reading = replace(model.reading, architecture=reverted)
        return find_derived_row(reading, key)
    fact = find_fact(path, reverted, model.architecture)
    if fact is None:
        return None
    return find_fact_row(reverted, fact, key, model.towers)


# The recipe of layers


def recipe_shows(first: ComparedModel, model: ComparedModel, path: str) -> bool:
    """Return whether a block or its wiring changed so that the recipe of layers shows it."""
    if not words_differ(first, model, RECIPE, full=False):
        return False
    group, _, rest = path.partition(".")
    name, _, inner_path = rest.partition(".")
    is_wiring = group == "layer_kinds" and (not inner_path or inner_path.startswith("steps"))
    is_block = group in ("mixers", "ffns") and not inner_path
    if not is_wiring and not is_block:
        return False
    a, b = first.architecture, model.architecture
    old, new = find_value(a, path), find_value(b, path)
    if None not in (old, new) and is_whole(replace_value(b, path, old)):
        return tells(model, first, RECIPE, path, full=False)
    if is_wiring:
        kinds = [name], [name]
    else:
        kinds = kinds_with(a, path), kinds_with(b, path)
    return kind_words(a, kinds[0]) != kind_words(b, kinds[1])


def kind_words(a: Architecture, kinds: Sequence[str]) -> set[str]:
    """Return the words of those kinds of layers that layers have."""
    words: set[str] = set()
    used = set(kinds).intersection(a.layers)
    for kind in used:
        word = kind_word(a, kind)
        words.add(word)
    return words
