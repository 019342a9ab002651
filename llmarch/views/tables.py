"""Tables that `show` adds on request: every layer, every tensor, every fact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ..architecture.layers import mixer_names, run_lengths
from ..architecture.schema import Architecture, LinearAttention, Mixer
from ..checkpoint.reading import Reading
from ..tensors.folding import axes_folded
from . import numbers
from .attention import reach_word
from .documents import Table
from .evidence import value_at
from .numbers import number
from .wording import kind_word


def layer_table(r: Reading) -> Table:
    """Return a row for each layer: its number, its blocks, what it sees, its positions."""
    a = r.architecture
    rows: list[list[str]] = []
    for i, kind in enumerate(a.layers):
        mixers = [a.mixers[name] for name in mixer_names(a, kind)]
        reach = joined(reach_word(m) for m in mixers)
        position = joined(position_word(a, m) for m in mixers)
        rows.append([str(i), kind_word(a, kind), reach, position, kind])
    return Table(["layer", "blocks", "sees", "positions", "kind"], rows, title="Layers")


def joined(words: Iterable[str]) -> str:
    """Return the different words, joined by ` / `."""
    return " / ".join(dict.fromkeys(words))


def position_word(a: Architecture, m: Mixer) -> str:
    """Return the positions of one mixer: `RoPE θ 10,000`, `NoPE`, `learned`, or `-` for a state."""
    if isinstance(m, LinearAttention):
        return "-"
    if m.rope:
        return f"RoPE θ {numbers.theta(m.rope.theta)}"
    return "learned" if a.embedding.positions else "NoPE"


def tensor_table(r: Reading) -> Table:
    """Return the tensors that the architecture predicts, folded by name pattern.

    A name reads `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight`.
    """
    rows: list[list[str]] = []
    for t in r.rows:
        name = axes_folded(t.pattern, t.axes)
        rows.append([name, shape(t.shape), number(t.count), number(t.parameters), t.component])
    return Table(["tensor", "shape", "tensors", "parameters", "component"], rows, title="Tensors")


def shape(sizes: Sequence[int]) -> str:
    """Return `[7168, 2048]`."""
    return f"[{', '.join(map(str, sizes))}]"


def fact_table(r: Reading) -> Table:
    """Return every fact of the architecture with its path, as --explain takes it."""
    document = asdict(r.architecture)
    rows = [[path, fact_text(path, value_at(document, path))] for path in r.evidence]
    return Table(["fact", "value"], rows, title="Facts")


def fact_text(path: str, value: Any) -> str:
    """Return a value in full; the layers of a model as runs: `3 × full_dense, 58 × full_moe`."""
    if path == "layers":
        return ", ".join(f"{n} × {kind}" for n, kind in run_lengths(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return ", ".join(map(str, items)) or "none"
    return "none" if value is None else str(value)


TABLES: dict[str, Callable[[Reading], Table]] = {
    "layers": layer_table,
    "tensors": tensor_table,
    "facts": fact_table,
}
"""What makes each table that `show` adds on request."""
