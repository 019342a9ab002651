"""The program as a user runs it, in the process of the tests."""

from __future__ import annotations

import json
import sys
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

    def __call__(self, *args: str, code: int = 0, columns: int | None = None) -> tuple[str, str]:
        """Return what a run prints; `code` is the exit code that it must have."""
        width = columns or self.columns
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["llmarch", *self.command, *args])
            if width is not None:
                patch.setenv("COLUMNS", str(width))
            with pytest.raises(SystemExit) as stop:
                main()
        out, err = self.capsys.readouterr()
        assert (stop.value.code or 0) == code, err + out
        assert "Traceback" not in err
        return out, err

    def json(self, *args: str, code: int = 0) -> Any:
        """Return the JSON that a run prints."""
        return json.loads(self(*args, "--format", "json", code=code)[0])

    def document(self, *args: str, code: int = 0) -> Any:
        """Return the JSON that a run prints, which fits its schema."""
        document = self.json(*args, code=code)
        validate(document)
        return document
