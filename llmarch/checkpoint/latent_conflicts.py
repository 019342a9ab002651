"""Find the fact of MLA that its matrices of another shape contradict together.

Each matrix has two facts in one dimension. Only all of them together tell which fact is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..architecture.schema import Architecture, LatentAttention
from .conflicts import Conflict, ShapeMismatch, value_at

LATENT_AXES = {
    "heads": 0,
    "qk_rope_head_dim": 0,
    "qk_nope_head_dim": 0,
    "v_head_dim": 1,
}
"""Matrices of MLA, by the fact that their rows prove, and the dimension the head widths are in."""


def latent_sizes(m: LatentAttention) -> dict[str, int]:
    """Return the sizes of the dimensions in LATENT_AXES.

    ======  ================  ===============
    matrix  key               size
    ======  ================  ===============
    q_b     heads             H (nope + rope)
    kv_a    qk_rope_head_dim  rank + rope
    kv_b    qk_nope_head_dim  H (nope + v)
    o       v_head_dim        H v
    ======  ================  ===============
    """
    query_dim = m.qk_nope_head_dim + m.qk_rope_head_dim
    kv_dim = m.qk_nope_head_dim + m.v_head_dim
    return {
        "heads": m.heads * query_dim,
        "qk_rope_head_dim": m.kv_lora_rank + m.qk_rope_head_dim,
        "qk_nope_head_dim": m.heads * kv_dim,
        "v_head_dim": m.heads * m.v_head_dim,
    }


def latent_conflict(
    block: str, m: LatentAttention, matrices: Mapping[str, ShapeMismatch]
) -> Conflict | None:
    """Return the one fact of MLA whose change explains all its matrices; None if none does.

    Each fact is solved from one matrix, and must then give the sizes of all four:

    ====  =====================  ============
    fact  solved from            also changes
    ====  =====================  ============
    H     o = H v                q_b, kv_b
    v     o = H v                kv_b
    nope  q_b = H (nope + rope)  kv_b
    rope  kv_a = rank + rope     q_b
    ====  =====================  ============

    matrices: those of another shape, by their keys in LATENT_AXES.
    """
    if m.heads <= 0 or m.v_head_dim <= 0:
        return None
    stored = latent_sizes(m)
    for key, matrix in matrices.items():
        axis = LATENT_AXES[key]
        stored[key] = matrix.stored[axis]

    solved = {
        "heads": stored["v_head_dim"] // m.v_head_dim,
        "v_head_dim": stored["v_head_dim"] // m.heads,
        "qk_nope_head_dim": stored["heads"] // m.heads - m.qk_rope_head_dim,
        "qk_rope_head_dim": stored["qk_rope_head_dim"] - m.kv_lora_rank,
    }
    for name, value in solved.items():
        if value <= 0:
            continue

        # The other matrices must agree, also those that have their shape.
        changed = replace(m, **{name: value})
        if latent_sizes(changed) == stored:
            return Conflict(f"{block}.{name}", getattr(m, name), value)
    return None


def latent_mismatches(
    a: Architecture, mismatches: Iterable[ShapeMismatch]
) -> dict[str, dict[str, ShapeMismatch]]:
    """Return the matrices of MLA of another shape: by block, and by their keys in LATENT_AXES."""
    found: dict[str, dict[str, ShapeMismatch]] = {}
    for mismatch in mismatches:
        if len(mismatch.expected) != 2 or len(mismatch.stored) != 2:
            continue
        for path in mismatch.row.proves:
            block, _, name = path.rpartition(".")
            axis = LATENT_AXES.get(name)
            if axis is None or mismatch.expected[axis] == mismatch.stored[axis]:
                continue
            if isinstance(value_at(a, block), LatentAttention):
                matrices = found.setdefault(block, {})
                matrices.setdefault(name, mismatch)

    return found
