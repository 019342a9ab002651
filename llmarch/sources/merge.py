"""Puts the headers of a checkpoint's files together and holds them against the index: one table, and findings where they disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import printable
from .documents import Index
from .raw import TensorTable, fold
from .repo_files import SHARD
from .safetensors import Header

MAX_SHARDS = 10_000
"""Missing shards that the names of others may tell of."""

Severity = Literal["weights", "info"]


@dataclass(slots=True)
class Merged:
    """The tensors of a checkpoint, once each; `partial` if a file that belongs to it was not read."""

    table: TensorTable
    partial: bool = False
    header_bytes: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])


@frozen
class Absent(Frozen):
    """Why a file of the checkpoint was not read: a rule (shard-missing, shard-unreadable) and the rest of the sentence."""

    rule: str
    reason: str


def merge(
    headers: Sequence[Header], index: Index | None, *, absent: Mapping[str, Absent] | None = None
) -> Merged:
    """`headers` of the files that were read, in the order of their names; `absent` the files that were not.

    Without an index every tensor counts; with one, a tensor that is in two files counts once, from the file the index names.
    """
    absent = absent or {}
    merged = Merged(TensorTable(), partial=bool(absent), header_bytes=sum(h.size for h in headers))
    merged.findings.extend(_absences(absent))
    skip = _compare(headers, index, absent, merged.findings)
    for header in headers:
        if (left_out := skip.get(header.file)) is None:
            merged.table.take(header.table)
        else:
            for name, dtype, shape in header.tensors:
                if name not in left_out:
                    merged.table.add(name, dtype, shape)
    if index is not None and not merged.partial:
        merged.findings.extend(_total_size(headers, index))
    return merged


def names_only(index: Index) -> Merged:
    """An index without its shards: names, no shapes."""
    merged = Merged(TensorTable.of((name, "", None) for name in index.weight_map), partial=True)
    message = f"{printable(index.file)} lists {len(index.shards)} files, but none of them is there: only the names of the tensors are known"
    merged.findings.append(
        Finding(
            rule="shard-missing", path=printable(index.file), message=message, severity="weights"
        )
    )
    return merged


def gaps(files: Iterable[str]) -> dict[str, Absent]:
    """Files that the numbers in the others' names (-00001-of-00003) tell of, but that are not among them; no more than MAX_SHARDS."""
    sets: dict[tuple[str, str, int], set[int]] = {}
    for file in files:
        if match := SHARD.fullmatch(file):
            sets.setdefault((match["stem"], match["total"], len(match["number"])), set()).add(
                int(match["number"])
            )
    found: dict[str, Absent] = {}
    for (stem, total, width), numbers in sets.items():
        first = 0 if 0 in numbers else 1
        for number in range(first, first + int(total)):
            if len(found) == MAX_SHARDS:
                return found
            if number not in numbers:
                reason = f"is not there, although the others' names tell of {int(total)}"
                found[f"{stem}-{number:0{width}}-of-{total}.safetensors"] = Absent(
                    "shard-missing", reason
                )
    return found


def _absences(absent: Mapping[str, Absent]) -> Iterable[Finding]:
    """One finding for all files that are absent for the same reason."""
    groups: dict[Absent, list[str]] = {}
    for file in sorted(absent):
        groups.setdefault(absent[file], []).append(file)
    for why, files in groups.items():
        more = f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
        severity = (
            "weights" if why.rule == "shard-missing" else "info"
        )  # what could not be read may be there
        yield Finding(
            rule=why.rule,
            path=printable(files[0]),
            message=f"{printable(files[0])}{more} {why.reason}",
            severity=severity,
        )


def _compare(
    headers: Sequence[Header],
    index: Index | None,
    absent: Mapping[str, Absent],
    findings: list[Finding],
) -> dict[str, set[str]]:
    """Findings where index and shards disagree; returns for each file the tensors to leave out, being counted from another."""
    if index is None:
        return _without_index(headers, findings)
    listed_in = index.weight_map.get
    if sum(len(h.names) for h in headers) == len(index.weight_map) and all(
        {*map(listed_in, h.names)} <= {h.file} for h in headers
    ):
        return {}  # each tensor once, where the index says
    listed = index.tensors_of
    odd: dict[str, list[str]] = {}  # file -> tensors in it that the index does not expect there
    gone: dict[str, list[str]] = {}  # file -> tensors that the index expects there, but are not
    for header in headers:
        here, expected = set(header.names), set(listed.get(header.file, ()))
        odd[header.file] = [name for name in header.names if name not in expected]
        gone[header.file] = [name for name in listed.get(header.file, ()) if name not in here]
    wanted = {name for names in odd.values() for name in names}
    home = {name: file for name, file in index.weight_map.items() if name in wanted}
    lost = {name: file for file, names in gone.items() for name in names}
    skip: dict[str, set[str]] = {}
    elsewhere: dict[str, str] = {}  # lost tensor -> where it is
    twice: list[tuple[str, str]] = []
    unlisted: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for file, names in odd.items():
        for name in names:
            if name not in home and name not in elsewhere:
                unlisted[file in listed].append((name, file))
                elsewhere[name] = file
            elif name in lost and name not in elsewhere:
                elsewhere[name] = file
            elif name in lost or name in elsewhere or home[name] not in absent:
                twice.append((name, f"{home.get(name) or elsewhere[name]} and {file}"))
                skip.setdefault(file, set()).add(name)
    where = printable(index.file)
    _add(
        findings,
        "index-tensor-missing",
        "weights",
        f"in {where}, but in none of the files",
        [(n, f) for n, f in lost.items() if n not in elsewhere],
    )
    wrong = [(n, f"{elsewhere[n]} instead of {f}") for n, f in lost.items() if n in elsewhere]
    _add(findings, "index-wrong-shard", "weights", f"not in the file that {where} says", wrong)
    _add(findings, "tensor-in-two-shards", "weights", "stored in two files, counted once", twice)
    _add(
        findings,
        "index-tensor-unlisted",
        "info",
        f"stored, but {where} does not list it",
        unlisted[True],
    )
    _add(
        findings,
        "index-tensor-unlisted",
        "weights",
        f"in a file that {where} does not list, so it is not loaded",
        unlisted[False],
    )
    return skip


def _without_index(headers: Sequence[Header], findings: list[Finding]) -> dict[str, set[str]]:
    """Without an index: only tensors that are stored twice."""
    skip: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    twice: list[tuple[str, str]] = []
    for header in headers:
        for name in header.names:
            if first.setdefault(name, header.file) is not header.file:
                twice.append((name, f"{first[name]} and {header.file}"))
                skip.setdefault(header.file, set()).add(name)
    _add(findings, "tensor-in-two-shards", "weights", "stored in two files, counted once", twice)
    return skip


def _add(
    findings: list[Finding],
    rule: str,
    severity: Severity,
    what: str,
    tensors: Iterable[tuple[str, str]],
) -> None:
    """One finding for each pattern among the tensors (name, where)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, where in tensors:
        groups.setdefault(fold(name)[0], []).append((name, where))
    for pattern, members in groups.items():
        name, where = members[0]
        count = "" if len(members) == 1 else f" and {len(members) - 1} more like it"
        message = f"{printable(name)}{count}: {what} ({printable(where)})"
        findings.append(
            Finding(rule=rule, path=printable(pattern), message=message, severity=severity)
        )


def _total_size(headers: Sequence[Header], index: Index) -> Iterable[Finding]:
    """`metadata.total_size` against the bytes of the tensors."""
    declared = index.metadata.get("total_size")
    stored = sum(h.data_size for h in headers)
    if declared is None or (declared == stored and type(declared) is int):
        return
    if isinstance(declared, (int, float)) and not isinstance(declared, bool):
        what = f"{declared:,}, a float" if isinstance(declared, float) else f"{declared:,}"
    else:
        what = f"{printable(repr(declared), 40)}, not a number"
    message = f"{printable(index.file)}: total_size is {what}; the tensors take {stored:,} bytes"
    yield Finding(
        rule="index-total-size",
        path=printable(index.file),
        message=message,
        old=declared if _plain(declared) else None,
        new=stored,
    )


def _plain(value: object) -> bool:
    return type(value) is int or (type(value) is float and isfinite(value))
