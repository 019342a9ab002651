"""Pin models in a lock file: read them, refuse what is not sound, and merge them into the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from .. import __version__
from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, UnsoundModel
from ..sources import project
from ..sources.progress import Progress, ignore_progress
from .at_once import read_at_once
from .check import all_entries, merge_lock, open_lock
from .lock import Entry
from .rereading import LoadEntry


@frozen
class PinnedModels(Frozen):
    """What was written into a lock file."""

    file: str
    """Path of the lock file."""
    models: Mapping[str, Entry]
    """Entries that were written, by reference."""
    before: Mapping[str, Entry]
    """Entries that the file had, without those that were removed."""
    removed: tuple[str, ...]
    """References that were removed."""
    references: tuple[str, ...]
    """All references that the file has now."""

    def __repr__(self) -> str:
        """Return a line for the file, and one for each model that was written."""
        lines = [f"<PinnedModels {self.file}: {len(self.references)} in all"]
        for name, entry in self.models.items():
            lines.append(f"  {name}: {entry.status}, {entry.fingerprint[:19]}")
        return "\n".join(lines) + ">"


@frozen
class PinOptions(Frozen):
    """How models are pinned."""

    headers: bool = True
    """Whether tensor headers are read."""
    allow_conflict: bool = False
    """Whether a checkpoint that contradicts its config is pinned."""


def pin_models(
    references: Sequence[str],
    remove: Sequence[str],
    file: str,
    load: LoadEntry,
    options: PinOptions,
    progress: Progress = ignore_progress,
) -> PinnedModels:
    """Pin models in a lock file, whose other models are kept.

    references: models to pin.
    remove: references to forget, or patterns of them.
    file: path of the lock file, which is made if there is none.
    load: reads a model.
    progress: called with how many models are read, and of how many.

    Raises UnsoundModel for one that cannot be pinned, ConfigError for a file that cannot be read or
    that does not have what shall be removed.
    """
    if "-" in references:
        message = "standard input cannot be locked: it cannot be read again"
        raise UnsoundModel(message, "lock a file or folder")
    before: dict[str, Entry] = {}
    gone: list[str] = []
    if project.exists(file):
        current = open_lock(file)
        gone = matching_names(remove, current.references, file)
        before = all_entries(current, load, leave_out=gone)
    elif remove:
        raise ConfigError(f"{file}: no such file, so there is nothing to remove")
    found = _read_again(references, before, load, options, progress)
    for ref, new in found.items():
        refuse_unsound(ref, new, options.allow_conflict)
    removed = [name for name in gone if name not in found]
    written_by = f"llmarch {__version__}"
    entries = merge_lock(file, found, removed=removed, renewed=before, written_by=written_by)
    return PinnedModels(file, found, before, tuple(removed), tuple(sorted(entries)))


def _read_again(
    references: Iterable[str],
    before: Mapping[str, Entry],
    load: LoadEntry,
    options: PinOptions,
    progress: Progress,
) -> dict[str, Entry]:
    """Return the models as they are now; what was accepted of them before stays accepted."""

    def read(ref: str) -> Entry:
        entry = replace(load(ref, options.headers), reading=None)
        known = before.get(ref)
        if known is not None:
            entry = replace(entry, accepted=known.accepted)
        return entry

    names = list(dict.fromkeys(references))
    return dict(zip(names, read_at_once(names, read, progress), strict=True))


def matching_names(patterns: Iterable[str], names: list[str], file: str) -> list[str]:
    """Return the names in a lock that patterns match. Raises ConfigError for one without a match.

    file: the path of the lock, for the error.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            known = ", ".join(names)
            raise ConfigError(f"{file} does not have {pattern}", f"It has {known}.")
        found |= dict.fromkeys(matched)
    return list(found)


def refuse_unsound(ref: str, entry: Entry, allow_conflict: bool) -> None:
    """Raise UnsoundModel for a model that was read in part, or whose checkpoint is a conflict.

    allow_conflict: whether conflicts are pinned.
    """
    hint = f"llmarch show {ref} gives the reason"
    if entry.partial:
        raise UnsoundModel(f"{ref} could be read only in part; nothing is written", hint, 4)
    conflicts = entry.conflicts()
    if conflicts and not allow_conflict:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in conflicts))
        raise UnsoundModel(
            f"{ref} has a conflict ({rules}); nothing is written",
            f"{hint}; --allow-conflict pins it all the same, and `check` fails",
            1,
        )
