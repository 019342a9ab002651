"""Read the header of a safetensors file: eight bytes of length, then JSON.

Pure functions over bytes; the weights are never needed. A header that is written as the safetensors
library writes it is parsed fast (`regular`), any other JSON slowly (`irregular`).
"""

from __future__ import annotations

import re

from ...errors import HeaderError, NotPulled, printable
from .budget import HeaderBudget
from .header import Header, padded_size
from .irregular import parse_irregular, parse_irregular_headers
from .regular import parse_regular

__all__ = [
    "MAX_HEADER",
    "Header",
    "HeaderBudget",
    "header_length",
    "parse_header",
    "parse_headers_document",
]

MAX_HEADER = 100_000_000
"""Bytes of JSON that the safetensors format allows."""
_ALL_HEADERS = re.compile(r'\{"index":(?:\{.{0,100000}?\}|null),"headers":\{', re.DOTALL)
_FILE = re.compile(r'"([^"\\\x00-\x1f]*+)":\{')
_FILE_ENDS = '.safetensors":{'


def header_length(data: bytes, *, file: str, file_size: int | None = None) -> int:
    """Return how many bytes of JSON follow the first eight bytes.

    Raises HeaderError if the file is too short, or the length exceeds the file or MAX_HEADER. So
    this is checked before anything else is read.

    data: the first eight bytes of the file; any more are ignored.
    file: its name, for messages.
    file_size: bytes of the whole file, if known.
    """
    shown = printable(file)
    if len(data) < 8 or (file_size is not None and file_size < 8):
        available = min(len(data), file_size or 8)
        problem = f"{available} bytes are not a safetensors file"
        raise HeaderError(f"{shown}: truncated, {problem}")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        problem = f"it claims a header of {length:,} bytes, the format allows {MAX_HEADER:,}"
        if data[:1] in (b"{", b"<", b"v"):
            problem += "; it looks like a text file"
        raise _not_a_header(f"{shown}: {problem}", data)
    if file_size is not None and 8 + length > file_size:
        problem = f"it claims a header of {length:,} bytes in a file of {file_size:,}"
        raise HeaderError(f"{shown}: truncated, {problem}")
    return length


def parse_header(data: bytes, *, file: str, file_size: int | None = None) -> Header:
    """Parse the header at the start of a file.

    Raises HeaderError, naming file and tensor, for everything that a loader would refuse: see
    `header_length`; invalid JSON, duplicate names, unknown dtypes, shapes that are not sizes;
    offsets that overlap, leave holes, exceed the file or do not match dtype and shape.

    data: bytes of the file from its start; anything after the header is ignored.
    file: its name, for messages.
    file_size: bytes of the whole file; if unknown, it is not checked.
    """
    shown = printable(file)
    length = header_length(data, file=file, file_size=file_size)
    size = 8 + length
    if len(data) < size:
        problem = f"{len(data) - 8:,} of {length:,} header bytes are there"
        raise HeaderError(f"{shown}: truncated, {problem}")
    text = _decode(data[8:size], file)
    header = parse_regular(text, file, size)
    if header is None:
        header = parse_irregular(text, file, size)
    if file_size is not None:
        declared, stored = header.data_size, file_size - size
        if declared != stored:
            problem = f"its tensors take {declared:,} bytes, but {stored:,} follow the header"
            raise HeaderError(f"{shown}: {problem}")
    return header


def parse_headers_document(text: str) -> list[Header] | None:
    """Parse the Hub's answer with all headers; None if the text has another form.

    The answer is `{"index": {…}, "headers": {FILE: HEADER, …}}`. Raises HeaderError as
    `parse_header` does, but the sizes of the files are not known here. `Header.size` is that of the
    header as the safetensors library writes it, padded to eight bytes.
    """
    opening = _ALL_HEADERS.match(text)
    end = len(text.rstrip())
    if opening is None or text[end - 2 : end] != "}}":
        return parse_irregular_headers(text)
    end -= 2
    headers: list[Header] = []
    position = opening.end()
    while position < end:
        name = _FILE.match(text, position)
        if name is None:
            return parse_irregular_headers(text)
        start = name.end() - 1
        stop = _end_of_header(text, name.end(), end)
        header = parse_regular(text[start:stop], name[1], padded_size(stop - start))
        if header is None:
            return parse_irregular_headers(text)
        headers.append(header)
        position = stop + 1
    return headers or parse_irregular_headers(text)


def _end_of_header(text: str, start: int, end: int) -> int:
    """Return where a header ends: before the name of the next file, else at the end.

    A tensor name that looks like the name of a file misleads this; the header is then not regular.
    """
    next_name = text.find(_FILE_ENDS, start)
    if next_name < 0:
        return end
    return text.rfind(',"', start, next_name)


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        message = f"{printable(file)}: the header is not UTF-8 text"
        raise _not_a_header(message, data) from None


def _not_a_header(message: str, data: bytes) -> HeaderError:
    """Return the error for a file of another format, which its first bytes may tell."""
    if data.startswith(b"version "):
        return NotPulled(message, "it is a Git LFS pointer, not the file: run `git lfs pull`")
    if data.startswith((b"<!", b"<h", b"<H", b"<?")):
        return HeaderError(message, "it is a web page, not the file: download it again")
    return HeaderError(message)
