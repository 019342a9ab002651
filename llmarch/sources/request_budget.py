"""When requests to the Hub may be sent: a budget of one reading, or of all readings of a scan.

A limit on requests is the Hub's, not a model's: in a scan, where one is asked to wait, all wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

PATIENCE = 60.0
"""Seconds that a server may ask one request to wait, all its retries together."""
PATIENCE_OF_SCANS = 900.0
"""The same where many models are read: the Hub's limits are per five minutes."""
ALL_WAIT = 3
"""Requests in a row that must be asked to wait before all wait. A single one is not a rate limit:
it waits by itself."""


class RequestBudget:
    """When requests may be sent."""

    def __init__(self) -> None:
        self.patience = PATIENCE
        self.rate: float | None = None
        """Requests a second at most; None: as many as the Hub allows."""
        self._next = 0.0
        """When the next request may be sent at this rate."""
        self._resume_at = 0.0
        """Until when a rate limit of the server holds all back."""
        self._refused = 0
        """Requests in a row that were asked to wait."""
        self._lock = threading.Lock()

    def seconds_paused(self) -> float:
        """Return for how many seconds a rate limit of the server still holds all back."""
        left = self._resume_at - time.monotonic()
        return max(0.0, left)

    def reserve(self) -> float:
        """Return the seconds after which one request may be sent, and count it."""
        if self.rate is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + 1 / self.rate
            return start - now

    def refuse(self, seconds: float) -> None:
        """Note that the server has asked a request to wait."""
        with self._lock:
            self._refused += 1
            if self._refused >= ALL_WAIT:
                resume_at = time.monotonic() + seconds
                self._resume_at = max(self._resume_at, resume_at)

    def succeed(self) -> None:
        """Note that the server has answered a request."""
        self._refused = 0


_shared: list[RequestBudget] = []
"""The budgets of scans that are running; the last one counts."""


@contextmanager
def one_budget(rate: float | None) -> Generator[None]:
    """Let all readings of this process share one budget meanwhile, and wait for it with patience.

    rate: requests a second at most; None leaves it to the Hub.
    """
    budget = RequestBudget()
    budget.rate = rate
    budget.patience = PATIENCE_OF_SCANS
    _shared.append(budget)
    try:
        yield
    finally:
        _shared.remove(budget)


def current_budget() -> RequestBudget:
    """Return the budget of the scan that is running, else one for a single reading."""
    return _shared[-1] if _shared else RequestBudget()
