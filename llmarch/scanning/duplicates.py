"""Group the models of a scan by their architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..architecture.documents import document_head
from ..architecture.json_scan import DuplicateGroupDocument, DuplicatesDocument


def group_by_fingerprint(rows: Iterable[Mapping[str, Any]]) -> DuplicatesDocument:
    """Return the architectures that several models have, the most frequent first.

    rows: of scans, also as CSV has them; `reference`, `fingerprint`, `family` and
        `total_parameters` are needed. A reference that several scans have counts once.
    """
    firsts: dict[str, Mapping[str, Any]] = {}
    references: dict[str, dict[str, None]] = {}
    unread: dict[str, None] = {}
    for row in rows:
        fingerprint = row["fingerprint"]
        if fingerprint:
            firsts.setdefault(fingerprint, row)
            references.setdefault(fingerprint, {})[row["reference"]] = None
        else:
            unread[row["reference"]] = None
    groups = [
        duplicate_group(firsts[fingerprint], list(named))
        for fingerprint, named in references.items()
        if len(named) > 1
    ]
    groups.sort(key=lambda group: -len(group["references"]))
    document: dict[str, Any] = {
        **document_head("duplicates"),
        "compared": sum(map(len, references.values())),
        "without_fingerprint": len(unread),
        "fingerprints": len(references),
        "groups": groups,
    }
    return cast("DuplicatesDocument", document)


def duplicate_group(first: Mapping[str, Any], references: list[str]) -> DuplicateGroupDocument:
    """Return models with one architecture.

    first: the row of the first of them.
    """
    total = first["total_parameters"]
    return {
        "fingerprint": first["fingerprint"],
        "family": first["family"] or None,
        "total_parameters": int(total) if total else None,
        "references": references,
    }
