"""`diff` has a row if and only if there is a change, in every format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, get_args

import pytest
from helpers.mutations import changed, hints

import llmarch
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import Reading
from llmarch.compare.diff import diff
from llmarch.renderers import json, markdown, text
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

SAME = "architectures are the same"


def optional_facts(node: Any, path: str = "") -> Iterator[tuple[tuple[str, str], str]]:
    """Yield class and field, and path, of every fact of a node that may be None and is not."""
    for f in fields(node):
        if not f.compare:
            continue
        value = getattr(node, f.name)
        below = f"{path}.{f.name}".removeprefix(".")
        may_be_none = type(None) in get_args(hints(type(node))[f.name])
        if may_be_none and value is not None:
            yield (type(node).__name__, f.name), below
        if is_dataclass(value):
            yield from optional_facts(value, below)
        elif isinstance(value, dict):
            for name, item in value.items():
                if is_dataclass(item):
                    yield from optional_facts(item, f"{below}.{name}")


@cache
def unset_facts() -> dict[tuple[str, str], tuple[Reading, str, Architecture]]:
    """By class and field, a model that has the fact, its path, and the model without it."""
    found: dict[tuple[str, str], tuple[Reading, str, Architecture]] = {}
    for alias in sorted(bundled_models()):
        reading = llmarch.load(alias)
        a = reading.architecture
        for kind, path in optional_facts(a):
            if kind not in found:
                found[kind] = reading, path, changed(a, path.split("."), None)
    return found


def test_many_facts_may_be_none() -> None:
    assert len(unset_facts()) > 80


@pytest.mark.parametrize("backwards", [False, True])
def test_a_fact_that_one_side_does_not_have(backwards: bool) -> None:
    """A row is a change; what is unknown on one side and no change is a remark, not a row."""
    for reading, path, without in unset_facts().values():
        pair = [reading, replace(reading, architecture=without)]
        if backwards:
            pair.reverse()
        changes = diff(pair[0].architecture, pair[1].architecture)
        document = json.comparison(pair)
        assert [c["path"] for c in document["changes"]] == [c.path for c in changes], path
        compared = compare(pair)
        outputs = [
            text.captured(lambda out, c=compared: text.comparison(c, out)),
            markdown.comparison(compared),
        ]
        assert bool(compared.table.rows) == bool(changes) == compared.changed, path
        assert compared.same == (not changes), path
        for output in outputs:
            assert (SAME in output.lower()) == (not changes), path
        if not changes:
            assert document["remarks"] and all(r in compared.notes for r in document["remarks"])
            assert all(path in output for output in outputs)
