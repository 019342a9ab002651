"""The glossary of terms: what people meet in `show`, `diff` and papers, with who has it.

One place for the texts: `llmarch explain`, docs/glossary.md and the gallery's timeline take them
from here. What a single fact means is the docstring of its field in the schema.
"""

from __future__ import annotations

import re
from functools import cache

from . import attention, feed_forward, model, positions
from .term import Term

ALL_TERMS: tuple[Term, ...] = (
    *attention.TERMS,
    *positions.TERMS,
    *feed_forward.TERMS,
    *model.TERMS,
)
"""All terms, in the order of their subjects."""
_SIGNS = re.compile(r"[^\w+∥×√εαβθ]+|_+")
_NUMBERS = re.compile(r"(?<!\S)[\d.,]+(?!\S)")
_PARENTHESES = re.compile(r"\s*\([^)]*\)")


def plain_name(text: str) -> str:
    """Return a text in small letters, with one blank between words: `QK-Norm:` -> `qk norm`."""
    return " ".join(_SIGNS.sub(" ", text.lower()).split())


def term_names(term: Term) -> list[str]:
    """Return all names of a term in plain words; without what is in parentheses, too."""
    short = _PARENTHESES.sub("", term.name)
    names = [plain_name(name) for name in (term.name, short, *term.also)]
    return list(dict.fromkeys(names))


@cache
def terms_by_name() -> dict[str, Term]:
    """Return each term by each of its names in plain words; the first one has a name for itself."""
    found: dict[str, Term] = {}
    for term in ALL_TERMS:
        for name in term_names(term):
            found.setdefault(name, term)
    return found


def find_term(text: str) -> Term | None:
    """Return the term of a name, which may be in the plural; None where there is none."""
    words = plain_name(text)
    names = terms_by_name()
    return names.get(words) or names.get(words.removesuffix("s")) or names.get(f"{words}s")


def terms_in(text: str) -> list[Term]:
    """Return the terms that a text names, such as a line of `show`: longer names first.

    Numbers between the words of a name do not matter: `weights of the chosen 8 renormalised`.
    """
    words = f" {plain_name(text)} "
    without_numbers = f" {plain_name(_NUMBERS.sub(' ', text))} "
    found: list[Term] = []
    for name, term in sorted(terms_by_name().items(), key=lambda item: -len(item[0])):
        named = f" {name} "
        if named in words or named in without_numbers:
            words = words.replace(named, "  ")
            without_numbers = without_numbers.replace(named, "  ")
            found.append(term)
    return list(dict.fromkeys(found))
