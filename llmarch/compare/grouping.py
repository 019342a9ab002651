"""Make one change of several that say the same of several blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..architecture.fingerprint import NAMED_GROUPS
from ..architecture.schema import Change
from ..architecture.wording.names import GROUP_WORDS
from .rules import SEVERITIES


def group_alike(changes: Iterable[Change]) -> list[Change]:
    """Return the changes with those as one that say the same of several blocks, at its worst."""
    groups: dict[object, list[Change]] = {}
    for number, change in enumerate(changes):
        group, inner_path = split_path(change.path)
        alike: object = number
        if group in NAMED_GROUPS and inner_path:
            values = repr((change.old, change.new))
            alike = change.rule, group, inner_path, values, change.key
        members = groups.setdefault(alike, [])
        members.append(change)
    return list(map(_as_one, groups.values()))


def split_path(path: str) -> tuple[str, str]:
    """Return the group of a path, and what is below the block's name.

    `mixers.full.rope.theta` gives `mixers` and `rope.theta`.
    """
    group, _, rest = path.partition(".")
    _, _, inner_path = rest.partition(".")
    return group, inner_path


def _as_one(changes: list[Change]) -> Change:
    """Return the worst of changes that are alike, with the paths of all."""
    if len(changes) == 1:
        return changes[0]
    worst = min(changes, key=lambda change: SEVERITIES.index(change.severity))
    return replace(worst, paths=tuple(change.path for change in changes))


def places_text(change: Change) -> str:
    """Return `in 3 mixers` for a change of several blocks, nothing for one."""
    if len(change.paths) < 2:
        return ""
    count = len(change.paths)
    group, _ = split_path(change.path)
    members = GROUP_WORDS[group]
    return f"in {count} {members}"
