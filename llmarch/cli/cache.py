"""`llmarch cache`: the headers that were read before."""

from __future__ import annotations

import typer

from . import app
from .common import Format, Output, write

headers = typer.Typer(
    help="The cache of tensor headers.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(headers, name="cache")


@headers.command()
def info(format: Output = Format.text) -> None:
    """Show where the cache is and what it holds."""
    from dataclasses import asdict

    from ..sources import header_cache as cache
    from ..views import numbers
    from ..views.documents import Table

    found = cache.info()
    rows = [
        ["folder", str(found.path)],
        ["entries", numbers.number(found.entries)],
        ["size", numbers.size(found.bytes)],
    ]
    write(
        format,
        "table",
        lambda: Table(["", ""], rows),
        lambda: {**asdict(found), "path": str(found.path)},
    )


@headers.command()
def clear() -> None:
    """Empty the cache."""
    from ..sources import header_cache as cache
    from ..views import numbers

    gone = cache.clear()
    word = "entry" if gone.entries == 1 else "entries"
    typer.echo(f"removed {numbers.number(gone.entries)} {word}, {numbers.size(gone.bytes)}")
