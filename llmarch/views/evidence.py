"""Where facts come from: their evidence as a table."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from ..architecture.schema import Evidence
from ..checkpoint.reading import Observation, Reading
from ..errors import UnknownReference
from .documents import Table

WORDS = {
    "config": "config key {}",
    "default": "class default, for the config has no {}",
    "family": "what the code does: {}",
    "derived": "computed from {}",
    "tensor": "read from {}",
    "unknown": "unknown: {}",
}


def find(reading: Reading | Observation, path: str) -> list[tuple[str, Any, Evidence]]:
    """The facts at a path or below it. Raises UnknownReference with the nearest paths."""
    evidence = reading.observed.evidence if isinstance(reading, Observation) else reading.evidence
    found = {p: e for p, e in evidence.items() if p == path or p.startswith(path + ".")}
    if not found:
        near = (
            get_close_matches(path, evidence, 3, 0.5)
            or [p for p in evidence if path.rpartition(".")[2] in p][:3]
        )
        raise UnknownReference(
            f"{reading.name} has no fact at {path}",
            f"Nearest: {', '.join(near)}." if near else "Paths are those of --format json.",
        )
    if isinstance(reading, Observation):
        return [(p, reading.observed.facts.get(p), e) for p, e in found.items()]
    document = asdict(reading.architecture)
    return [(p, value_at(document, p), e) for p, e in found.items()]


def value_at(document: Any, path: str) -> Any:
    at: Any = document
    for part in path.split("."):
        at = at[part] if hasattr(at, "keys") else at[int(part)]
    return at


def shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return ", ".join(map(str, items[:8])) + (f", ... ({len(items)})" if len(items) > 8 else "")
    return "none" if value is None else str(value)


def table(facts: list[tuple[str, Any, Evidence]]) -> Table:
    """Path, value, evidence; below a path, what a model simply does not have is left out."""
    facts = [f for f in facts if len(facts) == 1 or f[1] is not None or f[2].kind != "family"]
    rows = [
        [
            p,
            shown(v),
            WORDS[e.kind].format(e.ref) + "".join(f"\nconfirmed by {t}" for t in e.confirmed_by),
        ]
        for p, v, e in facts
    ]
    return Table(["fact", "value", "evidence"], rows)


def document(facts: list[tuple[str, Any, Evidence]]) -> dict[str, Any]:
    return {p: {"value": v, **asdict(e)} for p, v, e in facts}
