"""JSON documents, the contract that scripts depend on: see contract.py for their schema. Figures are integers: elements and bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..analyses.cache import compute_cache, shown_contexts
from ..analyses.parameters import count_parameters
from ..architecture.schema import SCHEMA_VERSION, Architecture
from ..checkpoint.reading import Observation, Reading
from ..compare.diff import diff
from ..views.wording import block_word

if TYPE_CHECKING:
    from ..analyses.planning import PlannedModel
    from ..checkpoint.inference.model import Observed
    from ..checkpoint.verify import Verification
    from ..compare.report import Report
    from ..compare.rules import Rule
    from ..sources.gpus import GPU

_COMMANDS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON may hold as it is and terminals obey: control characters, and those that turn the direction of writing."""


def text(document: Any) -> str:
    """The document as text; the same input gives the same bytes."""
    return _COMMANDS.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(document, indent=2, ensure_ascii=False)
    )


def source(r: Reading | Observation) -> dict[str, Any]:
    """Where a reading comes from; `headers` is null where no tensor header was read."""
    raw, table = r.raw, r.raw.tensors
    headers = (
        None
        if table is None
        else {"tensors": len(table), "bytes": raw.header_bytes, "partial": raw.partial}
    )
    out: dict[str, Any] = {
        "reference": raw.reference,
        "kind": raw.kind,
        "name": raw.name,
        "repo_id": raw.repo_id,
        "revision": raw.revision,
        "commit": raw.commit,
        "config_file": raw.config_file,
        "headers": headers,
    }
    return (
        out | {"provenance": raw.provenance, "published": list(raw.published)}
        if raw.provenance
        else out
    )


def parameters(r: Reading) -> dict[str, Any]:
    p, c = count_parameters(r.architecture), r.check
    return {
        "total": p.total,
        "active": p.active,
        "active_without_embedding": p.active_without_embedding,
        "active_without_embedding_and_head": p.active_without_embedding_and_head,
        "embedding": p.embedding,
        "vision": p.vision,
        "mtp": mtp(r, p.mtp),
        "stored": c.stored if c is not None else None,
        "by_component": p.by_component,
        "status": r.status,
    }


def checkpoint(r: Reading) -> dict[str, Any] | None:
    """What the headers weigh: elements of scales, tied copies and buffers; stored bits per weight with scales. Null without headers."""
    return None if r.check is None else weighed(r.check)


def weighed(c: Verification | Observed) -> dict[str, Any]:
    return {
        "scales": c.scales,
        "copies": c.copies,
        "buffers": c.buffers,
        "bits_per_weight": c.bits_per_weight,
        "bits_by_component": c.bits_by_component,
        "notes": list(c.notes),
    }


def mtp(r: Reading, computed: int | None) -> int | None:
    """What the checkpoint stores of MTP where headers were read, else what the facts give; null where the config does not tell."""
    if r.check is not None and r.status != "partial":
        return r.check.mtp
    told = r.evidence.get("mtp")
    return None if told is not None and told.kind == "unknown" else computed


def show(r: Reading | Observation) -> dict[str, Any]:
    """One model."""
    if isinstance(r, Observation):
        return observed(r)
    a = r.architecture
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source(r),
        "architecture": asdict(a),
        "parameters": parameters(r),
        "checkpoint": checkpoint(r),
        "cache": _cache_document(a),
        "evidence": {path: asdict(e) for path, e in r.evidence.items()},
        "findings": [asdict(f) for f in r.findings],
        "unread_keys": list(r.unread_keys),
    }


def observed(o: Observation) -> dict[str, Any]:
    """A model that no family reads: the same document, with null for what names and shapes do not tell."""
    seen = o.observed
    figures = {
        "active": None,
        "active_without_embedding": None,
        "active_without_embedding_and_head": None,
    }
    embedding = seen.by_component.get("embedding")
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source(o),
        "architecture": seen.document(),
        "parameters": {
            "total": seen.total,
            **figures,
            "embedding": embedding,
            "vision": seen.by_component.get("vision", 0),
            "mtp": seen.mtp,
            "stored": seen.stored,
            "by_component": seen.by_component,
            "status": o.status,
        },
        "checkpoint": weighed(seen),
        "cache": None,
        "evidence": {path: asdict(e) for path, e in seen.evidence.items()},
        "findings": [asdict(f) for f in o.findings],
        "unread_keys": [],
    }


def memory(readings: list[Reading], planned: list[PlannedModel], gpu: GPU | None) -> dict[str, Any]:
    """What models take, one plan each, under the same request."""
    return {
        "schema_version": SCHEMA_VERSION,
        "gpu": None
        if gpu is None
        else {"name": gpu.name, "memory_bytes": gpu.memory_bytes, "source": gpu.source},
        "models": [
            {"source": source(r)} | p.to_dict() for r, p in zip(readings, planned, strict=True)
        ],
    }


def report(r: Report) -> dict[str, Any]:
    """What a check found. `old` of a finding is null where it came, `new` where it went."""
    return {
        "schema_version": SCHEMA_VERSION,
        "lock": r.file or None,
        "fail_on": r.level,
        "exit_code": r.exit_code,
        "verdicts": [
            {
                "reference": v.name,
                "against": v.against,
                "old": v.old,
                "new": v.new,
                "changes": [
                    asdict(c) | {"fails": r.fails(c), "line": v.line_of(c.path) if r.file else None}
                    for c in v.changes
                ],
                "ignored": v.ignored,
                "partial": v.partial,
                "error": {
                    "message": v.error.message,
                    "hint": v.error.hint,
                    "exit_code": v.error.exit_code,
                }
                if v.error
                else None,
                "remarks": list(v.remarks),
            }
            for v in r.verdicts
        ],
    }


def rules(table: Iterable[Rule]) -> list[dict[str, Any]]:
    """The table of rules; `pattern` is null for findings."""
    return [r._asdict() for r in table]


def comparison(readings: list[Reading]) -> dict[str, Any]:
    """Two models and their changes; with more, each is held against the first."""
    old, *others = readings

    def changes(new: Reading) -> list[dict[str, Any]]:
        return [asdict(c) for c in diff(old.architecture, new.architecture)]

    if len(others) == 1:
        return {
            "schema_version": SCHEMA_VERSION,
            "old": source(old),
            "new": source(others[0]),
            "changes": changes(others[0]),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "old": source(old),
        "comparisons": [{"new": source(n), "changes": changes(n)} for n in others],
    }


def _cache_document(a: Architecture) -> dict[str, Any]:
    """Return the figures of the cache, each group with the words for its mixer."""
    document = compute_cache(a).to_dict(shown_contexts(a))
    groups = [
        {"mixer": g["mixer"], "kind": block_word(a, a.mixers[g["mixer"]])} | g
        for g in document["groups"]
    ]
    return document | {"groups": groups}
