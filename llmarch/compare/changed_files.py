"""Find the models of a lock that changed files are about, for hooks that run before a commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import LlmarchError
from ..sources import git, project
from ..sources.file_names import is_beside_file, is_unread_file
from ..sources.references import Reference, parse_reference


def models_of_files(files: Iterable[str], names: Iterable[str], lock: str) -> list[str]:
    """Return the models of a lock that some changed files are about.

    That is each model in a folder of this project of which a file changed; of a changed lock the
    models whose entry is another one; and all, if the lock is among the files as it was committed,
    or the settings have changed.

    files: paths of the changed files.
    names: the models of the lock.
    lock: its path.

    """
    paths = [Path(file).resolve() for file in files]
    revision = git.compared_revision()
    if any(_are_other_settings(path, revision) for path in paths):
        return list(names)
    changed: set[str] = set()
    if Path(lock).resolve() in paths:
        changed = _other_entries(Path(lock), revision) or {*names}
    return [name for name in names if name in changed or _has_file(name, paths)]


def _are_other_settings(path: Path, revision: str) -> bool:
    """Return whether a file holds settings of llmarch that differ from those at a revision."""
    if path.name not in (project.OWN, project.SHARED):
        return False
    before = git.read_committed(path, revision)
    now = project.read_or_none(path)
    return project.settings_table(path.name, before) != project.settings_table(path.name, now)


def _other_entries(lock: Path, revision: str) -> set[str]:
    """Return the models whose entry in a lock is not what it was; all without a lock before."""
    now = _entries(project.read_or_none(lock))
    before = _entries(git.read_committed(lock, revision))
    return {name for name in now if now[name] != before.get(name)}


def _entries(data: bytes | None) -> Mapping[str, Any]:
    """Return the models of a lock as they are written; none if it cannot be read as one."""
    try:
        document: Any = json.loads(data or b"{}")
    except ValueError:
        return {}
    match document:
        case {"models": dict()}:
            return cast("dict[str, Any]", document)["models"]
        case _:
            return {}


def _has_file(name: str, paths: Iterable[Path]) -> bool:
    """Return whether a file that counts is one of the model with this name."""
    try:
        reference = parse_reference(name)
    except LlmarchError:
        return False
    return any(_is_of_model(path, reference) for path in paths)


def _is_of_model(path: Path, reference: Reference) -> bool:
    """Return whether a file is one that a model on this machine is made of.

    A config or a safetensors file stands for its folder: what is beside it declares things too.
    """
    if reference.path is None:
        return False
    folder = reference.path.resolve()
    if reference.kind != "folder":
        folder = folder.parent
    if not path.is_relative_to(folder):
        return False
    name = path.relative_to(folder).as_posix()
    if name.count("/") > 1:  # a folder is read two levels deep
        return False
    return is_beside_file(name) or not is_unread_file(name)
