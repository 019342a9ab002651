"""Parse the JSON files of a repository strictly, with errors for people. Pure functions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple, cast

from ..architecture.schema import Finding
from ..errors import ConfigError, NotPulled, printable

MAX_CONFIG = 20_000_000
"""Bytes of a JSON file, except of an index (see `index`)."""

MAX_VALUES = 1_000_000
"""Values of a JSON file, by its commas and brackets. Parsed ones take up to 200 bytes each, so that
`[],[],…` takes 25 times the memory of its text. The largest published index has 140,000."""

MAX_REPEATED = 20
"""Keys stated twice that are reported one by one."""
_MAX_SHOWN = 60
"""How many characters of a value a message shows."""

# Not compiled here, because most files need neither, and every start imports this module.
_CONFLICT_MARKER = r"^(?:<{7}|>{7})(?: |$)"
_SURROGATE = rb"\\u[dD][89a-fA-F]"
_TYPE_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class Repeated(NamedTuple):
    """A key that one object has several times, with different values."""

    path: str
    """Dotted: `text_config.hidden_size`."""
    first: Any
    """The first value that differs from the last."""
    last: Any


class JsonObject(dict[str, Any]):
    """The object that a file holds, with the last value of each key."""

    __slots__ = ("repeated",)

    repeated: tuple[Repeated, ...]
    """Keys with several values: MAX_REPEATED of them, and one more if there are more."""


def parse_object(
    data: bytes, *, file: str, limit: int = MAX_CONFIG, is_own: bool = False
) -> JsonObject:
    """Parse a file that must hold a JSON object in UTF-8.

    NaN and Infinity are accepted: published configs contain them (Mamba's time_step_limit).
    Raises ConfigError with file, line and column.

    data: the bytes of the file.
    file: its name, for messages.
    limit: refuse a longer file.
    is_own: whether llmarch wrote the file, which then holds neither NaN nor Infinity.
    """
    name = printable(file)
    if len(data) > limit:
        raise ConfigError(
            f"{name}: too large for a configuration file: {len(data):,} bytes, limit {limit:,}"
        )
    if data.startswith(b"version https://git-lfs"):
        raise NotPulled(
            f"{name}: is a Git LFS pointer, not the file", "run `git lfs pull` in the repository"
        )
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise ConfigError(f"{name}: contains some {values:,} values, limit {MAX_VALUES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text (byte {error.start})") from None
    found = _Repetitions()
    value = _parse(text, name, found, is_own)
    repeated = found.under(value)
    if b"\\" in data and re.search(_SURROGATE, data):
        _refuse_surrogates(value, name)
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: contains {type_name(value)}, not a JSON object")
    document = JsonObject(cast(dict[str, Any], value))
    document.repeated = repeated
    return document


def _parse(text: str, name: str, found: _Repetitions, is_own: bool) -> Any:
    """Return the value of a JSON text. Raises ConfigError."""
    refuse = _refuse_constant if is_own else None
    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=found.as_dict)
    except json.JSONDecodeError as error:
        raise _syntax_error(text, name, error) from None
    except _NotNumber as error:
        raise ConfigError(f"{name}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:
        if "int_max_str_digits" not in str(error):
            raise
        digits = f"{sys.get_int_max_str_digits():,}"
        raise ConfigError(f"{name}: contains a number of more than {digits} digits") from None


def _refuse_surrogates(value: Any, name: str) -> None:
    """Raise ConfigError for a text with an unpaired surrogate, which no UTF-8 has."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: contains an unpaired surrogate (invalid Unicode)") from None


def repeated_keys(file: str, document: JsonObject, *, is_config: bool) -> list[Finding]:
    """Return a finding for each key that a file states twice, with another value.

    file: its name.
    is_config: whether findings name keys alone, because the file is the config.
    """
    name = printable(file)
    findings: list[Finding] = []
    for path, first, last in document.repeated[:MAX_REPEATED]:
        key = printable(path)
        message = (
            f"{name} states {key} twice, as {_shown(first)} and then as {_shown(last)}: Python's"
            " json, and with it transformers and vLLM, reads the last; other parsers may read the"
            " first or refuse the file"
        )
        findings.append(
            Finding(
                rule="key-stated-twice",
                path=key if is_config else f"{name}: {key}",
                message=message,
                severity="behaviour",
                old=_json_scalar(first),
                new=_json_scalar(last),
            )
        )
    if len(document.repeated) > MAX_REPEATED:
        message = f"{name} states more than {MAX_REPEATED} keys twice, with different values"
        findings.append(
            Finding(rule="key-stated-twice", path=name, message=message, severity="behaviour")
        )
    return findings


def _json_scalar(value: Any) -> Any:
    """Return a value as a finding has it: its words unless it is a number, a word or null."""
    is_finite = not isinstance(value, float) or isfinite(value)
    is_scalar = value is None or isinstance(value, (bool, int, float, str))
    return value if is_scalar and is_finite else _shown(value)


class _Repetitions:
    """The objects of a document that have a key several times, noted while it is parsed."""

    def __init__(self) -> None:
        self.objects: list[tuple[dict[str, Any], list[tuple[str, Any]]]] = []

    def as_dict(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object as a dictionary, with the last value of each key."""
        values = dict(pairs)
        if len(values) != len(pairs):
            self.objects.append((values, pairs))
        return values

    def under(self, document: Any) -> tuple[Repeated, ...]:
        """Return the keys that objects of a parsed document have with different values."""
        if not self.objects:
            return ()
        places = _places_of_objects(document)
        found: list[Repeated] = []
        for values, pairs in self.objects:
            if id(values) not in places:
                continue  # in a value that a later one replaced
            others: dict[str, Any] = {}
            for key, value in pairs:
                if value != values[key]:
                    others.setdefault(key, value)
            for key, value in others.items():
                place = (id(values), key)
                found.append(Repeated(_dotted(place, places), value, values[key]))
                if len(found) > MAX_REPEATED:
                    return tuple(found)
        return tuple(found)


_Place = tuple[int, str]
"""Where a value is: the id of the object or list around it, and its key there."""


def _places_of_objects(document: Any) -> dict[int, _Place | None]:
    """Return where each object and list in a document is, by its id; None for the document."""
    places: dict[int, _Place | None] = {id(document): None}
    rest: list[Any] = [document]
    while rest:
        outer = rest.pop()
        outer_id = id(outer)
        items = cast("Iterable[tuple[Any, Any]]", enumerate(outer))
        if isinstance(outer, dict):
            items = cast("dict[Any, Any]", outer).items()
        for key, inner in items:
            if isinstance(inner, (dict, list)):
                places[id(cast("object", inner))] = (outer_id, str(key))
                rest.append(inner)
    return places


def _dotted(place: _Place, places: Mapping[int, _Place | None]) -> str:
    """Return the dotted path of a place."""
    keys: list[str] = []
    outer: _Place | None = place
    while outer is not None:
        keys.append(outer[1])
        outer = places[outer[0]]
    return ".".join(reversed(keys))


def _shown(value: Any) -> str:
    """Return a value for a message, cut if it is long: `64`, `"silu"`, `an object`."""
    if isinstance(value, (dict, list)):
        return type_name(cast("object", value))
    return printable(json.dumps(value), _MAX_SHOWN)


class _NotNumber(ValueError):
    """A word that Python takes for a number: NaN, Infinity."""


def _refuse_constant(name: str) -> None:
    raise _NotNumber(f"{name} is not a JSON number")


def type_name(value: object) -> str:
    """Return the JSON type of a parsed value with its article, for messages."""
    cls = type(value)
    return _TYPE_NAMES[cls]


def _syntax_error(text: str, name: str, error: json.JSONDecodeError) -> ConfigError:
    """Return the error to raise: a merge conflict in the file explains a syntax error better."""
    conflict = re.search(_CONFLICT_MARKER, text, re.MULTILINE)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        return ConfigError(
            f"{name}: line {line} is a merge conflict marker", "resolve the conflict first"
        )
    location = f"line {error.lineno}, column {error.colno}"
    return ConfigError(f"{name}: not valid JSON at {location}: {error.msg}")
