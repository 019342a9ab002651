"""A progress bar on stderr for slow reads."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager


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
