"""Find the facts that tensors of another shape contradict, and the values that these give them.

A row names the facts that its shape proves. A dimension d that is stored as d' gives a fact v the
value v' = v * d' / d, if that is whole and d is v itself or v times something that the other facts
fix (kv_heads * head_dim).

To blame another fact for a shape, add a function to `_EXPLANATIONS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..architecture.schema import Architecture, Attention, Finding, LatentAttention
from .conflicts import Conflict, ShapeMismatch, conflict_finding, value_at
from .latent_conflicts import latent_conflict, latent_mismatches
from .packing.base import format_shape

COUNTS = frozenset({"heads", "kv_heads", "modules"})
"""Facts that stand in a shape multiplied by another one."""

SIZES = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "width",
        "expert_width",
        "shared_width",
        "q_lora_rank",
        "kv_lora_rank",
        "experts",
        "positions",
        "outputs",
        "inner_width",
        "head_dim",
        "v_head_dim",
        "key_heads",
        "value_heads",
    }
)
"""Facts that may be a dimension by themselves."""

GATED_WIDTHS = frozenset({"width", "expert_width"})
"""Facts that a dimension may hold twice: gate and up in one matrix."""


class _Dimension(NamedTuple):
    """A dimension by the config and as it is stored."""

    expected: int
    stored: int


class _Source(NamedTuple):
    """A tensor that contradicts a fact."""

    mismatch: ShapeMismatch
    per_unit: int = 1
    """Elements of the dimension that one unit of the fact takes: head_dim for a number of heads."""

    def __str__(self) -> str:
        shape = format_shape(self.mismatch.stored)
        text = f"{self.mismatch.name} {shape}"
        if self.per_unit > 1:
            text += f" ({self.per_unit} for each)"
        return text


_Sources = dict[Conflict, list[_Source]]


def shape_conflicts(a: Architecture, mismatches: Sequence[ShapeMismatch]) -> list[Finding]:
    """Return one finding for each fact and stored value.

    A conflict that another one explains is left out: with another head_dim, the number of heads
    only seems to be another.
    """
    # A conflict is reported once, with all tensors that show it.
    sources: _Sources = {}
    for mismatch in mismatches:
        for conflict, source in _dimension_conflicts(a, mismatch):
            sources.setdefault(conflict, []).append(source)

    # MLA's widths are found from all its matrices together.
    for block, matrices in latent_mismatches(a, mismatches).items():
        conflict = latent_conflict(block, value_at(a, block), matrices)
        if conflict is not None:
            tensors = sources.setdefault(conflict, [])
            tensors += map(_Source, matrices.values())

    # Of several conflicts that have one cause, only the cause is reported.
    sources = _blame_head_dims(a, sources)
    widths = _widths(sources)
    findings: list[Finding] = []
    for conflict, tensors in sources.items():
        if any(_explains(width, conflict) for width in widths):
            continue
        names = [str(tensor) for tensor in tensors]
        findings.append(conflict_finding(conflict, names))
    return findings


# --- conflicts that others explain --------------------------------------------------------------


def _widths(sources: _Sources) -> list[Conflict]:
    """Return the conflicts of hidden_size and head widths, the last of each block."""
    widths: dict[str, Conflict] = {}
    for conflict in sources:
        if conflict.path.endswith(("head_dim", "hidden_size")):
            widths[conflict.block] = conflict
    return list(widths.values())


def _explains(width: Conflict, conflict: Conflict) -> bool:
    """Return whether another hidden_size or head_dim makes another conflict only seem so.

    Either changes the number of heads that a shape seems to have. What is as wide as the hidden
    size by chance changes with it.
    """
    is_heads = conflict.path.endswith("heads")
    if width.path == "hidden_size":
        is_as_wide = conflict.old == width.old and conflict.new == width.new
        return is_heads or (is_as_wide and conflict != width)
    if conflict.block != width.block:
        return False

    return is_heads and _have_one_factor(conflict, width)


def _have_one_factor(one: Conflict, other: Conflict) -> bool:
    """Return whether new / old is the same for both."""
    return one.new * other.old == one.old * other.new


def _blame_head_dims(a: Architecture, sources: _Sources) -> _Sources:
    """Return the conflicts with head_dim instead of heads where KV heads are off by one factor.

    The same for heads and v_head_dim.
    """
    by_path = {conflict.path: conflict for conflict in sources}
    blamed = dict(sources)
    for heads in by_path.values():
        block = heads.block
        mixer = value_at(a, block)
        if heads.path != f"{block}.heads" or not isinstance(mixer, Attention):
            continue

        # Heads and KV heads off by one factor: the width of a head is another, not their number.
        alike: list[Conflict] = []
        for name in ("kv_heads", "v_head_dim"):
            beside = by_path.get(f"{block}.{name}")
            if beside is not None and _have_one_factor(beside, heads):
                alike.append(beside)
        head_dim, rest = divmod(mixer.head_dim * heads.new, heads.old)
        if not alike or rest:
            continue

        conflict = Conflict(f"{block}.head_dim", mixer.head_dim, head_dim)
        tensors = blamed.get(conflict, []).copy()
        for replaced in (heads, *alike):
            tensors += blamed.pop(replaced, [])
        # How much one head takes of a dimension says nothing of head_dim.
        blamed[conflict] = [_Source(tensor.mismatch) for tensor in tensors]

    return blamed


# --- one dimension ------------------------------------------------------------------------------


def _dimension_conflicts(
    a: Architecture, mismatch: ShapeMismatch
) -> list[tuple[Conflict, _Source]]:
    """Return a conflict for each dimension that another value of a fact explains."""
    if len(mismatch.expected) != len(mismatch.stored):
        return []
    dimensions = [*map(_Dimension, mismatch.expected, mismatch.stored)]

    # Most rows prove the hidden size too; it is blamed only if every dimension as wide differs.
    paths = [path for path in mismatch.row.proves if path != "hidden_size"]
    if _is_hidden_size(a, dimensions):
        paths.append("hidden_size")

    conflicts: list[tuple[Conflict, _Source]] = []
    for dimension in dict.fromkeys(dimensions):
        if dimension.expected == dimension.stored:
            continue
        conflict = _find_conflict(a, paths, dimension)
        if conflict is None:
            continue

        per_unit = 1
        if isinstance(conflict.old, int):
            per_unit = dimension.expected // conflict.old
        source = _Source(mismatch, per_unit)
        conflicts.append((conflict, source))
    return conflicts


def _is_hidden_size(a: Architecture, dimensions: Sequence[_Dimension]) -> bool:
    """Return whether what differs is every dimension as wide as the hidden size, and no other."""
    stored_widths: set[int] = set()
    for expected, stored in dimensions:
        if expected == a.hidden_size:
            stored_widths.add(stored)
        elif expected != stored:
            return False
    return len(stored_widths) == 1


def _find_conflict(a: Architecture, paths: Sequence[str], dimension: _Dimension) -> Conflict | None:
    """Return the fact of `paths` that a dimension contradicts, by the first explanation."""
    for explanation in _EXPLANATIONS:
        conflict = explanation(a, paths, dimension)
        if conflict is not None:
            return conflict
    return None


def _qk_norm_conflict(
    a: Architecture, paths: Sequence[str], dimension: _Dimension
) -> Conflict | None:
    """Return another scope of the QK-norm, or else another head_dim.

    Its weights are head_dim wide per head, heads * head_dim over the whole projection.
    """
    path = next((p for p in paths if p.endswith(".qk_norm.scope")), None)
    if path is None:
        return None
    block = path.removesuffix(".qk_norm.scope")
    mixer = value_at(a, block)
    if not isinstance(mixer, Attention) or mixer.qk_norm is None:
        return None

    scope = mixer.qk_norm.scope
    queries = mixer.heads * mixer.head_dim
    keys = mixer.kv_heads * mixer.head_dim

    # The published weights are of one of these widths; anything else is another head_dim.
    if scope == "projection":
        if dimension.stored == mixer.head_dim:
            return Conflict(path, scope, "head")
        return None
    if dimension.stored in (queries, keys):
        return Conflict(path, scope, "projection")
    return Conflict(f"{block}.head_dim", dimension.expected, dimension.stored)


def _size_conflict(a: Architecture, paths: Sequence[str], dimension: _Dimension) -> Conflict | None:
    """Return another value of a fact that is the dimension, or half of it (gate and up in one)."""
    expected, stored = dimension
    if stored <= 0:
        return None

    # A hidden size that is twice the width by chance is no gate beside an up projection.
    half, rest = divmod(stored, 2)
    may_be_gated = expected != a.hidden_size and not rest
    for path in paths:
        _, _, name = path.rpartition(".")
        value = value_at(a, path)
        is_width = name in GATED_WIDTHS and isinstance(value, int)
        if may_be_gated and is_width and expected == 2 * value:
            return Conflict(path, value, half)
        if name in SIZES and value == expected:
            return Conflict(path, expected, stored)

    return None


def _fused_kv_conflict(
    a: Architecture, paths: Sequence[str], dimension: _Dimension
) -> Conflict | None:
    """Return another number of KV heads where queries, keys and values are in one matrix."""
    block = _block_of_all_heads(paths)
    if block is None:
        return None
    mixer = value_at(a, block)
    if not isinstance(mixer, Attention):
        return None

    queries = mixer.heads * mixer.head_dim
    one_kv_head = mixer.head_dim + mixer.v_head_dim
    if dimension.expected != queries + mixer.kv_heads * one_kv_head:
        return None

    # expected = H d + G (d + v), solved for G
    kv_heads, rest = divmod(dimension.stored - queries, one_kv_head)
    if rest or kv_heads <= 0:
        return None
    if mixer.heads % kv_heads:
        return None
    return Conflict(f"{block}.kv_heads", mixer.kv_heads, kv_heads)


def _block_of_all_heads(paths: Sequence[str]) -> str | None:
    """Return the block whose heads and KV heads are both proved by one matrix."""
    for path in paths:
        if path.endswith(".kv_heads"):
            block = path.removesuffix(".kv_heads")
            if f"{block}.heads" in paths:
                return block
    return None


def _count_conflict(
    a: Architecture, paths: Sequence[str], dimension: _Dimension
) -> Conflict | None:
    """Return another value of a number that is a factor of the dimension."""
    expected, stored = dimension
    if expected <= 0 or stored <= 0:
        return None
    for path in paths:
        value = value_at(a, path)
        if not _is_count(a, paths, path) or not isinstance(value, int) or value <= 0:
            continue
        new, rest = divmod(value * stored, expected)
        if expected % value == 0 and rest == 0:
            return Conflict(path, value, new)

    return None


def _is_count(a: Architecture, paths: Sequence[str], path: str) -> bool:
    """Return whether a fact is a number that one dimension alone can give.

    The heads of MLA are found by `latent_conflict`, and those of a matrix that proves heads and
    KV heads together by `_fused_kv_conflict`.
    """
    block, _, name = path.rpartition(".")
    if name not in COUNTS:
        return False
    if name == "modules":
        return True
    if name == "heads" and isinstance(value_at(a, block), LatentAttention):
        return False

    return not {f"{block}.heads", f"{block}.kv_heads"}.issubset(paths)


_EXPLANATIONS = (
    _qk_norm_conflict,
    _size_conflict,
    _fused_kv_conflict,
    _count_conflict,
)
"""The most special first: QK-norm, a fact that is the dimension itself, KV heads in a fused matrix,
then a number that is a factor of the dimension."""
