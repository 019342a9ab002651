"""Views of a model that no family reads: what its tensors prove, and what stays unknown.

The unknown facts have a reason each. Pure, like all views.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..architecture.paths import last_part
from ..checkpoint.inference.model import InferredModel
from ..checkpoint.reading import Observation
from ..tensors.folding import axes_folded
from . import numbers
from .documents import Sheet, Table
from .findings import finding_line
from .headings import model_type_words
from .model import origin
from .numbers import number
from .tables import shape_text

MOST_VARIANTS = 4
"""How many blocks of one name have a line each; more of them share one."""
_NUMBER_AT_END = re.compile(r"_\d+$")
MOST_NAMED = 3
"""How many unknown facts are named for one reason; the rest is counted."""


def inferred_sheet(o: Observation) -> Sheet:
    """Return the first screen about a model; labels without lines are left out."""
    seen = o.observed
    lines = [
        ("Parameters", component_lines(seen)),
        ("Layers", kind_lines(seen)),
    ]
    for label, paths in alike_blocks(seen).items():
        lines.append((label, alike_fact_lines(seen, paths)))
    lines += [
        ("Vocabulary", vocabulary_words(seen)),
        ("Weights", tensor_lines(o)),
        ("Unknown", unknown_lines(seen)),
    ]
    shown = [(label, text) for label, text in lines if text]
    location = origin(o.raw, model_type_words(o))
    headline = "Inferred from tensor names and shapes"
    if o.draft:
        headline = f"{o.draft} for another model, by tensor names and shapes".removeprefix("an ")
        headline = headline[0].upper() + headline[1:]
    return Sheet(o.name, location, headline, shown, reasons(o))


def component_lines(seen: InferredModel) -> list[str]:
    """Return the total and its components, the largest first."""
    first = "total unknown: not every size is in the headers"
    if seen.total is not None:
        total = numbers.count(seen.total)
        first = f"{total} total"
    if seen.mtp:
        mtp = numbers.count(seen.mtp)
        first += f" · MTP {mtp} (not in the total)"
    parts: list[str] = []
    for name, n in sorted(seen.by_component.items(), key=lambda item: -item[1]):
        size = numbers.count(n)
        parts.append(f"{name} {size}")
    return [first, " · ".join(parts)]


def kind_lines(seen: InferredModel) -> list[str]:
    """Return how many layers of each kind there are, norm placement, and the hidden size."""
    lines: list[str] = []
    labels = {path: label for label, paths in alike_blocks(seen).items() for path in paths}
    counts: Counter[str] = Counter()
    for kind in seen.layers:
        words = [labels.get(path, block_label(path)) for path in seen.kinds[kind].blocks]
        counts[" + ".join(words) or "unrecognised"] += 1
    lines += [f"{times} × {blocks}" for blocks, times in counts.items()]
    found = {kind.placement for kind in seen.kinds.values() if kind.placement}
    placements = ", ".join(sorted(found))
    if placements:
        lines.append(f"norms: {placements}")
    hidden = seen.facts.get("hidden_size")
    if hidden:
        lines.append(f"hidden size {number(hidden)}")
    return lines


def blocks_text(seen: InferredModel, kind: str) -> str:
    """Return the blocks of a kind of layer, joined by ` + `."""
    blocks = seen.kinds[kind].blocks
    labels = [block_label(path) for path in blocks]
    return " + ".join(labels)


def vocabulary_words(seen: InferredModel) -> list[str]:
    """Return the size of the vocabulary, if it is known."""
    size = seen.facts.get("vocab_size")
    if not size:
        return []
    return [value_word(size)]


def block_paths(seen: InferredModel) -> list[str]:
    """Return the paths of blocks and towers that have facts, in order of appearance."""
    paths: dict[str, None] = {}
    for path in seen.facts:
        group, *names = path.split(".")
        if group not in ("mixers", "ffns", "towers"):
            continue
        name = names[0]
        block = f"{group}.{name}"
        paths[block] = None
    return list(paths)


def alike_blocks(seen: InferredModel) -> dict[str, list[str]]:
    """Return the paths of blocks and towers by label; one label for many blocks that are alike.

    These have the same name but for a number, and differ only in their facts (OpenELM's widths).
    """
    families: dict[str, list[str]] = {}
    for path in block_paths(seen):
        families.setdefault(_NUMBER_AT_END.sub("", path), []).append(path)
    alike: dict[str, list[str]] = {}
    for family, paths in families.items():
        if len(paths) > MOST_VARIANTS:
            alike[block_label(family)] = paths
        else:
            alike |= {block_label(path): [path] for path in paths}
    return alike


def alike_fact_lines(seen: InferredModel, paths: list[str]) -> list[str]:
    """Return what is known of blocks that are alike: `gated, width 96 to 400 (20 sizes)`."""
    if len(paths) == 1:
        return fact_lines(seen, paths[0])
    values: dict[str, list[Any]] = {}
    for path in paths:
        for name, value in seen.facts.items():
            if value not in (None, False) and name.startswith(f"{path}."):
                values.setdefault(name.removeprefix(f"{path}."), []).append(value)
    words: list[str] = []
    for fact, found in values.items():
        known = "" if len(found) == len(paths) else " where known"
        words.append(f"{_alike_words(fact, found)}{known}")
    return [", ".join([*words, f"in {len(paths)} variants"])]


def _alike_words(fact: str, values: list[Any]) -> str:
    """Return a fact of blocks that are alike, with its values or the range of its numbers."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return fact_words(fact, distinct[0])
    if all(type(value) is int for value in distinct):
        return f"{fact_words(fact, min(distinct))} to {value_word(max(distinct))}"
    return fact_words(fact, ", ".join(map(value_word, distinct)))


def block_label(path: str) -> str:
    """Return the last part of a path in words: `mixers.full_attention` as `full attention`."""
    name = last_part(path)
    return name.replace("_", " ")


def fact_lines(seen: InferredModel, path: str) -> list[str]:
    """Return what is known of one block: `heads 32, kv heads 8, head dim 128`."""
    prefix = f"{path}."
    words: list[str] = []
    for name, value in seen.facts.items():
        is_said = value not in (None, False)
        if is_said and name.startswith(prefix):
            fact = name.removeprefix(prefix)
            words.append(fact_words(fact, value))
    if not words:
        return []
    line = ", ".join(words)
    return [line]


def fact_words(name: str, value: Any) -> str:
    """Return a fact in words: `head dim 128`, or the name alone where it is true."""
    words = name
    for separator in ("_", "."):
        words = words.replace(separator, " ")
    if value is True:
        return words
    return f"{words} {value_word(value)}"


def value_word(value: Any) -> str:
    """Return a value as text; numbers with separators."""
    match value:
        case bool():
            return str(value)
        case int() | float():
            return number(value)
        case _:
            return str(value)


def tensor_lines(o: Observation) -> list[str]:
    """Return the bytes that the checkpoint stores, and how they are packed."""
    seen, tensors = o.observed, o.raw.tensors
    assert tensors is not None
    stored_bits = sum(group.bits for group in tensors)
    size = numbers.size(stored_bits // 8)
    tensor_count = number(len(tensors))
    line = f"{size} stored in {tensor_count} tensors"
    if seen.notes and seen.bits_per_weight:
        line += f", {seen.bits_per_weight:.3g} bits per weight"
    return [line, *seen.notes]


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
        others = len(names) - MOST_NAMED
        if others > 0:
            text += f" and {others} more"
        lines.append(f"{text}: {reason}")
    return lines


def reasons(o: Observation) -> list[str]:
    """Return why no family reads the model, and the findings."""
    why = f"observed: {o.why}; facts that tensor names and shapes do not prove are unknown"
    lines = [why]
    lines += map(finding_line, o.findings)
    return lines


# Tables


def inferred_layer_table(o: Observation) -> Table:
    """Return a row for each layer with its blocks."""
    rows: list[list[str]] = []
    for i, kind in enumerate(o.observed.layers):
        blocks = blocks_text(o.observed, kind)
        rows.append([str(i), blocks, kind])
    return Table(["layer", "blocks", "kind"], rows, title="Layers")


def inferred_tensor_table(o: Observation) -> Table:
    """Return the tensors as they are stored, folded by name pattern."""
    assert o.raw.tensors is not None
    rows: list[list[str]] = []
    for group in o.raw.tensors:
        axes = [sorted(set(axis)) for axis in zip(*group.indices, strict=True)]
        name = axes_folded(group.pattern, axes)
        shape = shape_text(group.shape or ())
        tensors = number(len(group.indices))
        elements = number(group.elements)
        rows.append([name, f"{group.dtype} {shape}", tensors, elements])
    columns = ["tensor", "stored as", "tensors", "elements"]
    return Table(columns, rows, title="Tensors")


def inferred_fact_table(o: Observation) -> Table:
    """Return every fact with its path; `unknown` where tensors do not prove it."""
    facts = o.observed.facts
    rows: list[list[str]] = []
    for path, evidence in o.observed.evidence.items():
        value = str(facts.get(path))
        if evidence.kind == "unknown":
            value = "unknown"
        rows.append([path, value])
    return Table(["fact", "value"], rows, title="Facts")


INFERRED_TABLES: dict[str, Callable[[Observation], Table]] = {
    "layers": inferred_layer_table,
    "tensors": inferred_tensor_table,
    "facts": inferred_fact_table,
}
"""What makes each table that `show` adds on request."""
