"""Files as they were at a commit of the project's git repository."""

from __future__ import annotations

import os
from pathlib import Path

SECONDS = 30
"""How long git may take; it reads one file."""


def compared_revision() -> str:
    """Return the revision before the changes: what pre-commit compares with, else the last commit.

    pre-commit names it where files of several commits are checked (`--from-ref`, a push).
    """
    return os.environ.get("PRE_COMMIT_FROM_REF") or "HEAD"


def read_committed(path: Path, revision: str) -> bytes | None:
    """Return a file as it was at a revision; None if it was not there, or nothing tells.

    A hook has variables of git that name the repository of the working folder: git finds that by
    itself.
    """
    import subprocess

    if revision.startswith("-"):  # an option, not a revision
        return None
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "cat-file", "blob", f"{revision}:./{path.name}"]
    folder = path.absolute().parent
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return done.stdout
