"""Decide which files of a checkpoint count, as loaders do, and merge their headers. Pure functions.

transformers reads model.safetensors where there is one, else the files that the index lists (5.23,
`_get_resolved_checkpoint_files`). vLLM reads the files that the index lists, without an index all
safetensors files (0.11, `filter_duplicate_safetensors_files`). So where there is an index, files
that it does not list are other weights; and where model.safetensors is beside it, the two read
different files, and both sets are compared with the config.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import ConfigError, printable
from .file_names import CONFIG, INDEX, SINGLE
from .index import IndexSummary, ShardIndex
from .merge import Merged, MissingFile, merge, missing_shards, names_from_index, names_of_pickles
from .raw import TensorTable
from .repo_files import WeightFiles

if TYPE_CHECKING:
    from .safetensors import Header

MAX_SHARD_FILES = 10_000
"""Files of one checkpoint; the largest published ones have some 200."""
_ABSENT = MissingFile("shard-missing", "is listed by the index, but missing")
_UNREADABLE_INDEX = MissingFile("index-unreadable", "could not be read")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""What transformers reads where there is no safetensors file that it looks for."""


@frozen
class WeightSet(Frozen):
    """Files that are one checkpoint."""

    files: tuple[str, ...]
    is_listed: bool = False
    """Whether they are those that the index lists."""
    words: str = ""
    """Which files they are, where there is another set."""


@frozen
class WeightSets(Frozen):
    """The files that count."""

    main: WeightSet
    rival: WeightSet | None = None
    """Where transformers reads model.safetensors and vLLM the files that the index lists: those of
    the two that are not `main`. Main is model.safetensors, unless the index lists it too."""

    @property
    def files(self) -> set[str]:
        """Return the files of both sets."""
        files = set(self.main.files)
        if self.rival is not None:
            files.update(self.rival.files)
        return files


def decide_sets(
    weights: WeightFiles, index: IndexSummary | None, stored: Collection[str]
) -> WeightSets:
    """Return the files that count.

    weights: what the names of the files tell.
    index: the index that belongs to them, if there is one and it could be read.
    stored: the files that exist.

    Raises ConfigError if they are too many.
    """
    if index is None:
        return WeightSets(WeightSet(weights.shards))
    if len(index.shards) > MAX_SHARD_FILES:
        file = printable(index.file)
        raise ConfigError(f"{file}: lists {len(index.shards):,} files, limit {MAX_SHARD_FILES:,}")
    words = _listed_words(index)
    listed = WeightSet(tuple(sorted(index.shards)), is_listed=True, words=words)
    if SINGLE not in weights.shards or {*index.shards} == {SINGLE}:
        return WeightSets(listed)
    single = WeightSet((SINGLE,), words=SINGLE)
    if SINGLE in index.shards:
        return WeightSets(listed, single)
    return WeightSets(single, listed if index.shards & {*stored} else None)


def merge_sets(
    weights: WeightFiles,
    sets: WeightSets,
    headers: Mapping[str, Header],
    stored: Collection[str],
    unreadable: Mapping[str, MissingFile] | None = None,
    index: ShardIndex | None = None,
) -> Merged:
    """Merge the headers of each set, and report where loaders read different files.

    weights: what the names of the files tell.
    sets: the files that count.
    headers: the header of each file that was read.
    stored: the files that exist.
    unreadable: the files that exist but could not be read.
    index: the index, if there is one and it could be read.
    """
    unreadable = unreadable or {}
    main, rival = sets.main, sets.rival
    if weights.is_pickled and not headers and unreadable:
        return names_of_pickles(index, unreadable)
    if main.is_listed and index is not None and not index.shards & {*stored}:
        return names_from_index(index)
    missing = _missing_files(main, headers, stored, unreadable)
    if weights.index_file is not None and index is None:
        missing[weights.index_file] = _UNREADABLE_INDEX
    merged = _merge_set(main, headers, index, missing)
    if rival is not None:
        missing = _missing_files(rival, headers, stored, unreadable)
        merged.rival = _merge_set(rival, headers, index, missing)
        merged.header_bytes = sum(header.size for header in headers.values())
    summary = index.summary if index is not None else None
    add_reader_findings(merged, weights, sets, summary, stored)
    return merged


def _merge_set(
    chosen: WeightSet,
    headers: Mapping[str, Header],
    index: ShardIndex | None,
    missing: Mapping[str, MissingFile],
) -> Merged:
    """Merge the headers of one set, in the order of the files' names."""
    in_order = [headers[file] for file in sorted(chosen.files) if file in headers]
    own_index = index if chosen.is_listed else None
    merged = merge(in_order, own_index, missing=missing)
    merged.words = chosen.words
    return merged


def _missing_files(
    chosen: WeightSet,
    headers: Mapping[str, Header],
    stored: Collection[str],
    unreadable: Mapping[str, MissingFile],
) -> dict[str, MissingFile]:
    """Return the files of a set that were not read, and those that their names imply."""
    missing: dict[str, MissingFile] = {}
    for file in chosen.files:
        if file not in headers:
            missing[file] = unreadable.get(file, _ABSENT)
    implied = missing_shards(chosen.files)
    for file, reason in implied.items():
        if file not in stored and file not in missing:
            missing[file] = reason
    return missing


# Where loaders differ


def add_reader_findings(
    merged: Merged,
    weights: WeightFiles,
    sets: WeightSets,
    index: IndexSummary | None,
    stored: Collection[str],
) -> None:
    """Add at most one finding: that loaders read different files of these.

    merged: the tensors of the main set, and of the other one if there is one.
    weights, sets, stored: as for `merge_sets`.
    index: the index, if there is one and it could be read.
    """
    merged.findings += _reader_findings(weights, sets, merged, index, stored)


def _reader_findings(
    weights: WeightFiles,
    sets: WeightSets,
    merged: Merged,
    index: IndexSummary | None,
    stored: Collection[str],
) -> list[Finding]:
    """Return at most one finding: that loaders read different files of these."""
    rival = merged.rival
    if rival is not None and sets.rival is not None:
        tables = {sets.main.words: merged.table, sets.rival.words: rival.table}
        single = tables.pop(SINGLE)
        ((words, listed),) = tables.items()
        same = "the same" if _signature(single) == _signature(listed) else "other"
        message = (
            f"transformers reads {SINGLE} ({single.bytes:,} bytes), vLLM {words}"
            f" ({listed.bytes:,} bytes), with {same} names, dtypes and shapes; both are compared"
            " with the config, the weights themselves are not"
        )
        return [Finding(rule="weights-by-reader", path=SINGLE, message=message)]
    if index is not None and index.file == INDEX and SINGLE in weights.shards:
        if {*index.shards} == {SINGLE}:
            return []
        listed = "files that do not exist" if index.shards else "no file"
        message = (
            f"transformers reads {SINGLE}; vLLM goes by {INDEX}, which lists {listed},"
            " and finds no weights"
        )
        return [Finding(rule="weights-by-reader", path=INDEX, message=message)]
    if weights.is_pickled:
        return []
    is_found = SINGLE in weights.shards or weights.index_file == INDEX
    if is_found or weights.config_file != CONFIG:
        return []
    pickle = next((file for file in _PICKLES if file in stored), None)
    found = f"reads {pickle}" if pickle else "finds no weights"
    message = f"without {SINGLE} or {INDEX} transformers {found}; vLLM reads all safetensors files"
    return [
        Finding(rule="weights-by-reader", path=min(weights.shards, default=""), message=message)
    ]


def _signature(
    table: TensorTable,
) -> dict[tuple[str, str, tuple[int, ...] | None], set[tuple[int, ...]]]:
    """Return the indices of every pattern, dtype and shape."""
    return {(g.pattern, g.dtype, g.shape): {*g.indices} for g in table}


def _listed_words(index: IndexSummary) -> str:
    """Return `the 2 files that model.safetensors.index.json lists`."""
    file = printable(index.file)
    count = len(index.shards)
    if count == 1:
        return f"the file that {file} lists"
    return f"the {count} files that {file} lists"
