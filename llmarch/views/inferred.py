"""Views of a model that no family reads: what its tensor names and shapes tell, and what they leave open, with the reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..checkpoint.inference.model import Observed
from ..checkpoint.reading import Observation
from ..tensors.folding import axes_folded
from . import numbers
from .documents import Sheet, Table
from .model import origin_of
from .numbers import number

OPEN = 3
"""How many open facts are named for one reason before the rest is counted."""


def sheet(o: Observation) -> Sheet:
    """The first screen."""
    seen = o.observed
    lines = [("Parameters", parameter_lines(o)), ("Layers", layer_lines(seen))]
    lines += [(label(path), facts_line(seen, path)) for path in blocks(seen)]
    lines += [
        (
            "Vocabulary",
            [shown(seen.facts.get("vocab_size"))] if seen.facts.get("vocab_size") else [],
        )
    ]
    lines += [("Weights", weight_lines(o)), ("Unknown", open_lines(seen))]
    model_type = (o.raw.config or {}).get("model_type")
    origin = origin_of(o.raw, model_type if isinstance(model_type, str) else "no model_type")
    return Sheet(
        o.name,
        origin,
        "Observed from tensor names and shapes",
        [(name, text) for name, text in lines if text],
        notes(o),
    )


def parameter_lines(o: Observation) -> list[str]:
    seen = o.observed
    total = (
        f"{numbers.count(seen.total)} total"
        if seen.total is not None
        else "total unknown: not every size is in the headers"
    )
    parts = [
        f"{name} {numbers.count(n)}"
        for name, n in sorted(seen.by_component.items(), key=lambda item: -item[1])
    ]
    return [
        total + (f" · MTP {numbers.count(seen.mtp)} (not in the total)" if seen.mtp else ""),
        " · ".join(parts),
    ]


def layer_lines(seen: Observed) -> list[str]:
    times = Counter(seen.layers)
    words = [
        f"{times[kind]} × {' + '.join(label(b) for b in k.blocks) or 'unrecognised'}"
        for kind, k in seen.kinds.items()
        if times[kind]
    ]
    placed = {k.placement for k in seen.kinds.values() if k.placement}
    hidden = seen.facts.get("hidden_size")
    return [
        *words,
        *([f"norms: {', '.join(sorted(placed))}"] if placed else []),
        *([f"hidden size {number(hidden)}"] if hidden else []),
    ]


def blocks(seen: Observed) -> list[str]:
    """Paths of the blocks and towers that facts tell of, in order of appearance."""
    found = (
        path.split(".") for path in seen.facts if path.startswith(("mixers.", "ffns.", "towers."))
    )
    return list(dict.fromkeys(".".join(parts[:2]) for parts in found))


def label(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")


def facts_line(seen: Observed, path: str) -> list[str]:
    """What is known of one block: `heads 32, kv heads 8, head dim 128`."""
    known = {
        p.removeprefix(path + "."): v
        for p, v in seen.facts.items()
        if p.startswith(path + ".") and v not in (None, False)
    }
    return [", ".join(words(name, value) for name, value in known.items())] if known else []


def words(name: str, value: Any) -> str:
    name = name.replace("_", " ").replace(".", " ")
    return name if value is True else f"{name} {shown(value)}"


def shown(value: Any) -> str:
    return (
        number(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
    )


def weight_lines(o: Observation) -> list[str]:
    assert o.raw.tensors is not None
    stored = numbers.size(sum(g.bits for g in o.raw.tensors) // 8)
    per = (
        f", {o.observed.bits_per_weight:.3g} bits per weight"
        if o.observed.notes and o.observed.bits_per_weight
        else ""
    )
    return [f"{stored} stored in {number(len(o.raw.tensors))} tensors{per}", *o.observed.notes]


def open_lines(seen: Observed) -> list[str]:
    """Facts left open, by reason."""
    reasons: dict[str, list[str]] = {}
    for path, evidence in seen.evidence.items():
        if evidence.kind == "unknown":
            reasons.setdefault(evidence.ref, []).append(path.rpartition(".")[2].replace("_", " "))
    lines: list[str] = []
    for reason, paths in reasons.items():
        names = list(dict.fromkeys(paths))
        more = f" and {len(names) - OPEN} more" if len(names) > OPEN else ""
        lines.append(f"{', '.join(names[:OPEN])}{more}: {reason}")
    return lines


def notes(o: Observation) -> list[str]:
    first = (
        f"observed: {o.why}; nothing is guessed, and what names and shapes do not tell is unknown"
    )
    return [first, *(f"{f.rule}: {f.path}: {f.message}" for f in o.findings)]


def layer_table(o: Observation) -> Table:
    """Every layer and its blocks."""
    kinds = o.observed.kinds
    rows = [
        [str(i), " + ".join(label(b) for b in kinds[kind].blocks), kind]
        for i, kind in enumerate(o.observed.layers)
    ]
    return Table(["layer", "blocks", "kind"], rows, title="Layers")


def tensor_table(o: Observation) -> Table:
    """The tensors as they are stored, folded."""
    assert o.raw.tensors is not None
    rows: list[list[str]] = []
    for g in o.raw.tensors:
        axes = tuple(tuple(sorted(set(numbers))) for numbers in zip(*g.indices, strict=True))
        shape = f"[{', '.join(map(str, g.shape or ()))}]"
        rows.append(
            [
                axes_folded(g.pattern, axes),
                f"{g.dtype} {shape}",
                number(len(g.indices)),
                number(g.elements),
            ]
        )
    return Table(["tensor", "stored as", "tensors", "elements"], rows, title="Tensors")
