"""Requests to the Hub through huggingface_hub's own session, token, endpoint and error classes; what is ours is the patience.

huggingface_hub's `http_backoff` is not used for it: it waits as long as a server says (for ever, if it says so), all threads wake at
the same moment, it closes the shared session under the other threads when a connection fails, and it cannot repeat a body that broke
off. Here the waits have jitter and a limit, a rate limit holds all threads back, and a body is never read further than wanted, so
that a server which ignores `Range` does not make us download weights. Redirects are httpx's, followed one by one, for it would read
their bodies to the end, and so that a repetition can begin where the last one led.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import huggingface_hub
from huggingface_hub import constants, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status, parse_ratelimit_headers

from ... import __version__

__all__ = ["Answer", "Client", "HfHubHTTPError", "Stopped", "Unreadable", "get_session"]

T = TypeVar("T")

RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
ATTEMPTS = 16
"""Times that one request is tried. With a fault in every second request, one in 10^4 shards fails for good."""
FEW_ATTEMPTS = 3
"""The same while the server never answered at all (without a network the user should hear so soon), and for silence until the timeout."""
FIRST_WAIT, LONGEST_WAIT = 0.25, 4.0
"""Seconds before the first and any later repetition, where the server does not say: doubled each time, with jitter."""
PATIENCE = 60.0
"""Seconds that a server may ask us to wait at once, and 'Too many requests' in a row altogether before giving up."""
ALL_WAIT = 3
"""Requests in a row that are asked to wait before all threads do: one alone is no rate limit, and it waits for itself."""
MAX_SECONDS = 300.0
"""For one body. The read timeout (HF_HUB_DOWNLOAD_TIMEOUT) only sees a connection that is quite silent."""
SLOW_SECONDS, SLOWEST = 30.0, 500
"""A body of which fewer bytes a second than SLOWEST have come after SLOW_SECONDS counts as silence."""
SILENCE = 60.0
"""Seconds beyond the read timeout in which no thread hears of the server: then its answers' headers never end, which httpx waits for."""
MAX_REDIRECTS = 20
MAX_ERROR_BODY = 64_000


class Unreadable(Exception):
    """A request that failed for good, after all repetitions; the message says how."""


class Stopped(Exception):
    """The reading was given up elsewhere."""


@dataclass(slots=True)
class Answer:
    """The bytes that were asked for; `total`: size of the whole file, where the server says it."""

    data: bytes
    status: int
    headers: httpx2.Headers
    total: int | None = None


@dataclass(slots=True)
class Client:
    """Shared by the threads of one reading: the token, the pause that a rate limit asks for, and the sign to stop."""

    endpoint: str = field(default_factory=lambda: constants.ENDPOINT)
    headers: dict[str, str] = field(default_factory=lambda: auth_headers())
    stop: threading.Event = field(default_factory=threading.Event)
    reached: bool = False
    requests: int = 0
    bytes_read: int = 0
    _resume_at: float = 0.0
    _refused: int = 0
    _heard_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def api(self, repo_id: str, *parts: str) -> str:
        """The address of a model's metadata."""
        return "/".join(
            (
                f"{self.endpoint}/api/models/{quote(repo_id)}",
                *(quote(part, safe="") for part in parts),
            )
        )

    def file(self, repo_id: str, commit: str, file: str) -> str:
        """The address of a file at a commit."""
        return f"{self.endpoint}/{quote(repo_id)}/resolve/{commit}/{quote(file)}"

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
        """Bytes [start, start + limit) of what `url` serves, redirects followed; all of it (and an error if longer) unless `ranged`.

        `on_size` hears the size of a body before it is read. Raises HfHubHTTPError for an answer that repetition cannot mend (401, 403,
        404 …), Unreadable when repetition did not help, Stopped.
        """
        waited = 0.0
        hops: list[httpx2.Request] = []
        for attempt in range(1, attempts + 1):
            self._pause()
            silent = False
            try:
                answer = self._once(hops, url, limit, start, ranged, on_size)
            except (
                httpx2.TimeoutException,
                httpx2.NetworkError,
                httpx2.RemoteProtocolError,
                _BrokenOff,
            ) as error:
                fault, asked, silent = (
                    str(error) or type(error).__name__,
                    None,
                    isinstance(error, (httpx2.TimeoutException, _Slow)),
                )
            except HfHubHTTPError:
                raise
            except (
                httpx2.HTTPError,
                httpx2.InvalidURL,
                ValueError,
            ) as error:  # an unsupported scheme, undecodable content, no host name
                raise Unreadable(str(error) or type(error).__name__) from error
            else:
                if answer.status not in RETRY_STATUS:
                    self._refused = 0
                    return answer
                fault, asked = f"HTTP {answer.status}", asked_to_wait(answer.headers)
                waited += asked or 0.0
                if waited > PATIENCE:
                    raise Unreadable(f"{fault}, the server asks to wait {asked:.0f} s")
            if attempt >= (
                attempts if self.reached and not silent else min(attempts, FEW_ATTEMPTS)
            ):
                raise Unreadable(f"{fault}, {attempt} times" if attempt > 1 else fault)
            hops[:] = (
                hops[-1:] if attempt % 4 else []
            )  # to where redirects led, but in case that is the fault, from the start too
            self._hold(attempt, asked)
        raise AssertionError

    def wait_for(self, future: Future[T]) -> T:
        """The result of another thread. Unreadable if the server keeps it waiting for ever."""
        while True:
            with suppress(TimeoutError):
                return future.result(timeout=1)
            self.check_silence()

    def check_silence(self) -> None:
        """Unreadable if nobody has heard of the server for too long."""
        if time.monotonic() - self._heard_at > constants.HF_HUB_DOWNLOAD_TIMEOUT + SILENCE:
            self._heard_at = time.monotonic()
            raise Unreadable("the server keeps the connection open, but does not answer")

    def paused(self) -> float:
        """Seconds for which a rate limit still holds everyone back."""
        return max(0.0, self._resume_at - time.monotonic())

    def _once(
        self,
        hops: list[httpx2.Request],
        url: str,
        limit: int,
        start: int,
        ranged: bool,
        on_size: Callable[[int | None], None] | None,
    ) -> Answer:
        if not hops:
            more = (
                {"range": f"bytes={start}-{start + limit - 1}", "accept-encoding": "identity"}
                if ranged
                else {}
            )
            timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
            hops.append(
                get_session().build_request(
                    "GET", url, headers={**self.headers, **more}, timeout=timeout
                )
            )
        with closing(self._follow(hops)) as response:
            status = response.status_code
            if status in RETRY_STATUS:
                return Answer(b"", status, response.headers)
            if status == 416:
                return Answer(b"", status, response.headers, _range_in(response.headers, "*")[1])
            if status >= 400:
                body = b""
                with suppress(_BrokenOff, Unreadable):
                    body = self._read(response, MAX_ERROR_BODY, skip=0, cut=True)
                raise_for(response, body)
            if status not in (200, 206):
                raise Unreadable(f"HTTP {status}")
            stop, total = (
                _range_in(response.headers, f"{start}-")
                if status == 206
                else (None, _length(response))
            )
            if on_size is not None:
                on_size(_length(response))
            data = self._read(
                response, limit, skip=start if ranged and status != 206 else 0, cut=ranged
            )
            if stop is not None and len(data) < min(limit, stop - start):
                raise _BrokenOff(f"broke off after {len(data):,} of {stop - start:,} bytes")
            return Answer(data, status, response.headers, total)

    def _follow(self, hops: list[httpx2.Request]) -> httpx2.Response:
        """The answer to the last of `hops`, to which redirects are added as they are followed."""
        while True:
            with self._lock:
                self.requests += 1
            response = get_session().send(hops[-1], stream=True, follow_redirects=False)
            self.reached, self._heard_at = True, time.monotonic()
            commit, path = response.headers.get("x-repo-commit"), hops[-1].url.path
            if commit and "/resolve/" in path and f"/resolve/{commit}/" not in path:
                response.close()
                raise Unreadable(f"an answer from another commit, {commit}")
            if not response.has_redirect_location:
                return response
            with closing(response):
                if response.next_request is None:
                    raise Unreadable(f"HTTP {response.status_code}, a redirect to no address")
                if len(hops) > MAX_REDIRECTS:
                    raise Unreadable(f"more than {MAX_REDIRECTS} redirects")
                self._read(
                    response, MAX_ERROR_BODY, skip=0, cut=True
                )  # so that the connection can be used again
            hops.append(response.next_request)

    def _read(self, response: httpx2.Response, limit: int, skip: int, cut: bool) -> bytes:
        """Up to `limit` bytes of the body after `skip`; then the connection is dropped (`cut`), or it is an error."""
        started = time.monotonic()
        length = _length(response)
        endless = (
            length is None or length > skip + limit
        )  # else it is read to its end, so that the connection can be used again
        data = bytearray()
        for chunk in response.iter_bytes():
            if self.stop.is_set():
                raise Stopped
            with self._lock:
                self.bytes_read += len(chunk)
                self._heard_at = time.monotonic()
            if skip:
                chunk, skip = chunk[skip:], max(0, skip - len(chunk))
            data += chunk
            if len(data) > limit and not cut:
                raise Unreadable(f"the answer is longer than {limit:,} bytes")
            if len(data) >= limit and endless:
                return bytes(data[:limit])
            seconds, so_far = time.monotonic() - started, response.num_bytes_downloaded
            if seconds > SLOW_SECONDS and so_far < SLOWEST * seconds:
                raise _Slow(f"only {so_far:,} bytes in {seconds:.0f} s")
            if seconds > MAX_SECONDS:
                raise Unreadable(f"no end after {MAX_SECONDS:.0f} s")
        if length is not None and response.num_bytes_downloaded < length:
            raise _BrokenOff(
                f"broke off after {response.num_bytes_downloaded:,} of {length:,} bytes"
            )
        return bytes(data)

    def _pause(self) -> None:
        """Wait while a rate limit holds everyone back."""
        while (left := self.paused()) > 0:
            self._sleep(left + random.uniform(0, FIRST_WAIT))
        if self.stop.is_set():
            raise Stopped

    def _hold(self, attempt: int, asked: float | None) -> None:
        """Wait before the next attempt: what the server asked for, or doubling waits; never at the same moment as the others."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
        if asked:
            wait = max(asked, wait)
            with self._lock:
                self._refused += 1
                if self._refused >= ALL_WAIT:
                    self._resume_at = max(self._resume_at, time.monotonic() + asked)
        self._sleep(wait + random.uniform(0, max(FIRST_WAIT, wait / 4)))

    def _sleep(self, seconds: float) -> None:
        self._heard_at = max(self._heard_at, time.monotonic() + seconds)
        if self.stop.wait(seconds):
            raise Stopped


class _BrokenOff(Exception):
    """A body that ended too early."""


class _Slow(_BrokenOff):
    """A body that hardly comes."""


def auth_headers() -> dict[str, str]:
    """User agent and token. Not by `build_hf_headers`, which asks the Hub for its list of AI agents first: a request nobody ordered."""
    python = ".".join(map(str, sys.version_info[:3]))
    headers = {
        "user-agent": f"llmarch/{__version__}; hf_hub/{huggingface_hub.__version__}; python/{python}"
    }
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token:
        if not token.isascii():
            raise ValueError("the token holds characters that no token has")
        headers["authorization"] = f"Bearer {token}"
    return headers


def asked_to_wait(headers: httpx2.Headers) -> float | None:
    """Seconds that a server asks for: Retry-After (seconds or a date), else the reset of an exhausted RateLimit header."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    if value:
        with suppress(ValueError, OverflowError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    with suppress(ValueError, OverflowError):
        info = parse_ratelimit_headers(headers)
        return float(info.reset_in_seconds) if info is not None and info.remaining == 0 else None
    return None


def raise_for(response: httpx2.Response, body: bytes) -> None:
    """huggingface_hub's exception for an error answer, of whose body only the beginning was read."""
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [(key, value) for key, value in response.headers.raw if key.lower() not in gone]
    short = httpx2.Response(
        response.status_code, headers=headers, content=body, request=response.request
    )
    hf_raise_for_status(short)
    raise HfHubHTTPError(f"HTTP {response.status_code}", response=short)


def _length(response: httpx2.Response) -> int | None:
    """Content-Length as sent; None for a compressed or chunked body."""
    value = response.headers.get("content-length", "")
    return int(value) if _is_size(value) and "content-encoding" not in response.headers else None


def _range_in(headers: Any, prefix: str) -> tuple[int | None, int | None]:
    """Where the part in `Content-Range: bytes 0-99/1234` stops (100), and the size of the whole; the part must begin as asked."""
    value = str(headers.get("content-range", ""))
    unit, _, rest = value.partition(" ")
    spec, _, total = rest.partition("/")
    last = spec.partition("-")[2]
    if unit != "bytes" or not spec.startswith(prefix):
        raise Unreadable(f"an answer for another range: {value[:80]!r}")
    return int(last) + 1 if _is_size(last) else None, int(total) if _is_size(total) else None


def _is_size(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
