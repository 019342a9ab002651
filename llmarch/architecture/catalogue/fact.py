"""What the catalogue says about a fact of the schema. Holds types only, no entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

from ...views.numbers import number
from ..schema import Severity

SECTIONS = (
    "Layers",
    "Attention",
    "Linear attention",
    "MoE",
    "Feed-forward",
    "Norms",
    "Position",
    "Size",
    "Encoders",
    "Cache (bf16)",
    "Storage",
    "Config",
)
"""Sections of `diff` and the comparison matrix, in the order in which they are printed."""

LEAD, MAIN, DETAIL = range(3)
"""Ranks: what leads a section, what follows, and what is printed only where it changed."""


class ChangeRule(NamedTuple):
    """What a change of a fact breaks. Several facts may share a rule."""

    id: str
    """Stable id, never reused (tests/fixtures/rule_ids.txt)."""
    severity: Severity
    """The worst that a change can break; see `llmarch.compare.rules`."""
    title: str
    """What changed, without a final period: `window size changed`."""
    explanation: str
    """What breaks and for whom, in one to three sentences."""
    since: str = "0.1.0"
    """Version of llmarch that introduced the rule."""


BLOCK_FACTOR = ChangeRule(
    "block-factor-changed",
    "behaviour",
    "constant factor within a block changed",
    "A block's input, or a part of what it computes, is multiplied by a different number. The "
    "model loads and answers differently.",
)
INNER_NORM = ChangeRule(
    "inner-norm-changed",
    "weights",
    "norm within a block changed",
    "A norm between a block's projections was added or removed, with its weights.",
)


def plain(value: Any) -> str | None:
    """Return a value in words, None for what a block does not have (None, False, nothing)."""
    if value is None or value is False or value == ():
        return None
    if value is True:
        return "yes"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        return ", ".join(str(plain(item)) for item in items)
    return str(value)


def plain_or_unknown(value: Any) -> str:
    """Return a value in words, `unknown` for one that the config does not say."""
    return plain(value) or "unknown"


def count_or_none(count: int) -> str | None:
    """Return a number, None for 0."""
    if count == 0:
        return None
    return number(count)


def not_in_panel(value: Any) -> None:
    """Return None for every value: a figure says it in another place than the panel's values."""


def no_number(block: Any) -> None:
    """Return None for every block: the ratio of a fact means nothing."""


class Fact(NamedTuple):
    """One entry: facts of the schema that share a row of `diff`, and the rule of their changes.

    Each leaf of the schema is covered by exactly one entry of its class, so the order of entries
    decides nothing but the order of rows and rules.
    """

    path: str
    """Dotted path of the leaves: `*` is any one part, `{a,b}` one of several endings."""
    section: str
    """One of SECTIONS."""
    label: str
    """Label of the row. Entries with one section and label share the row; one gives its words."""
    rule: ChangeRule
    """What a change breaks."""
    kinds: tuple[type, ...] = ()
    """Classes of the blocks that have it; empty where all blocks at the path do."""
    words: Callable[[Any], str | None] | None = plain
    """Returns the value in words, or None where a block does not have the fact.

    None: another entry, or a row that is computed from the whole architecture, words it.
    """
    takes: Literal["value", "owner", "block"] = "value"
    """What `words` takes.

    - `value`: the value at the first path
    - `owner`: what has that value as a field: the Rope of `mixers.full.rope.theta`
    - `block`: the named block (`mixers.full`), or the part of the architecture (`embedding`)
    """
    implied: Callable[[Any], str] | None = None
    """Returns what holds for a block without the fact, where another model has it."""
    number: Callable[[Any], float | None] | None = None
    """Returns the number of a block whose ratio to another model's is shown.

    None: the value that `words` takes, if it is a number.
    """
    unit: str = ""
    """What is counted, in the plural: `tokens`."""
    rank: int = MAIN
    """LEAD, MAIN or DETAIL."""
    equal: str = ""
    """Phrase of the "equal" line: `{} KV heads`. Empty: equal facts are only counted."""
    box: str | Callable[[Any], str | None] = ""
    """Phrase in the block's box in a figure, with the block's fields: `{kv_heads} KV`.

    Or what returns the phrase of a block. Empty: the fact is in the block's panel only.
    """
    panel: Callable[[Any], str | None] | None = None
    """As `words`, for the block's panel in a figure: returns None for what goes without saying."""

    @property
    def group(self) -> str:
        """Return the first part of the path: `mixers`, `quantization`, `hidden_size`."""
        first, _, _ = self.path.partition(".")
        name, _, _ = first.partition("{")
        return name

    def belongs_to(self, block: object) -> bool:
        """Return whether a block is of a class that has the fact."""
        if not self.kinds:
            return True
        return isinstance(block, self.kinds)
