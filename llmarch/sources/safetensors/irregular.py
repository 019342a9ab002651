"""Parse a header that is written in any way that JSON allows. The slow way, with exact errors.

Spaces, escapes, another order of keys: the safetensors library reads them all but writes none.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import Any, NamedTuple, cast

from ...errors import printable
from ..raw import DtypeShape
from .header import (
    MAX_OFFSET,
    METADATA,
    Header,
    check_offsets,
    header_error,
    padded_size,
    parse_kind,
)

MAX_IRREGULAR = 16_000_000
"""Bytes of JSON. As objects they take many times as much memory."""
MAX_IRREGULAR_VALUES = 2_000_000
"""Values of such a header, by its commas and brackets."""
_ONE_AT_A_TIME = Lock()
"""Held while a header is JSON objects, because several threads read headers."""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicate keys."""


class _Tensor(NamedTuple):
    """The entry of a tensor."""

    kind: DtypeShape
    size: int
    """Bytes by dtype and shape."""
    begin: int
    end: int


def parse_irregular(text: str, file: str, size: int) -> Header:
    """Parse a header. Raises HeaderError, naming the tensor where possible.

    text: the JSON.
    file: its name, for messages.
    size: bytes of the header, with the eight of the length.
    """
    if len(text) > MAX_IRREGULAR:
        problem = (
            f"{len(text):,} bytes of header are not written as the safetensors library writes them"
        )
        raise header_error(file, problem)
    values = sum(map(text.count, ",[{"))
    if values > MAX_IRREGULAR_VALUES:
        raise header_error(file, f"the header contains some {values:,} values")
    with _ONE_AT_A_TIME:
        try:
            document = _parse_json(text)
        except ValueError as error:
            raise header_error(file, f"the header is not JSON ({printable(str(error))})") from None
        except RecursionError:
            raise header_error(file, "the header is nested too deeply") from None
        return _parse_document(document, file, size)


def parse_irregular_headers(text: str) -> list[Header] | None:
    """Parse the Hub's answer with all headers; None if the text has another form.

    Raises HeaderError for a header that is wrong.
    """
    if len(text) > 4 * MAX_IRREGULAR or sum(map(text.count, ",[{")) > 2 * MAX_IRREGULAR_VALUES:
        return None
    try:
        document = _parse_json(text)
    except (ValueError, RecursionError):
        return None
    files: Any = dict(document).get("headers") if isinstance(document, _Pairs) else None
    if not isinstance(files, _Pairs):
        return None
    return [_parse_document(header, file, _regular_size(header)) for file, header in files]


def _parse_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _regular_size(header: Any) -> int:
    """Return the bytes that a header takes when the safetensors library writes it."""
    document = _as_dicts(header)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "surrogatepass")
    return padded_size(len(data))


def _as_dicts(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _as_dicts(inner) for key, inner in value}
    return value


def _parse_document(document: Any, file: str, size: int) -> Header:
    """Return the header of a parsed JSON document."""
    if not isinstance(document, _Pairs):
        raise header_error(file, "the header is not a JSON object")
    metadata: dict[str, str] = {}
    names: list[str] = []
    tensors: list[_Tensor] = []
    for name, entry in document:
        if _has_surrogates(name):
            raise header_error(file, "a name that is not valid Unicode")
        if name == METADATA:
            metadata = _parse_metadata(entry, metadata, file)
        else:
            names.append(name)
            tensors.append(_parse_tensor(entry, name, file))
    kinds = [tensor.kind for tensor in tensors]
    begins = [tensor.begin for tensor in tensors]
    ends = [tensor.end for tensor in tensors]
    sizes = [tensor.size for tensor in tensors]
    data_size = check_offsets(file, names, begins, ends, sizes)
    return Header(file, size, data_size, names, kinds, metadata)


def _parse_tensor(entry: Any, name: str, file: str) -> _Tensor:
    if not isinstance(entry, _Pairs):
        raise header_error(file, "its entry is not a JSON object", name)
    fields = dict(entry)
    if len(fields) != len(entry):
        raise header_error(file, "its entry contains a field twice", name)
    dtype = fields.get("dtype")
    if not isinstance(dtype, str):
        raise header_error(file, "dtype is missing or not a string", name)
    sizes = _integers(fields.get("shape"))
    if sizes is None:
        raise header_error(file, "shape is missing or not a list of sizes", name)
    offsets = _integers(fields.get("data_offsets"))
    if offsets is None or len(offsets) != 2:
        raise header_error(file, "data_offsets are missing or not two byte offsets", name)
    try:
        kind, size = parse_kind(dtype, ",".join(map(str, sizes)))
    except ValueError as error:
        raise header_error(file, str(error), name) from None
    return _Tensor(kind, size, *offsets)


def _integers(value: Any) -> list[int] | None:
    """Return the value if it is a list of possible offsets (no booleans), else None."""
    if type(value) is not list:
        return None
    items = cast(list[Any], value)
    for item in items:
        if type(item) is not int:
            return None
        if not -MAX_OFFSET <= item <= MAX_OFFSET:
            return None
    return items


def _parse_metadata(entry: Any, before: dict[str, str], file: str) -> dict[str, str]:
    """Return the metadata. `before` is that of an earlier `__metadata__` in the same header."""
    if entry is None:
        return {}
    if not isinstance(entry, _Pairs) or not all(isinstance(value, str) for _, value in entry):
        raise header_error(file, f"{METADATA} is not an object of strings")
    if before:
        raise header_error(file, f"{METADATA} occurs twice")
    if any(_has_surrogates(key + value) for key, value in entry):
        raise header_error(file, f"{METADATA} is not valid Unicode")
    return dict(entry)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
