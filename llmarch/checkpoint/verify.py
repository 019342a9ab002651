"""Compare a family's tensor template with the headers that exist, on logical tensors.

    table -> packing (stored to logical tensors) -> names (one canonical name for each)
          -> matching, fusing (numbers and shapes)
          -> classification -> unexpected, missing, conflicts, quantization -> Verification

Nothing here makes an object for each tensor: tensors stay folded by pattern, lists of their numbers
are compared as sets, and differences are named in folded form.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Finding, Quantization
from ..config.families import family_named
from ..sources.raw import GGUF_WRITER, TensorTable
from ..tensors.conversion import Conversion
from ..tensors.template import TensorRow
from .classification import classify
from .confirming import confirmed_facts
from .explaining import explained_by_facts
from .findings import limit_findings
from .fusing import match_fused
from .loaders import is_transposed, loader_findings, orientation_findings
from .matching import Match, Matching
from .missing import missing_findings
from .names import naming_notes
from .packing import unpack
from .quantization import quantization_findings
from .unexpected import count_elements, unexpected_findings
from .variants import KeyVariants

TRANSPOSED_EXPERTS = "experts stored with inputs and outputs transposed"
CHANNELS_LAST = "convolutions stored with channels last"

NOT_COMPARED = frozenset({"not-comparable", "pattern-not-compared"})
"""Rules of findings after which something is not known to load."""

VerificationStatus = Literal["verified", "conflict", "partial"]


@frozen
class Verification(Frozen):
    """What the headers say of a config."""

    status: VerificationStatus
    """`conflict`: some finding is above `info`. `partial`: not everything could be compared (shards
    missing, names without headers, a packing that is not known)."""
    findings: list[Finding]
    logical: int
    """Elements of the main model, as the template knows it."""
    mtp: int
    """Elements of the MTP modules."""
    scales: int
    """Elements of scales, zero points and other metadata of packings."""
    stored: int
    """Elements of everything, as the file holds it."""
    weights: int = 0
    """Elements of the stored weights of the main model, known to the template or not: unpacked,
    without scales, MTP modules, copies and buffers."""
    copies: int = 0
    """Elements of a tied head that is stored again."""
    buffers: int = 0
    """Elements that are stored and not used."""
    by_component: dict[str, int] = field(default_factory=dict[str, int])
    """Elements of tensors whose shapes were compared."""
    bits_per_weight: float | None = None
    bits_by_component: dict[str, float] = field(default_factory=dict[str, float])
    """Stored bits per weight, scales included."""
    notes: tuple[str, ...] = ()
    """Which packings, names and layouts the checkpoint uses."""
    names_only: bool = False
    """Whether there were no shapes."""
    prove: Callable[[], dict[str, tuple[str, ...]]] = field(default=dict, repr=False, compare=False)
    """Find what `confirmed` returns."""

    @functools.cached_property
    def confirmed(self) -> dict[str, tuple[str, ...]]:
        """Return the tensors whose shapes prove each fact, by its dotted path.

        To find them takes longer than all else of a verification, so it is done when asked for.
        """
        return self.prove()


def verify(
    architecture: Architecture,
    rows: list[TensorRow],
    table: TensorTable,
    *,
    conversion: Conversion,
    quantization: Quantization | None = None,
    keys: KeyVariants | None = None,
    partial: bool = False,
) -> Verification:
    """Return what the headers of a checkpoint say of a template.

    architecture: the architecture by the config.
    rows: the tensor template of that architecture.
    table: the headers.
    conversion: how transformers finds the tensors of the model_type.
    quantization: what the config declares, if not the architecture's own.
    keys: the config, to be read again with the values that tensors suggest.
    partial: some headers could not be read, so that an absence proves nothing.
    """
    declared = quantization or architecture.quantization
    is_gguf = table.writer == GGUF_WRITER
    if is_gguf:
        from .gguf.unpacking import rows_of_file, unpack_gguf

        rows = rows_of_file(rows)
        unpacked = unpack_gguf(table, rows)
    else:
        unpacked = unpack(table, declared)
    matching = Matching(rows, unpacked.logical, conversion)
    matching.match_by_name()
    match_fused(matching)
    classified = classify(architecture, matching, unpacked, declared)
    template_of = family_named(architecture.family).template
    contradicted: list[Finding] = []
    if classified.wrong_shapes or classified.unexpected or any(matching.missing.values()):
        contradicted = explained_by_facts(
            architecture,
            rows,
            unpacked.logical,
            template_of,
            conversion=conversion,
            keys=keys,
            partial=partial,
        )
    findings = [
        *unpacked.findings,
        *unexpected_findings(architecture, matching, classified, contradicted),
        *missing_findings(architecture, matching, partial),
    ]
    if is_gguf:  # llama.cpp reads its own names and layouts, and each tensor says its type
        from .gguf.loading import llama_cpp_findings

        findings += llama_cpp_findings(table, matching, classified)
    else:
        findings += [
            *loader_findings(architecture, matching, conversion, table.writer),
            *orientation_findings(architecture, matching, conversion, table.writer),
            *quantization_findings(
                matching.matches, unpacked, declared, conversion, classified.not_unpacked
            ),
        ]
    names_only = not table.has_shapes
    uncertain = partial or names_only or classified.uncertain
    uncertain |= any(finding.rule in NOT_COMPARED for finding in findings)

    elements, bits = _sizes(matching.matches)
    mtp = elements.pop("mtp", 0) + count_elements(classified.mtp)
    bits.pop("mtp", 0)
    logical = sum(elements.values())
    bits_per_weight = None
    if logical:
        bits_per_weight = sum(bits.values()) / logical
    not_used = [
        *classified.buffers,
        *classified.unused,
        *classified.left_heads,
        *classified.gptq_biases,
    ]
    copies, buffers = count_elements(classified.copies), count_elements(not_used)
    all_weights = sum(tensor.total_elements for tensor in unpacked.logical)
    return Verification(
        status=_status(findings, uncertain),
        findings=limit_findings(findings),
        logical=logical,
        mtp=mtp,
        scales=unpacked.scales,
        stored=table.elements,
        weights=all_weights - mtp - copies - buffers,
        copies=copies,
        buffers=buffers,
        by_component=dict(elements),
        bits_per_weight=bits_per_weight,
        bits_by_component={c: bits[c] / n for c, n in elements.items() if n},
        notes=_notes(matching.matches),
        names_only=names_only,
        prove=functools.partial(confirmed_facts, architecture, matching, template_of),
    )


def _status(findings: Iterable[Finding], uncertain: bool) -> VerificationStatus:
    if any(f.severity != "info" for f in findings):
        return "conflict"
    if uncertain:
        return "partial"
    return "verified"


def _sizes(matches: Iterable[Match]) -> tuple[Counter[str], Counter[str]]:
    """Return elements by component, and the bits that they take in the file.

    Only tensors of known size count.
    """
    elements: Counter[str] = Counter()
    bits: Counter[str] = Counter()
    for match in matches:
        if match.compared:
            component = match.rows[0].component
            elements[component] += match.elements
            bits[component] += sum(x.bits * len(x.indices) for x in match.tensors)

    return elements, bits


def _notes(matches: Iterable[Match]) -> tuple[str, ...]:
    """Return notes on packings, names and layouts, each once."""
    components_of: dict[str, dict[str, None]] = {}  # by packing
    notes: dict[str, None] = {}  # the keys only: each note once, in order
    for match in matches:
        component = match.rows[0].component
        templates = [row.pattern for row in match.rows]
        for tensor in match.tensors:
            if tensor.packing:
                packed = components_of.setdefault(tensor.packing, {})
                packed[component] = None
            names = naming_notes(match.key, templates, tensor.pattern)
            notes.update(dict.fromkeys(names))
        if not is_transposed(match):
            continue
        if ".experts." in match.key:
            notes[TRANSPOSED_EXPERTS] = None
        else:
            notes[CHANNELS_LAST] = None

    packings: list[str] = []
    for packing, components in components_of.items():
        packings.append(f"{packing}: {', '.join(components)}")

    return (*packings, *notes)
