"""The figure of a model that no family reads: what its tensors prove, with the unknown marked.

Blocks stand in the order of their names in a layer. How they are wired is not in the tensors, so no
residual line is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields

from ...architecture.paths import last_part
from ...architecture.schema import Architecture
from ...architecture.wording.names import name_title
from ...checkpoint.inference.model import InferredModel
from ...checkpoint.reading import Observation, Reading
from .. import numbers
from ..compared_rows import compared_models
from ..documents import ABSENT
from ..headings import column_names
from ..inferred import block_paths, reasons, value_word
from ..observed_comparison import UNCHANGED, compare_observed
from . import model_picture
from .description import (
    Box,
    BranchPicture,
    Column,
    Figure,
    KindLabel,
    LayerStrip,
    ModelPicture,
    ModelStack,
    Panel,
    PartRole,
    Pill,
    StepPicture,
    Value,
)
from .panels import value
from .stacks import KindColours, plain_words

UNKNOWN_VALUE = "?"
"""What stands for a fact that tensors do not prove."""
MODEL, CONFIG = "Model", "Config and files"
"""Sections of several models: facts about each as a whole, and what no family reads."""
FACT_GROUPS = {field.name for field in fields(Architecture)}
OBSERVED_FACTS = ("parameters", "layers", "hidden size", "vocabulary", "context")
"""Facts about a model as a whole that an observed one has."""
BOX_FACTS = {"heads": "heads", "kv_heads": "KV", "width": "wide", "experts": "experts"}
"""Facts in a box, with the word after their number."""


def figure_with_observed(readings: Sequence[Reading | Observation]) -> Figure:
    """Return the figure of models of which one or more are observed.

    One alone has panels; several stand in a row over what both sides show, as `diff` has it.
    """
    names = column_names(readings)
    colours: KindColours = {}
    pictures = [picture_of_any(n, r, colours) for n, r in zip(names, readings, strict=True)]
    first = readings[0]
    if len(readings) == 1 and isinstance(first, Observation):
        return observed_figure(first, pictures[0])
    compared = compare_observed(readings)
    rows: dict[str, list[Value]] = {MODEL: list(facts_side_by_side(pictures))}
    for path, *cells in compared.table.rows:
        shown = [plain_words(cells[0] if cell == UNCHANGED else cell) for cell in cells]
        section, label = section_and_label(path)
        rows.setdefault(section, []).append(value(label, shown))
    if CONFIG in rows:
        rows[CONFIG] = rows.pop(CONFIG)
    matrix = [(section, v) for section, values in rows.items() for v in values]
    sentences = [f"{p.name}: {p.headline}" for p in pictures]
    return Figure(
        models=tuple(pictures),
        panels=(),
        title=f"{', '.join(names)} side by side",
        summary=". ".join([*sentences, *map(plain_words, compared.notes)]),
        matrix=tuple(matrix),
        drawn=frozenset(path for path, *_ in compared.table.rows),
        warnings=tuple(map(plain_words, compared.conflicts)),
        notes=tuple(map(plain_words, compared.notes)),
    )


def section_and_label(path: str) -> tuple[str, str]:
    """Return section and label of what differs: a fact, or a config key and what is stored."""
    group, _, _ = path.partition(".")
    if group not in FACT_GROUPS:
        return CONFIG, path
    section, _, label = path.rpartition(".")
    if not section:
        section = MODEL
    return section, label


def picture_of_any(name: str, r: Reading | Observation, colours: KindColours) -> ModelPicture:
    """Return one model, whether or not a family reads it; see `model_picture`."""
    if isinstance(r, Observation):
        return observed_picture(name, r, colours)
    (model,) = compared_models([r])
    return model_picture(name, r, model, colours)


def facts_side_by_side(pictures: Sequence[ModelPicture]) -> Iterator[Value]:
    """Yield the facts about whole models that observed ones have too, those that differ or not."""
    facts = [dict(picture.facts) for picture in pictures]
    for label in OBSERVED_FACTS:
        yield value(label, [of_model.get(label, ABSENT) for of_model in facts])


def observed_picture(name: str, o: Observation, colours: KindColours) -> ModelPicture:
    """Return one model that was observed from names and shapes of tensors.

    name: its name, which no other model beside it has.
    o: the model.
    colours: see `kind_labels`.
    """
    seen = o.observed
    kinds = observed_kinds(seen, colours)
    columns = [observed_column(seen, kind) for kind in kinds] or [unknown_column()]
    stack = ModelStack(
        columns=tuple(columns),
        layers=len(seen.layers),
        embedding=Box(
            path="embedding",
            role="io",
            title="Token embedding",
            lines=(f"{observed_fact(seen, 'vocab_size')} × {observed_fact(seen, 'hidden_size')}",),
        ),
        exit=(Pill(text="norm"),) if seen.facts.get("final_norm") else (),
        head=Box(path="head", role="io", title="Output head"),
    )
    numbers_by_kind = {kind.name: kind.number for kind in kinds}
    layers = tuple(numbers_by_kind[kind] for kind in seen.layers)
    return ModelPicture(
        name=name,
        origin=o.raw.repo_id or o.raw.reference,
        headline="Observed from tensor names and shapes; ? is unknown",
        stack=stack,
        strip=LayerStrip(name=name, layers=layers, kinds=tuple(kinds)),
        facts=tuple(observed_facts(seen)),
    )


def observed_figure(o: Observation, picture: ModelPicture) -> Figure:
    """Return the figure of one observed model."""
    seen = o.observed
    return Figure(
        models=(picture,),
        panels=tuple(observed_panel(seen, path) for path in block_paths(seen)),
        title=f"Architecture of {o.name}, as far as its tensors show it",
        summary=f"{o.name}: {picture.headline}. {o.why}",
        notes=tuple(map(plain_words, reasons(o))),
    )


def observed_kinds(seen: InferredModel, colours: KindColours) -> list[KindLabel]:
    """Return the kinds of layers in the order of their first use; see `kind_labels`."""
    labels: list[KindLabel] = []
    for name, count in Counter(seen.layers).items():
        blocks = " + ".join(map(block_words, seen.kinds[name].blocks))
        words = blocks or "unrecognised"
        number = colours.setdefault(words, len(colours))
        labels.append(KindLabel(name=name, count=count, words=words, number=number))
    return labels


def unknown_column() -> Column:
    """Return what stands for the layers of a model whose tensors were not read."""
    kind = KindLabel(name="", count=0, words="unknown", number=0)
    box = Box(path="", role="io", title="Layers", lines=(UNKNOWN_VALUE,))
    step = StepPicture(branches=(BranchPicture(box=box),), wiring_known=False)
    return Column(kinds=(kind,), steps=(step,))


def block_words(path: str) -> str:
    """Return the name of a block as people write it: `latent attention`, `MoE`."""
    return name_title(last_part(path))


def observed_column(seen: InferredModel, label: KindLabel) -> Column:
    """Return one kind of layer: its blocks in order."""
    kind = seen.kinds[label.name]
    paths = kind.blocks or ("",)
    steps = [observed_step(seen, path, kind.placement) for path in paths]
    closing: list[Pill] = []
    if kind.norms and kind.placement is None:
        norms = numbers.plural(len(kind.norms), "norm")
        closing.append(Pill(text=f"? place of {norms}", role="io"))
    if kind.unrecognised:
        tensors = numbers.plural(len(kind.unrecognised), "tensor")
        closing.append(Pill(text=f"? {tensors}", role="io"))
    return Column(kinds=(label,), steps=tuple(steps), closing=tuple(closing))


def observed_step(seen: InferredModel, path: str, placement: str | None) -> StepPicture:
    """Return one block.

    seen: the model.
    path: the path of the block, empty for a layer of which nothing is recognised.
    placement: where the norms are, None where that is open.
    """
    norm = Pill(text="norm")
    title = block_words(path) or "unrecognised"
    box = Box(
        path=path,
        role=observed_role(path),
        title=title[:1].upper() + title[1:],
        lines=tuple(box_words(seen, path)),
        panel=path,
    )
    branch = BranchPicture(
        box=box,
        pre_norm=norm if placement == "sandwich" else None,
        post_norm=norm if placement in ("sandwich", "post") else None,
    )
    return StepPicture(branches=(branch,), wiring_known=False)


def observed_role(path: str) -> PartRole:
    """Return what a block is for, by its path."""
    group, _, name = path.partition(".")
    if group == "ffns":
        return "moe" if "moe" in name else "dense"
    if group == "towers":
        return "tower"
    if "attention" in name:
        return "attention"
    return "linear" if group == "mixers" else "io"


def box_words(seen: InferredModel, path: str) -> Iterator[str]:
    """Yield the line of a block's box: `32 heads, 8 KV`; ? for a number that is open."""
    words: list[str] = []
    for name, unit in BOX_FACTS.items():
        if f"{path}.{name}" in seen.facts:
            words.append(f"{observed_fact(seen, f'{path}.{name}')} {unit}")
    if words:
        yield ", ".join(words)


def observed_fact(seen: InferredModel, path: str) -> str:
    """Return a fact in words, ? where it is open."""
    value = seen.facts.get(path)
    if value is None:
        return UNKNOWN_VALUE
    if isinstance(value, bool):
        return "yes" if value else "none"
    return value_word(value)


def observed_facts(seen: InferredModel) -> Iterator[tuple[str, str]]:
    """Yield the facts about the model as a whole."""
    total = numbers.count(seen.total) if seen.total else UNKNOWN_VALUE
    layers = numbers.number(len(seen.layers)) if seen.layers else UNKNOWN_VALUE
    paths = ("hidden_size", "vocab_size", "context_length")
    facts = [observed_fact(seen, path) for path in paths]
    yield from zip(OBSERVED_FACTS, (total, layers, *facts), strict=True)


def observed_panel(seen: InferredModel, path: str) -> Panel:
    """Return the facts of one block, ? for those that are open."""
    title = block_words(path)
    values: list[Value] = []
    for name in seen.facts:
        if name.startswith(f"{path}."):
            label = name.removeprefix(f"{path}.").replace("_", " ").replace(".", " ")
            values.append(Value(label=label, cells=(observed_fact(seen, name),)))
    return Panel(
        key=path,
        role=observed_role(path),
        title=title[:1].upper() + title[1:],
        values=tuple(values),
        path=path,
    )
