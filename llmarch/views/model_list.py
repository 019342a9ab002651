"""The list of bundled models: which are chosen, in which order, and what is told of each.

What the index says of a model is known at once. Other facts are read from the specs, which takes a
second for all of them; so that happens only for a condition, a column or an order that needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ..architecture.catalogue import CATALOGUE, expand_path, iterate_facts
from ..architecture.documents import document_head
from ..architecture.schema import Architecture
from ..errors import UnknownReference, did_you_mean, printable, similar_names
from . import numbers
from .conditions import check_condition, parse_condition
from .documents import Listing, Table

ListedModel = dict[str, Any]
"""What the index says of a model, with its alias."""
SEARCHED = ("alias", "name", "family", "repo_id")
"""The keys of an index entry that a text filter looks into."""
ENCODERS = "towers."
"""How paths of facts about encoders begin."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class ListColumn(NamedTuple):
    """A column of the list that the index gives."""

    key: str
    """The key of the index entry."""
    text: Callable[[ListedModel], str]
    """Returns its cell."""


def cell_of(key: str) -> Callable[[ListedModel], str]:
    """Return what makes the cell of a key: its value as it is, nothing for none."""
    return lambda entry: str(entry[key] or "")


def total_text(entry: ListedModel) -> str:
    """Return the parameters of the whole model."""
    return numbers.count(entry["total"])


def attention_text(entry: ListedModel) -> str:
    """Return the kinds of attention."""
    return " ".join(entry["attention"])


def moe_text(entry: ListedModel) -> str:
    """Return whether it is a mixture of experts."""
    return "yes" if entry["moe"] else "no"


def recipe_text(entry: ListedModel) -> str:
    """Return the layers, kind by kind."""
    return ", ".join(entry["recipe"])


def active_text(entry: ListedModel) -> str:
    """Return the active parameters, nothing where all but the encoder's are."""
    active = entry["active"]
    of_text = entry["total"] - entry["vision"]
    if active == of_text:
        return ""
    return numbers.count(active)


def context_text(entry: ListedModel) -> str:
    """Return the context, with a mark where a reconstructed config does not tell it surely."""
    if not entry["context"]:
        return "?"
    text = numbers.context(entry["context"])
    mark = entry["uncertain"].get("context_length")
    if not mark:
        return text
    return f"{text} ({mark})"


def vision_text(entry: ListedModel) -> str:
    """Return the parameters of the encoder, nothing without one."""
    vision = entry["vision"]
    if not vision:
        return ""
    return numbers.count(vision)


def origin_text(entry: ListedModel) -> str:
    """Return whether the config is a copy of the published one, reconstructed or a stand-in."""
    state = entry["config"]
    if state in UNPUBLISHED:
        return state
    return "published"


UNPUBLISHED = ("reconstructed", "stand-in")
"""States of configs that are not copies of the published ones, whoever saved them."""
INDEX_COLUMNS: dict[str, ListColumn] = {
    "alias": ListColumn("alias", cell_of("alias")),
    "total": ListColumn("total", total_text),
    "active": ListColumn("active", active_text),
    "released": ListColumn("released", cell_of("released")),
    "attention": ListColumn("attention", attention_text),
    "context": ListColumn("context", context_text),
    "origin": ListColumn("config", origin_text),
    "layers": ListColumn("layers", cell_of("layers")),
    "organization": ListColumn("organization", cell_of("organization")),
    "name": ListColumn("name", cell_of("name")),
    "repo_id": ListColumn("repo_id", cell_of("repo_id")),
    "family": ListColumn("family", cell_of("family")),
    "model_type": ListColumn("model_type", cell_of("model_type")),
    "config": ListColumn("config", cell_of("config")),
    "moe": ListColumn("moe", moe_text),
    "vision": ListColumn("vision", vision_text),
    "recipe": ListColumn("recipe", recipe_text),
}
"""Columns by name; those that are shown by default come first, the most important in front."""
DEFAULT_COLUMNS = tuple(INDEX_COLUMNS)[:9]


class BundledModels:
    """The bundled models, whose further facts are read when they are asked for."""

    def __init__(
        self,
        catalog: Mapping[str, Mapping[str, Any]],
        architecture_of: Callable[[str], Architecture],
    ) -> None:
        """Begin with what the index says.

        catalog: index entries by alias.
        architecture_of: reads the architecture of an alias.
        """
        self.entries: list[ListedModel] = [
            {"alias": alias, **entry} for alias, entry in catalog.items()
        ]
        self.architecture_of = architecture_of
        self._facts: dict[str, dict[str, Any]] = {}

    def facts(self, alias: str) -> dict[str, Any]:
        """Return every fact of a model by its path."""
        known = self._facts.get(alias)
        if known is None:
            a = self.architecture_of(alias)
            known = dict(iterate_facts(a))
            self._facts[alias] = known
        return known

    def values(self, entry: ListedModel, name: str) -> list[Any]:
        """Return the values of a model for a name: a column, or the last parts of a path.

        A name that is a block gives true where the model has it.
        """
        column = INDEX_COLUMNS.get(name.lower())
        if column is not None:
            value = entry[column.key]
            if isinstance(value, list):
                return cast("list[Any]", value)
            return [value]
        facts = self.facts(entry["alias"])
        return values_named(facts, name)

    def all_values(self, name: str) -> list[Any]:
        """Return the values of all models for a name."""
        found: list[Any] = []
        for entry in self.entries:
            found += self.values(entry, name)
        return found

    def names(self) -> list[str]:
        """Return the names to offer: columns, and the last two parts of every path."""
        paths = (path for entry in self.entries for path in self.facts(entry["alias"]))
        return names_of_paths(paths)


def values_named(facts: Mapping[str, Any], name: str) -> list[Any]:
    """Return the different values of the facts whose paths end with a name.

    Those of encoders count only where no other fact has the name. Without such facts, true for a
    block whose path ends so.

    facts: every fact by path.
    name: one part or several; `*` is any one part.
    """
    inner = r"\.".join("[^.]+" if part == "*" else re.escape(part) for part in name.split("."))
    pattern = re.compile(rf"(?:.*\.)?{inner}(?P<below>\..*)?", re.IGNORECASE)
    of_decoder: dict[Any, None] = {}
    of_encoders: dict[Any, None] = {}
    is_block = False
    for path, value in facts.items():
        matched = pattern.fullmatch(path)
        if matched is None:
            continue
        if matched["below"]:
            is_block = True
            continue
        found = of_encoders if path.startswith(ENCODERS) else of_decoder
        items = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
        found |= dict.fromkeys(items)
    known = [value for value in of_decoder or of_encoders if value is not None]
    if known or of_decoder or of_encoders:
        return known or [None]
    return [True] if is_block else []


def fact_names() -> list[str]:
    """Return the names that a shell completes: columns, and fields with the block they are in."""
    return names_of_paths(path for fact in CATALOGUE for path in expand_path(fact.path))


def names_of_paths(paths: Iterable[str]) -> list[str]:
    """Return the columns, and of each path its last part and its last two, without `*`."""
    names = dict.fromkeys(INDEX_COLUMNS)
    for path in paths:
        parts = [part for part in path.split(".") if part != "*"]
        names[".".join(parts[-2:])] = None
        names[parts[-1]] = None
    return list(names)


# Which models, and in which order


def select_models(
    models: BundledModels,
    text: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
    condition: str | None = None,
) -> list[ListedModel]:
    """Return the models that pass every filter, by their aliases.

    models: all of them.
    text: what an entry's alias, name, family or repository contains; case does not matter.
    attention: a kind of attention; raises UnknownReference where no model has it.
    moe: whether the model is a mixture of experts.
    condition: a condition over facts; raises ConditionError for one that cannot be read.
    """
    chosen = models.entries
    if attention is not None:
        chosen = with_attention(chosen, attention.lower())
    if moe is not None:
        chosen = [entry for entry in chosen if entry["moe"] is moe]
    if text is not None:
        wanted = text.lower()
        chosen = [entry for entry in chosen if has_text(entry, wanted)]
    if condition is not None:
        parsed = parse_condition(condition)
        check_condition(condition, parsed, models.all_values, models.names)
        chosen = [
            entry
            for entry in chosen
            if parsed.holds(lambda name, entry=entry: models.values(entry, name))
        ]
    return sorted(chosen, key=lambda entry: natural_key(entry["alias"]))


def with_attention(models: list[ListedModel], kind: str) -> list[ListedModel]:
    """Return the models with a kind of attention. Raises UnknownReference where none has it."""
    found = [m for m in models if kind in m["attention"]]
    if not found:
        kinds = sorted({known for m in models for known in m["attention"]})
        message = f"no bundled model has {kind!r} attention"
        raise UnknownReference(message, f"Known: {', '.join(kinds)}.")
    return found


def has_text(model: Mapping[str, Any], text: str) -> bool:
    """Return whether a searched key of an entry contains the text, which is in lower case."""
    values = [str(model[key]) for key in SEARCHED]
    return any(text in value.lower() for value in values)


def natural_key(text: str) -> list[tuple[str, float]]:
    """Return what sorts texts as people do: `glm-4` before `glm-4.6` before `glm-10`."""
    words = _NUMBER.split(text.lower())
    found = [float(number) for number in _NUMBER.findall(text)]
    return list(zip(words, [*found, -1.0], strict=True))


def sort_models(
    models: BundledModels, chosen: Iterable[ListedModel], order: str
) -> list[ListedModel]:
    """Return models in another order; those without a value come last.

    models: all of them.
    chosen: those to sort.
    order: names separated by commas, each with `-` in front where the largest comes first. Raises
        UnknownReference for a name that is not a fact.
    """
    entries = list(chosen)
    for name in reversed(split_names(order)):
        is_descending = name.startswith("-")
        bare = name.removeprefix("-")
        check_name(models, bare)
        known: list[ListedModel] = []
        unknown: list[ListedModel] = []
        for entry in entries:
            value = sort_value(models, entry, bare)
            if value is None:
                unknown.append(entry)
            else:
                known.append(entry)
        known.sort(key=lambda entry: sort_key(models, entry, bare), reverse=is_descending)
        entries = known + unknown
    return entries


def sort_value(models: BundledModels, entry: ListedModel, name: str) -> Any:
    """Return the value of a model that sorts it, None without one."""
    for value in models.values(entry, name):
        if value is not None:
            return value
    return None


def sort_key(models: BundledModels, entry: ListedModel, name: str) -> tuple[float, Any]:
    """Return what sorts models by a value: numbers before words."""
    value = sort_value(models, entry, name)
    if isinstance(value, (int, float)):
        return (value, [])
    last = float("inf")
    words = str(value)
    return (last, natural_key(words))


def check_name(models: BundledModels, name: str) -> None:
    """Raise UnknownReference for a name that no model has a fact of."""
    if name.lower() in INDEX_COLUMNS or models.all_values(name):
        return
    columns = f"Columns are {', '.join(INDEX_COLUMNS)}, and facts such as moe.experts."
    hint = did_you_mean(similar_names(name.lower(), models.names())) or columns
    raise UnknownReference(f"no bundled model has a fact {printable(name)}", hint)


def split_names(text: str) -> list[str]:
    """Return the names of a list separated by commas."""
    names: list[str] = []
    for part in text.split(","):
        name = part.strip()
        if name:
            names.append(name)
    return names


# What is told of each


def model_listing(
    models: BundledModels, chosen: Sequence[ListedModel], columns: Sequence[str] | None = None
) -> Listing:
    """Return the list of models, a line for each.

    models: all of them.
    chosen: those to list.
    columns: names of columns and facts, in the order in which they are shown; None: the usual.
    """
    names = list(columns or DEFAULT_COLUMNS)
    rows = [[listed_cell(models, entry, name) for name in names] for entry in chosen]
    return Listing(Table(names, rows), may_shorten=columns is None)


def listed_cell(models: BundledModels, entry: ListedModel, name: str) -> str:
    """Return what a model has in a column, or the values of its facts of that name."""
    column = INDEX_COLUMNS.get(name.lower())
    if column is not None:
        return column.text(entry)
    values = models.values(entry, name)
    words = map(plain_value, values)
    return ", ".join(words)


def plain_value(value: Any) -> str:
    """Return a value of a fact as people read it, nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return numbers.number(value)
    return str(value)


def model_records(
    models: BundledModels, chosen: Sequence[ListedModel], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the values of columns for each model, as JSON has them.

    A fact that several blocks have with different values has a list of them.
    """
    return [{name: record_value(models, entry, name) for name in columns} for entry in chosen]


def list_document(
    models: BundledModels, chosen: Sequence[ListedModel], columns: Sequence[str] | None
) -> dict[str, Any]:
    """Return the list as a JSON document.

    models: all of them.
    chosen: those to list.
    columns: names of columns and facts; None: everything that the index says.
    """
    if columns is not None:
        return {**document_head("columns"), "models": model_records(models, chosen, columns)}
    return {**document_head("list"), "models": [listed_model(entry) for entry in chosen]}


def listed_model(entry: ListedModel) -> ListedModel:
    """Return an entry of the index with its figures under names that have their unit too."""
    with_units = {f"{name}_parameters": entry[name] for name in ("total", "active", "vision")}
    return {**entry, **with_units, "context_tokens": entry["context"]}


def record_value(models: BundledModels, entry: ListedModel, name: str) -> Any:
    """Return what a model has in a column: as the index has it, or one value, or several."""
    column = INDEX_COLUMNS.get(name.lower())
    if column is not None:
        return entry[column.key]
    values = models.values(entry, name)
    if len(values) > 1:
        return values
    return values[0] if values else None


def flat_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with lists as words, for formats that have none."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat[name] = value
        if isinstance(value, (list, tuple)):
            flat[name] = " ".join(map(str, cast("list[Any]", value)))
    return flat
