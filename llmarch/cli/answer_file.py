"""The option --output of commands that print an answer: the same text, into a file.

A suffix that is a format's (.json, .ndjson, .md, .csv) chooses it unless --format does.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

from .common import fail

OWN_OUTPUT = "output"
"""The parameter of commands that write files in a way of their own."""
WITH_PICTURES = ("diff", "memory")
"""Commands of these whose --output takes pictures, and answers too."""
ANSWER_FILE = "answer_file"
"""The parameter that other commands get."""
SUFFIX_FORMATS = {".json": "json", ".ndjson": "ndjson", ".md": "markdown", ".csv": "csv"}
"""The format that a suffix chooses, where the command has it."""
ANSWER_SUFFIXES = (*SUFFIX_FORMATS, ".txt", ".log")
"""Suffixes that are none of a picture."""


class AnswerCommand(TyperCommand):
    """A command with --output, if it prints an answer and has no such option of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Add the option."""
        super().__init__(*args, **options)
        add_option(self.params)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it prints goes into the file that was named."""
        with answer_file(ctx):
            return super().invoke(ctx)


class AnswerGroup(TyperGroup):
    """The same for a command that has commands of its own, and an answer without them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Add the option."""
        super().__init__(*args, **options)
        add_option(self.params)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it prints goes into the file that was named."""
        with answer_file(ctx):
            return super().invoke(ctx)


def add_option(params: list[Any]) -> None:
    """Add --output to the parameters of a command, unless it has one."""
    if any(param.name == OWN_OUTPUT for param in params):
        return
    option = TyperOption(
        param_decls=["--output", "-o", ANSWER_FILE],
        metavar="FILE",
        help="Write the answer into a file; .json, .md and such choose the format.",
    )
    params.append(option)


def answer_file(ctx: Any) -> AbstractContextManager[None]:
    """Return what writes the answer of a command into the file that its options name, if any.

    ctx: the call, whose parameters are changed: the option is taken out, the format is set.
    """
    params = ctx.params
    file = params.pop(ANSWER_FILE, None)
    if ctx.command.name in WITH_PICTURES and is_answer_file(params[OWN_OUTPUT]):
        file = params[OWN_OUTPUT]
        params[OWN_OUTPUT] = None
    if file is None:
        return nullcontext()
    path = Path(file)
    if not path.parent.is_dir():
        fail(f"--output {file}: there is no folder {path.parent}")
    choose_format(ctx, path.suffix.lower())
    return printed_into(path)


def choose_format(ctx: Any, suffix: str) -> None:
    """Set the format that a suffix names, unless the command line has one."""
    given = ctx.get_parameter_source("format")
    if given is None or given.name != "DEFAULT":
        return
    wanted = SUFFIX_FORMATS.get(suffix)
    (option,) = [param for param in ctx.command.params if param.name == "format"]
    if wanted in option.type.choices:
        ctx.params["format"] = wanted


def is_answer_file(output: str | None) -> bool:
    """Return whether a file is for an answer, not for a picture."""
    if output is None:
        return False
    suffix = Path(output).suffix.lower()
    return suffix in ANSWER_SUFFIXES


class TextFile(StringIO):
    """What is printed, until it is written into a file."""

    encoding = "utf-8"


@contextmanager
def printed_into(file: Path) -> Generator[None]:
    """Write what is printed meanwhile into a file, whole or not at all.

    Nothing is written if the command fails before it has printed anything.
    """
    from ..sources.atomic import replace_file

    before = sys.stdout
    printed = TextFile()
    sys.stdout = printed
    try:
        yield
    finally:
        sys.stdout = before
        data = printed.getvalue().encode()
        if data:
            replace_file(file, data, mode=0o644)
