"""The commands `llmarch list` and `llmarch schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..renderers.output import write_text
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
            metavar="[TEXT]", help="Only models with this text in alias, name or family."
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
    from ..sources.aliases import bundled_models
    from ..views import bundled

    models = bundled.select_models(bundled_models(), name, attention, moe)
    write(format, "table", lambda: bundled.model_table(models), lambda: models)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the documents of --format json."""
    from ..architecture.json_schema import json_schema
    from ..renderers import json

    write_text(json.json_text(json_schema()), "json")
