"""Which differences of two models a figure shows, and which it names only.

Every change of `compare.diff` is one of the two. A change is drawn if the figure has other words,
or another picture of the wiring, without it: each is undone on its own in the new model, or made on
its own in the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...architecture.catalogue import find_fact
from ...architecture.layers import is_whole, norm_places
from ...architecture.paths import find_value, parent_path, replace_value
from ...architecture.schema import Architecture
from ...compare.diff import differing_facts
from ...compare.severity import Difference, Edit
from ..documents import ABSENT
from ..fact_rows import row_sources
from ..layer_kinds import distinct_kind_words
from ..rows import Key, key_of
from ..shown_changes import ComparedModel, block_name, row_text, row_without
from .description import Panel
from .panels import MTP_LABELS, Blocks, blocks_by_class, cell, label_of, mtp_facts
from .stacks import (
    embedding_box,
    entry_pills,
    exit_pills,
    head_box,
    mtp_box,
    source_boxes,
    wiring,
)

MODELS = "models"
"""Key of the panel about the models as a whole."""


class PlacedChange(NamedTuple):
    """One change between two models, and where a figure has it."""

    path: str
    label: str
    """What to name it by."""
    panel: str
    """Key of the panel that has it, or names it."""
    drawn: bool


def placed_changes(
    old: ComparedModel, new: ComparedModel, panels: Sequence[Panel], shown: set[Key]
) -> Iterator[PlacedChange]:
    """Yield the changes between two models.

    old, new: the models.
    panels: the panels of blocks, encoders and prediction modules.
    shown: rows of the panel about the models as a whole in which they differ.
    """
    a, b = old.architecture, new.architecture
    for difference in differing_facts(a, b):
        key = key_of(difference.path, find_fact(difference.path, a, b))
        panel = panel_of(difference, a, b, panels)
        words = Words(difference, key, panel, shown)
        label = label_of(key).replace("_", " ")
        place = panel.key if panel else MODELS
        yield PlacedChange(difference.path, label, place, words.show_change(old, new))


def panel_of(
    difference: Difference, a: Architecture, b: Architecture, panels: Sequence[Panel]
) -> Panel | None:
    """Return the panel that has the block of a change, None for what is in no panel."""
    group, _, _ = difference.path.partition(".")
    name = block_name(difference.path)
    by_key = {panel.key: panel for panel in panels}
    if group in ("towers", "mtp"):
        return by_key.get(f"towers.{name}" if name else "mtp")
    for i, (architecture, path) in enumerate(((a, difference.old_path), (b, difference.new_path))):
        block = ".".join(path.split(".")[:2])
        for class_name, blocks in blocks_by_class(architecture).items():
            if block in blocks:
                return next((p for p in panels if class_at(p, i) == class_name), None)
    return None


def class_at(panel: Panel, i: int) -> str:
    """Return the class of blocks that a panel shows of a model, by the model's number."""
    names = panel.key.split("|")
    if len(names) == 1:
        return names[0]
    return names[i]


def edited(a: Architecture, edit: Edit | None) -> Architecture | None:
    """Return an architecture with one value changed, None where no single value does it."""
    if edit is None:
        return None
    owner = parent_path(edit.path)
    if owner and find_value(a, owner) is None:
        return None
    changed = replace_value(a, edit.path, edit.value)
    if not is_whole(changed):
        return None
    if not named_norms(changed) <= changed.norms.keys():
        return None
    mtp = changed.mtp
    if mtp is not None and mtp.layer_kind not in (None, *changed.layer_kinds):
        return None
    return changed


def named_norms(a: Architecture) -> set[str]:
    """Return the names of all norms that a model places."""
    names = [a.final_norm, a.embedding.norm]
    kinds = a.layer_kinds.values()
    for kind in kinds:
        names += norm_places(kind)
    named = filter(None, names)
    return set(named)


class Words(NamedTuple):
    """What a figure says of an architecture that a difference may change."""

    difference: Difference
    key: Key
    panel: Panel | None
    shown: set[Key]

    @property
    def group(self) -> str:
        """Return the part of the architecture that has the fact."""
        path = self.difference.path
        group, _, _ = path.partition(".")
        return group

    def show_change(self, old: ComparedModel, new: ComparedModel) -> bool:
        """Return whether the figure is another one without the difference."""
        for model, edit in ((new, self.difference.undo), (old, self.difference.make)):
            reverted = edited(model.architecture, edit)
            if reverted is None:
                continue
            said = zip(
                self.texts(model, model.architecture), self.texts(model, reverted), strict=True
            )
            if any(text != other for text, other in said):
                return True
        if self.difference.undo is None or self.difference.make is None:
            return self.shows_part(old, new)
        return False

    def texts(self, model: ComparedModel, a: Architecture) -> Iterator[object]:
        """Yield what the figure says of an architecture, the place of the fact itself first.

        model: the model that it is a variant of.
        a: the architecture.
        """
        if self.group not in ("layers", "layer_kinds"):
            yield self.own_text(model, a)
            yield around(a)
        yield layers_text(a)

    def own_text(self, model: ComparedModel, a: Architecture) -> str | None:
        """Return the value of the panel or of the row that the fact has, None without one."""
        if self.panel is not None:
            return self.panel_text(a)
        if self.key not in self.shown:
            return None
        row = model.rows.get(self.key)
        if a is not model.architecture:
            row = row_without(model, a, self.key, self.difference.path)
        return row_text(row, full=False)

    def panel_text(self, a: Architecture) -> str:
        """Return the value of the panel in which the fact is."""
        assert self.panel is not None
        section, label = self.key
        if self.group == "mtp":
            _, _, field = self.difference.path.partition(".")
            return mtp_facts(a).get(MTP_LABELS.get(field, "modules"), ABSENT)
        if self.group == "towers":
            label = label.removeprefix(f"{block_name(self.difference.path)} ")
        has_value = any(v.label == label_of((section, label)) for v in self.panel.values)
        source = row_sources().get((section, label))
        if source is None or not has_value:
            return ABSENT
        return cell(source.facts, self.blocks(a))

    def blocks(self, a: Architecture) -> Blocks:
        """Return the blocks that the panel shows of an architecture."""
        assert self.panel is not None
        found: Blocks = {}
        if self.group == "towers":
            name = block_name(self.difference.path)
            if name in a.towers:
                found[name] = a.towers[name]
            return found
        by_class = blocks_by_class(a)
        names = self.panel.key.split("|")
        for name in dict.fromkeys(names):
            found |= by_class.get(name, {})
        return found

    def shows_part(self, old: ComparedModel, new: ComparedModel) -> bool:
        """Return whether the figure shows a part that came, went, or has another form."""
        a, b = old.architecture, new.architecture
        if layers_text(a) != layers_text(b) and self.group in ("layers", "layer_kinds"):
            return True
        if self.group in ("towers", "mtp"):
            return self.difference.path in ("mtp", f"towers.{block_name(self.difference.path)}")
        if self.panel is not None and self.group in ("mixers", "ffns"):
            first, _, second = self.panel.key.partition("|")
            variants = any(v.label == "variants" and v.mark for v in self.panel.values)
            return first != second or variants or " · " in self.panel.title
        before, after = (find_value(x, self.difference.path) for x in (a, b))
        return self.key in self.shown and before != after


def layers_text(a: Architecture) -> object:
    """Return what strip and columns say of the layers: kinds in order, and the wiring of each."""
    words = distinct_kind_words(a)
    wirings = {words[kind]: wiring(a, kind) for kind in dict.fromkeys(a.layers)}
    return [words[kind] for kind in a.layers], wirings


def around(a: Architecture) -> object:
    """Return what boxes and pills around the layers say."""
    mtp = a.mtp and mtp_box(a, a.mtp)
    pills = entry_pills(a), exit_pills(a)
    return embedding_box(a), head_box(a), mtp, source_boxes(a), pills
