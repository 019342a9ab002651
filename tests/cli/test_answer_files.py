"""--output of commands that print an answer, and the list of commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from helpers.program import Run

from llmarch.cli import COMMANDS, app_for, full_arguments

pytestmark = pytest.mark.sweep

ANSWERS = {
    "show": ["qwen3-0.6b"],
    "diff": ["qwen3-0.6b", "qwen3-8b"],
    "memory": ["qwen3-0.6b"],
    "fit": ["qwen3-0.6b", "--gpus", "H100"],
    "list": ["qwen3"],
    "like": ["kimi-k2"],
    "explain": ["mla"],
    "rules": [],
    "gpus": [],
    "schema": [],
}
"""Commands that print an answer about bundled models, with their arguments."""
ELSEWHERE = {"calibrate", "log", "cache", "duplicates", "mcp"}
"""Commands with the same option that need a log, a repository, a cache, a scan or a client."""
OWN = {"draw", "report", "gallery", "card", "check", "lock", "scan"}
"""Commands whose --output is their own."""


def test_every_command_has_the_option() -> None:
    program = typer.main.get_command(app_for(["--help", "all"][1:]))
    commands = program.commands  # pyright: ignore[reportAttributeAccessIssue]
    assert set(commands) == set(COMMANDS) == {*ANSWERS, *ELSEWHERE & set(commands), *OWN}
    without = {
        name
        for name, command in commands.items()
        if "--output" not in [word for param in command.params for word in param.opts]
        and not hasattr(command, "commands")
    }
    assert without <= {"mcp"}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_holds_what_the_command_prints(name: str, run: Run, tmp_path: Path) -> None:
    words = [name, *ANSWERS[name]]
    printed, _ = run(*words, columns=100)
    file = tmp_path / "answer.txt"
    out, _ = run(*words, "-o", str(file), columns=100)
    assert (out, file.read_text()) == ("", printed)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "schema"])
def test_the_suffix_chooses_the_format(name: str, run: Run, tmp_path: Path) -> None:
    words = [name, *ANSWERS[name]]
    for suffix, format in ((".json", "json"), (".md", "markdown")):
        printed, _ = run(*words, "--format", format)
        file = tmp_path / f"answer{suffix}"
        run(*words, "--output", str(file))
        assert file.read_text() == printed
    text, _ = run(*words, columns=100)
    run(*words, "--format", "text", "-o", str(file), columns=100)
    assert file.read_text() == text, "the option goes before the suffix"


def test_nothing_is_written_where_there_is_no_answer(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "answer.md"
    run("show", "no-such-model", "-o", str(file), code=2)
    assert not file.exists()
    _, err = run("show", "qwen3-0.6b", "-o", str(tmp_path / "none" / "a.md"), code=2)
    assert "there is no folder" in err


def test_a_refusal_is_written_as_json(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    words = ("fit", "qwen3-0.6b", "--gpus", "H100", "--context", "1M")
    run(*words, "-o", str(file), code=2)
    assert json.loads(file.read_text())


def test_the_list_of_commands_has_whole_sentences(run: Run) -> None:
    out, _ = run("--help", columns=80)
    words = " ".join(out.split())
    assert all(summary in words for summary in COMMANDS.values())
    assert full_arguments(["list", "--json"]) == ["list", "--format=json"]
