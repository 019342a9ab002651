"""The lock: what models were when they were locked, as JSON under version control. Pure.

It is JSON because the architecture is nested and has nulls, which TOML lacks, and because the
standard library reads and writes JSON. Models are sorted by reference and each fact has a line of
its own, so that a review shows what changed; facts at their default are left out. It holds the
config too, so that another version of llmarch can read the model again (rereading.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .. import __version__
from ..architecture.fingerprint import DanglingReference, digest, fingerprint, without_defaults
from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import run_lengths
from ..architecture.schema import SCHEMA_VERSION, Architecture, Finding
from ..config.findings import NOT_DESCRIBED
from ..errors import ConfigError, UnknownFamily, printable
from .beside import Beside, keys_beside_facts, what_is_beside
from .config_keys import ConfigSource, config_value_at
from .lock_versions import (
    LOCK_VERSION,
    UPGRADE,
    check_versions,
    newer_words,
    written_by_newer,
    written_by_older,
)
from .observed import ObservedFacts, config_keys, locked_facts
from .stored import StoredRow, StoredTensors, stored_rows

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation, Reading
    from ..sources.raw import TensorTable

MOST_LAYERS = 10_000
LINE_WIDTH = 110
"""Columns of a list that is written on one line."""
NUMBER_KEY = "$number"
"""The key of an object that stands for NaN or Infinity in a config."""
LONGEST_CONFIG = 200_000
"""Characters of a config; a longer one is not kept."""
LONGEST_VALUE = 80
"""Characters of an unread key's value; a longer value is kept as its hash."""


@frozen
class ConfigFiles(Frozen):
    """The files that a config comes from."""

    config: str = "config.json"
    quantization: str = ""
    """Where the `quantization_config` stands, if not in the config."""


@frozen
class Entry(Frozen):
    """One model as it was when it was read."""

    reference: str
    repo: str | None
    revision: str | None
    commit: str | None
    status: str
    parameters: Mapping[str, int]
    tensors: StoredTensors | None
    """None if only the config was read."""
    architecture: Architecture | None
    """None for a model that no family reads: `observed` has what is known of it."""
    findings: tuple[Finding, ...] = ()
    unread_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Config keys that nothing reads, with their values: their effect is not known."""
    accepted: Mapping[str, str] = field(default_factory=dict[str, str])
    """Changes that somebody accepted, in words by their id."""
    partial: bool = False
    """Whether some of it could not be read; never so in a lock."""
    config_source: ConfigSource = field(default=ConfigSource(), compare=False)
    """The config, and the evidence of facts where the model was read now."""
    files: ConfigFiles = field(default=ConfigFiles(), compare=False)
    """Where the config comes from."""
    read_by: str = field(default="", compare=False)
    """The version of llmarch that read it, such as `llmarch 0.1.0`; empty if not known."""
    reading: Reading | Observation | None = field(default=None, compare=False, repr=False)
    """The reading that it was made from; None for an entry of a lock."""
    observed: ObservedFacts | None = None
    """What tensors show of a model that no family reads; None for one that a family reads."""
    config_keys: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)
    """The keys of a config that the lock does not hold because it is too long, by their dotted
    names, with values or their hashes as JSON; only of an observed model."""
    beside: Beside = Beside()
    """Token ids, own code and small files."""

    @property
    def fingerprint(self) -> str:
        """Return the hash of the facts, whatever their order and names.

        Raises LookupError if the wiring names a block or norm that does not exist.
        """
        if self.architecture is not None:
            return fingerprint(self.architecture)
        observed = self.observed or ObservedFacts()
        return observed.fingerprint

    def known_keys(self) -> Mapping[str, str]:
        """Return the keys of the config as far as they are known, with values as JSON."""
        return self.config_keys or config_keys(self.config_source.config)

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
    outdated: Mapping[str, OutdatedEntry] = field(default_factory=dict[str, "OutdatedEntry"])
    """Models that an older llmarch described in a way that is not read any more."""

    @property
    def references(self) -> list[str]:
        """Return all models in the order of the file, which sorts them."""
        return sorted([*self.entries, *self.outdated])


@frozen
class OutdatedEntry(Frozen):
    """What is left of a model of the lock whose facts this version does not read."""

    reference: str
    repo: str | None
    commit: str | None
    config: Mapping[str, Any]
    """Empty if the lock does not hold it."""
    files: ConfigFiles
    tensors: StoredTensors | None


def make_entry(reading: Reading | Observation) -> Entry:
    """Return what a lock keeps of a reading."""
    from ..checkpoint.reading import Observation

    if isinstance(reading, Observation):
        return observed_entry(reading)
    from ..analyses.parameters import count_parameters

    architecture, raw = reading.architecture, reading.raw
    counts = count_parameters(architecture)
    parameters = {"total": counts.total, "active": counts.active}
    if reading.check:
        parameters["stored"] = reading.check.stored
    return Entry(
        reference=raw.reference,
        repo=raw.repo_id,
        revision=raw.revision,
        commit=raw.commit,
        status=reading.status,
        parameters=parameters,
        tensors=_stored_tensors(raw.tensors),
        architecture=architecture,
        findings=reading.findings,
        unread_keys={key: config_value(raw.config or {}, key) for key in reading.unread_keys},
        partial=reading.status == "partial" or raw.partial,
        config_source=ConfigSource(raw.config or {}, reading.config_evidence),
        files=ConfigFiles(raw.config_file, raw.quantization_file),
        read_by=f"llmarch {__version__}",
        reading=reading,
        beside=what_is_beside(raw),
    )


def observed_entry(o: Observation) -> Entry:
    """Return what a lock keeps of a model that no family reads.

    Raises UnknownFamily for a part of a checkpoint without its config: it is not a model.
    """
    raw, seen = o.raw, o.observed
    if raw.config is None and raw.partial:
        raise UnknownFamily(o.why, "give the folder, with the config and the other files")
    facts = locked_facts(o)
    parameters: dict[str, int] = {}
    if raw.tensors is not None:
        parameters["stored"] = seen.stored
        if seen.total is not None:
            parameters = {"total": seen.total, **parameters}
    return Entry(
        reference=raw.reference,
        repo=raw.repo_id,
        revision=raw.revision,
        commit=raw.commit,
        status=o.status,
        parameters=parameters,
        tensors=_stored_tensors(raw.tensors),
        architecture=None,
        findings=o.findings,
        partial=o.status == "partial",
        config_source=ConfigSource(raw.config or {}, seen.evidence),
        files=ConfigFiles(raw.config_file, raw.quantization_file),
        read_by=f"llmarch {__version__}",
        reading=o,
        observed=facts,
        beside=what_is_beside(raw),
    )


def _stored_tensors(table: TensorTable | None) -> StoredTensors | None:
    """Return the tensors of a checkpoint in short; None without headers."""
    if table is None:
        return None
    bits = sum(group.bits for group in table)
    size = bits // 8
    rows = stored_rows(table)
    digest_of_all = hash_tensors(table)
    return StoredTensors(len(table), size, digest_of_all, rows)


def config_value(config: Mapping[str, Any], key: str) -> str:
    """Return the value at a dotted key of a config as JSON, or its hash if that is long."""
    value = config_value_at(config, key)
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

CONFIG_KEY = "config"
CONFIG_DEPTH = 3
"""Keys down to the config of a model: `models`, the reference, `config`."""
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
    architecture: dict[str, Any] | None = None
    if entry.architecture is not None:
        layers = run_lengths(entry.architecture.layers)
        architecture = without_defaults(entry.architecture, remarks=True) | {"layers": layers}
    tensors = None
    if entry.tensors:
        tensors = asdict(entry.tensors) | {"rows": [list(row) for row in entry.tensors.rows]}
    document: dict[str, Any] = {
        "repo": entry.repo,
        "revision": entry.revision,
        "commit": entry.commit,
        "status": entry.status,
        "fingerprint": entry.fingerprint,
        "parameters": dict(entry.parameters),
        "tensors": tensors,
        "architecture": architecture,
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
        **_accepted_document(entry),
        "beside": _beside_document(entry.beside),
        **_config_document(entry),
    }
    if entry.observed is not None:
        document["observed"] = entry.observed.document()
        if "config" not in document:
            document["config_keys"] = dict(entry.known_keys())
    return document


def _beside_document(beside: Beside) -> dict[str, Any]:
    """Return what is beside the architecture as JSON."""
    document: dict[str, Any] = {"keys": dict(beside.keys or {}), "files": dict(beside.files)}
    if beside.is_partial:
        document["is_partial"] = True
    return document


def _accepted_document(entry: Entry) -> dict[str, Any]:
    """Return the accepted changes of an entry as JSON; nothing if there are none."""
    if not entry.accepted:
        return {}
    return {"accepted": dict(sorted(entry.accepted.items()))}


def _config_document(entry: Entry) -> dict[str, Any]:
    """Return the config of an entry, and who read it, as JSON; a long config is left out."""
    config = entry.config_source.config
    if not config or len(json.dumps(config)) > LONGEST_CONFIG:
        return {"read_by": entry.read_by}
    return {
        "read_by": entry.read_by,
        "config_file": entry.files.config,
        "quantization_file": entry.files.quantization,
        "config": _finite(config),
    }


def _finite(value: Any) -> Any:
    """Return a value of a config without NaN and Infinity, which JSON does not have."""
    match value:
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            return {key: _finite(item) for key, item in items}
        case list():
            return [_finite(item) for item in cast("list[Any]", value)]
        case float() if not isfinite(value):
            return {NUMBER_KEY: str(value)}
        case _:
            return value


def _with_numbers(value: Any) -> Any:
    """Return a value of a config as it was before `_finite`."""
    match value:
        case {"$number": "nan" | "inf" | "-inf" as name, **others} if not others:
            return float(name)
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {key: _with_numbers(item) for key, item in items}
        case list():
            return [_with_numbers(item) for item in cast("list[Any]", value)]
        case _:
            return value


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
    if is_list and CONFIG_KEY in path[:CONFIG_DEPTH] and not any(_items(v) for _, v in items):
        yield from _filled_lines([json.dumps(v) for _, v in items], indent)
        yield _Line(outer_indent + closing + after, [])
        return
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


def _filled_lines(items: list[str], indent: str) -> Iterator[_Line]:
    """Yield lines with as many items as fit on each."""
    line = ""
    *others, last = items
    words = [*(f"{item}," for item in others), last]
    room = LINE_WIDTH - len(indent)
    for word in words:
        longer = f"{line} {word}"
        if not line:
            line = word
        elif len(longer) <= room:
            line = longer
        else:
            yield _Line(indent + line, [])
            line = word
    yield _Line(indent + line, [])


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
        inner_path = (*path, key)
        yield inner_path
        yield from _paths_below(item, inner_path)


# --- reading ------------------------------------------------------------------------------------


def parse_lock(document: dict[str, Any], content: str, file: str) -> Lock:
    """Return the lock of a file.

    document: the parsed JSON.
    content: the text of the file, in which the lines of facts are found.
    file: the path of the file, for errors.

    Raises ConfigError with the path of what is wrong.
    """
    name = printable(file)
    check_versions(document, name)
    entries, outdated = _read_entries(document, name)
    lines = list(_write_lines(document))
    if _join_lines(lines) != content.replace("\r\n", "\n"):
        # Formatted by another program: only the lines of models can be found.
        _check_repeated_keys(content, name)
        lines = []
    fact_lines = _locate_facts(lines, [*entries, *outdated])
    model_lines: dict[str, int] = {}
    for reference, found in fact_lines.items():
        model_lines[reference] = found.get("", 0) or _find_model_line(content, reference)
    return Lock(entries, str(document.get("written_by")), model_lines, fact_lines, outdated)


def _locate_facts(lines: list[_Line], references: list[str]) -> dict[str, dict[str, int]]:
    """Return the number of the first line of each fact, by reference and dotted path.

    Paths of facts begin below `architecture`; those of other values below the model, which has the
    empty path itself.
    """
    located: dict[str, dict[str, int]] = {reference: {} for reference in references}
    for number, line in enumerate(lines, 1):
        for path in line.paths:
            match path:
                case (
                    ("models", reference, "architecture", *fact)
                    | ("models", reference, "observed", "facts", *fact)
                    | ("models", reference, "config" | "config_keys", *fact)
                    | ("models", reference, *fact)
                ):
                    located[reference].setdefault(".".join(fact), number)
                case _:
                    pass
    return located


def _check_repeated_keys(content: str, name: str) -> None:
    """Raise ConfigError if an object has a key twice: JSON readers silently keep the last."""
    repeated: list[str] = []

    def find_repeated(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        counts = Counter(keys)
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
    key = json.dumps(reference) + ":"
    position = content.find(key)
    if position < 0:
        return 1
    lines_before = content.count("\n", 0, position)
    return lines_before + 1


def _read_entries(
    document: dict[str, Any], name: str
) -> tuple[dict[str, Entry], dict[str, OutdatedEntry]]:
    """Return the models of a lock, and those that an older llmarch wrote and this cannot read.

    Raises ConfigError if a model cannot be read and no older llmarch is the reason.
    """
    older = written_by_older(document)
    try:
        models = _validate_models(document)
        return {
            reference: _parse_entry(reference, model, older=older)
            for reference, model in models.items()
        }, {}
    except InvalidModel as error:
        if written_by_newer(document):
            raise ConfigError(f"{name}: {newer_words(document)}", UPGRADE) from None
        if not older:
            raise ConfigError(f"{name}: {error.message}", error.hint) from None
    entries: dict[str, Entry] = {}
    outdated: dict[str, OutdatedEntry] = {}
    for reference, model in document["models"].items():
        try:
            (read,) = _validate_models(document | {"models": {reference: model}}).values()
            entries[reference] = _parse_entry(reference, read, older=True)
        except InvalidModel as error:
            kept = _outdated_entry(reference, model)
            if kept is None:
                raise ConfigError(f"{name}: {error.message}", error.hint) from None
            outdated[reference] = kept
    return entries, outdated


class InvalidModel(ConfigError):
    """A model of a lock that does not have the form of this version."""


def _outdated_entry(reference: str, model: Any) -> OutdatedEntry | None:
    """Return what a model of an older lock can be read again from; None if there is nothing."""
    match model:
        case {"config": dict()} | {"repo": str(), "commit": str()}:
            known = cast("dict[str, Any]", model)
        case _:
            return None
    tensors: StoredTensors | None = None
    match known.get("tensors"):
        case {"count": int(count), "bytes": int(size), "digest": str(found)}:
            tensors = StoredTensors(count, size, found)
        case _:
            pass
    return OutdatedEntry(
        reference=reference,
        repo=known.get("repo"),
        commit=known.get("commit"),
        config=_with_numbers(known.get("config") or {}),
        files=_config_files(known),
        tensors=tensors,
    )


def _config_files(model: Mapping[str, Any]) -> ConfigFiles:
    """Return the files that the config of a locked model comes from."""
    return ConfigFiles(
        str(model.get("config_file") or "config.json"), str(model.get("quantization_file") or "")
    )


def _validate_models(document: dict[str, Any]) -> dict[str, Any]:
    """Return the models with their architectures as the schema's classes. Raises InvalidModel."""
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
        location = printable(".".join(str(part) for part in first["loc"]))
        message = f"{location}: {first['msg']}"
        raise InvalidModel(message, "write it again with `llmarch lock`") from None


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


def _parse_entry(reference: str, model: Any, *, older: bool) -> Entry:
    """Return the entry of a validated model. Raises InvalidModel if its fingerprint is wrong.

    older: whether an older llmarch wrote it, whose fingerprint may be another.
    """
    architecture: Architecture | None = model["architecture"]
    observed = _parse_observed(model.get("observed"))
    found = _fingerprint_of(architecture or observed)
    if not found or (found != model["fingerprint"] and not older):
        raise InvalidModel(
            f"the architecture of {printable(reference)} does not match its fingerprint",
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
        parameters=model["parameters"],
        tensors=tensors,
        architecture=architecture,
        findings=tuple(model["findings"]),
        unread_keys=model["unread_keys"],
        accepted=model.get("accepted") or {},
        config_source=ConfigSource(_with_numbers(model.get("config") or {})),
        files=_config_files(model),
        read_by=model.get("read_by") or "",
        observed=observed,
        config_keys=model.get("config_keys", {}),
        beside=_parse_beside(model),
    )


def _parse_beside(model: Mapping[str, Any]) -> Beside:
    """Return what is beside the architecture; locks of older versions have the config at most.

    Which keys of the config these are is what this version compares.
    """
    beside = Beside(**model.get("beside", {}))
    if model.get("config"):
        return replace(beside, keys=keys_beside_facts(model["config"]))
    return beside


def _fingerprint_of(facts: Architecture | ObservedFacts | None) -> str:
    """Return the fingerprint of the facts of a model; nothing if it has none that fit together."""
    if isinstance(facts, ObservedFacts):
        return facts.fingerprint
    try:
        return "" if facts is None else fingerprint(facts)
    except DanglingReference:
        return ""


def _parse_observed(document: Mapping[str, Any] | None) -> ObservedFacts | None:
    """Return the observed facts of a validated model; None for one that a family reads."""
    if document is None:
        return None
    layers: list[str] = []
    for n, kind in document["layers"]:
        layers += [kind] * min(n, MOST_LAYERS - len(layers))
    return ObservedFacts(
        facts=document["facts"],
        unknown=tuple(document["unknown"]),
        kinds={kind: tuple(paths) for kind, paths in document["kinds"].items()},
        layers=tuple(layers),
        components=document["components"],
        packings=tuple(document["packings"]),
    )


def _parse_tensors(document: Mapping[str, Any]) -> StoredTensors:
    """Return the stored tensors of a validated model; locks of older versions have no rows."""
    rows = tuple(
        StoredRow(pattern, dtype, tuple(shape), count)
        for pattern, dtype, shape, count in document.get("rows", ())
    )
    return StoredTensors(document["count"], document["bytes"], document["digest"], rows)
