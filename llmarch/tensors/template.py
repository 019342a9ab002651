"""The tensors that a family predicts from an Architecture, as a template of rows.

A row is a pattern of names with a shape. The template must not share code with the count from
facts (analyses/parameters.py): each checks the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Norm, Step

if TYPE_CHECKING:
    from .naming import Naming

Axes = tuple[tuple[int, ...] | range, ...]
"""The numbers that each `{}` of a pattern may be."""


@frozen
class TensorRow(Frozen):
    """One line of a template: tensors that are alike but for numbers in their names."""

    pattern: str
    """The name, with `{}` for numbers of layers and experts."""
    shape: tuple[int, ...]
    """The shape as published checkpoints store it, a matrix as [outputs, inputs]."""
    axes: Axes
    component: str
    """The component of the count that its parameters belong to."""
    proves: tuple[str, ...] = ()
    """Paths of the facts that the shape proves."""

    @property
    def count(self) -> int:
        """Return the number of tensors."""
        return prod(len(axis) for axis in self.axes)

    @property
    def parameters(self) -> int:
        """Return the number of elements of all tensors together."""
        return self.count * prod(self.shape)


def template(a: Architecture, naming: Naming) -> list[TensorRow]:
    """Return every tensor that a checkpoint of this architecture holds, in published names.

    A tied head has no row of its own.
    """
    rows = [*_embedding_rows(a, naming)]
    for kind, numbers in _layers_by_kind(a).items():
        rows.extend(layer_rows(a, kind, numbers, naming.prefix + naming.layer, naming))
    rows.extend(_stream_rows(a, naming))
    if a.final_norm:
        name = naming.prefix + naming.final_norm
        rows.extend(norm_rows(name, a.norms[a.final_norm], a.hidden_size, ()))
    rows.extend(_head_rows(a, naming))
    if a.mtp and a.mtp.layer_kind and naming.mtp:
        rows.extend(naming.mtp(a, naming))
    if a.towers and naming.tower:
        rows.extend(naming.tower(a))
    return rows


def _layers_by_kind(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the indices of the layers of each kind."""
    numbers: dict[str, list[int]] = {}
    for i, kind in enumerate(a.layers):
        numbers.setdefault(kind, []).append(i)
    return {kind: tuple(indices) for kind, indices in numbers.items()}


def _embedding_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the embedding, learned positions, and per-layer embeddings."""
    width = a.hidden_size
    name = naming.prefix + naming.embedding
    facts: tuple[str, ...] = ("vocab_size", "hidden_size")
    yield TensorRow(name, (a.vocab_size, width), (), "embedding", facts)
    if a.embedding.positions:
        name = naming.prefix + naming.positions
        facts = ("embedding.positions",)
        yield TensorRow(name, (a.embedding.positions, width), (), "embedding", facts)
    own = a.embedding.per_layer
    if own:
        table, projection, norm = (naming.prefix + name for name in naming.per_layer)
        all_layers = len(a.layers) * own.width
        part = "per_layer_projection"
        facts = ("embedding.per_layer.width",)
        yield TensorRow(table, (own.vocab_size, all_layers), (), "per_layer_embedding", facts)
        yield TensorRow(projection, (all_layers, width), (), part, facts)
        yield TensorRow(norm, (own.width,), (), part)


def _head_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the head unless it is tied, and its bias."""
    name = naming.prefix + naming.head
    if not a.embedding.tied:
        shape = (a.vocab_size, a.hidden_size)
        yield TensorRow(f"{name}.weight", shape, (), "head", ("embedding.tied",))
    if a.head.bias:
        yield TensorRow(f"{name}.bias", (a.vocab_size,), (), "head", ("head.bias",))


def _stream_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield what begins or ends several residual streams outside of the layers."""
    streams = a.residual.streams
    if a.residual.kind == "hyper":
        name = naming.prefix + naming.hyper[-1]
        yield from hyper_rows(name, streams, 1, a, (), "residual")
    if a.residual.kind == "altup":
        shape = (a.hidden_size, a.hidden_size)
        further = (tuple(range(streams - 1)),)
        for name in naming.altup:
            pattern = f"{naming.prefix}{name}.{{}}.weight"
            yield TensorRow(pattern, shape, further, "residual", ("residual.streams",))


def layer_norms(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the norms of a layer kind in the order of its wiring, by their names in `norms`."""
    for step in steps:
        if step.pre_norm:
            yield step.pre_norm
        for branch in step.branches:
            yield from (name for name in (branch.pre_norm, branch.post_norm) if name)
        yield from (name for name in (step.join_norm, step.after_norm) if name)


def norm_rows(
    name: str, norm: Norm, width: int, axes: Axes, component: str = "norms"
) -> Iterator[TensorRow]:
    """Yield the weight and the bias of a norm, as far as it has them."""
    if norm.weight:
        yield TensorRow(f"{name}.weight", (width,), axes, component)
    if norm.bias:
        yield TensorRow(f"{name}.bias", (width,), axes, component)


def layer_rows(
    a: Architecture,
    kind: str,
    numbers: tuple[int, ...],
    prefix: str,
    naming: Naming,
    component: str | None = None,
) -> Iterator[TensorRow]:
    """Yield the tensors of layers of one kind.

    numbers: what the `{}` of `prefix` may be; without a `{}` there is one such layer.
    component: what all parameters count for (MTP), instead of the component of each block.
    """
    steps = a.layer_kinds[kind].steps
    axes: Axes = (numbers,) if "{}" in prefix else ()
    for name, norm in zip(naming.norms, layer_norms(steps), strict=True):
        yield from norm_rows(
            prefix + name, a.norms[norm], a.hidden_size, axes, component or "norms"
        )
    residual = component or "residual"
    if a.residual.kind == "hyper":
        outputs = (2 + a.residual.streams) * a.residual.streams
        for name in naming.hyper[:-1]:
            yield from hyper_rows(prefix + name, outputs, 3, a, axes, residual)
    if a.residual.kind == "altup":
        yield from _altup_rows(prefix, a, axes, residual)
    yield from _block_rows(a, steps, prefix, axes, naming, component)
    if a.layer_kinds[kind].learned_scale:
        name = prefix + naming.layer_scale
        facts = (f"layer_kinds.{kind}.learned_scale",)
        yield TensorRow(name, (1,), axes, component or "layer_scales", facts)


def _block_rows(
    a: Architecture,
    steps: Iterable[Step],
    prefix: str,
    axes: Axes,
    naming: Naming,
    component: str | None,
) -> Iterator[TensorRow]:
    """Yield the tensors of the blocks of a layer."""
    seen: Counter[str] = Counter()
    for path in (branch.block for step in steps for branch in step.branches):
        block = a.block(path)
        for tensor in naming.parts(path, block)(block, a.hidden_size):
            pattern = prefix + tensor.name.replace("#", str(seen[path]))
            own_axes = axes if tensor.experts is None else (*axes, range(tensor.experts))
            facts = tuple(f"{path}.{name}" for name in tensor.proves)
            part = component or tensor.component
            yield TensorRow(pattern, tensor.shape, own_axes, part, facts)
        seen[path] += 1


def hyper_rows(
    name: str, outputs: int, scales: int, a: Architecture, axes: Axes, component: str
) -> Iterator[TensorRow]:
    """Yield a hyper-connection: a matrix over all streams, its bias, and its scales."""
    shape = (outputs, a.residual.streams * a.hidden_size)
    yield TensorRow(f"{name}fn", shape, axes, component, ("residual.streams",))
    yield TensorRow(f"{name}base", (outputs,), axes, component)
    yield TensorRow(f"{name}scale", (scales,), axes, component)


def _altup_rows(prefix: str, a: Architecture, axes: Axes, component: str) -> Iterator[TensorRow]:
    """Yield the alternating updates of a layer."""
    streams = a.residual.streams
    width = a.hidden_size
    matrices = {
        "correction_coefs.weight": (streams, streams),
        "prediction_coefs.weight": (streams * streams, streams),
        "modality_router.weight": (streams, width),
    }
    for name, shape in matrices.items():
        facts = ("residual.streams",)
        yield TensorRow(f"{prefix}altup.{name}", shape, axes, component, facts)
    for name in ("router_norm.weight", "correct_output_scale"):
        yield TensorRow(f"{prefix}altup.{name}", (width,), axes, component)


def mtp_as_layers(
    a: Architecture,
    naming: Naming,
    norms: tuple[str, ...] = ("enorm", "hnorm", "shared_head.norm"),
    head: str = "shared_head.head",
) -> Iterator[TensorRow]:
    """Yield MTP modules stored as the layers after the last (DeepSeek V3, GLM-4.5).

    Each is a layer, a projection, its norms, and copies of embedding and head if it has them.
    """
    mtp = a.mtp
    assert mtp and mtp.layer_kind
    width = a.hidden_size
    numbers = tuple(range(len(a.layers), len(a.layers) + mtp.modules))
    axes = (numbers,)
    layer = naming.prefix + naming.layer
    table = (a.vocab_size, width)
    yield from layer_rows(a, mtp.layer_kind, numbers, layer, naming, "mtp")
    for norm in norms:
        yield TensorRow(f"{layer}{norm}.weight", (width,), axes, "mtp")
    yield TensorRow(f"{layer}eh_proj.weight", (width, 2 * width), axes, "mtp", ("mtp.modules",))
    if mtp.own_embedding:
        yield TensorRow(f"{layer}embed_tokens.weight", table, axes, "mtp", ("mtp.own_embedding",))
    if mtp.own_head:
        yield TensorRow(f"{layer}{head}.weight", table, axes, "mtp", ("mtp.own_head",))


def fold_numbers(row: TensorRow) -> TensorRow:
    """Move plain numbers in a row's name (`self_attn.0.`) to its axes, as headers are folded."""
    pieces = row.pattern.split(".")
    if not any(piece.isdigit() for piece in pieces):
        return row
    given = iter(row.axes)
    axes: list[tuple[int, ...] | range] = []
    for i, piece in enumerate(pieces):
        if piece == "{}":
            axes.append(next(given))
        elif piece.isdigit():
            axes.append((int(piece),))
            pieces[i] = "{}"
    return replace(row, pattern=".".join(pieces), axes=tuple(axes))
