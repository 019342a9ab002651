"""Find the base model that an adapter names.

The name is text of a repository: it is taken for a repository of the Hub or a bundled model, and
for a path only if the adapter itself is on this machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ReadError, UnknownReference, printable
from . import open as open_reference
from .aliases import bundled_models
from .raw import RawModel
from .references import Reference, parse_reference

_REPO = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


def open_base(name: str, revision: str | None, adapter: RawModel, *, offline: bool) -> RawModel:
    """Read the config of the base model that an adapter names.

    name: `base_model_name_or_path`.
    revision: `revision` of the adapter.
    adapter: the adapter.
    offline: never use the network.

    Raises UnknownReference for a name that is none, or what `sources.open` raises.
    """
    if not name:
        raise UnknownReference("the adapter does not name its base", "give it with --base")
    shown = printable(name)
    if _REPO.fullmatch(name):
        text = f"{name}@{revision}" if revision else name
        return _open_repository(text, name, offline=offline)
    if name.lower() in bundled_models():
        return open_reference(Reference(name, "spec", alias=name.lower()))
    if adapter.kind == "local" and not adapter.is_download and _is_folder(name):
        folder = Path(name).expanduser()
        return open_reference(Reference(name, "folder", path=folder), headers=False)
    message = f"{shown} is not a repository of the Hub, nor a folder on this machine"
    raise UnknownReference(message, "give the base with --base")


def _open_repository(text: str, name: str, *, offline: bool) -> RawModel:
    """Read a repository's config, or the bundled model of it where the Hub cannot be read."""
    try:
        return open_reference(_as_hub(text), offline=offline, headers=False)
    except ReadError:
        alias = _bundled_alias(name)
        if alias is None:
            raise
        return open_reference(Reference(name, "spec", alias=alias))


def _as_hub(text: str) -> Reference:
    """Return the reference of a repository, whatever folder has its name."""
    return parse_reference(f"hf://{text}")


def _bundled_alias(name: str) -> str | None:
    """Return the alias of the bundled model of a repository."""
    for alias, model in bundled_models().items():
        if str(model["repo_id"]).lower() == name.lower():
            return alias
    return None


def _is_folder(name: str) -> bool:
    """Return whether a path is a folder."""
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        return False
