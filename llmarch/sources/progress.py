"""The callback by which slow work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, label), from one thread at a time."""


def ignore_progress(done: int, total: int, label: str) -> None:
    """Ignore progress, for callers that do not report it."""
