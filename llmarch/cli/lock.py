"""The command `llmarch lock`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    from ..compare.rereading import LoadEntry

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
    from .. import __version__
    from ..compare.check import all_entries, merge_lock, open_lock
    from ..sources import project

    named = [*(refs or []), *listed_models(requirements or [])]
    if not named and not remove:
        fail(
            "no model is named", "give REF, a file of them with -r, or one to forget with --remove"
        )
    if "-" in named:
        fail("standard input cannot be locked: it cannot be read again", "lock a file or folder")
    load = loader(offline, refresh)
    before: dict[str, Entry] = {}
    gone: list[str] = []
    if project.exists(output):
        current = open_lock(output)
        gone = matching_names(remove or [], current.references, output)
        before = all_entries(current, load, leave_out=gone)
    elif remove:
        fail(f"{output}: no such file, so there is nothing to remove")
    found = read_entries(named, before, load, headers=not config_only)
    for ref, new in found.items():
        refuse_unsound(ref, new, allow_conflict)
    removed = [name for name in gone if name not in found]
    locked = merge_lock(
        output, found, removed=removed, renewed=before, written_by=f"llmarch {__version__}"
    )
    width = min(WIDEST_REFERENCE, max(map(len, [*found, *removed]), default=0))
    for ref, new in found.items():
        print_entry(ref.ljust(width), before.get(ref), new)
    for name in removed:
        write_text(printable(f"- {name}"))
    write_text(f"{output}: {len(locked)} model{'s' if len(locked) != 1 else ''}")


def read_entries(
    refs: Iterable[str], before: Mapping[str, Entry], load: LoadEntry, *, headers: bool
) -> dict[str, Entry]:
    """Return the models as they are now; what was accepted of them before stays accepted."""
    from dataclasses import replace

    from ..compare.at_once import read_at_once

    def read(ref: str) -> Entry:
        entry = replace(load(ref, headers), reading=None)
        known = before.get(ref)
        if known is not None:
            entry = replace(entry, accepted=known.accepted)
        return entry

    names = list(dict.fromkeys(refs))
    with models_bar() as progress:
        return dict(zip(names, read_at_once(names, read, progress), strict=True))


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


def matching_names(patterns: Iterable[str], names: list[str], file: str) -> list[str]:
    """Return the names in a lock that patterns match. Ends the program for one that matches none.

    file: the path of the lock, for the error.
    """
    from fnmatch import fnmatchcase

    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            known = ", ".join(names)
            fail(f"{file} does not have {pattern}", f"It has {known}.")
        found |= dict.fromkeys(matched)
    return list(found)


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
