"""Rows of facts, made from the catalogue.

Rows that are computed from the whole architecture are in derived_rows.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from ..architecture.catalogue import CATALOGUE, expand_path, named_blocks
from ..architecture.catalogue.fact import Fact
from ..architecture.paths import find_value, parent_path
from ..architecture.schema import Architecture
from ..architecture.wording.names import name_title
from .rows import Key, Row
from .wording import used_mixer_names


class RowSource(NamedTuple):
    """The entries of the catalogue that word one row."""

    facts: list[Fact]
    """Several only if each is of other classes."""
    order: int
    """Place in the catalogue."""


class BlockWords(NamedTuple):
    """One block's fact in words."""

    text: str | None
    """None where the block does not have the fact."""
    implied: str
    """What then holds instead: `none`, or what follows from other facts."""
    number: float | None


def fact_rows(a: Architecture, towers: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of an architecture's facts, in the order of the catalogue.

    a: the architecture.
    towers: names of the encoders that have rows of their details.
    """
    blocks: dict[str, dict[str, Any]] = {}
    for source in row_sources().values():
        group = source.facts[0].group
        if group not in blocks:
            blocks[group] = used_blocks(a, group)
        yield from rows_of_source(a, source, towers, blocks[group])


def find_fact_row(a: Architecture, fact: Fact, key: Key, towers: Iterable[str]) -> Row | None:
    """Return the row of words with a key, None where no block has the fact.

    a: the architecture.
    fact: the entry that the row is about, or another one of the same section and label.
    key: the key of the row; of encoders the label has the name.
    towers: names of the encoders that have rows of their details.
    """
    source = row_sources().get((fact.section, fact.label))
    if source is None:
        return None
    rows = rows_of_source(a, source, towers, used_blocks(a, fact.group))
    found = (row for row in rows if row.key == key)
    return next(found, None)


def rows_of_source(
    a: Architecture, source: RowSource, towers: Iterable[str], blocks: dict[str, Any]
) -> Iterator[Row]:
    """Yield the row of some entries; of encoders one for each, none where no block has the fact.

    a: the architecture.
    source: the entries of the row.
    towers: names of the encoders that have rows of their details.
    blocks: the used blocks of the group that the entries are about.
    """
    if source.facts[0].group == "towers":
        yield from encoder_rows(a, source, towers)
        return
    words = words_of_blocks(source.facts, blocks)
    row = merged_row(source, words)
    if row is not None:
        yield row


def encoder_rows(a: Architecture, source: RowSource, detailed: Iterable[str]) -> Iterator[Row]:
    """Yield a row for each encoder, labelled with its name: `vision heads`.

    a: the architecture.
    source: the entries of the row.
    detailed: names of the encoders that have rows of their details; all have their first row.
    """
    fact = source.facts[0]
    names = [name for name in detailed if name in a.towers]
    if "towers.*" in expand_path(fact.path):
        names = list(a.towers)
    for name in names:
        words = words_of_blocks(source.facts, {name: a.towers[name]})
        named = fact._replace(label=f"{name} {fact.label}")
        row = merged_row(RowSource([named], source.order), words)
        if row is not None:
            yield row


@cache
def row_sources() -> dict[Key, RowSource]:
    """Return the entries that word each row, in the order of the catalogue."""
    sources: dict[Key, RowSource] = {}
    for order, fact in enumerate(CATALOGUE):
        if fact.words is None:
            continue
        key = fact.section, fact.label
        if key not in sources:
            sources[key] = RowSource([], order)
        source = sources[key]
        source.facts.append(fact)
    return sources


def used_blocks(a: Architecture, group: str) -> dict[str, Any]:
    """Return the blocks of a group by name; of mixers those that layers use, in their order."""
    blocks = named_blocks(a, group)
    if group != "mixers":
        return blocks
    return {name: blocks[name] for name in used_mixer_names(a)}


def words_of_blocks(facts: Sequence[Fact], blocks: dict[str, Any]) -> dict[str, BlockWords]:
    """Return the words of each block whose class has the fact."""
    found: dict[str, BlockWords] = {}
    for name, block in blocks.items():
        for fact in facts:
            if not fact.belongs_to(block):
                continue
            words = words_of_block(fact, block)
            if words is not None:
                found[name] = words
    return found


def words_of_block(fact: Fact, block: Any) -> BlockWords | None:
    """Return a block's fact in words; None where the part that would have it is not there."""
    path = path_in_block(fact, block)
    owner_path = parent_path(path)
    owner = find_value(block, owner_path)
    if fact.words is None or owner is None:
        return None
    value = find_value(block, path)
    parts = {"value": value, "owner": owner, "block": block}
    taken = parts[fact.takes]
    text = fact.words(taken)
    number = number_of(fact, block, value)
    implied = "none"
    if fact.implied is not None:
        implied = fact.implied(block)
    return BlockWords(text, implied, number)


def path_in_block(fact: Fact, block: Any) -> str:
    """Return the first path of an entry below its block: `rope.theta`, or `` for the block."""
    if isinstance(block, Architecture):
        return fact.path
    path = first_path(fact)
    _, *parts = path.split(".")
    if parts[:1] == ["*"]:
        parts = parts[1:]
    return ".".join(parts)


@cache
def first_path(fact: Fact) -> str:
    """Return the first of the paths that an entry covers."""
    return expand_path(fact.path)[0]


def number_of(fact: Fact, block: Any, value: Any) -> float | None:
    """Return the number of a fact whose ratio to another model's is shown.

    fact: the entry.
    block: the block that has the fact.
    value: the value at the path of the fact.
    """
    if fact.number is not None:
        return fact.number(block)
    if fact.takes != "value" or isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    return None


def merged_row(source: RowSource, words: dict[str, BlockWords]) -> Row | None:
    """Return one row for all blocks, None where no block has the fact.

    source: the entries of the row; the first describes it.
    words: the words of each block.
    """
    fact = source.facts[0]
    by_block: dict[str, str | None] = {}
    having: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    for name, block in words.items():
        by_block[name] = block.text
        everywhere[name] = block.implied
        if block.text is not None:
            having[name] = everywhere[name] = block.text
    implied = not having
    if implied and (fact.implied is None or not everywhere):
        return None
    shown = having or everywhere
    texts = set(shown.values())
    number = None
    if len(texts) == 1:
        first = next(iter(shown))
        number = words[first].number
    return Row(
        section=fact.section,
        label=fact.label,
        text=joined_texts(fact, shown),
        full_text=joined_texts(fact, everywhere),
        by_block=by_block,
        number=number,
        implied=implied,
        rank=fact.rank,
        order=source.order,
        equal=fact.equal,
    )


def joined_texts(fact: Fact, texts: dict[str, str]) -> str:
    """Return one text for all blocks: itself where all agree, else a line for each text.

    Norms have no names that mean something; their different texts are joined by ` / `.
    """
    names_by_text: dict[str, list[str]] = {}
    for name, text in texts.items():
        title = name_title(name)
        names = names_by_text.setdefault(text, [])
        names.append(title)
    is_common = len(names_by_text) == 1
    if is_common or fact.group == "norms":
        return " / ".join(names_by_text)
    lines: list[str] = []
    for text, names in names_by_text.items():
        blocks = ", ".join(names)
        if text.startswith(f"{blocks} "):
            lines.append(text)  # `sliding latent` instead of `sliding sliding latent`
        else:
            lines.append(f"{blocks} {text}")
    return "\n".join(lines)
