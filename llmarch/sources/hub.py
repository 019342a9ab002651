"""Repositories on the Hub: config, index and the header of every shard, never the weights.

One look-up pins the commit, everything after it uses that commit. Then, at the same time: the config, the index, and the Hub's
answer with all headers in one request (main branch; where it is not offered, the question costs no time). Else every shard's header by
a range request, many at once: the index says how long each will be, so that one request a shard is the rule. Files that
huggingface_hub has downloaded before are read from its cache; what was read goes into ours, by commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from huggingface_hub import constants

from ..errors import HeaderError, ReadError, printable
from ..raw import RawModel
from ..reference import Reference, alias_of
from ..schema import Finding
from . import Progress, cache, local
from .documents import MAX_CONFIG, MAX_INDEX, Index, parse_index, parse_object, safe_name
from .headers import Header, header_length, parse_header, parse_headers_document
from .layout import CONFIG, INDEX, Layout, documents_wanted, layout, not_a_model, other_weights
from .merge import Absent, Merged, gaps, merge, names_only

if TYPE_CHECKING:
    from .http import Answer

CONNECTIONS = 32
"""Shards fetched at once. Measured (benchmarks/README.md): 16 take 1.3 s for DeepSeek-V3's 161 shards, 32 0.7 s, 64 0.55 s."""
FIRST_RANGE = 100_000
"""Bytes of a shard's first range when nothing is known; 97 % of the Hub's headers are shorter, says huggingface_hub."""
LONGEST_FIRST_RANGE = 8_000_000
MAX_LOOKUP = 50_000_000
MAX_ALL_HEADERS = 300_000_000
GIVE_UP = 8
"""Shards failing for good one after the other, none between them succeeding, after which the rest is not tried."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIG_FINDINGS = ("repo-moved", "other-weights")


def open(
    reference: Reference,
    *,
    offline: bool = False,
    headers: bool = True,
    progress: Progress | None = None,
    refresh: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> RawModel:
    """Read a repository. `offline` (or HF_HUB_OFFLINE): from the caches alone; `headers` False: the config alone.

    A shard that cannot be read makes the result `partial`; for everything else ReadError says what failed and what to do, and
    NotAModel what the repository is instead.
    """
    offline = offline or constants.is_offline_mode()
    model = None if refresh else _known(reference, offline)
    if model is None:
        model = _downloaded(reference, headers) if offline else _Reading(reference, headers, progress, meanwhile).read(refresh)
    return model if headers else _config_only(model)


def _config_only(model: RawModel) -> RawModel:
    """The same without what its headers told."""
    model.tensors, model.partial, model.header_bytes = None, False, 0
    model.findings = [f for f in model.findings if f.rule in _CONFIG_FINDINGS]
    return model


# Caches


def _known(reference: Reference, offline: bool) -> RawModel | None:
    """From our cache, if the commit is known without asking: by its full hash, or offline as that of the last look-up."""
    repo_id, revision = _repo_id(reference), reference.revision
    commit = revision if revision and _COMMIT.fullmatch(revision) else None
    if commit is None and offline:
        commit = cache.last_commit(constants.ENDPOINT, repo_id, revision or "main")
    if commit is None:
        return None
    return cache.load(constants.ENDPOINT, repo_id, commit, reference=reference.text, revision=revision)


def _downloaded(reference: Reference, headers: bool) -> RawModel:
    """Offline: what huggingface_hub has downloaded of the repository."""
    repo_id, revision = _repo_id(reference), reference.revision or "main"
    commit = revision if _COMMIT.fullmatch(revision) else None
    if commit is None:
        with suppress(OSError):
            commit = (_hf_folder(repo_id) / "refs" / revision).read_text().strip()
    snapshot = _snapshot(repo_id, commit) if commit and _COMMIT.fullmatch(commit) else None
    if snapshot is None:
        at = f"{repo_id}@{reference.revision}" if reference.revision else repo_id
        raise ReadError(f"offline, and {at} is in no cache", _or_bundled("run it once without --offline and HF_HUB_OFFLINE", repo_id))
    model = local.open_folder(snapshot, reference.text, headers=headers)
    model.kind, model.repo_id, model.revision, model.commit = "hub", repo_id, reference.revision, commit
    model.name = repo_id.rpartition("/")[2]
    if model.tensors is None:
        message = "offline: the config was downloaded before, but no safetensors files"
        model.findings.append(Finding(rule="headers-not-cached", path=model.config_file, message=message))
    return model


def _hf_folder(repo_id: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"


def _snapshot(repo_id: str, commit: str) -> Path | None:
    """The folder of a commit in huggingface_hub's cache, if there is one (it may lack files)."""
    folder = _hf_folder(repo_id) / "snapshots" / commit
    return folder if folder.is_dir() else None


# The network


@dataclass(slots=True)
class _Pinned:
    """What the look-up says: the repository's present id, the commit, the files; and what of it huggingface_hub has downloaded."""

    repo_id: str
    commit: str
    files: list[str]
    snapshot: Path | None

    def downloaded(self, file: str) -> Path | None:
        path = self.snapshot / file if self.snapshot is not None else None
        return path if path is not None and path.is_file() else None


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
            self.each[file] = min(LONGEST_FIRST_RANGE, 2_000 + sum(map(len, names)) + 84 * len(names))
        self.known.set()

    def of(self, file: str) -> int:
        return self.each.get(file, self.mean)


@dataclass(slots=True)
class _Parts:
    """What is being read of a checkpoint."""

    pinned: _Pinned
    layout: Layout
    expected: _Expected
    index: Future[Index | None] | None = None
    at_once: Future[Answer | None] | None = None


class _Reading:
    """One reading of one repository over the network."""

    def __init__(self, reference: Reference, headers: bool, progress: Progress | None, meanwhile: Callable[[], object] | None) -> None:
        from .http import Client

        self.reference = reference
        self.asked_id = _repo_id(reference)
        self.headers = headers
        self.progress = progress or (lambda done, total, label: None)
        self.meanwhile = meanwhile
        self.client = Client()

    def read(self, refresh: bool) -> RawModel:
        """The cached reading of the commit that the look-up names, or a new one."""
        endpoint, revision = self.client.endpoint, self.reference.revision or "main"
        new = (refresh or cache.last_commit(endpoint, self.asked_id, revision) is None) and not _hf_folder(self.asked_id).is_dir()
        executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="llmarch")
        try:
            at_once = executor.submit(self._all_headers) if new and self.headers and revision == "main" else None
            if self.meanwhile is not None:
                executor.submit(self.meanwhile)
            pinned = self._pin()
            cache.remember_commit(endpoint, self.asked_id, revision, pinned.commit)
            model = None
            if not refresh:
                model = cache.load(endpoint, self.asked_id, pinned.commit, reference=self.reference.text, revision=self.reference.revision)
            if model is None:
                model = self._read(pinned, executor, at_once)
                if self.headers:
                    cache.store(endpoint, self.asked_id, model)
            return model
        finally:
            self.client.stop.set()
            executor.shutdown(wait=False, cancel_futures=True)

    def _pin(self) -> _Pinned:
        """The one request that pins the commit. It follows a repository that was renamed."""
        url = self._api(self.asked_id, "revision", self.reference.revision or "main")
        document = self._object(url, "the Hub's answer", MAX_LOOKUP)
        commit, repo_id, siblings = document.get("sha"), document.get("id"), document.get("siblings")
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise ReadError(f"{self.asked_id}: the answer of {self.client.endpoint} names no commit")
        if not isinstance(repo_id, str) or not re.fullmatch(r"\w[\w.-]*(?:/\w[\w.-]*)?", repo_id, re.ASCII) or ".." in repo_id:
            repo_id = self.asked_id
        files: list[str] = []
        for sibling in cast(list[object], siblings) if isinstance(siblings, list) else []:
            name = cast(dict[str, object], sibling).get("rfilename") if isinstance(sibling, dict) else None
            if isinstance(name, str) and safe_name(name):
                files.append(name)
        return _Pinned(repo_id, commit, sorted(files), _snapshot(repo_id, commit))

    def _read(self, pinned: _Pinned, executor: ThreadPoolExecutor, at_once: Future[Answer | None] | None) -> RawModel:
        found = layout(pinned.files)
        documents = {name: executor.submit(self._document, pinned, name) for name in documents_wanted(pinned.files)}
        parts = _Parts(pinned, found, _Expected(len(found.shards)))
        wanted = self.headers and bool(found.shards or found.index_file)
        if wanted and found.index_file is not None:
            parts.index = executor.submit(self._index, pinned, found.index_file, parts.expected)
            if (self.reference.revision or "main") == "main" and found.shards and found.index_file == INDEX and pinned.snapshot is None:
                parts.at_once = at_once or executor.submit(self._all_headers)
        parsed = {name: future.result() for name, future in documents.items()}
        if error := not_a_model(pinned.files, parsed, name=self.asked_id):
            raise error
        model = RawModel(
            reference=self.reference.text,
            kind="hub",
            name=pinned.repo_id.rpartition("/")[2],
            config=parsed.get(found.config_file or ""),
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
        merged, index = self._checkpoint(parts, executor)
        model.tensors, model.partial, model.header_bytes = merged.table, merged.partial, merged.header_bytes
        read = {*found.shards, *(index.shards if index else ())}
        model.findings += [*merged.findings, *other_weights(pinned.files, read, found.index_file)]
        return model

    def _checkpoint(self, parts: _Parts, executor: ThreadPoolExecutor) -> tuple[Merged, Index | None]:
        """All headers, held against the index."""
        shards, index_file = parts.layout.shards, parts.layout.index_file
        absent: dict[str, Absent] = {}
        headers = self._from_answer(parts)
        if headers is None:
            headers = self._shard_by_shard(parts, executor, absent)
        index = parts.index.result() if parts.index is not None else None
        if index is None and index_file is not None:
            absent[index_file] = Absent("index-unreadable", "could not be read")
        if index is not None and not headers and not shards:
            return names_only(index), index
        read = {header.file for header in headers}
        for file in sorted({*shards, *(index.shards if index else ())} - read):
            absent.setdefault(file, Absent("shard-missing", "is listed by the index, but not in the repository"))
        for file, gap in gaps([*shards, *(index.shards if index else ())]).items():
            absent.setdefault(file, gap)
        return merge(sorted(headers, key=lambda h: h.file), index, absent=absent), index

    def _shard_by_shard(self, parts: _Parts, executor: ThreadPoolExecutor, absent: dict[str, Absent]) -> list[Header]:
        """The header of each shard; into `absent` go those that could not be read. ReadError if that is all of them."""
        from .http import Unreadable

        tasks: dict[Future[Header], str] = {}
        ended: SimpleQueue[Future[Header]] = SimpleQueue()

        def start(files: Iterable[str]) -> None:
            for file in files:
                task = executor.submit(self._header, parts, file)
                tasks[task] = file
                task.add_done_callback(ended.put)

        if parts.index is not None and parts.layout.shards:
            parts.index.add_done_callback(lambda _: parts.expected.known.set())
            parts.expected.known.wait()
        start(parts.layout.shards)
        if parts.index is not None and (index := parts.index.result()) is not None:  # it may name files that do not look like shards
            start(sorted(index.shards & {*parts.pinned.files} - {*parts.layout.shards}))
        headers: list[Header] = []
        failed_in_a_row = 0
        while len(headers) + len(absent) < len(tasks):
            task = self._next(ended, len(headers) + len(absent), len(tasks))
            try:
                headers.append(task.result())
                failed_in_a_row = 0
            except Unreadable as error:
                absent[tasks[task]] = Absent("shard-unreadable", f"could not be read: {printable(str(error))}")
                failed_in_a_row += 1
            if failed_in_a_row >= GIVE_UP:
                read = {header.file for header in headers}
                for file in {*tasks.values()} - read - {*absent}:
                    absent[file] = Absent("shard-unreadable", "was not tried any more after others had failed")
        self.progress(len(tasks), len(tasks), "reading headers")
        if absent and not headers:
            raise ReadError(f"{self.asked_id}: no header {next(iter(absent.values())).reason}", "try again later")
        return headers

    def _next(self, ended: SimpleQueue[Future[Header]], done: int, total: int) -> Future[Header]:
        """The next task that ended; meanwhile progress is told, also while a rate limit holds everything back."""
        while True:
            pause = self.client.paused()
            self.progress(done, total, f"rate limited, waiting {pause:.0f} s" if pause > 1 else "reading headers")
            with suppress(Empty):
                return ended.get(timeout=1)

    # Single files

    def _header(self, parts: _Parts, file: str) -> Header:
        """The header of one shard, by one request; a header longer than expected costs one more, for the rest only."""
        downloaded = parts.pinned.downloaded(file)
        if downloaded is not None:
            return local.read_header(downloaded, file)
        url = self._file(parts.pinned, file)
        first = self._get(url, file, limit=parts.expected.of(file), ranged=True)
        data, size = first.data, first.total
        length = 8 + header_length(data[:8], file=file, file_size=size)
        if len(data) < length:
            data += self._get(url, file, limit=length - len(data), start=len(data), ranged=True).data
        return parse_header(data, file=file, file_size=size)

    def _all_headers(self) -> Answer | None:
        """The Hub's answer with all headers of the main branch; None if it offers none. Asked for before it is known whether there are
        shards, at the same time as the look-up, for the Hub takes a while to put it together."""
        from .http import HfHubHTTPError, Stopped, Unreadable

        with suppress(HfHubHTTPError, Unreadable, Stopped):
            answer = self.client.get(f"{self._api(self.asked_id, 'safetensors-metadata')}/{INDEX}", limit=MAX_ALL_HEADERS, attempts=2)
            return answer if answer.status == 200 else None
        return None

    def _from_answer(self, parts: _Parts) -> list[Header] | None:
        """The headers in that answer, if it is of our commit; else None: shard by shard gives the same, or the exact error."""
        answer = parts.at_once.result() if parts.at_once is not None else None
        if answer is None:
            return None
        with suppress(UnicodeDecodeError, HeaderError, ReadError):
            if (answer.headers.get("x-repo-commit") or self._pin().commit) == parts.pinned.commit:
                return parse_headers_document(answer.data.decode())
        return None

    def _index(self, pinned: _Pinned, file: str, expected: _Expected) -> Index | None:
        """The index; None if it could not be read."""
        from .http import Unreadable

        downloaded = pinned.downloaded(file)
        try:
            if downloaded is not None:
                data = downloaded.read_bytes()
            else:
                data = self._get(self._file(pinned, file), file, limit=MAX_INDEX, on_size=expected.hear_size).data
        except Unreadable:
            return None
        index = parse_index(data, file=file)
        expected.hear_index(index)
        return index

    def _document(self, pinned: _Pinned, file: str) -> dict[str, Any]:
        downloaded = pinned.downloaded(file)
        if downloaded is not None:
            return parse_object(downloaded.read_bytes(), file=file)
        return self._object(self._file(pinned, file), file, MAX_CONFIG)

    def _object(self, url: str, name: str, limit: int) -> dict[str, Any]:
        from .http import Unreadable

        try:
            return parse_object(self._get(url, name, limit=limit).data, file=name, limit=limit)
        except Unreadable as error:
            reason = printable(str(error))
            if self.client.reached:
                hint = "try again later; a token (HF_TOKEN) raises rate limits"
                raise ReadError(f"{self.asked_id}: {name} could not be read: {reason}", _or_bundled(hint, self.asked_id)) from None
            hint = _or_bundled("--offline reads what was read before", self.asked_id)
            raise ReadError(f"cannot reach {self.client.endpoint}: {reason}", hint) from None

    def _get(self, url: str, name: str, **how: Any) -> Answer:
        """`Client.get` with errors for people. Unreadable passes: what it means depends on the file."""
        from .http import HfHubHTTPError, Unreadable

        try:
            return self.client.get(url, **how)
        except HfHubHTTPError as error:
            if how.get("ranged") and error.response.status_code not in (401, 403):
                raise Unreadable(f"HTTP {error.response.status_code}") from None
            raise self._refused(name, error) from None

    def _refused(self, name: str, error: Exception) -> ReadError:
        """The Hub's refusal, with what to do about it."""
        from huggingface_hub import errors

        repo_id, endpoint, with_token = self.asked_id, self.client.endpoint, "authorization" in self.client.headers
        if isinstance(error, errors.GatedRepoError):
            what = f"{repo_id} is gated: the Hub shows its files only to users whom its authors let in"
            hint = f"ask for access at {endpoint}/{repo_id}" + ("" if with_token else ", then set HF_TOKEN or run `hf auth login`")
        elif isinstance(error, errors.RevisionNotFoundError):
            what, hint = f"{repo_id} has no revision {self.reference.revision or 'main'}", "give a branch, a tag or a full commit"
        elif isinstance(error, errors.RepositoryNotFoundError):
            what = f"there is no repository {repo_id} on {endpoint}, or it is private"
            hint = "check the spelling" + ("" if with_token else "; a private one needs HF_TOKEN")
        else:
            status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
            said = printable(error.server_message or "") if isinstance(error, errors.HfHubHTTPError) else ""
            what = f"{repo_id}: {name}: HTTP {status}" + (f" ({said})" if said else "")
            hint = "is the token in HF_TOKEN right?" if status in (401, 403) and with_token else None
        return ReadError(what, _or_bundled(hint, repo_id))

    def _api(self, repo_id: str, *parts: str) -> str:
        return "/".join((f"{self.client.endpoint}/api/models/{quote(repo_id)}", *(quote(p, safe="") for p in parts)))

    def _file(self, pinned: _Pinned, file: str) -> str:
        return f"{self.client.endpoint}/{quote(pinned.repo_id)}/resolve/{pinned.commit}/{quote(file)}"


def _repo_id(reference: Reference) -> str:
    assert reference.repo_id is not None
    return reference.repo_id


def _moved(asked: str, repo_id: str) -> Iterable[Finding]:
    if asked.lower() != repo_id.lower():
        message = f"{asked} was renamed to {repo_id}; the Hub forwards the old name"
        yield Finding(rule="repo-moved", path=asked, message=message, old=asked, new=repo_id)


def _or_bundled(hint: str | None, repo_id: str) -> str | None:
    """The hint, and the bundled spec of the same model if there is one."""
    alias = alias_of(repo_id)
    bundled = f"its bundled spec needs no network: llmarch show {alias}" if alias else None
    return "; ".join(filter(None, (hint, bundled))) or None
