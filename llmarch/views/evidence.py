"""What facts mean and where their values come from, as a table or a JSON document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any, cast

from ..architecture.catalogue import facts_at, iterate_facts
from ..architecture.frozen import Frozen, frozen
from ..architecture.meanings import PathMeanings
from ..architecture.paths import last_part, parent_path
from ..architecture.schema import Evidence, Finding
from ..checkpoint.reading import Observation, Reading
from ..errors import UnknownReference, printable
from ..sources.raw import is_gguf_document
from . import numbers
from .documents import Table
from .findings import finding_line
from .remarks import stand_ins

SOURCES = {
    "config": "config key {}",
    "default": "class default, because the config has no {}",
    "family": "what the code does: {}",
    "derived": "computed from {}",
    "tensor": "read from {}",
    "unknown": "unknown: {}",
}
"""Each kind of evidence in words; {} is its `ref`."""
GGUF_SOURCES = {
    **SOURCES,
    "config": "GGUF key {}",
    "default": "class default, because the file has no {}",
}
"""The same for a GGUF file."""
OBSERVED_MEANINGS = {
    "placement": "Where the layer's norms are: before the blocks, after them, or both.",
    "parameters": "Number of parameters of the encoder, its projector included.",
}
"""Facts of models that were read from tensors alone and that the schema does not have."""
MAX_NEAREST = 3
SIMILAR = 0.7
"""Least similarity of two words, as difflib measures it, to be offered as the nearest."""
MAX_ITEMS = 8


@frozen
class ExplainedFact(Frozen):
    """One fact with its meaning (empty if it has none) and its evidence."""

    path: str
    value: Any
    meaning: str
    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    """What contradicts the fact, or else is to be known of it."""


@frozen
class Explanation(Frozen):
    """The answer to `--explain PATH`."""

    blocks: dict[str, str]
    """Path and meaning of each block that was found: `mixers.full`, `norms`."""
    facts: list[ExplainedFact]
    """The facts that were found, in the schema's order."""
    remarks: tuple[str, ...] = ()
    """What was read in place of what was named."""
    is_gguf: bool = False
    """Whether the model was read from a GGUF file, whose keys are not those of a config."""


def explain(reading: Reading | Observation, path: str) -> Explanation:
    """Return the facts at a path or below it, or else those with that name in any block.

    Raises UnknownReference with the nearest paths if there are none.
    """
    evidence = evidence_of(reading)
    meanings = PathMeanings(evidence)
    prefixes = find_prefixes(path, evidence)
    if not prefixes and isinstance(reading, Reading):
        evidence = evidence_of_all_facts(reading)
        meanings = PathMeanings(evidence)
        prefixes = [path] if any(is_within(known, path) for known in evidence) else []
    if not prefixes:
        message = f"{reading.name} has no fact at {printable(path)}"
        raise UnknownReference(message, nearest_hint(path, meanings))
    values = values_of(reading)
    facts: list[ExplainedFact] = []
    for fact_path, fact_evidence in evidence.items():
        if is_below_any(fact_path, prefixes):
            value = value_in(values, fact_path)
            meaning = fact_meaning(meanings, fact_path)
            findings = findings_about(reading.findings, fact_path, fact_evidence)
            facts.append(ExplainedFact(fact_path, value, meaning, fact_evidence, findings))
    blocks = [prefix for prefix in prefixes if prefix not in evidence]
    meanings_of_blocks = {block: meanings.meaning(block) for block in blocks}
    is_gguf = is_gguf_document(reading.raw.config or {})
    lines: tuple[str, ...] = ()
    if isinstance(reading, Reading):
        lines = tuple(stand_ins(reading))
    return Explanation(meanings_of_blocks, facts, lines, is_gguf)


def evidence_of(reading: Reading | Observation) -> dict[str, Evidence]:
    """Return the evidence of each fact by dotted path."""
    if isinstance(reading, Observation):
        return reading.observed.evidence
    return reading.evidence


def evidence_of_all_facts(reading: Reading) -> dict[str, Evidence]:
    """Return the evidence of every path that `show --all` lists, and of groups without blocks.

    What has none of its own has that of the fact that it is a part of; the kind of a block, or a
    group that is empty, follows from the modelling code, as the facts beside it do.
    """
    found: dict[str, Evidence] = {}
    a = reading.architecture
    paths = [path for path, _ in iterate_facts(a)]
    for f in fields(a):
        group = getattr(a, f.name)
        is_empty = group == {}
        if is_empty:
            paths.append(f.name)
    for path in paths:
        found[path] = evidence_around(path, reading.evidence)
    return found


def evidence_around(path: str, evidence: Mapping[str, Evidence]) -> Evidence:
    """Return the evidence of a path: its own, that of what it is in, or of code beside it."""
    parent = path
    while parent:
        if parent in evidence:
            return evidence[parent]
        for other, found in evidence.items():
            if found.kind == "family" and is_within(other, parent):
                return found
        parent = parent_path(parent)
    return next(e for e in evidence.values() if e.kind == "family")


def findings_about(
    findings: Iterable[Finding], path: str, evidence: Evidence
) -> tuple[Finding, ...]:
    """Return the findings about a fact: of its path, of a part of it, or of its config key."""
    concerned: list[Finding] = []
    for finding in findings:
        if is_about(finding, path, evidence):
            concerned.append(finding)
    return tuple(concerned)


def is_about(finding: Finding, path: str, evidence: Evidence) -> bool:
    """Return whether a finding is about a fact, a part of it, or the config key that gives it."""
    if evidence.kind == "config" and finding.path == evidence.ref:
        return True
    if is_within(finding.path, path):
        return True
    return is_within(path, finding.path)


def values_of(reading: Reading | Observation) -> dict[str, Any]:
    """Return the facts of a reading: nested, or by dotted path with None for the others."""
    if isinstance(reading, Observation):
        inferred = reading.observed
        unknown = dict.fromkeys(inferred.evidence)
        return unknown | inferred.facts
    return asdict(reading.architecture)


def fact_meaning(meanings: PathMeanings, path: str) -> str:
    """Return the meaning of a fact, of those that only observed models have too."""
    meaning = meanings.meaning(path)
    if meaning:
        return meaning
    return OBSERVED_MEANINGS.get(last_part(path), "")


def value_in(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path of nested dicts and tuples, or of a flat dict."""
    if path in values:
        return values[path]
    value: Any = values
    for part in path.split("."):
        key = part
        if not hasattr(value, "keys"):
            key = int(part)
        value = value[key]
    return value


# Finding paths


def is_within(path: str, prefix: str) -> bool:
    """Return whether a path is the prefix or below it."""
    return path == prefix or path.startswith(prefix + ".")


def is_below_any(path: str, prefixes: Iterable[str]) -> bool:
    """Return whether a path is one of the prefixes or below one."""
    return any(is_within(path, prefix) for prefix in prefixes)


def find_prefixes(asked: str, evidence: Mapping[str, Evidence]) -> list[str]:
    """Return the paths that are meant.

    The first of these that there are:

    - the path itself
    - paths that end with it: `kv_heads`, `rope`, `rope.theta`
    - facts whose row in `diff` has that label: `RoPE θ`, `MTP modules`
    - facts that were read from the config key of that name: `rope_theta`
    """
    if any(is_within(path, asked) for path in evidence):
        return [asked]
    name = asked.replace("-", "_").replace(" ", "_").lower()
    ends = [end_at(path, name) for path in evidence]
    by_name = [end for end in ends if end is not None]
    if by_name:
        return list(dict.fromkeys(by_name))
    by_label = [path for path in evidence if has_label(path, asked)]
    if by_label:
        return by_label
    key = f".{name}"
    return [path for path, source in evidence.items() if f".{source.ref}".endswith(key)]


def has_label(path: str, label: str) -> bool:
    """Return whether the row of a fact in `diff` has that label."""
    wanted = label.lower()
    labels = {fact.label.lower() for fact in facts_at(path)}
    return wanted in labels


def end_at(path: str, name: str) -> str | None:
    """Return a path up to a name within it, None without it.

    `rope` in `mixers.full.rope.theta` gives `mixers.full.rope`.
    """
    dotted = f".{path}."
    before, found, _ = dotted.partition(f".{name}.")
    if not found:
        return None
    end = f"{before}.{name}"
    return end.removeprefix(".")


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
    names = sorted({last_part(path) for path in paths})
    alike = get_close_matches(last_part(asked), names, MAX_NEAREST, SIMILAR)
    by_name = [path for path in paths if last_part(path) in alike]
    nearest = get_close_matches(asked, by_name, MAX_NEAREST, 0.0)
    nearest += get_close_matches(asked, paths, MAX_NEAREST, SIMILAR)
    word = re.compile(rf"\b{re.escape(asked)}\b", re.IGNORECASE)
    for block in meanings.blocks():
        if word.search(meanings.meaning(block)):
            nearest.append(block)
    different = list(dict.fromkeys(nearest))
    return different[:MAX_NEAREST]


# Output


def explanation_table(explanation: Explanation) -> Table:
    """Return path, value, and meaning above evidence.

    Of several facts, those that the model simply does not have are left out, and a meaning stands
    where it is first needed.
    """
    rows: list[list[str]] = []
    shown = {""}
    for path, meaning in explanation.blocks.items():
        if meaning not in shown:
            rows.append([path, "", without_blank_lines(meaning)])
            shown.add(meaning)
    is_alone = len(explanation.facts) == 1
    for fact in explanation.facts:
        is_absent = fact.value is None and fact.evidence.kind == "family"
        if is_absent and not is_alone:
            continue
        lines = [
            *evidence_lines(fact.evidence, explanation.is_gguf),
            *map(finding_line, fact.findings),
        ]
        if fact.meaning not in shown:
            lines.insert(0, without_blank_lines(fact.meaning))
            shown.add(fact.meaning)
        text = "\n".join(lines)
        rows.append([fact.path, explained_value(fact.value), text])
    columns = ["fact", "value", "meaning and evidence"]
    return Table(columns, rows, notes=list(explanation.remarks))


def without_blank_lines(text: str) -> str:
    """Return a text without blank lines between paragraphs, to fit into a cell."""
    return text.replace("\n\n", "\n")


def evidence_lines(evidence: Evidence, is_gguf: bool = False) -> Iterator[str]:
    """Yield the evidence of a fact in words, a line for each source.

    is_gguf: whether keys are those of a GGUF file.
    """
    words = GGUF_SOURCES if is_gguf else SOURCES
    yield words[evidence.kind].format(evidence.ref)
    if evidence.certainty:
        yield f"the config is reconstructed; this value is {evidence.certainty}"
    for tensor in evidence.confirmed_by:
        yield f"confirmed by {tensor}"


def explained_value(value: Any) -> str:
    """Return a value as people read it; of long lists the first items."""
    if isinstance(value, (list, tuple)):
        return list_text(cast("list[Any]", value))
    if isinstance(value, dict):
        return record_text(cast("dict[str, Any]", value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return numbers.number(value)
    return str(value)


def record_text(record: Mapping[str, Any]) -> str:
    """Return the facts of a part that are set: `kind edge, inputs 64, outputs 128`; or `none`."""
    words: list[str] = []
    for name, value in record.items():
        if value in (None, ()):
            continue
        text = explained_value(value)
        words.append(f"{name} {text}")
    return ", ".join(words) or "none"


def list_text(values: Sequence[Any]) -> str:
    """Return `1, 2, 3, ... (62)`: the first items, and how many there are if not all are shown.

    Parts, and lists of them, have a line each.
    """
    items = [explained_value(value) for value in values]
    has_parts = any(isinstance(value, (dict, list, tuple)) for value in values)
    separator = ", "
    if has_parts:
        separator = "\n"
    count = len(items)
    shown = items[:MAX_ITEMS]
    if count > MAX_ITEMS:
        shown.append(f"... ({count})")
    return separator.join(shown)


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return value, evidence and meaning of each fact by its path, as JSON."""
    document: dict[str, Any] = {}
    for fact in explanation.facts:
        evidence = asdict(fact.evidence)
        document[fact.path] = {
            "value": fact.value,
            **evidence,
            "meaning": fact.meaning,
            "findings": [asdict(finding) for finding in fact.findings],
            "remarks": list(explanation.remarks),
        }
    return document
