"""What tells kinds of layers of one recipe apart: the facts in which their blocks differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..architecture.schema import Architecture
from ..architecture.wording.names import name_title
from .fact_rows import row_sources, words_of_blocks
from .wording import kind_word

MOST_DETAILS = 2
"""Facts that are named to tell kinds of layers of one recipe apart."""


def words_told_apart(a: Architecture, kinds: Sequence[str]) -> dict[str, str]:
    """Return different words for kinds of layers that have one recipe.

    They have the facts in which their blocks differ; where these do not tell, their names.
    """
    details: dict[str, list[str]] = {kind: [] for kind in kinds}
    for paths in zip(*(paths_of_blocks(a, kind) for kind in kinds), strict=False):
        if len(set(paths)) == 1:
            continue
        for label, texts in differing_facts_of(a, paths):
            only_has = len([text for text in texts if text]) == 1
            for kind, text in zip(kinds, texts, strict=True):
                detail = label if only_has else f"{label} {text}"
                if text and detail not in details[kind]:
                    details[kind].append(detail)
    words: dict[str, str] = {}
    for kind, texts in details.items():
        shown = f" ({', '.join(texts[:MOST_DETAILS])})" if texts else ""
        words[kind] = kind_word(a, kind) + shown
    if len(set(words.values())) == len(kinds):
        return words
    return {kind: f"{kind_word(a, kind)} ({name_title(kind)})" for kind in kinds}


def paths_of_blocks(a: Architecture, kind: str) -> list[str]:
    """Return the paths of the blocks of a kind of layer in order."""
    paths: list[str] = []
    for step in a.layer_kinds[kind].steps:
        for branch in step.branches:
            paths.append(branch.block)
    return paths


def differing_facts_of(a: Architecture, paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the label of each fact that blocks have differently, and its words for each block.

    a: the architecture.
    paths: the paths of the blocks. The words of a block without the fact are empty.
    """
    blocks = {path: a.block(path) for path in paths}
    for source in row_sources().values():
        fact = source.facts[0]
        of_group = {path: blocks[path] for path in blocks if path.startswith(f"{fact.group}.")}
        words = words_of_blocks(source.facts, of_group)
        texts = [words[path].text or "" if path in words else "" for path in paths]
        if len(set(texts)) > 1:
            yield fact.label, texts
