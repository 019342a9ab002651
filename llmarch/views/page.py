"""The report of one model, or of several, as data: what a page shows besides figures and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..architecture.catalogue import find_fact
from ..architecture.catalogue.fact import DETAIL
from ..architecture.frozen import Frozen, frozen
from ..architecture.meanings import PathMeanings
from ..checkpoint.reading import Observation, Reading
from ..sources.raw import RawModel, abbreviate_commit, is_gguf_document
from .compared_rows import ComparedRow, compared_models, compared_rows
from .comparison import (
    comparison_of_rows,
    conflict_notes,
    marked_cells,
    ratio_text,
    rows_of_models,
)
from .doubts import marked_rows
from .evidence import evidence_lines
from .findings import finding_line
from .headings import HUB, column_names
from .inferred import inferred_fact_table, inferred_sheet
from .memory_terms import MemoryAtContexts, MemoryTerms, memory_at_contexts, memory_terms
from .model import model_sheet
from .observed_comparison import compare_observed, legend_words, words_of_layers
from .rows import Key, key_of
from .tables import layer_table

MOST_SOURCES = 6
"""Sources of a row that are shown, of each model."""
UNSAID_SOURCE = "computed from the facts"
"""Source of a row that no fact alone is the source of."""


@frozen
class ReportedFact(Frozen):
    """One fact of the reported models."""

    section: str
    label: str
    cells: tuple[str, ...]
    differs: bool
    folded: bool
    """Whether it is shown on request only: equal facts of several models, details of one."""
    ratio: str = ""
    meaning: str = ""
    sources: tuple[tuple[str, ...], ...] = ()
    """Where the value of each model comes from, in words."""


@frozen
class ReportedLayer(Frozen):
    """One layer of a strip."""

    kind: int
    """Number of its kind in the legend."""
    words: str
    """What it is, what it sees, its positions."""


@frozen
class ReportedModel(Frozen):
    """What a page shows of one model by itself."""

    name: str
    origin: str
    headline: str
    layers: tuple[ReportedLayer, ...]
    links: tuple[tuple[str, str], ...]
    """Words and address of each page about the model."""
    notes: tuple[str, ...]
    findings: tuple[str, ...]
    terms: MemoryTerms | None = None
    """None for a model whose memory is not known."""
    memory: MemoryAtContexts | None = None


@frozen
class ReportPage(Frozen):
    """What a page shows of one model, or of several side by side."""

    title: str
    headline: str
    reference: tuple[str, ...]
    """The models as they were named on the command line."""
    models: tuple[ReportedModel, ...]
    facts: tuple[ReportedFact, ...]
    legend: tuple[str, ...]
    """Kinds of layers in words; their numbers are those of the strips."""
    notes: tuple[str, ...]
    """What is to be known of all models together."""

    @property
    def has_memory(self) -> bool:
        """Return whether the memory of every model is known."""
        return all(model.terms is not None for model in self.models)


def report_page(readings: Sequence[Reading | Observation]) -> ReportPage:
    """Return the report of models; the first is the one that others are compared with."""
    known = [r for r in readings if isinstance(r, Reading)]
    names = column_names(readings)
    legend = legend_words(readings)
    models: list[ReportedModel] = []
    for name, r in zip(names, readings, strict=True):
        model = reported_model(name, r, legend)
        models.append(model)
    headline = models[0].headline
    notes: list[str] = []
    if len(known) < len(readings):
        facts = facts_of_observed(readings)
        if len(readings) > 1:
            notes = list(compare_observed(readings).notes)
    else:
        compared = compared_models(known)
        if len(known) > 1:
            rows = rows_of_models(known, compared)
            comparison = comparison_of_rows(known, compared, rows)
            headline = comparison.summary or comparison.verdict
            notes = [*comparison.conflicts, *comparison.notes]
        else:
            rows = list(compared_rows(compared))
            notes = conflict_notes(names, known)
        facts = known_facts(known, rows)
    return ReportPage(
        title=" · ".join(names),
        headline=headline,
        reference=tuple(r.raw.reference for r in readings),
        models=tuple(models),
        facts=tuple(facts),
        legend=legend,
        notes=tuple(notes),
    )


# Models


def reported_model(name: str, r: Reading | Observation, legend: Sequence[str]) -> ReportedModel:
    """Return what a page shows of one model by itself."""
    findings = tuple(map(finding_line, r.findings))
    if isinstance(r, Observation):
        sheet = inferred_sheet(r)
        return ReportedModel(
            name=name,
            origin=sheet.origin,
            headline=sheet.headline,
            layers=observed_strip(r, legend),
            links=tuple(model_links(r.raw)),
            notes=tuple(sheet.notes),
            findings=findings,
        )
    sheet = model_sheet(r)
    return ReportedModel(
        name=name,
        origin=sheet.origin,
        headline=sheet.headline,
        layers=known_strip(r, legend),
        links=tuple(model_links(r.raw)),
        notes=tuple(sheet.notes),
        findings=findings,
        terms=memory_terms(r),
        memory=memory_at_contexts(r),
    )


def model_links(raw: RawModel) -> list[tuple[str, str]]:
    """Return the pages about a model, as words and address: its repository, its config's source."""
    found: list[tuple[str, str]] = []
    if raw.repo_id and raw.kind != "local":
        found.append((f"{raw.repo_id} on the Hub", f"{HUB}/{raw.repo_id}"))
        if raw.commit:
            short = abbreviate_commit(raw.commit)
            found.append((f"commit {short}", f"{HUB}/{raw.repo_id}/commit/{raw.commit}"))
    copied = (raw.provenance or {}).get("source") or ""
    commit = (raw.provenance or {}).get("commit")
    path = (raw.provenance or {}).get("path")
    if copied.startswith("github:") and commit and path:
        repository = copied.removeprefix("github:")
        address = f"https://github.com/{repository}/blob/{commit}/{path}"
        found.append((f"config as copied from {repository}", address))
    return found


# Layers


def known_strip(r: Reading, legend: Sequence[str]) -> tuple[ReportedLayer, ...]:
    """Return the layers of a model, each with what it sees and its positions."""
    layers: list[ReportedLayer] = []
    for _, blocks, reach, position in layer_table(r).rows:
        details = [word for word in (reach, position) if word not in ("", "-")]
        words = " · ".join([blocks, *details])
        layers.append(ReportedLayer(legend.index(blocks), words))
    return tuple(layers)


def observed_strip(o: Observation, legend: Sequence[str]) -> tuple[ReportedLayer, ...]:
    """Return the layers of a model that no family reads."""
    layers: list[ReportedLayer] = []
    for words in words_of_layers(o):
        place = legend.index(words)
        layer = ReportedLayer(place, words)
        layers.append(layer)
    return tuple(layers)


# Facts


def known_facts(readings: Sequence[Reading], rows: Sequence[ComparedRow]) -> list[ReportedFact]:
    """Return the facts of models, those that are equal too, as `diff --all` has them.

    readings: the models.
    rows: all rows of the models.
    """
    is_pair = len(readings) == 2
    marks = list(map(marked_rows, readings))
    paths = [paths_by_key(r) for r in readings]
    meanings = [PathMeanings(r.evidence) for r in readings]
    facts: list[ReportedFact] = []
    for row in rows:
        key = row.section, row.label
        facts.append(
            ReportedFact(
                section=row.section,
                label=row.label,
                cells=tuple(marked_cells(row, marks)),
                differs=row.differs,
                folded=is_folded(row, len(readings)),
                ratio=ratio_text(row) if is_pair else "",
                meaning=meaning_of_row(meanings, paths, key),
                sources=tuple(
                    source_lines(r, of_model.get(key, []))
                    for r, of_model in zip(readings, paths, strict=True)
                ),
            )
        )
    return facts


def is_folded(row: ComparedRow, models: int) -> bool:
    """Return whether a row is shown on request only."""
    if models > 1:
        return not row.differs
    return row.rank == DETAIL


def paths_by_key(r: Reading) -> dict[Key, list[str]]:
    """Return the paths of the facts that each row is about."""
    found: dict[Key, list[str]] = {}
    for path in r.evidence:
        fact = find_fact(path, r.architecture)
        if fact is None:
            continue
        key = key_of(path, fact)
        paths = found.setdefault(key, [])
        paths.append(path)
    return found


def meaning_of_row(
    meanings: Sequence[PathMeanings], paths: Sequence[Mapping[Key, list[str]]], key: Key
) -> str:
    """Return what the first fact of a row means, empty if no fact alone makes the row.

    meanings: those of each model.
    paths: of each model, the paths of the facts that each row is about.
    key: the row.
    """
    for of_paths, of_model in zip(meanings, paths, strict=True):
        for path in of_model.get(key, []):
            meaning = of_paths.meaning(path)
            if meaning:
                return meaning
    return ""


def source_lines(r: Reading, paths: Sequence[str]) -> tuple[str, ...]:
    """Return where facts of a row come from: `mixers.full.heads: config key num_heads`."""
    is_gguf = is_gguf_document(r.raw.config or {})
    lines: list[str] = []
    for path in paths[:MOST_SOURCES]:
        source = " · ".join(evidence_lines(r.evidence[path], is_gguf))
        lines.append(f"{path}: {source}")
    more = len(paths) - len(lines)
    if more:
        lines.append(f"and {more:,} more")
    return tuple(lines) or (UNSAID_SOURCE,)


def facts_of_observed(readings: Sequence[Reading | Observation]) -> list[ReportedFact]:
    """Return the facts of models of which one at least is read from tensors alone."""
    first = readings[0]
    if len(readings) == 1 and isinstance(first, Observation):
        rows = inferred_fact_table(first).rows
        return [fact_of_path(path, [value]) for path, value, *_ in rows]
    return [fact_of_path(path, cells) for path, *cells in compare_observed(readings).table.rows]


def fact_of_path(path: str, cells: Sequence[str]) -> ReportedFact:
    """Return a fact by its path."""
    section, _, _ = path.partition(".")
    return ReportedFact(section, path, tuple(cells), differs=len(cells) > 1, folded=False)
