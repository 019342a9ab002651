"""Tables that `show` adds on request: every layer, every tensor, every fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..architecture.catalogue import block_name, find_fact, iterate_facts
from ..architecture.catalogue.fact import Fact
from ..architecture.layers import mixer_names
from ..architecture.schema import Architecture, Attention, LinearAttention, Mixer
from ..architecture.wording.names import fields_title, name_title
from ..architecture.wording.positions import absolute_kind
from ..checkpoint.reading import Reading
from ..tensors.folding import axes_folded
from . import numbers
from .attention import reach_word
from .documents import Table
from .exact_values import exact_text
from .layer_kinds import distinct_kind_words
from .numbers import number

BLOCK_KINDS = {"norms": "norm", "layer_kinds": "layers"}
"""What a name in a group is the name of, where the name does not say it."""


def layer_table(r: Reading) -> Table:
    """Return a row for each layer: its number, its blocks, what it sees, its positions."""
    a = r.architecture
    words = distinct_kind_words(a)
    rows: list[list[str]] = []
    for i, kind in enumerate(a.layers):
        mixers = [a.mixers[name] for name in mixer_names(a, kind)]
        reach = joined(map(reach_word, mixers))
        position = joined(position_word(a, m) for m in mixers)
        rows.append([str(i), words[kind], reach, position])
    columns = ["layer", "blocks", "sees", "positions"]
    return Table(columns, rows, title="Layers")


def joined(words: Iterable[str]) -> str:
    """Return the different words, joined by ` / `."""
    different = dict.fromkeys(words)
    return " / ".join(different)


def position_word(a: Architecture, m: Mixer) -> str:
    """Return the positions of one mixer: `RoPE θ 10,000`, `ALiBi`, `NoPE`, or `learned`."""
    if isinstance(m, LinearAttention):
        return "-"
    if m.rope:
        theta = numbers.theta(m.rope.theta)
        return f"RoPE θ {theta}"
    if isinstance(m, Attention) and m.alibi is not None:
        return "ALiBi"
    return absolute_kind(a.embedding) or "NoPE"


def tensor_table(r: Reading) -> Table:
    """Return the tensors that the architecture predicts, folded by name pattern.

    A name reads `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`.
    """
    rows: list[list[str]] = []
    for t in r.rows:
        name = axes_folded(t.pattern, t.axes)
        tensors = number(t.count)
        parameters = number(t.parameters)
        rows.append([name, shape_text(t.shape), tensors, parameters, t.component])
    columns = ["tensor", "shape", "tensors", "parameters", "component"]
    return Table(columns, rows, title="Tensors")


def shape_text(sizes: Iterable[int]) -> str:
    """Return `[7168, 2048]`."""
    text = ", ".join(map(str, sizes))
    return f"[{text}]"


def fact_table(r: Reading) -> Table:
    """Return every fact of the architecture: its path, as --explain takes it, label and value.

    No two facts have one label.
    """
    a = r.architecture
    values = dict(iterate_facts(a))
    facts = {path: find_fact(path, a) for path in values}
    labels = different_labels(facts)
    rows: list[list[str]] = []
    for path, value in values.items():
        fact = facts[path]
        text = exact_text(value) if fact is None else fact_text(fact, value)
        rows.append([path, labels[path], text])
    return Table(["fact", "label", "value"], rows, title="Facts")


def different_labels(facts: Mapping[str, Fact | None]) -> dict[str, str]:
    """Return a label for each path, no two alike.

    It names the block and the row of `diff`; where a row is about several facts the field too, and
    where that does not tell them apart the fields on the way to it.

    facts: the entry of each path.
    """
    labels = {path: row_label(fact, path) for path, fact in facts.items()}
    for words_of in (last_field, all_fields):
        counts = Counter(labels.values())
        for path, label in labels.items():
            if counts[label] > 1:
                labels[path] = with_words(row_label(facts[path], path), words_of(path))
    return labels


def last_field(path: str) -> str:
    """Return the field at a path in words: `v head dims`."""
    _, _, field = path.rpartition(".")
    return fields_title(field)


def all_fields(path: str) -> str:
    """Return the fields of a path below its block in words: `1st step 2nd branch pre norm`."""
    _, _, inner_path = path.partition(".")
    name = block_name(path)
    if name:
        prefix = f"{name}."
        inner_path = inner_path.removeprefix(prefix)
    return fields_title(inner_path or path)


def with_words(label: str, words: str) -> str:
    """Return a label with what it is about there; itself where its last words say so already."""
    if label.removesuffix("s").endswith(words.removesuffix("s")):
        return label
    return f"{label}: {words}"


def row_label(fact: Fact | None, path: str) -> str:
    """Return what a fact is about and the label of its row: `MoE · router`, `rms norm · ε`.

    Those of encoders are as in `diff`: `vision heads`. What has no name has its label alone.

    fact: the entry of the fact.
    path: its path.
    """
    if fact is None:
        return path
    name = block_name(path)
    if not name:
        return fact.label
    if fact.group == "towers":
        return f"{name} {fact.label}"
    title = name_title(name)
    kind = BLOCK_KINDS.get(fact.group)
    if kind is not None:
        title = f"{title} {kind}"
    return f"{title} · {fact.label}"


def fact_text(fact: Fact, value: Any) -> str:
    """Return a value in full, a number with its unit: `4,096 tokens`."""
    text = exact_text(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fact.unit or not is_number:
        return text
    if value == 1:
        return f"{text} {fact.unit.removesuffix('s')}"
    return f"{text} {fact.unit}"


MODEL_TABLES: dict[str, Callable[[Reading], Table]] = {
    "layers": layer_table,
    "tensors": tensor_table,
    "facts": fact_table,
}
"""What makes each table that `show` adds on request."""
