"""The commands `llmarch cache info` and `llmarch cache clear`."""

from __future__ import annotations

from ..renderers.output import write_text
from . import Program, app
from .common import Format, Output, write

headers = Program(
    help="Show or empty the cache of tensor headers.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(headers, name="cache")


@headers.command()
def info(format: Output = Format.text) -> None:
    """Show where the cache is and what it holds."""
    from dataclasses import asdict

    from ..architecture.documents import document_head
    from ..sources import header_cache
    from ..views import numbers
    from ..views.documents import Table

    found = header_cache.usage()
    rows = [
        ["folder", str(found.path)],
        ["entries", numbers.number(found.entries)],
        ["size", numbers.size(found.bytes)],
    ]
    document = {**document_head("cache"), **asdict(found), "path": str(found.path)}
    write(format, "table", lambda: Table(["", ""], rows), lambda: document)


@headers.command()
def clear() -> None:
    """Empty the cache."""
    from ..sources import header_cache
    from ..views import numbers

    removed = header_cache.delete_all()
    word = "entry" if removed.entries == 1 else "entries"
    size = numbers.size(removed.bytes)
    write_text(f"removed {numbers.number(removed.entries)} {word}, {size}")
