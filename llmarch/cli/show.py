"""`llmarch show`."""

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
    inspect,
    write,
)

if TYPE_CHECKING:
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
    layers: Annotated[bool, typer.Option("--layers", help="Every layer.")] = False,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="The tensors, folded by pattern, with shapes.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="PATH",
            help="Where a fact comes from, such as mixers.full.rope.theta.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model's architecture is."""
    reading = inspect(ref, offline=offline, headers=not config_only, refresh=refresh)
    if explain is not None:
        from ..views import evidence

        facts = evidence.find(reading, explain)
        write(format, "table", lambda: evidence.table(facts), lambda: evidence.document(facts))
    else:
        write(format, "sheet", lambda: pages(reading, layers, tensors), lambda: document(reading))
    end_if_partial([reading])


def document(reading: Reading | Observation) -> object:
    from ..renderers import json

    return json.show(reading)


def pages(reading: Reading | Observation, layers: bool, tensors: bool) -> Sheet:
    """The sheet of a model, with the tables that were asked for."""
    from ..checkpoint.reading import Observation

    if isinstance(reading, Observation):
        from ..views import inferred as views

        sheet, more = views.sheet(reading), (views.layer_table, views.tensor_table)
        sheet.tables.extend(
            t(reading) for t, wanted in zip(more, (layers, tensors), strict=True) if wanted
        )
    else:
        from ..views import model as views

        sheet, more = views.sheet(reading), (views.layer_table, views.tensor_table)
        sheet.tables.extend(
            t(reading) for t, wanted in zip(more, (layers, tensors), strict=True) if wanted
        )
    return sheet
