"""The header of a safetensors file: eight bytes of length, then JSON. Pure functions over bytes; the weights are never needed.

A header written by the safetensors library is perfectly regular, so one pattern takes it apart and whole columns are checked at once:
a third of the time that building JSON objects for 92,000 tensors takes, in memory that a hostile header cannot blow up, and duplicate
names are seen. Anything else that is JSON (spaces, escapes, another order of keys) takes the slow way, for headers up to MAX_IRREGULAR.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from operator import sub
from typing import Any, cast

from ..errors import HeaderError, printable
from .raw import BITS, Kind, TensorTable

MAX_HEADER = 100_000_000
"""Bytes of JSON that the safetensors format allows."""
MAX_TENSORS = 500_000
"""In one file; Kimi K2 has 140,000 in 61 files."""
MAX_IRREGULAR = 16_000_000
"""Bytes of JSON that are parsed as objects when the header is not written as the safetensors library writes it."""
MAX_OFFSET = 2**63
MAX_DIMS = 64

_METADATA = re.compile(
    r'\{"__metadata__":(\{(?:"(?:[^"\\]|\\.)*+":"(?:[^"\\]|\\.)*+",?+)*+\})(?:,(?=")|(?=\}))'
)
_ENTRY = re.compile(
    r'"([^"]*+)":\{"dtype":"([^]]{1,440}+)\],"data_offsets":\[([^,]{1,19}+),([^]]{1,19}+)\]\}(?:,|\}\Z)'
)
"""Lean, as `[^x]` is twice as fast as other classes: what it captures is checked in whole columns."""
_BESIDE = len('"":{"dtype":"],"data_offsets":[,]},')
"""Characters of an entry beside the four that are captured."""
_FILE_ENDS = '.safetensors":{'
_FILE = re.compile(r'"([^"\\\x00-\x1f]*+)":\{')
_KIND = re.compile(r'([A-Z0-9_]{1,16})","shape":\[([0-9,]{0,400})')
_PLAIN = bytes({*range(32, 256)} - {ord("\\")})
_DIGITS = b"0123456789"


@dataclass(slots=True)
class Header:
    """What a header says, in columns: the name of each tensor, and its dtype and shape.

    `size` counts the header's bytes with the eight of the length; `data_size` those of the weights behind it.
    """

    file: str
    size: int
    data_size: int
    names: list[str]
    kinds: list[Kind]
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    _table: TensorTable | None = None

    @property
    def table(self) -> TensorTable:
        """The tensors, folded. Asked for where a header was read, it is made while others are waited for."""
        if self._table is None:
            self._table = TensorTable()
            self._table.extend(self.names, self.kinds)
        return self._table

    @property
    def tensors(self) -> Iterator[tuple[str, str, tuple[int, ...] | None]]:
        """Name, dtype and shape of each tensor."""
        return (
            (name, dtype, shape)
            for name, (dtype, shape) in zip(self.names, self.kinds, strict=True)
        )


def header_length(data: bytes, *, file: str, file_size: int | None = None) -> int:
    """Bytes of JSON that follow the first eight bytes, `data[:8]`. `file_size` is the whole file's, where it is known.

    Checked before anything is read: raises HeaderError if the file is too short, or the length runs past the file or MAX_HEADER.
    """
    if len(data) < 8 or (file_size is not None and file_size < 8):
        raise HeaderError(
            f"{printable(file)}: truncated, {min(len(data), file_size or 8)} bytes are no safetensors file"
        )
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        what = f"a header of {length:,} bytes is announced, the format allows {MAX_HEADER:,}"
        if data[:1] in (b"{", b"<", b"v"):
            what += "; it looks like a text file"
        raise HeaderError(f"{printable(file)}: {what}", _not_safetensors(data))
    if file_size is not None and 8 + length > file_size:
        raise HeaderError(
            f"{printable(file)}: truncated, a header of {length:,} bytes is announced in a file of {file_size:,}"
        )
    return length


def parse_header(data: bytes, *, file: str, file_size: int | None = None) -> Header:
    """The header at the start of `data` (bytes of the file from 0; whatever follows the header is ignored).

    Raises HeaderError, naming file and tensor, for everything that a loader would stumble over: see `header_length`, and
    JSON that is none, duplicate names, unknown dtypes, shapes that are not sizes, offsets that overlap, leave holes, run past
    the file (only with `file_size`) or do not match dtype and shape.
    """
    length = header_length(data, file=file, file_size=file_size)
    if len(data) < 8 + length:
        raise HeaderError(
            f"{printable(file)}: truncated, {len(data) - 8:,} of {length:,} header bytes are there"
        )
    text = _decode(data[8 : 8 + length], file)
    header = _regular(text, file, 8 + length) or _irregular(text, file, 8 + length)
    if file_size is not None and header.size + header.data_size != file_size:
        found = file_size - header.size
        raise HeaderError(
            f"{printable(file)}: its tensors take {header.data_size:,} bytes, but {found:,} follow the header"
        )
    return header


def parse_headers_document(text: str) -> list[Header] | None:
    """The Hub's answer with all shard headers, `{"index": {…}, "headers": {FILE: HEADER, …}}`; None if the text has another form.

    HeaderError as `parse_header`, but the sizes of the files are not known here. `Header.size` is that of the header as the
    safetensors library writes it, filled up to eight bytes.
    """
    opening = re.match(r'\{"index":(?:\{.{0,100000}?\}|null),"headers":\{', text, re.DOTALL)
    end = len(text.rstrip())
    if opening is None or text[end - 2 : end] != "}}":
        return _irregular_document(text)
    headers: list[Header] = []
    at = opening.end()
    while at < end - 2:
        named = _FILE.match(text, at)
        if named is None:
            return _irregular_document(text)
        after = text.find(_FILE_ENDS, named.end())  # in the name of the next file
        at = text.rfind(',"', named.end(), after) if after >= 0 else end - 2
        json_size = at - named.end() + 1
        header = _regular(text[named.end() - 1 : at], named[1], 8 + (json_size + 7) // 8 * 8)
        if header is None:
            return _irregular_document(text)
        headers.append(header)
        at += 1
    return headers or _irregular_document(text)


def _regular(text: str, file: str, size: int) -> Header | None:
    """A header as the safetensors library writes it; None if it is not so written."""
    if text.count('"data_offsets"') > MAX_TENSORS:
        raise HeaderError(f"{printable(file)}: more than {MAX_TENSORS:,} tensors in one file")
    text = text.rstrip(" ")
    opening = _METADATA.match(text)
    start = opening.end() if opening else 1
    entries = cast(list[tuple[str, str, str, str]], _ENTRY.findall(text, start))
    if not entries or text[0] != "{":
        return None
    names, kinds, begins, ends = map(list, zip(*entries, strict=True))
    captured = sum(sum(map(len, column)) for column in (names, kinds, begins, ends))
    if captured + _BESIDE * len(names) != len(text) - start or text[-1] != "}":
        return None
    if _without("\n".join(names), _PLAIN) != b"\n" * (len(names) - 1) or _without(
        "".join(begins + ends), _DIGITS
    ):
        return None
    try:
        metadata: Any = json.loads(opening[1]) if opening else {}
        if opening and "\\u" in opening[1]:
            json.dumps(
                metadata, ensure_ascii=False
            ).encode()  # half a character is a UnicodeEncodeError, which is a ValueError
        known = {kind: _kind(*_parted(kind)) for kind in set(kinds)}
    except ValueError:
        return None  # the slow way says which tensor
    sizes, to = [known[kind][1] for kind in kinds], list(map(int, ends))
    in_turn = begins[0] == "0" and begins[1:] == ends[:-1]
    end = _check(file, names, [0, *to[:-1]] if in_turn else list(map(int, begins)), to, sizes)
    return Header(file, size, end, names, [known[kind][0] for kind in kinds], metadata)


def _parted(kind: str) -> tuple[str, str]:
    """`BF16","shape":[2,3` -> dtype and shape. ValueError if it is something else."""
    match = _KIND.fullmatch(kind)
    if match is None:
        raise ValueError
    return match[1], match[2]


def _without(text: str, characters: bytes) -> bytes:
    """What is left of a text, all at once."""
    return text.encode().translate(None, characters)


def _check(
    file: str,
    names: Sequence[str],
    begins: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
) -> int:
    """Hold the tensors of a file against each other; the end of the last. HeaderError for duplicates, wrong sizes, overlaps, holes."""
    if list(map(sub, ends, begins)) != sizes:
        name, begin, end, size = next(
            t for t in zip(names, begins, ends, sizes, strict=True) if t[2] - t[1] != t[3]
        )
        raise _error(
            file,
            f"dtype and shape make {size:,} bytes, its offsets {begin} to {end} hold {end - begin:,}",
            name,
        )
    if len(set(names)) != len(names):
        raise _error(
            file, "named twice in one header", next(a for a, b in pairwise(sorted(names)) if a == b)
        )
    if not names:
        return 0
    if begins[0] != 0 or begins[1:] != ends[:-1]:
        at = 0
        for begin, end, name in sorted(zip(begins, ends, names, strict=True)):
            if begin != at:
                what = (
                    f"overlap the tensor before, which ends at {at}"
                    if begin < at
                    else f"leave a hole of {begin - at:,} bytes before"
                )
                raise _error(file, f"its offsets {begin} to {end} {what}", name)
            at = end
    if max(ends) > MAX_OFFSET:
        raise _error(file, f"its tensors end at byte {max(ends)}, beyond any file")
    return max(ends)


@lru_cache(maxsize=4096)
def _kind(dtype: str, shape: str) -> tuple[Kind, int]:
    """Dtype and shape, and the bytes that they make. ValueError with the reason if they make none."""
    bits = BITS.get(dtype)
    if bits is None:
        raise ValueError(f"unknown dtype {printable(dtype)}")
    sizes = tuple(map(int, shape.split(","))) if shape else ()
    if len(sizes) > MAX_DIMS:
        raise ValueError(f"a shape of {len(sizes)} dimensions")
    if min(sizes, default=0) < 0:
        raise ValueError(f"a negative size in its shape {list(sizes)}")
    total = prod(sizes) * bits
    if total % 8:
        raise ValueError(f"{dtype} {list(sizes)} does not end on a whole byte")
    if total // 8 > MAX_OFFSET:
        raise ValueError(f"{dtype} {list(sizes)} is larger than any file")
    return (dtype, sizes), total // 8


def _error(file: str, what: str, name: str | None = None) -> HeaderError:
    where = printable(file) if name is None else f"{printable(file)}: tensor {printable(name)}"
    return HeaderError(f"{where}: {what}")


# The slow way, for whatever JSON allows


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicates."""


def _irregular(text: str, file: str, size: int) -> Header:
    if len(text) > MAX_IRREGULAR:
        raise _error(
            file,
            f"{len(text):,} bytes of header that are not written as the safetensors library writes them",
        )
    try:
        document: Any = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except ValueError as error:
        raise _error(file, f"the header is not JSON ({printable(str(error))})") from None
    except RecursionError:
        raise _error(file, "the header is nested too deeply") from None
    return _from_object(document, file, size)


def _irregular_document(text: str) -> list[Header] | None:
    if len(text) > 4 * MAX_IRREGULAR:
        return None
    try:
        document: Any = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    files: Any = dict(document).get("headers") if isinstance(document, _Pairs) else None
    return (
        [_from_object(header, file, _written(header)) for file, header in files]
        if isinstance(files, _Pairs)
        else None
    )


def _written(header: Any) -> int:
    """Bytes of a header as the safetensors library writes it, filled up to eight bytes; `_from_object` looks at what it holds."""

    def plain(value: Any) -> Any:
        return {key: plain(inner) for key, inner in value} if isinstance(value, _Pairs) else value

    text = json.dumps(plain(header), ensure_ascii=False, separators=(",", ":"))
    return 8 + (len(text.encode("utf-8", "surrogatepass")) + 7) // 8 * 8


def _from_object(document: Any, file: str, size: int) -> Header:
    if not isinstance(document, _Pairs):
        raise _error(file, "the header is not a JSON object")
    metadata: dict[str, str] = {}
    names: list[str] = []
    kinds: list[Kind] = []
    begins: list[int] = []
    ends: list[int] = []
    sizes: list[int] = []
    for name, entry in document:
        if any("\ud800" <= c <= "\udfff" for c in name):
            raise _error(file, "a name that is not valid Unicode")
        if name == "__metadata__":
            metadata = _checked_metadata(entry, metadata, file)
            continue
        kind, size_here, begin, end = _checked_entry(entry, name, file)
        names.append(name)
        kinds.append(kind)
        begins.append(begin)
        ends.append(end)
        sizes.append(size_here)
    return Header(file, size, _check(file, names, begins, ends, sizes), names, kinds, metadata)


def _checked_entry(entry: Any, name: str, file: str) -> tuple[Kind, int, int, int]:
    """Dtype and shape, the bytes they make, and the two offsets."""
    if not isinstance(entry, _Pairs):
        raise _error(file, "its entry is not a JSON object", name)
    fields = dict(entry)
    if len(fields) != len(entry):
        raise _error(file, "a field is there twice", name)
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str):
        raise _error(file, "dtype is missing or not a string", name)
    sizes, ends = _integers(shape), _integers(offsets)
    if sizes is None:
        raise _error(file, "shape is missing or not a list of sizes", name)
    if ends is None or len(ends) != 2:
        raise _error(file, "data_offsets are missing or not two byte offsets", name)
    try:
        kind, size = _kind(dtype, ",".join(map(str, sizes)))
    except ValueError as error:
        raise _error(file, str(error), name) from None
    return kind, size, ends[0], ends[1]


def _integers(value: Any) -> list[int] | None:
    """The value if it is a list of integers within reason (and no booleans), else None."""
    if type(value) is not list:
        return None
    items = cast(list[Any], value)
    return items if all(type(v) is int and -MAX_OFFSET <= v <= MAX_OFFSET for v in items) else None


def _checked_metadata(entry: Any, before: dict[str, str], file: str) -> dict[str, str]:
    if entry is None:
        return {}
    if not isinstance(entry, _Pairs) or not all(isinstance(value, str) for _, value in entry):
        raise _error(file, "__metadata__ is not an object of strings")
    if before:
        raise _error(file, "__metadata__ is there twice")
    if any("\ud800" <= c <= "\udfff" for key, value in entry for c in f"{key}{value}"):
        raise _error(file, "__metadata__ is not valid Unicode")
    return dict(entry)


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HeaderError(
            f"{printable(file)}: the header is not UTF-8 text", _not_safetensors(data)
        ) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _not_safetensors(data: bytes) -> str | None:
    """What a file with the wrong first bytes probably is."""
    if data.startswith(b"version "):
        return "it is a Git LFS pointer, not the file: run `git lfs pull`"
    if data.startswith((b"<!", b"<h", b"<H", b"<?")):
        return "it is a web page, not the file: download it again"
    return None
