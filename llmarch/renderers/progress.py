"""A progress bar on stderr for slow reads."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def bar() -> Generator[Callable[[int, int, str], None]]:
    """A bar that disappears when the work is done; yields progress(done, total, label)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total, label: progress.update(
            task, completed=done, total=total, description=label
        )
