"""The row of one model: a pure function of what was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from .. import __version__
from ..analyses.cache import compute_cache
from ..analyses.parameters import count_parameters
from ..architecture.catalogue import iterate_facts
from ..architecture.documents import document_head
from ..architecture.fingerprint import DanglingReference, fingerprint
from ..architecture.layers import layers_by_mixer, run_lengths
from ..architecture.schema import Attention, LatentAttention
from ..checkpoint.reading import Observation, Reading
from ..errors import INTERNAL, LlmarchError, printable
from ..views.brief import mtp_parameters
from ..views.bundled import attention_kinds
from ..views.wording import first_moe

if TYPE_CHECKING:
    from ..architecture.json_scan import RowFinding, ScanRowDocument
    from ..architecture.schema import Architecture, Finding
    from ..checkpoint.inference.model import InferredModel
    from ..checkpoint.verify import Verification
    from ..sources.raw import RawModel

ReadModel = Callable[[str], "Reading | Observation"]
"""Reads the model that a reference names. Raises LlmarchError."""
PARTLY_READ = 4
"""The exit code of a model that was read only in part."""
LONGEST_ERROR = 1000
"""Characters of the message of an error that llmarch did not raise on purpose."""
EMPTY: dict[str, Any] = {
    "error": None,
    "error_kind": None,
    "hint": None,
    "exit_code": 0,
    "name": None,
    "kind": None,
    "repo_id": None,
    "revision": None,
    "commit": None,
    "config_file": None,
    "family": None,
    "model_type": None,
    "fingerprint": None,
    "total_parameters": None,
    "active_parameters": None,
    "active_parameters_without_embedding": None,
    "embedding_parameters": None,
    "encoder_parameters": None,
    "mtp_parameters": None,
    "stored_elements": None,
    "layers": None,
    "hidden_size": None,
    "vocab_size": None,
    "context_tokens": None,
    "attention": [],
    "heads": None,
    "kv_heads": None,
    "head_dim": None,
    "rope_theta": None,
    "experts": None,
    "active_experts": None,
    "tied": None,
    "dtype": None,
    "quantization": None,
    "tensors": None,
    "stored_bytes": None,
    "bits_per_weight": None,
    "cache_bytes_per_token": None,
    "findings": [],
    "unread_keys": [],
    "facts": {},
}
"""What a row has of a model of which nothing is known, in the order of its keys."""


def read_row(reference: str, read: ReadModel, *, headers: bool = True) -> ScanRowDocument:
    """Return the row of the model that a reference names; an error is a row too.

    headers: whether `read` reads tensor headers.
    """
    try:
        reading = read(reference)
        values = reading_values(reading)
    except LlmarchError as error:
        values = error_values(error)
    except Exception as error:  # a fault of llmarch must not end a scan of thousands
        values = fault_values(error)
    return make_row(reference, values, headers=headers)


def make_row(reference: str, values: Mapping[str, Any], *, headers: bool) -> ScanRowDocument:
    """Return a row from what is known of a model."""
    head: dict[str, Any] = {
        **document_head("scan_row"),
        "llmarch_version": __version__,
        "reference": reference,
        "status": values["status"],
        "config_only": not headers,
    }
    return cast("ScanRowDocument", {**head, **EMPTY, **values})


def error_values(error: LlmarchError) -> dict[str, Any]:
    """Return what a row has of a model that could not be read."""
    return {
        "status": "error",
        "error": error.message,
        "error_kind": type(error).__name__,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def fault_values(error: Exception) -> dict[str, Any]:
    """Return what a row has of a model at which llmarch itself failed."""
    message = f"{type(error).__name__}: {error}"
    return {
        "status": "error",
        "error": printable(message, LONGEST_ERROR),
        "error_kind": "InternalError",
        "hint": "This is a fault of llmarch. Please report it with the config.",
        "exit_code": INTERNAL,
    }


def reading_values(reading: Reading | Observation) -> dict[str, Any]:
    """Return what a row has of a model that was read."""
    raw = reading.raw
    is_partial = raw.partial or reading.status == "partial"
    values: dict[str, Any] = {
        "status": reading.status,
        "exit_code": PARTLY_READ if is_partial else 0,
        "name": reading.name,
        "kind": raw.kind,
        "repo_id": raw.repo_id,
        "revision": raw.revision,
        "commit": raw.commit,
        "config_file": raw.config_file,
        "findings": list(map(finding_value, reading.findings)),
    }
    if isinstance(reading, Observation):
        return values | observed_values(reading) | stored_values(reading.observed, raw)
    values |= known_values(reading)
    if reading.check is not None:
        values |= stored_values(reading.check, raw)
    return values


def known_values(reading: Reading) -> dict[str, Any]:
    """Return what a row has of a model that a family reads."""
    a = reading.architecture
    counts = count_parameters(a)
    method = None
    if a.quantization is not None:
        method = a.quantization.method
    values: dict[str, Any] = {
        "family": a.family,
        "model_type": a.model_type,
        "fingerprint": _fingerprint_of(a),
        "total_parameters": counts.total,
        "active_parameters": counts.active,
        "active_parameters_without_embedding": counts.active_without_embedding,
        "embedding_parameters": counts.embedding,
        "encoder_parameters": counts.vision,
        "mtp_parameters": mtp_parameters(reading, counts.mtp),
        "layers": len(a.layers),
        "hidden_size": a.hidden_size,
        "vocab_size": a.vocab_size,
        "context_tokens": a.context_length,
        "attention": sorted(attention_kinds(a)),
        "tied": a.embedding.tied,
        "dtype": a.dtype,
        "quantization": method,
        "cache_bytes_per_token": ceil(compute_cache(a).growing_bytes_per_token),
        "unread_keys": list(reading.unread_keys),
        "facts": row_facts(a),
    }
    moe = first_moe(a)
    if moe is not None:
        values |= {"experts": moe.experts, "active_experts": moe.active}
    return values | main_attention_values(a)


def main_attention_values(a: Architecture) -> dict[str, Any]:
    """Return the heads of the softmax attention that most layers use; nothing without one."""
    for name, _ in layers_by_mixer(a).most_common():
        mixer = a.mixers[name]
        if isinstance(mixer, (Attention, LatentAttention)):
            break
    else:
        return {}
    theta = None
    if mixer.rope is not None:
        theta = mixer.rope.theta
    if isinstance(mixer, Attention):
        return {
            "heads": mixer.heads,
            "kv_heads": mixer.kv_heads,
            "head_dim": mixer.head_dim,
            "rope_theta": theta,
        }
    width = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
    return {"heads": mixer.heads, "head_dim": width, "rope_theta": theta}


def observed_values(o: Observation) -> dict[str, Any]:
    """Return what a row has of a model that no family reads."""
    from ..compare.observed import locked_facts

    seen = o.observed
    fingerprint_of_facts = None
    if o.raw.tensors is not None:  # else nothing is known, which many models have in common
        fingerprint_of_facts = locked_facts(o).fingerprint
    facts = {path: value for path, value in seen.facts.items() if value is not None}
    model_type = (o.raw.config or {}).get("model_type")
    values: dict[str, Any] = {
        "model_type": model_type if isinstance(model_type, str) else None,
        "fingerprint": fingerprint_of_facts,
        "total_parameters": seen.total,
        "embedding_parameters": seen.by_component.get("embedding"),
        "encoder_parameters": seen.by_component.get("vision", 0),
        "mtp_parameters": seen.mtp,
        "layers": len(seen.layers) or None,
        "facts": facts,
    }
    for name in ("hidden_size", "vocab_size"):
        values[name] = facts.get(name)
    return values


def stored_values(figures: Verification | InferredModel, raw: RawModel) -> dict[str, Any]:
    """Return what a row has of tensor headers; nothing without any."""
    tensors = raw.tensors
    if tensors is None:
        return {}
    size = tensors.bytes if tensors.has_shapes else None
    return {
        "stored_elements": figures.stored,
        "tensors": len(tensors),
        "stored_bytes": size,
        "bits_per_weight": figures.bits_per_weight,
    }


def row_facts(a: Architecture) -> dict[str, Any]:
    """Return every fact that is not null by its path; layers are runs."""
    facts = {path: value for path, value in iterate_facts(a) if value is not None}
    facts["layers"] = run_lengths(a.layers)
    return facts


def finding_value(finding: Finding) -> RowFinding:
    """Return a finding as a row has it."""
    return {
        "rule": finding.rule,
        "path": finding.path,
        "severity": finding.severity,
        "message": finding.message,
    }


def _fingerprint_of(a: Architecture) -> str | None:
    """Return the fingerprint; None if the wiring names a block that does not exist."""
    try:
        return fingerprint(a)
    except DanglingReference:
        return None
