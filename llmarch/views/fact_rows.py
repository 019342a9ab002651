"""Rows of facts, made from the catalogue.

Rows that are computed from the whole architecture are in derived_rows.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from ..architecture.catalogue import CATALOGUE, expand_path, find_value, named_blocks
from ..architecture.catalogue.fact import Fact
from ..architecture.schema import Architecture
from .rows import Key, Row
from .wording import used_mixer_names

ACRONYMS = {"nope": "NoPE", "moe": "MoE", "csa": "CSA", "hca": "HCA"}
"""Parts of block names as people write them."""


class Words(NamedTuple):
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
    for facts in facts_of_rows().values():
        order = CATALOGUE.index(facts[0])
        group = facts[0].group
        if group == "towers":
            yield from tower_rows(a, order, facts, towers)
        else:
            words = words_of_blocks(facts, used_blocks(a, group))
            row = merged_row(facts[0], order, words)
            if row is not None:
                yield row


def tower_rows(
    a: Architecture, order: int, facts: list[Fact], detailed: Iterable[str]
) -> Iterator[Row]:
    """Yield a row for each encoder, labelled with its name: `vision heads`."""
    is_heading = "towers.*" in expand_path(facts[0].path)
    for name in a.towers if is_heading else detailed:
        words = words_of_blocks(facts, {name: a.towers[name]})
        row = merged_row(facts[0]._replace(label=f"{name} {facts[0].label}"), order, words)
        if row is not None:
            yield row


@cache
def facts_of_rows() -> dict[Key, list[Fact]]:
    """Return the entries that word each row; several only if each is of other classes."""
    rows: dict[Key, list[Fact]] = {}
    for fact in CATALOGUE:
        if fact.words is not None:
            rows.setdefault((fact.section, fact.label), []).append(fact)
    return rows


def used_blocks(a: Architecture, group: str) -> dict[str, Any]:
    """Return the blocks of a group by name; of mixers those that layers use, in their order."""
    blocks = named_blocks(a, group)
    if group == "mixers":
        return {name: blocks[name] for name in used_mixer_names(a)}
    return blocks


def words_of_blocks(facts: list[Fact], blocks: dict[str, Any]) -> dict[str, Words]:
    """Return the words of each block whose class has the fact."""
    found: dict[str, Words] = {}
    for name, block in blocks.items():
        for fact in facts:
            if not fact.kinds or isinstance(block, fact.kinds):
                words = words_of_block(fact, block)
                if words is not None:
                    found[name] = words
    return found


@cache
def path_in_block(fact: Fact) -> str:
    """Return the first path of an entry below its block: `rope.theta`, or `` for the block."""
    path = expand_path(fact.path)[0]
    _, *rest = path.split(".")
    if "*" in path:
        return ".".join(rest[1:])
    return ".".join(rest)


def words_of_block(fact: Fact, block: Any) -> Words | None:
    """Return a block's fact in words; None where the part that would have it is not there."""
    path = fact.path if isinstance(block, Architecture) else path_in_block(fact)
    owner = find_value(block, path.rpartition(".")[0])
    if fact.words is None or owner is None:
        return None
    value = find_value(block, path)
    taken = {"value": value, "owner": owner, "block": block}[fact.takes]
    implied = fact.implied(block) if fact.implied else "none"
    return Words(fact.words(taken), implied, number_of(fact, block, value))


def number_of(fact: Fact, block: Any, value: Any) -> float | None:
    """Return the number of a fact whose ratio to another model's is shown.

    fact: the entry.
    block: the block that has the fact.
    value: the value at the path of the fact.
    """
    if fact.number is not None:
        return fact.number(block)
    if fact.takes != "value" or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value


def merged_row(fact: Fact, order: int, words: dict[str, Words]) -> Row | None:
    """Return one row for all blocks, None where no block has the fact.

    fact: the entry that describes the row.
    order: its place in the catalogue.
    words: the words of each block.
    """
    by_block = {name: block.text for name, block in words.items()}
    having = {name: text for name, text in by_block.items() if text is not None}
    everywhere = {name: having.get(name, block.implied) for name, block in words.items()}
    implied = not having
    if implied and not (words and fact.implied):
        return None
    shown = everywhere if implied else having
    first = next(iter(shown))
    return Row(
        section=fact.section,
        label=fact.label,
        text=joined_texts(fact, shown),
        full_text=joined_texts(fact, everywhere),
        by_block=by_block,
        number=words[first].number if len(set(shown.values())) == 1 else None,
        implied=implied,
        rank=fact.rank,
        order=order,
        equal=fact.equal,
    )


def joined_texts(fact: Fact, texts: dict[str, str]) -> str:
    """Return one text for all blocks: itself where all agree, else a line for each text.

    Norms have no names that mean something; their different texts are joined by ` / `.
    """
    names: dict[str, list[str]] = {}
    for name, text in texts.items():
        names.setdefault(text, []).append(block_title(name))
    if fact.group == "norms":
        return " / ".join(names)
    if len(names) == 1:
        return next(iter(names))
    return "\n".join(f"{', '.join(blocks)} {text}" for text, blocks in names.items())


def block_title(name: str) -> str:
    """Return the name of a block as people write it: `nope` -> `NoPE`."""
    return " ".join(ACRONYMS.get(part, part) for part in name.split("_"))
