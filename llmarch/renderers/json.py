"""JSON documents, the contract that scripts depend on.

Their schema is in architecture/json_schema.py. Figures are integers: elements and bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from ..analyses.cache import compute_cache, shown_contexts
from ..analyses.parameters import count_parameters
from ..architecture.documents import ROWS_OF_DOCUMENTS, document_head
from ..architecture.schema import Architecture, Change, Finding
from ..checkpoint.reading import Observation, Reading
from ..compare.report import change_meaning, change_text, rule_of
from ..config.certainty import marked_facts
from ..errors import LlmarchError
from ..views.brief import compared_figures, mtp_parameters
from ..views.remarks import reading_warnings
from ..views.scenarios import scenario_row
from ..views.wording import block_word

if TYPE_CHECKING:
    from ..analyses.advice import Advice
    from ..analyses.calibration import Calibration
    from ..analyses.planning import PlannedModel
    from ..analyses.scenarios import Scenario
    from ..checkpoint.adapters.reading import AdapterReading
    from ..checkpoint.inference.model import InferredModel
    from ..checkpoint.verify import Verification
    from ..compare.adapters import AdapterChange
    from ..compare.history import CommitStep
    from ..compare.report import ComparedSide, Report, Verdict
    from ..compare.rules import Rule
    from ..sources.gpus import GPU
    from ..sources.raw import RawModel

_COMMANDS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that JSON allows and terminals obey (control characters, and those that turn the
direction of writing), and surrogates, which no file can hold."""


def json_text(document: Any) -> str:
    """Return the document as text; the same input gives the same bytes.

    JSON has no NaN and no infinite numbers: they are null.
    """
    dump = partial(json.dumps, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        content = dump(document)
    except ValueError:
        finite = _finite(document)
        content = dump(finite)
    return _COMMANDS.sub(_escaped, content)


def _finite(value: Any) -> Any:
    """Return a document in which null stands for every number that is not finite."""
    match value:
        case dict():
            return {key: _finite(inner) for key, inner in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [_finite(inner) for inner in cast("list[Any]", value)]
        case float() if not isfinite(value):
            return None
        case _:
            return value


def _escaped(found: re.Match[str]) -> str:
    """Return one character as JSON spells it in ASCII."""
    code = ord(found[0])
    return f"\\u{code:04x}"


# One model


def model_document(r: Reading | Observation) -> dict[str, Any]:
    """Return the document of a model."""
    if isinstance(r, Observation):
        return observed_model(r)
    a = r.architecture
    checkpoint: dict[str, Any] | None = None
    if r.check is not None:
        checkpoint = checkpoint_figures(r.check, r.raw)
    return {
        **document_head("show"),
        "source": model_source(r),
        "architecture": asdict(a),
        "parameters": parameter_figures(r),
        "checkpoint": checkpoint,
        "cache": cache_figures(a),
        "evidence": {path: asdict(e) for path, e in r.evidence.items()},
        "findings": [asdict(f) for f in r.findings],
        "unread_keys": list(r.unread_keys),
        "draft": None,
    }


def observed_model(o: Observation) -> dict[str, Any]:
    """Return the same document for a model that no family reads.

    It has null for what names and shapes of tensors do not prove.
    """
    seen = o.observed
    return {
        **document_head("show"),
        "source": model_source(o),
        "architecture": seen.document(),
        "parameters": {
            "total": seen.total,
            "active": None,
            "active_without_embedding": None,
            "active_without_embedding_and_head": None,
            "embedding": seen.by_component.get("embedding"),
            "vision": seen.by_component.get("vision", 0),
            "mtp": seen.mtp,
            "stored": seen.stored,
            "by_component": seen.by_component,
            "status": o.status,
        },
        "checkpoint": checkpoint_figures(seen, o.raw),
        "cache": None,
        "evidence": {path: asdict(e) for path, e in seen.evidence.items()},
        "findings": [asdict(f) for f in o.findings],
        "unread_keys": [],
        "draft": o.draft or None,
    }


def model_source(r: Reading | Observation | AdapterReading) -> dict[str, Any]:
    """Return where a reading comes from; `headers` is null where no tensor header was read."""
    raw, tensors = r.raw, r.raw.tensors
    headers: dict[str, Any] | None = None
    if tensors is not None:
        headers = {"tensors": len(tensors), "bytes": raw.header_bytes, "partial": raw.partial}
    document: dict[str, Any] = {
        "reference": raw.reference,
        "kind": raw.kind,
        "name": raw.name,
        "repo_id": raw.repo_id,
        "revision": raw.revision,
        "commit": raw.commit,
        "config_file": raw.config_file,
        "headers": headers,
    }
    if raw.provenance:
        published = [{**figure, "parameters": figure["value"]} for figure in raw.published]
        document |= {"provenance": raw.provenance, "published": published}
    if isinstance(r, Reading):
        marked = marked_facts(r.config_evidence)
        document["uncertain"] = {path: r.config_evidence[path].certainty for path in marked}
    return document


def parameter_figures(r: Reading) -> dict[str, Any]:
    """Return the parameter counts, each by its convention (docs/conventions.md)."""
    p = count_parameters(r.architecture)
    return {
        "total": p.total,
        "active": p.active,
        "active_without_embedding": p.active_without_embedding,
        "active_without_embedding_and_head": p.active_without_embedding_and_head,
        "embedding": p.embedding,
        "vision": p.vision,
        "mtp": mtp_parameters(r, p.mtp),
        "stored": r.check.stored if r.check is not None else None,
        "by_component": p.by_component,
        "status": r.status,
    }


def checkpoint_figures(c: Verification | InferredModel, raw: RawModel) -> dict[str, Any]:
    """Return what the headers weigh.

    Weights, scales, tied copies and buffers are elements; bits per weight are stored ones, with
    scales.
    """
    tensors = raw.tensors
    known = tensors is not None and tensors.has_shapes
    return {
        "tensors": len(tensors) if tensors is not None else 0,
        "bytes": tensors.bytes if tensors is not None and known else None,
        "weights": c.weights if known else None,
        "weights_elements": c.weights if known else None,
        "scales": c.scales,
        "scales_elements": c.scales,
        "copies": c.copies,
        "copies_elements": c.copies,
        "buffers": c.buffers,
        "buffers_elements": c.buffers,
        "bits_per_weight": c.bits_per_weight,
        "bits_by_component": c.bits_by_component,
        "notes": list(c.notes),
    }


def cache_figures(a: Architecture) -> dict[str, Any]:
    """Return the figures of the cache, each group with the words for its mixer."""
    document = compute_cache(a).to_dict(shown_contexts(a))
    groups: list[dict[str, Any]] = []
    for group in document["groups"]:
        name = group["mixer"]
        words = block_word(a, a.mixers[name])
        groups.append({"mixer": name, "kind": words} | group)
    return document | {"groups": groups}


def adapter_document(r: AdapterReading) -> dict[str, Any]:
    """Return the document of an adapter."""
    tensors = r.raw.tensors
    base_total = None
    if r.base is not None:
        base_total = count_parameters(r.base.architecture).total
    return {
        **document_head("adapter"),
        "source": model_source(r),
        "adapter": asdict(r.adapter),
        "base": model_source(r.base) if r.base is not None else None,
        "base_reason": r.base_reason,
        "parameters": {
            "trained": r.trained,
            "unknown": r.unknown,
            "stored": r.stored,
            "copies": r.copies,
            "base_total": base_total,
            "status": r.status,
        },
        "modules": [asdict(group) for group in r.groups],
        "bytes": tensors.bytes if tensors is not None and r.stored is not None else None,
        "findings": [asdict(f) for f in r.findings],
        "unread_keys": list(r.unread_keys),
    }


def adapter_comparison(
    old: AdapterReading, new: AdapterReading, changes: Iterable[AdapterChange]
) -> dict[str, Any]:
    """Return the document of two adapters and their differences."""
    return {
        **document_head("adapter_diff"),
        "old": model_source(old),
        "new": model_source(new),
        "statuses": [old.status, new.status],
        "changes": [asdict(change) for change in changes],
    }


# Several models


def memory(readings: list[Reading], planned: list[PlannedModel], gpu: GPU | None) -> dict[str, Any]:
    """Return the document of memory plans under the same request.

    readings: the models.
    planned: the plan of each.
    gpu: the GPU that was asked for, if any.
    """
    device: dict[str, Any] | None = None
    if gpu is not None:
        device = gpu_to_dict(gpu)
    pairs = zip(readings, planned, strict=True)
    return {
        **document_head("memory"),
        "gpu": device,
        "models": [planned_model(r, plan) for r, plan in pairs],
        "scenarios": [],
    }


def scenarios(readings: list[Reading], planned: Iterable[Scenario]) -> dict[str, Any]:
    """Return the document of memory plans under several requests.

    readings: the models.
    planned: each model under each request, model by model.
    """
    plans: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for scenario in planned:
        reading = readings[scenario.number]
        rows.append(scenario_row(scenario, reading))
        if scenario.planned is not None:
            plans.append(planned_model(reading, scenario.planned))
    return {**document_head("memory"), "gpu": None, "models": plans, "scenarios": rows}


def refusal(error: LlmarchError) -> dict[str, Any]:
    """Return the document of a request that is not possible."""
    return {
        **document_head("refusal"),
        "not_possible": error.message,
        "hint": error.hint or "",
    }


def planned_model(r: Reading, plan: PlannedModel) -> dict[str, Any]:
    """Return one plan, with how far its figures are checked and what the checkpoint stores."""
    checkpoint: dict[str, Any] | None = None
    if r.check is not None:
        checkpoint = checkpoint_figures(r.check, r.raw)
    location = {"source": model_source(r), "status": r.status, "checkpoint": checkpoint}
    document = plan.to_dict()
    warnings = [*reading_warnings([r]), *document["warnings"]]
    return location | document | {"warnings": warnings}


def gpu_to_dict(gpu: GPU) -> dict[str, Any]:
    """Return a kind of GPU as JSON."""
    return {
        "name": gpu.name,
        "memory_bytes": gpu.memory_bytes,
        "source": gpu.source,
        "bandwidth_bytes_per_second": gpu.bandwidth,
        "peak_flops_per_second": gpu.peaks,
        "note": gpu.note,
    }


def fit(reading: Reading, advice: Advice, gpu: GPU) -> dict[str, Any]:
    """Return the document of a layout in which a model fits."""
    return {
        **document_head("fit"),
        "gpu": gpu_to_dict(gpu),
        **advice.to_dict(),
        "plan": planned_model(reading, advice.planned),
    }


def calibration(reading: Reading, compared: Calibration) -> dict[str, Any]:
    """Return the document of a start-up log beside the plan of the same start."""
    return {
        **document_head("calibration"),
        "source": model_source(reading),
        "name": reading.name,
        **compared.to_dict(),
    }


def comparison(readings: Sequence[Reading | Observation]) -> dict[str, Any]:
    """Return two models and their changes; with more, each is compared with the first."""
    from ..compare.entry_diff import findings_by_place, reported_changes
    from ..compare.lock import make_entry
    from ..views.comparison import unsaid_facts
    from ..views.headings import column_names

    old, *others = readings
    old_entry = make_entry(old)

    def changes(new: Reading | Observation) -> list[dict[str, Any]]:
        new_entry = make_entry(new)
        findings = findings_by_place(old_entry) | findings_by_place(new_entry)
        documents: list[dict[str, Any]] = []
        for change in reported_changes(old_entry, new_entry):
            document = change_document(change, findings)
            documents.append(document)
        return documents

    def remarks(new: Reading | Observation) -> list[str]:
        if not isinstance(old, Reading) or not isinstance(new, Reading):
            return []
        pair = [old, new]
        names = column_names(pair)
        return unsaid_facts(names, pair)

    first = compared_source(old)
    compared: list[dict[str, Any]] = []
    for new in others:
        compared.append(
            {
                "new": compared_source(new),
                "figures": compared_figures(old, new),
                "changes": changes(new),
                "remarks": remarks(new),
            }
        )
    if len(compared) == 1:
        return {**document_head("diff"), "old": first, **compared[0]}
    return {**document_head("comparison"), "old": first, "comparisons": compared}


def brief_comparison(readings: Sequence[Reading | Observation]) -> dict[str, Any]:
    """Return models beside the first in short."""
    from ..compare.entry_diff import reported_changes
    from ..compare.lock import make_entry
    from ..views import brief

    old, *others = map(make_entry, readings)
    changes = [reported_changes(old, new) for new in others]
    return brief.compared_briefly(readings, changes)


def change_document(c: Change, findings: Mapping[tuple[str, str], Finding]) -> dict[str, Any]:
    """Return a change with the finding that it is about.

    findings: those of both models, by rule and path.
    """
    document = asdict(c)
    place = (c.rule, c.path)
    finding = findings.get(place)
    document["finding"] = None
    if finding is not None:
        document["finding"] = asdict(finding)
    return document


def compared_source(r: Reading | Observation) -> dict[str, Any]:
    """Return where a reading comes from, how far it is checked, and what was found."""
    document = dict(model_source(r))
    document["status"] = r.status
    document["findings"] = [asdict(f) for f in r.findings]
    return document


def report(r: Report) -> dict[str, Any]:
    """Return the document of a check.

    `old` of a finding is null where it is new, `new` where it is no longer found.
    """
    from .. import __version__

    verdicts = () if r.is_unbegun else r.verdicts
    return {
        **document_head("check"),
        "llmarch_version": __version__,
        "lock": r.file or None,
        "fail_on": r.level,
        "exit_code": r.exit_code,
        "counts": r.counts(),
        "summary": {
            "models": len(verdicts),
            "failing": sum(len(r.failing(v)) for v in verdicts),
            "ignored": sum(v.ignored for v in verdicts),
            "unreadable": sum(v.error is not None for v in verdicts),
            "partial": sum(v.partial for v in verdicts),
        },
        "verdicts": [verdict_document(r, v) for v in r.verdicts],
        "fail_rules": sorted(r.fail_rules),
        "notes": list(r.notes),
    }


def history(repo: str, steps: Sequence[CommitStep]) -> dict[str, Any]:
    """Return the document of a repository's commits, newest first."""
    commits: list[dict[str, Any]] = []
    for step in steps:
        error = None
        if step.verdict.error is not None:
            error = step.verdict.error.message
        commits.append(
            {
                "commit": step.commit,
                "day": step.day,
                "title": step.title,
                "changes": [
                    change_document(c, step.verdict.findings) for c in step.verdict.changes
                ],
                "partial": step.verdict.partial,
                "error": error,
                "remarks": list(step.verdict.remarks),
            }
        )
    return {**document_head("log"), "repo": repo, "commits": commits}


def verdict_document(r: Report, v: Verdict) -> dict[str, Any]:
    """Return a model of a report."""
    changes: list[dict[str, Any]] = []
    for c in v.changes:
        line = v.line_of(c.path) if r.file else None
        told = {"title": rule_of(c).title, "meaning": change_meaning(c), "text": change_text(c)}
        judged = {"fails": r.fails(c), "line": line}
        changes.append(change_document(c, v.findings) | judged | told)
    error: dict[str, Any] | None = None
    if v.error:
        error = {
            "message": v.error.message,
            "hint": v.error.hint,
            "exit_code": v.error.exit_code,
        }
    return {
        "reference": v.name,
        "against": v.against,
        "outcome": r.outcome(v),
        "old": v.old,
        "new": v.new,
        "old_model": side_document(v.old_side),
        "new_model": side_document(v.new_side),
        "changes": changes,
        "ignored": v.ignored,
        "accepted": [c.id for c in v.accepted],
        "partial": v.partial,
        "error": error,
        "remarks": list(v.remarks),
    }


def side_document(side: ComparedSide | None) -> dict[str, Any] | None:
    """Return where one side of a comparison was read; None if that is not known."""
    if side is None:
        return None
    return asdict(side)


def rules(table: Iterable[Rule]) -> dict[str, Any]:
    """Return the document of the table of rules; `pattern` is null for findings."""
    document = document_head("rules")
    document["rules"] = [r._asdict() for r in table]
    return document


# A line for each model


def json_lines(document: Any) -> str:
    """Return a document as newline-delimited JSON (NDJSON): an object on each line.

    A document that has rows (the models of `list`, the commits of `log`) is a line for each of
    them, which says what it is a row of, and a last one without rows where it says more than these
    (the notes of `check`); others are one line, and a list of documents one each.
    """
    objects = _line_objects(document)
    lines = map(json_line, objects)
    return "\n".join(lines)


def json_line(value: Any) -> str:
    """Return a value as JSON on one line; null stands for numbers that are not finite."""
    try:
        text = _COMPACT(value)
    except ValueError:
        finite = _finite(value)
        text = _COMPACT(finite)
    return _COMMANDS.sub(_escaped, text)


_COMPACT = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _line_objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield what stands on each line for a document, or for a list of them."""
    if isinstance(document, list):
        for one in cast("list[Any]", document):
            yield from _line_objects(one)
        return
    name = document["document"]
    if name == "comparison":
        yield from _comparison_lines(document)
        return
    if name not in ROWS_OF_DOCUMENTS:
        yield document
        return
    row_keys = ROWS_OF_DOCUMENTS[name]
    key = next((key for key in row_keys if document[key]), None)
    if key is not None:
        version = document["schema_version"]
        for row in document[key]:
            yield {"schema_version": version, "line_of": f"{name}.{key}", **row}
    head = {"schema_version", "document", *row_keys}
    says_more = [name for name, value in document.items() if value and name not in head]
    if says_more:
        no_rows: dict[str, Any] = {name: [] for name in row_keys}
        yield {**document, **no_rows}


def _comparison_lines(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a document of two models for each that is compared with the first, and the verdict."""
    for compared in document["comparisons"]:
        yield {**document_head("diff"), "old": document["old"], **compared}
    if "check" in document:
        yield document["check"]
