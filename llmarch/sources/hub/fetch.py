"""Read one repository over the network: config, index and all headers, never the weights.

The look-up has pinned the commit, and everything uses that commit. Three things are requested at
the same time: the config, the index, and the Hub's answer with all headers in one request (main
branch; where the Hub does not offer it, the question costs no time). Without that answer the header
of each shard is read by itself, see `shards`. Files that huggingface_hub has downloaded are read
from its cache.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from huggingface_hub import errors

from ...errors import HeaderError, ReadError
from ..file_names import INDEX
from ..index import MAX_INDEX, ShardIndex, parse_index
from ..merge import Merged, MissingFile
from ..progress import Progress, ignore_progress
from ..regular_files import read_regular
from ..repo_files import WeightFiles, documents_to_read, weights_to_read
from ..repo_reading import RepoReading, check_documents
from ..safetensors import Header, HeaderBudget, parse_headers_document
from ..strict_json import MAX_CONFIG
from ..weight_sets import WeightSets, decide_sets, merge_sets
from .client import Answer, Client, RequestFailed
from .common import MAX_LOOKUP, FirstRequests, all_headers, lookup_url
from .resolve import PinnedRepo, Resolver
from .shards import HeaderSizes, ShardReader


@dataclass
class _Checkpoint:
    """The weights of a repository while their headers are being read."""

    client: Client
    pinned: PinnedRepo
    weights: WeightFiles
    sizes: HeaderSizes
    index_request: Future[bytes | None] | None = None
    all_headers: Future[Answer | None] | None = None
    """The Hub's answer with all headers, if it was requested."""

    @cached_property
    def index(self) -> ShardIndex | None:
        """The index; None if there is none or it could not be read. Waits for it.

        Parsed only when it is needed, by the main thread, because parsing stops all other threads.
        Raises ConfigError.
        """
        data = None
        if self.index_request is not None:
            with suppress(RequestFailed):
                data = self.client.wait_for(self.index_request)
        self.index_request = None
        if data is None or self.weights.index_file is None:
            return None
        return parse_index(data, file=self.weights.index_file)

    @cached_property
    def sets(self) -> WeightSets:
        """The files that count. Waits for the index. Raises ConfigError."""
        summary = self.index.summary if self.index is not None else None
        return decide_sets(self.weights, summary, self.pinned.files)


class Download:
    """One reading of one repository over the network."""

    def __init__(
        self,
        resolver: Resolver,
        requests: FirstRequests,
        headers: bool,
        progress: Progress | None,
        *,
        adapters: bool = False,
    ) -> None:
        self.resolver = resolver
        self.requests = requests
        self.client = requests.client
        self.headers = headers
        self.adapters = adapters
        self.progress = progress or ignore_progress
        self.requested_id = resolver.repo_id
        self.revision = resolver.reference.revision or "main"

    def read(self, pinned: PinnedRepo) -> RepoReading:
        """Read config and headers at the pinned commit.

        Raises NotAModel, ConfigError, HeaderError or ReadError. A shard that cannot be read makes
        the result partial.
        """
        weights = weights_to_read(pinned.files, adapters=self.adapters)
        submit = self.requests.executor.submit
        names = documents_to_read(pinned.files)
        requests = {name: submit(self._document, pinned, name) for name in names}
        checkpoint = None
        if self.headers and (weights.shards or weights.index_file):
            checkpoint = self._request_checkpoint(pinned, weights)
        try:
            wait_for = self.client.wait_for
            texts = {name: wait_for(request) for name, request in requests.items()}
        except RequestFailed as error:
            raise ReadError(f"{self.requested_id}: {error}", "try again later") from None
        reading = RepoReading(
            requested_id=self.requested_id,
            repo_id=pinned.repo_id,
            commit=pinned.commit,
            files=tuple(pinned.files),
            file_ids=pinned.file_ids,
            texts=texts,
            any_kind=self.resolver.reference.any_kind,
            folder=pinned.folder,
        )
        check_documents(reading, adapters=self.adapters)
        if checkpoint is not None:
            reading.merged = self._read_checkpoint(checkpoint)
            index = checkpoint.index
            reading.index = index.summary if index is not None else None
        return reading

    # Headers

    def _request_checkpoint(self, pinned: PinnedRepo, weights: WeightFiles) -> _Checkpoint:
        """Request the index and, where the Hub may offer it, the answer with all headers."""
        submit = self.requests.executor.submit
        sizes = HeaderSizes(len(weights.shards))
        checkpoint = _Checkpoint(self.client, pinned, weights, sizes)
        if weights.index_file is None:
            return checkpoint
        checkpoint.index_request = submit(self._index_data, pinned, weights.index_file, sizes)
        is_standard = bool(weights.shards) and weights.index_file == INDEX
        is_root = not pinned.folder
        if self.revision == "main" and is_standard and is_root and pinned.snapshot is None:
            checkpoint.all_headers = self.requests.all_headers
            if checkpoint.all_headers is None:
                checkpoint.all_headers = submit(all_headers, self.client, self.requested_id)
        return checkpoint

    def _read_checkpoint(self, checkpoint: _Checkpoint) -> Merged:
        """Read all headers and compare them with the index."""
        unreadable: dict[str, MissingFile] = {}
        headers = _needed(self._from_one_answer(checkpoint), checkpoint)
        if headers is None:
            reader = self._read_shards(checkpoint)
            for file in sorted(checkpoint.sets.files):
                if file in reader.refused:
                    raise reader.refused[file]
            headers, unreadable = reader.headers, reader.missing
        weights, files = checkpoint.weights, checkpoint.pinned.files
        index = checkpoint.index
        return merge_sets(weights, checkpoint.sets, headers, files, unreadable, index)

    def _from_one_answer(self, checkpoint: _Checkpoint) -> list[Header] | None:
        """Return the headers in the answer with all headers, if it is of the pinned commit.

        Else return None: reading shard by shard gives the same headers, or the exact error.
        """
        answer = None
        if checkpoint.all_headers is not None:
            with suppress(RequestFailed):
                answer = self.client.wait_for(checkpoint.all_headers)
        checkpoint.all_headers = self.requests.all_headers = None  # frees its 12 MB once parsed
        if answer is None:
            return None
        with suppress(UnicodeDecodeError, HeaderError, ReadError):
            commit = answer.headers.get("x-repo-commit")
            if not commit:
                commit = self.resolver.pin(self._look_up_again).commit
            if commit == checkpoint.pinned.commit:
                text = answer.data.decode()
                del answer
                headers = parse_headers_document(text)
                budget = HeaderBudget()
                for header in headers or ():
                    budget.count(header)
                    _ = header.table  # folded here, while the index is on its way
                return headers
        return None

    def _read_shards(self, checkpoint: _Checkpoint) -> ShardReader:
        """Read the header of each shard by itself."""
        shards, sizes = checkpoint.weights.shards, checkpoint.sizes
        executor = self.requests.executor
        reader = ShardReader(self.resolver, checkpoint.pinned, sizes, executor, self.progress)
        if checkpoint.weights.is_one_set:  # before the index is there: they will count
            if checkpoint.index_request is not None:
                self._wait_for_sizes(checkpoint.index_request, sizes)
            reader.start(shards)
        if checkpoint.index is not None:
            sizes.estimate_from_names(checkpoint.index)
        reader.start(checkpoint.sets.files & {*checkpoint.pinned.files})
        reader.finish()
        return reader

    def _wait_for_sizes(self, index_request: Future[bytes | None], sizes: HeaderSizes) -> None:
        """Wait until the size of the index is known, or it is clear that it will not be."""
        index_request.add_done_callback(lambda _: sizes.known.set())
        with suppress(RequestFailed):
            while not sizes.known.wait(timeout=1):
                self.client.check_silence()

    # Single files

    def _look_up_again(self) -> Answer:
        client = self.client
        return client.get(lookup_url(client, self.requested_id, self.revision), limit=MAX_LOOKUP)

    def _index_data(self, pinned: PinnedRepo, file: str, sizes: HeaderSizes) -> bytes | None:
        """Return the bytes of the index; None if it could not be read."""
        downloaded = pinned.downloaded_file(file)
        if downloaded is not None:
            return read_regular(downloaded, MAX_INDEX)
        url = pinned.address(self.client, file)
        with suppress(RequestFailed, errors.HfHubHTTPError):
            return self.client.get(url, limit=MAX_INDEX, on_size=sizes.estimate_from_size).data
        return None

    def _document(self, pinned: PinnedRepo, file: str) -> bytes:
        """Return the bytes of a JSON document of the repository. Raises ReadError."""
        downloaded = pinned.downloaded_file(file)
        if downloaded is not None:
            return read_regular(downloaded, MAX_CONFIG)
        url = pinned.address(self.client, file)
        return self.resolver.required_data(lambda: self.client.get(url, limit=MAX_CONFIG), file)


def _needed(headers: list[Header] | None, checkpoint: _Checkpoint) -> dict[str, Header] | None:
    """Return the headers of the files that count; None unless each of them is there once."""
    if headers is None:
        return None
    expected = checkpoint.sets.files & {*checkpoint.pinned.files}
    needed = [header for header in headers if header.file in expected]
    if len(needed) != len(expected):
        return None
    by_file = {header.file: header for header in needed}
    return by_file if len(by_file) == len(expected) else None
