"""The command `llmarch lock`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import printable
from ..renderers.output import write_text
from . import app
from .check import loader
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    examples,
    fail,
    file_option,
    models_argument,
    models_bar,
)

if TYPE_CHECKING:
    from ..compare.lock import Entry

WIDEST_REFERENCE = 48


@app.command(
    epilog=examples(
        "llmarch lock Qwen/Qwen3-8B@main acme/support-bot",
        "llmarch lock ./model -o models.lock",
        "llmarch lock -r models.txt",
        "llmarch lock --remove acme/support-bot",
    )
)
def lock(
    refs: Annotated[
        list[str] | None,
        models_argument("Models to pin, as `show` takes them.", "[REF...]"),
    ] = None,
    output: Annotated[
        str,
        file_option("The lock file. Its other models are kept."),
    ] = "llmarch.lock",
    requirements: Annotated[
        list[str] | None,
        typer.Option(
            "--requirements",
            "-r",
            metavar="FILE",
            help="Pin the models of a file too: one on each line, # begins a comment. Repeatable.",
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove",
            metavar="REF",
            help="Forget a model of the lock, or all that match a pattern. Repeatable.",
        ),
    ] = None,
    allow_conflict: Annotated[
        bool,
        typer.Option(
            "--allow-conflict",
            help="Pin a model whose checkpoint contradicts its config; `check` fails all the same.",
        ),
    ] = False,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Pin models in a lock file, for `check` to compare with later."""
    from ..compare.pinning import PinOptions, pin_models

    named = [*(refs or []), *listed_models(requirements or [])]
    if not named and not remove:
        fail(
            "no model is named", "give REF, a file of them with -r, or one to forget with --remove"
        )
    options = PinOptions(headers=not config_only, allow_conflict=allow_conflict)
    load = loader(offline, refresh)
    with models_bar() as progress:
        done = pin_models(named, remove or [], output, load, options, progress)
    width = min(WIDEST_REFERENCE, max(map(len, [*done.models, *done.removed]), default=0))
    for ref, new in done.models.items():
        print_entry(ref.ljust(width), done.before.get(ref), new)
    for name in done.removed:
        write_text(printable(f"- {name}"))
    count = len(done.references)
    write_text(f"{output}: {count} model{'s' if count != 1 else ''}")


def listed_models(files: Iterable[str]) -> list[str]:
    """Return the references of files with one on each line; `#` begins a comment."""
    from ..sources.project import read_lines

    refs: list[str] = []
    for file in files:
        for line in read_lines(file):
            text = line.partition("#")[0].strip()
            if text:
                refs.append(text)
    return refs


def print_entry(ref: str, old: Entry | None, new: Entry) -> None:
    """Print a line for a model, and its findings.

    ref: the reference, padded.
    old: the entry that the lock had, if any.
    new: the entry that is written.
    """
    from ..sources.raw import abbreviate_commit
    from ..views import numbers
    from ..views.findings import finding_line

    mark = "~"
    if old is None:
        mark = "+"
    elif old == new:
        mark = "="
    commit: list[str] = []
    if new.commit:
        commit = [abbreviate_commit(new.commit)]
    total = new.parameters.get("total")
    size = "total unknown" if total is None else numbers.count(total)
    words = [f"{mark} {ref}", *commit, size, new.status]
    write_text(printable("   ".join(words)))
    for f in new.findings:
        if f.severity != "info":
            write_text(printable(f"    {f.severity}: {finding_line(f)}", 1000))
