"""A small loopback Hub for tests: the routes that llmarch uses, the redirect of weights to another host, and faults on demand."""

from __future__ import annotations

import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from helpers.checkpoints import Sparse

Files = Mapping[str, bytes | Sparse]
TOKEN = "hf_secret"


def commit_of(repo: str, revision: str = "main") -> str:
    return sha1(f"{repo}@{revision}".encode()).hexdigest()


@dataclass
class Request:
    """One request as the server saw it."""

    path: str
    host: str
    authorization: str | None
    range: str | None
    cdn: bool
    at: float = field(default_factory=time.monotonic)


@dataclass
class Hub:
    """The state of the server: repositories, what goes wrong, and what was asked for. Tests change it as they go."""

    repos: dict[str, dict[str, Files]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    heads: dict[tuple[str, str], str] = field(default_factory=dict)
    """A branch of a repository -> the revision that it is at now."""
    one_request: bool = False
    tamper: Callable[[str], str] = str
    """What becomes of the answer with all headers."""
    commit_header: bool = True
    commit_of_answer: str | None = None
    ignore_range: bool = False
    """Of the answer with all headers."""
    commit_of_file: str | None = None
    foreign_lookup: bool = False
    delay: float = 0.0
    fail_every: int = 0
    fail_with: int | str = 503
    retry_after: str | None = "0"
    broken: dict[str, int | str] = field(default_factory=dict)
    """Part of a path -> what always happens to requests for it: a status, `reset`, `hang`, `drop`, `portal`, `drip`, `drip-404`,
    `interim` (100 Continue for ever),
    `short` (half of the range that is named), `flood` (a redirect to itself with an endless body)."""
    stumbles: dict[str, int] = field(default_factory=dict[str, int])
    """Part of a path -> how many requests for it are refused (503) before all goes well."""
    requests: list[Request] = field(default_factory=list)
    bytes: int = 0
    inflight: int = 0
    max_inflight: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, files: Files, revision: str = "main") -> str:
        """Add a revision of a repository; returns its commit."""
        self.repos.setdefault(repo, {})[revision] = files
        return commit_of(repo, revision)

    def reset(self) -> None:
        self.requests.clear()
        self.bytes = 0

    def asked(self, part: str, cdn: bool | None = None) -> list[Request]:
        return [r for r in self.requests if part in r.path and cdn in (None, r.cdn)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.hub
        path = unquote(self.path.partition("?")[0])
        with hub.lock:
            request = Request(
                path,
                self.headers["host"],
                self.headers["authorization"],
                self.headers["range"],
                path.startswith("/__cdn__/"),
            )
            hub.requests.append(request)
            hub.inflight += 1
            hub.max_inflight = max(hub.max_inflight, hub.inflight)
            number = len(hub.requests)
        try:
            if hub.delay:
                time.sleep(hub.delay)
            fault = next((what for part, what in hub.broken.items() if part in path), None)
            stumble = next(
                (part for part, left in hub.stumbles.items() if part in path and left > 0), None
            )
            if stumble is not None:
                hub.stumbles[stumble] -= 1
                fault = 503
            if fault is None and hub.fail_every and number % hub.fail_every == 0:
                fault = hub.fail_with
            if isinstance(fault, int):
                self.refuse(
                    fault,
                    "Fault",
                    {"Retry-After": hub.retry_after} if hub.retry_after is not None else {},
                )
            elif fault == "portal":
                self.send_body(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
            elif fault == "hang":
                time.sleep(1)
                self.close_connection = True
            elif fault in ("drip", "drip-404"):
                self.drip(404 if fault == "drip-404" else 200)
            elif fault == "interim":
                for _ in range(100):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.05)
                self.close_connection = True
            elif fault == "flood":
                self.flood()
            elif fault == "drop":
                self.close_connection = True
            else:
                self.route(path, reset=fault == "reset", short=fault == "short")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with hub.lock:
                hub.inflight -= 1

    def drip(self, status: int) -> None:
        """A byte now and then."""
        self.send_response(status)
        self.send_header("Content-Length", "60")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b" ")
            time.sleep(0.05)

    def flood(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(bytes(1 << 16))
            with self.hub.lock:
                self.hub.bytes += 1 << 16

    def route(self, path: str, reset: bool, short: bool = False) -> None:
        hub = self.hub
        if match := re.fullmatch(r"/__cdn__/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
            return self.send_file(self.files(match[1], match[2])[match[3]], {}, reset, short)
        match = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)/(revision|safetensors-metadata)/(.+)", path
        )
        match = match or re.fullmatch(r"/([^/]+/[^/]+)/(resolve)/(.+)", path)
        if match is None:
            return self.refuse(404, "NotFound")
        repo, what, rest = match.groups()
        if repo in hub.moved:
            return self.redirect(307, path.replace(repo, hub.moved[repo], 1))
        if repo not in hub.repos:
            return self.refuse(404 if self.headers["authorization"] else 401, "RepoNotFound")
        if what == "revision":
            if hub.foreign_lookup and self.headers["host"].startswith("127."):
                return self.redirect(307, f"http://localhost:{hub.port}{path}")
            return self.lookup(repo, rest)
        if repo in hub.gated and self.headers["authorization"] != f"Bearer {TOKEN}":
            return self.refuse(403, "GatedRepo")
        if what == "safetensors-metadata":
            return self.all_headers(repo, rest, reset)
        revision, _, file = rest.partition("/")
        files = self.files(repo, revision)
        if file not in files:
            return self.refuse(404, "EntryNotFound")
        commit = {"X-Repo-Commit": hub.commit_of_file or revision}
        if file.endswith(".safetensors"):
            return self.redirect(
                302,
                f"http://localhost:{hub.port}/__cdn__/{repo}/{revision}/{file}?Signature=x",
                commit,
            )
        return self.send_file(files[file], commit, reset)

    def files(self, repo: str, revision: str) -> Files:
        return next(
            (f for r, f in self.hub.repos[repo].items() if revision in (r, commit_of(repo, r))), {}
        )

    def lookup(self, repo: str, revision: str) -> None:
        revision = self.hub.heads.get((repo, revision), revision)
        for name, files in self.hub.repos[repo].items():
            if revision in (name, commit_of(repo, name)):
                document = {
                    "id": repo,
                    "sha": commit_of(repo, name),
                    "siblings": [{"rfilename": f} for f in files],
                }
                return self.send_body(
                    200, json.dumps(document).encode(), {"Content-Type": "application/json"}
                )
        return self.refuse(404, "RevisionNotFound")

    def all_headers(self, repo: str, index_file: str, reset: bool) -> None:
        files = self.files(repo, "main")
        if not self.hub.one_request or index_file not in files:
            return self.refuse(404, "EntryNotFound")
        content = files[index_file]
        assert isinstance(content, bytes)
        document = json.loads(content)
        headers: dict[str, Any] = {}
        for file in sorted(set(document["weight_map"].values())):
            shard = files[file]
            assert isinstance(shard, Sparse)
            headers[file] = json.loads(shard.head[8 : 8 + struct.unpack("<Q", shard.head[:8])[0]])
        answer = {"index": {"metadata": document.get("metadata")}, "headers": headers}
        body = self.hub.tamper(json.dumps(answer, separators=(",", ":"))).encode()
        commit = self.hub.commit_of_answer or commit_of(repo)
        return self.send_body(
            200, body, {"X-Repo-Commit": commit} if self.hub.commit_header else {}, reset=reset
        )

    def send_file(
        self, content: bytes | Sparse, headers: Mapping[str, str], reset: bool, short: bool = False
    ) -> None:
        file = content if isinstance(content, Sparse) else Sparse(content, len(content))
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"] or "")
        if match is None or self.hub.ignore_range:
            return self.send_body(200, file, headers, reset=reset)
        start, stop = int(match[1]), min(int(match[2]) + 1, file.size)
        if start >= file.size:
            return self.send_body(416, b"", {"Content-Range": f"bytes */{file.size}"})
        half = (stop - start) // 2 if short else stop - start
        part = Sparse(file.read(start, start + half), half)
        return self.send_body(
            206,
            part,
            {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{file.size}"},
            reset=reset,
        )

    def send_body(
        self, status: int, body: bytes | Sparse, headers: Mapping[str, str], reset: bool = False
    ) -> None:
        file = body if isinstance(body, Sparse) else Sparse(body, len(body))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(file.size)}.items():
            self.send_header(name, value)
        self.end_headers()
        stop = file.size // 2 if reset else file.size
        for at in range(0, stop, 1 << 16):
            chunk = file.read(at, min(stop, at + (1 << 16)))
            self.wfile.write(chunk)
            with self.hub.lock:
                self.hub.bytes += len(chunk)
        if reset:
            self.close_connection = True

    def redirect(self, status: int, target: str, headers: Mapping[str, str] = {}) -> None:
        self.send_body(status, b"", {"Location": target, **headers})

    def refuse(self, status: int, code: str, headers: Mapping[str, str] = {}) -> None:
        self.send_body(
            status,
            json.dumps({"error": code}).encode(),
            {"X-Error-Code": code, "X-Error-Message": code, **headers},
        )


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serve() -> Iterator[Hub]:
    """A running Hub on a free port."""
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
