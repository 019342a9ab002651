"""The figure of a model that no family reads: what its tensors prove, with the unknown marked.

Blocks stand in the order of their names in a layer. How they are wired is not in the tensors, so no
residual line is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...architecture.paths import last_part
from ...architecture.wording.names import name_title
from ...checkpoint.inference.model import InferredModel
from ...checkpoint.reading import Observation
from .. import numbers
from ..inferred import block_paths, reasons, value_word
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
from .stacks import plain_words

UNKNOWN_VALUE = "?"
"""What stands for a fact that tensors do not prove."""
BOX_FACTS = {"heads": "heads", "kv_heads": "KV", "width": "wide", "experts": "experts"}
"""Facts in a box, with the word after their number."""


def observed_figure(o: Observation) -> Figure:
    """Return the figure of a model that was observed from names and shapes of tensors."""
    seen = o.observed
    kinds = observed_kinds(seen)
    stack = ModelStack(
        columns=tuple(observed_column(seen, kind) for kind in kinds),
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
    layers = tuple(numbers_by_kind[name] for name in seen.layers)
    headline = "Observed from tensor names and shapes; ? is unknown"
    picture = ModelPicture(
        name=o.name,
        origin=o.raw.repo_id or o.raw.reference,
        headline=headline,
        stack=stack,
        strip=LayerStrip(name=o.name, layers=layers, kinds=tuple(kinds)),
        facts=tuple(observed_facts(seen)),
    )
    return Figure(
        models=(picture,),
        panels=tuple(observed_panel(seen, path) for path in block_paths(seen)),
        title=f"Architecture of {o.name}, as far as its tensors show it",
        summary=f"{o.name}: {headline}. {o.why}",
        notes=tuple(map(plain_words, reasons(o))),
    )


def observed_kinds(seen: InferredModel) -> list[KindLabel]:
    """Return the kinds of layers in the order of their first use."""
    labels: list[KindLabel] = []
    for name, count in Counter(seen.layers).items():
        blocks = " + ".join(map(block_words, seen.kinds[name].blocks))
        words = blocks or "unrecognised"
        labels.append(KindLabel(name=name, count=count, words=words, number=len(labels)))
    return labels


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
    total = UNKNOWN_VALUE if seen.total is None else numbers.count(seen.total)
    yield "parameters", total
    yield "layers", numbers.number(len(seen.layers))
    for label, path in (("hidden size", "hidden_size"), ("vocabulary", "vocab_size")):
        yield label, observed_fact(seen, path)
    yield "context", observed_fact(seen, "context_length")


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
