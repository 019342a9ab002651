"""Find the facts that tensors contradict, and the values that the tensors give them.

A row names the facts that its shape proves. A dimension d that is stored as d' gives a fact v the
value v' = v * d' / d, if that is whole and d is v itself or v times something that the other facts
fix (kv_heads * head_dim).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ..architecture.schema import Architecture, Attention, Finding, LatentAttention
from ..tensors.folding import axes_folded
from ..tensors.template import TensorRow
from .findings import weights_finding
from .indices import folded_names
from .logical import LogicalTensor, Shape
from .names import canonical
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
        "head_dim",
        "v_head_dim",
        "key_heads",
        "value_heads",
    }
)
"""Facts that may be a dimension by themselves."""

GATED_WIDTHS = frozenset({"width", "expert_width"})
"""Facts that a dimension may hold twice: gate and up in one matrix."""


class Conflict(NamedTuple):
    """A fact, its value by the config, and its value by a tensor."""

    path: str
    old: Any
    new: Any

    @property
    def block(self) -> str:
        """Return `mixers.full` of `mixers.full.heads`."""
        return self.path.rpartition(".")[0]


class ShapeMismatch(NamedTuple):
    """A row whose tensors are stored with another shape."""

    row: TensorRow
    expected: Shape
    stored: Shape
    name: str
    """The stored name, numbers folded."""


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
        text = f"{self.mismatch.name} {format_shape(self.mismatch.stored)}"
        if self.per_unit > 1:
            return f"{text} ({self.per_unit} for each)"
        return text


_Sources = dict[Conflict, list[_Source]]


def value_at(a: Architecture, path: str) -> Any:
    """Return the fact at a dotted path; None if there is none."""
    value: Any = a
    for part in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(part)
        else:
            value = getattr(value, part, None)
    return value


def conflict_finding(path: str, old: Any, new: Any, names: Sequence[str]) -> Finding:
    """Return the finding that tensors contradict a fact.

    Args:
        path: the fact
        old: its value by the config
        new: its value by the tensors
        names: what the first tensor is called in the message, and the others, which are counted

    """
    more = ""
    if len(names) > 1:
        more = f" and {len(names) - 1} more"
    values = f"{format_value(old)} in the config, {format_value(new)} according to"
    message = f"{values} {names[0]}{more}"
    return weights_finding("fact-contradicted", path, message, old=old, new=new)


def format_value(value: Any) -> str:
    """Return a fact for people: yes, no, none, a number or the text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


# --- tensors of another shape -------------------------------------------------------------------


def conflict_findings(a: Architecture, mismatches: Sequence[ShapeMismatch]) -> list[Finding]:
    """Return one finding for each fact and stored value.

    A conflict that another one explains is left out: with another head_dim, the number of heads
    only seems to be another.
    """
    sources: _Sources = {}
    for mismatch in mismatches:
        for conflict, source in _dimension_conflicts(a, mismatch):
            sources.setdefault(conflict, []).append(source)
    for block, matrices in _latent_mismatches(a, mismatches).items():
        conflict = latent_conflict(block, value_at(a, block), matrices)
        if conflict is not None:
            sources.setdefault(conflict, []).extend(map(_Source, matrices.values()))
    sources = _blame_head_dims(a, sources)
    widths = {c.block: c for c in sources if c.path.endswith(("head_dim", "hidden_size"))}
    findings: list[Finding] = []
    for conflict, tensors in sources.items():
        if not any(_is_explained(conflict, width) for width in widths.values()):
            findings.append(conflict_finding(*conflict, [str(tensor) for tensor in tensors]))
    return findings


def _is_explained(conflict: Conflict, width: Conflict) -> bool:
    """Return whether another hidden_size or head_dim makes another conflict only seem so.

    Either changes the number of heads that a shape seems to have. What is as wide as the hidden
    size by chance changes with it.
    """
    is_heads = conflict.path.endswith("heads")
    if width.path == "hidden_size":
        is_as_wide = (conflict.old, conflict.new) == (width.old, width.new)
        return is_heads or (is_as_wide and conflict != width)
    if not is_heads or conflict.block != width.block:
        return False
    return _have_one_factor(conflict, width)


def _have_one_factor(one: Conflict, other: Conflict) -> bool:
    return one.new * other.old == one.old * other.new


def _blame_head_dims(a: Architecture, sources: _Sources) -> _Sources:
    """Return the conflicts with head_dim instead of heads where KV heads are off by one factor.

    The same for heads and v_head_dim.
    """
    by_path = {conflict.path: conflict for conflict in sources}
    blamed = dict(sources)
    for heads in by_path.values():
        mixer = value_at(a, heads.block)
        if heads.path != f"{heads.block}.heads" or not isinstance(mixer, Attention):
            continue
        beside = (by_path.get(f"{heads.block}.{name}") for name in ("kv_heads", "v_head_dim"))
        alike = [c for c in beside if c is not None and _have_one_factor(c, heads)]
        head_dim, rest = divmod(mixer.head_dim * heads.new, heads.old)
        if not alike or rest:
            continue
        conflict = Conflict(f"{heads.block}.head_dim", mixer.head_dim, head_dim)
        tensors = blamed.get(conflict, []).copy()
        for replaced in (heads, *alike):
            tensors += blamed.pop(replaced, [])
        blamed[conflict] = [_Source(tensor.mismatch) for tensor in tensors]
    return blamed


# --- one dimension ------------------------------------------------------------------------------


def _dimension_conflicts(
    a: Architecture, mismatch: ShapeMismatch
) -> list[tuple[Conflict, _Source]]:
    """Return a conflict for each dimension that another value of a fact explains."""
    if len(mismatch.expected) != len(mismatch.stored):
        return []
    pairs = [*map(_Dimension, mismatch.expected, mismatch.stored)]
    paths = [path for path in mismatch.row.proves if path != "hidden_size"]
    if _is_hidden_size(a, pairs):
        paths.append("hidden_size")
    conflicts: list[tuple[Conflict, _Source]] = []
    for dimension in dict.fromkeys(pairs):
        if dimension.expected == dimension.stored:
            continue
        conflict = _find_conflict(a, paths, dimension)
        if conflict is None:
            continue
        per_unit = 1
        if isinstance(conflict.old, int):
            per_unit = dimension.expected // conflict.old
        conflicts.append((conflict, _Source(mismatch, per_unit)))
    return conflicts


def _is_hidden_size(a: Architecture, dimensions: Sequence[_Dimension]) -> bool:
    """Return whether what differs is every dimension as wide as the hidden size, and no other."""
    hidden = {d.stored for d in dimensions if d.expected == a.hidden_size}
    differing = {d.expected for d in dimensions if d.expected != d.stored}
    return len(hidden) == 1 and differing <= {a.hidden_size}


def _find_conflict(a: Architecture, paths: Sequence[str], dimension: _Dimension) -> Conflict | None:
    """Return the fact of `paths` that a dimension contradicts.

    The most special explanation counts: QK-norm, a fact that is the dimension itself, KV heads in
    a fused matrix, then a number that is a factor of the dimension.
    """
    conflict = _qk_norm_conflict(a, paths, dimension)
    if conflict is not None:
        return conflict
    for path in paths:
        conflict = _size_conflict(a, path, dimension)
        if conflict is not None:
            return conflict
    conflict = _fused_kv_conflict(a, paths, dimension)
    if conflict is not None:
        return conflict
    for path in paths:
        conflict = _count_conflict(a, path, dimension, paths)
        if conflict is not None:
            return conflict
    return None


def _qk_norm_conflict(
    a: Architecture, paths: Sequence[str], dimension: _Dimension
) -> Conflict | None:
    """Return another scope of the QK-norm, or else another head_dim.

    Its weights are head_dim wide per head, heads * head_dim over the whole projection.
    """
    path = next((p for p in paths if p.endswith(".qk_norm.scope")), "")
    block = path.removesuffix(".qk_norm.scope")
    mixer = value_at(a, block)
    if not path or not isinstance(mixer, Attention) or mixer.qk_norm is None:
        return None
    scope = mixer.qk_norm.scope
    if scope == "projection":
        if dimension.stored == mixer.head_dim:
            return Conflict(path, scope, "head")
        return None
    if dimension.stored in (mixer.heads * mixer.head_dim, mixer.kv_heads * mixer.head_dim):
        return Conflict(path, scope, "projection")
    return Conflict(f"{block}.head_dim", dimension.expected, dimension.stored)


def _size_conflict(a: Architecture, path: str, dimension: _Dimension) -> Conflict | None:
    """Return another value of a fact that is the dimension, or half of it (gate and up in one)."""
    name = path.rpartition(".")[2]
    value = value_at(a, path)
    expected, stored = dimension
    if stored <= 0:
        return None
    if name in GATED_WIDTHS and isinstance(value, int) and expected == 2 * value:
        half, rest = divmod(stored, 2)
        if expected != a.hidden_size and not rest:
            return Conflict(path, value, half)
    if name in SIZES and value == expected:
        return Conflict(path, expected, stored)
    return None


def _fused_kv_conflict(
    a: Architecture, paths: Sequence[str], dimension: _Dimension
) -> Conflict | None:
    """Return another number of KV heads where queries, keys and values are in one matrix."""
    for path in paths:
        block = path.removesuffix(".kv_heads")
        if block != path and f"{block}.heads" in paths:
            break
    else:
        return None
    mixer = value_at(a, block)
    if not isinstance(mixer, Attention):
        return None
    queries = mixer.heads * mixer.head_dim
    one_kv_head = mixer.head_dim + mixer.v_head_dim
    if dimension.expected != queries + mixer.kv_heads * one_kv_head:
        return None
    kv_heads, rest = divmod(dimension.stored - queries, one_kv_head)
    if rest or kv_heads <= 0 or mixer.heads % kv_heads:
        return None
    return Conflict(path, mixer.kv_heads, kv_heads)


def _count_conflict(
    a: Architecture, path: str, dimension: _Dimension, paths: Sequence[str]
) -> Conflict | None:
    """Return another value of a number that is a factor of the dimension.

    The heads of MLA are found by `latent_conflict`, and those of a matrix that proves heads and
    KV heads together by `_fused_kv_conflict`.
    """
    value = value_at(a, path)
    block, _, name = path.rpartition(".")
    if name not in COUNTS or not isinstance(value, int) or value <= 0:
        return None
    if name == "heads" and isinstance(value_at(a, block), LatentAttention):
        return None
    if name != "modules" and {f"{block}.heads", f"{block}.kv_heads"}.issubset(paths):
        return None
    expected, stored = dimension
    if stored <= 0 or expected % value or value * stored % expected:
        return None
    return Conflict(path, value, value * stored // expected)


# --- the matrices of MLA ------------------------------------------------------------------------

LATENT = {"heads": 0, "qk_rope_head_dim": 0, "qk_nope_head_dim": 0, "v_head_dim": 1}
"""Matrices of MLA, by the fact that their rows prove, and the dimension the head widths are in."""


def latent_sizes(m: LatentAttention) -> dict[str, int]:
    """Return the sizes of the dimensions in LATENT.

    ======  ================  =============
    matrix  key               size
    ======  ================  =============
    q_b     heads             H (nope + rope)
    kv_a    qk_rope_head_dim  rank + rope
    kv_b    qk_nope_head_dim  H (nope + v)
    o       v_head_dim        H v
    ======  ================  =============
    """
    return {
        "heads": m.heads * (m.qk_nope_head_dim + m.qk_rope_head_dim),
        "qk_rope_head_dim": m.kv_lora_rank + m.qk_rope_head_dim,
        "qk_nope_head_dim": m.heads * (m.qk_nope_head_dim + m.v_head_dim),
        "v_head_dim": m.heads * m.v_head_dim,
    }


def latent_conflict(
    block: str, m: LatentAttention, matrices: Mapping[str, ShapeMismatch]
) -> Conflict | None:
    """Return the one fact of MLA whose change explains all its matrices; None if none does.

    Each fact is solved from one matrix, and must give the sizes of all four:

    ====  =====================  =====================
    fact  solved from            also changes
    ====  =====================  =====================
    H     o = H v                q_b, kv_b
    v     o = H v                kv_b
    nope  q_b = H (nope + rope)  kv_b
    rope  kv_a = rank + rope     q_b
    ====  =====================  =====================

    matrices: those of another shape, by their keys in LATENT.
    """
    if m.heads <= 0 or m.v_head_dim <= 0:
        return None
    stored = latent_sizes(m)
    for key, matrix in matrices.items():
        stored[key] = matrix.stored[LATENT[key]]
    solved = {
        "heads": stored["v_head_dim"] // m.v_head_dim,
        "v_head_dim": stored["v_head_dim"] // m.heads,
        "qk_nope_head_dim": stored["heads"] // m.heads - m.qk_rope_head_dim,
        "qk_rope_head_dim": stored["qk_rope_head_dim"] - m.kv_lora_rank,
    }
    for name, value in solved.items():
        if value > 0 and latent_sizes(replace(m, **{name: value})) == stored:
            return Conflict(f"{block}.{name}", getattr(m, name), value)
    return None


def _latent_mismatches(
    a: Architecture, mismatches: Iterable[ShapeMismatch]
) -> dict[str, dict[str, ShapeMismatch]]:
    """Return the matrices of MLA of another shape: by block, and by their keys in LATENT."""
    found: dict[str, dict[str, ShapeMismatch]] = {}
    for mismatch in mismatches:
        if len(mismatch.expected) != 2 or len(mismatch.stored) != 2:
            continue
        for path in mismatch.row.proves:
            block, _, name = path.rpartition(".")
            if name not in LATENT or not isinstance(value_at(a, block), LatentAttention):
                continue
            axis = LATENT[name]
            if mismatch.expected[axis] != mismatch.stored[axis]:
                found.setdefault(block, {}).setdefault(name, mismatch)
    return found


# --- tensors whose presence is a fact -----------------------------------------------------------


class _OptionalTensor(NamedTuple):
    """Tensors that are there only if a fact has a value."""

    pattern: re.Pattern[str]
    field: str
    value: Any


def _optional(pattern: str, field: str, value: Any = True) -> _OptionalTensor:
    return _OptionalTensor(re.compile(pattern), field, value)


_OPTIONAL_TENSORS = (
    _optional(r"\.(?:q|k|v|qkv)_proj\.bias$", "qkv_bias"),
    _optional(r"\.o_proj\.bias$", "output_bias"),
    _optional(r"\.sinks$", "sinks"),
    _optional(r"\.[qk]_norm\.weight$", "qk_norm", "qk-norm"),
    _optional(r"\.(?:gate|up|down|gate_up)_proj\.bias$", "bias"),
    _optional(r"\.e_score_correction_bias$", "router.selection_bias"),
)


def _optional_tensor(key: str) -> _OptionalTensor | None:
    for optional in _OPTIONAL_TENSORS:
        if optional.pattern.search(key):
            return optional
    return None


def unannounced_facts(
    a: Architecture,
    rows: Mapping[str, list[TensorRow]],
    extra: Iterable[tuple[str, LogicalTensor]],
) -> list[Finding]:
    """Return findings for biases, sinks and QK-norms that are stored and that the config denies.

    Args:
        a: the architecture by the config
        rows: the template by canonical name
        extra: stored tensors without a row, with their canonical names

    """
    found: dict[Conflict, list[str]] = {}
    for key, tensor in extra:
        optional = _optional_tensor(key)
        first = tensor.indices[0]
        if optional is None or not first:
            continue
        for block in _blocks_of_module(rows, key, first[0]):
            path = f"{block}.{optional.field}"
            old = value_at(a, path)
            has_field = old is not None or hasattr(value_at(a, block), optional.field)
            if has_field and not old:
                conflict = Conflict(path, old, optional.value)
                name = folded_names(tensor.source, tensor.indices)[0]
                found.setdefault(conflict, []).append(name)
    return [conflict_finding(*conflict, names) for conflict, names in found.items()]


def absent_facts(
    a: Architecture,
    rows: Mapping[str, list[TensorRow]],
    missing: Iterable[TensorRow],
) -> list[Finding]:
    """Return findings for biases, sinks and QK-norms that the config has and that are not stored.

    Args:
        a: the architecture by the config
        rows: the template by canonical name
        missing: rows of which nothing is stored

    """
    found: dict[Conflict, list[str]] = {}
    for row in missing:
        key = canonical(row.pattern)
        optional = _optional_tensor(key)
        if optional is None or not row.axes:
            continue
        for block in _blocks_of_module(rows, key, row.axes[0][0]):
            path = f"{block}.{optional.field}"
            old = value_at(a, path)
            if not old:
                continue
            conflict = Conflict(path, "qk-norm", None)
            if old is True:
                conflict = Conflict(path, True, False)
            found.setdefault(conflict, []).append(axes_folded(row.pattern, row.axes))
    findings: list[Finding] = []
    for conflict, (first, *others) in found.items():
        findings.append(conflict_finding(*conflict, [f"the missing {first}", *others]))
    return findings


def _blocks_of_module(rows: Mapping[str, list[TensorRow]], key: str, layer: int) -> list[str]:
    """Return the blocks (`mixers.full`) that rows of the same module and layer belong to."""
    module = ".".join(key.split(".")[:-2]) + "."
    blocks: dict[str, None] = {}
    for name, rows_here in rows.items():
        if not name.startswith(module):
            continue
        for row in rows_here:
            if not row.axes or layer not in row.axes[0]:
                continue
            for path in row.proves:
                if path.startswith(("mixers.", "ffns.")):
                    blocks[".".join(path.split(".")[:2])] = None
    return list(blocks)
