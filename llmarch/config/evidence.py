"""Facts with their evidence, and trees of them that become schema objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from math import isfinite
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Evidence
from ..errors import FactError, InternalError


@frozen
class Sourced(Frozen):
    """A value and where it comes from."""

    value: Any
    evidence: Evidence

    def __bool__(self) -> bool:
        raise TypeError("ask fact.value, not the fact")


def hard_coded(value: Any, ref: str) -> Sourced:
    """Return what the modelling code `ref` does, whatever the config says."""
    return Sourced(value, Evidence(kind="family", ref=ref))


def unknown(reason: str) -> Sourced:
    """Return a value that is not known."""
    return Sourced(None, Evidence(kind="unknown", ref=reason))


def derived(value: Any, formula: str) -> Sourced:
    """Return a computed value; the `formula` is for people: `hidden_size / num_attention_heads`."""
    return Sourced(value, Evidence(kind="derived", ref=formula))


def derived_from(value: Any, *facts: Sourced) -> Sourced:
    """Return a value that is computed from several facts, whose evidence it names."""
    return derived(value, ", ".join(fact.evidence.ref for fact in facts))


def same_evidence(value: Any, source: Sourced) -> Sourced:
    """Return `value` with the evidence of `source`."""
    return Sourced(value, source.evidence)


@frozen
class Draft(Frozen):
    """A schema object before it is built."""

    cls: type
    fields: dict[str, Any]
    """Each is a Sourced, a Draft, a plain value, or a list or dict of these. A plain value is what
    the modelling code does, whatever the config says."""
    ref: str = ""
    """The modelling code that the plain values in this draft were read from. If it is empty, it is
    that of the draft around it."""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def replace(self, **changes: Any) -> Draft:
        """Return a draft with other or further fields."""
        return Draft(self.cls, {**self.fields, **changes}, self.ref)


def draft(cls: type, ref: str = "", /, **values: Any) -> Draft:
    """Return the draft of a schema object."""
    return Draft(cls, values, ref)


def build(tree: Any, ref: str, evidence: dict[str, Evidence], path: str = "") -> Any:
    """Turn a tree of drafts and facts into schema objects.

    ref: the modelling code that plain values rest on, unless their draft has one of its own.
    evidence: gets the evidence of each leaf under its dotted path.
    Raises FactError for a word that its field does not allow or a number that is not finite, and
    InternalError for a field that the class does not have.
    """
    if isinstance(tree, Sourced):
        evidence[path] = tree.evidence
        _check_finite(tree.value, tree.evidence.ref or path)
        return _frozen_list(tree.value)
    if isinstance(tree, Draft):
        return _build_draft(tree, tree.ref or ref, evidence, path)
    if isinstance(tree, dict):
        entries = cast("dict[str, Any]", tree)
        return {k: build(v, ref, evidence, f"{path}.{k}") for k, v in entries.items()}
    if isinstance(tree, (list, tuple)):
        items = cast("list[Any]", tree)
        if any(isinstance(item, (Draft, Sourced)) for item in items):
            return tuple(build(v, ref, evidence, f"{path}.{i}") for i, v in enumerate(items))
    evidence[path] = Evidence(kind="family", ref=ref)
    _check_finite(tree, path)
    return _frozen_list(tree)


def _check_finite(value: Any, name: str) -> None:
    """Raise FactError for a number, or a list with one, that is infinite or NaN."""
    items = cast("list[Any]", value) if isinstance(value, (list, tuple)) else [value]
    for item in items:
        if isinstance(item, float) and not isfinite(item):
            raise FactError(f"{name} is {item}, which is not a finite number")


def _frozen_list(value: Any) -> Any:
    """Return a list as a tuple, and any other value as it is."""
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _build_draft(tree: Draft, ref: str, evidence: dict[str, Evidence], path: str) -> Any:
    """Turn a draft into an object of its class. Fields that it does not have get the default."""
    declared = _fields_of(tree.cls)
    for name in tree.fields:
        if name not in declared:
            raise InternalError(f"{tree.cls.__name__} has no field {name!r} ({path})")
    given: dict[str, Any] = {}
    for name, field in declared.items():
        field_path = f"{path}.{name}" if path else name
        if name == "kind" and field.default is not MISSING and not _is_choice(field):
            _check_kind(tree, field.default, field_path)
        elif name in tree.fields:
            given[name] = build(tree.fields[name], ref, evidence, field_path)
            _check_word(given[name], field, evidence, field_path)
        elif field.default is not MISSING:
            evidence[field_path] = Evidence(kind="family", ref=ref)
    return tree.cls(**given)


@cache
def _fields_of(cls: type) -> dict[str, Field[Any]]:
    """Return the fields of a schema class by name."""
    return {field.name: field for field in fields(cls)}


def _is_choice(field: Field[Any]) -> bool:
    """Return whether a Literal field has several words, so that it is not a name of its class."""
    return len(_allowed_words(str(field.type))) > 1


def _check_kind(tree: Draft, kind: str, path: str) -> None:
    """Raise InternalError if a draft has another kind than its class, which is the word for it."""
    given = tree.fields.get("kind", kind)
    if given != kind:
        raise InternalError(f"{path} is {given!r}, but {tree.cls.__name__} is always {kind!r}")


def _check_word(value: Any, field: Field[Any], evidence: Mapping[str, Evidence], path: str) -> None:
    """Raise FactError if a Literal field does not allow a word."""
    words = _allowed_words(str(field.type))
    if words and value is not None and value not in words:
        ref = evidence[path].ref
        raise FactError(f"{ref} is {value!r}; supported: {', '.join(words)}")


@cache
def _allowed_words(annotation: str) -> tuple[str, ...]:
    """Return the words of a `Literal[...]` annotation, none for another one.

    Annotations are strings here. typing.get_type_hints would evaluate them, which takes 8 ms for
    the classes of one reading, 8 % of a start.
    """
    if not annotation.startswith("Literal["):
        return ()
    return tuple(re.findall(r"'([^']*)'", annotation))
