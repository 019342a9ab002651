"""Facts with their evidence, and trees of them that become schema objects."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Evidence


@frozen
class Sourced(Frozen):
    """A value and where it comes from."""

    value: Any
    evidence: Evidence

    def __bool__(self) -> bool:
        raise TypeError("ask fact.value, not the fact")


def hard_coded(value: Any, ref: str) -> Sourced:
    """What the modelling code `ref` does, whatever the config says."""
    return Sourced(value, Evidence(kind="family", ref=ref))


def unknown(why: str) -> Sourced:
    return Sourced(None, Evidence(kind="unknown", ref=why))


def derived(value: Any, how: str) -> Sourced:
    """A computed value; `how` says from what, for people: `hidden_size / num_attention_heads`."""
    return Sourced(value, Evidence(kind="derived", ref=how))


def derived_from(value: Any, *facts: Sourced) -> Sourced:
    """Return a value that is computed from several facts, whose evidence it names."""
    return derived(value, ", ".join(fact.evidence.ref for fact in facts))


def same_evidence(value: Any, source: Sourced) -> Sourced:
    """Another value that rests on the same evidence."""
    return Sourced(value, source.evidence)


@frozen
class Draft(Frozen):
    """A schema object before it is built: its class and fields, which are Facts, Nodes, plain values, or lists and dicts of these.

    `ref`: the modelling code that its plain values, and those of the nodes within, were read from; empty: that of the node around it.
    """

    cls: type
    fields: dict[str, Any]
    ref: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def replace(self, **changes: Any) -> Draft:
        """The same node with other fields."""
        return Draft(self.cls, {**self.fields, **changes}, self.ref)


def draft(cls: type, ref: str = "", /, **values: Any) -> Draft:
    return Draft(cls, values, ref)


def build(tree: Any, ref: str, evidence: dict[str, Evidence], path: str = "") -> Any:
    """Turn a tree into schema objects, noting each leaf's evidence under its dotted path; plain leaves rest on `ref`, or their node's.

    Raises ValueError for a word that its field does not know.
    """
    match tree:
        case Sourced():
            evidence[path] = tree.evidence
            value: Any = tree.value
            return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        case Draft():
            ref = tree.ref or ref
            given: dict[str, Any] = {}
            for f in fields(tree.cls):
                if f.name == "kind" and f.default is not MISSING:
                    continue
                at = f"{path}.{f.name}" if path else f.name
                if f.name in tree.fields:
                    value = given[f.name] = build(tree.fields[f.name], ref, evidence, at)
                    if (
                        str(f.type).startswith("Literal[")
                        and value is not None
                        and repr(value) not in str(f.type)
                    ):
                        raise ValueError(
                            f"{evidence[at].ref} says {value!r}, and llmarch knows {f.type}"
                        )
                elif f.default is not MISSING:
                    evidence[at] = Evidence(kind="family", ref=ref)
            return tree.cls(**given)
        case dict():
            return {
                k: build(v, ref, evidence, f"{path}.{k}")
                for k, v in cast("dict[str, Any]", tree).items()
            }
        case list() | tuple():
            items = tuple(cast("list[Any]", tree))
            if any(isinstance(v, (Draft, Sourced)) for v in items):
                return tuple(build(v, ref, evidence, f"{path}.{i}") for i, v in enumerate(items))
            evidence[path] = Evidence(kind="family", ref=ref)
            return items
        case _:
            evidence[path] = Evidence(kind="family", ref=ref)
            return tree
