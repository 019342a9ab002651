"""Changes beside the facts are the same whether or not those of facts are computed too."""

from __future__ import annotations

import random
from dataclasses import replace

from helpers.facts import reading

from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import Reading
from llmarch.compare.entry_diff import reported_beside_facts, reported_changes
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.rules import is_about_facts
from llmarch.sources.aliases import bundled_models


def by_all_changes(old: Entry, new: Entry) -> list[object]:
    return [change for change in reported_changes(old, new) if not is_about_facts(change.rule)]


def with_finding(r: Reading, message: str) -> Reading:
    finding = Finding(rule="remote-code", path="auto_map", message=message, severity="info")
    return replace(r, findings=(*r.findings, finding), unread_keys=(*r.unread_keys, "hidden_act"))


def test_changes_beside_facts_are_those_of_all_changes() -> None:
    aliases = random.Random(11).sample(sorted(bundled_models()), 16)
    entries = [make_entry(reading(alias)) for alias in aliases]
    entries += [make_entry(with_finding(reading(a), f"code of {a}")) for a in aliases[:4]]
    told = 0
    for old in entries[::3]:
        for new in entries[1::3]:
            expected = by_all_changes(old, new)
            assert reported_beside_facts(old, new) == expected
            told += len(expected)
    assert told > 10
