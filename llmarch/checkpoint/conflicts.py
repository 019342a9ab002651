"""Which fact a wrong shape contradicts, and what the tensor says instead.

A row names the facts that its shape proves. A dimension d that became d' tells a new value of a fact v when d is v itself, or v times
something that the other facts fix (kv_heads * head_dim): then v' = v * d' / d, if that is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ..architecture.schema import Architecture, Attention, Finding, LatentAttention
from ..tensors.naming import TensorRow
from .indices import axes_folded, folded_names
from .logical import LogicalTensor, Shape
from .packing.base import listed

COUNTED = frozenset({"heads", "kv_heads", "modules"})
"""Facts that stand in a shape multiplied by another one."""

SIZES = frozenset(
    {
        "vocab_size", "hidden_size", "width", "expert_width", "shared_width", "q_lora_rank", "kv_lora_rank", "experts", "positions",
        "head_dim", "v_head_dim", "key_heads", "value_heads",
    }
)  # fmt: skip
"""Facts that may be a dimension by themselves."""


def value_at(a: Architecture, path: str) -> Any:
    """The fact at a dotted path; None if there is none."""
    at: Any = a
    for part in path.split("."):
        at = (
            cast("dict[str, Any]", at).get(part)
            if isinstance(at, dict)
            else getattr(at, part, None)
        )
    return at


class Conflict(NamedTuple):
    """A fact, its value by the config, and its value by a tensor."""

    path: str
    old: Any
    new: Any


class ShapeConflict(NamedTuple):
    """A row, the shape it has by the config, the shape that is stored, and the stored name."""

    row: TensorRow
    template: Shape
    stored: Shape
    name: str


def conflict_findings(a: Architecture, wrong: Iterable[ShapeConflict]) -> list[Finding]:
    """One finding for each fact and observed value, naming the first of the tensors that say so."""
    found: dict[Conflict, list[str]] = {}
    latent: dict[str, dict[str, ShapeConflict]] = {}
    for w in wrong:
        for fact, times in conflicts_of(a, w.row, w.template, w.stored):
            found.setdefault(fact, []).append(
                f"{w.name} {listed(w.stored)}{f', {times} for each' if times > 1 else ''}"
            )
        for path in w.row.proves if len(w.template) == len(w.stored) == 2 else ():
            block, _, name = path.rpartition(".")
            if (
                name in LATENT
                and isinstance(value_at(a, block), LatentAttention)
                and w.template[LATENT[name]] != w.stored[LATENT[name]]
            ):
                latent.setdefault(block, {}).setdefault(name, w)
    for block, seen in latent.items():
        for fact, w in latent_told(block, value_at(a, block), seen):
            found.setdefault(fact, []).append(f"{w.name} {listed(w.stored)}")
    found = as_head_dims(a, found)
    dims = {
        f.path.rpartition(".")[0]: f for f in found if f.path.endswith(("head_dim", "hidden_size"))
    }
    every = [d for d in (dims.get(""), *dims.values()) if d]
    return [
        conflict_finding(*f, names)
        for f, names in found.items()
        if not any(explained(f, d) for d in every)
    ]


def explained(f: Conflict, dim: Conflict) -> bool:
    """Whether another head_dim of its block, or another hidden size, alone makes it seem that the heads are more or fewer."""
    if dim.path == "hidden_size":
        return f.path.endswith("heads") or (f != dim and f[1:] == dim[1:])
    near = f.path.rpartition(".")[0] == dim.path.rpartition(".")[0]
    return near and f.path.endswith("heads") and f.new * dim.old == f.old * dim.new


def as_head_dims(a: Architecture, found: dict[Conflict, list[str]]) -> dict[Conflict, list[str]]:
    """Query and KV heads (or widths of values) that are more or fewer by one ratio: not the heads are others, but their width is."""
    facts = {f.path: f for f in found}
    out = dict(found)
    for path, heads in facts.items():
        block, _, name = path.rpartition(".")
        beside = [
            f
            for n in ("kv_heads", "v_head_dim")
            if (f := facts.get(f"{block}.{n}")) and f.new * heads.old == f.old * heads.new
        ]
        mixer = value_at(a, block)
        if (
            name == "heads"
            and beside
            and isinstance(mixer, Attention)
            and not mixer.head_dim * heads.new % heads.old
        ):
            names = [n for f in (heads, *beside) for n in out.pop(f, [])]
            dim = Conflict(
                f"{block}.head_dim", mixer.head_dim, mixer.head_dim * heads.new // heads.old
            )
            out[dim] = [
                n.partition(", ")[0] if n.endswith(" for each") else n
                for n in [*out.get(dim, []), *names]
            ]
    return out


LATENT = {"heads": 0, "qk_rope_head_dim": 0, "qk_nope_head_dim": 0, "v_head_dim": 1}
"""Matrices of MLA, by what their rows prove (q_b, kv_a, kv_b and o), and which of their dimensions the head widths are in."""


def latent_told(
    block: str, m: LatentAttention, wrong: Mapping[str, ShapeConflict]
) -> list[tuple[Conflict, ShapeConflict]]:
    """Of H * (nope + rope), rank + rope, H * (nope + v) and H * v, the one fact that is in those which differ and in no other."""
    new = {name: w.stored[LATENT[name]] for name, w in wrong.items()}
    told: dict[frozenset[str], tuple[str, int, int]] = {
        frozenset(("heads", "qk_nope_head_dim", "v_head_dim")): (
            "heads",
            new.get("v_head_dim", 0),
            m.v_head_dim,
        ),
        frozenset(("qk_nope_head_dim", "v_head_dim")): (
            "v_head_dim",
            new.get("v_head_dim", 0),
            m.heads,
        ),
        frozenset(("heads", "qk_nope_head_dim")): (
            "qk_nope_head_dim",
            new.get("heads", 0) - m.heads * m.qk_rope_head_dim,
            m.heads,
        ),
        frozenset(("heads", "qk_rope_head_dim")): (
            "qk_rope_head_dim",
            new.get("heads", 0) - m.heads * m.qk_nope_head_dim,
            m.heads,
        ),
    }
    name, total, each = told.get(frozenset(wrong), ("", 0, 1))
    if not name or total <= 0 or each <= 0 or total % each:
        return []
    value = total // each
    before, m = m, replace(m, **{name: value})
    sizes = {
        "heads": m.heads * (m.qk_nope_head_dim + m.qk_rope_head_dim),
        "qk_rope_head_dim": m.kv_lora_rank + m.qk_rope_head_dim,
        "qk_nope_head_dim": m.heads * (m.qk_nope_head_dim + m.v_head_dim),
        "v_head_dim": m.heads * m.v_head_dim,
    }
    if any(sizes[n] != size for n, size in new.items()):
        return []
    fact = Conflict(f"{block}.{name}", getattr(before, name), value)
    return [(fact, w) for w in wrong.values()]


def conflict_finding(path: str, old: Any, new: Any, names: list[str]) -> Finding:
    """The finding that tensors `names` say `new` of a fact where the config says `old`."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    message = f"{format_value(old)} by the config, {format_value(new)} by {names[0]}{more}"
    return Finding(
        rule="fact-contradicted", path=path, message=message, severity="weights", old=old, new=new
    )


def format_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "none" if value is None else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


EXTRAS: tuple[tuple[re.Pattern[str], str, Any], ...] = (
    (re.compile(r"\.(?:q|k|v|qkv)_proj\.bias$"), "qkv_bias", True),
    (re.compile(r"\.o_proj\.bias$"), "output_bias", True),
    (re.compile(r"\.sinks$"), "sinks", True),
    (re.compile(r"\.[qk]_norm\.weight$"), "qk_norm", "qk-norm"),
    (re.compile(r"\.(?:gate|up|down|gate_up)_proj\.bias$"), "bias", True),
    (re.compile(r"\.e_score_correction_bias$"), "router.selection_bias", True),
)
"""Tensors that by their name alone tell a fact which the config denies."""


def unannounced(
    a: Architecture, rows: Mapping[str, list[TensorRow]], extra: Iterable[tuple[str, LogicalTensor]]
) -> list[Finding]:
    """Facts that unexpected tensors tell: biases, sinks and QK-norms of blocks that have none by the config."""
    found: dict[Conflict, list[str]] = {}
    for key, x in extra:
        field, new = next(((f, v) for rule, f, v in EXTRAS if rule.search(key)), ("", None))
        if not field or not x.indices[0]:
            continue
        for block in blocks_beside(rows, key, x.indices[0][0]):
            path = f"{block}.{field}"
            old = value_at(a, path)
            if not old and (old is not None or hasattr(value_at(a, block), field)):
                found.setdefault(Conflict(path, old, new), []).append(
                    folded_names(x.source, x.indices)[0]
                )
    return [conflict_finding(*fact, names) for fact, names in found.items()]


def unmet(
    a: Architecture, rows: Mapping[str, list[TensorRow]], missing: Iterable[tuple[str, TensorRow]]
) -> list[Finding]:
    """Facts that wholly missing tensors deny: biases, sinks and QK-norms that blocks have by the config."""
    found: dict[Conflict, list[str]] = {}
    for key, row in missing:
        field = next((f for rule, f, _ in EXTRAS if rule.search(key)), "")
        for block in blocks_beside(rows, key, row.axes[0][0]) if field and row.axes else ():
            old = value_at(a, f"{block}.{field}")
            if old:
                new = False if old is True else None
                told = Conflict(f"{block}.{field}", old if old is True else "qk-norm", new)
                found.setdefault(told, []).append(axes_folded(row.pattern, row.axes))
    return [
        conflict_finding(f.path, f.old, f.new, [f"the lack of {names[0]}", *names[1:]])
        for f, names in found.items()
    ]


def blocks_beside(rows: Mapping[str, list[TensorRow]], key: str, layer: int) -> list[str]:
    """The blocks (`mixers.full`) that rows of the same module and layer belong to."""
    parent = ".".join(key.split(".")[:-2])
    paths = (
        p
        for k, here in rows.items()
        if k.startswith(parent + ".")
        for r in here
        if r.axes and layer in r.axes[0]
        for p in r.proves
    )
    return list(
        dict.fromkeys(
            ".".join(p.split(".")[:2]) for p in paths if p.startswith(("mixers.", "ffns."))
        )
    )


def conflicts_of(
    a: Architecture, row: TensorRow, template: Shape, stored: Shape
) -> list[tuple[Conflict, int]]:
    """The facts that a shape tells otherwise, with how many elements of the dimension one of them takes."""
    if len(template) != len(stored):
        return []
    differ = [(d, new) for d, new in zip(template, stored, strict=True) if d != new]
    paths = [p for p in row.proves if p != "hidden_size"]
    if len(
        {new for d, new in zip(template, stored, strict=True) if d == a.hidden_size}
    ) == 1 and all(d == a.hidden_size for d, _ in differ):
        paths.append("hidden_size")
    out: list[tuple[Conflict, int]] = []
    for d, new in dict.fromkeys(differ):
        sizes = [qk_norm_told(a, paths, d, new), *(size_told(a, p, d, new) for p in paths)]
        tried = [
            *sizes,
            fused_told(a, paths, d, new)
            or next((f for p in paths if (f := count_told(a, p, d, new, paths))), None),
        ]
        if fact := next((f for f in tried if f), None):
            out.append((fact, d // fact.old if isinstance(fact.old, int) else 1))
    return out


def size_told(a: Architecture, path: str, d: int, new: int) -> Conflict | None:
    name, value = path.rpartition(".")[2], value_at(a, path)
    if (
        name in ("width", "expert_width")
        and isinstance(value, int)
        and d == 2 * value != a.hidden_size
        and new > 0
        and not new % 2
    ):
        return Conflict(path, value, new // 2)  # gate and up in one
    return Conflict(path, d, new) if name in SIZES and value == d and new > 0 else None


def count_told(
    a: Architecture, path: str, d: int, new: int, also: Iterable[str] = ()
) -> Conflict | None:
    value = value_at(a, path)
    block, _, name = path.rpartition(".")
    if name == "heads" and isinstance(value_at(a, block), LatentAttention):
        return None
    if name.endswith("heads") and {f"{block}.heads", f"{block}.kv_heads"}.issubset(also):
        return None
    if (
        name not in COUNTED
        or not isinstance(value, int)
        or value <= 0
        or d % value
        or (value * new) % d
        or new <= 0
    ):
        return None
    return Conflict(path, value, value * new // d)


def fused_told(a: Architecture, paths: list[str], d: int, new: int) -> Conflict | None:
    """Of queries, keys and values in one matrix: another number of KV heads."""
    path = next(
        (
            p
            for p in paths
            if p.endswith(".kv_heads") and p.removesuffix("kv_heads") + "heads" in paths
        ),
        "",
    )
    m = value_at(a, path.rpartition(".")[0])
    if not isinstance(m, Attention) or d != m.heads * m.head_dim + m.kv_heads * (
        m.head_dim + m.v_head_dim
    ):
        return None
    kv, rest = divmod(new - m.heads * m.head_dim, m.head_dim + m.v_head_dim)
    return Conflict(path, m.kv_heads, kv) if not rest and kv > 0 and not m.heads % kv else None


def qk_norm_told(a: Architecture, paths: list[str], d: int, new: int) -> Conflict | None:
    """QK-norm weights of head_dim are per head, of heads * head_dim over the projection; another width is another head_dim."""
    path = next((p for p in paths if p.endswith("qk_norm.scope")), None)
    block = path.removesuffix(".qk_norm.scope") if path else ""
    mixer = value_at(a, block)
    if not isinstance(mixer, Attention) or mixer.qk_norm is None or path is None:
        return None
    old = mixer.qk_norm.scope
    if old == "projection":
        return Conflict(path, old, "head") if new == mixer.head_dim else None
    if new in (mixer.heads * mixer.head_dim, mixer.kv_heads * mixer.head_dim):
        return Conflict(path, old, "projection")
    return Conflict(f"{block}.head_dim", d, new)
