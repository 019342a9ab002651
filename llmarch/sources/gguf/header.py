"""Parse the header of a GGUF file: metadata and tensor infos, never the weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What is read is bounded, and
of the tokenizer only its length is kept: its arrays take some milliseconds to skip, while the
`gguf` package makes an object for each of their strings.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from ...errors import HeaderError, printable
from ..raw import DtypeShape, TensorTable
from ..references import GGUF_MAGIC
from .tensor_types import GGML_TYPES, ggml_row_bytes

_MAX_HEADER = 250_000_000
"""Bytes of metadata and tensor infos. Published ones have up to 30 MB, most of it vocabulary."""
_MAX_KEYS = 65_536
_MAX_KEY = 65_535
"""Bytes of a key, by the format."""
_MAX_TENSORS = 500_000
_MAX_NAME = 1_000
"""Bytes of the name of a tensor; ggml allows 63."""
_MAX_DIMS = 4
"""Dimensions of a tensor (GGML_MAX_DIMS)."""
_MAX_ELEMENTS = 1 << 62
_LONGEST_STRING = 100_000
"""Characters of a string that is kept; of longer ones the length is."""
_LONGEST_ARRAY = 16_384
"""Numbers of an array that is kept; of longer ones, and those of the tokenizer, the length is."""
_FEW_STRINGS = 256
"""Strings of an array that is kept."""
FIRST_READ = 1 << 21
"""Bytes of the first read; each further one is as long as all before it."""
_LARGEST_READ = 1 << 24
_ALIGNMENT_KEY = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_TOKENIZER = "tokenizer."
_TOKENS = "tokenizer.ggml.tokens"
_STRING, _ARRAY, _BOOL, _FLOAT32 = 8, 9, 7, 6
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""Letters of `struct` by the type of a value."""
_TYPE_NAMES = {
    0: "uint8",
    1: "int8",
    2: "uint16",
    3: "int16",
    4: "uint32",
    5: "int32",
    6: "float32",
    7: "bool",
    8: "string",
    10: "uint64",
    11: "int64",
    12: "float64",
}
_SMALLEST_ITEM = {_STRING: 8}

ReadBytes = Callable[[int, int], bytes]
"""Return so many bytes from an offset of the file, fewer at its end."""


@dataclass(slots=True)
class GgufHeader:
    """A parsed header: metadata, and the tensors in columns."""

    file: str
    version: int
    size: int
    """Bytes before the weights, without padding."""
    data_size: int
    """Bytes of the weights, as the tensor infos say."""
    metadata: dict[str, Any]
    """Values by key; for long strings and arrays, and those of the tokenizer, an object with their
    type and length."""
    names: list[str]
    kinds: list[DtypeShape]
    """Type and shape of each tensor; shapes as in PyTorch, outputs first."""

    @property
    def table(self) -> TensorTable:
        """Return the tensors, folded."""
        table = TensorTable()
        table.extend(self.names, self.kinds)
        return table


def is_gguf(start: bytes) -> bool:
    """Return whether a file begins as a GGUF file does."""
    return start[:4] == GGUF_MAGIC


def read_gguf(read: ReadBytes, *, file: str, file_size: int | None = None) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises HeaderError, naming file, key and tensor, for everything that ggml refuses: another
    magic or version, counts that the file cannot hold, strings that are not UTF-8, duplicate keys
    and names, unknown types, sizes and offsets that do not fit, a file that is cut short.

    read: reads bytes of the file.
    file: its name, for messages.
    file_size: bytes of the whole file; if unknown, it is not checked.
    """
    return _Reader(read, file, file_size).run()


class _Reader:
    """One reading: a buffer that grows as far as needed, and a position in it."""

    def __init__(self, read: ReadBytes, file: str, file_size: int | None) -> None:
        self.read = read
        self.file = file
        self.file_size = file_size
        self.data = bytearray()
        self.position = 0
        self.order = "<"

    def run(self) -> GgufHeader:
        """Return the header."""
        version, tensor_count, key_count = self._opening()
        metadata = self._metadata(key_count)
        infos = [self._tensor_info() for _ in range(tensor_count)]
        size = self.position
        names = [name for name, _, _ in infos]
        if len({*names}) != len(names):
            duplicate, _ = Counter(names).most_common(1)[0]
            raise self._error("two tensors have this name", duplicate)
        alignment = metadata.get(_ALIGNMENT_KEY, _DEFAULT_ALIGNMENT)
        if not _is_alignment(alignment):
            raise self._error(f"{_ALIGNMENT_KEY} is {alignment!r}, not a power of two")
        data_size = self._check_offsets(infos, alignment)
        if self.file_size is not None and data_size:
            stored = self.file_size - _padded(size, alignment)
            if stored < data_size:
                raise self._error(
                    f"truncated, its tensors take {data_size:,} bytes, but"
                    f" {max(0, stored):,} follow the header"
                )
        kinds = [kind for _, kind, _ in infos]
        return GgufHeader(self.file, version, size, data_size, metadata, names, kinds)

    # --- parts ---

    def _opening(self) -> tuple[int, int, int]:
        """Return version, number of tensors, and number of keys."""
        start = self._bytes(8)
        if not is_gguf(start):
            raise self._error("it does not begin with GGUF: it is not a GGUF file")
        if start[4:6] == b"\0\0":
            self.order = ">"
        (version,) = struct.unpack_from(f"{self.order}I", start, 4)
        if version == 1:
            raise self._error("GGUF version 1, which llama.cpp no longer reads: convert it anew")
        if version not in (2, 3):
            raise self._error(f"GGUF version {version}; llmarch reads 2 and 3")
        tensor_count, key_count = self._unpack("QQ")
        # Every tensor takes 8 + 4 + 4 + 8 bytes and a name, every key 8 + 4 and a value.
        self._check_count(tensor_count, 24, _MAX_TENSORS, "tensors")
        self._check_count(key_count, 13, _MAX_KEYS, "keys")
        return version, tensor_count, key_count

    def _metadata(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self._string(_MAX_KEY, "a key")
            (kind,) = self._unpack("I")
            if key in metadata:
                raise self._error("two values have this key", key)
            metadata[key] = self._value(kind, key)
        return metadata

    def _value(self, kind: int, key: str) -> Any:
        """Return a value, or its type and length where it is not kept."""
        if kind == _ARRAY:
            return self._array(key)
        if kind == _STRING:
            length = self._length(key)
            if length > _LONGEST_STRING or key.startswith(_TOKENIZER):
                self._skip(length)
                return {"type": "string", "length": length}
            return self._text(length, key)
        return self._scalar(kind, key)

    def _scalar(self, kind: int, key: str) -> Any:
        letter = _SCALARS.get(kind)
        if letter is None:
            raise self._error(f"a value of type {kind}, which is not known", key)
        if kind == _BOOL:
            return self._bytes(1) != b"\0"
        (value,) = self._unpack(letter)
        if kind == _FLOAT32:
            return shortest_float(value)
        return value

    def _array(self, key: str) -> Any:
        kind, count = self._unpack("IQ")
        if kind == _ARRAY:
            raise self._error("an array of arrays, which ggml refuses", key)
        letter = _SCALARS.get(kind)
        if letter is None and kind != _STRING:
            raise self._error(f"an array of type {kind}, which is not known", key)
        item = _SMALLEST_ITEM.get(kind) or struct.calcsize(f"<{letter}")
        self._check_count(count, item, _MAX_HEADER, "items", key)
        most = _FEW_STRINGS if kind == _STRING else _LONGEST_ARRAY
        if count > most or key.startswith(_TOKENIZER):
            if kind == _STRING:
                self._skip_strings(count, key)
            else:
                self._skip(count * item)
            return {"type": f"{_TYPE_NAMES[kind]} array", "length": count}
        if kind == _STRING:
            return [self._string(_LONGEST_STRING, key) for _ in range(count)]
        return [self._scalar(kind, key) for _ in range(count)]

    def _tensor_info(self) -> tuple[str, DtypeShape, tuple[int, int]]:
        """Return name, type and shape, and where the tensor is: its offset and size."""
        name = self._string(_MAX_NAME, "the name of a tensor")
        (dims,) = self._unpack("I")
        if not 1 <= dims <= _MAX_DIMS:
            raise self._error(f"{dims} dimensions; ggml has 1 to {_MAX_DIMS}", name)
        sizes = self._unpack("Q" * dims)
        number, offset = self._unpack("IQ")
        dtype = GGML_TYPES.get(number)
        if dtype is None:
            raise self._error(f"type {number}, which is not known", name)
        if prod(sizes) > _MAX_ELEMENTS or 0 in sizes:
            raise self._error(f"a shape of {[*sizes]}, which no tensor has", name)
        row = ggml_row_bytes(dtype, sizes[0])
        if row is None:
            raise self._error(f"rows of {sizes[0]:,}: they are not whole blocks of {dtype}", name)
        size = row * prod(sizes[1:])
        return name, (dtype, tuple(reversed(sizes))), (offset, size)

    def _check_offsets(
        self, infos: list[tuple[str, DtypeShape, tuple[int, int]]], alignment: int
    ) -> int:
        """Check that tensors follow one another, and return where the last one ends."""
        end = 0
        for name, _, (offset, size) in infos:
            if offset != _padded(end, alignment):
                raise self._error(
                    f"it begins at byte {offset:,} of the weights, where"
                    f" {_padded(end, alignment):,} is expected",
                    name,
                )
            end = offset + size
        return end

    # --- bytes ---

    def _string(self, most: int, place: str) -> str:
        length = self._length(place)
        if length > most:
            raise self._error(f"a string of {length:,} bytes; at most {most:,} are read", place)
        return self._text(length, place)

    def _length(self, place: str) -> int:
        """Return the length of the string that follows, after a check that the file can hold it."""
        (length,) = self._unpack("Q")
        self._check_count(length, 1, _MAX_HEADER, "bytes", place)
        return length

    def _text(self, length: int, place: str) -> str:
        try:
            return self._bytes(length).decode()
        except UnicodeDecodeError:
            raise self._error("a string that is not UTF-8", place) from None

    def _skip_strings(self, count: int, key: str) -> None:
        """Skip strings, of which a vocabulary has hundreds of thousands."""
        unpack = struct.Struct(f"{self.order}Q").unpack_from
        position, data = self.position, self.data
        for _ in range(count):
            if position + 8 > len(data):
                self.position = position
                self._need(8)
            (length,) = unpack(data, position)
            position += 8 + length
            if position > _MAX_HEADER:
                raise self._error(f"a string of {length:,} bytes", key)
        self.position = position
        self._need(0)

    def _skip(self, count: int) -> None:
        self._need(count)
        self.position += count

    def _unpack(self, letters: str) -> tuple[Any, ...]:
        layout = struct.Struct(self.order + letters)
        return layout.unpack(self._bytes(layout.size))

    def _bytes(self, count: int) -> bytes:
        self._need(count)
        start = self.position
        self.position += count
        return bytes(self.data[start : self.position])

    def _need(self, count: int) -> None:
        """Read on until the buffer holds `count` bytes from the position."""
        end = self.position + count
        while len(self.data) < end:
            if end > _MAX_HEADER:
                raise self._error(f"its header takes more than {_MAX_HEADER:,} bytes")
            have = len(self.data)
            size = min(_LARGEST_READ, max(FIRST_READ, have))
            part = self.read(have, max(size, end - have))
            if not part:
                raise self._error(f"truncated, the header goes on after byte {have:,}")
            self.data += part

    def _check_count(self, count: int, least: int, most: int, what: str, place: str = "") -> None:
        """Check a count that the file states before anything is done so many times.

        least: the bytes that each takes at least.
        """
        if count > most:
            raise self._error(f"it claims {count:,} {what}; at most {most:,} are read", place)
        if self.file_size is not None and count * least > self.file_size - self.position:
            raise self._error(f"truncated, it claims {count:,} {what}", place)

    def _error(self, problem: str, place: str = "") -> HeaderError:
        """Return the error with the file and, where one is at fault, the key or tensor."""
        named = f"{printable(place)}: " if place else ""
        return HeaderError(f"{printable(self.file)}: {named}{problem}")


def shortest_float(value: float) -> float:
    """Return the number with the fewest digits that is stored as this 32-bit float: 1e-06."""
    if not math.isfinite(value):
        return value
    stored = struct.pack("<f", value)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", short) == stored:
                return short
        except OverflowError:
            continue
    return value


def _is_alignment(value: Any) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return 0 < value <= 1 << 20 and value & (value - 1) == 0


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


# --- the document -------------------------------------------------------------------------------


def nested(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata as an object in which the parts of a key are nested, as in a config.

    The tokenizer's is left out but for the number of its tokens. A key below one that has a value
    stays whole.
    """
    document: dict[str, Any] = {}
    for key, value in metadata.items():
        if key.startswith(_TOKENIZER) and key != _TOKENS:
            continue
        *parents, last = key.split(".")
        sections = [".".join(parents[:end]) for end in range(1, len(parents) + 1)]
        if any(section in metadata for section in sections):
            document[key] = value
            continue
        section = document
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return document
