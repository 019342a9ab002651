"""What facts mean and where their values come from, as a table or a JSON document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.meanings import PathMeanings
from ..architecture.schema import Evidence
from ..checkpoint.reading import Observation, Reading
from ..errors import UnknownReference, printable
from . import numbers
from .documents import Table

SOURCES = {
    "config": "config key {}",
    "default": "class default, because the config has no {}",
    "family": "what the code does: {}",
    "derived": "computed from {}",
    "tensor": "read from {}",
    "unknown": "unknown: {}",
}
"""Each kind of evidence in words; {} is its `ref`."""
OBSERVED_MEANINGS = {
    "placement": "Where the layer's norms are: before the blocks, after them, or both.",
    "parameters": "Number of parameters of the encoder, its projector included.",
}
"""Facts of models that were read from tensors alone and that the schema does not have."""
MAX_NEAREST = 3
MAX_ITEMS = 8


@frozen
class ExplainedFact(Frozen):
    """One fact with its meaning (empty if it has none) and its evidence."""

    path: str
    value: Any
    meaning: str
    evidence: Evidence


@frozen
class Explanation(Frozen):
    """The answer to `--explain PATH`."""

    blocks: dict[str, str]
    """Path and meaning of each block that was found: `mixers.full`, `norms`."""
    facts: list[ExplainedFact]
    """The facts that were found, in the schema's order."""


def explain(reading: Reading | Observation, path: str) -> Explanation:
    """Return the facts at a path or below it, or else those with that name in any block.

    Raises UnknownReference with the nearest paths if there are none.
    """
    evidence = evidence_of(reading)
    meanings = PathMeanings(evidence)
    prefixes = find_prefixes(path, evidence)
    if not prefixes:
        message = f"{reading.name} has no fact at {printable(path)}"
        raise UnknownReference(message, nearest_hint(path, meanings))
    values = values_of(reading)
    facts = [
        ExplainedFact(p, value_in(values, p), fact_meaning(meanings, p), e)
        for p, e in evidence.items()
        if any(is_within(p, prefix) for prefix in prefixes)
    ]
    blocks = {p: meanings.meaning(p) for p in prefixes if p not in evidence}
    return Explanation(blocks, facts)


def evidence_of(reading: Reading | Observation) -> dict[str, Evidence]:
    """Return the evidence of each fact by dotted path."""
    return reading.observed.evidence if isinstance(reading, Observation) else reading.evidence


def values_of(reading: Reading | Observation) -> dict[str, Any]:
    """Return the facts of a reading: nested, or by dotted path."""
    if isinstance(reading, Observation):
        return reading.observed.facts
    return asdict(reading.architecture)


def fact_meaning(meanings: PathMeanings, path: str) -> str:
    """Return the meaning of a fact, of those that only observed models have too."""
    return meanings.meaning(path) or OBSERVED_MEANINGS.get(path.rpartition(".")[2], "")


def value_in(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path of nested dicts and tuples, or of a flat dict."""
    if path in values:
        return values[path]
    value: Any = values
    for part in path.split("."):
        value = value[part] if hasattr(value, "keys") else value[int(part)]
    return value


# Finding paths


def is_within(path: str, prefix: str) -> bool:
    """Return whether a path is the prefix or below it."""
    return path == prefix or path.startswith(prefix + ".")


def find_prefixes(asked: str, evidence: Mapping[str, Evidence]) -> list[str]:
    """Return the paths that are meant.

    The first of these that there are:

    - the path itself
    - paths that end with it: `kv_heads`, `rope`, `rope.theta`
    - facts that were read from the config key of that name: `rope_theta`
    """
    if any(is_within(path, asked) for path in evidence):
        return [asked]
    name = asked.replace("-", "_").replace(" ", "_").lower()
    wanted = name.split(".")
    found: dict[str, None] = {}
    for path in evidence:
        parts = path.split(".")
        for end in range(len(wanted), len(parts) + 1):
            if parts[end - len(wanted) : end] == wanted:
                found[".".join(parts[:end])] = None
                break
    return list(found) or [p for p, e in evidence.items() if f".{e.ref}".endswith(f".{name}")]


def nearest_hint(asked: str, meanings: PathMeanings) -> str:
    """Return a hint with the paths that look most like the one that was asked for."""
    nearest = nearest_paths(asked, meanings)
    if nearest:
        return f"Nearest: {', '.join(nearest)}."
    return "Paths are those of `evidence` in --format json, such as mixers.full.heads."


def nearest_paths(asked: str, meanings: PathMeanings) -> list[str]:
    """Return the nearest paths: first by the last part, then by the whole path, then by words.

    The last are blocks whose meaning has the word: `mla` finds a `LatentAttention`.
    """
    paths = list(meanings.known)
    last = asked.rpartition(".")[2]
    names = sorted({path.rpartition(".")[2] for path in paths})
    alike = get_close_matches(last, names, MAX_NEAREST, 0.7)
    by_name = [path for path in paths if path.rpartition(".")[2] in alike]
    word = re.compile(rf"\b{re.escape(asked)}\b", re.IGNORECASE)
    by_word = [block for block in meanings.blocks() if word.search(meanings.meaning(block))]
    nearest = [
        *get_close_matches(asked, by_name, MAX_NEAREST, 0.0),
        *get_close_matches(asked, paths, MAX_NEAREST, 0.7),
        *by_word,
    ]
    return list(dict.fromkeys(nearest))[:MAX_NEAREST]


# Output


def explanation_table(explanation: Explanation) -> Table:
    """Return path, value, and meaning above evidence.

    Of several facts, those that the model simply does not have are left out, and a meaning stands
    where it is first needed.
    """
    rows: list[list[str]] = []
    shown: set[str] = set()
    for path, meaning in explanation.blocks.items():
        if meaning and meaning not in shown:
            rows.append([path, "", without_blank_lines(meaning)])
            shown.add(meaning)
    is_alone = len(explanation.facts) == 1
    for fact in explanation.facts:
        is_absent = fact.value is None and fact.evidence.kind == "family"
        if is_absent and not is_alone:
            continue
        lines = list(evidence_lines(fact.evidence))
        if fact.meaning and fact.meaning not in shown:
            lines = [without_blank_lines(fact.meaning), *lines]
            shown.add(fact.meaning)
        rows.append([fact.path, value_text(fact.value), "\n".join(lines)])
    return Table(["fact", "value", "meaning and evidence"], rows)


def without_blank_lines(text: str) -> str:
    """Return a text without blank lines between paragraphs, to fit into a cell."""
    return text.replace("\n\n", "\n")


def evidence_lines(evidence: Evidence) -> Iterator[str]:
    """Yield the evidence of a fact in words, a line for each source."""
    yield SOURCES[evidence.kind].format(evidence.ref)
    for tensor in evidence.confirmed_by:
        yield f"confirmed by {tensor}"


def value_text(value: Any) -> str:
    """Return a value as people read it; of long lists the first items."""
    if isinstance(value, (list, tuple)):
        items = [value_text(item) for item in cast("list[Any]", value)]
        more = f", ... ({len(items)})" if len(items) > MAX_ITEMS else ""
        return ", ".join(items[:MAX_ITEMS]) + more
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return numbers.number(value) if isinstance(value, (int, float)) else str(value)


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return value, evidence and meaning of each fact by its path, as JSON."""
    return {
        fact.path: {"value": fact.value, **asdict(fact.evidence), "meaning": fact.meaning}
        for fact in explanation.facts
    }
