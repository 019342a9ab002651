"""What did not meet on the checkpoint's side, or met with another shape: harmless by name, MTP modules, an unknown packing, or findings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..architecture.schema import Architecture, Attention, Finding, Quantization
from . import conflicts as facts
from . import names as spelling
from . import quantization as dtypes
from .grouping import Missing, group_by_module, stored_sets
from .indices import Index, braced, folded_names, split_by_axes
from .logical import LogicalTensor
from .matching import Match, Matching, without
from .names import fused_place
from .packing import Unpacked
from .packing.base import listed
from .roles import HEAD_NAMES, LAYER_NAME, MTP_NAME, MTP_TENSOR, is_buffer

KEYS_AND_VALUES = re.compile(r"^layers\.\{\}\.self_attn\.(k_proj|v_proj|k_norm)\.")


@dataclass(slots=True)
class Classifier:
    """Sorts what is left. `mtp`, `copies` and `buffers` are the elements it explains; `unsure`: something could not be compared."""

    architecture: Architecture
    meeting: Matching
    unpacked: Unpacked
    declared: Quantization | None
    findings: list[Finding] = field(default_factory=list[Finding])
    mtp: int = 0
    copies: int = 0
    buffers: int = 0
    unsure: bool = False
    _odd: set[str] = field(default_factory=set[str])
    """Canonical names of matrices in a packing that is not known here."""
    _packed: dict[str, str] = field(default_factory=dict[str, str])
    """Canonical names of matrices that met, and how they are packed."""
    _fused: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What is missing, by the fused tensor that it is a part of."""

    def run(self) -> None:
        self._packed = {
            self.meeting.spell(x.pattern): x.packing
            for h in self.meeting.hits
            for x in h.logical
            if x.packing
        }
        for key in self.meeting.missing:
            if at := fused_place(key):
                self._fused.setdefault(at.key, []).append(key)
        self._tied_head()
        self._shapes()
        self._tensors()

    def _find(
        self,
        rule: str,
        path: str,
        message: str,
        severity: Any = "weights",
        old: Any = None,
        new: Any = None,
    ) -> None:
        self.findings.append(
            Finding(rule=rule, path=path, message=message, severity=severity, old=old, new=new)
        )

    def _tied_head(self) -> None:
        """A tied head that is stored: a copy, or the embedding itself under the head's name alone."""
        a, meeting = self.architecture, self.meeting
        if not a.embedding.tied:
            return
        shape = (a.vocab_size, a.hidden_size)
        for key in sorted(HEAD_NAMES & meeting.extra.keys()):
            heads = [x for x in meeting.extra[key] if not x.has_size or x.fits(shape)]
            meeting.extra[key] = [x for x in meeting.extra[key] if x not in heads]
            for x in heads:
                at, row = meeting.find_missing("embedding", shape)
                if row is not None:
                    meeting.missing[at] = [m for m in meeting.missing[at] if m[0] is not row]
                    meeting.add_match(at, row, x)
                else:
                    self.copies += x.total_elements
                    message = (
                        "a copy of the token embedding, which the head is tied to; not counted"
                    )
                    self._find("tied-copy-stored", x.source, message, "info")

    # --- met, but not alike ---

    def _shapes(self) -> None:
        wrong: list[facts.ShapeConflict] = []
        odd: list[LogicalTensor] = []
        as_told = {
            id(row) for h in self.meeting.hits if h.fits and h.compared for row in h.rows
        }  # then another layer's tensor is but odd
        for h in self.meeting.hits:
            if unread := next((x for x in h.logical if x.not_comparable), None) or foreign(
                h, self.declared
            ):
                self._odd.add(h.key)
                odd.append(unread)
            elif not h.fits:
                x = h.logical[0]
                name = folded_names(x.source, x.indices)[0]
                there = (
                    listed(h.stored)
                    if h.stored is not None
                    else f"{x.elements:,} elements"
                    if x.elements
                    else "another size"
                )
                message = f"{listed(h.template)} by the config, {there} in the checkpoint"
                self._find(
                    "tensor-shape",
                    name,
                    message,
                    old=list(h.template),
                    new=list(h.stored) if h.stored is not None else None,
                )
                if h.stored is not None and len(h.rows) == 1 and id(h.rows[0]) not in as_told:
                    wrong.append(facts.ShapeConflict(h.rows[0], h.template, h.stored, name))
        self._not_comparable(odd)
        self.findings += facts.conflict_findings(self.architecture, wrong)

    def _not_comparable(self, odd: list[LogicalTensor]) -> None:
        self.unsure = self.unsure or bool(odd)
        for g in group_by_module(stored_sets(odd)):
            x = odd[g.sets[0].position]
            why = (
                x.not_comparable
                or f"{x.dtype} {listed(x.shape or ())}, in a packing that llmarch does not unpack"
            )
            self._find("not-comparable", g.path, f"{g} not compared: {why}", "info")

    # --- tensors without a row ---

    def _tensors(self) -> None:
        layers = len(self.architecture.layers)
        extra = [(key, x) for key, left in self.meeting.extra.items() for x in left]
        over = {
            id(x)
            for key, x in extra
            if LAYER_NAME.match(key) and max(i[0] for i in x.indices) >= layers
        }
        announced = self.architecture.mtp is not None or any(
            id(x) in over and MTP_TENSOR.search(key) for key, x in extra
        )
        mtp: list[LogicalTensor] = []
        beyond: list[LogicalTensor] = []
        buffers: list[LogicalTensor] = []
        odd: list[LogicalTensor] = []
        unused: list[LogicalTensor] = []
        unexpected: list[tuple[str, LogicalTensor]] = []
        sharing = shared_layers(self.architecture)
        for key, x in extra:
            if id(x) in over:
                (mtp if announced else beyond).append(
                    x.subset([i for i in x.indices if i[0] >= layers])
                )
                x = x.subset([i for i in x.indices if i[0] < layers])
                if not x.indices:
                    continue
            if is_buffer(key, x):
                buffers.append(x)
            elif KEYS_AND_VALUES.match(key) and sharing.issuperset(i[0] for i in x.indices):
                unused.append(x)
            elif MTP_NAME.search(key):
                mtp.append(x)
            elif self._packed_otherwise(x):
                odd.append(x)
            else:
                unexpected.append((key, x))
        self._mtp_stored(mtp)
        self._buffers_stored(buffers, "computed, not learned; not counted")
        self._unused_stored(unused)
        self._not_comparable(odd)
        self._beyond(beyond)
        self._unexpected(unexpected)
        for x in self.meeting.twice:
            self._find(
                "tensor-unexpected",
                folded_names(x.source, x.indices)[0],
                "stored a second time under another spelling",
            )

    def _mtp_stored(self, mtp: list[LogicalTensor]) -> None:
        if not mtp:
            return
        n, elements = sum(len(x.indices) for x in mtp), sum(x.total_elements for x in mtp)
        self.mtp += elements
        g = max(group_by_module(stored_sets(mtp), 2), key=lambda g: g.count)
        known = (
            "the config does not announce"
            if self.architecture.mtp is None
            else "the family does not know"
        )
        more = f": {elements:,} elements, not counted in the total" if elements else ""
        self._find(
            "mtp-stored",
            g.path,
            f"{n:,} tensors of multi-token prediction that {known}{more}",
            "info",
        )

    def _buffers_stored(self, buffers: list[LogicalTensor], why: str) -> None:
        self.buffers += sum(x.total_elements for x in buffers)
        for g in group_by_module(stored_sets(buffers)):
            self._find("buffers-stored", g.path, f"{g}: {why}", "info")

    def _unused_stored(self, unused: list[LogicalTensor]) -> None:
        """Keys and values of layers that read those of an earlier one, which published Gemma 4 E and Gemma 3n files hold."""
        if unused:
            g = max(group_by_module(stored_sets(unused), 2), key=lambda g: g.count)
            n, elements = sum(len(x.indices) for x in unused), sum(x.total_elements for x in unused)
            self.buffers += elements
            what = f"{n:,} tensors, {elements:,} elements"
            message = f"{what}: keys and values for layers that read those of another; used by nothing, not counted"
            self._find("unused-stored", g.path, message, "info")

    def _beyond(self, beyond: list[LogicalTensor]) -> None:
        """Whole layers more than the config has."""
        if not beyond:
            return
        numbers = {i[0] for x in beyond for i in x.indices}
        said, held = len(self.architecture.layers), max(numbers) + 1
        path = f"{spelling.wrapper_prefix(beyond[0].source)}layers.{braced(sorted(numbers))}.*"
        n = sum(len(x.indices) for x in beyond)
        self._find(
            "tensor-unexpected",
            path,
            f"{n:,} tensors of layers that the config does not have",
            old=said,
            new=held,
        )
        self.findings.append(facts.conflict_finding("layers", said, held, [path]))

    def _packed_otherwise(self, x: LogicalTensor) -> bool:
        """Whether a tensor belongs to a matrix that is missing under its own name, or was not comparable: a packing not known here."""
        beside = tuple(s for f in self.unpacked.formats.values() for s in f.companions)
        if (self.declared is None and x.dtype in dtypes.FLOATS) or x.source.endswith(beside):
            return False
        stem = x.source
        while "." in stem:
            stem = stem.rpartition(".")[0]
            if self._lacks(
                self.meeting.spell(f"{stem}.weight"), {i[: stem.count("{}")] for i in x.indices}
            ):
                return True
        return False

    def _lacks(self, key: str, indices: set[Index]) -> bool:
        """Whether a matrix, or one that it is fused with, is missing at these numbers or was not comparable; then it is missed no more."""
        if key in self._packed:
            return False
        missing, fused = self.meeting.missing, fused_place(key)
        found = key in self._odd or (fused is not None and fused.key in self._odd)
        for k in (
            [key] if key in self.meeting.rows else self._fused.get(fused.key, ()) if fused else ()
        ):
            left: list[Missing] = []
            for row, there in missing.get(k, ()):
                if len(row.shape) < 2:  # no vector is packed
                    left.append((row, there))
                    continue
                n = min(len(row.axes), len(next(iter(indices))))
                here, _ = split_by_axes([i[:n] for i in indices], row.axes[:n])
                met = set(here).difference(there or ()) if n == len(row.axes) else set(here)
                now = without(row, there, met, n < len(row.axes)) if met else (row, there)
                if met:
                    found = True
                    self._odd.add(k)
                left += [now] if now else []
            missing[k] = left
        if found:
            self._odd.add(key)
        return found

    def _unexpected(self, extra: list[tuple[str, LogicalTensor]]) -> None:
        gptq = {key for key, packing in self._packed.items() if packing.startswith("gptq")}
        zero = [
            x
            for _, x in extra
            if x.source.endswith(".bias")
            and self.meeting.spell(x.pattern[: -len("bias")] + "weight") in gptq
        ]
        self._buffers_stored(
            zero,
            "a bias that GPTQ tools write beside every matrix, zero where the model has none; not counted",
        )
        harmless = set(map(id, zero))
        rest = [(key, x) for key, x in extra if id(x) not in harmless]
        for g in group_by_module(stored_sets(x for _, x in rest)):
            x = rest[g.sets[0].position][1]
            shape = x.shape if len(g.sets) == 1 else None
            what = f" {x.dtype} {listed(shape)}" if shape is not None else ""
            message = (
                f"{g}{what}: no fact of the config accounts for {'it' if g.count == 1 else 'them'}"
            )
            self._find(
                "tensor-unexpected", g.path, message, new=list(shape) if shape is not None else None
            )
        self.findings += facts.unannounced(self.architecture, self.meeting.rows, rest)


def shared_layers(a: Architecture) -> set[int]:
    """Layers that read another's keys and values."""
    kinds = {
        k
        for k in a.layer_kinds
        if any(isinstance(b, Attention) and b.kv_from for b in a.blocks_of(k))
    }
    return {i for i, k in enumerate(a.layers) if k in kinds}


def foreign(h: Match, declared: Quantization | None) -> LogicalTensor | None:
    """A tensor of integers or raw bytes where a matrix of another shape is expected: packed in a way that is not known here. Of a method
    that is not known here, whatever its shape."""
    x = h.logical[0]
    return (
        x
        if (not h.fits or not (declared is None or dtypes.is_known_method(declared)))
        and dtypes.holds_integers(x)
        else None
    )
