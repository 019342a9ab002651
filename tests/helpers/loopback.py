"""A small loopback Hub for tests.

It serves the routes that llmarch uses, redirects weights to another host as the Hub does, and fails
on demand.
"""

from __future__ import annotations

import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from helpers.checkpoints import Sparse

Files = Mapping[str, bytes | Sparse]
"""Name -> content of the files of a repository."""
TOKEN = "hf_secret"
"""Opens gated repositories."""
CHUNK = 1 << 16


def commit_of(repo: str, revision: str = "main") -> str:
    """Return the commit of a revision."""
    return sha1(f"{repo}@{revision}".encode()).hexdigest()


@dataclass
class Request:
    """One request as the server saw it."""

    path: str
    host: str
    authorization: str | None
    range: str | None
    cdn: bool
    """Whether it asks the other host, for weights."""
    at: float = field(default_factory=time.monotonic)


@dataclass
class Hub:
    """The state of the server, which tests change as they go."""

    repos: dict[str, dict[str, Files]] = field(default_factory=dict)
    """Repository -> revision -> files."""
    gated: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    """Old name of a repository -> the new one."""
    heads: dict[tuple[str, str], str] = field(default_factory=dict)
    """A branch of a repository -> the revision that it is at now."""
    one_request: bool = False
    """Whether the answer with all headers is offered."""
    tamper: Callable[[str], str] = str
    """Changes the answer with all headers."""
    commit_header: bool = True
    """Whether that answer names its commit."""
    commit_of_answer: str | None = None
    """The commit that it names, if not the right one."""
    ignore_range: bool = False
    """Whether files are sent whole, whatever range is requested."""
    commits_a_page: int = 3
    """Commits in one answer of the list of commits."""
    models_a_page: int = 2
    """Repositories in one answer of the list of models."""
    commit_of_file: str | None = None
    """The commit that files name, if not the right one."""
    blobs: bool = True
    """Whether the look-up gives the hashes of files, as the Hub does where it is asked."""
    foreign_lookup: bool = False
    """Whether the look-up is redirected to another host."""
    delay: float = 0.0
    """Seconds before each answer."""
    fail_every: int = 0
    """Every n-th request fails with `fail_with`."""
    fail_with: int | str = 503
    retry_after: str | None = "0"
    """Of refusals."""
    broken: dict[str, int | str] = field(default_factory=dict)
    """Part of a path -> what always happens to requests for it: a status, or a key of FAULTS.

    `reset` breaks off half-way; `short` sends half of the range that it names.
    """
    stumbles: dict[str, int] = field(default_factory=dict[str, int])
    """Part of a path -> how many requests for it are refused (503) before all goes well."""
    requests: list[Request] = field(default_factory=list)
    bytes: int = 0
    """Bytes of bodies that were sent."""
    inflight: int = 0
    max_inflight: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def other_host(self) -> str:
        """The host that weights are redirected to."""
        return f"http://localhost:{self.port}"

    def add(self, repo: str, files: Files, revision: str = "main") -> str:
        """Add a revision of a repository. Return its commit."""
        self.repos.setdefault(repo, {})[revision] = files
        return commit_of(repo, revision)

    def push(self, repo: str, files: Files, revision: str) -> str:
        """Add a revision that the main branch moves to. Return its commit."""
        self.heads[repo, "main"] = revision
        return self.add(repo, files, revision)

    def days(self) -> Iterator[str]:
        """Yield the days of the revisions of a repository, one after the other."""
        return (f"2026-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29))

    def reset(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()
        self.bytes = 0

    def asked(self, part: str, cdn: bool | None = None) -> list[Request]:
        """Return the requests whose path contains `part`; only those to one host unless None."""
        return [r for r in self.requests if part in r.path and cdn in (None, r.cdn)]

    def files(self, repo: str, revision: str) -> Files:
        """Return the files of a revision, given by its name or commit; none if there is none."""
        for name, files in self.repos[repo].items():
            if revision in (name, commit_of(repo, name)):
                return files
        return {}

    def next_fault(self, path: str, number: int) -> int | str | None:
        """Return what goes wrong with a request, the `number`-th; None if nothing does."""
        for part, left in self.stumbles.items():
            if part in path and left > 0:
                self.stumbles[part] -= 1
                return 503
        for part, fault in self.broken.items():
            if part in path:
                return fault
        if self.fail_every and number % self.fail_every == 0:
            return self.fail_with
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer, or fail as the test wants it."""
        hub = self.hub
        path = unquote(self.path.partition("?")[0])
        with hub.lock:
            authorization, wanted = self.headers["authorization"], self.headers["range"]
            cdn = path.startswith("/__cdn__/")
            request = Request(path, self.headers["host"], authorization, wanted, cdn)
            hub.requests.append(request)
            hub.inflight += 1
            hub.max_inflight = max(hub.max_inflight, hub.inflight)
            number = len(hub.requests)
        try:
            if hub.delay:
                time.sleep(hub.delay)
            fault = hub.next_fault(path, number)
            if isinstance(fault, int):
                headers = {"Retry-After": hub.retry_after} if hub.retry_after is not None else {}
                self.refuse(fault, "Fault", headers)
            elif fault in FAULTS:
                FAULTS[fault](self)
            else:
                self.route(path, reset=fault == "reset", short=fault == "short")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with hub.lock:
                hub.inflight -= 1

    # Faults

    def portal(self) -> None:
        """Send a web page, as a hotel's network does."""
        self.send_body(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})

    def hang(self) -> None:
        """Say nothing for a second, then close."""
        time.sleep(1)
        self.close_connection = True

    def drop(self) -> None:
        """Close at once."""
        self.close_connection = True

    def drip(self, status: int = 200) -> None:
        """Send a byte now and then."""
        self.send_response(status)
        self.send_header("Content-Length", "60")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b" ")
            time.sleep(0.05)

    def drip_error(self) -> None:
        """Send an error whose body drips."""
        self.drip(404)

    def interim(self) -> None:
        """Send `100 Continue` for ever."""
        for _ in range(100):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)
        self.close_connection = True

    def flood(self) -> None:
        """Redirect to the same address, with an endless body."""
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(bytes(CHUNK))
            with self.hub.lock:
                self.hub.bytes += CHUNK

    # Routes

    def route(self, path: str, reset: bool, short: bool) -> None:
        """Answer as the Hub does."""
        hub = self.hub
        if path == "/api/models":
            return self.send_models()
        cdn = re.fullmatch(r"/__cdn__/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path)
        if cdn is not None:
            repo, commit, file = cdn.groups()
            return self.send_file(hub.files(repo, commit)[file], {}, reset, short)
        api = r"/api/models/([^/]+/[^/]+)/(revision|safetensors-metadata|commits)/(.+)"
        match = re.fullmatch(api, path) or re.fullmatch(r"/([^/]+/[^/]+)/(resolve)/(.+)", path)
        if match is None:
            return self.refuse(404, "NotFound")
        repo, route, rest = match.groups()
        authorization = self.headers["authorization"]
        if repo in hub.moved:
            return self.redirect(307, path.replace(repo, hub.moved[repo], 1))
        if repo not in hub.repos:
            return self.refuse(404 if authorization else 401, "RepoNotFound")
        if route == "revision":
            return self.send_lookup(path, repo, rest)
        if route == "commits":
            return self.send_commits(repo, rest)
        if repo in hub.gated and authorization != f"Bearer {TOKEN}":
            return self.refuse(403, "GatedRepo")
        if route == "safetensors-metadata":
            return self.send_all_headers(repo, rest, reset)
        revision, _, file = rest.partition("/")
        return self.resolve(repo, revision, file, reset)

    def resolve(self, repo: str, revision: str, file: str, reset: bool) -> None:
        """Send a file; weights by a redirect to the other host."""
        hub = self.hub
        files = hub.files(repo, revision)
        if file not in files:
            return self.refuse(404, "EntryNotFound")
        commit = {"X-Repo-Commit": hub.commit_of_file or revision}
        if file.endswith(".safetensors"):
            target = f"{hub.other_host}/__cdn__/{repo}/{revision}/{file}?Signature=x"
            return self.redirect(302, target, commit)
        return self.send_file(files[file], commit, reset)

    def send_lookup(self, path: str, repo: str, revision: str) -> None:
        """Send the commit and the file names of a revision."""
        hub = self.hub
        if hub.foreign_lookup and self.headers["host"].startswith("127."):
            return self.redirect(307, f"{hub.other_host}{path}")
        revision = hub.heads.get((repo, revision), revision)
        for name, files in hub.repos[repo].items():
            commit = commit_of(repo, name)
            if revision in (name, commit):
                siblings = [{"rfilename": file} for file in files]
                if hub.blobs and self.path.endswith("?blobs=true"):
                    siblings = [blob(file, content) for file, content in files.items()]
                document = {"id": repo, "sha": commit, "siblings": siblings}
                body = json.dumps(document).encode()
                return self.send_body(200, body, {"Content-Type": "application/json"})
        return self.refuse(404, "RevisionNotFound")

    def send_models(self) -> None:
        """Send a page of the repositories of an author, or with a text in their names."""
        hub = self.hub
        query = parse_qs(self.path.partition("?")[2])
        author, text = query.get("author", [""])[0], query.get("search", [""])[0]
        found = [
            repo
            for repo in hub.repos
            if repo.startswith(f"{author}/" if author else "") and text.lower() in repo.lower()
        ]
        first = int(query.get("cursor", ["0"])[0])
        headers = {"Content-Type": "application/json"}
        if first + hub.models_a_page < len(found):
            left = {name: values[0] for name, values in query.items()}
            left["cursor"] = str(first + hub.models_a_page)
            headers["Link"] = f'<{hub.url}/api/models?{urlencode(left)}>; rel="next"'
        page = [{"id": repo} for repo in found[first : first + hub.models_a_page]]
        self.send_body(200, json.dumps(page).encode(), headers)

    def send_commits(self, repo: str, revision: str) -> None:
        """Send a page of commits: the revisions in the order in which they were added."""
        hub = self.hub
        revision = hub.heads.get((repo, revision), revision)
        names = list(hub.repos[repo])
        known = [i for i, n in enumerate(names) if revision in (n, commit_of(repo, n))]
        if not known:
            return self.refuse(404, "RevisionNotFound")
        commits = [
            {"id": commit_of(repo, name), "title": f"Upload {name}", "date": f"{day}T10:00:00Z"}
            for name, day in zip(names, hub.days(), strict=False)
        ][known[0] :: -1]
        query = parse_qs(self.path.partition("?")[2])
        page = int(query.get("p", ["0"])[0])
        first = page * hub.commits_a_page
        headers = {"Content-Type": "application/json"}
        if first + hub.commits_a_page < len(commits):
            address = f"{hub.url}/api/models/{repo}/commits/{revision}?p={page + 1}"
            headers["Link"] = f'<{address}>; rel="next"'
        body = json.dumps(commits[first : first + hub.commits_a_page]).encode()
        return self.send_body(200, body, headers)

    def send_all_headers(self, repo: str, index_file: str, reset: bool) -> None:
        """Send the answer with all headers of the main branch, if it is offered."""
        hub = self.hub
        files = hub.files(repo, "main")
        if not hub.one_request or index_file not in files:
            return self.refuse(404, "EntryNotFound")
        content = files[index_file]
        assert isinstance(content, bytes)
        index = json.loads(content)
        headers: dict[str, Any] = {}
        for file in sorted(set(index["weight_map"].values())):
            shard = files[file]
            assert isinstance(shard, Sparse)
            (length,) = struct.unpack("<Q", shard.head[:8])
            headers[file] = json.loads(shard.head[8 : 8 + length])
        answer = {"index": {"metadata": index.get("metadata")}, "headers": headers}
        body = hub.tamper(json.dumps(answer, separators=(",", ":"))).encode()
        commit = {}
        if hub.commit_header:
            commit["X-Repo-Commit"] = hub.commit_of_answer or commit_of(repo)
        return self.send_body(200, body, commit, reset=reset)

    # Answers

    def send_file(
        self,
        content: bytes | Sparse,
        headers: Mapping[str, str],
        reset: bool = False,
        short: bool = False,
    ) -> None:
        """Send a file, or the range of it that was requested."""
        file = content if isinstance(content, Sparse) else Sparse(content, len(content))
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"] or "")
        if match is None or self.hub.ignore_range:
            return self.send_body(200, file, headers, reset=reset)
        start, stop = int(match[1]), min(int(match[2]) + 1, file.size)
        if start >= file.size:
            return self.send_body(416, b"", {"Content-Range": f"bytes */{file.size}"})
        size = stop - start
        if short:
            size //= 2
        part = Sparse(file.read(start, start + size), size)
        content_range = {"Content-Range": f"bytes {start}-{stop - 1}/{file.size}"}
        return self.send_body(206, part, {**headers, **content_range}, reset=reset)

    def send_body(
        self, status: int, body: bytes | Sparse, headers: Mapping[str, str], reset: bool = False
    ) -> None:
        """Send an answer; `reset` breaks off half-way."""
        file = body if isinstance(body, Sparse) else Sparse(body, len(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(file.size))
        self.end_headers()
        stop = file.size // 2 if reset else file.size
        for start in range(0, stop, CHUNK):
            chunk = file.read(start, min(stop, start + CHUNK))
            self.wfile.write(chunk)
            with self.hub.lock:
                self.hub.bytes += len(chunk)
        if reset:
            self.close_connection = True

    def redirect(self, status: int, target: str, headers: Mapping[str, str] = {}) -> None:
        """Send a redirect."""
        self.send_body(status, b"", {"Location": target, **headers})

    def refuse(self, status: int, code: str, headers: Mapping[str, str] = {}) -> None:
        """Send an error with the Hub's code."""
        body = json.dumps({"error": code}).encode()
        self.send_body(status, body, {"X-Error-Code": code, "X-Error-Message": code, **headers})


FAULTS: dict[int | str | None, Callable[[Handler], None]] = {
    "portal": Handler.portal,
    "hang": Handler.hang,
    "drop": Handler.drop,
    "drip": Handler.drip,
    "drip-404": Handler.drip_error,
    "interim": Handler.interim,
    "flood": Handler.flood,
}


def blob(name: str, content: bytes | Sparse) -> dict[str, Any]:
    """Return a file as the look-up describes it; large ones are in LFS."""
    if isinstance(content, Sparse):
        oid = sha256(content.head).hexdigest()
        lfs = {"sha256": oid, "size": content.size, "pointerSize": 134}
        return {"rfilename": name, "blobId": "0" * 40, "size": content.size, "lfs": lfs}
    oid = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"rfilename": name, "blobId": oid, "size": len(content)}


class Server(ThreadingHTTPServer):
    """A server that ignores clients that go away."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error."""


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub on a free port."""
    hub = Hub()
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
