"""The view of models with the same architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import printable
from . import numbers
from .documents import Table

if TYPE_CHECKING:
    from ..architecture.json_scan import DuplicatesDocument

SHORT_HASH = 12
"""Digits of a fingerprint that are shown."""
LONGEST_REFERENCE = 1000


def duplicates_table(found: DuplicatesDocument) -> Table:
    """Return a row for each architecture that several models have, the most frequent first."""
    rows: list[list[str]] = []
    for group in found["groups"]:
        _, _, digits = group["fingerprint"].partition(":")
        total = group["total_parameters"]
        size = "?" if total is None else numbers.count(total)
        references = [printable(text, LONGEST_REFERENCE) for text in group["references"]]
        family = printable(group["family"] or "not known")
        count = f"{len(references):,}"
        rows.append([count, family, size, digits[:SHORT_HASH], "\n".join(references)])
    return Table(["models", "family", "total", "fingerprint", "references"], rows)


def duplicates_summary(found: DuplicatesDocument) -> str:
    """Return `8 models, 3 architectures, 2 of them of several models; 1 could not be compared`."""
    models = numbers.plural(found["compared"], "model")
    architectures = numbers.plural(found["fingerprints"], "architecture")
    several = len(found["groups"]) or "none"
    words = f"{models}, {architectures}, {several} of them of several models"
    if found["without_fingerprint"]:
        words += f"; {found['without_fingerprint']:,} could not be compared"
    return words
