"""The lock: what models were when they were locked, as JSON under version control. Pure.

It is JSON because the architecture is nested and has nulls, which TOML lacks, and because the
standard library reads and writes JSON. Models are sorted by reference and each fact has a line of
its own, so that a review shows what changed; facts at their default are left out. SCHEMA_VERSION is
that of the architecture inside: a lock of another version is not read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..architecture.fingerprint import digest, fingerprint, without_defaults
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import run_lengths
from ..architecture.schema import SCHEMA_VERSION, Architecture, Finding
from ..config.findings import NOT_DESCRIBED
from ..errors import ConfigError, printable
from .config_keys import Told
from .stored import StoredRow, StoredTensors, stored_rows

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading
    from ..sources.raw import TensorTable

LOCK_VERSION = 1
MOST_LAYERS = 10_000
LINE_WIDTH = 110
"""Columns of a list that is written on one line."""
LONGEST_VALUE = 80
"""Characters of an unread key's value; a longer value is kept as its hash."""


@frozen
class Entry(Frozen):
    """One model as it was when it was read."""

    reference: str
    repo: str | None
    revision: str | None
    commit: str | None
    status: str
    fingerprint: str
    parameters: Mapping[str, int]
    tensors: StoredTensors | None
    """None if only the config was read."""
    architecture: Architecture
    findings: tuple[Finding, ...] = ()
    unread_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Config keys that nothing reads, with their values: their effect is not known."""
    partial: bool = False
    """Whether some of it could not be read; never so in a lock."""
    told: Told = field(default=Told(), compare=False)
    """The config and the evidence of facts, where the model was read now."""

    def conflicts(self) -> list[Finding]:
        """Return the findings by which the checkpoint contradicts its config; none if it does not.

        What a config says beyond the facts (`value-not-described`) contradicts nothing.
        """
        if self.status != "conflict":
            return []
        return [f for f in self.findings if f.severity != "info" and f.rule != NOT_DESCRIBED]


@frozen
class Lock(Frozen):
    """The entries of a lock file by reference, and the lines where they and their facts are."""

    entries: Mapping[str, Entry]
    written_by: str
    model_lines: Mapping[str, int] = field(default_factory=dict[str, int])
    fact_lines: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict[str, "Mapping[str, int]"]
    )


def make_entry(reading: Reading) -> Entry:
    """Return what a lock keeps of a reading."""
    from ..analyses.parameters import count_parameters

    architecture, raw = reading.architecture, reading.raw
    counts = count_parameters(architecture)
    parameters = {"total": counts.total, "active": counts.active}
    if reading.check:
        parameters["stored"] = reading.check.stored
    tensors = None
    if raw.tensors is not None:
        size = sum(group.bits for group in raw.tensors) // 8
        tensors = StoredTensors(
            len(raw.tensors), size, hash_tensors(raw.tensors), stored_rows(raw.tensors)
        )
    return Entry(
        reference=raw.reference,
        repo=raw.repo_id,
        revision=raw.revision,
        commit=raw.commit,
        status=reading.status,
        fingerprint=fingerprint(architecture),
        parameters=parameters,
        tensors=tensors,
        architecture=architecture,
        findings=reading.findings,
        unread_keys={key: config_value(raw.config or {}, key) for key in reading.unread_keys},
        partial=reading.status == "partial" or raw.partial,
        told=Told(raw.config or {}, reading.evidence),
    )


def config_value(config: Mapping[str, Any], key: str) -> str:
    """Return the value at a dotted key of a config as JSON, or its hash if that is long."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, dict):
            value = None
            break
        value = cast("dict[str, Any]", value).get(part)
    text = json.dumps(value, sort_keys=True)
    if len(text) > LONGEST_VALUE:
        return digest(value)
    return text


def hash_tensors(table: TensorTable) -> str:
    """Return a hash of every tensor's name, dtype and shape.

    Neither their order nor their distribution over files changes it.
    """
    rows = [
        [group.pattern, group.dtype, list(group.shape or ()), sorted(group.indices)]
        for group in table
    ]
    return digest(sorted(rows))


# --- writing ------------------------------------------------------------------------------------

FactPath = tuple[str, ...]
"""The keys that lead to a value of the document; indices of lists are written as digits."""


class _Line(NamedTuple):
    """A line of the file, and the paths of the values that it holds."""

    text: str
    paths: list[FactPath]


def lock_text(entries: Mapping[str, Entry], written_by: str) -> str:
    """Return the content of a lock file."""
    return _join_lines(_write_lines(lock_document(entries, written_by)))


def lock_document(entries: Mapping[str, Entry], written_by: str) -> dict[str, Any]:
    """Return the lock as a JSON document."""
    return {
        "llmarch_lock": LOCK_VERSION,
        "schema_version": SCHEMA_VERSION,
        "written_by": written_by,
        "models": {name: entry_document(entries[name]) for name in sorted(entries)},
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return one model of the lock as JSON; its layers are written as runs."""
    layers = run_lengths(entry.architecture.layers)
    tensors = None
    if entry.tensors:
        tensors = asdict(entry.tensors) | {"rows": [list(row) for row in entry.tensors.rows]}
    return {
        "repo": entry.repo,
        "revision": entry.revision,
        "commit": entry.commit,
        "status": entry.status,
        "fingerprint": entry.fingerprint,
        "parameters": dict(entry.parameters),
        "tensors": tensors,
        "architecture": without_defaults(entry.architecture, remarks=True) | {"layers": layers},
        "findings": [
            {
                "rule": finding.rule,
                "path": finding.path,
                "severity": finding.severity,
                "message": finding.message,
            }
            for finding in entry.findings
        ],
        "unread_keys": dict(entry.unread_keys),
    }


def _join_lines(lines: Iterator[_Line] | list[_Line]) -> str:
    return "".join(line.text + "\n" for line in lines)


def _write_lines(
    value: Any, path: FactPath = (), before: str = "", after: str = ""
) -> Iterator[_Line]:
    """Yield the lines of a value.

    before: the indent and the key.
    after: a comma or nothing.

    A list that fits is written on one line, and so is an item that fits of a longer list. Objects
    are written on one line only within a list.
    """
    items = _items(value)
    is_list = isinstance(value, list)
    whole = before + json.dumps(value) + after
    if not items or (is_list and len(whole) <= LINE_WIDTH):
        yield _Line(whole, [path, *_paths_below(value, path)])
        return
    opening, closing = "{}"
    if is_list:
        opening, closing = "[]"
    outer_indent = " " * (len(before) - len(before.lstrip()))
    indent = outer_indent + "  "
    yield _Line(before + opening, [path])
    last_key, _ = items[-1]
    for key, item in items:
        comma = ","
        if key == last_key:
            comma = ""
        item_path = (*path, key)
        if is_list:
            yield from _write_list_item(item, item_path, indent, comma)
        else:
            yield from _write_lines(item, item_path, f"{indent}{json.dumps(key)}: ", comma)
    yield _Line(outer_indent + closing + after, [])


def _write_list_item(item: Any, path: FactPath, indent: str, comma: str) -> Iterator[_Line]:
    """Yield the line of an item that fits on one, or its lines."""
    inline = indent + json.dumps(item)
    if len(inline) < LINE_WIDTH:
        yield _Line(inline + comma, [path, *_paths_below(item, path)])
    else:
        yield from _write_lines(item, path, indent, comma)


def _items(value: Any) -> list[tuple[str, Any]]:
    """Return the keys and values of an object or a list; nothing for other values."""
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    if isinstance(value, list):
        return [(str(i), item) for i, item in enumerate(cast("list[Any]", value))]
    return []


def _paths_below(value: Any, path: FactPath) -> Iterator[FactPath]:
    for key, item in _items(value):
        yield (*path, key)
        yield from _paths_below(item, (*path, key))


# --- reading ------------------------------------------------------------------------------------


def parse_lock(document: dict[str, Any], content: str, file: str) -> Lock:
    """Return the lock of a file.

    document: the parsed JSON.
    content: the text of the file, in which the lines of facts are found.
    file: the path of the file, for errors.

    Raises ConfigError with the path of what is wrong.
    """
    name = printable(file)
    _check_versions(document, name)
    entries = {
        reference: _parse_entry(reference, model, name)
        for reference, model in _validate_models(document, name).items()
    }
    lines = list(_write_lines(document))
    if _join_lines(lines) != content.replace("\r\n", "\n"):
        # Formatted by another program: only the lines of models can be found.
        _check_repeated_keys(content, name)
        lines = []
    fact_lines = _locate_facts(lines, list(entries))
    model_lines: dict[str, int] = {}
    for reference, found in fact_lines.items():
        model_lines[reference] = found.get("", 0) or _find_model_line(content, reference)
    return Lock(entries, str(document.get("written_by")), model_lines, fact_lines)


def _check_versions(document: dict[str, Any], name: str) -> None:
    """Raise ConfigError unless the document is a lock of the versions that are read here."""
    version = document.get("llmarch_lock")
    schema_version = document.get("schema_version")
    if version is None:
        raise ConfigError(
            f"{name} is not an llmarch lock file",
            "`llmarch lock REF... -o llmarch.lock` writes one",
        )
    if version != LOCK_VERSION or schema_version != SCHEMA_VERSION:
        found = f"lock version {version!r}, schema version {schema_version!r}"
        raise ConfigError(
            f"{name}: {printable(found)}",
            f"this llmarch reads {LOCK_VERSION} and {SCHEMA_VERSION}: write it again with "
            "`llmarch lock`, or use the llmarch that wrote it",
        )


def _locate_facts(lines: list[_Line], references: list[str]) -> dict[str, dict[str, int]]:
    """Return the number of the first line of each fact, by reference and dotted path.

    Paths of facts begin below `architecture`; those of other values below the model, which has the
    empty path itself.
    """
    located: dict[str, dict[str, int]] = {reference: {} for reference in references}
    for number, line in enumerate(lines, 1):
        for path in line.paths:
            match path:
                case ("models", reference, "architecture", *fact) | ("models", reference, *fact):
                    located[reference].setdefault(".".join(fact), number)
                case _:
                    pass
    return located


def _check_repeated_keys(content: str, name: str) -> None:
    """Raise ConfigError if an object has a key twice: JSON readers silently keep the last."""
    repeated: list[str] = []

    def find_repeated(pairs: list[tuple[str, Any]]) -> None:
        counts = Counter(key for key, _ in pairs)
        for key, n in counts.items():
            if n > 1:
                repeated.append(key)

    json.loads(content.removeprefix("\ufeff"), object_pairs_hook=find_repeated)
    if repeated:
        raise ConfigError(
            f"{name}: the key {printable(repeated[0])} appears twice",
            "a merge may have caused it: remove one of the two",
        )


def _find_model_line(content: str, reference: str) -> int:
    """Return the line where a model begins, in a file that another program formatted."""
    position = content.find(json.dumps(reference) + ":")
    if position < 0:
        return 1
    return content.count("\n", 0, position) + 1


def _validate_models(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the models with their architectures as the schema's classes. Raises ConfigError."""
    from pydantic import ValidationError

    from ..architecture.json_schema import locked_models

    models = document.get("models")
    if isinstance(models, dict):
        by_reference = cast("dict[str, Any]", models)
        models = {reference: _expand_layers(model) for reference, model in by_reference.items()}
    try:
        return locked_models(document | {"models": models})
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        raise ConfigError(
            f"{name}: {where}: {first['msg']}", "write it again with `llmarch lock`"
        ) from None


def _expand_layers(model: Any) -> Any:
    """Return a model of the lock with one entry a layer instead of runs.

    A model of another form is returned as it is: validation names what is wrong with it.
    """
    match model:
        case {"architecture": {"layers": list()}}:
            whole = cast("dict[str, Any]", model)
        case _:
            return model
    architecture: dict[str, Any] = whole["architecture"]
    layers: list[str] = []
    for run in architecture["layers"]:
        match run:
            case [int(n), str(kind)] if 0 < n <= MOST_LAYERS - len(layers):
                layers += [kind] * n
            case _:
                return model
    return whole | {"architecture": architecture | {"layers": layers}}


def _parse_entry(reference: str, model: Any, name: str) -> Entry:
    """Return the entry of a validated model. Raises ConfigError if its fingerprint is wrong."""
    architecture: Architecture = model["architecture"]
    try:
        matches = fingerprint(architecture) == model["fingerprint"]
    except LookupError:  # the wiring names a block or norm that does not exist
        matches = False
    if not matches:
        raise ConfigError(
            f"{name}: the architecture of {printable(reference)} does not match its fingerprint",
            "one of the two was edited by hand: write it again with `llmarch lock`, or restore "
            "the file from version control",
        )
    tensors = None
    if model["tensors"]:
        tensors = _parse_tensors(model["tensors"])
    return Entry(
        reference=reference,
        repo=model["repo"],
        revision=model["revision"],
        commit=model["commit"],
        status=model["status"],
        fingerprint=model["fingerprint"],
        parameters=model["parameters"],
        tensors=tensors,
        architecture=architecture,
        findings=tuple(model["findings"]),
        unread_keys=model["unread_keys"],
    )


def _parse_tensors(document: Mapping[str, Any]) -> StoredTensors:
    """Return the stored tensors of a validated model; locks of older versions have no rows."""
    rows = tuple(
        StoredRow(pattern, dtype, tuple(shape), count)
        for pattern, dtype, shape, count in document.get("rows", ())
    )
    return StoredTensors(document["count"], document["bytes"], document["digest"], rows)
