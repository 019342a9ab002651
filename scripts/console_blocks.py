"""Put what commands print into the pages that show them.

A block of the language `console` has commands after `$ ` and what each prints, at 100 columns. A
last line `…` stands for the rest. The commands read bundled models only.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from llmarch.cli import main

COLUMNS = 100
REST = "…"
_BLOCK = re.compile(r"(?ms)(?<=^```console\n).*?(?=^```$)")
_COMMAND = re.compile(r"(?m)^\$ (?P<command>.*)\n(?P<printed>(?:(?!\$ ).*\n)*)")


def filled(page: Path) -> str:
    """Return a page with what its commands print now."""
    text = page.read_text(encoding="utf-8")
    return _BLOCK.sub(lambda block: filled_block(block[0]), text)


def filled_block(block: str) -> str:
    """Return commands, each with what it prints."""
    parts: list[str] = []
    for found in _COMMAND.finditer(block):
        shown = found["printed"].rstrip("\n").split("\n")
        lines = printed(found["command"])
        if shown[-1] == REST:
            lines = [*lines[: len(shown) - 1], REST]
        parts.append("\n".join([f"$ {found['command']}", *lines]))
    return "\n\n".join(parts) + "\n"


def printed(command: str) -> list[str]:
    """Return the lines that a command prints.

    Raises ValueError for another program, or if the command fails.
    """
    program, *arguments = shlex.split(command, comments=True)
    if program != "llmarch":
        raise ValueError(f"{command} is not a command of llmarch")
    output = StringIO()
    width = {"COLUMNS": str(COLUMNS), "HF_HUB_OFFLINE": "1"}
    with (
        patch.dict(os.environ, width),
        patch.object(sys, "argv", ["llmarch", *arguments]),
        redirect_stdout(output),
    ):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise ValueError(f"{command} ends with {end.code}") from None
    lines = [line.rstrip() for line in output.getvalue().strip("\n").split("\n")]
    return ["", *lines] if lines[0].startswith("  ") else lines
