"""The program as a user runs it, in the process of the tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from llmarch.architecture.json_schema import validate
from llmarch.cli import main


class Run:
    """Run the program: `run("check", code=1)` -> (stdout, stderr)."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], *command: str, columns: int | None = None
    ) -> None:
        """Begin each run with the words of `command`; `columns` is the usual width."""
        self.capsys, self.command, self.columns = capsys, command, columns

    def __call__(
        self, *args: str, code: int | None = 0, columns: int | None = None
    ) -> tuple[str, str]:
        """Return what a run prints; `code` is the exit code that it must have, None for any.

        A JSON document fits its schema.
        """
        width = columns or self.columns
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["llmarch", *self.command, *args])
            if width is not None:
                patch.setenv("COLUMNS", str(width))
            with pytest.raises(SystemExit) as stop:
                main()
        out, err = self.capsys.readouterr()
        assert code is None or (stop.value.code or 0) == code, err + out
        assert "Traceback" not in err
        words = [*self.command, *args]
        if out and (asks_for(words, "json") or asks_for(words, "ndjson")):
            check_documents(out, lines=asks_for(words, "ndjson"))
        return out, err

    def json(self, *args: str, code: int | None = 0) -> Any:
        """Return the JSON that a run prints."""
        return json.loads(self(*args, "--format", "json", code=code)[0])

    document = json


def asks_for(words: Sequence[str], format: str) -> bool:
    """Return whether the words of a command line ask for an output format."""
    pairs = pairwise(words)
    return any(option in ("--format", "-f") and value == format for option, value in pairs)


def check_documents(text: str, lines: bool) -> None:
    """Hold each document of an output against its schema."""
    texts = text.splitlines() if lines else [text]
    for one in texts:
        found = json.loads(one)
        for document in found if isinstance(found, list) else [found]:
            validate(document)
