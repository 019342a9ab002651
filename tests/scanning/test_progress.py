"""How far a scan is: rate, time left, errors."""

from __future__ import annotations

import sys

import pytest

from llmarch.renderers import progress
from llmarch.renderers.progress import scan_progress, scan_words
from llmarch.scanning.speed import ScanSpeed


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    speed = ScanSpeed(1_000, clock)
    assert speed.rate is None and scan_words(speed, 0) == "reading"
    for _ in range(100):
        clock.now += 0.01
        speed.count()
    assert speed.rate == pytest.approx(100)
    assert speed.seconds_left == pytest.approx(9)
    assert scan_words(speed, 2) == "100 a second · 9 s left · 2 errors"
    for _ in range(60):
        clock.now += 1
        speed.count()
    assert speed.rate == pytest.approx(1, rel=0.1)
    assert scan_words(speed, 0).startswith("1.0 a second · 14 min left")


def test_a_log_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = ScanSpeed(10)
    speed.count()
    with scan_progress(speed) as update:
        update(0)
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        update(1)
    err = capsys.readouterr().err
    assert err.startswith("1 of 10 models · ") and err.endswith("1 error\n")
    assert err.count("\n") == 1


def test_a_terminal_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with scan_progress(ScanSpeed(10)) as update:
        update(3)
    assert "of 10 models" not in capsys.readouterr().err
