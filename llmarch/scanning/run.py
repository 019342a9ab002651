"""Read many models at once, and give their rows in the order of the references.

Models on the Hub are read by threads: most of their time is spent waiting. Models on this machine
need a processor, so they are read by other processes where that is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..architecture.frozen import Frozen, frozen
from ..errors import LlmarchError
from ..sources.references import parse_reference
from ..sources.request_budget import one_budget
from .row import ReadModel, read_row

if TYPE_CHECKING:
    from ..architecture.json_scan import ScanRowDocument

WAITING = 512
"""Models that are read, or wait for one before them, at most. It bounds the memory of a scan, and
what a scan that is killed has to read again."""
CHUNK = 16
"""Models that a process is given at a time."""


@frozen
class ScanWorkers(Frozen):
    """How many models are read at once."""

    threads: int = 16
    """Models on the Hub."""
    processes: int = 0
    """Processes that read models on this machine; 0 reads them in this one."""
    rate: float | None = None
    """Requests to the Hub a second at most, of all models together; None: all it allows."""


@dataclass(slots=True)
class _Batch:
    """Models whose rows are on their way."""

    size: int
    rows: Callable[[], list[ScanRowDocument]]
    """Returns the rows, and waits for them."""
    is_ready: Callable[[], bool]


def scan_rows(
    references: Iterable[str],
    read: ReadModel,
    *,
    headers: bool = True,
    workers: ScanWorkers | None = None,
) -> Iterator[ScanRowDocument]:
    """Yield the row of each reference, in their order. A model that cannot be read is a row too.

    references: what names the models; taken as they are needed.
    read: reads a model. With processes it must be one that can be pickled.
    headers: whether `read` reads tensor headers.
    workers: how many are read at once.
    """
    chosen = workers or ScanWorkers()
    make_rows = partial(_rows_of, read=read, headers=headers)
    waiting: deque[_Batch] = deque()
    models = 0
    with ExitStack() as stack:
        stack.enter_context(one_budget(chosen.rate))
        start = _Starter(stack, chosen, make_rows)
        for batch in start.batches(references):
            waiting.append(batch)
            models += batch.size
            while waiting and (models >= WAITING or waiting[0].is_ready()):
                first = waiting.popleft()
                models -= first.size
                yield from first.rows()
        while waiting:
            yield from waiting.popleft().rows()
        start.finish()


class _Starter:
    """Starts the reading of models, by threads or by processes."""

    def __init__(
        self,
        stack: ExitStack,
        workers: ScanWorkers,
        make_rows: Callable[[list[str]], list[ScanRowDocument]],
    ) -> None:
        self._workers = workers
        self._make_rows = make_rows
        self._threads = ThreadPoolExecutor(workers.threads, thread_name_prefix="llmarch-scan")
        stack.callback(self._threads.shutdown, wait=False, cancel_futures=True)
        self._processes: ProcessPoolExecutor | None = None
        if workers.processes:
            self._processes = _process_pool(workers.processes)
            stack.callback(self._processes.shutdown, wait=False, cancel_futures=True)

    def batches(self, references: Iterable[str]) -> Iterator[_Batch]:
        """Yield what was started, in the order of the references."""
        local: list[str] = []
        size = CHUNK if self._processes is not None else 1
        for reference in references:
            if not is_remote(reference):
                local.append(reference)
                if len(local) < size:
                    continue
            if local:
                yield self._start_local(local)
                local = []
            if is_remote(reference):
                yield _started(self._threads.submit(self._make_rows, [reference]), 1)
        if local:
            yield self._start_local(local)

    def finish(self) -> None:
        """Wait until the processes have ended, which have nothing to do any more."""
        if self._processes is not None:
            self._processes.shutdown()

    def _start_local(self, references: list[str]) -> _Batch:
        if self._processes is not None:
            task = self._processes.submit(self._make_rows, references)
            return _started(task, len(references))
        return _Batch(len(references), partial(self._make_rows, references), lambda: True)


def is_remote(reference: str) -> bool:
    """Return whether a reference is read over the network; one that names nothing is not."""
    try:
        parsed = parse_reference(reference)
    except LlmarchError:
        return False
    return parsed.kind == "hub" or parsed.url is not None


def _started(task: Future[list[ScanRowDocument]], size: int) -> _Batch:
    return _Batch(size, task.result, task.done)


def _rows_of(references: list[str], read: ReadModel, headers: bool) -> list[ScanRowDocument]:
    return [read_row(reference, read, headers=headers) for reference in references]


def _process_pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool whose processes end with this one, also if it is killed."""
    from multiprocessing import get_context

    context = get_context("spawn")  # this process has threads, which a fork would break
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when the one that started it ends."""
    import os
    from multiprocessing import parent_process
    from threading import Thread

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
