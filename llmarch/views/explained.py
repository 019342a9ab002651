"""What a term, a fact, a rule or a line of `show` means, and which models have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..architecture.catalogue import (
    CATALOGUE,
    expand_path,
    facts_at,
    generic_path,
    iterate_facts,
)
from ..architecture.documents import document_head
from ..architecture.frozen import Frozen, frozen
from ..architecture.meanings import PathMeanings
from ..architecture.paths import find_value, last_part
from ..checkpoint.reading import Reading
from ..compare.rules import CONSEQUENCES, RULES, Rule, find, rule_for
from ..errors import UnknownReference, did_you_mean, printable, similar_names
from .documents import Sheet, Table
from .evidence import explained_value, find_prefixes
from .features import possible_first, release_order
from .terms import ALL_TERMS, find_term, term_names, terms_by_name, terms_in
from .terms.term import Term

Load = Callable[[], Sequence[Reading]]
"""Reads the bundled models, which takes a second; so it is called where they are needed."""
_MOST_TERMS = 4
"""Terms of a line of `show` that are explained."""
_MOST_MODELS = 8
_MOST_VALUES = 6
_MOST_NAMES = 4
"""Other names of a term that are shown."""


@frozen
class ModelsWithIt(Frozen):
    """The bundled models that have something."""

    what: str
    models: tuple[str, ...]
    """Their aliases, the newest first."""
    first: tuple[str, ...]
    """Those that may be the oldest, as far as dates are known."""
    date: str
    """When these were released; empty if it is not known."""
    total: int
    """How many models were looked at."""


@frozen
class Occurrence(Frozen):
    """Where a model has a fact."""

    model: int
    """The number of the model."""
    path: str
    value: Any

    @property
    def text(self) -> str:
        """Return the value in words; `yes` for a block."""
        if isinstance(self.value, (str, int, float)):
            return explained_value(self.value)
        return "yes"


@frozen
class ExplainedWord(Frozen):
    """The explanation of one term, fact or rule."""

    kind: str
    """`term`, `fact` or `rule`."""
    name: str
    meaning: str
    also: tuple[str, ...] = ()
    lines: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What is told besides, each with its label."""
    models: ModelsWithIt | None = None


def explain_words(text: str, load: Load) -> list[ExplainedWord]:
    """Return what a text means: a term, a fact, a rule, or the terms that a line names.

    text: what was asked.
    load: reads the bundled models.

    Raises UnknownReference with the nearest words if it means nothing.
    """
    term = find_term(text)
    rule = find(text.strip())
    is_path = "_" in text or "." in text
    if rule is not None:
        return [explained_rule(rule)]
    if term is not None and not is_path:
        return [explained_term(term, load())]
    facts = explained_facts(text.strip(), load())
    if facts:
        return facts
    if term is not None:
        return [explained_term(term, load())]
    named = terms_in(text)
    if named:
        return [explained_term(one, load()) for one in named[:_MOST_TERMS]]
    hint = did_you_mean(nearest_words(text)) or "`llmarch explain` lists the terms"
    raise UnknownReference(f"there is no explanation of {printable(text)}", hint)


def nearest_words(text: str) -> list[str]:
    """Return terms, rules and facts that look like a text."""
    fields = {last_part(path) for fact in CATALOGUE for path in expand_path(fact.path)}
    words = [*terms_by_name(), *(rule.id for rule in RULES), *sorted(fields)]
    return similar_names(text.lower(), words)


# Terms


def explained_term(term: Term, readings: Sequence[Reading]) -> ExplainedWord:
    """Return the explanation of a term, with the models that have it."""
    lines: list[tuple[str, tuple[str, ...]]] = []
    for label, text in (
        ("formula", term.formula.replace("·", "⋅")),
        ("why", term.why),
        ("described in", term.described),
        ("facts", ", ".join(term.facts)),
    ):
        if text:
            lines.append((label, (text,)))
    shown = [name for name in term.also if name.lower() not in term.name.lower()]
    models = None
    if term.is_in is not None:
        has_it = term.is_in
        models = models_with(term.feature or term.name, readings, lambda r: has_it(r.architecture))
    also = tuple(shown[:_MOST_NAMES])
    return ExplainedWord("term", term.name, term.meaning, also, tuple(lines), models)


def models_with(
    what: str, readings: Sequence[Reading], has_it: Callable[[Reading], bool]
) -> ModelsWithIt:
    """Return the models that have something, and the first of them by date.

    what: what they have.
    readings: the models that are looked at.
    has_it: whether a model has it.
    """
    dates = [r.raw.released or "" for r in readings]
    having = [i for i, r in enumerate(readings) if has_it(r)]
    first = possible_first(having, dates) if having else []
    having.sort(key=lambda i: release_order(dates[i]) if dates[i] else "", reverse=True)
    known = {dates[i] for i in first}
    date = dates[first[0]][:4] if first else ""
    if len(known) == 1:
        date = known.pop()
    return ModelsWithIt(
        what,
        tuple(readings[i].raw.reference for i in having),
        tuple(readings[i].raw.reference for i in first),
        date,
        len(readings),
    )


# Facts


def explained_facts(asked: str, readings: Sequence[Reading]) -> list[ExplainedWord]:
    """Return the explanation of each fact or block that a path, field, label or key names.

    Facts of one meaning in several places are one.
    """
    found: dict[str, list[Occurrence]] = {}
    for i, r in enumerate(readings):
        prefixes = find_prefixes(asked, r.evidence)
        if not prefixes:
            continue
        meanings = PathMeanings(path for path, _ in iterate_facts(r.architecture))
        for path in prefixes:
            meaning = meanings.meaning(path)
            if meaning:
                value = find_value(r.architecture, path)
                found.setdefault(meaning, []).append(Occurrence(i, path, value))
    facts = [explained_fact(meaning, places, readings) for meaning, places in found.items()]
    return facts[:_MOST_TERMS]


def explained_fact(
    meaning: str, places: Sequence[Occurrence], readings: Sequence[Reading]
) -> ExplainedWord:
    """Return the explanation of a fact, with its values in the bundled models.

    meaning: its docstring.
    places: where models have it.
    readings: the models.
    """
    lines: list[tuple[str, tuple[str, ...]]] = []
    paths = list(dict.fromkeys(generic_path(place.path) for place in places))
    entries = [fact for path in paths for fact in facts_at(path)]
    if entries:
        labels = dict.fromkeys(f"{fact.section} · {fact.label}" for fact in entries)
        lines.append(("row of diff", tuple(labels)))
        rule = rule_for(paths[0])
        breaks = f"{rule.id} ({rule.severity}): {rule.explanation}"
        lines.append(("change", (breaks,)))
    present = [place for place in places if place.value not in (None, False, (), 0)]
    values = Counter(text for _, text in {(p.model, p.text) for p in present})
    if values and entries:
        common = [f"{value} ({n})" for value, n in values.most_common(_MOST_VALUES)]
        more = ", …" if len(values) > _MOST_VALUES else ""
        lines.append(("values", (", ".join(common) + more,)))
    terms = [term.name for term in ALL_TERMS if set(paths) & set(term.facts)]
    if terms:
        lines.append(("see", (", ".join(terms),)))
    having = {id(readings[place.model]) for place in present}
    models = models_with(last_part(paths[0]), readings, lambda r: id(r) in having)
    return ExplainedWord("fact", paths[0], meaning, tuple(paths[1:]), tuple(lines), models)


# Rules


def explained_rule(rule: Rule) -> ExplainedWord:
    """Return the explanation of a rule."""
    lines = [("severity", (f"{rule.severity}: {CONSEQUENCES[rule.severity]}",))]
    if rule.pattern is not None:
        lines.append(("covers", (rule.pattern,)))
    lines += [("since", (rule.since,)), ("what breaks", (rule.explanation,))]
    meaning = rule.title[:1].upper() + rule.title[1:]
    return ExplainedWord("rule", rule.id, meaning, lines=tuple(lines))


# Output


def explained_sheet(word: ExplainedWord, everything: bool = False) -> Sheet:
    """Return an explanation as a sheet; `everything`: all models that have it, not the newest."""
    lines = [(label, list(values)) for label, values in word.lines]
    found = word.models
    if found is not None:
        lines += model_lines(found, everything)
    origin = f"{word.kind} · {', '.join(word.also)}" if word.also else word.kind
    return Sheet(word.name, origin, word.meaning, lines, [])


def model_lines(found: ModelsWithIt, everything: bool) -> list[tuple[str, list[str]]]:
    """Return the lines about the models that have something: the first, and how many."""
    if not found.models:
        return [("models", [f"none of the {found.total} bundled ones"])]
    lines: list[tuple[str, list[str]]] = []
    if len(found.models) == found.total:
        return [("models", [f"all {found.total} bundled ones have {found.what}"])]
    lines.append(("first", [first_words(found)]))
    shown = found.models if everything else found.models[:_MOST_MODELS]
    more = "" if len(shown) == len(found.models) else ", … (--all)"
    count = f"{len(found.models)} of {found.total} have {found.what}"
    return [*lines, ("models", [f"{count}: {', '.join(shown)}{more}"])]


def first_words(found: ModelsWithIt) -> str:
    """Return the models that may be the oldest, and when they were released."""
    *most, names = found.first
    if most:
        others = ", ".join(most)
        names = f"{others} or {names}"
    if found.date:
        names += f" ({found.date})"
    return f"{names}, of the bundled models"


def explanations_document(words: Sequence[ExplainedWord]) -> dict[str, Any]:
    """Return explanations as a JSON document."""
    return {
        **document_head("explain"),
        "explanations": [explanation_record(word) for word in words],
    }


def explanation_record(word: ExplainedWord) -> dict[str, Any]:
    """Return one explanation as JSON has it."""
    record: dict[str, Any] = {
        "kind": word.kind,
        "name": word.name,
        "also": list(word.also),
        "meaning": word.meaning,
    }
    for label, values in word.lines:
        record[label.replace(" ", "_")] = "\n".join(values)
    if word.models is not None:
        record["first"] = list(word.models.first)
        record["first_released"] = word.models.date or None
        record["models"] = list(word.models.models)
        record["models_total"] = word.models.total
    return record


def terms_table() -> Table:
    """Return all terms with their other names."""
    rows: list[list[str]] = []
    for term in ALL_TERMS:
        meaning, _, _ = term.meaning.partition(". ")
        rows.append([term.name, f"{meaning.removesuffix('.')}."])
    return Table(["term", "what it is"], rows)


def terms_document() -> dict[str, Any]:
    """Return everything that has an explanation as a JSON document."""
    return {**document_head("terms"), "terms": explained_names()}


def explained_names() -> list[str]:
    """Return what a shell completes: terms and rules."""
    names = [name for term in ALL_TERMS for name in term_names(term)]
    return [*names, *(rule.id for rule in RULES)]
