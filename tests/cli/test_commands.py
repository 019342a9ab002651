"""The list of commands is printed without importing them, and says what they say of themselves."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import typer

from llmarch import cli


def run(code: str) -> str:
    """Return what a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_summaries_are_the_first_sentences_of_the_help() -> None:
    cli.app_for(["every command, as for an unknown one"])
    group: Any = typer.main.get_command(cli.app)
    assert set(group.commands) == set(cli.COMMANDS)
    for name, summary in cli.COMMANDS.items():
        first, _, _ = group.commands[name].help.partition("\n\n")
        assert summary == " ".join(first.split())


def test_the_list_of_commands_imports_none() -> None:
    modules = run(
        "import sys; from llmarch import cli; cli.app_for(['--help']); "
        "print(*[m for m in sys.modules if m.startswith('llmarch.cli.')])"
    )
    assert modules.split() == []


def test_completion_needs_all_commands() -> None:
    imported = run(
        "import os, sys; os.environ['_LLMARCH_COMPLETE'] = 'complete_bash'; "
        "from llmarch import cli; cli.app_for([]); "
        "print(*[m for m in sys.modules if m.startswith('llmarch.cli.')])"
    )
    assert {f"llmarch.cli.{file}" for file in cli.FILES.values()} <= set(imported.split())
