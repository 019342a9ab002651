"""Models and comparisons in short, for agents and scripts: facts without evidence, main figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any, cast

from ..analyses.cache import compute_cache, shown_contexts
from ..analyses.parameters import count_parameters
from ..analyses.planning import resolve_requested_weights
from ..architecture.documents import document_head
from ..architecture.fingerprint import without_defaults
from ..architecture.schema import Architecture, Change
from ..checkpoint.reading import Observation, Reading
from .documents import Table
from .evidence import explained_value
from .wording import headline, norm_placements, recipe

LONGEST_LIST = 8
"""Items of a list that are told."""
WIRING = ("layer_kinds", "layers")
"""Facts that are told in words."""


# Figures


def model_figures(r: Reading | Observation) -> dict[str, Any]:
    """Return the figures that follow from the facts of a model; None for what is not known."""
    if isinstance(r, Observation):
        return observed_figures(r)
    a = r.architecture
    counted = count_parameters(a)
    weights = resolve_requested_weights(r, None)
    return {
        "total_parameters": counted.total,
        "active_parameters": counted.active,
        "embedding_parameters": counted.embedding,
        "encoder_parameters": counted.vision,
        "mtp_parameters": mtp_parameters(r, counted.mtp),
        "layers": len(a.layers),
        "context_tokens": a.context_length,
        "weights_bytes": weights.bytes_of(counted.by_component),
        **sequence_figures(a),
    }


def sequence_figures(a: Architecture) -> dict[str, Any]:
    """Return what a sequence keeps by the `ideal` convention."""
    cache = compute_cache(a)
    return {
        "cache_dtype": cache.convention.words,
        "cache_bytes_per_token": ceil(cache.growing_bytes_per_token),
        "cache_bytes_per_token_before_windows_fill": ceil(cache.all_layers_bytes_per_token),
        "cache_window_bytes": cache.window_bytes,
        "cache_state_bytes": cache.state_bytes,
        "cache_bytes_at": {str(n): cache.bytes_at(n) for n in shown_contexts(a)},
    }


def observed_figures(o: Observation) -> dict[str, Any]:
    """Return the figures of a model that no family reads."""
    seen = o.observed
    return {
        "total_parameters": seen.total,
        "active_parameters": None,
        "embedding_parameters": seen.by_component.get("embedding"),
        "encoder_parameters": seen.by_component.get("vision"),
        "mtp_parameters": seen.mtp,
        "layers": None,
        "context_tokens": None,
        "weights_bytes": None,
        "cache_dtype": None,
        "cache_bytes_per_token": None,
        "cache_bytes_per_token_before_windows_fill": None,
        "cache_window_bytes": None,
        "cache_state_bytes": None,
        "cache_bytes_at": {},
    }


def mtp_parameters(r: Reading, computed: int | None) -> int | None:
    """Return the parameters of MTP modules; None where the config leaves them open.

    r: the reading; if all headers were read, what the checkpoint stores counts.
    computed: the count from the facts.
    """
    if r.check is not None and r.status != "partial":
        return r.check.mtp
    evidence = r.config_evidence.get("mtp")
    if evidence is not None and evidence.kind == "unknown":
        return None
    return computed


def compared_figures(old: Reading | Observation, new: Reading | Observation) -> dict[str, Any]:
    """Return the figures of two models, and their ratios where both are known and not 0."""
    before, after = model_figures(old), model_figures(new)
    ratios: dict[str, float] = {}
    for name, value in after.items():
        known = before[name]
        if isinstance(value, int) and isinstance(known, int) and known:
            ratios[name] = round(value / known, 4)
    return {"old": before, "new": after, "ratios": ratios}


# One model


def brief_source(r: Reading | Observation) -> dict[str, Any]:
    """Return which model it is, and how far it is checked."""
    return {
        "reference": r.raw.reference,
        "name": r.name,
        "repo_id": r.raw.repo_id,
        "commit": r.raw.commit,
        "status": r.status,
    }


def brief_document(r: Reading | Observation) -> dict[str, Any]:
    """Return a model in short: facts without evidence, and main figures."""
    summary = "read from its tensors alone"
    layers: list[str] = []
    placement: str | None = None
    if isinstance(r, Reading):
        a = r.architecture
        summary = headline(a)
        layers = [f"{n} × {word}" for n, word in recipe(a)]
        placement = norm_placements(a)
        facts = brief_facts(a)
    else:
        facts = {path: short_value(value) for path, value in r.observed.facts.items()}
    told = [f for f in r.findings if f.severity != "info"]
    return {
        **document_head("brief"),
        **brief_source(r),
        "summary": summary,
        "recipe": layers,
        "norm_placement": placement,
        "figures": model_figures(r),
        "facts": facts,
        "findings": [
            {"rule": f.rule, "severity": f.severity, "path": f.path, "message": f.message}
            for f in told
        ],
    }


def brief_facts(a: Architecture) -> dict[str, Any]:
    """Return the facts that are not at their default, without the wiring of layers."""
    facts: dict[str, Any] = without_defaults(a)
    for name in WIRING:
        facts.pop(name, None)
    facts = short_value(facts)
    towers = facts.get("towers", {})
    for name, tower in towers.items():
        towers[name] = {key: fact for key, fact in tower.items() if is_plain(fact)}
    return facts


def is_plain(value: Any) -> bool:
    """Return whether a value is a word or a number."""
    return not isinstance(value, (dict, list))


def short_value(value: Any) -> Any:
    """Return a value of a document in which lists are short: of a long one the number of items."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: short_value(inner) for key, inner in members.items()}
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        count = len(items)
        if count > LONGEST_LIST:
            return f"{count} items"
        return [short_value(item) for item in items]
    return value


def brief_table(r: Reading | Observation) -> Table:
    """Return the same as a table of paths and values."""
    document = brief_document(r)
    rows = [[path, explained_value(value)] for path, value in leaves(document)]
    return Table(["", ""], rows, title=r.name)


def leaves(document: Mapping[str, Any], parent: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of a document with their dotted paths, but what is not known."""
    for name, value in document.items():
        path = name
        if parent:
            path = f"{parent}.{name}"
        if isinstance(value, dict):
            yield from leaves(cast("dict[str, Any]", value), path)
        elif value not in (None, []):
            yield path, value


# Several models


def compared_briefly(
    readings: Sequence[Reading | Observation], changes: Sequence[Sequence[Change]]
) -> dict[str, Any]:
    """Return models beside the first in short.

    readings: the models.
    changes: what differs from the first, for each of the others.
    """
    old, *others = readings
    compared: list[dict[str, Any]] = []
    for new, found in zip(others, changes, strict=True):
        compared.append(
            {
                "new": brief_source(new),
                "figures": compared_figures(old, new),
                "changes": [brief_change(change) for change in found],
            }
        )
    return {**document_head("brief_diff"), "old": brief_source(old), "comparisons": compared}


def brief_change(change: Change) -> dict[str, Any]:
    """Return a change in short."""
    return {
        "rule": change.rule,
        "severity": change.severity,
        "path": change.path,
        "old": short_value(change.old),
        "new": short_value(change.new),
    }
