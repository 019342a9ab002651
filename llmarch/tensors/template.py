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
from ..architecture.schema import Architecture, Branch, Norm, PerLayerEmbedding, Step
from ..errors import LlmarchError

if TYPE_CHECKING:
    from .naming import Naming

Axes = tuple[tuple[int, ...] | range, ...]
"""The numbers that each `{}` of a pattern may be."""
UNPREDICTABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LlmarchError,
    LookupError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What is raised where facts that were put together have no template: a trial of other values, or
a lock of another version. Facts that were read from a config always have one."""
AFFINE = ("hidden_states_bias", "hidden_states_scale", "residual_bias", "residual_scale")
"""The learned vectors of an affine step."""
STREAM_FACTS = ("residual.streams",)


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
        lengths = [len(axis) for axis in self.axes]
        return prod(lengths)

    @property
    def parameters(self) -> int:
        """Return the number of elements of all tensors together."""
        elements = prod(self.shape)
        return self.count * elements


def template(a: Architecture, naming: Naming) -> list[TensorRow]:
    """Return every tensor that a checkpoint of this architecture holds, in published names.

    A tied head has no row of its own.
    """
    rows = [*_embedding_rows(a, naming)]

    layer = naming.prefix + naming.layer
    for kind, numbers in _layers_by_kind(a).items():
        stack = naming.kind_layers.get(kind)
        if stack is None:
            rows.extend(rows_of_layers(a, kind, numbers, layer, naming))
        else:
            own_numbers = tuple(range(len(numbers)))
            rows.extend(rows_of_layers(a, kind, own_numbers, naming.prefix + stack, naming))

        if a.layer_kinds[kind].initial_state:
            name = naming.prefix + naming.initial_state
            facts = (f"layer_kinds.{kind}.initial_state",)
            rows.append(TensorRow(name, (a.hidden_size,), (), "layer_scales", facts))

    if naming.shared:
        rows.extend(naming.shared(a))

    rows.extend(_stream_rows(a, naming))

    if a.final_norm:
        name = naming.prefix + naming.final_norm
        norm = a.norms[a.final_norm]
        rows.extend(norm_rows(name, norm, a.hidden_size, ()))

    rows.extend(_head_rows(a, naming))

    has_mtp = a.mtp is not None and a.mtp.layer_kind is not None
    if has_mtp and naming.mtp:
        rows.extend(naming.mtp(a, naming))

    if a.towers and naming.tower:
        rows.extend(naming.tower(a))

    return rows


def _layers_by_kind(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the indices of the layers of each kind."""
    indices: dict[str, list[int]] = {}
    for i, kind in enumerate(a.layers):
        of_kind = indices.setdefault(kind, [])
        of_kind.append(i)

    return {kind: tuple(numbers) for kind, numbers in indices.items()}


def _embedding_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the embedding, learned positions, and per-layer embeddings."""
    width = a.hidden_size
    facts = ("vocab_size", "hidden_size")
    if a.embedding.extra_rows:
        facts = ("hidden_size", "embedding.extra_rows")
    if a.embedding.width:
        facts = ("vocab_size", "embedding.width")
    yield TensorRow(
        pattern=naming.prefix + naming.embedding,
        shape=(a.embedding_rows, a.embedding_width),
        axes=(),
        component="embedding",
        proves=facts,
    )
    yield from _narrow_embedding_rows(a, naming)

    positions = a.embedding.positions
    if positions:
        yield TensorRow(
            pattern=naming.prefix + naming.positions,
            shape=(positions, width),
            axes=(),
            component="embedding",
            proves=("embedding.positions",),
        )

    for name in naming.embedding_affine:
        facts = ("embedding.affine",)
        yield TensorRow(naming.prefix + name, (width,), (), "layer_scales", facts)

    if a.embedding.norm:
        norm = a.norms[a.embedding.norm]
        yield from norm_rows(naming.prefix + naming.embedding_norm, norm, width, ())

    if a.embedding.per_layer:
        yield from _per_layer_rows(a, a.embedding.per_layer, naming)


def _narrow_embedding_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the matrices between the stream and an embedding that has another width."""
    width = a.embedding.width
    if not width:
        return
    inward, out = naming.embedding_projections
    shapes = {inward: (a.hidden_size, width), out: (width, a.hidden_size)}
    for name, shape in shapes.items():
        yield TensorRow(
            pattern=f"{naming.prefix}{name}.weight",
            shape=shape,
            axes=(),
            component="embedding_projections",
            proves=("embedding.width",),
        )


def _per_layer_rows(
    a: Architecture, embedding: PerLayerEmbedding, naming: Naming
) -> Iterator[TensorRow]:
    """Yield the table of per-layer embeddings, and the projection to them with its norm."""
    table, projection, norm = naming.per_layer
    width = embedding.width
    all_layers = len(a.layers) * width
    facts = ("embedding.per_layer.width",)
    yield TensorRow(
        pattern=naming.prefix + table,
        shape=(embedding.vocab_size, all_layers),
        axes=(),
        component="per_layer_embedding",
        proves=facts,
    )
    yield TensorRow(
        pattern=naming.prefix + projection,
        shape=(all_layers, a.hidden_size),
        axes=(),
        component="per_layer_projection",
        proves=facts,
    )
    yield TensorRow(
        pattern=naming.prefix + norm,
        shape=(width,),
        axes=(),
        component="per_layer_projection",
    )


def _head_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the head of a language model unless it is tied, and a head of another kind."""
    name = naming.prefix + naming.head
    if a.head.predicts_tokens and not a.embedding.tied:
        yield TensorRow(
            pattern=f"{name}.weight",
            shape=(a.vocab_size, a.embedding_width),
            axes=(),
            component="head",
            proves=("embedding.tied",),
        )

    if a.head.kind != "language_model":
        yield from _score_rows(a, naming)
    elif a.head.bias:
        yield TensorRow(
            pattern=f"{name}.bias",
            shape=(a.vocab_size,),
            axes=(),
            component="head",
            proves=("head.bias",),
        )


def _score_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield the head of a classifier or reward model, which stands outside of the decoder."""
    head = a.head
    if head.outputs is None:
        return
    module = head.module or naming.score_heads[head.kind]
    width = a.hidden_size
    last = module
    if head.inner_width:
        # a Sequential of a matrix, an activation and a matrix
        inner_shapes = {"weight": (head.inner_width, width), "bias": (head.inner_width,)}
        for leaf, shape in inner_shapes.items():
            yield TensorRow(f"{module}.0.{leaf}", shape, (), "head", ("head.inner_width",))
        width = head.inner_width
        last = f"{module}.2"

    yield TensorRow(f"{last}.weight", (head.outputs, width), (), "head", ("head.outputs",))
    if head.bias:
        yield TensorRow(f"{last}.bias", (head.outputs,), (), "head", ("head.bias",))


def _stream_rows(a: Architecture, naming: Naming) -> Iterator[TensorRow]:
    """Yield what begins or ends several residual streams outside of the layers."""
    width = a.hidden_size
    streams = a.residual.streams

    if a.residual.kind == "hyper":
        last = naming.prefix + naming.hyper[-1]
        yield from hyper_rows(last, streams, 1, a, (), "residual")

    if a.residual.kind == "altup":
        further_streams = tuple(range(streams - 1))
        for name in naming.altup:
            yield TensorRow(
                pattern=f"{naming.prefix}{name}.{{}}.weight",
                shape=(width, width),
                axes=(further_streams,),
                component="residual",
                proves=STREAM_FACTS,
            )


def layer_norms(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the norms of a layer kind in the order of its wiring, by their names in `norms`."""
    for step in steps:
        if step.pre_norm:
            yield step.pre_norm

        for branch in step.branches:
            if branch.pre_norm:
                yield branch.pre_norm
            if branch.post_norm:
                yield branch.post_norm

        if step.join_norm:
            yield step.join_norm
        if step.after_norm:
            yield step.after_norm


def norm_rows(
    name: str, norm: Norm, width: int, axes: Axes, component: str = "norms"
) -> Iterator[TensorRow]:
    """Yield the weight, the bias and the gate of a norm, as far as it has them."""
    shape = (width,)
    if norm.gate_rank:
        rank = norm.gate_rank
        gate = component
        if component == "norms":
            gate = "norm_gates"
        yield TensorRow(f"{name}.W_down.weight", (rank, width), axes, gate)
        yield TensorRow(f"{name}.W_up.weight", (width, rank), axes, gate)
        name = f"{name}.norm"

    if norm.weight:
        yield TensorRow(f"{name}.weight", shape, axes, component)

    if norm.bias:
        yield TensorRow(f"{name}.bias", shape, axes, component)


def rows_of_layers(
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
    layer_kind = a.layer_kinds[kind]
    steps = layer_kind.steps
    axes: Axes = ()
    if "{}" in prefix:
        axes = (numbers,)

    norm_names = naming.kind_norms.get(kind, naming.norms)
    for name, norm_name in zip(norm_names, layer_norms(steps), strict=True):
        norm = a.norms[norm_name]
        norm_component = component or "norms"
        yield from norm_rows(prefix + name, norm, a.hidden_size, axes, norm_component)

    yield from _layer_stream_rows(a, prefix, axes, naming, component or "residual")
    yield from _block_rows(a, steps, prefix, axes, naming, component)

    moved = [i for i, step in enumerate(steps) if step.affine]
    for name, i in zip(naming.affine, moved, strict=False):
        for leaf in AFFINE:
            yield TensorRow(
                pattern=f"{prefix}{name}.{leaf}",
                shape=(a.hidden_size,),
                axes=axes,
                component=component or "layer_scales",
                proves=(f"layer_kinds.{kind}.steps.{i}.affine",),
            )

    scaled = [i for i, step in enumerate(steps) if step.learned_skip]
    for name, i in zip(naming.skip_scales, scaled, strict=False):
        yield TensorRow(
            pattern=prefix + name,
            shape=(a.hidden_size,),
            axes=axes,
            component=component or "layer_scales",
            proves=(f"layer_kinds.{kind}.steps.{i}.learned_skip",),
        )

    gates = [f"{i}" for i, b in enumerate(_branches(steps)) if b.learned_gate]
    for name, number in zip(naming.branch_gates, gates, strict=False):
        yield TensorRow(
            pattern=prefix + name,
            shape=(1,),
            axes=axes,
            component=component or "layer_scales",
            proves=(f"layer_kinds.{kind}.steps.{number}.branches.0.learned_gate",),
        )

    if layer_kind.learned_scale:
        yield TensorRow(
            pattern=prefix + naming.layer_scale,
            shape=(1,),
            axes=axes,
            component=component or "layer_scales",
            proves=(f"layer_kinds.{kind}.learned_scale",),
        )


def _layer_stream_rows(
    a: Architecture, prefix: str, axes: Axes, naming: Naming, component: str
) -> Iterator[TensorRow]:
    """Yield what joins and updates several residual streams in a layer."""
    streams = a.residual.streams
    if a.residual.kind == "hyper":
        outputs, scales = 2 * streams, 2
        if a.residual.mixing:
            outputs, scales = (2 + streams) * streams, 3
        for name in naming.hyper[:-1]:
            yield from hyper_rows(prefix + name, outputs, scales, a, axes, component)

    if a.residual.conv_kernel:
        shape = (a.hidden_size, 1, a.residual.conv_kernel)
        facts = ("residual.conv_kernel",)
        for name in naming.convolutions:
            yield TensorRow(f"{prefix}{name}.weight", shape, axes, component, facts)

    if a.residual.kind == "altup":
        yield from _altup_rows(prefix, a, axes, component)


def _branches(steps: Iterable[Step]) -> list[Branch]:
    """Return the branches of a layer in the order of its wiring."""
    branches: list[Branch] = []
    for step in steps:
        branches += step.branches
    return branches


def _block_rows(
    a: Architecture,
    steps: Iterable[Step],
    prefix: str,
    axes: Axes,
    naming: Naming,
    component: str | None,
) -> Iterator[TensorRow]:
    """Yield the tensors of the blocks of a layer."""
    earlier: Counter[str] = Counter()
    for branch in _branches(steps):
        path = branch.block
        block = a.block(path)
        number = str(earlier[path])
        earlier[path] += 1
        block_tensors = naming.parts(path, block)

        for tensor in block_tensors(block, a.hidden_size):
            name = tensor.name.replace("#", number)
            tensor_axes = axes
            if tensor.experts is not None:
                experts = range(tensor.experts)
                tensor_axes = (*axes, experts)
            facts = tuple(f"{path}.{field}" for field in tensor.proves)
            yield TensorRow(
                pattern=prefix + name,
                shape=tensor.shape,
                axes=tensor_axes,
                component=component or tensor.component,
                proves=facts,
            )


def hyper_rows(
    name: str, outputs: int, scales: int, a: Architecture, axes: Axes, component: str
) -> Iterator[TensorRow]:
    """Yield a hyper-connection: a matrix over all streams, its bias, and its scales."""
    inputs = a.residual.streams * a.hidden_size
    yield TensorRow(
        pattern=f"{name}fn",
        shape=(outputs, inputs),
        axes=axes,
        component=component,
        proves=STREAM_FACTS,
    )

    vectors = {
        "base": outputs,
        "scale": scales,
    }
    for leaf, size in vectors.items():
        yield TensorRow(
            pattern=name + leaf,
            shape=(size,),
            axes=axes,
            component=component,
        )


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
        yield TensorRow(
            pattern=f"{prefix}altup.{name}",
            shape=shape,
            axes=axes,
            component=component,
            proves=STREAM_FACTS,
        )

    for name in ("router_norm.weight", "correct_output_scale"):
        yield TensorRow(
            pattern=f"{prefix}altup.{name}",
            shape=(width,),
            axes=axes,
            component=component,
        )


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
    first = len(a.layers)
    numbers = tuple(range(first, first + mtp.modules))
    axes = (numbers,)
    layer = naming.prefix + naming.layer
    yield from rows_of_layers(a, mtp.layer_kind, numbers, layer, naming, "mtp")

    for norm in norms:
        yield TensorRow(
            pattern=f"{layer}{norm}.weight",
            shape=(width,),
            axes=axes,
            component="mtp",
        )

    yield TensorRow(
        pattern=f"{layer}eh_proj.weight",
        shape=(width, 2 * width),
        axes=axes,
        component="mtp",
        proves=("mtp.modules",),
    )

    if mtp.own_embedding:
        yield TensorRow(
            pattern=f"{layer}embed_tokens.weight",
            shape=(a.vocab_size, width),
            axes=axes,
            component="mtp",
            proves=("mtp.own_embedding",),
        )

    if mtp.own_head:
        yield TensorRow(
            pattern=f"{layer}{head}.weight",
            shape=(a.vocab_size, width),
            axes=axes,
            component="mtp",
            proves=("mtp.own_head",),
        )


def fold_numbers(row: TensorRow) -> TensorRow:
    """Move plain numbers in a row's name (`self_attn.0.`) to its axes, as headers are folded."""
    pieces = row.pattern.split(".")
    if not any(piece.isdigit() for piece in pieces):
        return row

    row_axes = iter(row.axes)
    axes: list[tuple[int, ...] | range] = []
    for i, piece in enumerate(pieces):
        if piece == "{}":
            axis = next(row_axes)
            axes.append(axis)
        elif piece.isdigit():
            number = int(piece)
            axes.append((number,))
            pieces[i] = "{}"

    pattern = ".".join(pieces)
    return replace(row, pattern=pattern, axes=tuple(axes))
