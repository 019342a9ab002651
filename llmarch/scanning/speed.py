"""How fast a scan is, and how long it will take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

SPAN = 30.0
"""Seconds over which the rate is measured: a scan slows down where repositories are large or a rate
limit holds it back."""
STEP = 0.5
"""Seconds between two measurements."""


class ScanSpeed:
    """The rate of a scan over the last seconds."""

    def __init__(self, total: int, clock: Callable[[], float] = monotonic) -> None:
        """Begin to measure.

        total: models that are to be read.
        clock: returns seconds.
        """
        self.total = total
        self.done = 0
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])

    def count(self) -> None:
        """Count a model that was read."""
        self.done += 1
        now = self._clock()
        if now - self._samples[-1][0] >= STEP:
            self._samples.append((now, self.done))
            while len(self._samples) > 2 and now - self._samples[1][0] > SPAN:
                self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Return models a second; None before anything is known."""
        begun, before = self._samples[0]
        seconds = self._clock() - begun
        if seconds <= 0 or self.done == before:
            return None
        return (self.done - before) / seconds

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds that the rest takes at this rate; None if that is not known."""
        rate = self.rate
        return None if rate is None else (self.total - self.done) / rate
