"""The command `llmarch show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Format,
    Offline,
    Output,
    Ref,
    Refresh,
    end_if_partial,
    examples,
    inspect_reference,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.reading import Observation, Reading
    from ..views.documents import Sheet


@app.command(
    epilog=examples(
        "llmarch show qwen3-235b",
        "llmarch show Qwen/Qwen3-8B@main --format json",
        "llmarch show ./checkpoint --tensors",
        "llmarch show gemma3-27b --explain mixers.sliding.window",
    )
)
def show(
    ref: Ref,
    format: Output = Format.text,
    layers: Annotated[bool, typer.Option("--layers", help="Add a table of every layer.")] = False,
    tensors: Annotated[
        bool,
        typer.Option("--tensors", help="Add a table of the tensors, folded by name pattern."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Add a table of every fact with its path.")
    ] = False,
    sketch: Annotated[
        bool, typer.Option("--sketch", help="Print a sketch of the blocks first.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="PATH",
            help="Show what a fact means and where it comes from: mixers.full.rope, kv_heads.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model's architecture is."""
    reading = inspect_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
    if explain is not None:
        from ..views import evidence

        explained = evidence.explain(reading, explain)
        write(
            format,
            "table",
            lambda: evidence.explanation_table(explained),
            lambda: evidence.explanation_document(explained),
        )
    else:
        if sketch and format is not Format.json:
            from .pictures import print_sketch

            print_sketch([reading], fenced=format is Format.markdown)
        asked = {"layers": layers, "tensors": tensors, "facts": everything}
        names = [name for name, wanted in asked.items() if wanted]
        write(format, "sheet", lambda: pages(reading, names), lambda: show_document(reading))
    end_if_partial([reading])


def show_document(reading: Reading | Observation) -> object:
    """Return the JSON document of a model."""
    from ..renderers import json

    return json.model_document(reading)


def pages(reading: Reading | Observation, tables: Sequence[str]) -> Sheet:
    """Return the first screen of a model, with the tables of these names below it."""
    from ..checkpoint.reading import Observation

    if isinstance(reading, Observation):
        from ..views import inferred

        sheet = inferred.inferred_sheet(reading)
        sheet.tables.extend(inferred.INFERRED_TABLES[name](reading) for name in tables)
        return sheet
    from ..views import model

    sheet = model.model_sheet(reading)
    if tables:
        from ..views.tables import MODEL_TABLES

        sheet.tables.extend(MODEL_TABLES[name](reading) for name in tables)
    return sheet
