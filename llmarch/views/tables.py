"""Tables that `show` adds on request: every layer, every tensor, every fact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from ..architecture.catalogue import CATALOGUE, block_name, find_fact, iterate_facts
from ..architecture.catalogue.fact import Fact
from ..architecture.layers import mixer_names
from ..architecture.schema import Architecture, Attention, LinearAttention, Mixer
from ..architecture.wording.positions import absolute_kind
from ..checkpoint.reading import Reading
from ..tensors.folding import axes_folded
from . import numbers
from .attention import reach_word
from .documents import Table
from .exact_values import exact_text
from .numbers import number
from .wording import kind_word


def layer_table(r: Reading) -> Table:
    """Return a row for each layer: its number, its blocks, what it sees, its positions."""
    a = r.architecture
    rows: list[list[str]] = []
    for i, kind in enumerate(a.layers):
        blocks = kind_word(a, kind)
        mixers = [a.mixers[name] for name in mixer_names(a, kind)]
        reach = joined(map(reach_word, mixers))
        position = joined(position_word(a, m) for m in mixers)
        rows.append([str(i), blocks, reach, position, kind])
    columns = ["layer", "blocks", "sees", "positions", "kind"]
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
    """Return every fact of the architecture: its path, as --explain takes it, label and value."""
    a = r.architecture
    rows: list[list[str]] = []
    for path, value in iterate_facts(a):
        fact = find_fact(path, a)
        if fact is None:
            rows.append([path, "", exact_text(value)])
        else:
            rows.append([path, full_label(fact, path), fact_text(fact, value)])
    return Table(["fact", "label", "value"], rows, title="Facts")


def full_label(fact: Fact, path: str) -> str:
    """Return the label of a fact, with its section where another section has the same label.

    Those of encoders have their name, as in `diff`: `vision heads`.

    fact: the entry of the fact.
    path: its path.
    """
    if fact.group == "towers":
        name = block_name(path)
        return f"{name} {fact.label}"
    if len(sections_by_label()[fact.label]) > 1:
        return f"{fact.label} ({fact.section})"
    return fact.label


@cache
def sections_by_label() -> dict[str, set[str]]:
    """Return the sections that have a row with each label; encoders' have their name besides."""
    sections: dict[str, set[str]] = {}
    for fact in CATALOGUE:
        if fact.group == "towers":
            continue
        sections.setdefault(fact.label, set()).add(fact.section)
    return sections


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
