"""What the template asks for and the checkpoint lacks."""

from __future__ import annotations

from typing import Any

from ..architecture.schema import Architecture, Finding
from . import names as spelling
from .conflicts import conflict_finding, unmet
from .grouping import Missing, group_by_module, missing_sets
from .indices import braced, folded_names, missing_indices
from .matching import Matching
from .roles import LAYER_NAME

TOWERS = ("vision", "audio")


def missing_findings(a: Architecture, meeting: Matching, partial: bool) -> list[Finding]:
    """Findings for rows without tensors: whole layers and towers once, modules once, tensors folded."""
    missing = [m for rows in meeting.missing.values() for m in rows]
    if partial:
        return unread(missing)
    out: list[Finding] = []
    missing = without_mtp(meeting, missing, out)
    missing = without_towers(meeting, missing, out)
    missing = without_layers(a, meeting, missing, out)
    for row, _ in missing:
        if is_head(row.component, row.pattern):
            message = "the config says that the head is not tied to the token embedding, but none is stored"
            out.append(finding("untied-head-missing", row.pattern, message, old=list(row.shape)))
    for pattern, indices in meeting.gaps.items():
        for path in folded_names(pattern, indices)[:3]:
            out.append(
                finding(
                    "tensor-missing",
                    path,
                    "experts that the config asks for are not among those stored",
                )
            )
    rest = [m for m in missing if not is_head(m[0].component, m[0].pattern)]
    for g in group_by_module(missing_sets(rest)):
        shape = list(rest[g.sets[0].position][0].shape) if len(g.sets) == 1 else None
        message = (
            f"{g}: the config asks for {'it' if g.count == 1 else 'them'}, the checkpoint has none"
        )
        out.append(finding("tensor-missing", g.path, message, old=shape))
    return out + unmet(
        a,
        meeting.rows,
        [(spelling.canonical(row.pattern), row) for row, there in rest if there is None],
    )


def finding(
    rule: str, path: str, message: str, severity: Any = "weights", old: Any = None, new: Any = None
) -> Finding:
    return Finding(rule=rule, path=path, message=message, severity=severity, old=old, new=new)


def is_head(component: str, pattern: str) -> bool:
    return component == "head" and pattern.endswith(".weight")


def count_missing(missing: list[Missing]) -> int:
    return sum(row.count - len(there or ()) for row, there in missing)


def unread(missing: list[Missing]) -> list[Finding]:
    """Some headers were not read: that tensors are not among the others says nothing."""
    if not missing:
        return []
    path = group_by_module(missing_sets(missing))[0].path
    return [
        finding(
            "tensor-missing",
            path,
            f"{count_missing(missing):,} tensors are not among the headers that could be read",
            "info",
        )
    ]


def without_mtp(meeting: Matching, missing: list[Missing], out: list[Finding]) -> list[Missing]:
    """MTP modules may be left out (mostly of re-quantised copies): all of them, or but for the copies of embedding and head."""
    mtp = [m for m in missing if m[0].component == "mtp"]
    if mtp:
        some = any(h.rows[0].component == "mtp" for h in meeting.hits)
        what = f"{count_missing(mtp):,} tensors" if some else "nothing"
        message = f"{what} of the multi-token-prediction modules that the config announces {'are not' if some else 'is'} stored"
        out.append(
            finding("mtp-missing", group_by_module(missing_sets(mtp), 2)[0].path, message, "info")
        )
    return [m for m in missing if m[0].component != "mtp"]


def without_towers(meeting: Matching, missing: list[Missing], out: list[Finding]) -> list[Missing]:
    """Towers of which nothing at all is stored. mlx-lm converts the language model alone, so there it is no conflict."""
    there = {r.component for h in meeting.hits for r in h.rows}
    gone = [c for c in TOWERS if c not in there and any(row.component == c for row, _ in missing)]
    mlx = any(h.logical[0].packing.startswith("mlx") for h in meeting.hits)
    for c in gone:
        n = count_missing([m for m in missing if m[0].component == c])
        message = f"nothing of the {c} tower is stored ({n:,} tensors)" + (
            ": mlx-lm converts the language model alone" if mlx else ""
        )
        out.append(finding("tower-missing", f"towers.{c}", message, "info" if mlx else "weights"))
    return [m for m in missing if m[0].component not in gone]


def without_layers(
    a: Architecture, meeting: Matching, missing: list[Missing], out: list[Finding]
) -> list[Missing]:
    """Layers of which nothing at all is stored."""
    said = len(a.layers)
    empty = set(range(said))
    for h in meeting.hits:
        if h.indices[0] and LAYER_NAME.match(h.key):
            empty.difference_update(next(zip(*h.indices, strict=True)))
    if not 0 < len(empty) < said:
        return missing
    rest: list[Missing] = []
    prefix = ""
    for row, there in missing:
        if not (row.axes and LAYER_NAME.match(spelling.canonical(row.pattern))):
            rest.append((row, there))
            continue
        prefix = spelling.wrapper_prefix(row.pattern)
        other = {i for i in missing_indices(there or (), row.axes) if i[0] not in empty}
        if other:
            rest.append((row, [i for i in missing_indices((), row.axes) if i not in other]))
    path = f"{prefix}layers.{braced(sorted(empty))}.*"
    what = "this layer" if len(empty) == 1 else f"these {len(empty)} layers"
    out.append(
        finding(
            "tensor-missing", path, f"nothing of {what} is stored", old=said, new=said - len(empty)
        )
    )
    out.append(conflict_finding("layers", said, said - len(empty), [path]))
    return rest
