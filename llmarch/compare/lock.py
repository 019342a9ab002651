"""The lock: what models were when somebody looked, as a JSON document to keep under version control. Pure.

JSON, for the architecture is nested and has nulls, which TOML cannot say, and the standard library reads and writes it. Written with one
fact a line and sorted by reference, so that a review shows what changed; facts at their default are left out. SCHEMA_VERSION is that of
the architecture inside: a lock of another version is not read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Any, cast

from ..architecture.fingerprint import digest, fingerprint, plain
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import run_lengths
from ..architecture.schema import SCHEMA_VERSION, Architecture, Finding
from ..errors import ConfigError, printable

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.raw import TensorTable

LOCK_VERSION = 1
MOST_LAYERS = 10_000
WIDEST = 110
"""Columns of a list that is written on one line."""
LONGEST_VALUE = 80


@frozen
class Stored(Frozen):
    """The tensors of a checkpoint: how many, their bytes, and the hash of their names, dtypes and shapes."""

    count: int
    bytes: int
    digest: str


@frozen
class Entry(Frozen):
    """What one model was when it was read. `partial`: some of it could not be read (never so in a lock); `tensors` None: config only;
    `unread_keys`: their values too, for what they do is not known."""

    reference: str
    repo: str | None
    revision: str | None
    commit: str | None
    status: str
    fingerprint: str
    parameters: Mapping[str, int]
    tensors: Stored | None
    architecture: Architecture
    findings: tuple[Finding, ...] = ()
    unread_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    partial: bool = False


@frozen
class Lock(Frozen):
    """Entries by reference, and the line of each and of its facts."""

    entries: Mapping[str, Entry]
    written_by: str
    line: Mapping[str, int] = field(default_factory=dict[str, int])
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, "Mapping[str, int]"])


def entry(r: Reading) -> Entry:
    """What a lock keeps of a reading."""
    from ..analyses.parameters import count

    a, raw, p = r.architecture, r.raw, count(r.architecture)
    tensors = None
    if raw.tensors is not None:
        tensors = Stored(
            len(raw.tensors), sum(g.bits for g in raw.tensors) // 8, tensor_digest(raw.tensors)
        )
    return Entry(
        reference=raw.reference,
        repo=raw.repo_id,
        revision=raw.revision,
        commit=raw.commit,
        status=r.status,
        fingerprint=fingerprint(a),
        parameters={
            "total": p.total,
            "active": p.active,
            **({"stored": r.check.stored} if r.check else {}),
        },
        tensors=tensors,
        architecture=a,
        findings=r.findings,
        unread_keys={key: value_of(raw.config or {}, key) for key in r.unread_keys},
        partial=r.status == "partial" or raw.partial,
    )


def value_of(config: Mapping[str, Any], key: str) -> str:
    """What a config has at a dotted key, as JSON; of long values the hash."""
    value: Any = config
    for part in key.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    said = json.dumps(value, sort_keys=True)
    return said if len(said) <= LONGEST_VALUE else digest(value)


# Writing


def text(entries: Mapping[str, Entry], written_by: str) -> str:
    """The lock as a file holds it."""
    return "".join(line + "\n" for line, _ in _written(document(entries, written_by)))


def document(entries: Mapping[str, Entry], written_by: str) -> dict[str, Any]:
    """The lock as JSON."""
    return {
        "llmarch_lock": LOCK_VERSION,
        "schema_version": SCHEMA_VERSION,
        "written_by": written_by,
        "models": {name: model(entries[name]) for name in sorted(entries)},
    }


def model(e: Entry) -> dict[str, Any]:
    """One model of the lock."""
    return {
        "repo": e.repo,
        "revision": e.revision,
        "commit": e.commit,
        "status": e.status,
        "fingerprint": e.fingerprint,
        "parameters": dict(e.parameters),
        "tensors": asdict(e.tensors) if e.tensors else None,
        "architecture": plain(e.architecture, remarks=True)
        | {"layers": run_lengths(e.architecture.layers)},
        "findings": [
            {"rule": f.rule, "path": f.path, "severity": f.severity, "message": f.message}
            for f in e.findings
        ],
        "unread_keys": dict(e.unread_keys),
    }


Path = tuple[str, ...]


def _written(document: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """Lines, and the paths that stand in each."""
    yield from _lines(document, (), "", "")


def _lines(value: Any, path: Path, before: str, after: str) -> Iterator[tuple[str, list[Path]]]:
    """`before` is the indent and key, `after` a comma or nothing. Lists that fit are one line, objects only within such a list."""
    items = _items(value)
    whole = before + _inline(value) + after
    if not items or (isinstance(value, list) and len(whole) <= WIDEST):
        yield whole, [path, *_below(value, path)]
        return
    start, end = "{}" if isinstance(value, dict) else "[]"
    indent = " " * (len(before) - len(before.lstrip()) + 2)
    yield before + start, [path]
    for i, (key, item) in enumerate(items):
        comma = "," if i < len(items) - 1 else ""
        if isinstance(value, list) and len(indent + _inline(item)) < WIDEST:
            yield indent + _inline(item) + comma, [(*path, key), *_below(item, (*path, key))]
        else:
            yield from _lines(
                item,
                (*path, key),
                indent + (f"{_inline(key)}: " if isinstance(value, dict) else ""),
                comma,
            )
    yield indent[2:] + end + after, []


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return (
        [(str(i), v) for i, v in enumerate(cast("list[Any]", value))]
        if isinstance(value, list)
        else []
    )


def _below(value: Any, path: Path) -> Iterator[Path]:
    for key, item in _items(value):
        yield (*path, key)
        yield from _below(item, (*path, key))


def _inline(value: Any) -> str:
    return json.dumps(value)


# Reading


def parse(document: dict[str, Any], content: str, file: str) -> Lock:
    """A lock from its parsed JSON and its text. Raises ConfigError with the path of what is wrong."""
    name = printable(file)
    version = document.get("llmarch_lock")
    if version is None:
        raise ConfigError(
            f"{name} is no lock of llmarch", "`llmarch lock REF... -o llmarch.lock` writes one"
        )
    if version != LOCK_VERSION or document.get("schema_version") != SCHEMA_VERSION:
        said = f"lock version {version!r}, schema version {document.get('schema_version')!r}"
        hint = f"this llmarch reads {LOCK_VERSION} and {SCHEMA_VERSION}: write it again with `llmarch lock`, or use the llmarch that wrote it"
        raise ConfigError(f"{name}: {printable(said)}", hint)
    entries = {
        reference: _entry(reference, found, name)
        for reference, found in _validated(document, name).items()
    }
    written = list(_written(document))
    faithful = "".join(line + "\n" for line, _ in written) == content.replace("\r\n", "\n")
    if not faithful and (twice := _repeated(content)) is not None:
        raise ConfigError(
            f"{name}: {printable(twice)} stands there twice",
            "a merge may have done it: take one of them out",
        )
    lines: dict[str, dict[str, int]] = {reference: {} for reference in entries}
    for number, (_, paths) in enumerate(written if faithful else (), 1):
        for path in paths:
            if path[:1] == ("models",) and len(path) > 1:
                fact = path[3:] if path[2:3] == ("architecture",) else path[2:]
                lines[path[1]].setdefault(".".join(fact), number)
    line = {
        reference: found.get("", 0) or _line_of(content, reference)
        for reference, found in lines.items()
    }
    return Lock(entries, str(document.get("written_by")), line, lines)


def _repeated(content: str) -> str | None:
    """A key that an object has twice; of the two, JSON readers keep the last in silence."""
    repeated: list[str] = []

    def keys(pairs: list[tuple[str, Any]]) -> None:
        repeated.extend(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)

    json.loads(content.removeprefix("\ufeff"), object_pairs_hook=keys)
    return repeated[0] if repeated else None


def _line_of(content: str, reference: str) -> int:
    """Where a model begins in a file that was formatted by somebody else."""
    at = content.find(_inline(reference) + ":")
    return content.count("\n", 0, at) + 1 if at >= 0 else 1


def _validated(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The models, their architectures as the schema's classes."""
    from pydantic import ValidationError

    from ..architecture.json_schema import locked

    models = document.get("models")
    expanded = (
        {reference: _expanded(m) for reference, m in cast("dict[str, Any]", models).items()}
        if isinstance(models, dict)
        else models
    )
    try:
        return locked(document | {"models": expanded})
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        raise ConfigError(
            f"{name}: {where}: {first['msg']}", "write it again with `llmarch lock`"
        ) from None


def _expanded(found: Any) -> Any:
    """A model with its layers one by one; what is of another form is left for validation to name."""
    model = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    architecture: Any = model.get("architecture")
    stored: Any = (
        cast("dict[str, Any]", architecture).get("layers")
        if isinstance(architecture, dict)
        else None
    )
    layers: list[str] = []
    for run in cast("list[Any]", stored) if isinstance(stored, list) else ():
        match run:
            case [int(n), str(kind)] if 0 < n <= MOST_LAYERS - len(layers):
                layers += [kind] * n
            case _:
                return model
    return (
        model | {"architecture": cast("dict[str, Any]", architecture) | {"layers": layers}}
        if layers
        else model
    )


def _entry(reference: str, found: Any, name: str) -> Entry:
    architecture: Architecture = found["architecture"]
    try:
        right = fingerprint(architecture) == found["fingerprint"]
    except LookupError:  # a name of a block or norm that there is not
        right = False
    if not right:
        raise ConfigError(
            f"{name}: the architecture of {printable(reference)} does not have the fingerprint beside it",
            "one of the two was edited by hand: write it again with `llmarch lock`, or take the file from version control",
        )
    tensors = found["tensors"]
    return Entry(
        reference,
        found["repo"],
        found["revision"],
        found["commit"],
        found["status"],
        found["fingerprint"],
        found["parameters"],
        Stored(**tensors) if tensors else None,
        architecture,
        tuple(found["findings"]),
        found["unread_keys"],
    )


def tensor_digest(table: TensorTable) -> str:
    """A hash of every tensor's name, dtype and shape, whatever their order and whichever file holds them."""
    return digest(
        sorted([g.pattern, g.dtype, list(g.shape or ()), sorted(g.indices)] for g in table)
    )
