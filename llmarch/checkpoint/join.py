"""The second witness: a family's tensor template against the headers that exist, on logical tensors, folded by pattern.

    table -> packing (stored to logical) -> spelling (names to one form) -> join by name, numbers and shape -> Check

Nothing here makes an object per tensor: index lists are compared as sets, and a difference is named in folded form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Literal

from ..family import Row
from ..raw import TensorTable
from ..schema import Architecture, Finding, Quantization
from . import dtypes, spelling
from .facts import contradictions
from .indices import Index, absent, all_within, axes_folded, folded, span, split
from .logical import Logical, Shape
from .packing import Unpacked, unpack
from .packing.base import listed

BUFFERS = re.compile(
    r"(rotary_emb\.inv_freq|rotary_emb\.(cos|sin)_cached|rotary_pos_emb\.inv_freq|rope\.freqs|attn\.bias|attn\.masked_bias|attention\.bias"
    r"|attention\.masked_bias|attn\.rotary\.inv_freq|embeddings\.position_ids|\.slope_rate|_decay)$"
)
"""Tables that older library versions saved and every version computes for itself (masks, rotary frequencies)."""

HEADS = frozenset({"lm_head.weight", "output.weight", "embed_out.weight", "head.weight"})
MTP = re.compile(r"(^|\.)(mtp|mtp_layers|mtp_block|nextn)(\.|$)")
MTP_MARKS = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|token_layernorm|hidden_layernorm|input_proj)\b")
LAYER = re.compile(r"^(layers|h|blocks|block)\.\{\}\.")
FLOATS = frozenset({"F16", "BF16", "F32", "F64", ""})
MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Check:
    """What the headers say of a config.

    Elements: `logical` of the main model as the template knows it, `mtp`, `scales` (with zero points and other metadata of packings),
    `stored` all that the file holds as it is stored; `copies` (a tied head stored again), `buffers`. `by_component` and
    `bits_by_component` are over matched tensors (bits per weight, scales included). `confirmed`: fact path -> tensors whose shape proves it.
    `notes`: spellings and packings met. Status: `verified`, `conflict` (some finding above `info`), or `partial` (not everything could
    be compared: shards missing, names without headers, a format that is not unpacked).
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


def join(
    architecture: Architecture, rows: list[Row], table: TensorTable, *, quantization: Quantization | None = None, partial: bool = False
) -> Check:
    """Hold a template against the headers. `quantization` is the config's declaration (the architecture's own if not given);
    `partial` says that some headers could not be read, so that what is missing says nothing."""
    declared = quantization or architecture.quantization
    unpacked = unpack(table, declared)
    met = _Join(rows, unpacked)
    met.run()
    return _Report(architecture, table, unpacked, met, declared, partial).check()


# --- meeting ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hit:
    """Tensors of one row (or of several that a fused tensor holds) and what is stored for them."""

    key: str
    rows: tuple[Row, ...]
    logical: tuple[Logical, ...]
    indices: list[Index]
    elements: int
    fits: bool
    template: Shape = ()
    stored: Shape | None = None


@dataclass(slots=True)
class _Piece:
    """A part of a fused tensor at one index: its slot, its shapes, how many experts are stacked, and whose it is."""

    place: spelling.Place
    shapes: tuple[Shape, ...]
    elements: int | None
    of: Row | Logical


class _Join:
    """Rows and logical tensors by canonical name; `run` leaves hits, rows without tensors, and tensors without rows."""

    def __init__(self, rows: list[Row], unpacked: Unpacked) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.stored: dict[str, list[Logical]] = {}
        for row in rows:
            self.rows.setdefault(spelling.canonical(row.pattern), []).append(row)
        spell = spelling.speller(x.pattern for x in unpacked.logical)
        for x in unpacked.logical:
            self.stored.setdefault(spell(x.pattern), []).append(x)
        self.hits: list[Hit] = []
        self.missing: dict[str, list[tuple[Row, list[Index] | None]]] = {}
        self.extra: dict[str, list[Logical]] = {}
        self.twice: list[Logical] = []

    def run(self) -> None:
        for key, rows in self.rows.items():
            self.direct(key, rows, self.stored.get(key, []))
        for key, stored in self.stored.items():
            if key not in self.rows:
                self.extra[key] = list(stored)
        self.fuse()

    def direct(self, key: str, rows: list[Row], stored: list[Logical]) -> None:
        """Meet by one name: the usual case."""
        left: list[Logical] = list(stored)
        for row in rows:
            there: list[list[Index]] = []
            rest: list[Logical] = []
            for x in left:
                if len(x.indices[0]) != len(row.axes):
                    rest.append(x)
                    continue
                inside, outside = split(x.indices, row.axes)
                if inside:
                    there.append(inside)
                    self.hit(key, row, x if not outside else x.some(inside))
                if outside:
                    rest.append(x.some(outside) if inside else x)
            left = rest
            met = len(set().union(*there)) if len(there) > 1 else sum(map(len, there))
            if met < row.count:
                self.missing.setdefault(key, []).append((row, [i for part in there for i in part] if there else None))
        if len(stored) > 1:
            self.twice += repeated(stored)
        if left:
            self.extra[key] = left

    def hit(self, key: str, row: Row, x: Logical) -> None:
        fits = not x.known or x.fits(row.shape)
        if not fits and (other := spelling.turned(key, row.shape)):
            fits = x.fits(other)
        elements = prod(row.shape if fits else x.shape or (x.elements or 0,)) * len(x.indices)
        self.hits.append(Hit(key, (row,), (x,), x.indices, elements, fits, row.shape, x.shape))

    def fuse(self) -> None:
        """Meet what is left after fusing both sides as far as names allow: stacked experts, gate with up, q with k and v."""
        wanted: dict[str, list[tuple[spelling.Place, Row, list[Index] | None]]] = {}
        for key, missing in self.missing.items():
            if place := spelling.place(key):
                wanted.setdefault(place.key, []).extend((place, row, there) for row, there in missing)
        offered: dict[str, list[tuple[spelling.Place, str, Logical]]] = {}
        for key, extra in self.extra.items():
            if place := spelling.place(key):
                offered.setdefault(place.key, []).extend((place, key, x) for x in extra)
        for fused in wanted.keys() & offered.keys():
            self.fuse_one(fused, wanted[fused], offered[fused])

    def fuse_one(
        self,
        fused: str,
        wanted: list[tuple[spelling.Place, Row, list[Index] | None]],
        offered: list[tuple[spelling.Place, str, Logical]],
    ) -> None:
        ours = [(i, p) for place, row, there in wanted for i, p in row_pieces(place, row, there)]
        theirs = [(i, p) for place, _, x in offered for i, p in stored_pieces(place, x)]
        left, right = by_index(ours), by_index(theirs)
        alike: dict[tuple[int, ...], tuple[list[_Piece], list[_Piece], list[Index]]] = {}
        for index in left.keys() & right.keys():
            a, b = left[index], right[index]
            if complete(a) and complete(b):
                key = tuple(id(p.of) for p in (*a, *b))
                alike.setdefault(key, (a, b, []))[2].append(index)
        used: dict[int, set[Index]] = {}
        for a, b, indices in alike.values():
            self.fused_hit(fused, a, b, sorted(indices))
            for p in (*a, *b):
                used.setdefault(id(p.of), set()).update(indices)
        self.forget(used)

    def fused_hit(self, fused: str, a: list[_Piece], b: list[_Piece], indices: list[Index]) -> None:
        (shape, *_), elements = fused_shapes(a, fused)
        theirs, stored = fused_shapes(b, fused)
        other = spelling.turned(fused, shape)
        if theirs:
            fits = shape in theirs or other in theirs
        else:
            fits = stored is None or stored == elements
        rows = tuple(p.of for p in a if isinstance(p.of, Row))
        logical = tuple(p.of.some(matching(p, indices)) for p in b if isinstance(p.of, Logical))
        size = (elements if fits else prod(theirs[0]) if theirs else stored) or 0
        self.hits.append(Hit(fused, rows, logical, indices, size * len(indices), fits, shape, theirs[0] if theirs else None))

    def forget(self, used: dict[int, set[Index]]) -> None:
        """Take what has met in fused form out of the leftovers."""
        for key, missing in list(self.missing.items()):
            keep: list[tuple[Row, list[Index] | None]] = []
            for row, there in missing:
                met = used.get(id(row))
                if met is None:
                    keep.append((row, there))
                    continue
                stacked = (p := spelling.place(key)) is not None and p.expert
                now = [i for i in product(*row.axes) if (i[:-1] if stacked else i) in met]
                if len(now) + len(there or ()) < row.count:
                    keep.append((row, [*(there or ()), *now]))
            self.missing[key] = keep
        for key, extra in list(self.extra.items()):
            left: list[Logical] = []
            for x in extra:
                met = used.get(id(x))
                stacked = (p := spelling.place(key)) is not None and p.expert
                rest = x.indices if met is None else [i for i in x.indices if (i[:-1] if stacked else i) not in met]
                if rest:
                    left.append(x if met is None else x.some(rest))
            self.extra[key] = left


def repeated(stored: list[Logical]) -> list[Logical]:
    """Of tensors of one canonical name, those whose number was there before: stored twice, in two spellings."""
    seen: set[Index] = set()
    out: list[Logical] = []
    for x in stored:
        again = [i for i in x.indices if i in seen]
        if again:
            out.append(x.some(again))
        seen.update(x.indices)
    return out


def row_pieces(place: spelling.Place, row: Row, there: list[Index] | None) -> Iterable[tuple[Index, _Piece]]:
    """A row's tensors as parts of fused ones; expert numbers are stacked away. `there`: those that have met already."""
    axes = row.axes[:-1] if place.expert else row.axes
    shape = (len(row.axes[-1]), *row.shape) if place.expert else row.shape
    gone = {i[:-1] if place.expert else i for i in there or ()}
    piece = _Piece(place, (shape,), prod(shape), row)
    return ((i, piece) for i in product(*axes) if i not in gone)


def stored_pieces(place: spelling.Place, x: Logical) -> Iterable[tuple[Index, _Piece]]:
    shapes = (x.shape, *x.others) if x.shape is not None else ()
    size = x.elements if x.shape is None else prod(x.shape)
    if not place.expert:
        piece = _Piece(place, shapes, size, x)
        return ((i, piece) for i in x.indices)
    experts: dict[Index, list[int]] = {}
    for i in x.indices:
        experts.setdefault(i[:-1], []).append(i[-1])
    pieces: dict[int, _Piece] = {}
    out: list[tuple[Index, _Piece]] = []
    for i, numbers in experts.items():
        n = len(numbers)
        if n != max(numbers) + 1 or n != len(set(numbers)):
            continue
        if n not in pieces:
            pieces[n] = _Piece(place, tuple((n, *s) for s in shapes), size * n if size is not None else None, x)
        out.append((i, pieces[n]))
    return out


def by_index(pieces: Iterable[tuple[Index, _Piece]]) -> dict[Index, list[_Piece]]:
    out: dict[Index, list[_Piece]] = {}
    for i, p in pieces:
        out.setdefault(i, []).append(p)
    return {i: sorted(ps, key=lambda p: p.place.at) for i, ps in out.items()}


def complete(pieces: list[_Piece]) -> bool:
    """Every slot once."""
    return [p.place.at for p in pieces] == list(range(pieces[0].place.of)) and len({p.place.of for p in pieces}) == 1


def fused_shapes(pieces: list[_Piece], key: str) -> tuple[tuple[Shape, ...], int | None]:
    """The shapes that the parts can make together, and the number of elements where it is known."""
    sizes = [p.elements for p in pieces]
    total = sum(s for s in sizes if s is not None) if None not in sizes else None
    shapes = [spelling.joined(parts, key) for parts in zip(*(p.shapes for p in pieces), strict=False)]
    return tuple(s for s in shapes if s is not None), total


def matching(p: _Piece, indices: list[Index]) -> list[Index]:
    assert isinstance(p.of, Logical)
    if not p.place.expert:
        return indices
    wanted = set(indices)
    return [i for i in p.of.indices if i[:-1] in wanted]


# --- reporting ----------------------------------------------------------------------------------------------------


class _Report:
    """From what met and what did not to findings and figures."""

    def __init__(
        self, a: Architecture, table: TensorTable, unpacked: Unpacked, met: _Join, declared: Quantization | None, partial: bool
    ) -> None:
        self.a, self.table, self.unpacked, self.met, self.declared, self.partial = a, table, unpacked, met, declared, partial
        self.findings = list(unpacked.findings)
        self.names_only = not table.has_shapes
        self.mtp = self.copies = self.buffers = 0
        self.incomparable = False
        self.hidden: set[str] = set()

    def check(self) -> Check:
        self.shapes()
        self.leftover_tensors()
        self.leftover_rows()
        self.findings += dtypes.findings(self.met.hits, self.unpacked, self.declared, self.a)
        elements, bits, weighed = self.by_component()
        self.mtp += elements.pop("mtp", 0)
        logical = sum(elements.values())
        main = sum(n for c, n in bits.items() if c != "mtp")
        known = sum(n for c, n in weighed.items() if c != "mtp")
        conflict = any(f.severity != "info" for f in self.findings)
        unsure = self.partial or self.names_only or self.incomparable
        return Check(
            status="conflict" if conflict else "partial" if unsure else "verified",
            findings=self.findings[:MOST_FINDINGS],
            logical=logical,
            mtp=self.mtp,
            scales=self.unpacked.scales,
            stored=self.table.elements,
            copies=self.copies,
            buffers=self.buffers,
            by_component=dict(elements),
            bits_per_weight=main / known if known else None,
            bits_by_component={c: bits[c] / n for c, n in weighed.items() if n},
            confirmed=self.confirmed(),
            notes=self.notes(),
            names_only=self.names_only,
        )

    def find(
        self, rule: str, path: str, message: str, severity: Literal["weights", "quantization", "info"] = "weights", old: object = None, new: object = None
    ) -> None:
        self.findings.append(Finding(rule=rule, path=path, message=message, severity=severity, old=old, new=new))

    def by_component(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """Elements that met, the bits they take in the file, and the elements whose bits are known."""
        elements: Counter[str] = Counter()
        bits: Counter[str] = Counter()
        weighed: Counter[str] = Counter()
        for h in self.met.hits:
            component = h.rows[0].component
            if any(x.known for x in h.logical):
                elements[component] += h.elements
                weighed[component] += h.elements
                bits[component] += sum(x.bits * len(x.indices) for x in h.logical)
        return elements, bits, weighed

    def confirmed(self) -> dict[str, tuple[str, ...]]:
        """Facts whose tensors all met with their shapes, and these tensors."""
        good: dict[int, int] = {}
        bad: set[str] = set()
        for h in self.met.hits:
            for row in h.rows:
                if not h.fits:
                    bad.update(row.proves)
                if h.fits and all(x.known and not x.why for x in h.logical):
                    per = row.count // max(1, prod(len(a) for a in row.axes[:-1])) if is_stacked(h, row) else 1
                    good[id(row)] = good.get(id(row), 0) + len(h.indices) * per
        out: dict[str, list[str]] = {}
        for rows in self.met.rows.values():
            for row in rows:
                if row.proves and good.get(id(row), 0) >= row.count:
                    name = axes_folded(row.pattern, row.axes)
                    for path in row.proves:
                        if path not in bad:
                            out.setdefault(path, []).append(name)
        return {path: tuple(names) for path, names in out.items()}

    def notes(self) -> tuple[str, ...]:
        """Spellings and packings met, each once."""
        notes: dict[str, None] = {}
        packed: dict[str, dict[str, None]] = {}
        for h in self.met.hits:
            for x in h.logical:
                if x.packing:
                    packed.setdefault(x.packing, {})[h.rows[0].component] = None
                for n in spelling.notes(h.key, [r.pattern for r in h.rows], x.pattern):
                    notes[n] = None
            if h.fits and h.stored and h.stored != h.template and h.stored == spelling.turned(h.key, h.template):
                notes["experts stored the other way round" if ".experts." in h.key else "convolutions stored with channels last"] = None
        return (*(f"{label}: {', '.join(c)}" for label, c in packed.items()), *notes)

    def shapes(self) -> None:
        """Tensors whose shape is not the template's, and the facts that they contradict."""
        wrong: list[tuple[Row, Shape, Shape, str]] = []
        for h in self.met.hits:
            for x in h.logical:
                if x.why:
                    self.incomparable = True
                    self.find("not-comparable", folded(x.source, x.indices)[0], x.why, "info")
            if h.fits:
                continue
            x = h.logical[0]
            name = folded(x.source, x.indices)[0]
            if not x.packing and x.dtype not in FLOATS and not x.dtype.startswith("F8"):
                self.incomparable = True
                self.find("not-comparable", name, f"{x.dtype} {listed(h.stored or ())} is packed in a way that llmarch does not unpack; {listed(h.template)} is expected", "info")
                continue
            if h.stored is None:
                there = f"{x.elements:,} elements" if x.elements is not None else "another size"
            else:
                there = listed(h.stored)
                wrong.append((h.rows[0], h.template, h.stored, name))
            self.find("tensor-shape", name, f"the config makes it {listed(h.template)}, the checkpoint holds {there}", old=list(h.template), new=list(h.stored or ()) or None)
        self.findings += contradictions(self.a, wrong)

    def leftover_tensors(self) -> None:
        """What no row asked for: harmless by name, MTP modules that the config does not announce, or unexpected."""
        layers = len(self.a.layers)
        extra = [(key, x) for key, left in self.met.extra.items() for x in left]
        beyond = [(key, x) for key, x in extra if LAYER.match(key) and x.indices[0] and max(i[0] for i in x.indices) >= layers]
        announced = self.a.mtp is not None or any(MTP_MARKS.search(key) for key, _ in beyond)
        mtp: list[Logical] = []
        unexpected: list[tuple[str, Logical]] = []
        more: dict[int, int] = {}
        for key, x in extra:
            if key in HEADS and self.a.embedding.tied and self.is_copy(x):
                self.copies += self.size(x)
                self.find("tied-copy-stored", x.source, "a copy of the token embedding, which the head is tied to; not counted", "info")
            elif BUFFERS.search(key) and (x.shape is None or not key.endswith("bias") or len(x.shape) != 1):
                self.buffers += self.size(x)
                self.find("buffers-stored", folded(x.source, x.indices)[0], "a table that is computed, not learned; not counted", "info")
            elif MTP.search(key):
                mtp.append(x)
            elif (key, x) in beyond:
                over = [i for i in x.indices if i[0] >= layers]
                under = [i for i in x.indices if i[0] < layers]
                if announced:
                    mtp.append(x.some(over))
                else:
                    for i in over:
                        more[i[0]] = more.get(i[0], 0) + 1
                if under:
                    unexpected.append((key, x.some(under)))
            else:
                unexpected.append((key, x))
        if mtp:
            n = sum(map(self.size, mtp))
            self.mtp += n
            names = sorted({folded(x.source, x.indices)[0] for x in mtp}, key=len)
            said = "" if self.a.mtp is None else ", beyond the layout that the family knows"
            self.find("mtp-stored", names[0], f"{len(names)} patterns of multi-token-prediction modules, {n:,} elements, that the config does not announce{said}; not counted in the total", "info")
        if more:
            at = f"layers.{'{'}{span(more)}{'}'}.*"
            total = max(more) + 1
            self.find("tensor-unexpected", at, f"{sum(more.values()):,} tensors of layers that the config does not have: it says {layers}, the checkpoint holds {total}", old=layers, new=total)
        for key, x in unexpected:
            self.unexpected(key, x)
        for x in self.met.twice:
            self.find("tensor-unexpected", folded(x.source, x.indices)[0], "stored a second time under another spelling")

    def unexpected(self, key: str, x: Logical) -> None:
        if key.endswith(".bias") and any(h.key == key.removesuffix("bias") + "weight" and h.logical[0].packing.startswith("gptq") for h in self.met.hits):
            self.buffers += self.size(x)
            self.find("buffers-stored", folded(x.source, x.indices)[0], "a bias that GPTQ tools add to every quantised matrix, zero where the model has none", "info")
            return
        if self.packed_otherwise(key, x):
            return
        shape = f" {listed(x.shape)}" if x.shape is not None else ""
        for at in folded(x.source, x.indices)[:5]:
            self.find("tensor-unexpected", at, f"{x.dtype}{shape}: no fact of the config accounts for it".lstrip(), new=list(x.shape) if x.shape is not None else None)

    def packed_otherwise(self, key: str, x: Logical) -> bool:
        """Whether a tensor belongs to a matrix that is missing under its own name: a packing that is not known here."""
        if self.declared is None and x.dtype in FLOATS:
            return False
        stem = key
        while "." in stem:
            stem = stem.rpartition(".")[0]
            rows = self.met.missing.get(f"{stem}.weight")
            if rows:
                self.incomparable = True
                self.find("not-comparable", folded(x.source, x.indices)[0], "belongs to a packing that llmarch does not unpack", "info")
                self.met.missing[f"{stem}.weight"] = []
                self.hidden.add(stem)
                return True
            if stem in self.hidden:
                return True
        return False

    def is_copy(self, x: Logical) -> bool:
        return not x.known or x.fits((self.a.vocab_size, self.a.hidden_size))

    def size(self, x: Logical) -> int:
        one = prod(x.shape) if x.shape is not None else x.elements or 0
        return one * len(x.indices)

    def leftover_rows(self) -> None:
        """What the template asks for and the checkpoint lacks."""
        missing = [(row, there) for rows in self.met.missing.values() for row, there in rows]
        whole = self.whole_layers(missing)
        mtp = [(row, there) for row, there in missing if row.component == "mtp"]
        if mtp:
            n = sum(row.count - len(there or ()) for row, there in mtp)
            none = not any(h.rows[0].component == "mtp" for h in self.met.hits)
            self.find("mtp-missing", axes_folded(mtp[0][0].pattern, mtp[0][0].axes), "the config announces multi-token-prediction modules, the checkpoint holds none" if none else f"{n:,} tensors of the multi-token-prediction modules are not stored", "info")  # fmt: skip
        severity = "info" if self.partial else "weights"
        if whole:
            held = len(self.a.layers) - len(whole)
            why = "no header of these layers was read" if self.partial else f"whole layers are missing: the config says {len(self.a.layers)}, the checkpoint holds {held}"
            self.find("tensor-missing", f"layers.{'{'}{span(whole)}{'}'}.*", why, severity, old=len(self.a.layers), new=held)
        for row, there in missing:
            if row.component == "mtp":
                continue
            gone = absent(there, row.axes) if there else None
            if whole and row.axes and LAYER.match(spelling.canonical(row.pattern)):
                gone = [i for i in (gone if gone is not None else absent((), row.axes)) if i[0] not in whole]
                if not gone:
                    continue
            names = folded(row.pattern, gone) if gone is not None else [axes_folded(row.pattern, row.axes)]
            for at in names[:5]:
                if row.component == "head" and row.pattern.endswith("weight") and not self.partial:
                    self.find("untied-head-missing", at, "the config says that the head is not tied to the embedding, but the checkpoint holds none", old=list(row.shape))
                else:
                    why = "not among the headers that could be read" if self.partial else "the config asks for it, the checkpoint lacks it"
                    self.find("tensor-missing", at, why, severity, old=list(row.shape))

    def whole_layers(self, missing: list[tuple[Row, list[Index] | None]]) -> set[int]:
        """Layers of which no tensor at all is there."""
        empty = {i for i in range(len(self.a.layers))}
        for h in self.met.hits:
            if h.indices[0] and LAYER.match(h.key):
                empty.difference_update(i[0] for i in h.indices)
        return empty if 0 < len(empty) < len(self.a.layers) else set()


def is_stacked(h: Hit, row: Row) -> bool:
    """Whether a hit's indices lack the row's expert numbers."""
    return bool(h.indices) and len(row.axes) == len(h.indices[0]) + 1


__all__ = ["Check", "Hit", "all_within", "join"]
