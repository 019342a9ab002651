"""Panels: the facts of the blocks of one class, of one model or of two side by side.

Labels, words and their order are those of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ...architecture.catalogue.fact import DETAIL, Fact
from ...architecture.schema import (
    MTP,
    Architecture,
    Attention,
    Conformer,
    ConvTower,
    Encoder,
    FeatureEmbedding,
    LinearAttention,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from ...architecture.wording.mixers import DECAY
from ..documents import ABSENT
from ..fact_rows import RowSource, row_sources, words_of_block
from ..numbers import number
from ..rows import Key
from ..wording import block_word, kind_word, position_kind
from .blocks import (
    Block,
    block_class,
    block_part,
    block_role,
    mark_of,
    merged_text,
    pictures_of,
    title_of,
)
from .description import ChainPicture, Mark, Panel, Value
from .stacks import plain_words

Blocks = dict[str, Any]
"""Blocks of one class by path: `mixers.full`."""

NOTHING = "none"
MTP_LABELS = {
    "modules": "modules",
    "layer_kind": "layer",
    "norms": "norms beside it",
    "own_embedding": "embedding, head",
    "own_head": "embedding, head",
}
"""Labels of the facts of prediction modules, by field."""


def blocks_by_class(a: Architecture) -> dict[str, Blocks]:
    """Return the blocks that layers run, by class, in the order of their first use."""
    found: dict[str, Blocks] = {}
    for kind in dict.fromkeys(a.layers):
        for step in a.layer_kinds[kind].steps:
            for branch in step.branches:
                block = a.block(branch.block)
                found.setdefault(block_class(block), {})[branch.block] = block
    return found


def aligned_classes(architectures: Sequence[Architecture]) -> list[tuple[str, ...]]:
    """Return the class of blocks of each model that meet in one panel, `` for none.

    The same class meets itself. What is left meets what is left of the same part of a layer.
    """
    first, *others = map(blocks_by_class, architectures)
    if not others:
        return [(name,) for name in first]
    second = others[0]
    parts = {name: part_of(blocks) for name, blocks in (first | second).items()}
    left = [name for name in second if name not in first]
    aligned: list[tuple[str, ...]] = []
    for name in first:
        other = name if name in second else ""
        if not other:
            other = next((n for n in left if parts[n] == parts[name]), "")
        if other in left:
            left.remove(other)
        aligned.append((name, other))
    return aligned + [("", name) for name in left]


def part_of(blocks: Blocks) -> str:
    """Return the part of a layer that blocks of a class stand for."""
    first = next(iter(blocks.values()))
    return block_part(first)


def block_panels(architectures: Sequence[Architecture]) -> list[Panel]:
    """Return the panels of the blocks that layers run."""
    by_class = [blocks_by_class(a) for a in architectures]
    panels: list[Panel] = []
    for names in aligned_classes(architectures):
        sides = [found.get(name, {}) for found, name in zip(by_class, names, strict=True)]
        panels.append(block_panel("|".join(names), architectures, sides))
    return panels


def block_panel(key: str, architectures: Sequence[Architecture], sides: list[Blocks]) -> Panel:
    """Return the panel of blocks of one class of each model."""
    titles = dict.fromkeys(title_of(blocks.values()) for blocks in sides if blocks)
    present = next(blocks for blocks in sides if blocks)
    path, block = next(iter(present.items()))
    values = [*derived_values(architectures, sides), *fact_values(sides)]
    mark: Mark = ""
    if not all(sides):
        mark = "form"
        values = [replace(v, mark="") for v in values]
    return Panel(
        key=key,
        role=block_role(block),
        title=" · ".join(titles),
        pictures=tuple(
            tuple(pictures_of(a, blocks.values()))
            for a, blocks in zip(architectures, sides, strict=True)
        ),
        values=tuple(values),
        path=path,
        mark=mark,
    )


# Values that are not in the catalogue


def derived_values(
    architectures: Sequence[Architecture], sides: Sequence[Blocks]
) -> Iterator[Value]:
    """Yield what follows from several facts: the variants, positions, the decay of a state."""
    variants: list[list[str]] = []
    positions: list[list[str]] = []
    decays: list[list[str]] = []
    for a, blocks in zip(architectures, sides, strict=True):
        variants.append([variant_word(a, block) for block in blocks.values()])
        kinds = [position_kind(a, b) for b in blocks.values() if block_part(b) == "mixer"]
        positions.append([kind for kind in kinds if kind != "none"])
        decays.append(
            [DECAY.get(b.variant, "") for b in blocks.values() if isinstance(b, LinearAttention)]
        )
    if any(len(set(words)) > 1 for words in variants):
        yield value("variants", [plain_words(joined_words(words)) for words in variants])
    if any(set(kinds) - {"RoPE"} for kinds in positions) or len(set(map(tuple, positions))) > 1:
        yield value("positions", [joined_words(kinds) for kinds in positions])
    if any(any(words) for words in decays):
        yield value("decay", [joined_words(words) for words in decays])


def variant_word(a: Architecture, block: Block) -> str:
    """Return a variant in words, with the mixer whose keys and values it reads."""
    word = block_word(a, block)
    if isinstance(block, Attention) and block.kv_from:
        return word.replace("with shared KV", "(shared KV)")
    return word


def joined_words(texts: Sequence[str]) -> str:
    """Return the texts of a side, each once; the sign for nothing without any."""
    texts = [text for text in texts if text]
    if not texts:
        return ABSENT
    return " / ".join(dict.fromkeys(texts))


def value(label: str, cells: Sequence[str], paths: Sequence[str] = ()) -> Value:
    """Return a value of a panel, marked where its cells differ."""
    marks = {mark_of(cells[0], other) for other in cells[1:]}
    mark: Mark = "size" if "size" in marks else ""
    if "form" in marks:
        mark = "form"
    return Value(label=label, cells=tuple(cells), mark=mark, paths=tuple(paths))


# Values of the catalogue


def fact_values(sides: Sequence[Blocks]) -> Iterator[Value]:
    """Yield the values of facts in the order of the catalogue.

    One model: those that it has and that do not go without saying. Two: also those that differ.
    Details are not among them: a pair names those that differ.
    """
    for key, source in row_sources().items():
        if not belongs(source, sides):
            continue
        cells = [cell(source.facts, blocks) for blocks in sides]
        shown = any(is_said(source.facts, blocks) for blocks in sides)
        differs = len(set(cells) - {NOTHING, ABSENT}) > 0 and len(set(cells)) > 1
        if source.facts[0].rank == DETAIL:
            continue
        if shown or (differs and all(sides)):
            yield value(label_of(key), cells)


def belongs(source: RowSource, sides: Sequence[Blocks]) -> bool:
    """Return whether blocks of a panel have the fact of a row."""
    for blocks in sides:
        for path, block in blocks.items():
            group, _, _ = path.partition(".")
            for fact in source.facts:
                if fact.group == group and fact.belongs_to(block):
                    return True
    return False


def label_of(key: Key) -> str:
    """Return the label of a row where its section is not shown beside it."""
    section, label = key
    if section == "Position" and label.startswith("scaling"):
        return f"RoPE {label}"
    if section == "Norms" and label == "ε":
        return "norm ε"
    return label


def cell(facts: Sequence[Fact], blocks: Blocks) -> str:
    """Return a fact of all blocks of a side in words; of a block without it, what then holds."""
    texts: list[str] = []
    for block in blocks.values():
        text = words_or_implied(facts, block)
        if text is not None:
            texts.append(text)
    if not texts:
        return ABSENT
    return plain_words(merged_text(texts))


def words_or_implied(facts: Sequence[Fact], block: Any) -> str | None:
    """Return a fact of one block in words, None where blocks of its class have no such fact."""
    for fact in facts:
        if fact.belongs_to(block):
            words = words_of_block(fact, block)
            if words is None:
                return NOTHING
            return words.text or words.implied
    return None


def is_said(facts: Sequence[Fact], blocks: Blocks) -> bool:
    """Return whether a panel says a fact by itself: a block has it, and it is not the usual."""
    for block in blocks.values():
        for fact in facts:
            if not fact.belongs_to(block):
                continue
            said = fact if fact.panel is None else fact._replace(words=fact.panel)
            words = words_of_block(said, block)
            if words is not None and words.text not in (None, NOTHING, "0", "1"):
                return True
    return False


# Encoders and prediction modules


def tower_panels(architectures: Sequence[Architecture]) -> list[Panel]:
    """Return a panel for each encoder."""
    names = dict.fromkeys(name for a in architectures for name in a.towers)
    panels: list[Panel] = []
    for name in names:
        path = f"towers.{name}"
        towers = [a.towers.get(name) for a in architectures]
        mark: Mark = "" if None not in towers else "form"
        sides = [{} if tower is None else {path: tower} for tower in towers]
        pictures = [() if tower is None else (tower_chain(tower),) for tower in towers]
        values = fact_values(sides)
        if mark:
            values = (replace(v, mark="") for v in values)
        panels.append(
            Panel(
                key=path,
                role="tower",
                title=f"{name.capitalize()} encoder",
                pictures=tuple(pictures),
                values=tuple(values),
                path=path,
                mark=mark,
            )
        )
    return panels


def tower_chain(tower: Encoder) -> ChainPicture:
    """Return the parts of an encoder in order, from its input to the decoder."""
    match tower:
        case Tower():
            parts = [f"patches {tower.patch_size} px", f"{tower.layers} × ViT layer"]
            if tower.inner_merge > 1:
                parts.append(f"merge {tower.inner_merge} × {tower.inner_merge} within")
            if tower.merge > 1:
                parts.append(f"merge {tower.merge} × {tower.merge}")
        case SpeechTower():
            convolutions = tower.halvings or 2
            parts = [f"{convolutions} convolutions", f"{tower.layers} × Whisper layer"]
        case SpeechConformer():
            parts = [f"{tower.halvings} convolutions", f"{tower.layers} × Conformer"]
        case Conformer():
            parts = ["2 convolutions", f"{tower.layers} × Conformer"]
        case FeatureEmbedding():
            source = f"patches {tower.patch_size} px" if tower.patch_size else "samples"
            parts = [source]
        case ConvTower():
            blocks = sum(map(len, tower.stages))
            parts = ["stem", f"{blocks} blocks", "fusion"]
    if tower.projector:
        parts.append(f"to {number(tower.projector[-1].outputs)}")
    return ChainPicture(parts=tuple(parts), role="tower")


def mtp_panels(architectures: Sequence[Architecture]) -> list[Panel]:
    """Return the panel of multi-token prediction; none where no layout is known."""
    modules = [a.mtp for a in architectures]
    if not any(mtp is not None and mtp.layer_kind is not None for mtp in modules):
        return []
    sides = [mtp_facts(a) for a in architectures]
    labels = dict.fromkeys(label for facts in sides for label in facts)
    values = [value(label, [facts.get(label, ABSENT) for facts in sides]) for label in labels]
    mark: Mark = "" if all(sides) else "form"
    if mark:
        values = [replace(v, mark="") for v in values]
    return [
        Panel(
            key="mtp",
            role="io",
            title="Multi-token prediction",
            pictures=tuple(mtp_chains(a) for a in architectures),
            values=tuple(values),
            path="mtp",
            mark=mark,
        )
    ]


def mtp_chains(a: Architecture) -> tuple[ChainPicture, ...]:
    """Return the parts of a module in order; nothing without modules."""
    if a.mtp is None or a.mtp.layer_kind is None:
        return ()
    entering = ("hidden, next embedding", "norms", "projection")
    parts = (*entering, "layer", "head")
    chain = ChainPicture(parts=parts, role="io")
    return (chain,)


def mtp_facts(a: Architecture) -> dict[str, str]:
    """Return what a module is made of, by label."""
    if a.mtp is None:
        return {}
    return {
        "modules": number(a.mtp.modules),
        "layer": mtp_layer(a, a.mtp),
        "input": f"{number(2 * a.hidden_size)} to {number(a.hidden_size)}",
        "norms beside it": number(a.mtp.norms),
        "embedding, head": copies(a.mtp),
    }


def mtp_layer(a: Architecture, mtp: MTP) -> str:
    """Return the layer of each module in words."""
    if mtp.layer_kind not in a.layer_kinds:
        return "unknown"
    return plain_words(kind_word(a, mtp.layer_kind))


def copies(mtp: MTP) -> str:
    """Return which matrices a module has of its own: `own embedding, head of the model`."""
    if mtp.own_embedding and mtp.own_head:
        return "its own"
    if mtp.own_embedding:
        return "own embedding"
    if mtp.own_head:
        return "own head"
    return "those of the model"
