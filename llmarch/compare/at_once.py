"""Read several models at once: most of the time of reading one is spent waiting for the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from ..sources.progress import Progress, ignore_progress

AT_ONCE = 8
"""Models that are read at once. Their connections together are bounded by the client of the Hub."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_at_once(
    items: Sequence[Item],
    read: Callable[[Item], Result],
    progress: Progress = ignore_progress,
) -> list[Result]:
    """Return what `read` returns for each item, in the order of the items.

    A single item is read in the thread of the caller. The first error, in the order of the items,
    is raised; what has not begun then is not begun any more.

    progress: called after each of several items with how many are done, and of how many.
    """
    if len(items) < 2:
        return [read(item) for item in items]
    total = len(items)
    done = 0
    lock = Lock()

    def read_and_count(item: Item) -> Result:
        nonlocal done
        result = read(item)
        with lock:
            done += 1
            progress(done, total, "models")
        return result

    executor = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="llmarch-models")
    try:
        progress(0, total, "models")
        tasks = [executor.submit(read_and_count, item) for item in items]
        return [task.result() for task in tasks]
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
