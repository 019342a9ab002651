"""The command `llmarch like`."""

from __future__ import annotations

from typing import Annotated

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
    load_reference,
    write,
)


@app.command(
    epilog=examples(
        "llmarch like kimi-k2",
        "llmarch like ./checkpoint --count 20",
        "llmarch like org/new-model --format json",
    )
)
def like(
    ref: Ref,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="How many to list.")
    ] = 8,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show the bundled models whose design is nearest to a model's, and how they differ."""
    from ..sources.aliases import bundled_models
    from ..views.likeness import likeness, likeness_document, likeness_sheet

    reading = load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
    found = likeness(reading, bundled_readings())
    makers = {alias: str(model.get("organization")) for alias, model in bundled_models().items()}
    maker = makers.get(reading.raw.reference, "")
    write(
        format,
        "sheet",
        lambda: likeness_sheet(found, makers, maker, count),
        lambda: likeness_document(found),
    )
    end_if_partial([reading])
