"""Read the header of every shard by a range request, many at once.

The index tells how long each header will be, so that one request a shard is the rule. Shards that
huggingface_hub has downloaded are read from its cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event

from huggingface_hub import errors

from ...errors import HeaderError, ReadError, printable
from .. import local
from ..file_names import is_pickle
from ..index import ShardIndex
from ..merge import MissingFile, unreadable_pickle
from ..progress import Progress
from ..safetensors import Header, HeaderBudget, header_length, parse_header
from ..torch_files import FIRST_TORCH_READ, read_torch_file
from .client import RequestFailed
from .resolve import PinnedRepo, Resolver

FIRST_RANGE = 100_000
"""Bytes of a shard's first range when nothing is known about it.

97 % of the Hub's headers are shorter (huggingface_hub, `parse_safetensors_file_metadata`).
"""
LONGEST_FIRST_RANGE = 8_000_000
GIVE_UP = 8
"""Shards that fail for good in a row before the rest is not tried."""
_READING = "reading headers"


@dataclass(slots=True)
class HeaderSizes:
    """The expected length of each header, in bytes.

    First a constant, then a mean from the size of the index, then each from its tensor names.
    """

    shards: int
    mean: int = FIRST_RANGE
    by_file: dict[str, int] = field(default_factory=dict[str, int])
    known: Event = field(default_factory=Event)
    """Set as soon as there is anything better than the constant, or there will be nothing."""

    def estimate_from_size(self, index_size: int | None) -> None:
        """Estimate the mean from the size of the index, if the server gives it.

        An index has some 45 bytes beside each name, a header some 80.
        """
        if index_size is None or self.shards == 0:
            return
        mean = 1.5 * index_size / self.shards + 2_000
        mean = max(16_000, int(mean))
        self.mean = min(LONGEST_FIRST_RANGE, mean)
        self.known.set()

    def estimate_from_names(self, index: ShardIndex) -> None:
        """Estimate each header from its tensor names, with a margin of 2,000 bytes.

        The longest usual entry has 84 bytes beside the name:
        `"NAME":{"dtype":"F8_E4M3","shape":[7168,18432],"data_offsets":[1000000000,2000000000]},`
        """
        for file, names in index.tensors_by_file.items():
            characters = sum(map(len, names))
            size = characters + 84 * len(names) + 2_000
            self.by_file[file] = min(LONGEST_FIRST_RANGE, size)
        self.known.set()

    def first_range(self, file: str) -> int:
        """Return how many bytes of a file to request first."""
        return self.by_file.get(file, self.mean)


class ShardReader:
    """The reading of all shards of one repository.

    `start` submits shards, `finish` collects them: into `headers`, into `missing` those that could
    not be read, or into `refused` those that are wrong.
    """

    def __init__(
        self,
        resolver: Resolver,
        pinned: PinnedRepo,
        sizes: HeaderSizes,
        executor: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self.headers: dict[str, Header] = {}
        self.missing: dict[str, MissingFile] = {}
        self.refused: dict[str, HeaderError] = {}
        """Headers that are wrong; an error only if the file turns out to count."""
        self._budget = HeaderBudget()
        self._resolver = resolver
        self._client = resolver.client
        self._pinned = pinned
        self._sizes = sizes
        self._executor = executor
        self._progress = progress
        self._files: dict[Future[Header], str] = {}
        self._ended: SimpleQueue[Future[Header]] = SimpleQueue()
        self._failed_in_a_row = 0
        self._last_error = ""

    def start(self, files: Iterable[str]) -> None:
        """Submit the reading of those of these files that were not started before."""
        for file in sorted({*files} - {*self._files.values()}):
            task = self._executor.submit(self._read_header, file)
            self._files[task] = file
            task.add_done_callback(self._ended.put)

    def finish(self) -> None:
        """Wait for all files that were started. Raises ReadError if none of them could be read."""
        while self._count_ended() < len(self._files):
            try:
                task = self._next_ended()
            except RequestFailed as error:  # the server went silent
                self._last_error = str(error)
                self._give_up(f"could not be read: {self._last_error}")
                break
            self._collect(task)
            if self._failed_in_a_row >= GIVE_UP:
                self._give_up("was not tried any more after others had failed")
        total = len(self._files)
        self._progress(total, total, _READING)
        are_pickled = all(map(is_pickle, self.missing))  # the config is enough without them
        if self.missing and not self.headers and not self.refused and not are_pickled:
            repo_id = self._resolver.repo_id
            message = f"{repo_id}: none of its {total} shards could be read: {self._last_error}"
            raise ReadError(message, "try again later")

    def _count_ended(self) -> int:
        return len(self.headers) + len(self.missing) + len(self.refused)

    def _next_ended(self) -> Future[Header]:
        """Wait for the next task that ends, and report progress and rate limits meanwhile."""
        while True:
            label = _READING
            pause = self._client.seconds_paused()
            if pause > 1:
                label = f"rate limited, waiting {pause:.0f} s"
            self._progress(self._count_ended(), len(self._files), label)
            with suppress(Empty):
                return self._ended.get(timeout=1)
            self._client.check_silence()

    def _collect(self, task: Future[Header]) -> None:
        """Take the header of a task that ended, or note why there is none."""
        file = self._files[task]
        try:
            self.headers[file] = task.result()
            self._failed_in_a_row = 0
        except HeaderError as error:
            if is_pickle(file):
                self.missing[file] = unreadable_pickle(file, error)
            else:
                self.refused[file] = error
        except RequestFailed as error:
            self._failed_in_a_row += 1
            self._last_error = printable(str(error))
            reason = f"could not be read: {self._last_error}"
            self.missing[file] = MissingFile("shard-unreadable", reason)

    def _give_up(self, reason: str) -> None:
        """Note all files that have not ended as unreadable."""
        missing_file = MissingFile("shard-unreadable", reason)
        for file in self._files.values():
            if file not in self.headers and file not in self.refused:
                self.missing.setdefault(file, missing_file)

    def _read_header(self, file: str) -> Header:
        """Read the header of one shard by one request; the rest of a longer one by another."""
        pinned, client = self._pinned, self._client
        downloaded = pinned.downloaded_file(file)
        if is_pickle(file):
            return self._read_torch_file(file, downloaded)
        if downloaded is not None:
            return local.read_header(downloaded, file, self._budget)
        url = pinned.address(client, file)
        expected = self._sizes.first_range(file)
        try:
            first = client.get(url, limit=expected, ranged=True)
            data = first.data
            length = 8 + header_length(data[:8], file=file, file_size=first.total)
            self._budget.reserve(length, file)
            missing = length - len(data)
            if missing > 0:
                rest = client.get(url, limit=missing, start=len(data), ranged=True)
                data += rest.data
        except errors.RepositoryNotFoundError as error:
            raise self._resolver.explain_refusal(file, error) from None
        except errors.HfHubHTTPError as error:
            raise RequestFailed(f"HTTP {error.response.status_code}") from None
        if len(data) < length:
            raise RequestFailed(f"the server sent {len(data):,} of {length:,} header bytes")
        header = parse_header(data, file=file, file_size=first.total)
        self._budget.count(header)
        _ = header.table  # folded here, while other headers are on their way
        return header

    def _read_torch_file(self, file: str, downloaded: Path | None) -> Header:
        """Read which tensors a file of torch.save states: its beginning, its end, its pickle."""
        if downloaded is not None:
            return local.read_torch_header(downloaded, file)
        pinned, client = self._pinned, self._client
        url = client.file_url(pinned.repo_id, pinned.commit, file)

        def read(start: int, count: int) -> bytes:
            if count <= 0:
                return b""
            if start == 0 and count <= len(first.data):
                return first.data[:count]
            return client.get(url, limit=count, start=start, ranged=True).data

        try:
            first = client.get(url, limit=FIRST_TORCH_READ, ranged=True)
            if first.total is None:
                raise RequestFailed("the server does not say how long the file is")
            return read_torch_file(read, file=file, file_size=first.total)
        except errors.RepositoryNotFoundError as error:
            raise self._resolver.explain_refusal(file, error) from None
        except errors.HfHubHTTPError as error:
            raise RequestFailed(f"HTTP {error.response.status_code}") from None
