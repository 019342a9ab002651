"""Merge the headers of a checkpoint's files into one table and compare them with the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding, Severity
from ..errors import HeaderError, printable
from .file_names import SHARD
from .index import IndexSummary, ShardIndex
from .raw import DtypeShape, RawModel, RivalWeights, TensorTable, fold

if TYPE_CHECKING:
    from .safetensors import Header

MAX_SHARDS = 10_000
"""Missing shards that are reported because the numbers of others imply them."""


@dataclass(slots=True)
class Merged:
    """The tensors of a checkpoint, each counted once."""

    table: TensorTable
    is_unread: bool = False
    """Whether nothing is known of the tensors, not even their names."""
    partial: bool = False
    """Whether a file that belongs to the checkpoint was not read."""
    header_bytes: int = 0
    data_size: int = 0
    """Bytes of the tensors in all files."""
    comparison: ShardComparison = field(default_factory=lambda: ShardComparison())
    """Where the files and the index disagree."""
    findings: list[Finding] = field(default_factory=list[Finding])
    words: str = ""
    """Which files they are, where there is another set."""
    rival: Merged | None = None
    """A second set, which other engines read."""

    def add_to(self, model: RawModel) -> None:
        """Set the tensors of a model, and add the findings."""
        if self.is_unread:
            model.findings += self.findings
            return
        model.tensors = self.table
        model.partial = self.partial
        model.header_bytes = self.header_bytes
        model.findings += self.findings
        rival = self.rival
        if rival is not None:
            model.rival = RivalWeights(rival.words, rival.table, rival.partial, rival.findings)

    def compare(self, index: IndexSummary | None) -> None:
        """Add the findings about files that were all read: where they and the index disagree."""
        self.findings += _comparison_findings(self.comparison, index)
        if index is not None and not self.partial:
            self.findings += _total_size_findings(self.data_size, index)


@frozen
class MissingFile(Frozen):
    """Why a file of the checkpoint was not read."""

    rule: str
    """shard-missing, shard-unreadable or index-unreadable."""
    reason: str
    """The rest of the sentence that begins with the file's name."""


class LocatedTensor(NamedTuple):
    """A tensor and the files to name in a message."""

    name: str
    files: tuple[str, ...]


class _Mismatches(NamedTuple):
    """Tensors that are not where the index lists them, with a file for each."""

    unexpected: list[tuple[str, str]]
    """Stored in a file where the index does not list them."""
    absent: dict[str, str]
    """Listed in a file that does not store them."""


@dataclass(slots=True)
class ShardComparison:
    """Where the files and the index disagree."""

    not_stored: list[LocatedTensor] = field(default_factory=list[LocatedTensor])
    """Listed by the index, but stored in none of the files; with the file that the index names."""
    misplaced: list[LocatedTensor] = field(default_factory=list[LocatedTensor])
    """Stored in another file than the index names; with the two."""
    duplicates: list[LocatedTensor] = field(default_factory=list[LocatedTensor])
    """Stored in two files, with the same dtype and shape; first the file it is counted from."""
    ambiguous: list[LocatedTensor] = field(default_factory=list[LocatedTensor])
    """Stored in two files, with another dtype or shape; first the file it is counted from."""
    unlisted: list[LocatedTensor] = field(default_factory=list[LocatedTensor])
    """In a file of the index, which does not list the tensor; with that file."""


class _Copies:
    """The tensors that are stored in two files."""

    def __init__(self, comparison: ShardComparison, headers: Sequence[Header]) -> None:
        self._comparison = comparison
        self._headers = {header.file: header for header in headers}
        self._kinds: dict[str, dict[str, DtypeShape]] = {}
        self.excluded: dict[str, set[str]] = {}
        """For each file the tensors that are counted from another file."""

    def add(self, name: str, counted_from: str, file: str) -> None:
        """Note a tensor that is stored in two files, and exclude the copy in `file`."""
        copy = LocatedTensor(name, (counted_from, file))
        is_same = self._kind(name, counted_from) == self._kind(name, file)
        found = self._comparison.duplicates if is_same else self._comparison.ambiguous
        found.append(copy)
        excluded = self.excluded.setdefault(file, set())
        excluded.add(name)

    def _kind(self, name: str, file: str) -> DtypeShape:
        """Return the dtype and shape of a tensor in a file."""
        if file not in self._kinds:
            header = self._headers[file]
            self._kinds[file] = dict(zip(header.names, header.kinds, strict=True))
        return self._kinds[file][name]


def merge(
    headers: Sequence[Header],
    index: ShardIndex | None,
    *,
    missing: Mapping[str, MissingFile] | None = None,
) -> Merged:
    """Merge headers into one table, with findings for missing files and disagreements.

    Without an index every tensor counts; with one, a tensor that is in two files counts once, from
    the file that the index names.

    headers: those of the files that count and were read, in the order of their names.
    index: the index of the checkpoint, if it has one.
    missing: the files that belong to the checkpoint but were not read.
    """
    missing = missing or {}
    merged = Merged(TensorTable(), partial=bool(missing))
    merged.header_bytes = sum(header.size for header in headers)
    merged.data_size = sum(header.data_size for header in headers)
    copies = _Copies(merged.comparison, headers)
    _compare(merged.comparison, copies, headers, index, missing)
    for header in headers:
        excluded = copies.excluded.get(header.file)
        if excluded is None:
            merged.table.take(header.table)
            continue
        for name, dtype, shape in header.tensors:
            if name not in excluded:
                merged.table.add(name, dtype, shape)
    merged.table.writer = _common_writer(headers)
    merged.findings += _missing_file_findings(missing)
    merged.findings += _global_findings(headers)
    merged.compare(index.summary if index is not None else None)
    return merged


def _common_writer(headers: Sequence[Header]) -> str:
    """Return the `format` that all headers name; empty where they differ."""
    writers = {header.metadata.get("format", "") for header in headers}
    return writers.pop() if len(writers) == 1 else ""


def names_from_index(index: ShardIndex) -> Merged:
    """Return the tensor names of an index without its shards; the table has no shapes.

    An index that lists no tensor is whole: loaders find nothing by it.
    """
    named = [(name, "", None) for name in index.weight_map]
    table = TensorTable.from_tensors(named)
    file = printable(index.file)
    count = len(index.shards)
    message = (
        f"{file} lists {count} files, but none of them exists: "
        "only the names of the tensors are known"
    )
    if count == 0:
        message = (
            f"{file} lists no tensor: transformers raises, and vLLM reads none of the files"
            " beside it"
        )
    finding = Finding(rule="shard-missing", path=file, message=message, severity="weights")
    return Merged(table, partial=count > 0, findings=[finding, *index.findings])


def unreadable_pickle(file: str, error: HeaderError) -> MissingFile:
    """Return why a file of torch.save was not read."""
    reason = error.message.removeprefix(f"{printable(file)}: ")
    return MissingFile("pickle-unreadable", f"was not read: {reason}")


def unreadable_pickles(files: Mapping[str, MissingFile]) -> list[Finding]:
    """Return the findings about files of torch.save that were not read."""
    return [*_missing_file_findings(files)]


def names_of_pickles(index: ShardIndex | None, unreadable: Mapping[str, MissingFile]) -> Merged:
    """Return the tensor names of an index whose files could not be read; the table has no shapes.

    They tell less than headers: which tensors there should be, and nothing of their sizes. Without
    an index nothing is known.
    """
    if index is None:
        return Merged(TensorTable(), is_unread=True, findings=unreadable_pickles(unreadable))
    named = [(name, "", None) for name in index.weight_map]
    table = TensorTable.from_tensors(named)
    findings = [*_missing_file_findings(unreadable), *index.findings]
    return Merged(table, partial=True, findings=findings)


def missing_shards(files: Iterable[str]) -> dict[str, MissingFile]:
    """Return the shards that the names of others imply: after `-00001-of-00002`, the second.

    No more than MAX_SHARDS, because a name may claim any number.
    """
    sets: dict[tuple[str, str, int], set[int]] = {}
    for file in files:
        match = SHARD.fullmatch(file)
        if match is None:
            continue
        number = match["number"]
        numbers = sets.setdefault((match["stem"], match["total"], len(number)), set())
        numbers.add(int(number))
    found: dict[str, MissingFile] = {}
    for (stem, total, width), numbers in sets.items():
        count = int(total)
        first = 0 if 0 in numbers else 1
        reason = f"is missing: the names of the others count {count} files"
        for number in range(first, first + count):
            if len(found) == MAX_SHARDS:
                return found
            if number not in numbers:
                file = f"{stem}-{number:0{width}}-of-{total}.safetensors"
                found[file] = MissingFile("shard-missing", reason)
    return found


def _compare(
    comparison: ShardComparison,
    copies: _Copies,
    headers: Sequence[Header],
    index: ShardIndex | None,
    missing: Mapping[str, MissingFile],
) -> None:
    """Compare the tensors that the files store with those that the index lists."""
    if index is None:
        _find_duplicates(copies, headers)
        return
    if _agrees(headers, index):
        return
    mismatches = _find_mismatches(headers, index)
    found: dict[str, str] = {}  # unexpected tensor that counts -> its file
    for name, file in mismatches.unexpected:
        listed_file = index.weight_map.get(name)
        if name in found:
            copies.add(name, found[name], file)
        elif listed_file is None:
            found[name] = file
            comparison.unlisted.append(LocatedTensor(name, (file,)))
        elif name in mismatches.absent or listed_file in missing:
            found[name] = file
        else:
            copies.add(name, listed_file, file)
    for name, listed_file in mismatches.absent.items():
        if name in found:
            misplaced = LocatedTensor(name, (found[name], listed_file))
            comparison.misplaced.append(misplaced)
        else:
            comparison.not_stored.append(LocatedTensor(name, (listed_file,)))


def _find_mismatches(headers: Sequence[Header], index: ShardIndex) -> _Mismatches:
    """Compare each file that was read with the part of the index that is about it."""
    unexpected: list[tuple[str, str]] = []
    absent: dict[str, str] = {}
    for header in headers:
        file = header.file
        listed = index.tensors_by_file.get(file, [])
        listed_names = set(listed)
        stored_names = set(header.names)
        unexpected += [(name, file) for name in header.names if name not in listed_names]
        absent |= {name: file for name in listed if name not in stored_names}
    return _Mismatches(unexpected, absent)


def _agrees(headers: Sequence[Header], index: ShardIndex) -> bool:
    """Return whether each tensor is stored once, in the file that the index names.

    Looks up whole columns: this is the usual case, and a checkpoint has 140,000 tensors. The counts
    are equal and every stored tensor is listed in its file, so none is stored twice or missing.
    """
    stored = sum(len(header.names) for header in headers)
    if stored != len(index.weight_map):
        return False
    for header in headers:
        listed_files = {*map(index.weight_map.get, header.names)}
        if not listed_files <= {header.file}:
            return False
    return True


def _find_duplicates(copies: _Copies, headers: Sequence[Header]) -> None:
    """Find the tensors that are stored twice: all that can be wrong without an index."""
    first: dict[str, str] = {}
    for header in headers:
        file = header.file
        for name in header.names:
            counted_from = first.setdefault(name, file)
            if counted_from is not file:
                copies.add(name, counted_from, file)


# Findings


def _global_findings(headers: Sequence[Header]) -> Iterator[Finding]:
    """Return a finding for each file of torch.save that names more than tensors need."""
    for header in headers:
        named = header.metadata.get("globals")
        if named:
            file = printable(header.file)
            message = (
                f"its pickle names {printable(named)}: torch.load with weights_only refuses the"
                " file, and without it imports and calls what it names. Nothing of it was run here"
            )
            yield Finding(rule="pickle-globals", path=file, message=message, severity="weights")


def _missing_file_findings(missing: Mapping[str, MissingFile]) -> Iterator[Finding]:
    """Return one finding for all files that are missing for the same reason."""
    files_by_reason: dict[MissingFile, list[str]] = {}
    for file in sorted(missing):
        files_by_reason.setdefault(missing[file], []).append(file)
    for missing_file, files in files_by_reason.items():
        severity: Severity = "info"  # a file that could not be read may be there
        if missing_file.rule == "shard-missing":
            severity = "weights"
        path = printable(files[0])
        more = f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
        yield Finding(
            rule=missing_file.rule,
            path=path,
            message=f"{path}{more} {missing_file.reason}",
            severity=severity,
        )


def _comparison_findings(
    comparison: ShardComparison, index: IndexSummary | None
) -> Iterator[Finding]:
    file = ""
    if index is not None:
        file = printable(index.file)
        yield from index.findings
    yield from _tensor_findings(
        "index-tensor-missing",
        "info",
        f"listed by {file}, but stored in none of the files",
        comparison.not_stored,
    )
    yield from _tensor_findings(
        "index-wrong-shard",
        "info",
        f"not in the file where {file} lists it",
        comparison.misplaced,
        joiner=" instead of ",
    )
    yield from _tensor_findings(
        "tensor-in-two-shards",
        "weights",
        "stored in two files, in two forms, counted once",
        comparison.ambiguous,
    )
    yield from _tensor_findings(
        "tensor-in-two-shards",
        "info",
        "stored in two files, counted once; no header tells whether both hold the same values",
        comparison.duplicates,
    )
    yield from _tensor_findings(
        "index-tensor-unlisted", "info", f"stored, but not listed by {file}", comparison.unlisted
    )


def _tensor_findings(
    rule: str,
    severity: Severity,
    problem: str,
    tensors: Sequence[LocatedTensor],
    *,
    joiner: str = " and ",
) -> Iterator[Finding]:
    """Return one finding for each name pattern among the tensors.

    problem: what is wrong with them.
    joiner: the word between the two files that a tensor is located by.
    """
    groups: dict[str, list[LocatedTensor]] = {}
    for tensor in tensors:
        pattern, _ = fold(tensor.name)
        groups.setdefault(pattern, []).append(tensor)
    for pattern, members in groups.items():
        example = members[0]
        shown = printable(example.name)
        if len(members) > 1:
            shown += f" and {len(members) - 1} more like it"
        location = printable(joiner.join(example.files))
        yield Finding(
            rule=rule,
            path=printable(pattern),
            message=f"{shown}: {problem} ({location})",
            severity=severity,
        )


def _total_size_findings(stored: int, index: IndexSummary) -> Iterator[Finding]:
    """Compare `metadata.total_size` of the index with the bytes of the tensors."""
    declared: object = index.total_size
    if declared is None:
        return
    if type(declared) is int and declared == stored:
        return
    old = None
    if type(declared) is int:
        shown, old = f"{declared:,}", declared
    elif isinstance(declared, float):
        shown = f"{declared:,}, a float"
        if isfinite(declared):  # JSON has no NaN
            old = declared
    else:
        shown = f"{printable(repr(declared), 40)}, not a number"
    file = printable(index.file)
    message = f"{file}: total_size is {shown}; the tensors take {stored:,} bytes"
    yield Finding(rule="index-total-size", path=file, message=message, old=old, new=stored)
