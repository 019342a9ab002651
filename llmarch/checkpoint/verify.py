"""The second witness: a family's tensor template against the headers that exist, on logical tensors, folded by pattern.

    table -> packing (stored to logical) -> spelling (names in one form) -> meeting (numbers and shapes) -> Check

Nothing here makes an object for each tensor: index lists are compared as sets, and differences are named in folded form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Finding, Quantization
from ..sources.raw import TensorTable
from ..tensors.naming import TensorRow
from . import names as spelling
from . import quantization as dtypes
from .findings import limit_findings
from .indices import axes_folded
from .matching import Match, Matching
from .missing import missing_findings
from .packing import unpack
from .unexpected import Classifier

TURNED = "experts stored with inputs and outputs the other way round"


@frozen
class Verification(Frozen):
    """What the headers say of a config.

    Elements: `logical` of the main model (as the template knows it), `mtp`, `scales` (zero points and other metadata of packings
    included), `stored` everything as the file holds it; `copies` (a tied head stored again), `buffers`. `by_component` and
    `bits_by_component` are over tensors that met with their shapes: elements, and stored bits per weight, scales included.
    `confirmed`: fact path -> tensors whose shapes prove it. `notes`: spellings and packings met. `names_only`: there were no shapes.

    Status: `verified`, `conflict` (some finding above `info`), or `partial` (not everything could be compared: shards missing, names
    without headers, a packing that is not known).
    """

    status: Literal["verified", "conflict", "partial"]
    findings: list[Finding]
    logical: int
    mtp: int
    scales: int
    stored: int
    copies: int = 0
    buffers: int = 0
    by_component: dict[str, int] = field(default_factory=dict[str, int])
    bits_per_weight: float | None = None
    bits_by_component: dict[str, float] = field(default_factory=dict[str, float])
    confirmed: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    notes: tuple[str, ...] = ()
    names_only: bool = False


def verify(
    architecture: Architecture,
    rows: list[TensorRow],
    table: TensorTable,
    *,
    quantization: Quantization | None = None,
    partial: bool = False,
) -> Verification:
    """Hold a template against the headers. `quantization`: the config's declaration (the architecture's own, if not given); `partial`:
    some headers could not be read, so that what is missing says nothing."""
    declared = quantization or architecture.quantization
    unpacked = unpack(table, declared)
    meeting = Matching(rows, unpacked.logical)
    left = Classifier(architecture, meeting, unpacked, declared)
    left.run()
    missing = missing_findings(architecture, meeting, partial)
    findings = [
        *unpacked.findings,
        *left.findings,
        *missing,
        *dtypes.quantization_findings(meeting.hits, unpacked, declared, left.unsure),
    ]
    elements, bits = weigh(meeting.hits)
    mtp = elements.pop("mtp", 0) + left.mtp
    logical = sum(elements.values())
    names_only = not table.has_shapes
    conflict = any(f.severity != "info" for f in findings)
    return Verification(
        status="conflict"
        if conflict
        else "partial"
        if partial or names_only or left.unsure
        else "verified",
        findings=limit_findings(findings),
        logical=logical,
        mtp=mtp,
        scales=unpacked.scales,
        stored=table.elements,
        copies=left.copies,
        buffers=left.buffers,
        by_component=dict(elements),
        bits_per_weight=sum(n for c, n in bits.items() if c != "mtp") / logical
        if logical
        else None,
        bits_by_component={c: bits[c] / n for c, n in elements.items() if n},
        confirmed=confirmed(meeting),
        notes=notes(meeting.hits),
        names_only=names_only,
    )


def weigh(hits: Iterable[Match]) -> tuple[Counter[str], Counter[str]]:
    """Elements by component, and the bits they take in the file, of tensors whose size is known."""
    elements: Counter[str] = Counter()
    bits: Counter[str] = Counter()
    for h in hits:
        if h.compared:
            elements[h.rows[0].component] += h.elements
            bits[h.rows[0].component] += sum(x.bits * len(x.indices) for x in h.logical)
    return elements, bits


def confirmed(meeting: Matching) -> dict[str, tuple[str, ...]]:
    """Facts all of whose tensors met with the shapes that the fact gives them, and these tensors."""
    met: dict[int, int] = {}
    wrong: set[str] = set()
    for h in meeting.hits:
        for row in h.rows:
            if h.compared and h.fits:
                met[id(row)] = met.get(id(row), 0) + h.count_of(row)
            elif not h.fits:
                wrong.update(row.proves)
    out: dict[str, list[str]] = {}
    for rows in meeting.rows.values():
        for row in rows:
            if met.get(id(row), 0) < row.count:
                wrong.update(row.proves if row.component != "mtp" else ())
                continue
            for path in row.proves:
                out.setdefault(path, []).append(axes_folded(row.pattern, row.axes))
    return {path: tuple(names) for path, names in out.items() if path not in wrong}


def notes(hits: Iterable[Match]) -> tuple[str, ...]:
    """Packings and spellings met, each once."""
    packed: dict[str, dict[str, None]] = {}
    out: dict[str, None] = {}
    for h in hits:
        for x in h.logical:
            if x.packing:
                packed.setdefault(x.packing, {})[h.rows[0].component] = None
            out.update(
                dict.fromkeys(spelling.naming_notes(h.key, [r.pattern for r in h.rows], x.pattern))
            )
        if (
            h.fits
            and h.stored is not None
            and h.stored != h.template
            and h.stored == spelling.other_layout(h.key, h.template)
        ):
            out[TURNED if ".experts." in h.key else "convolutions stored with channels last"] = None
    return (*(f"{label}: {', '.join(components)}" for label, components in packed.items()), *out)
