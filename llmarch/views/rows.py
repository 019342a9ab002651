"""A row of `diff` and the comparison matrix: one fact of one model in words."""

from __future__ import annotations

from dataclasses import field

from ..architecture.catalogue import block_name
from ..architecture.catalogue.fact import MAIN, SECTIONS, Fact
from ..architecture.frozen import Frozen, frozen

Key = tuple[str, str]
"""Section and label of a row."""


@frozen
class Row(Frozen):
    """One fact of one model. Rows of several models with the same key stand side by side."""

    section: str
    label: str
    text: str
    """The fact in words. Blocks that do not have it are left out."""
    number: float | None = None
    """The number whose ratio to another model's is shown."""
    full_text: str = ""
    """The same with the blocks that do not have it; empty for derived rows."""
    by_block: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """The words of each block, None for one without the fact. Empty if the row is derived."""
    exact: str = ""
    """The same without rounding, for models that have other values and the same text."""
    implied: bool = False
    """Whether the row says nothing by itself: it is only shown beside one that does."""
    rank: int = MAIN
    """Rank within the section, as in the catalogue."""
    order: int = 0
    """Place among the rows of one section and rank."""
    equal: str = ""
    """Phrase of the "equal" line; see `Fact.equal`."""

    @property
    def key(self) -> Key:
        """Return section and label."""
        return self.section, self.label

    @property
    def holders(self) -> frozenset[str] | None:
        """Return the blocks that have the fact, None where all of them do."""
        having: set[str] = set()
        for name, text in self.by_block.items():
            if text is not None:
                having.add(name)
        if len(having) == len(self.by_block):
            return None
        return frozenset(having)

    def words_of(self, block: str) -> str | None:
        """Return the words of a block; those of the whole row if it is derived."""
        if not self.by_block:
            return self.text
        return self.by_block.get(block)


def key_of(path: str, fact: Fact | None) -> Key:
    """Return the row that a path belongs to; encoders have their name in the label."""
    if fact is None:
        return SECTIONS[-1], path
    label = fact.label
    if fact.group == "towers":
        name = block_name(path)
        label = f"{name} {label}"
    return fact.section, label
