"""Versions of lock files: which are read here, and which llmarch wrote one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..architecture.schema import SCHEMA_VERSION
from ..errors import ConfigError, printable

LOCK_VERSION = 1


def check_versions(document: dict[str, Any], name: str) -> None:
    """Raise ConfigError unless the document is a lock of a version that is read here."""
    version = document.get("llmarch_lock")
    schema_version = document.get("schema_version")
    if version is None:
        raise ConfigError(
            f"{name} is not an llmarch lock file",
            "`llmarch lock REF... -o llmarch.lock` writes one",
        )
    found = f"lock version {version!r}, schema version {schema_version!r}"
    if not isinstance(version, int) or not isinstance(schema_version, int):
        raise ConfigError(f"{name}: {printable(found)}", "write it again with `llmarch lock`")
    if version > LOCK_VERSION or schema_version > SCHEMA_VERSION:
        raise ConfigError(f"{name}: {printable(found)}: {newer_words(document)}", UPGRADE)


UPGRADE = "upgrade llmarch: `pip install --upgrade llmarch`"


def newer_words(document: Mapping[str, Any]) -> str:
    """Return `llmarch 0.9.0 wrote it, this is 0.1.0`."""
    return f"{printable(str(document.get('written_by')))} wrote it, this is {__version__}"


def version_numbers(text: object) -> tuple[int, ...]:
    """Return the numbers of `llmarch 0.1.0`; none for other text."""
    found = re.fullmatch(r"(?:llmarch )?(\d+(?:\.\d+)*).*", str(text))
    if found is None:
        return ()
    numbers = found[1].split(".")
    return tuple(map(int, numbers))


def written_by_older(document: Mapping[str, Any]) -> bool:
    """Return whether an older llmarch, or one of an older schema, wrote a lock."""
    if document["llmarch_lock"] < LOCK_VERSION or document["schema_version"] < SCHEMA_VERSION:
        return True
    return () < version_numbers(document.get("written_by")) < version_numbers(__version__)


def written_by_newer(document: Mapping[str, Any]) -> bool:
    """Return whether a newer llmarch wrote a lock."""
    return version_numbers(document.get("written_by")) > version_numbers(__version__)
