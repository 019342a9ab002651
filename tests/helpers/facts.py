"""Readings of bundled specs, and facts of them by dotted path."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import llmarch
from helpers.paths import SPECS
from llmarch.architecture.catalogue import iterate_facts
from llmarch.architecture.schema import Architecture, Evidence
from llmarch.checkpoint.reading import Reading, configure
from llmarch.config.vocabulary import build
from llmarch.sources.aliases import bundled_models
from llmarch.tensors.template import TensorRow


@cache
def reading(alias: str) -> Reading:
    """Return a bundled model as it is loaded."""
    return llmarch.load(alias)


@cache
def alike_models() -> list[list[str]]:
    """Return the aliases of bundled models in groups: those of a group have the same facts, with
    other values of the same types.

    What a sweep shows of one of them it shows of all, as long as it is not about values.
    """
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for alias in sorted(bundled_models()):
        facts = iterate_facts(reading(alias).architecture)
        kinds = tuple((path, type(value).__name__) for path, value in facts)
        groups.setdefault(kinds, []).append(alias)
    return list(groups.values())


@cache
def one_of_each_kind() -> list[str]:
    """Return the first alias of each group of models with the same facts."""
    return [group[0] for group in alike_models()]


@cache
def read(spec: str) -> tuple[Architecture, dict[str, Evidence], list[str], list[TensorRow]]:
    """Return the architecture of a spec, its evidence, its unread keys and its tensor template."""
    document = json.loads((SPECS / f"{spec}.json").read_text())
    family, config = configure(document["config"], document["config_file"])
    evidence: dict[str, Evidence] = {}
    architecture = build(family.read(config), family.ref, evidence)
    return architecture, evidence, config.unread(), family.template(architecture)


def at(value: Any, path: str) -> Any:
    """Return the value at a dotted path."""
    for name in path.split("."):
        if isinstance(value, tuple):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
        else:
            value = getattr(value, name)
    return value
