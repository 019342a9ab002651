"""Fixtures of all tests: the environment of whoever runs them is cleared, and a loopback Hub for
those that ask for one.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import started
from helpers.loopback import Hub, serve
from helpers.program import Run
from huggingface_hub import constants
from hypothesis import settings

from llmarch.sources.hub import client

CALLERS = (
    *(
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "FORCE_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "TTY_COMPATIBLE",
    ),
    *(
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_HUB_OFFLINE",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
    ),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    *("LLMARCH_CACHE", "XDG_CACHE_HOME", "PYTHONIOENCODING", "GITHUB_ACTIONS"),
    *("PYTHONDONTWRITEBYTECODE",),
    "LLMARCH_PROJECT_URL",
)
"""Variables of the caller's environment that change what llmarch prints or reads."""

gc.set_threshold(100_000, 50, 100)
"""The fixtures stay in memory for good: looking through them 700 objects at a time took a fifth of
the suite's time."""

settings.register_profile("tests", deadline=None)
settings.register_profile(
    "fuzz", deadline=None, max_examples=100_000
)  # pytest --hypothesis-profile=fuzz
settings.load_profile("tests")


COVERED, COVERED_OF_SWEEPS = 8, 40
"""One in so many runs of a test with parameters is under coverage, the first ones all: the others
run the same lines, in half of the time. Of a sweep without parameters no run is."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most of the runs of tests with many parameters out of the measurement."""
    seen: Counter[str] = Counter()
    for item in items:
        name, parameters, _ = item.nodeid.partition("[")
        is_sweep = item.get_closest_marker("sweep") is not None
        share, first = (COVERED_OF_SWEEPS, 1) if is_sweep else (COVERED, COVERED)
        in_sample = seen[name] < first or seen[name] % share == 0
        in_sample |= item.get_closest_marker("covered") is not None
        if not in_sample or (is_sweep and not parameters):
            item.add_marker(pytest.mark.uncovered)
        seen[name] += 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Take coverage's trace function away around a test that is not under coverage.

    pytest-cov's own `no_cover` has no effect in processes of pytest-xdist (7.1: these tests took
    2.6 times as long), and leaves fixtures traced.
    """
    trace = sys.gettrace()
    if trace is None or item.get_closest_marker("uncovered") is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a module, which are marked `in_browser`."""
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the bytecode of child processes: each module is compiled once, not by each."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, bytecode: Path) -> None:
    """Clear what the caller's environment would change."""
    for name in CALLERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))


@pytest.fixture
def homes(environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put all caches and tokens under tmp_path."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(
        constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"), raising=False
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("LLMARCH_CACHE", str(tmp_path / "llmarch"))
    return tmp_path


@pytest.fixture
def hub(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a loopback Hub for this process and its children; repetitions hardly wait."""
    monkeypatch.setattr(client, "FIRST_WAIT", 0.002)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    with serve() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process: `run("check", code=1)` -> (stdout, stderr)."""
    return Run(capsys)
