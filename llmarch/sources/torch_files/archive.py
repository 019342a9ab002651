"""Find entries in the directory of a zip archive, of which parts are read on demand.

Source: PKWARE's APPNOTE.TXT 6.3.10 (records of the directory); torch 2.13 caffe2/serialize
(inline_container.cc): entries are stored, `NAME/data.pkl` and `NAME/data/KEY`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from ...errors import HeaderError, printable

ReadPart = Callable[[int, int], bytes]
"""Returns `count` bytes of the file from `start`, fewer at its end."""

_END = struct.Struct("<4sHHHHIIH")
_END_MAGIC = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sIQI")
_LOCATOR_MAGIC = b"PK\x06\x07"
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_END_64_MAGIC = b"PK\x06\x06"
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_ENTRY_MAGIC = b"PK\x01\x02"
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_MAGIC = b"PK\x03\x04"
TAIL = 64_000
"""Bytes at the end of the file that are read first; most directories are shorter."""
_LONGEST_COMMENT = 65_535
MAX_DIRECTORY = 200_000_000
MAX_ENTRIES = 1_000_000
_MAX_32 = 0xFFFFFFFF


class ZipEntry(NamedTuple):
    """A file in the archive."""

    name: str
    size: int
    start: int
    """Where its local header begins."""
    is_stored: bool
    """Whether it is neither compressed nor encrypted."""


class _Directory(NamedTuple):
    start: int
    size: int
    entries: int


def read_directory(read: ReadPart, file: str, size: int) -> dict[str, ZipEntry]:
    """Return the entries of an archive by name. Raises HeaderError.

    read: returns a part of the file.
    file: its name, for messages.
    size: its bytes.
    """
    tail_start = max(0, size - TAIL)
    tail = read(tail_start, size - tail_start)
    place = tail.rfind(_END_MAGIC)
    if place < 0 and tail_start > 0:
        tail_start = max(0, size - _LONGEST_COMMENT - _END.size)
        tail = read(tail_start, size - tail_start)
        place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END.size:
        raise _error(file, "truncated, its zip directory is not at its end")
    directory = _locate(read, file, tail, tail_start, place)
    if directory.size > MAX_DIRECTORY or directory.entries > MAX_ENTRIES:
        raise _error(file, f"its zip directory has {directory.size:,} bytes")
    if directory.start + directory.size > size:
        raise _error(file, "truncated, its zip directory lies beyond its end")
    data = _part(read, tail, tail_start, directory.start, directory.size)
    return _entries(data, file, directory.entries)


def entry_start(read: ReadPart, file: str, entry: ZipEntry) -> int:
    """Return where the content of an entry begins. Raises HeaderError."""
    head = read(entry.start, _LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(_LOCAL_MAGIC):
        raise _error(file, f"{printable(entry.name)} is not where its zip directory says")
    fields = _LOCAL.unpack(head)
    name_length, extra_length = fields[9], fields[10]
    return entry.start + _LOCAL.size + name_length + extra_length


def _locate(read: ReadPart, file: str, tail: bytes, tail_start: int, place: int) -> _Directory:
    """Return where the directory is, by the record at the end, or by the 64-bit one before it."""
    fields = _END.unpack_from(tail, place)
    entries, size, start = fields[4], fields[5], fields[6]
    before = place - _LOCATOR.size
    if before < 0 or tail[before : before + 4] != _LOCATOR_MAGIC:
        return _Directory(start, size, entries)
    _, _, record_start, _ = _LOCATOR.unpack_from(tail, before)
    record = _part(read, tail, tail_start, record_start, _END_64.size)
    if len(record) < _END_64.size or not record.startswith(_END_64_MAGIC):
        raise _error(file, "its 64-bit zip directory is not where it says")
    fields = _END_64.unpack(record)
    return _Directory(fields[9], fields[8], fields[7])


def _part(read: ReadPart, tail: bytes, tail_start: int, start: int, count: int) -> bytes:
    """Return a part of the file, out of its end if it was read with that."""
    if start >= tail_start:
        return tail[start - tail_start : start - tail_start + count]
    return read(start, count)


def _entries(data: bytes, file: str, count: int) -> dict[str, ZipEntry]:
    """Return the entries in a directory. Raises HeaderError."""
    entries: dict[str, ZipEntry] = {}
    position = 0
    for _ in range(count):
        if len(data) - position < _ENTRY.size:
            raise _error(file, "truncated, its zip directory ends early")
        fields = _ENTRY.unpack_from(data, position)
        if fields[0] != _ENTRY_MAGIC:
            raise _error(file, "its zip directory is broken")
        flags, method, packed, size = fields[3], fields[4], fields[8], fields[9]
        name_length, extra_length, comment_length = fields[10], fields[11], fields[12]
        start = fields[16]
        name_start = position + _ENTRY.size
        extra_start = name_start + name_length
        name = data[name_start:extra_start].decode("utf-8", "replace")
        extra = data[extra_start : extra_start + extra_length]
        wide = [value for value in (size, packed, start) if value == _MAX_32]
        if wide:
            size, packed, start = _wide_values(extra, size, packed, start)
        is_stored = method == 0 and not flags & 1 and packed == size
        if name in entries:
            raise _error(file, f"its zip directory has {printable(name)} twice")
        entries[name] = ZipEntry(name, size, start, is_stored)
        position = extra_start + extra_length + comment_length
    return entries


def _wide_values(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Return sizes and offset, with those of 64 bits from the extra field."""
    position = 0
    values: list[int] = []
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            content = extra[position + 4 : position + 4 + length]
            usable = len(content) // 8
            values = list(struct.unpack_from(f"<{usable}Q", content))
        position += 4 + length
    values.reverse()
    wide: list[int] = []
    for value in (size, packed, start):
        if value == _MAX_32 and values:
            value = values.pop()
        wide.append(value)
    return wide[0], wide[1], wide[2]


def _error(file: str, problem: str) -> HeaderError:
    return HeaderError(f"{printable(file)}: {problem}")
