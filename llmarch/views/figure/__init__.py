"""Describe the figure of a model, or of several side by side, without a form.

`figure` is the entry. Pure, like all views; `layout/` gives the figure places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...architecture.catalogue.fact import DETAIL
from ...checkpoint.reading import Reading
from ...compare.lock import make_entry
from ..checkpoint_rows import with_checkpoint_rows
from ..compared_rows import ComparedModel, ComparedRow, compared_models, compared_rows
from ..comparison import comparison_notes, conflict_notes, rows_of_models
from ..conflict import conflict_lines
from ..derived_rows import CACHE, DERIVED
from ..documents import ABSENT
from ..fact_rows import row_sources
from ..headings import column_names
from ..numbers import plural
from ..remarks import remarks
from ..rows import Key
from ..wording import headline
from .description import Figure, Mark, ModelPicture, ModelStack, Panel, Value
from .differences import MODELS, PlacedChange, placed_changes
from .marks import marked_layers, marked_stacks
from .panels import block_panels, label_of, mtp_panels, tower_panels, value
from .stacks import KindColours, layer_strip, model_stack, plain_words

WHOLE: dict[Key, str] = {
    ("Size", "total"): "parameters",
    ("Size", "active"): "active",
    ("Layers", "layers"): "layers",
    ("Layers", "hidden size"): "hidden size",
    ("Size", "vocabulary"): "vocabulary",
    ("Position", "context"): "context",
    ("Layers", "residual"): "residual",
    (CACHE, "per token"): "cache per token",
    (CACHE, "at 32k"): "cache at 32k",
    ("Size", "MTP modules"): "MTP modules",
    ("Norms", "kind"): "norms",
    ("Norms", "placement"): "norm placement",
}
"""Facts about a model as a whole that a figure always has, with their labels."""
USUAL = {"none", "0", "one stream", ABSENT}
"""Words that are not said of a single model."""
ELSEWHERE = ("recipe", "pattern", "decay", "embedding", "routed by token id", "encoders")
"""Derived rows that the strip, the boxes or the panels say."""


def figure(readings: Sequence[Reading]) -> Figure:
    """Return the figure of one model, of a pair, or of three and more models over a matrix.

    It says what contradicts a config, what differs beside the architecture, and all remarks.
    """
    found = figure_of_architectures(readings)
    names = column_names(readings)
    warnings = conflict_notes(names, readings)
    notes = comparison_notes(names, readings)
    if len(readings) == 1:
        warnings = conflict_lines(readings[0])
        notes = remarks(readings[0])
    elif len(readings) == 2:
        notes = [*differences_beside(readings), *notes]
    warnings, notes = list(map(plain_words, warnings)), list(map(plain_words, notes))
    summary = ". ".join([found.summary.removesuffix("."), *warnings, *notes])
    return replace(found, summary=f"{summary}.", warnings=tuple(warnings), notes=tuple(notes))


def figure_of_architectures(readings: Sequence[Reading]) -> Figure:
    """Return the figure without what is said beside the architectures."""
    models = compared_models(readings)
    colours: KindColours = {}
    pictures: list[ModelPicture] = []
    for name, r, m in zip(column_names(readings), readings, models, strict=True):
        picture = model_picture(name, r, m, colours)
        pictures.append(picture)
    if len(readings) == 1:
        return single_figure(readings[0], pictures[0])
    if len(readings) == 2:
        return pair_figure(readings, models, pictures)
    return row_figure(readings, models, pictures)


def differences_beside(readings: Sequence[Reading]) -> list[str]:
    """Return what differs beside the architectures, a row of `diff` a line."""
    entries = list(map(make_entry, readings))
    lines: list[str] = []
    for row in with_checkpoint_rows([], entries):
        if row.differs:
            lines.append(f"differs too: {row_words(row)}")
    return lines


def row_words(row: ComparedRow) -> str:
    """Return a row on one line: `Findings tensor-missing: – / model.norm.weight`."""
    cells: list[str] = []
    for cell in row.cells:
        text = on_one_line(cell)
        cells.append(text)
    values = " / ".join(cells)
    name = f"{row.section} {row.label}"
    return f"{name}: {values}"


def model_picture(name: str, r: Reading, m: ComparedModel, colours: KindColours) -> ModelPicture:
    """Return one model with its stack and strip, without marks.

    name: its name, which no other model beside it has.
    """
    a = r.architecture
    origin = " · ".join(filter(None, (r.raw.repo_id, a.model_type)))
    return ModelPicture(
        name=name,
        origin=origin,
        headline=headline(a),
        stack=model_stack(a, colours),
        strip=layer_strip(name, a, colours),
        facts=tuple(whole_facts(m)),
    )


def whole_facts(m: ComparedModel) -> Iterable[tuple[str, str]]:
    """Yield label and words of the facts about a model as a whole."""
    for key, label in WHOLE.items():
        row = m.rows.get(key)
        if row is None:
            continue
        if row.text not in USUAL:
            yield label, row.text


def single_figure(r: Reading, picture: ModelPicture) -> Figure:
    """Return the figure of one model."""
    architectures = [r.architecture]
    panels = [
        *block_panels(architectures),
        *mtp_panels(architectures),
        *tower_panels(architectures),
    ]
    return Figure(
        models=(picture,),
        panels=tuple(panels),
        title=f"Architecture of {picture.name}",
        summary=model_summary(picture),
    )


def model_summary(picture: ModelPicture) -> str:
    """Return a model in a sentence or two: headline, facts, recipe of the layers."""
    words = [f"{label} {words}" for label, words in picture.facts]
    facts = ", ".join(words)
    kinds = [f"{kind.count} × {kind.words}" for kind in picture.strip.kinds]
    layers = ", ".join(kinds)
    return f"{picture.name}: {picture.headline}; {facts}; layers: {layers}."


# A pair


def pair_figure(
    readings: Sequence[Reading], models: Sequence[ComparedModel], pictures: Sequence[ModelPicture]
) -> Figure:
    """Return the figure of two models side by side, with what differs marked or named."""
    architectures = [r.architecture for r in readings]
    panels = [
        *block_panels(architectures),
        *mtp_panels(architectures),
        *tower_panels(architectures),
    ]
    whole = whole_values(models)
    shown = {key for key, v in whole.items() if v.mark}
    found = list(placed_changes(models[0], models[1], panels, shown))
    norms = [v for (section, _), v in whole.items() if section == "Norms"]
    old, new = marked_layers((pictures[0], pictures[1]))
    stacks = marked_stacks((old.stack, new.stack), panels, strongest(norms))
    overview = Panel(key=MODELS, role="io", title="The models", values=tuple(whole.values()))
    noted = [with_notes(panel, found) for panel in (overview, *panels)]
    drawn = [change.path for change in found if change.drawn]
    named = [change.path for change in found if not change.drawn]
    return Figure(
        models=(with_stack(old, stacks[0]), with_stack(new, stacks[1])),
        panels=tuple(noted),
        title=f"{old.name} and {new.name} side by side",
        summary=pair_summary(models, pictures),
        drawn=frozenset(drawn),
        named=frozenset(named),
    )


def with_stack(picture: ModelPicture, stack: ModelStack) -> ModelPicture:
    """Return a model with another stack."""
    return replace(picture, stack=stack)


def strongest(values: Iterable[Value]) -> Mark:
    """Return `form` if a value differs, else nothing: a norm has no numbers in a figure."""
    if any(v.mark for v in values if not v.label.endswith("ε")):
        return "form"
    return ""


def whole_values(models: Sequence[ComparedModel]) -> dict[Key, Value]:
    """Return the facts about the models as a whole, and further ones that differ."""
    values: dict[Key, Value] = {}
    differing = {(row.section, row.label): row for row in compared_rows(models) if row.differs}
    for key, label in WHOLE.items():
        rows = [m.rows.get(key) for m in models]
        cells = [ABSENT if row is None else row.text for row in rows]
        if key in differing:
            cells = [plain_words(on_one_line(cell)) for cell in differing[key].cells]
        is_said = not USUAL.issuperset(cells)
        if is_said:
            values[key] = value(label, cells)
    for key, row in differing.items():
        is_shown = key in WHOLE or not is_about_whole(key)
        if not is_shown:
            cells = [plain_words(on_one_line(cell)) for cell in row.cells]
            label = label_of(key)
            values.setdefault(key, value(label, cells))
    return values


def on_one_line(cell: str) -> str:
    """Return a cell on one line."""
    lines = cell.split("\n")
    return ", ".join(lines)


def is_about_whole(key: Key) -> bool:
    """Return whether a row is about a model as a whole, and said in no other place."""
    section, label = key
    if section in (CACHE, "Storage", "Config", "Encoders"):
        return False
    if key in DERIVED:
        return label not in ELSEWHERE
    source = row_sources().get(key)
    if source is None:
        return False
    fact = source.facts[0]
    if fact.rank == DETAIL:
        return False
    return fact.group not in ("mixers", "ffns", "towers", "layer_kinds", "other")


def with_notes(panel: Panel, found: Sequence[PlacedChange]) -> Panel:
    """Return a panel that names the differences that the figure does not draw."""
    labels: dict[str, None] = {}
    for change in found:
        if change.drawn or change.panel != panel.key:
            continue
        labels[change.label] = None
    notes = tuple(labels)
    return replace(panel, notes=notes)


def pair_summary(models: Sequence[ComparedModel], pictures: Sequence[ModelPicture]) -> str:
    """Return how two models differ, then what each is."""
    rows = [row for row in compared_rows(models) if row.differs]
    names = " and ".join(picture.name for picture in pictures)
    count = "the same architecture by the configs"
    if rows:
        listed = "; ".join(map(row_words, rows))
        count = f"{plural(len(rows), 'difference')}. {listed}"
    each = " ".join(map(model_summary, pictures))
    return plain_words(f"{names}: {count}. {each}")


# Three and more models


def row_figure(
    readings: Sequence[Reading], models: Sequence[ComparedModel], pictures: Sequence[ModelPicture]
) -> Figure:
    """Return the figure of three and more models: a row of stacks over the matrix of `diff`."""
    matrix: list[tuple[str, Value]] = []
    for row in rows_of_models(readings, models):
        if row.differs:
            cells = [plain_words(cell) for cell in row.cells]
            shown = value(row.label, cells)
            matrix.append((row.section, shown))
    names = ", ".join(picture.name for picture in pictures)
    summaries = map(model_summary, pictures)
    summary = " ".join(summaries)
    changed: set[str] = set()
    for model in models:
        changed.update(*model.changed.values())
    return Figure(
        models=tuple(pictures),
        panels=(),
        title=f"{names} side by side",
        summary=plain_words(summary),
        matrix=tuple(matrix),
        drawn=frozenset(changed),
    )
