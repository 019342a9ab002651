"""`llmarch diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import ConfigOnly, Format, Offline, Output, Refresh, complete, end_if_partial, examples, fail, load, write

if TYPE_CHECKING:
    from ..reader import Reading


@app.command(
    epilog=examples(
        "llmarch diff deepseek-v3 kimi-k2",
        "llmarch diff org/model@v1 org/model@main --exit-code",
        "llmarch diff llama3-8b olmo2-7b gemma2-9b --all",
    )
)
def diff(
    refs: Annotated[
        list[str], typer.Argument(metavar="REF REF...", help="Two models, or more for a comparison matrix.", autocompletion=complete)
    ],
    format: Output = Format.text,
    everything: Annotated[bool, typer.Option("--all", help="Equal facts too.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if there are differences.")] = False,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show how two models differ, or compare several."""
    if len(refs) < 2:
        fail("diff needs two models or more", "llmarch diff deepseek-v3 kimi-k2")
    readings = [load(ref, offline=offline, headers=not config_only, refresh=refresh) for ref in refs]
    from .. import views

    compared = views.compare(readings, everything)
    write(format, "comparison", lambda: compared, lambda: document(readings))
    end_if_partial(readings)
    if exit_code and not compared.same:
        raise typer.Exit(1)


def document(readings: list[Reading]) -> object:
    from ..renderers import json

    return json.comparison(readings)
