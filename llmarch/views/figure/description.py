"""What a figure shows, without a form: columns of steps, boxes, panels of values, marks.

`layout/` gives it places, and a renderer writes it. Nothing here is escaped or measured.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from ...architecture.frozen import Frozen, frozen

Mark = Literal["", "size", "form"]
"""How something differs from the other model: not at all, in numbers alone, or in form."""

PartRole = Literal["attention", "linear", "dense", "moe", "norm", "io", "tower"]
"""What a part is for, which decides its colour."""


@frozen(kw_only=True)
class Box(Frozen):
    """A block in its place: a title, and what it says under it."""

    path: str
    """Path of the fact that it stands for: `mixers.full`, `embedding`, `towers.vision`."""
    role: PartRole
    title: str
    lines: tuple[str, ...] = ()
    line_marks: tuple[Mark, ...] = ()
    """Mark of each line; empty where no line differs."""
    mark: Mark = ""
    """`form` outlines the box."""
    panel: str = ""
    """Key of the panel that has the facts of the block."""
    inlet: str = ""
    """Path of what enters from outside of the layers, beside the stream: `towers.vision`."""


@frozen(kw_only=True)
class Pill(Frozen):
    """A norm or another small operation on a line."""

    text: str
    mark: Mark = ""
    role: PartRole = "norm"


@frozen(kw_only=True)
class BranchPicture(Frozen):
    """One of the parallel blocks of a step."""

    box: Box
    pre_norm: Pill | None = None
    post_norm: Pill | None = None
    factor: str = ""
    """Factor of its output, where the branches of the step have different ones."""


@frozen(kw_only=True)
class StepPicture(Frozen):
    """One addition to the stream."""

    branches: tuple[BranchPicture, ...]
    pre_norm: Pill | None = None
    join_norm: Pill | None = None
    after_norm: Pill | None = None
    skip_from: int | None = None
    """Number of the step whose normalised input the branches read."""
    stream_from_norm: bool = False
    """Whether the branches are added to the output of the pre-norm."""
    factor: str = ""
    """Factor of the branches: `× 0.22`."""
    stream_factor: str = ""
    """Factor of the stream."""
    wiring_known: bool = True
    """Whether it is known that the blocks are added to the stream."""


@frozen(kw_only=True)
class KindLabel(Frozen):
    """A kind of layer in the head of a column and in the legend of the strip."""

    name: str
    """Its name in `layer_kinds`."""
    count: int
    words: str
    number: int
    """Number of its colour: the order of first use."""
    mark: Mark = ""
    """`size` if the other model has another number of such layers, `form` if it has none."""


@frozen(kw_only=True)
class Column(Frozen):
    """Kinds of layers with one wiring."""

    kinds: tuple[KindLabel, ...]
    steps: tuple[StepPicture, ...]
    closing: tuple[Pill, ...] = ()
    """What is done to the stream at the end of the layer."""
    added: tuple[Box, ...] = ()
    """What joins the stream at the end of the first layers, from outside (DeepStack)."""


@frozen(kw_only=True)
class Streams(Frozen):
    """Several residual streams."""

    kind: Literal["hyper", "altup"]
    count: int
    mark: Mark = ""
    words: str = ""


@frozen(kw_only=True)
class ModelStack(Frozen):
    """One model from the embedding to the head."""

    columns: tuple[Column, ...]
    layers: int
    embedding: Box
    entry: tuple[Pill, ...] = ()
    """Operations between the embedding and the layers, from below."""
    sources: tuple[Box, ...] = ()
    """What enters beside the token embedding: encoders, a per-layer embedding."""
    joined: tuple[str, ...] = ()
    """Paths of the sources whose tokens join those of the embedding."""
    exit: tuple[Pill, ...] = ()
    """Operations between the layers and the head, from below."""
    head: Box
    mtp: Box | None = None
    streams: Streams | None = None

    @property
    def kinds(self) -> int:
        """Return the number of kinds of layers."""
        count = 0
        for column in self.columns:
            count += len(column.kinds)
        return count


@frozen(kw_only=True)
class Reuse(Frozen):
    """Layers that reuse what an earlier one computed."""

    source: int
    """Number of the earlier layer, counted from 0."""
    layers: tuple[int, ...]
    what: str
    """`keys and values`, or `index`."""


@frozen(kw_only=True)
class LayerStrip(Frozen):
    """The layers of a model in order."""

    name: str
    layers: tuple[int, ...]
    """Number of the kind of each layer."""
    kinds: tuple[KindLabel, ...]
    reuses: tuple[Reuse, ...] = ()
    mark: Mark = ""
    """`form` if the other model has the same layers in another order."""


@frozen(kw_only=True)
class HeadsPicture(Frozen):
    """Query heads over the key and value heads that they share."""

    heads: int
    kv_heads: int
    linear: bool = False


@frozen(kw_only=True)
class BarsPicture(Frozen):
    """Widths to scale: label and width."""

    bars: tuple[tuple[str, int], ...]
    role: PartRole
    last_is_kept: bool = False
    """Whether the last one is what is cached."""


@frozen(kw_only=True)
class ExpertsPicture(Frozen):
    """Routed experts as cells, the chosen ones filled, beside those that serve every token."""

    experts: int
    active: int
    zero_experts: int = 0
    shared: int = 0
    """Shared experts, in units of a routed expert."""


@frozen(kw_only=True)
class ChainPicture(Frozen):
    """Parts one after the other, from left to right."""

    parts: tuple[str, ...]
    role: PartRole


Picture = HeadsPicture | BarsPicture | ExpertsPicture | ChainPicture


@frozen(kw_only=True)
class Value(Frozen):
    """One fact of a panel: a label, and the words of each model."""

    label: str
    cells: tuple[str, ...]
    mark: Mark = ""
    paths: tuple[str, ...] = ()
    """Paths of the facts."""


@frozen(kw_only=True)
class Panel(Frozen):
    """The facts of the blocks of one class, for each model."""

    key: str
    """Class of the blocks in each model, joined by `|`: `moe|dense`."""
    role: PartRole
    title: str
    pictures: tuple[tuple[Picture, ...], ...] = ()
    """Pictures of each model."""
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()
    """Facts that differ and have no value above, by label."""
    path: str = ""
    mark: Mark = ""
    """`form` if one of two models has no such blocks."""


@frozen(kw_only=True)
class ModelPicture(Frozen):
    """One model: names, headline, and its stack and strip."""

    name: str
    origin: str
    headline: str
    stack: ModelStack
    strip: LayerStrip
    facts: tuple[tuple[str, str], ...]
    """Facts of the model as a whole: label and words."""


@frozen(kw_only=True)
class Figure(Frozen):
    """One model, or several side by side."""

    models: tuple[ModelPicture, ...]
    panels: tuple[Panel, ...]
    title: str
    summary: str
    """Description for those who do not see the figure."""
    matrix: tuple[tuple[str, Value], ...] = ()
    """Of three and more models: section and value of each fact that differs."""
    drawn: frozenset[str] = field(default_factory=frozenset[str])
    """Paths of the differences that the figure shows."""
    named: frozenset[str] = field(default_factory=frozenset[str])
    """Paths of the differences that it names only."""
    warnings: tuple[str, ...] = ()
    """What contradicts a config: to be read before the figure."""
    notes: tuple[str, ...] = ()
    """What differs beside the architecture, and what else a reader must know of the models."""

    @property
    def in_row(self) -> bool:
        """Return whether the models stand in a row over a matrix, not at the sides of panels."""
        return len(self.models) > 2 or bool(self.matrix)
