"""Bundled specs: specs/ALIAS.json, a published config with its provenance. No network, one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from ..errors import ConfigError
from .documents import parse_object
from .raw import RawModel
from .references import Reference, specs_folder


def open(reference: Reference) -> RawModel:
    """The spec of `reference.alias`."""
    assert reference.alias is not None
    file = specs_folder() / f"{reference.alias}.json"
    return from_document(
        parse_object(file.read_bytes(), file=file.name), text=reference.text, file=file
    )


def is_spec(document: dict[str, Any]) -> bool:
    """Whether a JSON document is a spec, for a spec file may be given by its path."""
    return (
        isinstance(document.get("config"), dict)
        and "alias" in document
        and "provenance" in document
    )


def from_document(spec: dict[str, Any], *, text: str, file: Path) -> RawModel:
    """A RawModel of a spec file's content."""
    config = spec.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"{file.name}: has no config")
    return RawModel(
        reference=text,
        kind="spec",
        name=spec.get("name") or file.stem,
        config=cast(dict[str, Any], config),
        config_file=spec.get("config_file") or "config.json",
        repo_id=spec.get("repo_id"),
        provenance=spec.get("provenance"),
        published=tuple(spec.get("published") or ()),
    )
