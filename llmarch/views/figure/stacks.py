"""A model from the embedding to the head: columns of layers, as their wiring has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...architecture.layers import mixer_names
from ...architecture.schema import (
    MTP,
    Architecture,
    Attention,
    Branch,
    Conformer,
    ConvTower,
    Dense,
    Encoder,
    FeatureEmbedding,
    LatentAttention,
    LayerKind,
    SpeechConformer,
    SpeechTower,
    Step,
    Tower,
)
from ...architecture.wording.model import NORMS, residual_word
from ..layer_kinds import distinct_kind_words
from ..numbers import number, plural
from .blocks import Block, block_class, block_role, box_line, title_of
from .description import (
    Box,
    BranchPicture,
    Column,
    KindLabel,
    LayerStrip,
    ModelStack,
    Pill,
    Reuse,
    StepPicture,
    Streams,
)

PER_LAYER = "embedding.per_layer"
"""Path of the per-layer embedding."""

PLAIN_SIGNS = {"∥": "||", "⌊": "floor(", "⌋": ")"}
"""What is written for signs that common fonts lack."""

KindColours = dict[str, int]
"""Number of the colour of each kind of layers, by its words: models that share a kind share it."""


def model_stack(a: Architecture, colours: KindColours) -> ModelStack:
    """Return a model from the embedding to the head; see `kind_labels`."""
    mtp = None
    if a.mtp is not None:
        mtp = mtp_box(a, a.mtp)
    return ModelStack(
        columns=tuple(column(a, labels) for labels in kinds_by_wiring(a, colours)),
        layers=len(a.layers),
        embedding=embedding_box(a),
        entry=tuple(entry_pills(a)),
        sources=tuple(source_boxes(a)),
        joined=tuple(f"towers.{name}" for name in a.towers if not cross_paths(a)),
        exit=tuple(exit_pills(a)),
        head=head_box(a),
        mtp=mtp,
        streams=streams(a),
    )


# Layers


def kind_labels(a: Architecture, colours: KindColours) -> list[KindLabel]:
    """Return the kinds of layers in the order of their first use.

    a: the architecture.
    colours: numbers of the kinds of models before; gets those of new kinds.
    """
    labels: list[KindLabel] = []
    words_by_kind = distinct_kind_words(a)
    for kind, count in Counter(a.layers).items():
        words = plain_words(words_by_kind[kind])
        number = colours.setdefault(words, len(colours))
        labels.append(KindLabel(name=kind, count=count, words=words, number=number))
    return labels


def plain_words(text: str) -> str:
    """Return a text without the signs that common fonts lack."""
    for sign, plain in PLAIN_SIGNS.items():
        text = text.replace(sign, plain)
    return text


def kinds_by_wiring(a: Architecture, colours: KindColours) -> list[tuple[KindLabel, ...]]:
    """Return the kinds of layers, those of one wiring together."""
    by_wiring: dict[object, list[KindLabel]] = {}
    for label in kind_labels(a, colours):
        form = wiring(a, label.name)
        labels = by_wiring.setdefault(form, [])
        labels.append(label)
    return [tuple(labels) for labels in by_wiring.values()]


def wiring(a: Architecture, kind: str) -> object:
    """Return what kinds of layers in one column have alike: steps, norms and classes of blocks."""
    layer = a.layer_kinds[kind]
    steps: list[object] = []
    for step in layer.steps:
        norms = [norm_text(a, n) for n in (step.pre_norm, step.join_norm, step.after_norm)]
        branches = [branch_wiring(a, branch) for branch in step.branches]
        steps.append((*norms, step.skip_from, step.residual, step.skip_scale, *branches))
    deep = any(kind in a.layers[: len(layers)] for layers in deepstack_layers(a).values())
    return (layer.learned_scale, deep, *steps)


def branch_wiring(a: Architecture, branch: Branch) -> object:
    """Return what branches of one box have alike."""
    before = norm_text(a, branch.pre_norm)
    after = norm_text(a, branch.post_norm)
    block = a.block(branch.block)
    return block_class(block), branch.scale, before, after


def norm_text(a: Architecture, name: str | None) -> str | None:
    """Return `RMSNorm`, None without a norm."""
    if name is None:
        return None
    return NORMS[a.norms[name].kind]


def norm_pill(a: Architecture, name: str | None) -> Pill | None:
    """Return a norm, None without one."""
    text = norm_text(a, name)
    if text is None:
        return None
    return Pill(text=text)


def column(a: Architecture, labels: tuple[KindLabel, ...]) -> Column:
    """Return the kinds of layers of one wiring as one column."""
    layers = [a.layer_kinds[label.name] for label in labels]
    first = layers[0]
    steps = [step_picture(a, layers, i) for i in range(len(first.steps))]
    closing: list[Pill] = []
    if first.learned_scale:
        scale = Pill(text="× learned scale", role="io")
        closing.append(scale)
    added = deepstack_boxes(a, labels)
    return Column(
        kinds=labels,
        steps=tuple(steps),
        closing=tuple(closing),
        added=tuple(added),
    )


def step_picture(a: Architecture, layers: Sequence[LayerKind], i: int) -> StepPicture:
    """Return one step of layers of one wiring.

    a: the architecture.
    layers: kinds of layers; their blocks at one place are variants of one box.
    i: number of the step.
    """
    step = layers[0].steps[i]
    factors = dict.fromkeys(factor_text(branch.scale) for branch in step.branches)
    shared = ""
    if len(factors) == 1:
        shared = next(iter(factors))
    branches: list[BranchPicture] = []
    for j, branch in enumerate(step.branches):
        variants = dict.fromkeys(layer.steps[i].branches[j].block for layer in layers)
        factor = "" if len(factors) == 1 else factor_text(branch.scale)
        branches.append(
            BranchPicture(
                box=described_block(a, list(variants)),
                pre_norm=norm_pill(a, branch.pre_norm),
                post_norm=norm_pill(a, branch.post_norm),
                factor=factor,
            )
        )
    return StepPicture(
        branches=tuple(branches),
        pre_norm=norm_pill(a, step.pre_norm),
        join_norm=norm_pill(a, step.join_norm),
        after_norm=norm_pill(a, step.after_norm),
        skip_from=skipped_to(step, i),
        stream_from_norm=step.residual == "after_norm",
        factor=shared,
        stream_factor=factor_text(step.skip_scale),
    )


def skipped_to(step: Step, i: int) -> int | None:
    """Return the earlier step whose input a step reads, None where it reads the stream.

    step: the step.
    i: its number.
    """
    source = step.skip_from
    if source is None or not 0 <= source < i:
        return None
    return source


def factor_text(factor: float) -> str:
    """Return `× 0.22`, nothing for 1."""
    if factor == 1:
        return ""
    return f"× {factor:.3g}"


def described_block(a: Architecture, paths: Sequence[str]) -> Box:
    """Return the box of blocks that stand at one place of several kinds of layers."""
    blocks = [a.block(path) for path in paths]
    line = box_line(blocks)
    lines = [line] if line else []
    return Box(
        path=paths[0],
        role=block_role(blocks[0]),
        title=title_of(blocks),
        lines=tuple(lines),
        panel=block_class(blocks[0]),
        inlet=inlet_of(a, blocks[0]),
    )


def inlet_of(a: Architecture, block: Block) -> str:
    """Return the path of what a block reads beside the stream, or nothing."""
    match block:
        case Dense() if block.per_layer and a.embedding.per_layer is not None:
            return PER_LAYER
        case Attention() if block.cross_tokens is not None and a.towers:
            return f"towers.{next(iter(a.towers))}"
        case _:
            return ""


def cross_paths(a: Architecture) -> list[str]:
    """Return the mixers that read tokens of an encoder."""
    found: list[str] = []
    for name, mixer in a.mixers.items():
        if not isinstance(mixer, Attention):
            continue
        if mixer.cross_tokens is not None:
            found.append(f"mixers.{name}")
    return found


# Around the layers


def embedding_box(a: Architecture) -> Box:
    """Return the token embedding with what is added to it."""
    e = a.embedding
    rows, width = number(a.embedding_rows), number(a.hidden_size)
    lines = [f"{rows} × {width}"]
    if e.positions:
        positions = number(e.positions)
        lines.append(f"+ {positions} learned positions")
    if e.scale not in (None, 1):
        lines.append(f"× {e.scale:.4g}")
    return Box(path="embedding", role="io", title="Token embedding", lines=tuple(lines))


def entry_pills(a: Architecture) -> list[Pill]:
    """Return the operations between the embedding and the layers."""
    pills: list[Pill] = []
    norm = norm_pill(a, a.embedding.norm)
    if norm is not None:
        pills.append(norm)
    if a.residual.kind == "hyper":
        pills.append(Pill(text=f"copied to {a.residual.streams} streams", role="io"))
    if a.residual.kind == "altup":
        pills.append(Pill(text=f"projected to {a.residual.streams} streams", role="io"))
    return pills


def exit_pills(a: Architecture) -> list[Pill]:
    """Return the operations between the layers and the head."""
    pills: list[Pill] = []
    if a.residual.kind == "hyper":
        pills.append(Pill(text=f"weighted sum of {a.residual.streams} streams", role="io"))
    if a.residual.kind == "altup":
        pills.append(Pill(text=f"mean of {a.residual.streams} streams", role="io"))
    norm = norm_pill(a, a.final_norm)
    if norm is not None:
        pills.append(norm)
    return pills


def streams(a: Architecture) -> Streams | None:
    """Return the residual streams, None for one."""
    r = a.residual
    if r.kind == "plain":
        return None
    return Streams(kind=r.kind, count=r.streams, words=residual_word(r))


def head_box(a: Architecture) -> Box:
    """Return the output head."""
    head = a.head
    matrix = "own matrix"
    if a.embedding.tied:
        matrix = "tied with embedding"
    if head.bias:
        matrix += ", bias"
    lines = [matrix]
    if head.scale not in (None, 1):
        lines.append(f"× {head.scale:.4g}")
    if head.normalized:
        lines.append(f"{head.normalized} of length 1")
    if head.softcap:
        softcap = number(head.softcap)
        lines.append(f"softcap {softcap}")
    return Box(path="head", role="io", title="Output head", lines=tuple(lines))


def mtp_box(a: Architecture, mtp: MTP) -> Box:
    """Return the modules of multi-token prediction."""
    modules = plural(mtp.modules, "module")
    if mtp.layer_kind is None:
        lines = (modules, "layout unknown")
        return Box(path="mtp", role="io", title="MTP", lines=lines)
    return Box(path="mtp", role="io", title="MTP", lines=(modules,), panel="mtp")


def source_boxes(a: Architecture) -> list[Box]:
    """Return what enters beside the token embedding: a per-layer embedding, encoders."""
    boxes: list[Box] = []
    per_layer = a.embedding.per_layer
    if per_layer is not None:
        size = f"{number(per_layer.vocab_size)} × {len(a.layers)} × {number(per_layer.width)}"
        title = "Per-layer embedding"
        boxes.append(Box(path=PER_LAYER, role="io", title=title, lines=(size,)))
    for name, tower in a.towers.items():
        boxes.append(tower_box(name, tower))
    return boxes


def tower_box(name: str, tower: Encoder) -> Box:
    """Return an encoder."""
    lines: list[str] = []
    match tower:
        case ConvTower():
            blocks = sum(map(len, tower.stages))
            lines.append(f"{blocks} convolutional blocks")
        case FeatureEmbedding():
            lines.append("no layers")
        case Tower() | Conformer() | SpeechTower() | SpeechConformer():
            width = number(tower.hidden_size)
            lines.append(f"{tower.layers} layers, width {width}")
    if tower.projector:
        last = tower.projector[-1]
        outputs = number(last.outputs)
        lines.append(f"projector to {outputs}")
    path = f"towers.{name}"
    title = f"{name.capitalize()} encoder"
    return Box(path=path, role="tower", title=title, lines=tuple(lines), panel=path)


def deepstack_layers(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Return by encoder the layers whose features join the decoder's first layers."""
    found: dict[str, tuple[int, ...]] = {}
    for name, tower in a.towers.items():
        if isinstance(tower, Tower) and tower.deepstack:
            found[name] = tower.deepstack
    return found


def deepstack_boxes(a: Architecture, labels: Sequence[KindLabel]) -> list[Box]:
    """Return what encoders add to the stream after layers of these kinds."""
    boxes: list[Box] = []
    for name, layers in deepstack_layers(a).items():
        first = a.layers[: len(layers)]
        if any(label.name in first for label in labels):
            title = f"first {plural(len(layers), 'layer')}"
            path = f"towers.{name}"
            boxes.append(Box(path=path, role="tower", title=title, inlet=path))
    return boxes


# The strip


def layer_strip(name: str, a: Architecture, colours: KindColours) -> LayerStrip:
    """Return the layers of a model in order, and what they reuse of each other."""
    kinds = kind_labels(a, colours)
    numbers = {label.name: label.number for label in kinds}
    layers = [numbers[kind] for kind in a.layers]
    reused = reuses(a)
    return LayerStrip(
        name=name,
        layers=tuple(layers),
        kinds=tuple(kinds),
        reuses=tuple(reused),
    )


def reuses(a: Architecture) -> list[Reuse]:
    """Return which layers reuse keys and values, or the choice of an indexer, of which layer."""
    last_with: dict[str, int] = {}
    found: dict[tuple[int, str], list[int]] = {}
    for i, kind in enumerate(a.layers):
        names = mixer_names(a, kind)
        for name in names:
            mixer = a.mixers[name]
            if isinstance(mixer, Attention) and mixer.kv_from in last_with:
                key = last_with[mixer.kv_from], "keys and values"
                found.setdefault(key, []).append(i)
            if isinstance(mixer, LatentAttention) and mixer.index_from in last_with:
                key = last_with[mixer.index_from], "index"
                found.setdefault(key, []).append(i)
        last_with |= dict.fromkeys(names, i)
    return [
        Reuse(source=source, layers=tuple(layers), what=what)
        for (source, what), layers in found.items()
    ]
