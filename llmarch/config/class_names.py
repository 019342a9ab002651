"""Compare the class that a config names in `architectures` with those of its model_type.

transformers' Auto classes pick the model by model_type; vLLM and SGLang pick it by the first of
`architectures` that they know. Where the two disagree, they build different models of one config.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..architecture.paths import last_part
from ..architecture.schema import Finding, Severity
from .families import MODEL_TYPES, family_named
from .findings import add, shown
from .head import has_known_head
from .keys import ConfigKeys

TASK = re.compile(r"(?:For[A-Z]\w*|LMHeadModel|DoubleHeadsModel|Model)$")
"""What follows the name of a model in that of a class."""

SAME_CODE = ({"llama", "mistral"},)
"""model_types that vLLM runs by one class (model_executor/models/registry.py)."""


def check_class(
    c: ConfigKeys,
    named: str,
    config_classes: Mapping[str, str],
    others: Iterable[str],
) -> None:
    """Report a class of another model_type, or one that nothing knows.

    named: the first class of `architectures`.
    config_classes: the config classes of the family, by model_type.
    others: what the names of further classes of the model_type begin with.
    Classes of the repository's own code are what the repository says: those that `auto_map` names,
    and those that end as no class of a library does (head.py tells them).
    """
    stem = TASK.sub("", named)
    if stem in others:
        return
    related = related_types(c.model_type)
    if any(_has_classes(t, stem, config_classes) for t in related):
        return
    if named in _classes_of_repository(c):
        return
    owner = model_type_of(stem)
    if owner is None and not has_known_head(named):
        return
    add(c, _class_finding(c, named, owner))


def related_types(model_type: str) -> tuple[str, ...]:
    """Return a model_type, and those of its wrapper and of its text part, whose classes it has."""
    whole = model_type.removesuffix("_text")
    return (whole, f"{whole}_text")


def model_type_of(stem: str) -> str | None:
    """Return the model_type whose classes begin with `stem`; None where llmarch reads none."""
    for model_type, module in MODEL_TYPES.items():
        if _has_classes(model_type, stem, family_named(module).config_class):
            return model_type
    return None


def _has_classes(model_type: str, stem: str, config_classes: Mapping[str, str]) -> bool:
    """Return whether the classes of a model_type begin with `stem`."""
    if _plain(stem) == _plain(model_type):
        return True
    own = config_classes.get(model_type, "").removesuffix("Config")
    return bool(own) and stem in (own, own.removesuffix("Text"))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _classes_of_repository(c: ConfigKeys) -> set[str]:
    """Return the names of the classes that `auto_map` finds in the repository's own code."""
    named = c.data.get("auto_map")
    if not isinstance(named, dict):
        return set()
    paths = cast("dict[str, Any]", named).values()
    return {last_part(path) for path in paths if isinstance(path, str)}


def _class_finding(c: ConfigKeys, named: str, owner: str | None) -> Finding:
    """Return the finding for a class that does not belong to the config's model_type.

    owner: the model_type that has it.
    """
    severity: Severity = "behaviour"
    if owner is None:
        severity = "info"
        whose = "which no model_type that llmarch reads has"
        engines = "vLLM and SGLang, which pick the model by this name, do not find it and run it"
        engines += " by transformers' code, if at all"
    else:
        whose = f"a class of {owner}"
        engines = f"vLLM and SGLang pick the model by this name and build {owner}"
        if {owner, c.model_type} in SAME_CODE:
            severity = "info"
            engines += ", which vLLM runs by the same code"
    path = c.key("architectures")
    return Finding(
        rule="class-of-another-type",
        path=path,
        message=f"{path} names {shown(named)}, {whose}, but model_type is {shown(c.model_type)}:"
        f" {engines}; transformers' Auto classes go by model_type and build {c.model_type}",
        severity=severity,
        old=c.model_type,
        new=named,
    )
