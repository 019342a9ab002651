"""The entries of the cache: pack what was read into bytes, and unpack it with every check.

An entry is a line of JSON and the numbers in all tensor names, compressed together. It comes from
this machine's disk, where anyone may have written it. So unpacking takes nothing on trust: each
name, path, size and file must be one that a reading can leave, and must fit the others.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from .file_names import is_beside_file, is_safe_name
from .identity import is_content_of

if TYPE_CHECKING:
    from .index import IndexSummary
    from .merge import LocatedTensor, Merged, ShardComparison
    from .raw import TensorGroup, TensorTable
    from .repo_files import WeightFiles
    from .repo_reading import RepoReading
    from .weight_sets import WeightSet, WeightSets

MAX_ENTRY = 100_000_000
"""Bytes of an unpacked entry (Kimi K2 has 2 MB)."""
MAX_ENTRY_VALUES = 2_000_000
"""Values in its JSON, by its commas and brackets."""
REPO_ID = r"(?a:(?!.*\.\.)\w[\w.-]*(?:/\w[\w.-]*)?)"
"""Pattern of the id of a repository."""
MAX_ENTRY_TENSORS = 1_000_000
"""Tensors of an entry; no more are read of a checkpoint."""
_LARGEST_NUMBER = 10**9 - 1
"""The largest number in a tensor's name that is folded."""
_CONTROL = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_FILE_ID = r"(?:git:[0-9a-f]{40,64}|sha256:[0-9a-f]{64})(?: size:[0-9]{1,18})?"

_KEYS = {
    "key", "files", "file_ids", "documents", "index", "header_bytes", "weights", "rival",
}  # fmt: skip
"""Keys of an entry."""
_SET_KEYS = {"groups", "writer", "data_size", "disagreements"}
"""Keys of a set of weights."""


def pack_entry(reading: RepoReading, endpoint: str) -> bytes:
    """Return the entry of a reading that is not partial.

    The numbers after the line of JSON are unsigned 32-bit integers, little-endian, in columns: for
    each group the first number of all its tensors, then the second, and so on.
    """
    numbers = array("I")
    merged, index = reading.merged, reading.index
    rival = merged.rival if merged is not None else None
    summary = None
    if index is not None:
        shards = sorted(index.shards)
        summary = {"file": index.file, "shards": shards, "total_size": index.total_size}
    head = {
        "key": [endpoint, reading.repo_id, reading.commit],
        "files": reading.files,
        "file_ids": {n: ids for n, ids in reading.file_ids.items() if _is_identified(n, reading)},
        "documents": {name: data.decode() for name, data in reading.texts.items()},
        "index": summary,
        "header_bytes": merged.header_bytes if merged is not None else 0,
        "weights": _pack_set(merged, numbers) if merged is not None else None,
        "rival": _pack_set(rival, numbers) if rival is not None else None,
    }
    if sys.byteorder == "big":
        numbers.byteswap()
    return zlib.compress(json.dumps(head).encode() + b"\n" + numbers.tobytes(), 6)


def unpack_entry(data: bytes, endpoint: str, repo_id: str, commit: str) -> RepoReading:
    """Return the reading of an entry: the inverse of `pack_entry`.

    data: the entry.
    endpoint, repo_id, commit: the key under which it was stored.

    Raises ValueError, LookupError, TypeError, RecursionError, MemoryError, zlib.error or
    LlmarchError if no reading leaves such an entry.
    """
    from .repo_files import documents_to_read, weights_to_read
    from .repo_reading import RepoReading, check_documents

    head, numbers = _parts(data)
    key = [endpoint, repo_id, commit]
    if head.keys() != _KEYS or head["key"] != key:
        raise ValueError("of another commit or format")
    files = tuple(_names(head["files"]))
    if sorted({*files}) != [*files] or not all(map(is_safe_name, files)):
        raise ValueError("file names that the Hub does not list")
    texts = {_text(name): _text(text).encode() for name, text in _object(head["documents"]).items()}
    if {*texts} != {*documents_to_read(files)}:
        raise ValueError("other documents than a reading has")
    reading = RepoReading(
        requested_id=repo_id,
        repo_id=repo_id,
        commit=commit,
        files=files,
        file_ids={_text(name): _text(ids) for name, ids in _object(head["file_ids"]).items()},
        texts=texts,
        any_kind=True,  # refused by who takes the entry
    )
    _check_ids(reading)
    check_documents(reading, adapters=True)
    weights = weights_to_read(files, adapters=True)
    reading.index = _unpack_index(head["index"], weights)
    _unpack_weights(head, numbers, reading, weights)
    return reading


def has_contents(texts: Mapping[str, bytes], file_ids: Mapping[str, str]) -> bool:
    """Return whether no document has another content than what identifies it says.

    texts: the documents, by name.
    file_ids: what identifies the content of files (`RawModel.file_ids`), by name.
    """
    return all(is_content_of(data, file_ids.get(name, "")) for name, data in texts.items())


def _is_identified(name: str, reading: RepoReading) -> bool:
    """Return whether an entry keeps what identifies the content of a file."""
    return is_beside_file(name) or name in reading.texts


def _check_ids(reading: RepoReading) -> None:
    """Raise ValueError unless all identities are of files, and right for the documents.

    The Hub identifies either all files or none.
    """
    ids = reading.file_ids
    if not ids:
        return
    identified = {name for name in reading.files if _is_identified(name, reading)}
    if not ids.keys() <= identified or not reading.texts.keys() <= ids.keys():
        raise ValueError("identities of other files")
    for identity in ids.values():
        _matching(_FILE_ID, identity)
    if not has_contents(reading.texts, ids):
        raise ValueError("a document with another content")


def _parts(data: bytes) -> tuple[dict[str, Any], array[int]]:
    """Return the JSON of an entry, and the numbers after it."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, MAX_ENTRY)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("truncated, or longer than it says")
    line, _, tail = content.partition(b"\n")
    if sum(map(line.count, (b",", b"[", b"{"))) > MAX_ENTRY_VALUES:
        raise ValueError("too many values")
    numbers = array("I", tail)
    if sys.byteorder == "big":
        numbers.byteswap()
    return _object(json.loads(line)), numbers


# Values


def _text(value: Any) -> str:
    """Return a string of an entry. Raises TypeError if it is none."""
    if type(value) is not str:
        raise TypeError("a string is needed")
    return value


def _matching(pattern: str, value: Any) -> str:
    """Return a string of an entry. Raises TypeError or ValueError unless it has a form."""
    text = _text(value)
    if re.fullmatch(pattern, text) is None:
        raise ValueError("a string of another form")
    return text


def _list(value: Any) -> list[Any]:
    """Return a list of an entry. Raises TypeError if it is none."""
    if type(value) is not list:
        raise TypeError("a list is needed")
    return cast("list[Any]", value)


def _names(value: Any) -> list[str]:
    """Return a list of strings of an entry. Raises TypeError if it is none."""
    return [_text(name) for name in _list(value)]


def _object(value: Any) -> dict[str, Any]:
    """Return an object of an entry. Raises TypeError if it is none."""
    if type(value) is not dict:
        raise TypeError("an object is needed")
    return cast("dict[str, Any]", value)


def _size(value: Any) -> int:
    """Return a count or size of an entry. Raises TypeError or ValueError if it is none."""
    if type(value) is not int:
        raise TypeError("a whole number is needed")
    if not 0 <= value < 2**63:
        raise ValueError("a size out of range")
    return value


# Weights


def _pack_set(merged: Merged, numbers: array[int]) -> dict[str, Any]:
    """Return a set of weights, and append the numbers in its names to `numbers`."""
    groups: list[list[Any]] = []
    for group in merged.table:
        count, width = len(group.indices), _width(group)
        groups.append([group.pattern, group.dtype, group.shape, count, width])
        for column in zip(*group.indices, strict=True):
            numbers.extend(column)
    comparison = merged.comparison
    found = {f.name: getattr(comparison, f.name) for f in fields(comparison)}
    return {
        "groups": groups,
        "writer": merged.table.writer,
        "data_size": merged.data_size,
        "disagreements": {name: tensors for name, tensors in found.items() if tensors},
    }


def _unpack_index(value: Any, weights: WeightFiles) -> IndexSummary | None:
    """Return what the index says. Raises TypeError or ValueError."""
    from .index import IndexSummary, is_shard_name

    if value is None:
        if weights.index_file is not None:
            raise ValueError("without its index")
        return None
    summary = _object(value)
    if summary.keys() != {"file", "shards", "total_size"} or summary["file"] != weights.index_file:
        raise ValueError("an index that is not there")
    shards = _names(summary["shards"])
    if not all(map(is_shard_name, shards)):
        raise ValueError("an index of other files")
    total_size = summary["total_size"]
    return IndexSummary(_text(summary["file"]), frozenset(shards), total_size)


def _unpack_weights(
    head: dict[str, Any], numbers: array[int], reading: RepoReading, weights: WeightFiles
) -> None:
    """Add the weights of an entry to a reading. Raises TypeError, LookupError or ValueError."""
    from .weight_sets import add_reader_findings, decide_sets

    header_bytes = _size(head["header_bytes"])
    tables = _TableReader(numbers)
    if head["weights"] is None:
        has_weights = weights.shards or weights.index_file
        if has_weights or header_bytes or head["rival"] is not None:
            raise ValueError("without its weights")
        tables.end()
        return
    sets = decide_sets(weights, reading.index, reading.files)
    merged = _unpack_set(head["weights"], sets.main, tables, reading)
    if (head["rival"] is None) != (sets.rival is None):
        raise ValueError("other sets of weights than the files are")
    if sets.rival is not None:
        merged.rival = _unpack_set(head["rival"], sets.rival, tables, reading)
    tables.end()
    merged.header_bytes = header_bytes
    _check_header_bytes(merged, sets)
    add_reader_findings(merged, weights, sets, reading.index, reading.files)
    reading.merged = merged


def _check_header_bytes(merged: Merged, sets: WeightSets) -> None:
    """Raise ValueError if the headers cannot have that size together."""
    from .safetensors.budget import MAX_ALL_BYTES

    lengths = 8 * len(sets.files)
    if not lengths + len(merged.table) <= merged.header_bytes <= lengths + MAX_ALL_BYTES:
        raise ValueError("headers of another size")


def _unpack_set(
    value: Any, chosen: WeightSet, tables: _TableReader, reading: RepoReading
) -> Merged:
    """Return a set of weights. Raises TypeError, LookupError or ValueError."""
    from .merge import Merged, missing_shards

    document = _object(value)
    if document.keys() != _SET_KEYS:
        raise ValueError("other keys than a set of weights has")
    needed = {*chosen.files, *missing_shards(chosen.files)}
    if not chosen.files or not needed <= {*reading.files}:
        raise ValueError("of files that are missing")
    table = tables.read(document["groups"])
    table.writer = _text(document["writer"])
    if re.search(_CONTROL, table.writer):
        raise ValueError("no name of a library")
    index = reading.index if chosen.is_listed else None
    comparison = _unpack_comparison(document["disagreements"], chosen, table, index)
    data_size = _size(document["data_size"])
    of_copies = data_size - table.bytes - _bytes_of(comparison.duplicates, table)
    if of_copies < 0 or (of_copies > 0 and not comparison.ambiguous):
        raise ValueError("a size that is not that of the tensors")
    merged = Merged(table, data_size=data_size, comparison=comparison, words=chosen.words)
    merged.compare(index)
    return merged


def _unpack_comparison(
    value: Any, chosen: WeightSet, table: TensorTable, index: IndexSummary | None
) -> ShardComparison:
    """Return where files and index disagree. Raises TypeError, LookupError or ValueError."""
    from .merge import LocatedTensor, ShardComparison

    comparison = ShardComparison()
    counts = {f.name: 2 for f in fields(comparison)} | {"not_stored": 1, "unlisted": 1}
    for kind, tensors in _object(value).items():
        if kind not in counts or (index is None and kind not in ("duplicates", "ambiguous")):
            raise ValueError("no disagreement that a reading finds")
        found: list[LocatedTensor] = getattr(comparison, kind)
        if not tensors:
            raise ValueError("a disagreement about nothing")
        for tensor in _list(tensors):
            name, files = _list(tensor)
            located = LocatedTensor(_tensor_name(name), tuple(_names(files)))
            if len(located.files) != counts[kind] or not {*located.files} <= {*chosen.files}:
                raise ValueError("in other files")
            found.append(located)
    stored = _stored_names(table, comparison)
    for kind in counts:
        for tensor in getattr(comparison, kind):
            if (tensor.name in stored) == (kind == "not_stored"):
                raise ValueError("of a tensor that is not there, or should not be")
    return comparison


def _bytes_of(tensors: Iterable[LocatedTensor], table: TensorTable) -> int:
    """Return the bytes of tensors of a table."""
    from .raw import fold

    wanted = Counter(fold(tensor.name) for tensor in tensors)
    patterns = {pattern for pattern, _ in wanted}
    total = 0
    for group in table:
        if group.pattern in patterns:
            count = sum(wanted[group.pattern, index] for index in group.indices)
            total += count * (group.bits // 8 // len(group.indices))
    return total


def _stored_names(table: TensorTable, comparison: ShardComparison) -> set[str]:
    """Return which of the tensors of a comparison are in the table."""
    from .raw import fold, unfold

    patterns: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    found: set[str] = set()
    for f in fields(comparison):
        for tensor in getattr(comparison, f.name):
            pattern, index = fold(tensor.name)
            patterns.setdefault((pattern, len(index)), set()).add(index)
    for group in table:
        wanted = patterns.get((group.pattern, _width(group)))
        if wanted:
            indices = wanted.intersection(group.indices)
            found.update(unfold(group.pattern, index) for index in indices)
    return found


def _tensor_name(value: Any) -> str:
    """Return the name or pattern of a tensor. Raises TypeError or ValueError if it is none."""
    name = _text(value)
    if not is_safe_name(name) or re.search(_CONTROL, name):
        raise ValueError("no name of a tensor")
    return name


class _TableReader:
    """Reads the tensor tables of an entry, whose numbers follow each other."""

    def __init__(self, numbers: array[int]) -> None:
        self._numbers = numbers
        self._start = 0
        self._tensors = 0

    def read(self, groups: Any) -> TensorTable:
        """Return the next table.

        Raises TypeError or ValueError if the groups hold what no header does, or do not fit the
        numbers.
        """
        from .raw import TensorGroup, TensorTable
        from .safetensors.header import parse_kind

        table = TensorTable()
        for value in _list(groups):
            pattern, dtype, shape, count, width = _list(value)
            sizes = ",".join([str(_size(size)) for size in _list(shape)])
            kind = parse_kind(_text(dtype), sizes).kind
            indices = self._indices(_size(count), _size(width))
            group = TensorGroup(_tensor_name(pattern), *kind, indices)
            _check_pattern(group)
            table.add_group(group)
        if len([*table]) != len(groups):
            raise ValueError("a group that is there twice")
        _check_distinct(table)
        return table

    def _indices(self, count: int, width: int) -> list[tuple[int, ...]]:
        """Return the numbers of the next tensors, `width` of each."""
        self._tensors += count
        if self._tensors > MAX_ENTRY_TENSORS or count == 0:
            raise ValueError(f"{count} tensors")
        if width == 0:
            return [()] * count
        stop = self._start + count * width
        firsts = range(self._start, stop, count)
        columns = [self._numbers[first : first + count] for first in firsts]
        self._start = stop
        indices: list[tuple[int, ...]] = list(zip(*columns, strict=True))
        if len(indices) != count:
            raise ValueError("too few numbers")
        if max(map(max, columns)) > _LARGEST_NUMBER:
            raise ValueError("a number too large to be folded")
        return indices

    def end(self) -> None:
        """Raise ValueError if there are more numbers."""
        if self._start != len(self._numbers):
            raise ValueError("too many numbers")


def _check_pattern(group: TensorGroup) -> None:
    """Raise ValueError unless folding the first name of a group gives its pattern."""
    from .raw import fold, unfold

    first = group.indices[0]
    if first and _pattern_width(group.pattern) != len(first):
        raise ValueError("numbers that the pattern has no place for")
    if fold(unfold(group.pattern, first)) != (group.pattern, first):
        raise ValueError("a pattern that no name has")


def _pattern_width(pattern: str) -> int:
    """Return for how many numbers a pattern has a place."""
    return pattern.count("{}")


def _check_distinct(table: TensorTable) -> None:
    """Raise ValueError if two tensors of a table have one name."""
    same: dict[tuple[str, int], list[TensorGroup]] = {}
    for group in table:
        same.setdefault((group.pattern, _width(group)), []).append(group)
    for groups in same.values():
        count = sum(len(group.indices) for group in groups)
        if len(_all_indices(groups)) != count:
            raise ValueError("a tensor that is there twice")


def _all_indices(groups: Iterable[TensorGroup]) -> set[tuple[int, ...]]:
    """Return the numbers in the names of all tensors of some groups."""
    indices: set[tuple[int, ...]] = set()
    for group in groups:
        indices.update(group.indices)
    return indices


def _width(group: TensorGroup) -> int:
    """Return how many numbers the names of the group have."""
    if not group.indices:
        return 0
    return len(group.indices[0])
