"""The command `llmarch lock`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..renderers.output import write_text
from . import app
from .check import loader
from .common import ConfigOnly, Offline, Refresh, complete, examples, fail, load_reference

if TYPE_CHECKING:
    from ..compare.lock import Entry

WIDEST_REFERENCE = 48


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
            help="The lock file. Its other models are kept.",
        ),
    ] = "llmarch.lock",
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
    from pathlib import Path

    from .. import __version__
    from ..compare.check import all_entries, open_lock
    from ..compare.lock import lock_text, make_entry
    from ..sources.project import write_file

    before: dict[str, Entry] = {}
    if Path(output).exists():
        before = all_entries(open_lock(output), loader(offline, refresh))
    found: dict[str, Entry] = {}
    for ref in dict.fromkeys(refs):
        reading = load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
        found[ref] = make_entry(reading)
    for ref, new in found.items():
        refuse_unsound(ref, new, allow_conflict)
    locked = before | found
    write_file(output, lock_text(locked, f"llmarch {__version__}"))
    width = min(WIDEST_REFERENCE, max(map(len, found)))
    for ref, new in found.items():
        print_entry(ref.ljust(width), before.get(ref), new)
    write_text(f"{output}: {len(locked)} model{'s' if len(locked) != 1 else ''}")


def refuse_unsound(ref: str, entry: Entry, allow_conflict: bool) -> None:
    """End the program for a model that was read in part, or whose checkpoint is a conflict.

    allow_conflict: whether conflicts are pinned.
    """
    hint = f"llmarch show {ref} gives the reason"
    if entry.partial:
        fail(f"{ref} could be read only in part; nothing is written", hint, code=4)
    conflicts = entry.conflicts()
    if conflicts and not allow_conflict:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in conflicts))
        fail(
            f"{ref} has a conflict ({rules}); nothing is written",
            f"{hint}; --allow-conflict pins it all the same, and `check` fails",
            code=1,
        )


def print_entry(ref: str, old: Entry | None, new: Entry) -> None:
    """Print a line for a model, and its findings.

    ref: the reference, padded.
    old: the entry that the lock had, if any.
    new: the entry that is written.
    """
    from ..errors import printable
    from ..views import numbers
    from ..views.findings import finding_line

    mark = "~"
    if old is None:
        mark = "+"
    elif old == new:
        mark = "="
    commit = [new.commit[:7]] if new.commit else []
    words = [f"{mark} {ref}", *commit, numbers.count(new.parameters["total"]), new.status]
    write_text(printable("   ".join(words)))
    for f in new.findings:
        if f.severity != "info":
            write_text(printable(f"    {f.severity}: {finding_line(f)}", 1000))
