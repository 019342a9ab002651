"""A fault of the program's own code is never told as the user's mistake, wherever it happens."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from helpers.checkpoints import llama, safetensors, write

import llmarch
from llmarch.cli import main

PACKAGE = str(Path(llmarch.__file__).parent)
OUTSIDE = ("cli", "errors.py", "sources/safetensors/regular.py", "architecture/frozen.py")
"""Where a fault may be another one: in what reports it, in a parser with a second way."""
ERRORS: list[Exception] = [
    KeyError("fault"),
    ValueError("fault"),
    OverflowError("fault"),
    TypeError("fault"),
    AttributeError("fault"),
    ZeroDivisionError("fault"),
    UnicodeEncodeError("ascii", "é", 0, 1, "fault"),
    AssertionError("fault"),
]
COMMANDS = [
    ["show", "checkpoint"],
    ["show", "observed"],
    ["show", "qwen3-8b"],
    ["diff", "qwen3-8b", "llama3-8b"],
    ["diff", "qwen3-8b", "llama3-8b", "gemma2-2b"],
    ["draw", "qwen3-8b", "-o", "x.svg"],
    ["report", "qwen3-8b", "-o", "x.html"],
    ["gallery", "qwen3-8b", "-o", "site"],
    ["memory", "checkpoint", "--gpus", "h100"],
    ["fit", "qwen3-8b", "--gpus", "h100"],
    ["check", "checkpoint", "--against", "qwen3-8b"],
    ["lock", "qwen3-8b", "-o", "x.lock"],
    ["list"],
]
SITES = 2
"""Functions of each command in which a fault happens, of some hundred that it calls."""


@contextmanager
def watching(called: Any) -> Iterator[None]:
    """Call a function with each call of the package's own functions."""

    def hook(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            called(code)

    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)


def is_inside(code: CodeType) -> bool:
    name = code.co_filename.removeprefix(PACKAGE).lstrip("/\\").replace("\\", "/")
    return not name.startswith(OUTSIDE) and not code.co_name.startswith("<")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = safetensors(llama(2))
    config = (
        b'{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 2,'
        b' "intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32000}'
    )
    write(tmp_path / "checkpoint", {"config.json": config, "model.safetensors": tensors})
    write(tmp_path / "observed", {"model.safetensors": tensors})
    monkeypatch.chdir(tmp_path)


@pytest.mark.sweep
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_fault_is_reported_wherever_it_happens(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["llmarch", *words])
    chance = random.Random(" ".join(words))
    found: dict[CodeType, None] = {}
    with watching(lambda code: found.setdefault(code)), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in ((1,) if words[0] == "check" else (0, None))
    codes = sorted(filter(is_inside, found), key=lambda c: (c.co_filename, c.co_firstlineno))
    reported = 0
    for site in chance.sample(codes, 2 * SITES):
        error = chance.choice(ERRORS)
        happened: list[CodeType] = []

        def fail(
            code: CodeType,
            site: CodeType = site,
            error: Exception = error,
            happened: list[CodeType] = happened,
        ) -> None:
            if code is site and not happened:
                happened.append(code)
                raise error

        with watching(fail), pytest.raises(SystemExit) as end:
            main()
        message = capsys.readouterr().err
        if not happened:  # it had kept what it needs
            continue
        assert end.value.code == 70, (site, error, message)
        assert type(error).__name__ in message and "Please report it" in message, site
        reported += 1
        if reported == SITES:
            break
    assert reported > 0
