"""How certain the values of a reconstructed config are, fact by fact.

The spec of a model whose published file was not found says of groups of keys what they were taken
from (`provenance.reconstruction`, specs/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..architecture.paths import parent_path
from ..architecture.schema import Evidence

UNCERTAIN, DERIVED = "uncertain", "derived"
"""Marks of values that nobody was found to state."""

OTHERS = ("all but", "all others", "every")
"""What the list of keys of all that no other group names begins with."""
ANY_KEY = "*"

_KEY = re.compile(r"[A-Za-z_][\w.]*")


def certainty_by_key(provenance: Mapping[str, Any] | None) -> dict[str, str]:
    """Return how certain each key is that a reconstruction names, by dotted key.

    A text for people may follow a key. ANY_KEY stands for all keys that no group names.
    """
    certainty: dict[str, str] = {}
    stated = provenance or {}
    groups = stated.get("reconstruction") or ()
    for group in groups:
        for text in group["keys"]:
            key, *_ = re.split(r"[ :]", text)
            if text.startswith(OTHERS):
                key = ANY_KEY
            certainty[key] = group["certainty"]
    return certainty


def add_certainty(evidence: dict[str, Evidence], provenance: Mapping[str, Any] | None) -> None:
    """Note in the evidence of each fact how certain the keys are that it was read from."""
    by_key = certainty_by_key(provenance)
    if not by_key:
        return
    for path, source in evidence.items():
        if source.kind not in ("config", "derived"):
            continue
        found = [_certainty_of(key, by_key) for key in _KEY.findall(source.ref)]
        certainty = max(found, key=_rank, default="")
        if certainty:
            evidence[path] = replace(source, certainty=certainty)


def _certainty_of(key: str, by_key: Mapping[str, str]) -> str:
    """Return how certain a key is: what is said of it, or of the nearest object that holds it."""
    while key:
        if key in by_key:
            return by_key[key]
        key = parent_path(key)
    return by_key.get(ANY_KEY, "")


def _rank(certainty: str) -> int:
    return ["", DERIVED, UNCERTAIN].index(certainty_mark(certainty)) * 2 + bool(certainty)


def certainty_mark(certainty: str) -> str:
    """Return the word that marks a value: `uncertain`, `derived`, or nothing for a cited one."""
    if certainty.startswith(UNCERTAIN):
        return UNCERTAIN
    if DERIVED in certainty:
        return DERIVED
    return ""


def marked_facts(evidence: Mapping[str, Evidence]) -> dict[str, str]:
    """Return the mark of each fact that has one, by path."""
    marks = {path: certainty_mark(source.certainty) for path, source in evidence.items()}
    return {path: mark for path, mark in marks.items() if mark}
