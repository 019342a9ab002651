"""What did not meet, in words: harmless by name, MTP modules, another packing, or a finding that names tensors.

Findings are folded twice: numbers into `{0-31}`, and tensors of one module that lack or exceed the same numbers into `module.*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

from ..family import Row
from ..schema import Architecture, Finding, Quantization
from . import facts, spelling
from .indices import Index, absent, axes_folded, folded, span
from .logical import Logical
from .meeting import Meeting
from .packing.base import listed

BUFFERS = re.compile(
    r"(\binv_freq|\b(cos|sin)_cached|\brope\.freqs|\b(attn|attention)\.(bias|masked_bias)|\bembeddings\.position_ids|\bslope_rate|\b\w+_decay)$"
)
"""Tables that older library versions saved and every version computes for itself (masks, rotary frequencies)."""

HEADS = frozenset({"lm_head.weight", "output.weight", "embed_out.weight", "head.weight"})
MTP = re.compile(r"(^|\.)(mtp|mtp_layers|mtp_block|nextn|nextn_predict_layers)(\.|$)")
MTP_MARKS = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|token_layernorm|hidden_layernorm)\b")
LAYER = re.compile(r"^(layers|h|blocks)\.\{\}\.")
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", ""})
GATHER = 4
"""From this many tensors of one module on, a finding names the module."""


@dataclass(slots=True)
class Leftovers:
    """Findings, and the elements that they explain; `unsure`: something could not be compared."""

    architecture: Architecture
    meeting: Meeting
    declared: Quantization | None
    partial: bool
    findings: list[Finding] = field(default_factory=list[Finding])
    mtp: int = 0
    copies: int = 0
    buffers: int = 0
    unsure: bool = False
    _odd: set[str] = field(default_factory=set[str])
    """Canonical stems of matrices in a packing that is not known here."""

    def sort(self) -> None:
        self._shapes()
        self._tensors()
        self._rows()

    def _find(self, rule: str, path: str, message: str, severity: Any = "weights", old: Any = None, new: Any = None) -> None:
        self.findings.append(Finding(rule=rule, path=path, message=message, severity=severity, old=old, new=new))

    # --- met, but not alike ---

    def _shapes(self) -> None:
        wrong: list[facts.Wrong] = []
        odd: list[tuple[str, list[Index], str]] = []
        for h in self.meeting.hits:
            x = h.logical[0]
            unread = next((y for y in h.logical if y.why), None)
            if unread or not h.fits and not x.packing and x.dtype not in FLOATS:
                self._odd.add(h.key.removesuffix(".weight"))
                odd.append((x.source, x.indices, unread.why if unread else f"{x.dtype} {listed(h.stored or ())} in a packing that is not known here"))
            elif not h.fits:
                name = folded(x.source, x.indices)[0]
                there = listed(h.stored) if h.stored is not None else f"{x.elements:,} elements" if x.elements else "another size"
                message = f"{listed(h.template)} by the config, {there} in the checkpoint"
                self._find("tensor-shape", name, message, old=list(h.template), new=list(h.stored) if h.stored is not None else None)
                if h.stored is not None and len(h.rows) == 1:
                    wrong.append(facts.Wrong(h.rows[0], h.template, h.stored, name))
        self._not_comparable(odd)
        self.findings += facts.contradictions(self.architecture, wrong)

    def _not_comparable(self, odd: list[tuple[str, list[Index], str]]) -> None:
        self.unsure = self.unsure or bool(odd)
        for path, n, members in gathered((source, indices) for source, indices, _ in odd):
            self._find("not-comparable", path, f"{count(n, members)} not compared: {odd[0][2]}", "info")

    # --- tensors without a row ---

    def _tensors(self) -> None:
        layers = len(self.architecture.layers)
        extra = [(key, x) for key, left in self.meeting.extra.items() for x in left]
        over = {id(x): max(i[0] for i in x.indices) >= layers for key, x in extra if LAYER.match(key)}
        announced = self.architecture.mtp is not None or any(over.get(id(x)) and MTP_MARKS.search(key) for key, x in extra)
        mtp: list[Logical] = []
        unexpected: list[tuple[str, Logical]] = []
        beyond: list[Logical] = []
        buffers: list[Logical] = []
        odd: list[Logical] = []
        for key, x in extra:
            if over.get(id(x)):
                (mtp if announced else beyond).append(x.some([i for i in x.indices if i[0] >= layers]))
                x = x.some([i for i in x.indices if i[0] < layers])
                if not x.indices:
                    continue
            if key in HEADS and self._is_head_copy(key, x):
                continue
            if is_buffer(key, x):
                buffers.append(x)
            elif MTP.search(key):
                mtp.append(x)
            elif self._packed_otherwise(key, x):
                odd.append(x)
            else:
                unexpected.append((key, x))
        self._mtp_stored(mtp)
        self._buffers_stored(buffers, "computed, not learned; not counted")
        self._not_comparable([(x.source, x.indices, "a packing that is not known here") for x in odd])
        self._beyond(beyond)
        self._unexpected(unexpected)
        for x in self.meeting.twice:
            self._find("tensor-unexpected", folded(x.source, x.indices)[0], "stored a second time under another spelling")

    def _is_head_copy(self, key: str, x: Logical) -> bool:
        """A stored copy of a tied head; or the tied embedding itself, stored under the head's name alone."""
        a = self.architecture
        if not a.embedding.tied or x.known and not x.fits((a.vocab_size, a.hidden_size)):
            return False
        self.copies += size(x)
        self._find("tied-copy-stored", x.source, "the head is tied to the token embedding, and stored again; not counted", "info")
        return True

    def _mtp_stored(self, mtp: list[Logical]) -> None:
        if not mtp:
            return
        self.mtp += sum(map(size, mtp))
        path, n, _ = max(gathered(((x.source, x.indices) for x in mtp), 2), key=lambda g: g[1])
        known = "the config does not announce" if self.architecture.mtp is None else "the family does not know"
        elements = f", {self.mtp:,} elements" if self.mtp else ""
        self._find("mtp-stored", path, f"{sum(len(x.indices) for x in mtp):,} tensors of multi-token prediction{elements}, that {known}; not counted in the total", "info", new=n)  # fmt: skip

    def _buffers_stored(self, buffers: list[Logical], why: str) -> None:
        self.buffers += sum(map(size, buffers))
        for path, n, members in gathered((x.source, x.indices) for x in buffers):
            self._find("buffers-stored", path, f"{count(n, members)} {why}", "info")

    def _beyond(self, beyond: list[Logical]) -> None:
        """Whole layers more than the config has."""
        if not beyond:
            return
        numbers = {i[0] for x in beyond for i in x.indices}
        said, held = len(self.architecture.layers), max(numbers) + 1
        path = f"{spelling.wrapper(beyond[0].source)}layers.{braced(numbers)}.*"
        n = sum(len(x.indices) for x in beyond)
        self._find("tensor-unexpected", path, f"{n:,} tensors of layers that the config does not have: it says {said}, the checkpoint holds {held}", old=said, new=held)  # fmt: skip
        self._find("fact-contradicted", "layers", f"the config says {said} layers, the checkpoint holds {held}", old=said, new=held)

    def _packed_otherwise(self, key: str, x: Logical) -> bool:
        """Whether a tensor belongs to a matrix that is missing under its own name, or was not comparable: a packing not known here."""
        if self.declared is None and x.dtype in FLOATS:
            return False
        stem = key
        while "." in stem:
            stem = stem.rpartition(".")[0]
            if stem in self._odd:
                return True
            if self.meeting.missing.get(f"{stem}.weight"):
                self._odd.add(stem)
                self.meeting.missing[f"{stem}.weight"] = []
                return True
        return False

    def _unexpected(self, extra: list[tuple[str, Logical]]) -> None:
        gptq = {h.key for h in self.meeting.hits if h.logical[0].packing.startswith("gptq")}
        zero = [x for key, x in extra if key.endswith(".bias") and key.removesuffix("bias") + "weight" in gptq]
        self._buffers_stored(zero, "a bias that GPTQ tools write beside every matrix, zero where the model has none; not counted")
        rest = [(key, x) for key, x in extra if not any(x is z for z in zero)] if zero else extra
        one = {(x.source, id(x.indices)): x for _, x in rest}
        for path, n, members in gathered((x.source, x.indices) for _, x in rest):
            x = one[members[0]] if len(members) == 1 else None
            what = f"{x.dtype} {listed(x.shape)}, " if x is not None and x.shape is not None else ""
            self._find("tensor-unexpected", path, f"{what}{count(n, [m[0] for m in members])} that no fact of the config accounts for", new=list(x.shape) if x is not None and x.shape is not None else None)  # fmt: skip
        self.findings += facts.unannounced(self.architecture, self.meeting.rows, rest)

    # --- rows without a tensor ---

    def _rows(self) -> None:
        missing = [(row, there) for rows in self.meeting.missing.values() for row, there in rows]
        if self.partial:
            n = sum(row.count - len(there or ()) for row, there in missing)
            if n:
                self._find("tensor-missing", gathered_rows(missing)[0][0], f"{n:,} tensors are not among the headers that could be read", "info")
            return
        missing = self._mtp_missing(missing)
        missing = self._embedding_as_head(missing)
        missing = self._towers_missing(missing)
        missing = self._layers_missing(missing)
        heads = [(row, there) for row, there in missing if row.component == "head" and row.pattern.endswith(".weight")]
        for row, _ in heads:
            self._find("untied-head-missing", row.pattern, "the config says that the head is not tied to the embedding, but none is stored", old=list(row.shape))
        rest = [m for m in missing if m not in heads]
        for path, n, members in gathered_rows(rest):
            self._find("tensor-missing", path, f"{count(n, members)} that the config asks for", old=list(rest[0][0].shape) if len(rest) == 1 else None)

    def _mtp_missing(self, missing: list[_Missing]) -> list[_Missing]:
        """MTP modules may be left out (of re-quantised copies, mostly), wholly or but for the copies of embedding and head."""
        mtp = [m for m in missing if m[0].component == "mtp"]
        if mtp:
            some = any(h.rows[0].component == "mtp" for h in self.meeting.hits)
            n = sum(row.count - len(there or ()) for row, there in mtp)
            what = f"{n:,} tensors of the multi-token-prediction modules are" if some else "the multi-token-prediction modules that the config announces are"
            self._find("mtp-missing", gathered_rows(mtp, 2)[0][0], f"{what} not stored", "info")
        return [m for m in missing if m[0].component != "mtp"]

    def _embedding_as_head(self, missing: list[_Missing]) -> list[_Missing]:
        """A tied embedding that is stored under the head's name alone."""
        embedding = [m for m in missing if m[0].component == "embedding" and m[0].shape == (self.architecture.vocab_size, self.architecture.hidden_size)]
        if len(embedding) != 1 or not any(f.rule == "tied-copy-stored" for f in self.findings):
            return missing
        self.findings = [f for f in self.findings if f.rule != "tied-copy-stored"]
        self.copies = 0
        for key in HEADS & self.meeting.extra.keys():
            self.meeting.meet(key, embedding[0][0], self.meeting.extra[key][0])
        return [m for m in missing if m is not embedding[0]]

    def _towers_missing(self, missing: list[_Missing]) -> list[_Missing]:
        """A tower of which nothing at all is stored: a text-only copy."""
        there = {r.component for h in self.meeting.hits for r in h.rows}
        gone = {row.component for row, _ in missing} & {"vision", "audio"} - there
        text_only = any(h.logical[0].packing.startswith("mlx") for h in self.meeting.hits)  # mlx-lm converts the language model alone
        for component in sorted(gone):
            n = sum(row.count for row, _ in missing if row.component == component)
            why = "mlx-lm converts the language model alone" if text_only else "a text-only copy"
            self._find("tower-missing", f"towers.{component}", f"nothing of the {component} tower is stored ({n:,} tensors): {why}", "info" if text_only else "weights")
        return [m for m in missing if m[0].component not in gone]

    def _layers_missing(self, missing: list[_Missing]) -> list[_Missing]:
        """Layers of which nothing at all is stored."""
        said = len(self.architecture.layers)
        empty = set(range(said))
        for h in self.meeting.hits:
            if h.indices[0] and LAYER.match(h.key):
                empty.difference_update(i[0] for i in h.indices)
        if not 0 < len(empty) < said:
            return missing
        rest: list[_Missing] = []
        path = ""
        for row, there in missing:
            key = spelling.canonical(row.pattern)
            if not (row.axes and LAYER.match(key)):
                rest.append((row, there))
                continue
            path = path or f"{spelling.wrapper(row.pattern)}layers.{braced(empty)}.*"
            left = [i for i in absent(there or (), row.axes) if i[0] not in empty]
            if left:
                gone = set(left)
                rest.append((row, [i for i in absent((), row.axes) if i not in gone]))
        held = said - len(empty)
        self._find("tensor-missing", path, f"whole layers: the config says {said}, the checkpoint holds {held}", old=said, new=held)
        self._find("fact-contradicted", "layers", f"the config says {said} layers, the checkpoint holds {held}", old=said, new=held)
        return rest


_Missing = tuple[Row, list[Index] | None]


def is_buffer(key: str, x: Logical) -> bool:
    """A table by its name; a mask called `attn.bias` is no vector."""
    return bool(BUFFERS.search(key)) and not (key.endswith(".bias") and x.shape is not None and len(x.shape) == 1)


def size(x: Logical) -> int:
    one = prod(x.shape) if x.shape is not None else x.elements or 0
    return one * len(x.indices)


def braced(numbers: Iterable[int]) -> str:
    return "{" + span(numbers) + "}"


def gathered(tensors: Iterable[tuple[str, list[Index]]], least: int = GATHER) -> list[tuple[str, int, list[Any]]]:
    """(path in short, how many tensors, patterns), one for each pattern, or one for `least` patterns or more of one module that have the
    same numbers."""
    groups: dict[tuple[str, frozenset[Index]], list[tuple[str, list[Index]]]] = {}
    for pattern, indices in tensors:
        at = pattern.rfind("{}.")
        groups.setdefault((pattern[: at + 3] if at >= 0 else "", frozenset(indices)), []).append((pattern, indices))
    out: list[tuple[str, int, list[Any]]] = []
    for (stem, _), members in groups.items():
        if stem and len(members) >= least:
            for path in folded(stem + "*", members[0][1])[:1]:
                out.append((path, sum(len(i) for _, i in members), [p for p, _ in members]))
        else:
            for pattern, indices in members:
                for path in folded(pattern, indices)[:1]:
                    out.append((path, len(indices), [(pattern, id(indices))]))
    return out


def gathered_rows(missing: list[_Missing], least: int = GATHER) -> list[tuple[str, int, list[Any]]]:
    return gathered(((row.pattern, absent(there or (), row.axes)) for row, there in missing), least)


def count(n: int, members: list[Any]) -> str:
    """`24 tensors (q_proj.weight, k_proj.weight and 5 more)`."""
    if len(members) < 2:
        return "1 tensor" if n == 1 else f"{n:,} tensors"
    ends = [str(m).rpartition("{}.")[2] for m in members]
    more = f" and {len(ends) - 3} more" if len(ends) > 3 else ""
    return f"{n:,} tensors ({', '.join(ends[:3])}{more})"
