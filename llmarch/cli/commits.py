"""The commits of a repository, as commands ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .common import fail

if TYPE_CHECKING:
    from ..compare.history import CommitInfo

MOST_COMMITS = 50
"""Commits that are read unless more are asked for."""


def listed_commits(ref: str, since: str | None, limit: int) -> tuple[str, list[CommitInfo]]:
    """Return the repository of a reference and its commits, newest first.

    since: the revision that the list ends with; None ends it with the first commit.
    limit: how many commits at most, apart from the one that the oldest of them is compared with.

    Ends the program for a reference that is not a repository, or a revision that is not found.
    """
    from dataclasses import replace

    from ..compare.history import CommitInfo
    from ..sources.references import parse_reference

    reference = parse_reference(ref)
    if reference.kind != "hub" or reference.repo_id is None:
        problem = "is not a repository on the Hub, so its commits cannot be listed"
        fail(f"{ref} {problem}", "name one as org/name")
    from ..sources.hub.history import find_commit, list_commits

    until = None
    most = limit + 1  # the last one is compared with, where there is one
    if since is not None:
        until = find_commit(replace(reference, revision=since))
    found = list_commits(reference, most, until)
    if until is not None and (not found or found[-1].id != until):
        if len(found) < most:
            fail(f"{since} is not among the commits that lead to {ref}")
        fail(f"there are more than {limit} commits since {since}", "--limit reads more")
    return reference.repo_id, [CommitInfo(c.id, c.day, c.title) for c in found]
