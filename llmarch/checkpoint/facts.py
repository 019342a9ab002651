"""Which fact a wrong shape contradicts, and what the tensor says instead.

A row names the facts that its shape proves. A dimension d that became d' tells a new value of a fact v when d is v itself, or v times
something that the other facts fix (kv_heads * head_dim): then v' = v * d' / d, if that is whole.
"""

from __future__ import annotations

from typing import Any

from ..family import Row
from ..schema import Architecture, Finding
from .logical import Shape
from .packing.base import listed

COUNTED = frozenset({"heads", "kv_heads", "key_heads", "value_heads", "experts", "modules"})
"""Facts that stand in a shape multiplied by another one."""

SIZES = frozenset(
    {"vocab_size", "hidden_size", "width", "expert_width", "shared_width", "q_lora_rank", "kv_lora_rank", "experts", "positions", "head_dim", "v_head_dim"}
)
"""Facts that may be a dimension by themselves."""

WORDS = {"kv_heads": "KV heads", "heads": "heads", "experts": "experts", "vocab_size": "vocabulary", "hidden_size": "hidden size"}


def value_at(a: Architecture, path: str) -> Any:
    """The fact at a dotted path; None if there is none."""
    at: Any = a
    for part in path.split("."):
        at = at.get(part) if isinstance(at, dict) else getattr(at, part, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return at  # pyright: ignore[reportUnknownVariableType]


def contradictions(a: Architecture, wrong: list[tuple[Row, Shape, Shape, str]]) -> list[Finding]:
    """One finding for each fact and observed value, naming the first of the tensors that say so."""
    found: dict[tuple[str, Any, Any], list[str]] = {}
    for row, template, stored, name in wrong:
        for path, old, new in told(a, row, template, stored):
            found.setdefault((path, old, new), []).append(f"{name} {listed(stored)}")
    return [
        Finding(
            rule="fact-contradicted", path=path, old=old, new=new, severity="weights",
            message=f"the config says {old}, the checkpoint {new}: {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
        )
        for (path, old, new), names in found.items()
    ]  # fmt: skip


def told(a: Architecture, row: Row, template: Shape, stored: Shape) -> list[tuple[str, Any, Any]]:
    """(path, the config's value, the tensor's value) for a shape that is not the template's."""
    if len(template) != len(stored):
        return []
    differ = [(d, new) for d, new in zip(template, stored, strict=True) if d != new]
    paths = list(row.proves)
    if "hidden_size" not in paths and all(d == a.hidden_size for d, _ in differ):
        paths.append("hidden_size")
    out: list[tuple[str, Any, Any]] = []
    for d, new in dict.fromkeys(differ):
        if scope := scope_told(a, paths, d, new):
            out.append(scope)
        elif fact := next((f for p in paths if (f := size_told(a, p, d, new))), None) or next((f for p in paths if (f := count_told(a, p, d, new))), None):
            out.append(fact)
    return out


def size_told(a: Architecture, path: str, d: int, new: int) -> tuple[str, int, int] | None:
    value = value_at(a, path)
    return (path, d, new) if path.rpartition(".")[2] in SIZES and value == d and new > 0 else None


def count_told(a: Architecture, path: str, d: int, new: int) -> tuple[str, int, int] | None:
    value = value_at(a, path)
    if path.rpartition(".")[2] not in COUNTED or not isinstance(value, int) or value <= 0 or d % value or (value * new) % d or new <= 0:
        return None
    return path, value, value * new // d


def scope_told(a: Architecture, paths: list[str], d: int, new: int) -> tuple[str, str, str] | None:
    """QK-norm weights of head_dim are per head, of heads * head_dim over the projection."""
    path = next((p for p in paths if p.endswith("qk_norm.scope")), None)
    if path is None:
        return None
    mixer = value_at(a, path.removesuffix(".qk_norm.scope"))
    widths = {mixer.head_dim: "head", mixer.heads * mixer.head_dim: "projection", mixer.kv_heads * mixer.head_dim: "projection"}
    old, now = value_at(a, path), widths.get(new)
    return (path, old, now) if now is not None and now != old else None
