"""Every command at five widths and in three encodings, as a terminal or a pipe has it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.paths import FIXTURES

from llmarch.cli import COMMANDS, main
from llmarch.renderers import output

WIDTHS = (40, 60, 80, 120, 200)
ENCODINGS = ("utf-8", "cp1252", "ascii")
WIDEST = max(WIDTHS)
CAPTURED = [
    "show qwen3-next",
    "show gemma3-27b --explain mixers.sliding",
    "show kimi-linear --sketch",
    "show ./lora --base qwen3-8b",
    "diff qwen3-8b qwen3-4b --rules",
    "memory qwen3-8b --gpus H100",
    "fit qwen3-235b --gpus H100",
    "check qwen3-8b --against llama3-8b",
    "lock qwen3-0.6b",
    "scan qwen3-0.6b qwen3-8b -o rows.ndjson",
    "duplicates rows.ndjson",
    "list qwen3",
    "like kimi-k2",
    "explain mla",
    "explain rope-theta-changed",
    "rules explain rope-theta-changed",
    "calibrate vllm.log qwen3-8b --gpus A100",
    "gpus",
    "cache info",
]
"""In this order, in one folder."""
ELSEWHERE = {
    "draw": "pictures: tests/layout/",
    "report": "pages: tests/renderers/",
    "gallery": "pages: tests/renderers/",
    "card": "Markdown, whose lines are not broken: test_card.py",
    "log": "a repository: tests/compare/test_history.py",
    "schema": "JSON: test_output.py",
    "mcp": "a protocol: its own tests",
}
COPIED = ("  Launch ", "  Repeat ")
"""How lines begin that are copied whole; they are not broken."""
FORGIVEN = {"list": "columns that a terminal has no room for are named", "memory": "the plot"}
"""Commands of which a narrow terminal has less, and what tells so."""


@pytest.fixture
def folder(work: Path) -> Path:
    """A folder with an adapter and a log."""
    adapter = {
        "peft_type": "LORA",
        "base_model_name_or_path": "Qwen/Qwen3-8B",
        "r": 16,
        "target_modules": ["q_proj", "no_such_proj"],
    }
    (work / "lora").mkdir()
    (work / "lora" / "adapter_config.json").write_text(json.dumps(adapter))
    shutil.copy(FIXTURES / "start_logs" / "vllm.txt", "vllm.log")
    return work


def captured(command: str, width: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a command prints on a stream of an encoding, at a width."""
    written, errors = io.BytesIO(), io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr(sys, "argv", ["llmarch", *command.split()])
        patch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
        patch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding))
        output.prepare_streams()
        with pytest.raises(SystemExit):
            main()
        sys.stdout.flush()
        sys.stderr.flush()
        assert b"error" not in errors.getvalue()
        return written.getvalue().decode(encoding)


def characters(text: str) -> Counter[str]:
    """Return how often each character stands in a text, blanks left out."""
    return Counter("".join(text.split()))


def test_every_command_is_captured() -> None:
    named = {command.split()[0] for command in CAPTURED}
    assert named | set(ELSEWHERE) >= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.usefixtures("folder")
def test_nothing_is_lost_at_any_width_or_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the terminal, no character of the widest capture is missing in a
    narrow one, and no sign has become a question mark.
    """
    faults: list[str] = []
    for command in CAPTURED:
        captured(command, WIDEST, "utf-8", monkeypatch)  # the first run of some changes files
        whole = captured(command, WIDEST, "utf-8", monkeypatch)
        name = command.split()[0]
        for width in WIDTHS:
            for encoding in ENCODINGS:
                text = captured(command, width, encoding, monkeypatch)
                lines = [line for line in text.split("\n") if not line.startswith(COPIED)]
                where = f"{command} at {width} in {encoding}"
                faults += [f"{where}: {line}" for line in lines if len(line) > width]
                if text.count("?") > whole.count("?"):
                    faults.append(f"{where}: a sign is lost")
                missing = characters(whole) - characters(text)
                if encoding == "utf-8" and missing and name not in FORGIVEN:
                    faults.append(f"{where}: {missing} is missing")
    assert faults == []
