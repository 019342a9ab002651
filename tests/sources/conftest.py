"""Fixtures of the source tests: a loopback Hub as huggingface_hub's endpoint, with cache folders of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import settings
from loopback import Hub, serve

from llmarch.sources.hub import client as http

settings.register_profile("tests", deadline=None)
settings.register_profile(
    "fuzz", deadline=None, max_examples=100_000
)  # pytest --hypothesis-profile=fuzz
settings.load_profile("tests")


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No token, no cache of the user: all folders under tmp_path."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
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
    """A running loopback Hub; repetitions hardly wait."""
    with serve() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(http, "FIRST_WAIT", 0.002)
        monkeypatch.setattr(http, "LONGEST_WAIT", 0.02)
        yield running
