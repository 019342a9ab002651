"""One reading of one repository over the network: config, index and the header of every shard, never the weights.

The look-up has pinned the commit, everything uses that commit. At the same time: the config, the index, and the Hub's answer
with all headers in one request (main branch; where it is not offered, the question costs no time). Else every shard's header by
a range request, many at once: the index says how long each will be, so that one request a shard is the rule. Files that
huggingface_hub has downloaded before are read from its cache; what was read goes into ours, by commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from huggingface_hub import errors

from ...architecture.schema import Finding
from ...errors import HeaderError, ReadError, printable
from .. import Progress, local
from ..documents import MAX_CONFIG, MAX_INDEX, Index, parse_index, parse_object
from ..merge import Absent, Merged, gaps, merge, names_only
from ..raw import RawModel
from ..repo_files import (
    CONFIG,
    Layout,
    configured,
    documents_wanted,
    layout,
    not_a_model,
    other_weights,
)
from ..safetensors import Header, header_length, parse_header, parse_headers_document
from . import INDEX, MAX_LOOKUP, Begun, all_headers
from .client import Answer, Client, Unreadable
from .resolve import Inquiry, Pinned

FIRST_RANGE = 100_000
"""Bytes of a shard's first range when nothing is known; 97 % of the Hub's headers are shorter, says huggingface_hub."""
LONGEST_FIRST_RANGE = 8_000_000
GIVE_UP = 8
"""Shards failing for good one after the other, none between them succeeding, after which the rest is not tried."""


@dataclass(slots=True)
class _Expected:
    """How long headers will be: nothing known at first, then a mean from the size of the index, then each from its names."""

    shards: int
    mean: int = FIRST_RANGE
    each: dict[str, int] = field(default_factory=dict[str, int])
    known: Event = field(default_factory=Event)

    def hear_size(self, size: int | None) -> None:
        """The index has `size` bytes: some 45 beside each name, a header some 80."""
        if size is not None and self.shards:
            self.mean = min(LONGEST_FIRST_RANGE, max(16_000, int(1.5 * size / self.shards) + 2_000))
            self.known.set()

    def hear_index(self, index: Index) -> None:
        """From the names: `"NAME":{"dtype":"F8_E4M3","shape":[7168,18432],"data_offsets":[1000000000,2000000000]},` and a margin."""
        for file, names in index.tensors_of.items():
            self.each[file] = min(
                LONGEST_FIRST_RANGE, 2_000 + sum(map(len, names)) + 84 * len(names)
            )
        self.known.set()

    def of(self, file: str) -> int:
        return self.each.get(file, self.mean)


@dataclass
class _Parts:
    """What is being read of a checkpoint. The index is parsed when it is asked for, by one thread, as parsing it holds up all others."""

    client: Client
    pinned: Pinned
    layout: Layout
    expected: _Expected
    index_data: Future[bytes | None] | None = None
    at_once: Future[Answer | None] | None = None

    @cached_property
    def index(self) -> Index | None:
        """The index; None if there is none or it could not be read. Waits for it. Raises ConfigError."""
        data = None
        if self.index_data is not None:
            with suppress(Unreadable):
                data = self.client.wait_for(self.index_data)
        self.index_data = None
        if data is None or self.layout.index_file is None:
            return None
        return parse_index(data, file=self.layout.index_file)


class Download:
    """One reading of one repository over the network."""

    def __init__(
        self, inquiry: Inquiry, begun: Begun, headers: bool, progress: Progress | None
    ) -> None:
        self.inquiry = inquiry
        self.reference = inquiry.reference
        self.asked_id = inquiry.repo_id
        self.begun = begun
        self.client = begun.client
        self.headers = headers
        self.progress: Progress = progress or _silent

    def read(self, pinned: Pinned) -> RawModel:
        """What is at the pinned commit."""
        found = layout(pinned.files)
        submit = self.begun.executor.submit
        documents = {
            name: submit(self._document, pinned, name) for name in documents_wanted(pinned.files)
        }
        parts = _Parts(self.client, pinned, found, _Expected(len(found.shards)))
        wanted = self.headers and bool(found.shards or found.index_file)
        if wanted and found.index_file is not None:
            parts.index_data = submit(self._index_data, pinned, found.index_file, parts.expected)
            if (
                (self.reference.revision or "main") == "main"
                and found.shards
                and found.index_file == INDEX
                and pinned.snapshot is None
            ):
                parts.at_once = self.begun.all_headers or submit(
                    all_headers, self.client, self.asked_id
                )
        try:
            parsed = {name: self.client.wait_for(future) for name, future in documents.items()}
        except Unreadable as error:
            raise ReadError(f"{self.asked_id}: {error}", "try again later") from None
        if error := not_a_model(pinned.files, parsed, name=self.asked_id):
            raise error
        model = RawModel(
            reference=self.reference.text,
            kind="hub",
            name=pinned.repo_id.rpartition("/")[2],
            config=configured(found, parsed),
            config_file=found.config_file or CONFIG,
            repo_id=pinned.repo_id,
            revision=self.reference.revision,
            commit=pinned.commit,
            files=tuple(pinned.files),
            findings=list(_moved(self.asked_id, pinned.repo_id)),
        )
        if not wanted:
            model.findings += found.others
            return model
        merged = self._checkpoint(parts)
        model.tensors, model.partial, model.header_bytes = (
            merged.table,
            merged.partial,
            merged.header_bytes,
        )
        read = {*found.shards, *(parts.index.shards if parts.index else ())}
        model.findings += [*merged.findings, *other_weights(pinned.files, read, found.index_file)]
        return model

    def _checkpoint(self, parts: _Parts) -> Merged:
        """All headers, held against the index."""
        shards, index_file = parts.layout.shards, parts.layout.index_file
        absent: dict[str, Absent] = {}
        headers = self._from_answer(parts)
        index = parts.index
        expected = {*shards, *(index.shards & {*parts.pinned.files} if index else ())}
        if headers is None or sorted(header.file for header in headers) != sorted(expected):
            headers = self._shard_by_shard(parts, absent)
        if index is None and index_file is not None:
            absent[index_file] = Absent("index-unreadable", "could not be read")
        if index is not None and not headers and not shards:
            return names_only(index)
        named = {*shards, *(index.shards if index else ())}
        for file in sorted(named - {header.file for header in headers}):
            absent.setdefault(
                file, Absent("shard-missing", "is listed by the index, but not in the repository")
            )
        for file, gap in gaps(sorted(named)).items():
            absent.setdefault(file, gap)
        return merge(sorted(headers, key=lambda h: h.file), index, absent=absent)

    def _shard_by_shard(self, parts: _Parts, absent: dict[str, Absent]) -> list[Header]:
        """The header of each shard; into `absent` go those that could not be read. ReadError if that is all of them."""
        tasks: dict[Future[Header], str] = {}
        ended: SimpleQueue[Future[Header]] = SimpleQueue()

        def start(files: Iterable[str]) -> None:
            for file in files:
                task = self.begun.executor.submit(self._header, parts, file)
                tasks[task] = file
                task.add_done_callback(ended.put)

        if parts.index_data is not None and parts.layout.shards:
            parts.index_data.add_done_callback(lambda _: parts.expected.known.set())
            with suppress(Unreadable):
                while not parts.expected.known.wait(timeout=1):
                    self.client.check_silence()
        start(parts.layout.shards)
        if (index := parts.index) is not None:
            parts.expected.hear_index(index)
            start(
                sorted(index.shards & {*parts.pinned.files} - {*parts.layout.shards})
            )  # files that do not look like shards
        headers: list[Header] = []
        failed_in_a_row, last_error = 0, ""

        def give_up(reason: str) -> None:
            for file in {*tasks.values()} - {header.file for header in headers} - {*absent}:
                absent[file] = Absent("shard-unreadable", reason)

        while len(headers) + len(absent) < len(tasks):
            try:
                task = self._next(ended, len(headers) + len(absent), len(tasks))
            except Unreadable as error:
                last_error = str(error)
                give_up(f"could not be read: {last_error}")
                break
            try:
                headers.append(task.result())
                failed_in_a_row = 0
            except Unreadable as error:
                last_error = printable(str(error))
                absent[tasks[task]] = Absent("shard-unreadable", f"could not be read: {last_error}")
                failed_in_a_row += 1
            if failed_in_a_row >= GIVE_UP:
                give_up("was not tried any more after others had failed")
        self.progress(len(tasks), len(tasks), "reading headers")
        if absent and not headers:
            raise ReadError(
                f"{self.asked_id}: none of its {len(tasks)} shards could be read: {last_error}",
                "try again later",
            )
        return headers

    def _next(self, ended: SimpleQueue[Future[Header]], done: int, total: int) -> Future[Header]:
        """The next task that ended; meanwhile progress is told, also while a rate limit holds everything back."""
        while True:
            pause = self.client.paused()
            self.progress(
                done,
                total,
                f"rate limited, waiting {pause:.0f} s" if pause > 1 else "reading headers",
            )
            with suppress(Empty):
                return ended.get(timeout=1)
            self.client.check_silence()

    def _from_answer(self, parts: _Parts) -> list[Header] | None:
        """The headers in the one answer, if it is of our commit; else None: shard by shard gives the same, or the exact error."""
        answer = None
        if parts.at_once is not None:
            with suppress(Unreadable):
                answer = self.client.wait_for(parts.at_once)
        parts.at_once = self.begun.all_headers = None  # its 12 MB are not needed twice
        if answer is None:
            return None
        with suppress(UnicodeDecodeError, HeaderError, ReadError):
            if (
                answer.headers.get("x-repo-commit") or self.inquiry.pin(self._look_up_again).commit
            ) == parts.pinned.commit:
                text = answer.data.decode()
                del answer
                headers = parse_headers_document(text)
                for header in headers or ():
                    _ = header.table  # folded here, while the index is on its way
                return headers
        return None

    def _look_up_again(self) -> Answer:
        return self.client.get(
            self.client.api(self.asked_id, "revision", self.reference.revision or "main"),
            limit=MAX_LOOKUP,
        )

    # Single files

    def _header(self, parts: _Parts, file: str) -> Header:
        """The header of one shard, by one request; a header longer than expected costs one more, for the rest only."""
        downloaded = parts.pinned.downloaded(file)
        if downloaded is not None:
            return local.read_header(downloaded, file)
        url = self._file(parts.pinned, file)
        try:
            first = self.client.get(url, limit=parts.expected.of(file), ranged=True)
            data, size = first.data, first.total
            length = 8 + header_length(data[:8], file=file, file_size=size)
            if len(data) < length:
                data += self.client.get(
                    url, limit=length - len(data), start=len(data), ranged=True
                ).data
            if len(data) < length:
                raise Unreadable(f"the server sent {len(data):,} of {length:,} header bytes")
        except errors.RepositoryNotFoundError as error:
            raise self.inquiry.refused(file, error) from None
        except errors.HfHubHTTPError as error:
            raise Unreadable(f"HTTP {error.response.status_code}") from None
        header = parse_header(data, file=file, file_size=size)
        _ = header.table  # folded here, while other headers are on their way
        return header

    def _index_data(self, pinned: Pinned, file: str, expected: _Expected) -> bytes | None:
        """The bytes of the index; None if it could not be read."""
        downloaded = pinned.downloaded(file)
        if downloaded is not None:
            return downloaded.read_bytes()
        with suppress(Unreadable, errors.HfHubHTTPError):
            return self.client.get(
                self._file(pinned, file), limit=MAX_INDEX, on_size=expected.hear_size
            ).data
        return None

    def _document(self, pinned: Pinned, file: str) -> dict[str, Any]:
        downloaded = pinned.downloaded(file)
        if downloaded is not None:
            return parse_object(downloaded.read_bytes(), file=file)
        return self.inquiry.document(
            lambda: self.client.get(self._file(pinned, file), limit=MAX_CONFIG), file, MAX_CONFIG
        )

    def _file(self, pinned: Pinned, file: str) -> str:
        return self.client.file(pinned.repo_id, pinned.commit, file)


def _moved(asked: str, repo_id: str) -> Iterable[Finding]:
    if asked.lower() != repo_id.lower():
        message = f"{asked} was renamed to {repo_id}; the Hub forwards the old name"
        yield Finding(rule="repo-moved", path=asked, message=message, old=asked, new=repo_id)


def _silent(done: int, total: int, label: str) -> None:
    """No progress is told."""
