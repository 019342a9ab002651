"""What commands share: options, reading with a progress bar, writing in the format asked for, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..checkpoint.reading import Observation, Reading

PARTIAL = 4


class Format(StrEnum):
    """How to write the answer."""

    text = "text"
    json = "json"
    markdown = "markdown"


def examples(*lines: str) -> str:
    """An epilog of one example a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def complete(incomplete: str) -> list[str]:
    """Aliases of bundled models, for the shell."""
    from ..sources.references import catalog

    return [alias for alias in catalog() if alias.startswith(incomplete.lower())]


Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A bundled alias, org/name[@revision], a Hub URL, a folder or a file.",
        autocompletion=complete,
    ),
]
Output = Annotated[Format, typer.Option("--format", "-f", help="How to write the answer.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never touch the network.")]
ConfigOnly = Annotated[
    bool, typer.Option("--config-only", help="Read the config alone, no tensor headers.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Read headers again although they are cached.")
]


def write(
    format: Format,
    kind: Literal["sheet", "comparison", "table", "memory"],
    view: Callable[[], Any],
    document: Callable[[], Any],
) -> None:
    """The document as JSON, or the view, which is of a `kind`, as text or Markdown."""
    if format is Format.json:
        from ..renderers import json

        typer.echo(json.text(document()))
    elif format is Format.markdown:
        from ..renderers import markdown

        typer.echo(getattr(markdown, kind)(view()).removesuffix("\n"))
    else:
        from ..renderers import text

        getattr(text, kind)(view())


def end_if_partial(readings: Iterable[Reading | Observation]) -> None:
    """Exit with 4 where some checkpoint could be read only in part."""
    if any(r.status == "partial" or r.raw.partial for r in readings):
        raise typer.Exit(PARTIAL)


def inspect(ref: str, *, offline: bool, headers: bool, refresh: bool) -> Reading | Observation:
    """`llmarch.inspect`, with a progress bar on stderr where that is a terminal."""
    import llmarch

    read = partial(
        llmarch.inspect, ref, offline=offline, headers=headers, refresh=refresh, meanwhile=prepare
    )
    if "/" not in ref or not sys.stderr.isatty():
        return read()
    from ..renderers.progress import bar

    with bar() as progress:
        return read(progress=progress)


def prepare() -> None:
    """Import what most commands need to show what they read."""
    from ..renderers import text  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from ..views import model as views  # noqa: F401  # pyright: ignore[reportUnusedImport]


def load(ref: str, *, offline: bool, headers: bool, refresh: bool) -> Reading:
    """The same for commands that need all facts. An observed model ends the program: it cannot be compared or planned for."""
    from ..checkpoint.reading import Observation

    reading = inspect(ref, offline=offline, headers=headers, refresh=refresh)
    if isinstance(reading, Observation):
        fail(reading.why, f"llmarch show {ref} tells what its tensors tell")
    return reading


def fail(message: str, hint: str | None = None, code: int = 2) -> NoReturn:
    """One clear message on stderr, and the exit code."""
    from ..errors import printable

    lines = [printable(line) for line in message.split("\n")] + (
        [f"  {printable(line)}" for line in hint.split("\n")] if hint else []
    )
    typer.echo("error: " + "\n".join(lines), err=True)
    raise SystemExit(code)
