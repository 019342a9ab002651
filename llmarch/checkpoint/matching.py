"""Where template rows and logical tensors meet: by canonical name, numbers and shape; then, fused as far as names allow, what is left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from ..tensors.naming import TensorRow
from . import names as spelling
from .indices import Index, split_by_axes
from .logical import LogicalTensor, Shape


@dataclass(slots=True)
class Match:
    """A row (or the rows that a fused tensor holds) and the tensors stored for it.

    `indices` are those of the fused tensor where one side was fused. `fits`: the shapes agree (or cannot be known).
    """

    key: str
    rows: tuple[TensorRow, ...]
    logical: tuple[LogicalTensor, ...]
    indices: list[Index]
    elements: int
    fits: bool
    template: Shape
    stored: Shape | None

    @property
    def compared(self) -> bool:
        """Whether shapes were compared at all."""
        return all(x.has_size and not x.not_comparable for x in self.logical)

    def count_of(self, row: TensorRow) -> int:
        """How many of a row's tensors met here."""
        stacked = bool(self.indices) and len(row.axes) == len(self.indices[0]) + 1
        return len(self.indices) * (len(row.axes[-1]) if stacked else 1)


@dataclass(slots=True)
class _Piece:
    """A part of a fused tensor: its place, the shapes it may have, its elements, how many experts it stacks, and whose it is."""

    place: spelling.FusedPlace
    shapes: tuple[Shape, ...]
    elements: int | None
    experts: int | None
    of: TensorRow | LogicalTensor


class Matching:
    """`hits`; `missing`: rows with the numbers that did meet (None: none did); `extra`: tensors without a row; `twice`: stored again;
    `gaps`: by stored pattern, experts that lack in what otherwise met; `spell`: the canonical name of a stored one."""

    def __init__(self, rows: Iterable[TensorRow], logical: list[LogicalTensor]) -> None:
        self.rows: dict[str, list[TensorRow]] = {}
        self.stored: dict[str, list[LogicalTensor]] = {}
        self.hits: list[Match] = []
        self.missing: dict[str, list[tuple[TensorRow, list[Index] | None]]] = {}
        self.extra: dict[str, list[LogicalTensor]] = {}
        self.twice: list[LogicalTensor] = []
        self.gaps: dict[str, list[Index]] = {}
        for row in rows:
            self.rows.setdefault(spelling.canonical(row.pattern), []).append(row)
        self.spell = spelling.canonicalizer({x.pattern for x in logical})
        for x in logical:
            self.stored.setdefault(self.spell(x.pattern), []).append(x)
        for key, rows_here in self.rows.items():
            self._direct(key, rows_here, self._once(self.stored.get(key, [])))
        for key, stored in self.stored.items():
            if key not in self.rows:
                self.extra[key] = self._once(stored)
        self._fuse()

    def _once(self, stored: list[LogicalTensor]) -> list[LogicalTensor]:
        """Tensors of one canonical name without those whose numbers were there before: stored twice, in two spellings."""
        if len({x.pattern for x in stored}) < 2:
            return stored
        seen: set[Index] = set()
        out: list[LogicalTensor] = []
        for x in stored:
            again = [i for i in x.indices if i in seen]
            if again:
                self.twice.append(x.subset(again))
                x = x.subset([i for i in x.indices if i not in seen])
            seen.update(x.indices)
            if x.indices:
                out.append(x)
        return out

    def _direct(self, key: str, rows: list[TensorRow], stored: list[LogicalTensor]) -> None:
        """Meet by one name: the usual case."""
        left = stored
        for row in rows:
            there: list[Index] = []
            rest: list[LogicalTensor] = []
            for x in left:
                inside, outside = (
                    split_by_axes(x.indices, row.axes)
                    if len(x.indices[0]) == len(row.axes)
                    else ([], x.indices)
                )
                if inside:
                    there += inside
                    self.add_match(key, row, x.subset(inside) if outside else x)
                if outside:
                    rest.append(x.subset(outside) if inside else x)
            left = rest
            if len(there) < row.count:
                self.missing.setdefault(key, []).append((row, there or None))
        if left:
            self.extra[key] = left

    def add_match(self, key: str, row: TensorRow, x: LogicalTensor) -> None:
        """Note that a row's tensors are stored as these."""
        fits, shape = not x.has_size or x.fits(row.shape), row.shape
        if not fits and (other := spelling.other_layout(key, row.shape)):
            fits = x.fits(other)
            shape = row.shape if fits else nearer(row.shape, other, x.shape)
        one = prod(row.shape) if fits else prod(x.shape) if x.shape is not None else x.elements or 0
        self.hits.append(
            Match(key, (row,), (x,), x.indices, one * len(x.indices), fits, shape, x.shape)
        )

    def find_missing(self, component: str, shape: Shape) -> tuple[str, TensorRow | None]:
        """A single tensor of a component and shape that is missing, and its canonical name."""
        found = (
            (k, row)
            for k, rows in self.missing.items()
            for row, _ in rows
            if row.component == component and row.shape == shape
        )
        return next(found, ("", None))

    # --- fused ---

    def _fuse(self) -> None:
        """Meet what is left after fusing both sides: stacked experts, gate with up, q with k and v."""
        wanted: dict[str, list[tuple[Index, _Piece]]] = {}
        offered: dict[str, list[tuple[Index, _Piece]]] = {}
        extra = {key: place for key in self.extra if (place := spelling.fused_place(key))}
        offers = {place.key for place in extra.values()}
        for key, missing in self.missing.items():
            place = spelling.fused_place(key)
            if place and place.key in offers:
                for row, there in missing:
                    wanted.setdefault(place.key, []).extend(_row_pieces(place, row, there))
        for key, place in extra.items():
            if place.key in wanted:
                stacks = {p.shapes[0][0] for _, p in wanted[place.key] if len(p.shapes[0]) > 1}
                for x in self.extra[key]:
                    offered.setdefault(place.key, []).extend(
                        self._stored_pieces(place, x, max(stacks, default=0))
                    )
        used: dict[int, set[Index]] = {}
        for key, pieces in offered.items():
            self._fuse_one(key, _by_index(wanted[key]), _by_index(pieces), used)
        if used:
            self._forget(used)

    def _stored_pieces(
        self, place: spelling.FusedPlace, x: LogicalTensor, experts: int
    ) -> Iterable[tuple[Index, _Piece]]:
        """Stored tensors as parts of fused ones. Of `experts` that should be there, those that are not are noted as gaps."""
        shapes = (x.shape, *x.other_shapes) if x.shape is not None else ()
        size = x.elements if x.shape is None else prod(x.shape)
        if not place.per_expert:
            piece = _Piece(place, shapes, size, None, x)
            yield from ((i, piece) for i in x.indices)
            return
        numbers: dict[Index, set[int]] = {}
        for i in x.indices:
            numbers.setdefault(i[:-1], set()).add(i[-1])
        stacks: dict[int, _Piece] = {}
        for i, there in numbers.items():
            n = max(max(there) + 1, experts)
            if 2 * len(there) < n:
                continue
            if len(there) < n:
                self.gaps.setdefault(x.source, []).extend(
                    (*i, e) for e in range(n) if e not in there
                )
            if n not in stacks:
                stacks[n] = _Piece(
                    place,
                    tuple((n, *s) for s in shapes),
                    size * n if size is not None else None,
                    n,
                    x,
                )
            yield i, stacks[n]

    def _fuse_one(
        self,
        key: str,
        ours: dict[Index, list[_Piece]],
        theirs: dict[Index, list[_Piece]],
        used: dict[int, set[Index]],
    ) -> None:
        alike: dict[tuple[int, ...], tuple[list[_Piece], list[_Piece], list[Index]]] = {}
        for index in sorted(ours.keys() & theirs.keys()):
            a, b = ours[index], theirs[index]
            if (_complete(a) and _complete(b)) or _same(a, b):
                alike.setdefault(tuple(id(p) for p in (*a, *b)), (a, b, []))[2].append(index)
        for a, b, indices in alike.values():
            self._fused_hit(key, a, b, indices)
            for p in (*a, *b):
                used.setdefault(id(p.of), set()).update(indices)

    def _fused_hit(self, key: str, a: list[_Piece], b: list[_Piece], indices: list[Index]) -> None:
        (shape, *_), elements = _fused(key, a)
        theirs, stored = _fused(key, b)
        if theirs:
            fits = shape in theirs or spelling.other_layout(key, shape) in theirs
        else:
            experts = {p.experts for p in b} - {None}
            fits = (
                stored == elements
                if stored is not None
                else not experts or len(shape) < 2 or experts == {shape[0]}
            )
        if not fits and theirs and (other := spelling.other_layout(key, shape)):
            shape = nearer(shape, other, theirs[0])
        rows = tuple(p.of for p in a if isinstance(p.of, TensorRow))
        logical = tuple(_part(p, p.of, indices) for p in b if isinstance(p.of, LogicalTensor))
        size = (elements if fits else prod(theirs[0]) if theirs else stored) or 0
        self.hits.append(
            Match(
                key,
                rows,
                logical,
                indices,
                size * len(indices),
                fits,
                shape,
                theirs[0] if theirs else None,
            )
        )

    def _forget(self, used: dict[int, set[Index]]) -> None:
        """Take what has met in fused form out of the leftovers."""
        for key, missing in list(self.missing.items()):
            stacked = (place := spelling.fused_place(key)) is not None and place.per_expert
            left = [
                without(row, there, used[id(row)], stacked) if id(row) in used else (row, there)
                for row, there in missing
            ]
            self.missing[key] = [m for m in left if m is not None]
        for key, extra in list(self.extra.items()):
            stacked = (place := spelling.fused_place(key)) is not None and place.per_expert
            rest = [
                x.subset([i for i in x.indices if (i[:-1] if stacked else i) not in used[id(x)]])
                if id(x) in used
                else x
                for x in extra
            ]
            self.extra[key] = [x for x in rest if x.indices]


def nearer(shape: Shape, other: Shape, stored: Shape | None) -> Shape:
    """Of two layouts of one tensor, that with more of the stored dimensions in place."""
    here, there = (
        sum(a == b for a, b in zip(s, stored or (), strict=False)) for s in (shape, other)
    )
    return other if there > here else shape


def without(
    row: TensorRow, there: list[Index] | None, met: set[Index], stacked: bool
) -> tuple[TensorRow, list[Index] | None] | None:
    """What of a row is still missing when these fused tensors have met; `stacked`: one of them holds all experts of a layer."""
    ahead = row.axes[:-1] if stacked else row.axes
    if there is None and len(ahead) == 1:  # without counting out what may be 10^9 experts
        left = tuple(i for i in ahead[0] if (i,) not in met)
        return (replace(row, axes=(left, *row.axes[1:])), None) if left else None
    if len(met) >= prod(len(a) for a in ahead):
        return None
    now = [i for i in product(*row.axes) if (i[:-1] if stacked else i) in met]
    return (row, [*(there or ()), *now]) if len(now) + len(there or ()) < row.count else None


def _row_pieces(
    place: spelling.FusedPlace, row: TensorRow, there: list[Index] | None
) -> Iterable[tuple[Index, _Piece]]:
    """A row's tensors as parts of fused ones; expert numbers are stacked away. `there`: those that have met already."""
    axes, shape = row.axes, row.shape
    if place.per_expert:
        axes, shape = row.axes[:-1], (len(row.axes[-1]), *row.shape)
    gone = {i[:-1] if place.per_expert else i for i in there or ()}
    piece = _Piece(place, (shape,), prod(shape), shape[0] if place.per_expert else None, row)
    return ((i, piece) for i in product(*axes) if i not in gone)


def _by_index(pieces: Iterable[tuple[Index, _Piece]]) -> dict[Index, list[_Piece]]:
    out: dict[Index, list[_Piece]] = {}
    for i, p in pieces:
        out.setdefault(i, []).append(p)
    return {i: sorted(ps, key=lambda p: p.place.slot) for i, ps in out.items()}


def _complete(pieces: list[_Piece]) -> bool:
    """Every slot once."""
    return [p.place.slot for p in pieces] == list(range(pieces[0].place.slots)) and len(
        {p.place.slots for p in pieces}
    ) == 1


def _same(a: list[_Piece], b: list[_Piece]) -> bool:
    """The same slots once on both sides: experts that have no gate."""
    slots = [p.place.slot for p in a]
    return slots == [p.place.slot for p in b] and len(set(slots)) == len(slots)


def _fused(key: str, pieces: list[_Piece]) -> tuple[tuple[Shape, ...], int | None]:
    """The shapes that the parts can make together, and their elements where these are known."""
    sizes = [p.elements for p in pieces]
    total = sum(s for s in sizes if s is not None) if None not in sizes else None
    if len(pieces) == 1:
        return pieces[0].shapes, total
    shapes = [
        spelling.joined_shape(key, parts)
        for parts in zip(*(p.shapes for p in pieces), strict=False)
    ]
    return tuple(s for s in shapes if s is not None), total


def _part(p: _Piece, x: LogicalTensor, indices: list[Index]) -> LogicalTensor:
    """The tensors of a piece that belong to fused ones at `indices`."""
    if not p.place.per_expert:
        return x.subset(indices)
    wanted = set(indices)
    return x.subset([i for i in x.indices if i[:-1] in wanted])
