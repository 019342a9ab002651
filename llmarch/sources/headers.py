"""The header of a safetensors file: eight bytes of length, then JSON. Pure functions over bytes; the weights are never needed.

A header written by the safetensors library is perfectly regular, so it is scanned by one pattern: twice as fast as building
JSON objects for 92,000 tensors, in memory that a hostile header cannot blow up, and duplicate names are seen. Anything else that is
JSON (spaces, escapes, another order of keys) takes the slow way through `json`, for headers up to `MAX_IRREGULAR`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any, cast

from ..errors import HeaderError, printable
from ..raw import BITS

MAX_HEADER = 100_000_000
"""Bytes of JSON that the safetensors format allows."""
MAX_IRREGULAR = 16_000_000
"""Bytes of JSON that are parsed as objects when the header is not written as the safetensors library writes it."""
MAX_OFFSET = 2**63
MAX_DIMS = 64

Row = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape of a tensor."""

_ENTRY = re.compile(
    r'"([^"\\\x00-\x1f]*+)":\{"dtype":"([A-Z0-9_]{1,16}+)","shape":\[([0-9,]{0,400}+)\],'
    r'"data_offsets":\[([0-9]{1,19}+),([0-9]{1,19}+)\]\}'
)
_METADATA = re.compile(r'"__metadata__":(\{(?:"(?:[^"\\]|\\.)*+":"(?:[^"\\]|\\.)*+",?+)*+\})')


@dataclass(slots=True)
class Header:
    """What a header says. `size` counts its bytes with the eight of the length; `data_size` those of the weights behind it."""

    file: str
    size: int
    data_size: int
    tensors: list[Row]
    metadata: dict[str, str] = field(default_factory=dict[str, str])


def header_length(data: bytes, *, file: str, file_size: int | None = None) -> int:
    """Bytes of JSON that follow the first eight bytes, `data[:8]`. `file_size` is the whole file's, where it is known.

    Checked before anything is read: raises HeaderError if the file is too short, or the length runs past the file or MAX_HEADER.
    """
    if len(data) < 8 or (file_size is not None and file_size < 8):
        raise HeaderError(f"{printable(file)}: truncated, {min(len(data), file_size or 8)} bytes are no safetensors file")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        what = f"a header of {length:,} bytes is announced, the format allows {MAX_HEADER:,}"
        if data[:1] in (b"{", b"<", b"v"):
            what += "; it looks like a text file"
        raise HeaderError(f"{printable(file)}: {what}", _not_safetensors(data))
    if file_size is not None and 8 + length > file_size:
        raise HeaderError(f"{printable(file)}: truncated, a header of {length:,} bytes is announced in a file of {file_size:,}")
    return length


def parse_header(data: bytes, *, file: str, file_size: int | None = None) -> Header:
    """The header at the start of `data` (bytes of the file from 0; whatever follows the header is ignored).

    Raises HeaderError, naming file and tensor, for everything that a loader would stumble over: see `header_length`, and
    JSON that is none, duplicate names, unknown dtypes, shapes that are not sizes, offsets that overlap, leave holes, run past
    the file (only with `file_size`) or do not match dtype and shape.
    """
    length = header_length(data, file=file, file_size=file_size)
    if len(data) < 8 + length:
        raise HeaderError(f"{printable(file)}: truncated, {len(data) - 8:,} of {length:,} header bytes are there")
    text = _decode(data[8 : 8 + length], file)
    check = _Checker(file)
    end = scan(text, 0, check)
    if end is None or text[end:].strip(" \t\r\n"):
        check = _Checker(file)
        _from_json(text, check)
    header = check.header(8 + length)
    if file_size is not None and header.size + header.data_size != file_size:
        found = file_size - header.size
        raise HeaderError(f"{printable(file)}: its tensors take {header.data_size:,} bytes, but {found:,} follow the header")
    return header


def parse_headers_document(text: str) -> tuple[dict[str, Any], list[Header]] | None:
    """The Hub's answer with all shard headers, `{"index": {"metadata": …}, "headers": {FILE: HEADER, …}}`: metadata and headers.

    None if the text has another form; HeaderError as `parse_header` (the files' sizes are not known here). `Header.size` is the
    length of the text, as the size of the real header is not known either.
    """
    opening = re.match(r'\{"index":(\{.{0,100000}?\}|null),"headers":\{', text, re.DOTALL)
    if opening is None:
        return _document_from_json(text)
    headers: list[Header] = []
    at = opening.end()
    name = re.compile(r'"([^"\\\x00-\x1f]*+)":')
    while found := name.match(text, at):
        check = _Checker(found[1])
        end = scan(text, found.end(), check)
        if end is None:
            return _document_from_json(text)
        headers.append(check.header(8 + (end - found.end() + 7) // 8 * 8))
        at = end
        if text[at : at + 1] != ",":
            break
        at += 1
    if text[at:].rstrip() != "}}":
        return _document_from_json(text)
    try:
        index: Any = json.loads(opening[1])
    except ValueError:
        return None
    return _metadata_of(index), headers


class _Checker:
    """Takes the tensors of one file and holds them against each other."""

    __slots__ = ("file", "metadata", "rows", "_known", "_spans", "_end", "_ordered")

    def __init__(self, file: str) -> None:
        self.file = file
        self.metadata: dict[str, str] = {}
        self.rows: list[Row] = []
        self._known: dict[tuple[str, str], tuple[tuple[int, ...], int]] = {}
        self._spans: list[tuple[int, int]] = []
        self._end = 0
        self._ordered = True

    def fail(self, what: str, name: str | None = None) -> HeaderError:
        where = printable(self.file) if name is None else f"{printable(self.file)}: tensor {printable(name)}"
        return HeaderError(f"{where}: {what}")

    def shape_of(self, name: str, dtype: str, text: str) -> tuple[tuple[int, ...], int]:
        """The shape and the bytes that dtype and shape make; remembered, for a shard has few."""
        known = self._known.get((dtype, text))
        if known is None:
            bits = BITS.get(dtype)
            if bits is None:
                raise self.fail(f"unknown dtype {printable(dtype)}", name)
            try:
                shape = tuple(map(int, text.split(","))) if text else ()
            except ValueError:
                raise self.fail(f"its shape [{printable(text)}] is not a list of sizes", name) from None
            if len(shape) > MAX_DIMS:
                raise self.fail(f"a shape of {len(shape)} dimensions", name)
            if min(shape, default=0) < 0:
                raise self.fail(f"a negative size in its shape {list(shape)}", name)
            size = prod(shape) * bits
            if size % 8:
                raise self.fail(f"{dtype} {list(shape)} does not end on a whole byte", name)
            if size // 8 > MAX_OFFSET:
                raise self.fail(f"{dtype} {list(shape)} is larger than any file", name)
            known = self._known[dtype, text] = (shape, size // 8)
        return known

    def add(self, name: str, dtype: str, shape: str, begin: int, end: int) -> None:
        known, size = self.shape_of(name, dtype, shape)
        if end - begin != size:
            raise self.fail(f"{dtype} [{printable(shape)}] takes {size:,} bytes, its offsets {begin}–{end} hold {end - begin:,}", name)
        if begin != self._end:
            self._ordered = False
        self._end = end
        self._spans.append((begin, end))
        self.rows.append((name, dtype, known))

    def header(self, size: int) -> Header:
        """The checked header; raises HeaderError for duplicate names, overlaps and holes."""
        if len({row[0] for row in self.rows}) != len(self.rows):
            raise self.fail("named twice in one header", _first_duplicate(row[0] for row in self.rows))
        end = self._end if self._ordered else self._sorted_end()
        if end > MAX_OFFSET:
            raise self.fail(f"its tensors end at byte {end}, beyond any file")
        return Header(self.file, size, end, self.rows, self.metadata)

    def _sorted_end(self) -> int:
        at = 0
        for (begin, end), row in sorted(zip(self._spans, self.rows, strict=True)):
            if begin < at:
                raise self.fail(f"its offsets {begin}–{end} overlap the tensor before, which ends at {at}", row[0])
            if begin > at:
                raise self.fail(f"a hole of {begin - at:,} bytes before it, at offset {at}", row[0])
            at = end
        return at


def scan(text: str, start: int, check: _Checker) -> int | None:
    """Read the regular header object at text[start] into `check`: the position behind it, or None if it is not regular."""
    if text[start : start + 1] != "{":
        return None
    at = start + 1
    if text[at : at + 1] == "}":
        return at + 1
    add = check.add
    while True:
        for entry in _ENTRY.finditer(text, at):
            if entry.start() != at:
                break
            name, dtype, shape, begin, end = entry.groups()
            if name == "__metadata__":
                return None
            add(name, dtype, shape, int(begin), int(end))
            at = entry.end() + 1
            if text[at - 1 : at] != ",":
                return at if text[at - 1 : at] == "}" else None
        metadata = _METADATA.match(text, at)
        if metadata is None or check.metadata:
            return None
        try:
            check.metadata = json.loads(metadata[1])
        except ValueError:
            return None
        at = metadata.end() + 1
        if text[at - 1 : at] != ",":
            return at if text[at - 1 : at] == "}" else None


def _from_json(text: str, check: _Checker) -> None:
    """The slow way, for whatever JSON allows."""
    if len(text) > MAX_IRREGULAR:
        raise check.fail(f"{len(text):,} bytes of header that are not written as the safetensors library writes them")
    try:
        document: Any = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except ValueError as error:
        raise check.fail(f"the header is not JSON ({printable(str(error))})") from None
    except RecursionError:
        raise check.fail("the header is nested too deeply") from None
    _take(document, check)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicates."""


def _take(document: Any, check: _Checker) -> None:
    if not isinstance(document, _Pairs):
        raise check.fail("the header is not a JSON object")
    for name, entry in document:
        if any("\ud800" <= c <= "\udfff" for c in name):
            raise check.fail("a name that is not valid Unicode")
        if name == "__metadata__":
            check.metadata = _checked_metadata(entry, check)
            continue
        if not isinstance(entry, _Pairs):
            raise check.fail("its entry is not a JSON object", name)
        fields = dict(entry)
        if len(fields) != len(entry):
            raise check.fail("a field is there twice", name)
        dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
        if not isinstance(dtype, str):
            raise check.fail("dtype is missing or not a string", name)
        if not _sizes(shape):
            raise check.fail("shape is missing or not a list of sizes", name)
        if not _sizes(offsets) or len(offsets) != 2:
            raise check.fail("data_offsets are missing or not two byte offsets", name)
        check.add(name, dtype, ",".join(map(str, shape)), *offsets)


def _sizes(value: Any) -> bool:
    """Whether it is a list of integers that could be sizes (a bool is none; `add` refuses what is negative or absurd)."""
    return type(value) is list and all(type(v) is int and -MAX_OFFSET <= v <= MAX_OFFSET for v in cast(list[object], value))


def _checked_metadata(entry: Any, check: _Checker) -> dict[str, str]:
    if entry is None:
        return {}
    if not isinstance(entry, _Pairs) or not all(isinstance(value, str) for _, value in entry):
        raise check.fail("__metadata__ is not an object of strings")
    if check.metadata:
        raise check.fail("__metadata__ is there twice")
    return dict(entry)


def _document_from_json(text: str) -> tuple[dict[str, Any], list[Header]] | None:
    """The slow way of `parse_headers_document`."""
    if len(text) > 4 * MAX_IRREGULAR:
        return None
    try:
        document: Any = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    fields: dict[str, Any] = dict(document) if isinstance(document, _Pairs) else {}
    files = fields.get("headers")
    if not isinstance(files, _Pairs):
        return None
    headers: list[Header] = []
    for file, header in files:
        check = _Checker(file)
        _take(header, check)
        headers.append(check.header(0))
    index = fields.get("index")
    return _metadata_of({k: _plain(v) for k, v in index} if isinstance(index, _Pairs) else None), headers


def _metadata_of(index: Any) -> dict[str, Any]:
    metadata = cast(dict[str, Any], index).get("metadata") if isinstance(index, dict) else None
    return cast(dict[str, Any], metadata) if isinstance(metadata, dict) else {}


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value} if isinstance(value, _Pairs) else value


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HeaderError(f"{printable(file)}: the header is not UTF-8 text", _not_safetensors(data)) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _first_duplicate(names: Iterable[str]) -> str:
    seen: set[str] = set()
    add: Callable[[str], None] = seen.add
    for name in names:
        if name in seen:
            return name
        add(name)
    return ""


def _not_safetensors(data: bytes) -> str | None:
    """What a file with the wrong first bytes probably is."""
    if data.startswith(b"version "):
        return "it is a Git LFS pointer, not the file: run `git lfs pull`"
    if data.startswith((b"<!", b"<h", b"<H", b"<?")):
        return "it is a web page, not the file: download it again"
    return None
