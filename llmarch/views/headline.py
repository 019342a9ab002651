"""Say in one sentence how a model differs from another one.

Made from the rows that lead a section (their rank in the catalogue). What is another design comes
first, then sizes by how much they differ: `DeepSeek-V3's architecture with half the query heads,
1.5 × the routed experts and 12 % fewer active parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log
from typing import NamedTuple

from ..architecture.catalogue.fact import LEAD
from ..architecture.frozen import Frozen, frozen
from .checkpoint_rows import BESIDE_FACTS, FINDINGS, UNREAD_KEYS
from .compared_rows import ComparedRow
from .derived_rows import CACHE, DERIVED
from .documents import ABSENT
from .rows import Key

DESIGN_SECTIONS = (
    "Layers",
    "Attention",
    "Linear attention",
    "MoE",
    "Feed-forward",
    "Norms",
    "Position",
)
"""Sections whose rows are about the architecture."""
LEFT_OUT = {"recipe", "pattern", "RoPE θ"}
"""Rows that repeat what others say, or whose ratio tells nothing."""
REPEATED: frozenset[Key] = frozenset({("Layers", "recipe"), ("Layers", "pattern")})
"""Rows that are not counted: what others say, layer by layer."""
MTP_MODULES: Key = ("Size", "MTP modules")
PARAMETERS = {"active": "active parameters", "total": "parameters"}
"""Rows of parameter counts, the first of which that differs is named last."""
KIND = "kind"
"""Label of the row that names the kind of a section's blocks."""
BESIDE = {
    "Config": "under another name",
    "Storage": "stored in another way",
    UNREAD_KEYS: "with other keys that llmarch does not read",
    FINDINGS: "with other findings",
    BESIDE_FACTS: "with other files or token ids",
}
"""What a model is where it differs only in a section that is not about the architecture."""
EXPERTS = ("MoE", "routed experts")
"""The row that only mixtures of experts have."""
MOST_DESIGNS = 3
MOST_SIZES = 2
LONGEST = 80
"""Characters of the phrase about a row; the values of a longer one are left to the table."""
CLOSE = 0.1
"""Relative difference below which a size is given in per cent."""
NUMBERS_AND_PLURALS = re.compile(r"[\d,.]+|(?<=[a-z])s\b")
"""Numbers, and the plural that follows from them."""


class HeadlinePart(NamedTuple):
    """A phrase of the sentence, and the row that it is about."""

    phrase: str
    row: ComparedRow


@frozen
class Headline(Frozen):
    """The sentence about the second of two models."""

    sentence: str = ""
    """Empty where no row differs."""
    untold: int = 0
    """How many rows of the design differ and are not in the sentence."""


def headline_of_pair(names: Sequence[str], rows: Sequence[ComparedRow]) -> Headline:
    """Return the sentence about the second of two models, empty where no row differs.

    names: the names of both.
    rows: their rows.
    """
    first, second = names
    differing = [row for row in rows if row.differs]
    if not differing:
        return Headline()
    telling = [row for row in differing if row.rank == LEAD and row.section in DESIGN_SECTIONS]
    telling = [row for row in telling if row.label not in LEFT_OUT]
    designs = design_phrases(telling)
    shown = designs[:MOST_DESIGNS]
    told = shown + size_phrases(telling, differing)
    if not told:
        return small_difference(first, differing)
    phrases = listed([one.phrase for one in told])
    sentence = f"{second} is another design than {first}: {phrases}"
    if len(designs) < MOST_DESIGNS:
        sentence = f"{first}'s architecture with {phrases}"
    return Headline(sentence, count_untold(differing, [one.row for one in told]))


def count_untold(differing: Sequence[ComparedRow], told: Sequence[ComparedRow]) -> int:
    """Return how many rows of the design differ and are not told.

    Sums over facts and what repeats other rows are not counted, nor what is beside the design.
    """
    keys_beside_facts = {(row.section, row.label) for row in told}
    untold = 0
    for row in differing:
        key = row.section, row.label
        if row.section in BESIDE or key in REPEATED or is_sum(key):
            continue
        if key not in keys_beside_facts:
            untold += 1
    return untold


def is_sum(key: Key) -> bool:
    """Return whether a row is a sum over facts: parameters, or bytes of the cache."""
    section, _ = key
    is_size = section in ("Size", "Encoders") and key in DERIVED and key != MTP_MODULES
    return is_size or section == CACHE


# Other designs


def design_phrases(rows: Sequence[ComparedRow]) -> list[HeadlinePart]:
    """Return a phrase for each row that tells of another form and not only of other numbers.

    Where a section has blocks of another kind, its other rows follow from that.
    """
    other_kinds = {row.section for row in rows if row.label == KIND and is_other_form(row)}
    phrases: list[HeadlinePart] = []
    for row in rows:
        follows = row.section in other_kinds and row.label != KIND
        if (row.section, row.label) == EXPERTS and ABSENT in row.cells:
            phrases.append(HeadlinePart(experts_phrase(row), row))
        elif not follows and row.section != EXPERTS[0] and is_other_form(row):
            phrases.append(HeadlinePart(design_phrase(row), row))
    return phrases


def is_other_form(row: ComparedRow) -> bool:
    """Return whether the cells of a row differ in more than their numbers."""
    cells = row.cells
    if row.section == "Feed-forward" and ABSENT in cells:
        return False
    forms: set[str] = set()
    for cell in cells:
        form = NUMBERS_AND_PLURALS.sub("", cell)
        forms.add(form)
    return len(forms) > 1


def experts_phrase(row: ComparedRow) -> str:
    """Return `a mixture of 128 experts`, or `dense blocks instead of 128 experts`."""
    old, new = row.cells
    if new == ABSENT:
        return f"dense blocks instead of {old} experts"
    return f"a mixture of {new} experts"


def design_phrase(row: ComparedRow) -> str:
    """Return `MLA instead of GQA`, `no sparse indexer`, `window 4,096`."""
    old, new = map(one_line, row.cells)
    if row.label == KIND and ABSENT not in (old, new):
        return f"{new} instead of {old}"
    if row.label == KIND and old == ABSENT:
        return f"{new} layers"
    if row.label == KIND:
        return f"no {old} layers"
    if new in (ABSENT, "none"):
        return f"no {row.label}"
    if old in (ABSENT, "none"):
        return f"{row.label} {new}"
    if row.label == "positions":
        learned, _, _ = row.cells[0].partition(", ")
        return f"{new} instead of {learned} positions"
    phrase = f"{row.label} {new} instead of {old}"
    if len(phrase) > LONGEST:
        return f"another {row.label}"
    return phrase


def one_line(cell: str) -> str:
    """Return a cell on one line, a list in parentheses: `(sliding 4,096, full none)`."""
    words = cell.replace("\n", ", ")
    if ", " in words:
        return f"({words})"
    return words


# Sizes


def size_phrases(telling: Sequence[ComparedRow], rows: Sequence[ComparedRow]) -> list[HeadlinePart]:
    """Return the sizes that differ most, then a number of parameters.

    telling: the rows that may be named.
    rows: all that differ.
    """
    sizes = [row for row in telling if ratio_of(row) != 1]
    sizes.sort(key=weight, reverse=True)
    phrases: list[HeadlinePart] = []
    for row in sizes[:MOST_SIZES]:
        phrases.append(HeadlinePart(size_phrase(ratio_of(row), row.label), row))
    for label, noun in PARAMETERS.items():
        for row in rows:
            if row.section == "Size" and row.label == label and is_seen(ratio_of(row)):
                return [*phrases, HeadlinePart(size_phrase(ratio_of(row), noun), row)]
    return phrases


def ratio_of(row: ComparedRow) -> float:
    """Return the second number of a row by the first; 1 where it has not two."""
    old, new = (*row.numbers, None, None)[:2]
    if not old or not new or old * new < 0:
        return 1
    return new / old


def weight(row: ComparedRow) -> float:
    """Return how much the numbers of a row differ: the logarithm of their ratio."""
    ratio = ratio_of(row)
    return abs(log(ratio))


def is_seen(ratio: float) -> bool:
    """Return whether a ratio differs from 1 with two digits of a per cent."""
    change = abs(ratio - 1)
    return change >= 0.001


def size_phrase(ratio: float, noun: str) -> str:
    """Return `1.5 × the routed experts`, `half the query heads`, `2.7 % fewer parameters`."""
    change = abs(ratio - 1)
    limit = CLOSE
    if noun in PARAMETERS.values():
        limit = max(limit, 0.2)
    if change < limit:
        return close_phrase(ratio, noun)
    if ratio == 2:
        return f"twice the {noun}"
    if ratio == 0.5:
        return f"half the {noun}"
    return f"{ratio:.3g} × the {noun}"


def close_phrase(ratio: float, noun: str) -> str:
    """Return `2.7 % fewer parameters`, `a 5 % larger hidden size`."""
    change = abs(ratio - 1)
    percent = f"{100 * change:.2g} %"
    is_plural = noun.endswith("s")
    if ratio > 1:
        word = "more" if is_plural else "larger"
    else:
        word = "fewer" if is_plural else "smaller"
    phrase = f"{percent} {word} {noun}"
    if is_plural:
        return phrase
    return f"a {phrase}"


# Small differences


def small_difference(first: str, rows: Sequence[ComparedRow]) -> Headline:
    """Return the sentence about models that differ in no leading fact."""
    sections = {row.section for row in rows}
    if sections <= BESIDE.keys():
        phrases = [phrase for section, phrase in BESIDE.items() if section in sections]
        return Headline(f"{first}'s architecture, {listed(phrases)}")
    facts = [row for row in rows if row.section in DESIGN_SECTIONS]
    facts = facts or [row for row in rows if row.section not in BESIDE]
    labels = list(dict.fromkeys(row.label for row in facts))
    shown = labels[:MOST_DESIGNS]
    told = [row for row in facts if row.label in shown]
    sentence = f"{first}'s architecture but for {listed(shown)}"
    return Headline(sentence, count_untold(rows, told))


def listed(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    *most, last = words
    others = ", ".join(most)
    return f"{others} and {last}"
