"""Read bundled specs: specs/ALIAS.json, a published config with its provenance.

No network, one small file. A wheel holds them in compressed blocks (hatch_build.py).
"""

from __future__ import annotations

from typing import Any, cast

from ..architecture.schema import Finding
from ..errors import ConfigError
from .aliases import bundled_models, is_name_of, specs_folder
from .file_names import CONFIG
from .places.path import AnyPath
from .raw import RawModel
from .references import Reference
from .strict_json import parse_object


def open(reference: Reference) -> RawModel:
    """Read the spec of `reference.alias`."""
    assert reference.alias is not None
    file = specs_folder() / f"{reference.alias}.json"
    document = parse_object(read_spec(reference.alias), file=file.name)
    raw = from_document(document, text=reference.text, file=file)
    if not is_name_of(reference.text, reference.alias):
        raw.findings.append(another_name(raw))
    return raw


def another_name(raw: RawModel) -> Finding:
    """Return the finding that a name was taken for that of another model."""
    wanted = raw.reference
    name = raw.name
    own = raw.repo_id or name
    message = f"there is no spec of {wanted}; this is {own}"
    return Finding(rule="name-not-exact", path=name, message=message)


def read_spec(alias: str) -> bytes:
    """Return the text of a spec file, from its block where the index names one."""
    folder = specs_folder()
    model = bundled_models().get(alias, {})
    place = cast("tuple[str, int] | None", model.get("block"))
    if place is None:
        return (folder / f"{alias}.json").read_bytes()
    from zlib import decompress

    name, position = place
    block = decompress((folder / name).read_bytes())
    return block.split(b"\0")[position]


def is_spec(document: dict[str, Any]) -> bool:
    """Return whether a JSON document is a spec, because a spec may be given by its path."""
    if "alias" not in document or "provenance" not in document:
        return False
    return isinstance(document.get("config"), dict)


def from_document(spec: dict[str, Any], *, text: str, file: AnyPath) -> RawModel:
    """Return the RawModel of a parsed spec. Raises ConfigError if it has no config.

    spec: the content of the spec file.
    text: the reference as the user wrote it.
    file: the spec file, for messages and as a name of last resort.
    """
    config = spec.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"{file.name}: has no config")
    return RawModel(
        reference=text,
        kind="spec",
        name=spec.get("name") or file.stem,
        config=cast(dict[str, Any], config),
        config_file=spec.get("config_file") or CONFIG,
        repo_id=spec.get("repo_id"),
        provenance=spec.get("provenance"),
        published=tuple(spec.get("published") or ()),
        released=spec.get("released"),
    )
