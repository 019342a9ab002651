"""Views of a model that no family reads: what its tensors prove, and what stays unknown.

The unknown facts have a reason each. Pure, like all views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..checkpoint.inference.model import InferredModel
from ..checkpoint.reading import Observation
from ..tensors.folding import axes_folded
from . import numbers
from .documents import Sheet, Table
from .findings import finding_line
from .model import origin
from .numbers import number

MOST_NAMED = 3
"""How many unknown facts are named for one reason; the rest is counted."""


def sheet(o: Observation) -> Sheet:
    """Return the first screen about a model; labels without lines are left out."""
    seen = o.observed
    vocabulary = seen.facts.get("vocab_size")
    lines = [("Parameters", parameter_lines(seen)), ("Layers", layer_lines(seen))]
    lines += [(block_label(path), fact_lines(seen, path)) for path in block_paths(seen)]
    lines += [
        ("Vocabulary", [value_word(vocabulary)] if vocabulary else []),
        ("Weights", weight_lines(o)),
        ("Unknown", unknown_lines(seen)),
    ]
    shown = [(label, text) for label, text in lines if text]
    model_type = (o.raw.config or {}).get("model_type")
    known = model_type if isinstance(model_type, str) else "no model_type"
    title = "Inferred from tensor names and shapes"
    return Sheet(o.name, origin(o.raw, known), title, shown, notes(o))


def parameter_lines(seen: InferredModel) -> list[str]:
    """Return the total and its components, the largest first."""
    total = "total unknown: not every size is in the headers"
    if seen.total is not None:
        total = f"{numbers.count(seen.total)} total"
    if seen.mtp:
        total += f" · MTP {numbers.count(seen.mtp)} (not in the total)"
    largest_first = sorted(seen.by_component.items(), key=lambda item: -item[1])
    return [total, " · ".join(f"{name} {numbers.count(n)}" for name, n in largest_first)]


def layer_lines(seen: InferredModel) -> list[str]:
    """Return how many layers of each kind there are, norm placement, and the hidden size."""
    lines: list[str] = []
    for kind, times in Counter(seen.layers).items():
        blocks = " + ".join(map(block_label, seen.kinds[kind].blocks))
        lines.append(f"{times} × {blocks or 'unrecognised'}")
    placements = {kind.placement for kind in seen.kinds.values() if kind.placement}
    if placements:
        lines.append(f"norms: {', '.join(sorted(placements))}")
    hidden = seen.facts.get("hidden_size")
    if hidden:
        lines.append(f"hidden size {number(hidden)}")
    return lines


def block_paths(seen: InferredModel) -> list[str]:
    """Return the paths of blocks and towers that have facts, in order of appearance."""
    groups = ("mixers.", "ffns.", "towers.")
    parts = (path.split(".") for path in seen.facts if path.startswith(groups))
    return list(dict.fromkeys(".".join(names[:2]) for names in parts))


def block_label(path: str) -> str:
    """Return the last part of a path in words: `mixers.full_attention` as `full attention`."""
    return path.rpartition(".")[2].replace("_", " ")


def fact_lines(seen: InferredModel, path: str) -> list[str]:
    """Return what is known of one block: `heads 32, kv heads 8, head dim 128`."""
    words = [
        fact_words(name.removeprefix(f"{path}."), value)
        for name, value in seen.facts.items()
        if name.startswith(f"{path}.") and value not in (None, False)
    ]
    return [", ".join(words)] if words else []


def fact_words(name: str, value: Any) -> str:
    """Return a fact in words: `head dim 128`, or the name alone where it is true."""
    words = name.replace("_", " ").replace(".", " ")
    return words if value is True else f"{words} {value_word(value)}"


def value_word(value: Any) -> str:
    """Return a value as text; numbers with separators."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return str(value)


def weight_lines(o: Observation) -> list[str]:
    """Return the bytes that the checkpoint stores, and how they are packed."""
    assert o.raw.tensors is not None
    size = numbers.size(sum(group.bits for group in o.raw.tensors) // 8)
    line = f"{size} stored in {number(len(o.raw.tensors))} tensors"
    if o.observed.notes and o.observed.bits_per_weight:
        line += f", {o.observed.bits_per_weight:.3g} bits per weight"
    return [line, *o.observed.notes]


def unknown_lines(seen: InferredModel) -> list[str]:
    """Return the unknown facts, a line for each reason."""
    names_by_reason: dict[str, dict[str, None]] = {}
    for path, evidence in seen.evidence.items():
        if evidence.kind == "unknown":
            names_by_reason.setdefault(evidence.ref, {})[block_label(path)] = None
    lines: list[str] = []
    for reason, found in names_by_reason.items():
        names = list(found)
        text = ", ".join(names[:MOST_NAMED])
        if len(names) > MOST_NAMED:
            text += f" and {len(names) - MOST_NAMED} more"
        lines.append(f"{text}: {reason}")
    return lines


def notes(o: Observation) -> list[str]:
    """Return why no family reads the model, and the findings."""
    reason = f"observed: {o.why}; facts that tensor names and shapes do not prove are unknown"
    return [reason, *map(finding_line, o.findings)]


# Tables


def layer_table(o: Observation) -> Table:
    """Return a row for each layer with its blocks."""
    rows: list[list[str]] = []
    for i, kind in enumerate(o.observed.layers):
        blocks = " + ".join(map(block_label, o.observed.kinds[kind].blocks))
        rows.append([str(i), blocks, kind])
    return Table(["layer", "blocks", "kind"], rows, title="Layers")


def tensor_table(o: Observation) -> Table:
    """Return the tensors as they are stored, folded by name pattern."""
    assert o.raw.tensors is not None
    rows: list[list[str]] = []
    for group in o.raw.tensors:
        axes = [sorted(set(axis)) for axis in zip(*group.indices, strict=True)]
        name = axes_folded(group.pattern, axes)
        stored = f"{group.dtype} [{', '.join(map(str, group.shape or ()))}]"
        rows.append([name, stored, number(len(group.indices)), number(group.elements)])
    return Table(["tensor", "stored as", "tensors", "elements"], rows, title="Tensors")


def fact_table(o: Observation) -> Table:
    """Return every fact with its path; `unknown` where tensors do not prove it."""
    facts = o.observed.facts
    rows: list[list[str]] = []
    for path, evidence in o.observed.evidence.items():
        value = "unknown" if evidence.kind == "unknown" else str(facts.get(path))
        rows.append([path, value])
    return Table(["fact", "value"], rows, title="Facts")


TABLES: dict[str, Callable[[Observation], Table]] = {
    "layers": layer_table,
    "tensors": tensor_table,
    "facts": fact_table,
}
"""What makes each table that `show` adds on request."""
