"""`llmarch lock`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import ConfigOnly, Offline, Refresh, complete, examples, fail, load

if TYPE_CHECKING:
    from ..compare.lock import Entry


@app.command(
    epilog=examples(
        "llmarch lock Qwen/Qwen3-8B@main acme/support-bot",
        "llmarch lock ./model -o models.lock",
    )
)
def lock(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF...", help="Models to pin, as `show` takes them.", autocompletion=complete
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The lock file. Models that it has already stay, or are replaced.",
        ),
    ] = "llmarch.lock",
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Write down what models are now, for `check` to hold them against later."""
    from pathlib import Path

    from .. import __version__
    from ..compare.check import open_lock
    from ..compare.lock import lock_text, make_entry
    from ..sources.project import write

    before = dict(open_lock(output).entries) if Path(output).exists() else {}
    found = {
        ref: make_entry(load(ref, offline=offline, headers=not config_only, refresh=refresh))
        for ref in dict.fromkeys(refs)
    }
    for ref, new in found.items():
        if new.partial:
            fail(
                f"{ref} could be read only in part; nothing is written",
                f"llmarch show {ref} says why",
                code=4,
            )
    write(output, lock_text(before | found, f"llmarch {__version__}"))
    width = min(48, max(map(len, found)))
    for ref, new in found.items():
        say(ref.ljust(width), before.get(ref), new)
    typer.echo(f"{output}: {len(before | found)} model{'s' if len(before | found) != 1 else ''}")


def say(ref: str, old: Entry | None, new: Entry) -> None:
    """A line for a model, and what was found wrong with it."""
    from ..errors import printable
    from ..views import numbers

    mark = "+" if old is None else "=" if old == new else "~"
    commit = [new.commit[:7]] if new.commit else []
    typer.echo(
        printable(
            "   ".join(
                [f"{mark} {ref}", *commit, numbers.count(new.parameters["total"]), new.status]
            )
        )
    )
    for f in new.findings:
        if f.severity != "info":
            typer.echo(printable(f"    {f.severity}: {f.rule}: {f.message}", 1000))
