"""Send requests to the Hub with huggingface_hub's session, token, endpoint and error classes.

Only the retries are our own. huggingface_hub's `http_backoff` is not used for them, because it
- waits as long as the server says (for ever, if it says so),
- wakes all threads at the same moment,
- closes the shared session under the other threads when a connection fails, and
- cannot repeat a request whose body broke off.
Here the waits have jitter and a limit, a rate limit holds all threads back, and a body is never
read further than wanted, so that a server that ignores `Range` does not make us download weights.

Redirects are followed one by one here, not by httpx, which would read their bodies to the end. A
retry can then begin where the last redirect led.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx2
import huggingface_hub
from huggingface_hub import constants, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status, parse_ratelimit_headers

from ... import __version__
from ..request_budget import ALL_WAIT, RequestBudget, current_budget
from .limits import CONNECTIONS

__all__ = [
    "ALL_WAIT",
    "Answer",
    "Cancelled",
    "Client",
    "HfHubHTTPError",
    "RequestFailed",
    "get_session",
]

_Result = TypeVar("_Result")

RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
ATTEMPTS = 16
"""How often a request is tried. If every second one fails, one shard in 10^4 fails for good."""
FEW_ATTEMPTS = 3
"""The same while the server has never answered (without a network the user should know soon), and
after a timeout."""
FIRST_WAIT = 0.25
"""Seconds before the first retry, if the server does not say; doubled each time, with jitter."""
LONGEST_WAIT = 4.0
"""Seconds before any later retry, if the server does not say."""
MAX_SECONDS = 300.0
"""Seconds for one body. HF_HUB_DOWNLOAD_TIMEOUT, the read timeout, only sees silent connections."""
SLOW_SECONDS = 30.0
"""After so many seconds, a body slower than SLOWEST counts as a timeout."""
SLOWEST = 500
"""Bytes per second."""
SILENCE = 60.0
"""Seconds beyond the read timeout in which no thread hears from the server. Then the headers of its
answers never end, and httpx waits for them without a timeout."""
MAX_SIZE_DIGITS = 18
"""Digits of a number of bytes in a header; more are not a file."""
MAX_REDIRECTS = 20
MAX_ERROR_BODY = 64_000
"""Bytes that are read of the body of an error or a redirect."""


class RequestFailed(Exception):
    """A request that failed for good, after all retries. The message says how."""


class Cancelled(Exception):
    """The whole reading was given up by another thread."""


class _TruncatedBody(Exception):
    """A body that ended too early."""


class _SlowBody(_TruncatedBody):
    """A body that arrives too slowly."""


@dataclass(slots=True)
class Answer:
    """An answer of the Hub, with the bytes that were asked for."""

    data: bytes
    status: int
    headers: httpx2.Headers
    total: int | None = None
    """Size of the whole file in bytes, if the server gives it."""


class _Fault(NamedTuple):
    """An attempt that failed but may succeed when it is repeated."""

    reason: str
    wait: float | None = None
    """Seconds that the server asks us to wait."""
    timed_out: bool = False


class _Request(NamedTuple):
    """What one call of `Client.get` asks for: bytes [start, start + limit) of `url`."""

    url: str
    limit: int
    start: int
    ranged: bool
    on_size: Callable[[int | None], None] | None
    hops: list[httpx2.Request]
    """The request and those that redirects led to; the last one is sent."""


class _Connections:
    """The connections of this process, which all readings share: no more than CONNECTIONS.

    A lock of 100 models opens no more of them than one model with 100 shards.
    """

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._last_answer = 0.0
        """When any reading last heard from a server."""

    @contextmanager
    def one(self, client: Client) -> Generator[None]:
        """Hold a connection, and wait for a free one before. Raises Cancelled.

        Waiting does not count as silence of the client's server while some read is answered.
        """
        while not self._free.acquire(timeout=1):
            if client.stop.is_set():
                raise Cancelled
            client.note_answer(self._last_answer)
        try:
            yield
        finally:
            self._free.release()

    def note_answer(self, when: float) -> None:
        """Note that a server has sent something."""
        self._last_answer = when


CONNECTIONS_IN_USE = _Connections()


@dataclass(slots=True)
class Client:
    """The requests of one reading: what its threads share."""

    endpoint: str = field(default_factory=lambda: constants.ENDPOINT)
    headers: dict[str, str] = field(default_factory=lambda: request_headers())
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to give up: every thread raises Cancelled."""
    budget: RequestBudget = field(default_factory=current_budget)
    reached: bool = False
    """Whether the server has answered anything."""
    requests: int = 0
    bytes_read: int = 0
    _heard_at: float = field(default_factory=time.monotonic)
    """When any thread last heard from the server."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def api_url(self, repo_id: str, *parts: str) -> str:
        """Return the address of a model's metadata."""
        model = f"{self.endpoint}/api/models/{quote(repo_id)}"
        quoted = [quote(part, safe="") for part in parts]
        return "/".join([model, *quoted])

    def file_url(self, repo_id: str, commit: str, file: str) -> str:
        """Return the address of a file at a commit."""
        repo, path = quote(repo_id), quote(file)
        return f"{self.endpoint}/{repo}/resolve/{commit}/{path}"

    def get(
        self,
        url: str,
        *,
        limit: int,
        start: int = 0,
        ranged: bool = False,
        attempts: int = ATTEMPTS,
        on_size: Callable[[int | None], None] | None = None,
    ) -> Answer:
        """Return what `url` serves, after redirects and retries.

        Raises HfHubHTTPError for a refusal that a retry cannot change (401, 403, 404 …),
        RequestFailed when retries did not help, Cancelled.

        limit: bytes to read; unless `ranged`, a longer answer is an error.
        start: first byte, if `ranged`.
        ranged: read only bytes [start, start + limit), even if the server sends more.
        attempts: how often to try.
        on_size: called with the size of the body, if the server gives it, before it is read.
        """
        request = _Request(url, limit, start, ranged, on_size, hops=[])
        waited = 0.0
        for attempt in range(1, attempts + 1):
            self._wait_for_rate_limit()
            outcome = self._attempt(request)
            if isinstance(outcome, Answer):
                return outcome
            reason, wait = outcome.reason, outcome.wait
            if wait:
                waited += wait
                if waited > self.budget.patience:
                    raise RequestFailed(f"{reason}, the server asks to wait {wait:.0f} s")
            allowed = attempts
            if outcome.timed_out or not self.reached:
                allowed = min(attempts, FEW_ATTEMPTS)
            if attempt >= allowed:
                if attempt > 1:
                    reason += f", {attempt} times"
                raise RequestFailed(reason)
            if attempt % 4:
                del request.hops[:-1]  # retry where the redirects led
            else:
                request.hops.clear()  # from the start, in case the redirect is at fault
            self._wait_before_retry(attempt, wait)
        raise AssertionError

    def wait_for(self, future: Future[_Result]) -> _Result:
        """Return the result of another thread. Raises RequestFailed if the server goes silent."""
        while True:
            with suppress(TimeoutError):
                return future.result(timeout=1)
            self.check_silence()

    def check_silence(self) -> None:
        """Raise RequestFailed if no thread has heard from the server for too long."""
        now = time.monotonic()
        allowed = constants.HF_HUB_DOWNLOAD_TIMEOUT + SILENCE
        if now - self._heard_at > allowed:
            self._heard_at = now
            raise RequestFailed("the server keeps the connection open, but does not answer")

    def note_answer(self, when: float) -> None:
        """Note when a server was heard from."""
        self._heard_at = max(self._heard_at, when)

    def seconds_paused(self) -> float:
        """Return for how many seconds a rate limit still holds all threads back."""
        return self.budget.seconds_paused()

    def _attempt(self, request: _Request) -> Answer | _Fault:
        """Send the request once. Return the answer, or a fault that a retry may overcome."""
        try:
            with CONNECTIONS_IN_USE.one(self):
                answer = self._send(request)
        except (
            httpx2.TimeoutException,
            httpx2.NetworkError,
            httpx2.RemoteProtocolError,
            _TruncatedBody,
        ) as error:
            timed_out = isinstance(error, (httpx2.TimeoutException, _SlowBody))
            return _Fault(str(error) or type(error).__name__, timed_out=timed_out)
        except HfHubHTTPError:
            raise
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            # an unsupported scheme, content that cannot be decoded, no host name
            raise RequestFailed(str(error) or type(error).__name__) from error
        if answer.status in RETRY_STATUS:
            return _Fault(f"HTTP {answer.status}", requested_wait(answer.headers))
        self.budget.succeed()
        return answer

    def _send(self, request: _Request) -> Answer:
        if not request.hops:
            request.hops.append(self._first_hop(request))
        with closing(self._follow_redirects(request.hops)) as response:
            status, headers = response.status_code, response.headers
            if status in RETRY_STATUS:
                return Answer(b"", status, headers)
            if status == 416:  # the file ends before the range begins
                _, total = _parse_content_range(headers, "*")
                return Answer(b"", status, headers, total)
            if status >= 400:
                body = b""
                with suppress(_TruncatedBody, RequestFailed):
                    body = self._read_body(response, MAX_ERROR_BODY, skip=0, cut=True)
                raise_for_error_body(response, body)
            if status not in (200, 206):
                raise RequestFailed(f"HTTP {status}")
            return self._read_answer(request, response)

    def _first_hop(self, request: _Request) -> httpx2.Request:
        headers = dict(self.headers)
        if request.ranged:
            first = request.start
            last = first + request.limit - 1
            headers["range"] = f"bytes={first}-{last}"
            headers["accept-encoding"] = "identity"
        session = get_session()
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        return session.build_request("GET", request.url, headers=headers, timeout=timeout)

    def _follow_redirects(self, hops: list[httpx2.Request]) -> httpx2.Response:
        """Send the last of `hops`, follow redirects and append them to `hops`."""
        while True:
            with self._lock:
                self.requests += 1
            request = hops[-1]
            response = get_session().send(request, stream=True, follow_redirects=False)
            self.reached = True
            self._heard_at = time.monotonic()
            CONNECTIONS_IN_USE.note_answer(self._heard_at)
            commit = response.headers.get("x-repo-commit")
            path = request.url.path
            if commit and "/resolve/" in path and f"/resolve/{commit}/" not in path:
                response.close()
                raise RequestFailed(f"the server answered for another commit, {commit}")
            if not response.has_redirect_location:
                return response
            with closing(response):
                if response.next_request is None:
                    raise RequestFailed(f"HTTP {response.status_code} without a redirect address")
                if len(hops) > MAX_REDIRECTS:
                    raise RequestFailed(f"more than {MAX_REDIRECTS} redirects")
                # Read the body, so that the connection can be used again.
                self._read_body(response, MAX_ERROR_BODY, skip=0, cut=True)
            hops.append(response.next_request)

    def _read_answer(self, request: _Request, response: httpx2.Response) -> Answer:
        """Read the body of a success: the part that was asked for, or the whole."""
        start, limit = request.start, request.limit
        total = length = _content_length(response)
        stop = None
        skip = 0
        if response.status_code == 206:
            stop, total = _parse_content_range(response.headers, f"{start}-")
        elif request.ranged:
            skip = start  # the server ignores `Range` and sends the whole
        if request.on_size is not None:
            request.on_size(length)
        data = self._read_body(response, limit, skip=skip, cut=request.ranged)
        if stop is not None:
            promised = stop - start
            if len(data) < min(limit, promised):
                raise _TruncatedBody(f"broke off after {len(data):,} of {promised:,} bytes")
        return Answer(data, response.status_code, response.headers, total)

    def _read_body(self, response: httpx2.Response, limit: int, *, skip: int, cut: bool) -> bytes:
        """Return up to `limit` bytes of the body after `skip`.

        A longer body is cut (`cut`: the connection is dropped), or raises RequestFailed. A body
        that ends at the limit is read to its end, so that the connection can be used again.
        """
        started = time.monotonic()
        length = _content_length(response)
        must_drop = length is None or length > skip + limit
        data = bytearray()
        for chunk in response.iter_bytes():
            if self.stop.is_set():
                raise Cancelled
            with self._lock:
                self.bytes_read += len(chunk)
                self._heard_at = time.monotonic()
            CONNECTIONS_IN_USE.note_answer(self._heard_at)
            data += chunk[skip:]
            skip = max(0, skip - len(chunk))
            if len(data) > limit and not cut:
                raise RequestFailed(f"the answer is longer than {limit:,} bytes")
            if len(data) >= limit and must_drop:
                return bytes(data[:limit])
            seconds = time.monotonic() - started
            _check_speed(seconds, response.num_bytes_downloaded)
        received = response.num_bytes_downloaded
        if length is not None and received < length:
            raise _TruncatedBody(f"broke off after {received:,} of {length:,} bytes")
        return bytes(data)

    def _wait_for_rate_limit(self) -> None:
        """Wait while a rate limit, of the server or our own, holds all threads back."""
        while (left := self.seconds_paused()) > 0:
            jitter = random.uniform(0, FIRST_WAIT)
            self._sleep(left + jitter)
        wait = self.budget.reserve()
        if wait > 0:
            self._sleep(wait)
        if self.stop.is_set():
            raise Cancelled

    def _wait_before_retry(self, attempt: int, requested: float | None) -> None:
        """Wait as long as the server asked for, at least a time that doubles with each attempt.

        Jitter keeps the threads apart. After ALL_WAIT requests in a row that were asked to wait,
        all threads wait.
        """
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
        if requested:
            wait = max(requested, wait)
            self.budget.refuse(requested)
        jitter = random.uniform(0, max(FIRST_WAIT, wait / 4))
        self._sleep(wait + jitter)

    def _sleep(self, seconds: float) -> None:
        awake_at = time.monotonic() + seconds
        self._heard_at = max(self._heard_at, awake_at)
        if self.stop.wait(seconds):
            raise Cancelled


def request_headers() -> dict[str, str]:
    """Return the user agent and the token. Raises ValueError for a token that is not ASCII.

    `build_hf_headers` is not used: it first asks the Hub for its list of AI agents.
    """
    hf_hub = huggingface_hub.__version__
    python = ".".join(map(str, sys.version_info[:3]))
    headers = {"user-agent": f"llmarch/{__version__}; hf_hub/{hf_hub}; python/{python}"}
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return headers
    token = get_token()
    if token:
        if not token.isascii():
            raise ValueError("the token contains characters that are not ASCII")
        headers["authorization"] = f"Bearer {token}"
    return headers


def requested_wait(headers: httpx2.Headers) -> float | None:
    """Return the seconds that a server asks us to wait, or None.

    They come from Retry-After (seconds or a date), else from an exhausted RateLimit header.
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    if value:
        with suppress(ValueError, OverflowError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    with suppress(ValueError, OverflowError):
        limit = parse_ratelimit_headers(headers)
        if limit is not None and limit.remaining == 0:
            return float(limit.reset_in_seconds)
    return None


def raise_for_error_body(response: httpx2.Response, body: bytes) -> None:
    """Raise huggingface_hub's exception for an error answer, given the beginning of its body."""
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [pair for pair in response.headers.raw if pair[0].lower() not in dropped]
    status = response.status_code
    short = httpx2.Response(status, headers=headers, content=body, request=response.request)
    hf_raise_for_status(short)
    raise HfHubHTTPError(f"HTTP {status}", response=short)


def _check_speed(seconds: float, received: int) -> None:
    """Raise _SlowBody or RequestFailed if a body takes too long."""
    if seconds > SLOW_SECONDS and received < SLOWEST * seconds:
        raise _SlowBody(f"only {received:,} bytes in {seconds:.0f} s")
    if seconds > MAX_SECONDS:
        raise RequestFailed(f"the answer did not end within {MAX_SECONDS:.0f} s")


def _content_length(response: httpx2.Response) -> int | None:
    """Return Content-Length; None for a compressed or chunked body."""
    if "content-encoding" in response.headers:
        return None
    return _parse_size(response.headers.get("content-length", ""))


class _ContentRange(NamedTuple):
    """A parsed `Content-Range: bytes 0-99/1234`."""

    stop: int | None
    """The byte after the last one (100)."""
    total: int | None
    """The size of the whole file (1234)."""


def _parse_content_range(headers: httpx2.Headers, prefix: str) -> _ContentRange:
    """Parse Content-Range. Raises RequestFailed if the range does not begin with `prefix`."""
    text = str(headers.get("content-range", ""))
    unit, _, rest = text.partition(" ")
    part, _, total = rest.partition("/")
    if unit != "bytes" or not part.startswith(prefix):
        raise RequestFailed(f"the server answered with another range: {text[:80]!r}")
    _, _, last = part.partition("-")
    stop = _parse_size(last)
    if stop is not None:
        stop += 1
    return _ContentRange(stop, _parse_size(total))


def _parse_size(text: str) -> int | None:
    """Return a number of bytes; None if the text is not one, or larger than any file."""
    if not text.isdecimal() or len(text) > MAX_SIZE_DIGITS:
        return None
    return int(text)
