"""Several models side by side, as an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..architecture.frozen import Frozen, frozen
from ..checkpoint.reading import Observation, Reading
from ..errors import LlmarchError
from .readings import ModelObservation, ModelReading
from .shown import SelfShown

if TYPE_CHECKING:
    from ..architecture.json_compare import ComparisonDocument, DiffDocument
    from ..architecture.schema import Change
    from ..views.documents import Comparison, Sheet


@frozen
class ModelComparison(SelfShown, Frozen):
    """Models held against the first of them."""

    models: tuple[ModelReading | ModelObservation, ...]
    """The models, in the order in which they were given."""

    @property
    def names(self) -> list[str]:
        """Return a name for each model, no two alike."""
        from ..views.headings import column_names

        return column_names(self.models)

    @property
    def changes(self) -> dict[str, list[Change]]:
        """Return what differs from the first model, worst first, by the name of each other."""
        from ..compare.entry_diff import reported_changes
        from ..compare.lock import make_entry

        old, *others = map(make_entry, self.models)
        names = self.names[1:]
        return {name: reported_changes(old, new) for name, new in zip(names, others, strict=True)}

    @property
    def figures(self) -> list[dict[str, Any]]:
        """Return the main figures of each model, a row for `pandas.DataFrame`."""
        from ..views.brief import model_figures

        rows: list[dict[str, Any]] = []
        for name, model in zip(self.names, self.models, strict=True):
            found = model_figures(model)
            caches = found.pop("cache_bytes_at")
            sizes = {f"cache_bytes_at_{tokens}": size for tokens, size in caches.items()}
            rows.append({"model": name, **found, **sizes})
        return rows

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Return a row for each fact: its path, and the value of each model (None: it has none)."""
        names = self.names
        known = [model.facts for model in self.models]
        paths = dict.fromkeys(path for facts in known for path in facts)
        rows: list[dict[str, Any]] = []
        for path in paths:
            values = [facts.get(path) for facts in known]
            rows.append({"path": path, **dict(zip(names, values, strict=True))})
        return rows

    def view(self) -> Comparison:
        """Return the comparison as `llmarch diff` shows it."""
        from ..views.comparison import compare_any

        return compare_any(list(self.models), False, False)

    def to_dict(self) -> DiffDocument | ComparisonDocument:
        """Return the document of `llmarch diff --format json` (docs/json.md)."""
        from ..renderers.json import comparison

        document: Any = comparison(self.models)
        return document

    def sheet(self) -> Sheet:
        """Return the comparison as a sheet."""
        from ..views.documents import Sheet

        shown = self.view()
        title = " / ".join(self.names)
        lines = [(name, [origin]) for name, origin in shown.origins]
        notes = [*shown.conflicts, *shown.notes]
        if shown.verdict:
            notes.insert(0, shown.verdict)
        return Sheet(title, "", shown.summary, lines, notes, [shown.table])


def compare_readings(readings: Sequence[Reading | Observation]) -> ModelComparison:
    """Return models held against the first of them. Raises LlmarchError for fewer than two."""
    from ..compare.unstated import with_unstated_facts
    from .readings import any_with_numbers

    if len(readings) < 2:
        raise LlmarchError("a comparison needs two models or more")
    shown = [any_with_numbers(r) for r in with_unstated_facts(list(readings))]
    return ModelComparison(tuple(shown))
