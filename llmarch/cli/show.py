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
    bundled_readings,
    end_if_partial,
    examples,
    fail,
    inspect_reference,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.reading import Observation, Reading
    from ..views.documents import Sheet
    from ..views.likeness import Likeness


@app.command(
    epilog=examples(
        "llmarch show qwen3-235b",
        "llmarch show Qwen/Qwen3-8B@main --format json",
        "llmarch show ./checkpoint --tensors",
        "llmarch show gemma3-27b --explain mixers.sliding.window",
        "llmarch show kimi-linear --new",
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
    new: Annotated[
        bool,
        typer.Option("--new", help="Add what no older bundled model has, and the nearest of them."),
    ] = False,
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
        place = place_among_bundled(reading) if new else None
        write(
            format,
            "sheet",
            lambda: pages(reading, names, place),
            lambda: show_document(reading, place),
        )
    end_if_partial([reading])


def place_among_bundled(reading: Reading | Observation) -> Likeness:
    """Return where a model stands among the bundled ones. Ends the program for an observed one."""
    from ..checkpoint.reading import Observation
    from ..views.likeness import likeness

    if isinstance(reading, Observation):
        fail(f"--new needs all facts of a model: {reading.why}")
    return likeness(reading, bundled_readings())


def show_document(reading: Reading | Observation, place: Likeness | None = None) -> object:
    """Return the JSON document of a model, with what is new in it if that was asked for."""
    from ..renderers import json

    document = json.model_document(reading)
    if place is None:
        return document
    from ..views.likeness import news_record

    return {**document, "news": news_record(place)}


def pages(
    reading: Reading | Observation, tables: Sequence[str], place: Likeness | None = None
) -> Sheet:
    """Return the first screen of a model, with the tables of these names below it.

    place: where it stands among the bundled ones, to say what is new in it; None: do not.
    """
    from ..checkpoint.reading import Observation

    if isinstance(reading, Observation):
        from ..views import inferred

        sheet = inferred.inferred_sheet(reading)
        sheet.tables.extend(inferred.INFERRED_TABLES[name](reading) for name in tables)
        return sheet
    from ..views import model

    sheet = model.model_sheet(reading)
    if place is not None:
        from ..views.likeness import news_lines

        sheet.lines.extend(news_lines(place))
    if tables:
        from ..views.tables import MODEL_TABLES

        sheet.tables.extend(MODEL_TABLES[name](reading) for name in tables)
    return sheet
