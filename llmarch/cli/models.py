"""`llmarch list` and `llmarch schema`: what is bundled, and what the JSON looks like."""

from __future__ import annotations

from typing import Annotated

import typer

from . import app
from .common import Format, Output, examples, write


@app.command(
    "list",
    epilog=examples("llmarch list", "llmarch list --attention mla --moe", "llmarch list qwen"),
)
def list_models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]", help="Only models whose alias, name or family holds this text."
        ),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            help="Only models with this attention: mha, gqa, mqa, mla, sliding, linear, ...",
        ),
    ] = None,
    moe: Annotated[
        bool | None,
        typer.Option("--moe/--dense", help="Only mixtures of experts, or only dense models."),
    ] = None,
    format: Output = Format.text,
) -> None:
    """List the bundled models with their main facts."""
    from ..sources.references import catalog
    from ..views import bundled

    models = bundled.select(catalog(), name, attention, moe)
    write(format, "table", lambda: bundled.table(models), lambda: models)


@app.command()
def schema() -> None:
    """Print the JSON Schema of what `show`, `diff` and `memory` write with --format json."""
    from ..architecture.json_schema import json_schema
    from ..renderers import json

    typer.echo(json.text(json_schema()))
