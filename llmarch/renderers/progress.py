"""Progress on stderr for slow reads: a bar in a terminal, and lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from ..views import numbers
from .output import write_text

if TYPE_CHECKING:
    from ..scanning.speed import ScanSpeed

LINE_SECONDS = 30.0
"""Seconds between two lines of progress where stderr is not a terminal."""


@contextmanager
def bar(*, at_once: bool = True) -> Generator[Callable[[int, int, str], None]]:
    """Show a bar that disappears when the work is done; yield progress(done, total, label).

    at_once: show it now, not when progress is reported first.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    label = TextColumn("{task.description}", markup=False)
    columns = (label, BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("reading", total=None)

    def update(done: int, total: int, label: str) -> None:
        progress.start()
        progress.update(
            task,
            completed=done,
            total=total,
            description=label,
        )

    if at_once:
        progress.start()
    try:
        yield update
    finally:
        progress.stop()


@contextmanager
def scan_progress(speed: ScanSpeed) -> Generator[Callable[[int], None]]:
    """Show how far a scan is, its rate and the time left; yield update(errors).

    A bar in a terminal, elsewhere a line now and then.
    """
    if sys.stderr.isatty():
        with bar(at_once=False) as report:
            yield lambda errors: report(speed.done, speed.total, scan_words(speed, errors))
        return
    written = monotonic()

    def write(errors: int) -> None:
        nonlocal written
        now = monotonic()
        if now - written < LINE_SECONDS:
            return
        written = now
        done = f"{speed.done:,} of {speed.total:,} models"
        words = scan_words(speed, errors)
        write_text(f"{done} · {words}", error=True)

    yield write


def scan_words(speed: ScanSpeed, errors: int) -> str:
    """Return rate, time left and errors: `312 a second · 28 s left · 3 errors`."""
    words: list[str] = []
    rate, left = speed.rate, speed.seconds_left
    if rate is not None:
        words.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second")
    if left is not None:
        words.append(f"{numbers.duration(left)} left")
    if errors:
        words.append(numbers.plural(errors, "error"))
    return " · ".join(words) or "reading"
