"""Readings of bundled specs, and facts of them by dotted path."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import llmarch
from helpers.paths import SPECS
from llmarch.architecture.schema import Architecture, Evidence
from llmarch.checkpoint.reading import Reading, configure
from llmarch.config.vocabulary import build
from llmarch.tensors.template import TensorRow


@cache
def reading(alias: str) -> Reading:
    """Return a bundled model as it is loaded."""
    return llmarch.load(alias)


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
