"""The command `llmarch explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import app
from .common import Format, Output, bundled_readings, examples, write


def complete_word(incomplete: str) -> list[str]:
    """Return the terms and rules that begin so, for the shell."""
    from ..views.explained import explained_names

    return [name for name in explained_names() if name.startswith(incomplete.lower())]


@app.command(
    epilog=examples(
        "llmarch explain mla",
        "llmarch explain weight + 1",
        "llmarch explain rope.theta",
        "llmarch explain rope-theta-changed",
        'llmarch explain "softmax router, weights of the chosen 8 renormalised"',
    )
)
def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TERM]",
            help="A term, a fact, a rule, or a line of `show`. Default: list the terms.",
            autocompletion=complete_word,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Name all models that have it, not the newest.")
    ] = False,
    format: Output = Format.text,
) -> None:
    """Explain a term, fact, rule or line: what it is, why, who has it and who had it first."""
    from ..views import explained

    if not words:
        write(format, "table", explained.terms_table, explained.terms_document)
        return
    found = explained.explain_words(" ".join(words), bundled_readings)
    if format.is_document:
        write(format, "sheet", lambda: None, lambda: explained.explanations_document(found))
        return
    for word in found:
        sheet = explained.explained_sheet(word, everything)
        write(format, "sheet", lambda sheet=sheet: sheet, lambda: None)
